"""What a query counted, each number with one meaning on every plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ScalarIndexKind(Enum):
    """What helped to answer a query."""

    ZONE_MAP = "ZoneMap"
    VALUE_INDEX = "ValueIndex"
    ZONE_MAP_AND_VALUE_INDEX = "ZoneMapAndValueIndex"
    FULL_SCAN = "FullScan"


@dataclass(frozen=True, slots=True)
class ScalarPredicateQueryStats:
    """What a query did.

    A chunk is *considered* if its span of time touches the window. It is *pruned* if its zones alone gave the answer,
    or if it has no row in the window. Else it is *scanned*: rows were compared, or its value index gave the answer.

    A block is *considered* if it has rows in the window, in a chunk that was answered by the zones of its blocks (the
    finest there are) and by comparing what they left open. It is *pruned* if its zone decided, else *scanned*.

    ``rows_checked`` are the rows of the window that were compared, or that a value index named. ``index_used`` tells
    what answered any part: zones, value indexes, both, or comparing alone (FULL_SCAN); None if no chunk was considered.
    ``fallback_scan`` tells that in some chunk every row of the window was compared.
    """

    chunks_considered: int = 0
    chunks_scanned: int = 0
    chunks_pruned: int = 0
    blocks_considered: int = 0
    blocks_scanned: int = 0
    blocks_pruned: int = 0
    rows_checked: int = 0
    rows_matched: int = 0
    index_used: ScalarIndexKind | None = None
    fallback_scan: bool = False


@dataclass(slots=True)
class Tally:
    """Counts while a query runs."""

    chunks: int = 0
    chunks_pruned: int = 0
    blocks_considered: int = 0
    blocks_pruned: int = 0
    rows_checked: int = 0
    zones_helped: bool = False
    index_helped: bool = False
    fallback_scan: bool = False

    def stats(self, rows_matched: int) -> ScalarPredicateQueryStats:
        """The counts of a finished query."""
        return ScalarPredicateQueryStats(
            self.chunks,
            self.chunks - self.chunks_pruned,
            self.chunks_pruned,
            self.blocks_considered,
            self.blocks_considered - self.blocks_pruned,
            self.blocks_pruned,
            self.rows_checked,
            rows_matched,
            self._index_used() if self.chunks else None,
            self.fallback_scan,
        )

    def _index_used(self) -> ScalarIndexKind:
        if self.zones_helped:
            both, one = ScalarIndexKind.ZONE_MAP_AND_VALUE_INDEX, ScalarIndexKind.ZONE_MAP
            return both if self.index_helped else one
        return ScalarIndexKind.VALUE_INDEX if self.index_helped else ScalarIndexKind.FULL_SCAN
