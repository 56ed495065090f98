"""Batch reads: many timestamps or many ranges in one call, without a Python step for each of them.

Keys are grouped by chunk, searched per chunk by one kernel call, and columns are gathered the same way when they are
first taken; where few keys come to a chunk, one by one. A batch verifies the columns of the chunks that it touches
whole.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.engine.mapped import NO_TABLE
from fastk.engine.rows import Rows, filled_rows
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot

    Int64 = NDArray[np.int64]
    Span = tuple[int, int, int]  # of items that one chunk owns: its number, the first of them, and behind the last
    Search = Callable[[Int64, Int64, Int64], None]  # lower or upper bounds

_SAVED_A_KEY, _SAVED_A_RANGE = 2e-7, 1.5e-6  # seconds, by the compiled kernels
_SMALL_GROUP = 3  # items; of so many a chunk, both ways take the same


class Matches(NamedTuple):
    """Answer to a batch of points: ``found`` says which were there, ``rows`` are those, in the order asked."""

    rows: Rows
    found: NDArray[np.bool_]


class RangesResult:
    """Answer to a batch of ranges: ``result[i]`` are the rows of range i.

    ``rows`` are the rows of all ranges one after the other (``rows.column(name)`` is gathered once), and
    ``rows[offsets[i]:offsets[i + 1]]`` belong to range i.
    """

    __slots__ = ("offsets", "rows")

    def __init__(self, rows: Rows, offsets: Int64) -> None:
        self.rows = rows
        self.offsets = offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Rows:
        if not -len(self) <= index < len(self):
            raise IndexError(f"range {index} of {len(self):,}")
        index %= len(self)
        rows: Rows = self.rows[int(self.offsets[index]) : int(self.offsets[index + 1])]
        return rows

    def __iter__(self) -> Iterator[Rows]:
        return (self[index] for index in range(len(self)))


def at_many(snapshot: Snapshot, ts: Int64) -> Matches:
    """The first row of each ts. Cost: one binary search a key, plus a microsecond or two a chunk touched."""
    kernels.load_when_worth(_SAVED_A_KEY * ts.size)
    owners = _owners(snapshot, ts, kernels.active.lower_bounds)
    groups = _Groups(owners)
    if groups.are_small and groups.count <= snapshot.most_pinned_chunks:
        return _few_points(snapshot, ts, owners)
    keys, rows = groups.sort(ts), np.full(ts.size, -1)
    for chunk, start, stop in _mapped(snapshot, groups.spans):
        kernels.active.find_many(_column(chunk), keys[start:stop], rows[start:stop])
    found = rows >= 0
    asked, kept = groups.unsort(found), np.flatnonzero(found)
    targets = groups.sort(np.cumsum(asked))[kept] - 1
    source = _Gather(snapshot, groups.spans_of(kept), rows[kept], targets)
    return Matches(filled_rows(snapshot.settings, source), asked)


def _few_points(snapshot: Snapshot, ts: Int64, owners: Int64) -> Matches:
    """The same one by one, by the chunk of each: for few points a chunk.

    ``open_chunk`` is written out here and for ranges, as in a single read: else both took as long as a loop of these.
    """
    find, mapped, refs = kernels.active.find, snapshot.mapped, snapshot.refs
    pieces, found = [], np.zeros(ts.size, np.bool_)
    for place, (key, owner) in enumerate(zip(ts.tolist(), owners.tolist(), strict=True)):
        if owner == len(refs):
            continue
        leaf, position = refs[owner]
        chunk = mapped.get(leaf.ids[position]) or snapshot.open_chunk(leaf, position)
        chunk.used = True
        row = find(_column(chunk), key, NO_TABLE)
        if row >= 0:
            found[place] = True
            pieces.append((chunk, row, row + 1))
    return Matches(filled_rows(snapshot.settings, _Pieces(pieces, len(pieces))), found)


def ranges(snapshot: Snapshot, starts: Int64, ends: Int64) -> RangesResult:
    """The rows of many ranges, inclusive at both ends. Cost: two binary searches a range, then one copy a column."""
    if starts.shape != ends.shape:
        raise InvalidInput(f"ranges need as many starts as ends, not {starts.size:,} and {ends.size:,}")
    kernels.load_when_worth(_SAVED_A_RANGE * starts.size)
    lower, upper = kernels.active.lower_bounds, kernels.active.upper_bounds
    first, last = _owners(snapshot, starts, lower), _owners(snapshot, ends, upper)
    groups = _Groups(first)
    if groups.are_small:
        behind = np.minimum(last + 1, len(snapshot.refs))
        further = int(np.maximum(behind - first - 1, 0).sum())  # chunks that ranges touch behind their first
        if groups.count + further <= snapshot.most_pinned_chunks:
            return _few_ranges(snapshot, starts, ends, first, behind)
    low = _positions(snapshot, starts, first, groups, lower)
    high = np.maximum(_positions(snapshot, ends, last, _Groups(last), upper), low)
    offsets = np.zeros(low.size + 1, np.int64)
    np.cumsum(high - low, out=offsets[1:])
    return RangesResult(filled_rows(snapshot.settings, _Ragged(snapshot, low, high, offsets)), offsets)


def _few_ranges(snapshot: Snapshot, starts: Int64, ends: Int64, first: Int64, behind: Int64) -> RangesResult:
    """The same one by one, by the first chunk of each and the one behind its last: for few ranges a chunk."""
    bounds, mapped, refs = kernels.active.bounds, snapshot.mapped, snapshot.refs
    pieces, rows, offsets = [], 0, [0]
    for start, end, owner, stop in zip(starts.tolist(), ends.tolist(), first.tolist(), behind.tolist(), strict=True):
        for leaf, position in refs[owner:stop]:
            chunk = mapped.get(leaf.ids[position]) or snapshot.open_chunk(leaf, position)
            chunk.used = True
            low, high = 0, chunk.rows
            if start > leaf.starts[position] or end < leaf.ends[position]:
                low, high = bounds(_column(chunk), start, end)
            if low < high:
                pieces.append((chunk, low, high))
                rows += high - low
        offsets.append(rows)
    return RangesResult(filled_rows(snapshot.settings, _Pieces(pieces, rows)), np.array(offsets, np.int64))


def _owners(snapshot: Snapshot, keys: Int64, search: Search) -> Int64:
    """For each key the chunk in which its bound lies; the number of chunks where it lies behind all rows."""
    owners = np.empty(keys.size, np.int64)
    search(snapshot.ends, read_only(keys), owners)
    return owners


def _positions(snapshot: Snapshot, keys: Int64, owners: Int64, groups: _Groups, search: Search) -> Int64:
    """For each key its bound as a row number of the whole series."""
    sorted_keys, found = groups.sort(keys), np.zeros(keys.size, np.int64)
    for chunk, start, stop in _mapped(snapshot, groups.spans):
        search(_column(chunk), sorted_keys[start:stop], found[start:stop])
    positions = groups.unsort(found)
    positions += snapshot.row_borders[owners]
    return positions


def _column(chunk: MappedChunk, index: int = 0) -> NDArray[Any]:
    """A whole column for kernels, verified."""
    column = chunk.dense[index]
    return chunk.ensure_dense(index, 0, chunk.rows) if column is None else column


class _Groups:
    """Items grouped by chunk: a stable order in which items of one chunk stand together, as ``spans`` tells."""

    def __init__(self, owners: Int64) -> None:
        ascending = owners.size < 2 or kernels.active.first_disorder(read_only(owners), False) < 0
        self._order = None if ascending else _stable_order(owners, int(owners.max()) + 1)
        owners = self.sort(owners)
        cuts = (owners[1:] != owners[:-1]).nonzero()[0] + 1  # np.diff takes twice as long
        self._borders = [0, *cuts.tolist(), owners.size] if owners.size else []
        self._owners = owners

    @property
    def count(self) -> int:
        """How many there are."""
        return max(0, len(self._borders) - 1)

    @property
    def are_small(self) -> bool:
        """Whether so few items come to a chunk that Python takes them as soon one by one as a kernel together."""
        return self._owners.size < _SMALL_GROUP * self.count

    @cached_property
    def spans(self) -> list[Span]:
        """The groups, in ascending order of their chunks."""
        starts, stops = self._borders[:-1], self._borders[1:]
        return list(zip(self._owners[starts].tolist(), starts, stops, strict=True))

    def sort(self, items: NDArray[Any]) -> NDArray[Any]:
        """Items in grouped order, read-only."""
        return read_only(items if self._order is None else items[self._order])

    def unsort(self, items: NDArray[Any]) -> NDArray[Any]:
        """Items in the order asked."""
        if self._order is None:
            return items
        asked = np.empty_like(items)
        asked[self._order] = items
        return asked

    def spans_of(self, places: Int64) -> list[Span]:
        """The spans of some items alone, given by their places in grouped order, ascending."""
        behind = places.searchsorted([stop for _, _, stop in self.spans]).tolist()
        spans = zip(self.spans, [0, *behind], behind, strict=False)
        return [(owner, start, stop) for (owner, _, _), start, stop in spans if start < stop]


def _mapped(snapshot: Snapshot, spans: Iterable[Span]) -> Iterator[tuple[MappedChunk, int, int]]:
    """Spans with the mapped chunk itself, without the one that lies behind all chunks."""
    refs = snapshot.refs
    return ((snapshot.open_chunk(*refs[owner]), start, stop) for owner, start, stop in spans if owner < len(refs))


def _opener(snapshot: Snapshot, spans: list[Span]) -> Callable[[], Iterable[tuple[MappedChunk, int, int]]]:
    """The same again and again: of chunks that stay mapped if they fit the budget easily, else opened each time."""
    chunks = [*_mapped(snapshot, spans)] if len(spans) <= snapshot.most_pinned_chunks else None
    return lambda: _mapped(snapshot, spans) if chunks is None else chunks


def _stable_order(owners: Int64, groups: int) -> Int64:
    order = np.empty(owners.size, np.int64)
    kernels.active.group_order(owners, groups, order)
    return order


class _Gather:
    """Single rows of chunks, each with its place in the result."""

    def __init__(self, snapshot: Snapshot, spans: list[Span], rows: Int64, targets: Int64) -> None:
        self.rows = int(rows.size)
        self._chunks = _opener(snapshot, spans)
        self._rows = read_only(rows)
        self._targets = read_only(targets)

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Gather one column."""
        for chunk, start, stop in self._chunks():
            kernels.active.take(_column(chunk, index), self._rows[start:stop], self._targets[start:stop], out)


class _Ragged:
    """Ranges of rows of the whole series, cut at the borders of chunks."""

    def __init__(self, snapshot: Snapshot, low: Int64, high: Int64, offsets: Int64) -> None:
        self.rows = int(offsets[-1])
        groups, self._low, self._high, self._targets = _cut_at_chunks(snapshot.row_borders, low, high, offsets)
        self._chunks = _opener(snapshot, groups.spans)

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Copy one column."""
        for chunk, start, stop in self._chunks():
            part = slice(start, stop)
            column = _column(chunk, index)
            kernels.active.copy_ranges(column, self._low[part], self._high[part], self._targets[part], out)


class _Pieces:
    """Runs of rows of chunks, one after the other."""

    def __init__(self, pieces: list[tuple[MappedChunk, int, int]], rows: int) -> None:
        self.rows = rows
        self._pieces = pieces

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Copy one column."""
        parts = []
        for chunk, low, high in self._pieces:
            column = chunk.dense[index]  # _column written out
            if column is None:
                column = chunk.ensure_dense(index, 0, chunk.rows)
            parts.append(column[low:high])
        if parts:
            np.concatenate(parts, out=out)


def _cut_at_chunks(borders: Int64, low: Int64, high: Int64, offsets: Int64) -> tuple[_Groups, Int64, Int64, Int64]:
    """Every range as pieces within one chunk: groups, first and last row within the chunk, place in the result."""
    full = (high > low).nonzero()[0]
    low, high, offsets = low[full], high[full], offsets[full]
    first, last = borders.searchsorted(low, "right") - 1, borders.searchsorted(high) - 1
    pieces = last - first + 1
    owner_range = np.repeat(np.arange(full.size), pieces)
    within = np.arange(owner_range.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    owners = first[owner_range] + within
    bases = borders[owners]
    piece_low = np.maximum(low[owner_range], bases)
    piece_high = np.minimum(high[owner_range], borders[owners + 1])
    targets = offsets[owner_range] + (piece_low - low[owner_range])
    groups = _Groups(owners)
    return groups, groups.sort(piece_low - bases), groups.sort(piece_high - bases), groups.sort(targets)
