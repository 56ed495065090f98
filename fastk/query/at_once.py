"""Many chunks searched in one call of a kernel, in place of chunk by chunk.

A step that Python takes costs microseconds, and a chunk takes four of them; here a query takes two or three calls of
kernels, however many chunks there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import numpy as np
from numpy import empty  # by itself: a look less in each column

from fastk import kernels
from fastk.engine.rows import FilledRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.kernels.interface import Picker

    Int64 = NDArray[np.int64]
    Ready = tuple[np.dtype[Any], Picker]
    Opened = TypeVar("Opened", bound="ChunksAtOnce")


class Window(NamedTuple):
    """The chunks from ``first`` to ``stop`` touch it; the rows of each chunk that lie within, and how many in all."""

    first: int
    stop: int
    low_rows: Int64
    high_rows: Int64
    rows: int


# Rows of so few chunks keep all of them mapped: to choose those that have some costs a microsecond.
_FEW_CHUNKS = 8


class RowsAtOnce(FilledRows):
    """Rows that were found together, their own source: ``counts[i]`` of ``places`` belong to chunk i.

    The chunks from the first of ``span`` to before the second touch the window. Only those that have rows stay mapped
    as long as these; how all are searched together is forgotten when the cache of maps lets go of it.
    """

    __slots__ = ("_chunks", "_counts", "_held", "_places", "_span")

    def __init__(self, chunks: ChunksAtOnce, counts: Int64, places: NDArray[np.uint32], span: tuple[int, int]) -> None:
        self.settings = chunks.settings
        self._kept = {}
        self._chunks = chunks.reference
        self._held = (chunks.few or chunks.holding(counts)) if len(places) else ()
        self._counts = counts
        self._places = places
        self._span = span

    def __len__(self) -> int:
        return len(self._places)

    def _assemble(self, index: int) -> NDArray[Any]:
        places, chunks = self._places, self._chunks()
        ready = None if chunks is None else chunks.verified.get(index)
        if ready is None:
            column = empty(len(places), self.settings.schema.fields[index].dtype)
            self._fill(index, column)
        else:  # _fill and ChunksAtOnce.pick written out: a tenth of a query for few rows of two columns
            dtype, pick = ready
            column = empty(len(places), dtype)
            pick(self._counts, places, column)
        column.setflags(write=False)  # _keep written out
        kept = self._kept[index] = column[:]
        return kept

    def _fill(self, index: int, out: NDArray[Any]) -> None:
        if not self._held:  # no rows; to verify none took half of the query
            return
        chunks = self._chunks()
        if chunks is not None:
            chunks.pick(index, self._counts, self._places, out)
        else:
            self._fill_one_by_one(index, out)

    def _fill_one_by_one(self, index: int, out: NDArray[Any]) -> None:
        counts = self._counts.tolist()
        if len(self._held) < len(counts):
            counts = [count for count in counts if count > 0]
        stop = 0
        for chunk, count in zip(self._held, counts, strict=True):
            if count > 0:
                first, stop = stop, stop + count
                rows, column = self._places[first:stop], chunk.dense[index]
                if column is None:
                    column = chunk.ensure_runs_verified(index, rows, rows + np.uint32(1))
                out[first:stop] = column[rows]


class ChunksAtOnce:
    """Neighbouring chunks of a snapshot, which stay mapped.

    They are all that touch windows from behind ``before`` to before ``behind``. ``verified`` are their columns that
    need no look any more, ready to be picked from.
    """

    def __init__(self, snapshot: Snapshot, refs: Sequence[ChunkRef]) -> None:
        self.reference = ref(self)
        self.snapshot = snapshot
        self.settings = snapshot.settings
        self.kernels = kernels.active
        self._chunks = [snapshot.open_chunk(*ref) for ref in refs]
        self.few = self._chunks if len(refs) <= _FEW_CHUNKS else []
        self._starts = [leaf.starts[place] for leaf, place in refs]
        self._ends = [leaf.ends[place] for leaf, place in refs]
        self.start, self.end = self._starts[0], self._ends[-1]
        self.before, self.behind = snapshot.neighbours(refs[0], refs[-1])
        self.verified: dict[int, Ready] = {}
        self._columns: dict[int, Ready] = {}
        self._unverified: dict[int, NDArray[np.bool_]] = {}
        rows = np.array([chunk.rows for chunk in self._chunks], np.int64)
        self._whole = Window(0, len(refs), np.zeros_like(rows), rows, int(rows.sum()))

    def __len__(self) -> int:
        return len(self._chunks)

    def holding(self, counts: Int64) -> Sequence[MappedChunk]:
        """The chunks that have rows."""
        return [self._chunks[place] for place in np.flatnonzero(counts > 0).tolist()]

    def window(self, start: int, end: int) -> Window:
        """What lies between two times."""
        if start <= self.start and self.end <= end:
            return self._whole
        starts, ends, whole = self._starts, self._ends, self._whole
        first, stop = bisect_left(ends, start), bisect_right(starts, end)
        low_rows, high_rows = np.zeros_like(whole.low_rows), np.zeros_like(whole.high_rows)
        high_rows[first:stop] = whole.high_rows[first:stop]
        for place in {first, stop - 1} if first < stop else ():
            bounds = max(start, starts[place]), min(end, ends[place])
            low_rows[place], high_rows[place] = self._chunks[place].bounds(*bounds)
        return Window(first, stop, low_rows, high_rows, int((high_rows - low_rows).sum()))

    def pick(self, index: int, counts: Int64, places: NDArray[np.uint32], out: NDArray[Any]) -> None:
        """Write one column of some rows, verified where it is read."""
        _, pick = self.verified.get(index) or self._verify(index, counts, places)
        pick(counts, places, out)

    def _verify(self, index: int, counts: Int64, places: NDArray[np.uint32]) -> Ready:
        """Verify a column at some rows, and prepare that of all chunks."""
        stops = np.maximum(counts, 0).cumsum()
        for place, chunk in self.unverified(index, counts > 0):
            stop = int(stops[place])
            rows = places[stop - int(counts[place]) : stop]
            chunk.ensure_runs_verified(index, rows, rows + np.uint32(1))
        return self._prepare(index)

    def unverified(self, index: int, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, MappedChunk]]:
        """Those of the wanted chunks whose column is not verified whole, to be verified while this goes on.

        The others, and those that nobody wants, are not looked at: of 400 chunks that took most of a query.
        """
        flags = self._unverified.get(index)
        if flags is None:
            flags = self._unverified[index] = np.array([chunk.dense[index] is None for chunk in self._chunks])
        for place in np.flatnonzero(flags & wanted).tolist():
            chunk = self._chunks[place]
            if chunk.dense[index] is None:
                yield place, chunk
            flags[place] = chunk.dense[index] is None
        if not flags.any():
            self.verified[index] = self._prepare(index)

    def _prepare(self, index: int) -> Ready:
        """A column of all chunks; kept, unless some are still to be made contiguous, as those of rows are when read."""
        ready = self._columns.get(index)
        if ready is not None:
            return ready
        columns = [chunk.columns[index] for chunk in self._chunks]
        dtype = columns[0].dtype
        if all(column.flags.c_contiguous for column in columns):
            ready = self._columns[index] = dtype, self.kernels.picker(columns)
            return ready
        dense = [chunk.dense[index] for chunk in self._chunks]
        return dtype, self.kernels.picker([columns[0][:0] if column is None else column for column in dense])


def opened(
    snapshot: Snapshot,
    column: int,
    start: int,
    end: int,
    make: Callable[[Snapshot, int, list[ChunkRef]], Opened | None],
    *,
    at_once: bool,
) -> Opened | None:
    """The chunks that touch a window, opened before or now; None where that is not worth it, or by ``make``.

    Opening chunks costs about what searching them one by one does. Where a series moves before each query, or windows
    do, it would be lost: a new state is opened by its second query, and unless ``at_once`` so is each window.
    """
    known = snapshot.chunks.maps.derived
    key = snapshot.settings.series_id, column, kernels.active, make  # what one implementation packs is its own
    chunks: Opened | None = known.get(key)
    if chunks is not None and chunks.snapshot is snapshot and chunks.before < start and end < chunks.behind:
        return chunks
    window = snapshot, start, end
    if known.get((*key, "refused")) == window:
        return None
    if not at_once or (chunks is not None and chunks.snapshot is not snapshot):
        asked = (snapshot,) if at_once else window
        if known.get((*key, "asked")) != asked:
            known[*key, "asked"] = asked
            return None
    refs = snapshot.overlapping(start, end)
    made = make(snapshot, column, refs) if 0 < len(refs) <= snapshot.most_pinned_chunks else None
    if made is None:
        known[*key, "refused"] = window
    else:
        known[key] = made
    return made
