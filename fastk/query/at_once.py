"""Many chunks searched in one call of a kernel, in place of chunk by chunk.

A step that Python takes costs microseconds, and a chunk takes four of them; here a query takes two or three calls of
kernels, however many chunks there are.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.errors import FastKError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.snapshot import Snapshot

    Int64 = NDArray[np.int64]
    Opened = TypeVar("Opened", bound="ChunksAtOnce")


# Windows that move about open the chunks between them as well, as far as those span so many windows: each is opened
# once then, which takes some microseconds.
_MOST_WINDOWS = 16


class RowsAtOnce:
    """Rows that were found together, as a source of columns: ``counts[i]`` of ``places`` belong to chunk i.

    The chunks from ``first`` to ``stop`` touch the window.
    """

    __slots__ = ("_chunks", "_counts", "_first", "_places", "_stop", "rows")

    def __init__(self, chunks: ChunksAtOnce, counts: Int64, places: NDArray[np.uint32], first: int, stop: int) -> None:
        self.rows = len(places)
        self._chunks = chunks
        self._counts = counts
        self._places = places
        self._first = first
        self._stop = stop

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Write one column of the rows, verified where it is read."""
        self._chunks.pick(index, self._counts, self._places, out)


class ChunksAtOnce:
    """Neighbouring chunks of a snapshot, which stay mapped."""

    def __init__(self, snapshot: Snapshot, refs: Sequence[ChunkRef]) -> None:
        self.snapshot = snapshot
        self.asked_for = snapshot
        self._kernels = kernels.active
        self._chunks = [snapshot.open_chunk(*ref) for ref in refs]
        self._starts = [leaf.starts[place] for leaf, place in refs]
        self._ends = [leaf.ends[place] for leaf, place in refs]
        self._before, self._behind = snapshot.neighbours(refs[0], refs[-1])
        self._columns: dict[int, Any] = {}
        self._verified: set[int] = set()
        self._low_rows = np.zeros(len(refs), np.int64)
        self._high_rows = np.array([chunk.rows for chunk in self._chunks], np.int64)
        self._row_count = int(self._high_rows.sum())

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last ts."""
        return self._starts[0], self._ends[-1]

    def serves(self, snapshot: Snapshot, start: int, end: int) -> bool:
        """Whether these are all chunks of a snapshot that touch a window."""
        return self.snapshot is snapshot and self._before < start and end < self._behind

    def window(self, first: int, stop: int, start: int, end: int) -> tuple[Int64, Int64, int]:
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


def opened(
    snapshot: Snapshot,
    column: int,
    start: int,
    end: int,
    make: Callable[[Snapshot, int, list[ChunkRef]], Opened | None],
) -> Opened | None:
    """The chunks that touch a window, opened before or now; None where that is not worth it, or by ``make``."""
    known = snapshot.chunks.maps.derived
    key = snapshot.settings.series_id, column, kernels.active, make  # what one implementation packs is its own
    chunks: Opened | None = known.get(key)
    if chunks is not None and chunks.serves(snapshot, start, end):
        return chunks
    if chunks is not None and snapshot not in (chunks.snapshot, chunks.asked_for):
        # The series moved. Where it does so before each query, opening costs one to three times what chunk by chunk
        # does (120 chunks of 984 rows, 400 of 60), so that the second query of a state is the first worth it.
        chunks.asked_for = snapshot
        return None
    refs, made = snapshot.overlapping(start, end), None
    wider = _with_neighbours(refs, chunks) if refs and chunks is not None and chunks.snapshot is snapshot else []
    if 0 < len(wider) <= snapshot.most_pinned_chunks:
        with suppress(FastKError, OSError):  # damage beside the window is no matter of this query
            made = make(snapshot, column, wider)
    if made is None and 0 < len(refs) <= snapshot.most_pinned_chunks:
        made = make(snapshot, column, refs)
    if made is not None:
        known[key] = made
    return made


def _with_neighbours(refs: list[ChunkRef], chunks: ChunksAtOnce) -> list[ChunkRef]:
    """The chunks of a window, and all up to those that are open; none if these are far."""
    (leaf, place), (last_leaf, last_place) = refs[0], refs[-1]
    start, end = leaf.starts[place], last_leaf.ends[last_place]
    first, last = min(start, chunks.span[0]), max(end, chunks.span[1])
    return chunks.snapshot.overlapping(first, last) if last - first <= _MOST_WINDOWS * (end - start) else []
