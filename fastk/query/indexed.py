"""Few matches among many chunks: one look into all value indexes at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import empty  # by itself: a look less in each query

from fastk.engine.rows import rows_class
from fastk.kernels.codes import EMPTY, MOST_RANGES, UNREACHED
from fastk.query.at_once import ChunksAtOnce, RowsAtOnce, opened
from fastk.query.planner import index_capacity
from fastk.query.stats import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.format.sidecars import ValueIndex
    from fastk.query.planner import Costs
    from fastk.query.values import ValueSet

    Int64 = NDArray[np.int64]

# Below that a chunk's index costs more to open than it saves in some queries: of 984 rows, as much as six (120 chunks:
# 5 to 9 ms at the first query, then 0.17 ms a query in place of 0.98).
_FEWEST_ROWS_A_CHUNK = 512
_PLACE, _WORD = np.dtype(np.uint32), np.dtype(np.int64)
# Of so many rows the search takes ts and values; or of twice as many as were found last.
_LEAST_ROOM, _MOST_ROOM = 16, 256


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
    """Chunks that all have a value index of one column.

    Once that column and ts need no look any more, a search takes what few rows have in them: to call for each column
    when it is asked for takes longer.
    """

    def __init__(
        self, snapshot: Snapshot, refs: Sequence[ChunkRef], indexes: Sequence[ValueIndex], column: int
    ) -> None:
        super().__init__(snapshot, refs)
        self._column = column
        dtype = self._chunks[0].columns[column].dtype
        self._dtype = None if dtype == _WORD else dtype  # to view words as what they are would take 0.1 us
        self._room = 0
        columns = self.numbers(0), self.numbers(column)
        self._may_take = all(each.flags.c_contiguous for pair in columns for each in pair)  # others, from copies
        values, rows = [index.values for index in indexes], [index.rows for index in indexes]
        self._find = self.kernels.finder(values, rows, columns if self._may_take else ())
        self._found: type[IndexedRows] = rows_class(IndexedRows, snapshot.settings.schema)

    def find(
        self, values: ValueSet, start: int, end: int, costs: Costs, *, may_take: bool = True
    ) -> IndexedRows | None:
        """The matching rows of a window; None if they are so many that comparing may find them sooner."""
        first, stop, low_rows, high_rows, rows = self.window(start, end)
        room = self._room if may_take else 0
        capacity = room or index_capacity(rows, stop - first, values.ranges, costs)
        counts, places, taken = empty(len(low_rows), _WORD), empty(capacity, _PLACE), empty(2 * room, _WORD)
        found = self._find(low_rows, high_rows, *values.arrays, counts, places, taken)
        if found < 0:
            self._room = 0
            return self.find(values, start, end, costs, may_take=False) if room else None
        if room > 4 * found + _LEAST_ROOM or (found <= _MOST_ROOM and not room):
            self._room = self._room_for(found)
        if room:
            return self._found(self, counts, places[:found], (first, stop), self._values(taken, found))
        return self._found(self, counts, places[:found].copy(), (first, stop), {})  # a view keeps all of the capacity

    def _room_for(self, found: int) -> int:
        """Of how many rows the next search shall take the values, if it finds about as many; 0 before all is ready."""
        is_ready = self._may_take and 0 in self.verified and self._column in self.verified
        return min(max(_LEAST_ROOM, 2 * found), _MOST_ROOM) if is_ready else 0

    def _values(self, taken: Int64, found: int) -> dict[int, NDArray[Any]]:
        """The two columns of what a search took."""
        taken.setflags(write=False)
        room = len(taken) >> 1
        value = taken[room : room + found] if self._dtype is None else taken[room:].view(self._dtype)[:found]
        return {0: taken[:found], self._column: value}


def indexed_chunks(snapshot: Snapshot, column: int, values: ValueSet, start: int, end: int) -> IndexedChunks | None:
    """The chunks that touch a window, to be searched at once.

    None if the condition is not for that, if they are too many to stay mapped, or one has no index worth opening.
    """
    schema = snapshot.settings.schema
    if schema.names[column] not in schema.value_indexes or values.negated or not 0 < values.ranges <= MOST_RANGES:
        return None
    return opened(snapshot, column, start, end, _open, at_once=True)


def _open(snapshot: Snapshot, column: int, refs: list[ChunkRef]) -> IndexedChunks | None:
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
