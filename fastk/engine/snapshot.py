"""The one read path: locate the chunk, make sure that it is verified, slice.

A :class:`Snapshot` is one committed state of one series. Its answers stay true whatever is committed later. Times are
ints in the series' unit. Words: a *leaf* is a run of chunks, a *place* a chunk's position in it, and both name a chunk.

``self.loaded[index] or self.leaf(index)``, ``self.mapped.get(id) or self.open_chunk(leaf, place)``, a search of
``chunk.dense[0]`` for ``chunk.bounds``, and ``self.form()`` with its three words for ``rows_of_chunk`` write the usual
case of those methods out where a read passes: a call saved is a tenth of a point read.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.engine.chunk_index import ChunkIndex, ChunkRef, Leaf
from fastk.engine.pieces import LazyPieces, PinnedRows
from fastk.engine.rows import ArrayRows, ChunkRows, JoinedRows, Rows, rows_class, rows_of_chunk
from fastk.errors import SnapshotExpired
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.engine.chunks import SeriesChunks
    from fastk.engine.mapped import MappedChunk
    from fastk.format.manifest import Manifest


# A chunk, and from where to where its rows lie between two times.
RowsBetween = tuple["MappedChunk", int, int]
# What a look at the latest rows needs: how many rows the last chunk has, the chunk, and the form of its rows.
Tail = tuple[int, Any, type[ChunkRows]]


class LastPartition(NamedTuple):
    """The partition of the last chunk: its ordinal, and the highest generation of its chunks."""

    ordinal: int
    generation: int


class Snapshot(ChunkIndex):
    """Reads of one committed state. Safe to share between threads.

    The index gives the leaves (``leaf_starts``, ``leaf_ends``, ``loaded``, ``leaf``) and the ``settings``. ``mapped``
    are the chunks mapped at the moment, by id: reads add to it, and the budget of maps takes unused ones out again.
    ``last_partition`` is known of a state that an own commit made by rows at its end: the next append needs no more.
    """

    def __init__(self, manifest: Manifest, chunks: SeriesChunks) -> None:
        super().__init__(manifest, chunks.load_leaf, chunks.leaves)
        schema = manifest.settings.schema
        self.chunks = chunks
        self.mapped = chunks.mapped
        self.form: type[ChunkRows] = rows_class(ChunkRows, schema)
        self._join: Callable[..., Rows] = rows_class(PinnedRows, schema)
        # One answer may keep a quarter of the maps that the budget allows.
        self.most_pinned_chunks = max(1, chunks.maps.budget // 4)
        self.last_partition: LastPartition | None = None

    def _load_leaf(self, index: int) -> Leaf:
        """A leaf whose table was removed comes from the newest state, as long as its rows are the same."""
        try:
            return super()._load_leaf(index)
        except SnapshotExpired:
            items = self.chunks.restored_leaf(self, index)
            if items is None:
                raise
            leaf = self.loaded[index] = Leaf(items)
            return leaf

    @cached_property
    def no_rows(self) -> Rows:
        """Rows of this series that are none."""
        schema = self.settings.schema
        empty: Rows = rows_class(ArrayRows, schema)(
            self.settings, [read_only(np.empty(0, field.dtype)) for field in schema.fields]
        )
        return empty

    def open_chunk(self, leaf: Leaf, place: int) -> MappedChunk:
        """A chunk of a leaf, mapped; its header is verified now, its columns as they are touched."""
        chunk = self.mapped.get(leaf.ids[place]) or self.chunks.map(ChunkRef((leaf, place)), self)
        chunk.used = True
        return chunk

    def chunk_rows(self, chunk: MappedChunk, start: int, stop: int) -> Rows:
        """Rows ``start`` to ``stop`` of one chunk."""
        return rows_of_chunk(self.form, chunk, start, stop)

    def all_chunks(self) -> Iterator[MappedChunk]:
        """Every chunk in order of time, mapped one after the other."""
        return (self.open_chunk(leaf, place) for leaf in self.leaves() for place in range(len(leaf.ids)))

    def range(self, start: int, end: int) -> Rows:
        """Rows with ``start <= ts <= end``; none if start > end. Any python int is a bound."""
        index = bisect_left(self.leaf_ends, start)
        if index == len(self.leaf_ends) or start > end:
            return self.no_rows
        leaf = self.loaded[index] or self.leaf(index)
        place = bisect_left(leaf.ends, start)
        if leaf.ends[place] <= end:  # equal, too: rows of the same ts may go on in the next chunk
            return self._range_in_leaf(index, leaf, place, start, end)
        if leaf.starts[place] > end:
            return self.no_rows
        chunk = self.mapped.get(leaf.ids[place]) or self.open_chunk(leaf, place)
        if start < INT64_MIN:  # ``end`` lies within the chunk by now
            start = INT64_MIN
        ts = chunk.dense[0]
        if ts is None:
            low, high = chunk.bounds(start, end)
        else:
            chunk.used = True
            low, high = kernels.active.bounds(ts, start, end)
        if low >= high:
            return self.no_rows
        rows = self.form()
        rows._chunk, rows._start, rows._stop = chunk, low, high
        return rows

    def _range_in_leaf(self, index: int, leaf: Leaf, place: int, start: int, end: int) -> Rows:
        """Rows of one chunk or more: only the first and the last are searched, those between lie in the range whole.

        This form holds the chunks themselves. Where they are of several leaves, or too many to keep mapped, they go by
        references, which cost more to build than a short read takes.
        """
        stop = bisect_right(leaf.starts, end, place)
        if stop - place > self.most_pinned_chunks or (
            stop == len(leaf.ids) and index + 1 < len(self.leaf_ends) and self.leaf_starts[index + 1] <= end
        ):
            return self._range_of_refs(self.overlapping(start, end), start, end)
        chunks: list[MappedChunk] = []
        for chunk_id in leaf.ids[place:stop]:
            chunk = self.mapped.get(chunk_id) or self.open_chunk(leaf, place + len(chunks))
            chunk.used = True
            chunks.append(chunk)
        low, high = 0, chunk.rows
        if start > leaf.starts[place]:
            ts = chunks[0].dense[0]
            low, _ = chunks[0].bounds(start, INT64_MAX) if ts is None else kernels.active.bounds(ts, start, INT64_MAX)
        if end < leaf.ends[stop - 1]:
            ts = chunk.dense[0]
            _, high = chunk.bounds(INT64_MIN, end) if ts is None else kernels.active.bounds(ts, INT64_MIN, end)
        if len(chunks) == 1:
            return self.chunk_rows(chunk, low, high)
        return self._join(self.form, chunks, low, high)

    def _range_of_refs(self, refs: list[ChunkRef], start: int, end: int) -> Rows:
        """The same for chunks of several leaves, or for more than may stay mapped."""
        (leaf, place), (last_leaf, last_place) = refs[0], refs[-1]
        low = 0 if start <= leaf.starts[place] else self.open_chunk(leaf, place).bounds(start, INT64_MAX)[0]
        high = refs[-1].rows
        if last_leaf.ends[last_place] > end:
            high = self.open_chunk(last_leaf, last_place).bounds(INT64_MIN, end)[1]
        return self.rows_between(refs, low, high)

    def rows_between(self, refs: list[ChunkRef], low: int, high: int) -> Rows:
        """Rows of consecutive chunks, from ``low`` of the first to ``high`` of the last; some, not none.

        They are mapped now if they fit the budget easily, else each as it is used.
        """
        if len(refs) == 1:
            return self.chunk_rows(self.open_chunk(*refs[0]), low, high)
        if len(refs) <= self.most_pinned_chunks:
            return self._join(self.form, [self.open_chunk(*ref) for ref in refs], low, high)
        rows: Rows = rows_class(JoinedRows, self.settings.schema)(self.settings, LazyPieces(self, refs, low, high))
        return rows

    def few_between(self, start: int, end: int, chunks: int, rows: float) -> list[RowsBetween]:
        """The chunks that touch ``start`` to ``end``, in order, mapped, and which of their rows lie between.

        An empty list if they are more than so many, more than one answer may keep or in more than one leaf, or if more
        than so many of their rows would lie between, were they spaced evenly: it takes no longer where they are many.
        """
        index = bisect_left(self.leaf_ends, start)
        if start > end or index == len(self.leaf_ends):
            return []
        if index + 1 < len(self.leaf_ends) and self.leaf_starts[index + 1] <= end:
            return []
        leaf = self.loaded[index] or self.leaf(index)
        starts, ends = leaf.starts, leaf.ends
        place = bisect_left(ends, start)
        stop = bisect_right(starts, end, place)
        if not 0 < stop - place <= chunks or stop - place > self.most_pinned_chunks:
            return []
        first, last = starts[place], ends[stop - 1]
        between = (end if end < last else last) - (start if start > first else first)
        if between * sum(leaf.rows[place:stop]) > rows * (last - first):
            return []
        return [self.window(leaf, each, start, end) for each in range(place, stop)]

    def window(self, leaf: Leaf, place: int, start: int, end: int) -> RowsBetween:
        """A chunk whose span touches ``start`` to ``end``, mapped, and which of its rows lie between."""
        chunk = self.mapped.get(leaf.ids[place]) or self.open_chunk(leaf, place)
        chunk.used = True
        begins_before, ends_behind = leaf.starts[place] < start, leaf.ends[place] > end
        if not (begins_before or ends_behind):
            return chunk, 0, chunk.rows
        # ``start`` and ``end`` may be any int; within the chunk's span they are of int64.
        return chunk, *chunk.bounds(start if begins_before else INT64_MIN, end if ends_behind else INT64_MAX)

    def latest(self, count: int) -> Rows:
        """The last ``count`` rows, ascending; fewer if there are fewer, none for 0."""
        if not count or not self.leaf_ends:
            return self.no_rows
        leaf = self.leaf(len(self.leaf_ends) - 1)
        place, missing = len(leaf.ids), count
        while missing > 0 and place:
            place -= 1
            missing -= leaf.rows[place]
        if (missing > 0 and len(self.leaf_ends) > 1) or len(leaf.ids) - place > self.most_pinned_chunks:
            return self._latest_of_refs(count)
        chunks = [self.open_chunk(leaf, each) for each in range(place, len(leaf.ids))]
        low = max(0, -missing)
        if len(chunks) == 1:
            return self.chunk_rows(chunks[0], low, chunks[0].rows)
        return self._join(self.form, chunks, low, chunks[-1].rows)

    def _latest_of_refs(self, count: int) -> Rows:
        """The same of chunks in several leaves, or of more than may stay mapped."""
        refs: list[ChunkRef] = []
        missing, backwards = count, self.backwards()
        while missing > 0 and (ref := next(backwards, None)):
            refs.append(ref)
            missing -= ref.rows
        return self.rows_between(refs[::-1], max(0, -missing), refs[0].rows)

    def tail(self) -> Tail:
        """The last chunk, mapped, and what else the latest rows need."""
        if not self.leaf_ends:
            return 0, None, self.form
        leaf = self.leaf(len(self.leaf_ends) - 1)
        return leaf.rows[-1], self.open_chunk(leaf, len(leaf.ids) - 1), self.form

    def at(self, ts: int) -> Any:
        """The first row with this ts as a record; None if there is none."""
        index = bisect_left(self.leaf_ends, ts)
        if index == len(self.leaf_ends):
            return None
        leaf = self.loaded[index] or self.leaf(index)
        place = bisect_left(leaf.ends, ts)
        if leaf.starts[place] > ts:
            return None
        chunk = self.mapped.get(leaf.ids[place]) or self.open_chunk(leaf, place)
        return chunk.at(ts)
