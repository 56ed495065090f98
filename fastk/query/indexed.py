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
    Question = tuple[Int64, Int64, NDArray[Any], NDArray[Any]]  # from and to which rows; lows and highs of ranges
    Span = tuple[int, int]
    Kept = dict[int, NDArray[Any]]

# Below that a chunk's index costs more to open than it saves in some queries: of 984 rows, as much as six (120 chunks:
# 5 to 9 ms at the first query, then 0.17 ms a query in place of 0.98).
_FEWEST_ROWS_A_CHUNK = 512
_PLACE, _WORD = np.dtype(np.uint32), np.dtype(np.int64)
# Of so many rows the search takes ts and values; or of twice as many as were found last. Both are even.
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


class TakenRows(IndexedRows):
    """Few rows, whose ts and values were taken with the search: views of its answer, which is read-only.

    Where they are is told by other views, made when other columns or the steps are asked for: 0.4 us. The answer begins
    with the counts, up to the first of ``parts``; from the second on it has the places.
    """

    __slots__ = ("_answer", "_length", "_parts")

    def __init__(
        self, chunks: ChunksAtOnce, answer: Int64, parts: tuple[int, int], length: int, span: Span, kept: Kept
    ) -> None:
        self.settings = chunks.settings
        self._chunks = chunks.reference
        self._answer = answer
        self._parts = parts
        self._length = length
        self._span = span
        self._kept = kept
        self._held = (chunks.few or chunks.holding(self._counts)) if length else ()

    def __len__(self) -> int:
        return self._length

    @property
    def _counts(self) -> Int64:  # type: ignore[override]
        return self._answer[: self._parts[0]]

    @property
    def _places(self) -> NDArray[np.uint32]:  # type: ignore[override]
        return self._answer[self._parts[1] :].view(_PLACE)[: self._length]


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
        self._taken: type[TakenRows] = rows_class(TakenRows, snapshot.settings.schema)

    def find(self, values: ValueSet, start: int, end: int, costs: Costs) -> IndexedRows | None:
        """The matching rows of a window; None if they are so many that comparing may find them sooner."""
        first, stop, low_rows, high_rows, rows = self.window(start, end)
        question, room = (low_rows, high_rows, *values.arrays), self._room
        taken = self._find_and_take(question, (first, stop), room) if room else None
        if taken is not None:
            return taken
        return self._find_only(question, (first, stop), index_capacity(rows, stop - first, values.ranges, costs))

    def _find_and_take(self, question: Question, span: Span, room: int) -> TakenRows | None:
        """The matching rows with their ts and values; None if there is no room for so many."""
        ts = len(question[0])
        value, numbers = ts + room, ts + 2 * room
        answer = empty(numbers + room // 2, _WORD)
        length = self._find(*question, answer, room)
        if not 0 <= length <= room <= 4 * length + _LEAST_ROOM:
            self._room = self._room_for(length)
            if length < 0:
                return None
        answer.setflags(write=False)
        column = answer[value : value + length]
        if self._dtype is not None:
            column = answer[value:numbers].view(self._dtype)[:length]
        kept = {0: answer[ts : ts + length], self._column: column}
        return self._taken(self, answer, (ts, numbers), length, span, kept)

    def _find_only(self, question: Question, span: Span, capacity: int) -> IndexedRows | None:
        """The matching rows; None if they are more than so many."""
        chunks = len(question[0])
        answer = empty(chunks + (capacity + 1) // 2, _WORD)
        length = self._find(*question, answer, 0)
        if length < 0:
            return None
        self._room = self._room_for(length)
        answer = answer[: chunks + (length + 1) // 2].copy()  # a view would keep all of the capacity
        return self._found(self, answer[:chunks], answer[chunks:].view(_PLACE)[:length], span)

    def _room_for(self, length: int) -> int:
        """Of how many rows the next search shall take the values, if it finds about so many; -1 stands for more."""
        is_ready = self._may_take and 0 in self.verified and self._column in self.verified
        if not is_ready or not 0 <= length <= _MOST_ROOM:
            return 0
        return min(max(_LEAST_ROOM, 2 * length), _MOST_ROOM)


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
