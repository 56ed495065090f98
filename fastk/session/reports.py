"""What sessions report of themselves, and how far they can be reset."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from fastk.session.metrics import MetricsLevel, StoreMetricsSnapshot


class SessionResetMode(Enum):
    """What a reset lets go of; each mode also does what those before it do.

    QUERY_ONLY: what queries have loaded of sidecars. LOGICAL: all maps of the attached series. FULL_DETACH: the series.
    """

    QUERY_ONLY = "QueryOnly"
    LOGICAL = "Logical"
    FULL_DETACH = "FullDetach"

    QueryOnly, Logical, FullDetach = QUERY_ONLY, LOGICAL, FULL_DETACH  # the original's spellings are the same members

    @classmethod
    def parse(cls, mode: Any) -> SessionResetMode:
        """A mode, or its name."""
        try:
            return cls(mode)
        except ValueError:
            raise InvalidInput(
                f"reset mode {mode!r} is unknown: give {', '.join(each.value for each in cls)}"
            ) from None


@dataclass(frozen=True, slots=True)
class SessionCacheSummary:
    """What a session holds: attached series by record type, chunks mapped at the moment, and the store's metrics."""

    attached_count: int
    attached_kline_count: int
    attached_scalar_count: int
    mapped_chunk_count: int
    mapped_bytes: int
    metrics_level: MetricsLevel
    metrics: StoreMetricsSnapshot


@dataclass(frozen=True, slots=True)
class PrewarmReport:
    """What a prewarming went through. ``bytes`` are those of chunk files; sidecars that do not verify count nowhere.

    ``mapped_chunks`` of the ``chunks`` stayed mapped: fewer, where there are more than the store's ``max_maps``.
    """

    series: int
    chunks: int
    mapped_chunks: int
    sidecars: int
    bytes: int
    seconds: float
