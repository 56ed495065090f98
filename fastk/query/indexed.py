"""Few matches among many chunks: one look into all value indexes at once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy import empty  # by itself: a look less in each query

from fastk.engine.rows import rows_class
from fastk.errors import InvalidData
from fastk.kernels.codes import EMPTY, MOST_MEMBER_CHUNKS, MOST_RANGES, UNREACHED
from fastk.query.at_once import ChunksAtOnce, RowsAtOnce, opened
from fastk.query.planner import index_capacity
from fastk.query.stats import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.format.sidecars import ValueIndex
    from fastk.kernels.interface import MemberFinder
    from fastk.query.members import MemberSearch
    from fastk.query.planner import Costs
    from fastk.query.values import ValueSet

# Below that a chunk's index costs more to open than it saves in some queries: of 984 rows, as much as six (120 chunks:
# 5 to 9 ms at the first query, then 0.17 ms a query in place of 0.98).
_FEWEST_ROWS_A_CHUNK = 512
# Bytes to verify for single values, which nobody may have asked for: a millisecond where they are in memory.
_MOST_VERIFIED = 1 << 24
_PLACE, _COUNT = np.dtype(np.uint32), np.dtype(np.int64)


class IndexedRows(RowsAtOnce):
    """Rows that value indexes named."""

    __slots__ = ()

    @property
    def _tally(self) -> Tally:
        touched = self._counts.tolist()[slice(*self._span)]
        unreached = touched.count(UNREACHED)
        pruned = unreached + touched.count(EMPTY)
        return Tally(
            chunks=len(touched),
            chunks_pruned=pruned,
            rows_checked=len(self._places),
            zones_helped=unreached > 0,
            index_helped=len(touched) > pruned,
        )


class IndexedChunks(ChunksAtOnce):
    """Chunks that all have a value index of one column."""

    def __init__(
        self, snapshot: Snapshot, refs: Sequence[ChunkRef], indexes: Sequence[ValueIndex], column: int
    ) -> None:
        super().__init__(snapshot, refs)
        self.column = column
        self.members: MemberSearch | None = None
        self.asked_for_members = 0
        ahead = [[chunk.columns[place] for chunk in self._chunks] for place in (0, column)]
        if not all(each.flags.c_contiguous for columns in ahead for each in columns):
            ahead = []  # others are taken from copies
        self._indexes = [index.values for index in indexes], [index.rows for index in indexes]
        self._find = self.kernels.finder(*self._indexes, ahead)
        self._found: type[IndexedRows] = rows_class(IndexedRows, snapshot.settings.schema)

    def find(self, values: ValueSet, start: int, end: int, costs: Costs) -> IndexedRows | None:
        """The matching rows of a window; None if they are so many that comparing may find them sooner."""
        first, stop, low_rows, high_rows, rows = self.window(start, end)
        places = empty(index_capacity(rows, stop - first, values.ranges, costs), _PLACE)
        counts = empty(len(low_rows), _COUNT)
        found = self._find(low_rows, high_rows, *values.arrays, counts, places)
        if found < 0:
            return None
        return self._found(self, counts, places[:found].copy(), (first, stop))  # a view would keep all of the capacity

    def may_find_members(self) -> bool:
        """Whether :meth:`member_finder` may be called: of few chunks of contiguous int64 that is verified.

        Columns are verified for it where that is little to do.
        """
        parts = [(chunk, index) for chunk in self._chunks for index in (0, self.column)]
        columns = [chunk.columns[index] for chunk, index in parts]
        return (
            len(self) <= MOST_MEMBER_CHUNKS
            and all(map(len, self._indexes[0]))
            and all(column.dtype == _COUNT and column.flags.c_contiguous for column in columns)
            and _are_verified(parts)
        )

    def member_finder(self) -> MemberFinder:
        """What finds single values, with ts."""
        return self.kernels.member_finder(*self._indexes, [chunk.columns[0] for chunk in self._chunks])


def _are_verified(parts: Sequence[tuple[MappedChunk, int]]) -> bool:
    """Whether all checksums of some columns were compared, or are now; never by who asked to compare none."""
    missing = [(chunk, index) for chunk, index in parts if chunk.clean[index] is None]
    if sum(chunk.columns[index].nbytes for chunk, index in missing) <= _MOST_VERIFIED:
        with suppress(InvalidData):
            for chunk, index in missing:
                chunk.ensure_verified(index, 0, chunk.rows)
    return all(0 not in chunk.verified[index] for chunk, index in parts)


def indexed_chunks(snapshot: Snapshot, column: int, values: ValueSet, start: int, end: int) -> IndexedChunks | None:
    """The chunks that touch a window, to be searched at once.

    None if the condition is not for that, if they are too many to stay mapped, or one has no index worth opening.
    """
    schema = snapshot.settings.schema
    if schema.names[column] not in schema.value_indexes or values.negated or not 0 < values.ranges <= MOST_RANGES:
        return None
    return opened(snapshot, column, start, end, open_indexed, at_once=True)


def open_indexed(snapshot: Snapshot, column: int, refs: list[ChunkRef]) -> IndexedChunks | None:
    """Some chunks; None if one has no index worth opening."""
    if sum(ref.rows for ref in refs) < _FEWEST_ROWS_A_CHUNK * len(refs):
        return None
    indexes = _indexes((snapshot.open_chunk(*ref) for ref in refs), snapshot, column)
    return None if indexes is None else IndexedChunks(snapshot, refs, indexes, column)


def _indexes(chunks: Iterable[MappedChunk], snapshot: Snapshot, column: int) -> list[ValueIndex] | None:
    """The value index of each chunk; None if one has none."""
    found = []
    for chunk in chunks:
        index = snapshot.chunks.sidecars.value_index(chunk, column)
        if index is None:
            return None
        found.append(index)
    return found
