"""Timelines: series of equal timestamps, which are aligned and filled together."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.arrays import read_only
from fastk.engine.chunk_index import ChunkRef
from fastk.matrix.same_times import Place
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.matrix.request import Source
    from fastk.matrix.same_times import SameTimes, Times

    Int64 = NDArray[np.int64]


class Piece(NamedTuple):
    """Rows ``low`` to ``high`` of a chunk, of which there are some."""

    place: Place
    low: int
    high: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.high - self.low


class Column(NamedTuple):
    """One column of the matrix: a field, the chunks that hold it, and its place."""

    field: int
    places: list[Place]
    place: int


class Timeline:
    """Some series whose rows have the same times and lie alike in chunks.

    ``pieces[k]`` is the part of chunk k that counts, in the first of the series, and ``members`` are all series with
    their chunks. ``lookback`` is 1 if the first row lies before the start of the matrix, else 0. ``bases`` are the rows
    before each piece, and all rows.
    """

    def __init__(self, pieces: list[Piece], lookback: int) -> None:
        self.pieces = pieces
        self.lookback = lookback
        self.members: list[tuple[Source, list[Place]]] = []
        self.bases = [0, *accumulate(piece.rows for piece in pieces)]

    @property
    def rows(self) -> int:
        """Rows, the one before the start included."""
        return self.bases[-1]

    def ts(self, piece: int) -> Int64:
        """Times of one piece, verified."""
        place, low, high = self.pieces[piece]
        ts: Int64 = place.open().dense_rows(0, low, high)
        return ts

    def first_of(self, piece: int) -> int:
        """First ts of a piece."""
        place, low, _ = self.pieces[piece]
        leaf, index = place.ref
        return int(leaf.starts[index]) if low == 0 else int(self.ts(piece)[0])

    def all_ts(self) -> Int64:
        """All times since the start of the matrix."""
        parts = [self.ts(piece) for piece in range(len(self.pieces))]
        if self.lookback:
            parts[0] = parts[0][1:]
        return read_only(parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, np.int64))

    def span(self) -> tuple[int, int] | None:
        """First and last ts since the start of the matrix; None if there is no row."""
        if self.rows == self.lookback:
            return None
        first = 1 if self.lookback and self.bases[1] == 1 else 0
        begin = int(self.ts(first)[1]) if self.lookback and not first else self.first_of(first)
        place, _, high = self.pieces[-1]
        leaf, index = place.ref
        whole = high == leaf.rows[index]
        return begin, int(leaf.ends[index]) if whole else int(self.ts(len(self.pieces) - 1)[-1])

    def piece_of(self, row: int) -> int:
        """The piece that holds a row."""
        return bisect_right(self.bases, row) - 1

    @cached_property
    def columns(self) -> list[Column]:
        """All columns of all members."""
        return [
            Column(field, places, source.first + place)
            for source, places in self.members
            for place, field in enumerate(source.fields)
        ]


class Window(NamedTuple):
    """From which ts to which the series are read, and whether the last row before it counts too."""

    start: int
    end: int
    looks_back: bool


def timelines_of(sources: list[Source], window: Window, known: SameTimes, threads: int) -> list[Timeline]:
    """Group series by their times. Cost: a microsecond a chunk once they are known to one another."""
    chunks = [_places(source.snapshot, window) for source in sources]
    times = iter(known.of([place for places in chunks for place in places], threads))
    found: dict[Any, Timeline] = {}
    cuts: dict[Times, tuple[int, int]] = {}
    for source, places in zip(sources, chunks, strict=True):
        own = [next(times) for _ in places]
        spans = [_cut(place, each, window, cuts) for place, each in zip(places, own, strict=True)]
        lookback = int(window.looks_back and bool(places) and _starts_before(places[0], window.start))
        kept = [place for place, span in zip(places, spans, strict=True) if span[0] < span[1]]
        alike = tuple((each, span) for each, span in zip(own, spans, strict=True) if span[0] < span[1])
        timeline = found.get((alike, lookback))
        if timeline is None:
            pieces = [Piece(place, *span) for place, (_, span) in zip(kept, alike, strict=True)]
            timeline = found[alike, lookback] = Timeline(pieces, lookback)
        timeline.members.append((source, kept))
    return list(found.values())


def _places(snapshot: Snapshot, window: Window) -> list[Place]:
    """The chunks that hold rows of the window, after one that holds the row before it if that counts."""
    refs = snapshot.overlapping(window.start, window.end)
    if window.looks_back and not (refs and _starts_before(Place(snapshot, refs[0]), window.start)):
        refs = [*_last_before(snapshot, window.start), *refs]
    return [Place(snapshot, ref) for ref in refs]


def _last_before(snapshot: Snapshot, start: int) -> list[ChunkRef]:
    """The last chunk that begins before a ts, if there is one."""
    index = bisect_left(snapshot.leaf_starts, start) - 1
    if index < 0:
        return []
    leaf = snapshot.leaf(index)
    return [ChunkRef((leaf, bisect_left(leaf.starts, start) - 1))]


def _starts_before(place: Place, start: int) -> bool:
    leaf, index = place.ref
    return bool(leaf.starts[index] < start)


def _cut(place: Place, times: Times, window: Window, cuts: dict[Times, tuple[int, int]]) -> tuple[int, int]:
    """Which rows of a chunk lie in the window, the one before it included if it counts."""
    cut = cuts.get(times)
    if cut is None:
        leaf, index = place.ref
        low, high = 0, leaf.rows[index]
        if leaf.starts[index] < window.start:
            low = place.open().bounds(window.start, INT64_MAX)[0] - window.looks_back
        if leaf.ends[index] > window.end:
            high = place.open().bounds(INT64_MIN, window.end)[1]
        cut = cuts[times] = (low, high)
    return cut
