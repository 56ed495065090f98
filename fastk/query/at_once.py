"""Few matches among many chunks: one look into all value indexes at once, in place of a search chunk by chunk.

A step that Python takes costs microseconds, and a chunk takes four of them; here a query takes two calls of kernels,
however many chunks there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.kernels.codes import EMPTY, UNREACHED
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
_MOST_RANGES = 64


class IndexedRows:
    """Rows that value indexes named, as a source of columns: ``counts[i]`` of ``places`` belong to chunk i.

    The chunks from ``first`` to ``stop`` touch the window.
    """

    __slots__ = ("_chunks", "_counts", "_first", "_places", "_stop", "rows")

    def __init__(self, chunks: IndexedChunks, counts: Int64, places: NDArray[np.uint32], first: int, stop: int) -> None:
        self.rows = len(places)
        self._chunks = chunks
        self._counts = counts
        self._places = places
        self._first = first
        self._stop = stop

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Write one column of the rows, verified where it is read."""
        self._chunks.pick(index, self._counts, self._places, out)

    @property
    def tally(self) -> Tally:
        """What finding them took."""
        touched = self._counts.tolist()[self._first : self._stop]
        unreached = touched.count(UNREACHED)
        pruned = unreached + touched.count(EMPTY)
        return Tally(
            chunks=len(touched),
            chunks_pruned=pruned,
            rows_checked=self.rows,
            zones_helped=unreached > 0,
            index_helped=len(touched) > pruned,
        )


class IndexedChunks:
    """Neighbouring chunks of a snapshot that all have a value index of one column. Keeps them mapped."""

    def __init__(self, snapshot: Snapshot, refs: Sequence[ChunkRef], indexes: Sequence[ValueIndex]) -> None:
        self.snapshot = snapshot
        self._kernels = kernels.active
        self._chunks = [snapshot.open_chunk(*ref) for ref in refs]
        self._starts = [leaf.starts[place] for leaf, place in refs]
        self._ends = [leaf.ends[place] for leaf, place in refs]
        self._before, self._behind = snapshot.neighbours(refs[0], refs[-1])
        self._values = self._kernels.chain([index.values for index in indexes])
        self._rows = self._kernels.chain([index.rows for index in indexes])
        self._columns: dict[int, Any] = {}
        self._verified: set[int] = set()
        self._low_rows = np.zeros(len(refs), np.int64)
        self._high_rows = np.array([chunk.rows for chunk in self._chunks], np.int64)
        self._row_count = int(self._high_rows.sum())

    def serves(self, snapshot: Snapshot, start: int, end: int) -> bool:
        """Whether these are all chunks of a snapshot that touch a window."""
        return self.snapshot is snapshot and self._before < start and end < self._behind

    def find(self, values: ValueSet, start: int, end: int, costs: Costs) -> IndexedRows | None:
        """The matching rows of a window; None if they are so many that comparing may find them sooner."""
        first, stop = bisect_left(self._ends, start), bisect_right(self._starts, end)
        low_rows, high_rows, rows = self._window(first, stop, start, end)
        places = np.empty(index_capacity(rows, stop - first, values.ranges, costs), np.uint32)
        counts = np.empty(len(self._chunks), np.int64)
        found = self._kernels.find_indexed(
            self._values, self._rows, low_rows, high_rows, values.lows, values.highs, counts, places
        )
        if found < 0:
            return None
        return IndexedRows(self, counts, places[:found].copy(), first, stop)  # a view would keep all of the capacity

    def _window(self, first: int, stop: int, start: int, end: int) -> tuple[Int64, Int64, int]:
        """The rows of each chunk that lie within a window, and how many."""
        starts, ends = self._starts, self._ends
        if start <= starts[0] and ends[-1] <= end:
            return self._low_rows, self._high_rows, self._row_count
        low_rows, high_rows = self._low_rows.copy(), np.zeros_like(self._high_rows)
        high_rows[first:stop] = self._high_rows[first:stop]
        for place in {first, stop - 1} if first < stop else ():
            bounds = max(start, starts[place]), min(end, ends[place])
            low_rows[place], high_rows[place] = self._chunks[place].bounds(*bounds)
        return low_rows, high_rows, int((high_rows - low_rows).sum())

    def pick(self, index: int, counts: Int64, places: NDArray[np.uint32], out: NDArray[Any]) -> None:
        """Write one column of some rows, verified where it is read."""
        if index not in self._verified:
            self._verify(index, counts, places)
        columns = self._columns.get(index)
        self._kernels.pick(self._pack(index) if columns is None else columns, counts, places, out)

    def _verify(self, index: int, counts: Int64, places: NDArray[np.uint32]) -> None:
        """Verify a column at some rows. Most chunks have none of few matches: they are not looked at."""
        stop = 0
        for place in np.flatnonzero(counts > 0).tolist():
            first, stop = stop, stop + int(counts[place])
            if self._chunks[place].dense[index] is None:
                rows = places[first:stop]
                self._chunks[place].ensure_runs_verified(index, rows, rows + np.uint32(1))
        if all(chunk.dense[index] is not None for chunk in self._chunks):
            self._verified.add(index)

    def _pack(self, index: int) -> Any:
        """A column of all chunks; kept, unless some are still to be made contiguous, as those of rows are when read."""
        columns = [chunk.columns[index] for chunk in self._chunks]
        if all(column.flags.c_contiguous for column in columns):
            packed = self._columns[index] = self._kernels.chain(columns)
            return packed
        dense = [chunk.dense[index] for chunk in self._chunks]
        packed = self._kernels.chain([columns[0][:0] if column is None else column for column in dense])
        if index in self._verified:
            self._columns[index] = packed
        return packed


def indexed_chunks(snapshot: Snapshot, column: int, values: ValueSet, start: int, end: int) -> IndexedChunks | None:
    """The chunks that touch a window, to be searched at once.

    None if the condition is not for that, if they are too many to stay mapped, or one has no index worth opening.
    """
    if values.negated or not 0 < values.ranges <= _MOST_RANGES:
        return None
    known = snapshot.chunks.maps.derived
    key = snapshot.settings.series_id, column, kernels.loaded()  # what one implementation packs is its own
    chunks: IndexedChunks | None = known.get(key)
    if chunks is not None and chunks.serves(snapshot, start, end):
        return chunks
    refs = snapshot.overlapping(start, end)
    if not 0 < len(refs) <= snapshot.most_pinned_chunks:
        return None
    if sum(ref.rows for ref in refs) < _FEWEST_ROWS_A_CHUNK * len(refs):
        return None
    indexes = _indexes((snapshot.open_chunk(*ref) for ref in refs), snapshot, column)
    if indexes is None:
        return None
    chunks = known[key] = IndexedChunks(snapshot, refs, indexes)
    return chunks


def _indexes(chunks: Iterable[MappedChunk], snapshot: Snapshot, column: int) -> list[ValueIndex] | None:
    """The value index of each chunk; None if one has none."""
    found = []
    for chunk in chunks:
        index = snapshot.chunks.sidecars.value_index(chunk, column)
        if index is None:
            return None
        found.append(index)
    return found
