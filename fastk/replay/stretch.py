"""The rows of a snapshot between two times, named by their places in the series: 0 is its first row."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot


class Stretch:
    """Rows from ``first`` to before ``stop``, in stored order; those of equal ts in the order of their commits.

    Only the first and the last chunk are searched, and a chunk is mapped while it is used, however many there are.
    """

    __slots__ = ("_borders", "_refs", "first", "snapshot", "stop")

    def __init__(self, snapshot: Snapshot, start: int, end: int) -> None:
        self.snapshot = snapshot
        self._refs = snapshot.overlapping(start, end) if start <= end else []
        before = snapshot.position_of(self._refs[0]) if self._refs else 0
        # Places of the first row of each chunk, and behind the last row of all.
        self._borders = list(accumulate((ref.rows for ref in self._refs), initial=before))
        self.first = self.stop = before
        if self._refs:
            self._narrow(start, end)

    def _narrow(self, start: int, end: int) -> None:
        (leaf, place), (last_leaf, last_place) = self._refs[0], self._refs[-1]
        if leaf.starts[place] < start:
            self.first += self.snapshot.open_chunk(leaf, place).bounds(start, INT64_MAX)[0]
        self.stop = self._borders[-1]
        if last_leaf.ends[last_place] > end:
            found = self.snapshot.open_chunk(last_leaf, last_place).bounds(INT64_MIN, end)[1]
            self.stop = max(self.first, self._borders[-2] + found)

    def __len__(self) -> int:
        return self.stop - self.first

    @property
    def chunk_count(self) -> int:
        """How many chunks hold rows of the stretch."""
        if self.first == self.stop:
            return 0
        return self._chunk_behind(self.stop) - self._chunk_of(self.first)

    def rows(self, low: int, high: int) -> Rows:
        """The rows from one place to before another; zero-copy where one chunk holds them."""
        if low >= high:
            return self.snapshot.no_rows
        first, stop = self._chunk_of(low), self._chunk_behind(high)
        borders = self._borders
        return self.snapshot.rows_between(self._refs[first:stop], low - borders[first], high - borders[stop - 1])

    def pieces(self, low: int, high: int) -> Iterator[tuple[MappedChunk, int, int]]:
        """The same as (chunk, its first row, one past its last row), mapped one after the other; none is empty."""
        if low >= high:
            return
        for place in range(self._chunk_of(low), self._chunk_behind(high)):
            begin, end = self._borders[place], self._borders[place + 1]
            yield self.snapshot.open_chunk(*self._refs[place]), max(low, begin) - begin, min(high, end) - begin

    def _chunk_of(self, place: int) -> int:
        """The chunk that holds a row."""
        return bisect_right(self._borders, place) - 1

    def _chunk_behind(self, place: int) -> int:
        """The chunk after the one that holds the row before a place."""
        return bisect_left(self._borders, place)
