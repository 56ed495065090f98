"""Which chunks a committed state has, found by binary search and never changed.

Chunks stand in *leaves*: runs in order of time, loaded on first use and shared by all snapshots that name them. The
last leaf is the inline part of the manifest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import takewhile
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.arrays import read_only
from fastk.format import tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastk.format.manifest import Manifest
    from fastk.format.tables import LoadTable


# A list of so many ints is as soon made as a copy that a view needs; of a thousand it takes 15 us more.
_LISTED_CHUNKS = 64


class Leaf:
    """A run of chunks. ``starts``, ``ends``, ``rows`` and ``ids`` are sequences of ints.

    In a list a look takes half of the time that it takes in a view, where it makes an int. ``ends`` is one always: each
    read searches it. It has no length of its own: reads ask whether a leaf is there, and that would call ``__len__``
    each time.
    """

    __slots__ = ("ends", "ids", "rows", "starts", "table")

    def __init__(self, table: tables.Table) -> None:
        self.table = table
        self.ends: list[int] = table["end_ts"].tolist()
        self.starts, self.rows, self.ids = (_ints(table[name]) for name in ("start_ts", "rows", "chunk_id"))


def _ints(column: NDArray[Any]) -> list[int] | memoryview:
    return column.tolist() if column.size <= _LISTED_CHUNKS else np.ascontiguousarray(column).data


class ChunkRef(tuple[Leaf, int]):
    """Names one chunk of a snapshot: its leaf and its place there."""

    __slots__ = ()

    @property
    def item(self) -> np.void:
        """What the manifest knows of the chunk."""
        item: np.void = self[0].table[self[1]]
        return item

    @property
    def table(self) -> tables.Table:
        """The same as a table of one item."""
        return self[0].table[self[1] : self[1] + 1]

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self[0].rows[self[1]]

    @property
    def chunk_id(self) -> int:
        """Its identity."""
        return self[0].ids[self[1]]


class Run(NamedTuple):
    """Consecutive chunks of one leaf: the places from ``low`` to before ``high``, of which there are some."""

    leaf: Leaf
    low: int
    high: int

    @property
    def highest_generation(self) -> int:
        """The highest generation among the chunks."""
        return int(np.maximum.reduce(self.leaf.table["generation"][self.low : self.high]))


class ChunkIndex:
    """The chunks of one manifest.

    ``leaf_starts`` and ``leaf_ends`` are the first and last ts of each leaf that has chunks; ``loaded`` are the leaves
    in use so far, and ``known`` those that snapshots of this series share.
    """

    def __init__(self, manifest: Manifest, load_table: LoadTable, known: dict[int, Leaf]) -> None:
        self.manifest = manifest
        self.settings = manifest.settings
        self.load_table = load_table
        self._known = known
        self._inline: dict[int, Leaf] = {}  # by its place, made at the first use: attaching a series does without
        leaves, inline = manifest.leaves, manifest.chunks
        self.loaded: list[Leaf | None] = [None] * (leaves.size + 1)
        self.leaf_starts: list[int] = leaves["start_ts"].tolist() if leaves.size else []
        self.leaf_ends: list[int] = leaves["end_ts"].tolist() if leaves.size else []
        if inline.size:
            self.leaf_starts.append(inline["start_ts"].item(0))
            self.leaf_ends.append(inline["end_ts"].item(-1))

    def leaf(self, index: int) -> Leaf:
        """The leaf at a place, loaded if need be."""
        return self.loaded[index] or self._load_leaf(index)

    def _load_leaf(self, index: int) -> Leaf:
        if index == self.manifest.leaves.size:  # threads that race get the same
            leaf = self._inline.setdefault(index, Leaf(self.manifest.chunks))
        else:
            leaf = self._shared_leaf(self.manifest.leaves[index])
        self.loaded[index] = leaf
        return leaf

    def _shared_leaf(self, item: np.void) -> Leaf:
        table_id = int(item["table_id"])
        known = self._known.get(table_id)
        return known if known is not None else self._known.setdefault(table_id, Leaf(self.load_table(item)))

    def leaves(self) -> Iterator[Leaf]:
        """All leaves in order of time."""
        return (self.leaf(index) for index in range(len(self.leaf_ends)))

    def overlapping(self, start: int, end: int) -> list[ChunkRef]:
        """The chunks whose spans touch ``start`` to ``end``, in order."""
        found: list[ChunkRef] = []
        for index in range(bisect_left(self.leaf_ends, start), len(self.leaf_ends)):
            if self.leaf_starts[index] > end:
                break
            leaf = self.leaf(index)
            place = bisect_left(leaf.ends, start)
            found += [ChunkRef((leaf, each)) for each in range(place, bisect_right(leaf.starts, end, place))]
        return found

    def gone_since(self, before: ChunkIndex) -> list[int]:
        """The chunks in use of an earlier state that this one does not name. Linear in the leaves that changed."""
        ours, theirs = (set(state.manifest.leaves["table_id"].tolist()) for state in (self, before))
        left = [leaf.ids for leaf in before._changed(ours, load=False)]
        named = {chunk_id for leaf in self._changed(theirs, load=True) for chunk_id in leaf.ids}
        return [chunk_id for ids in left for chunk_id in ids if chunk_id not in named]

    def _changed(self, known: set[int], *, load: bool) -> list[Leaf]:
        """The leaves that are not among known ones, the last one included; those not loaded are loaded or left out."""
        tables_ = self.manifest.leaves["table_id"].tolist()
        changed = [index for index, table_id in enumerate(tables_) if table_id not in known]
        every = [self.leaf(index) if load else self.loaded[index] for index in (*changed, len(tables_))]
        return [leaf for leaf in every if leaf is not None]

    def neighbours(self, first: ChunkRef, last: ChunkRef) -> tuple[float, float]:
        """The last ts before some chunks and the first one behind them; infinite where there is no other chunk."""
        (leaf, place), (last_leaf, last_place) = first, last
        index, last_index = self.loaded.index(leaf), self.loaded.index(last_leaf)
        before = leaf.ends[place - 1] if place else self.leaf_ends[index - 1] if index else -inf
        if last_place + 1 < len(last_leaf.ids):
            return before, last_leaf.starts[last_place + 1]
        return before, self.leaf_starts[last_index + 1] if last_index + 1 < len(self.leaf_starts) else inf

    def runs(self, start: int, end: int) -> list[Run]:
        """The chunks that lie within ``start`` to ``end``, in order; none lies over these borders."""
        runs = []
        for index in range(bisect_left(self.leaf_ends, start), bisect_right(self.leaf_starts, end)):
            leaf = self.leaf(index)
            run = Run(leaf, bisect_left(leaf.ends, start), bisect_right(leaf.starts, end))
            if run.low < run.high:
                runs.append(run)
        return runs

    def position_of(self, ref: ChunkRef) -> int:
        """How many rows of the series come before a chunk."""
        leaf, place = ref
        before = takewhile(lambda other: other is not leaf, self.leaves())
        return sum(int(other.table["rows"].sum()) for other in before) + int(leaf.table["rows"][:place].sum())

    def backwards(self) -> Iterator[ChunkRef]:
        """All chunks, latest first."""
        for index in reversed(range(len(self.leaf_ends))):
            leaf = self.leaf(index)
            for place in reversed(range(len(leaf.ids))):
                yield ChunkRef((leaf, place))

    @property
    def rows(self) -> int:
        """Rows in all chunks."""
        return int(self.manifest.leaves["rows"].sum()) + int(self.manifest.chunks["rows"].sum())

    @property
    def chunk_count(self) -> int:
        """Number of chunks."""
        return int(self.manifest.leaves["chunks"].sum()) + self.manifest.chunks.size

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last stored ts; None while there are no rows."""
        return (self.leaf_starts[0], self.leaf_ends[-1]) if self.leaf_ends else None

    @cached_property
    def table(self) -> tables.Table:
        """All chunks as one table. Cost: one copy of 64 bytes a chunk, once."""
        return tables.joined(tables.NO_CHUNKS, *(leaf.table for leaf in self.leaves()))

    @cached_property
    def row_borders(self) -> NDArray[np.int64]:
        """Where the chunks of :attr:`table` meet: chunk i has the rows of the series from border i to border i + 1."""
        return np.append(0, np.cumsum(self.table["rows"].astype(np.int64)))

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Last ts of each chunk of :attr:`table`, contiguous and read-only."""
        return read_only(self.table["end_ts"])

    @cached_property
    def refs(self) -> list[ChunkRef]:
        """A reference to each chunk of :attr:`table`."""
        return [ChunkRef((leaf, place)) for leaf in self.leaves() for place in range(len(leaf.ids))]
