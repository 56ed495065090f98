"""What zones spare: which part of a column a query for a narrow range of values would look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.format.sidecars import Zones

    Float64 = NDArray[np.float64]

DEFAULT_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class ZonePruning:
    """The power of a column's zones. ``zones`` counts them; ``mean_width`` is their mean width as a part of the span.

    ``looked_at`` is the part of all rows (0 to 1) that lie in zones which a query for ``share`` of the span of values
    touches, on average over every place of such a range within the span. 1 means that zones spare nothing.
    """

    column: str
    zones: int
    mean_width: float
    looked_at: float
    share: float


def pruning(snapshot: Snapshot, column: str, share: float = DEFAULT_SHARE) -> ZonePruning | None:
    """What the finest zones of a column spare; None of a column that has none, or of a series without rows.

    Cost: the header of each chunk, and its zone map where it has one; columns are not read.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise InvalidInput(f"share must be a part of the span of values from 0 to 1, not {share!r}")
    schema = snapshot.settings.schema
    place = schema.position(column)
    if place == 0 or not schema.fields[place].indexed or not snapshot.rows:
        return None
    tally = _Tally(*_span(snapshot, place), float(share))
    for chunk in snapshot.all_chunks():
        tally.add(snapshot.chunks.sidecars.zones(chunk, place), chunk.rows)
    return tally.result(column)


def _span(snapshot: Snapshot, place: int) -> tuple[float, float]:
    """The least and the greatest value, NaN left out; NaN where there is nothing else."""
    spans = [snapshot.chunks.sidecars.span(chunk, place)[:2] for chunk in snapshot.all_chunks()]
    ends = np.array(spans, np.float64)
    return float(np.fmin.reduce(ends[:, 0])), float(np.fmax.reduce(ends[:, 1]))


class _Tally:
    """Adds up the zones of one chunk after the other."""

    def __init__(self, least: float, greatest: float, share: float) -> None:
        self._least, self._share = least, share
        self._span = greatest - least
        self._zones = self._rows = 0
        self._width = self._looked_at = 0.0

    def add(self, zones: Zones, rows: int) -> None:
        """Count the zones of a chunk."""
        count = len(zones.minima)
        sizes = np.full(count, zones.block_rows, np.int64)
        sizes[-1] = rows - (count - 1) * zones.block_rows
        lows, highs = (self._scaled(ends) for ends in (zones.minima, zones.maxima))
        self._zones += count
        self._rows += rows
        self._width += float(np.nansum(highs - lows))
        self._looked_at += float(np.nansum(self._chance(lows, highs) * sizes))

    def _scaled(self, values: NDArray[Any]) -> Float64:
        """Values as places in the span, from 0 to 1; where the span is none, or beyond float64, a zone is all of it."""
        if not 0 < self._span < np.inf:
            return np.zeros(values.size)
        scaled: Float64 = np.subtract(values, self._least, dtype=np.float64) / self._span
        return scaled

    def _chance(self, lows: Float64, highs: Float64) -> Float64:
        """How likely a range of the share, anywhere within the span, touches each zone."""
        room = 1 - self._share
        if not 0 < self._span < np.inf or room <= 0:
            return np.ones(lows.size)
        touching: Float64 = np.minimum(highs, room) - np.maximum(lows - self._share, 0)
        return np.clip(touching / room, 0, 1)

    def result(self, column: str) -> ZonePruning:
        """What was added up."""
        if not 0 < self._span < np.inf:
            return ZonePruning(column, self._zones, 1.0, 1.0, self._share)
        return ZonePruning(
            column, self._zones, self._width / self._zones, self._looked_at / self._rows, self._share
        )
