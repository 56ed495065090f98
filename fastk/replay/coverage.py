"""Which of the times that are expected of a series have rows, and which have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastk.replay.sequences import checked_limit
from fastk.replay.stretch import Stretch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.replay.slots import Slots

    Int64 = NDArray[np.int64]

_BLOCK_ROWS = 32_768


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Expected times, present or missing. Times are int64 in the series' unit.

    Interval i goes from the expected time ``starts[i]`` to ``ends[i]``, both present as all between them are. Hole i
    goes from ``hole_starts[i]`` to ``hole_ends[i]``, both missing as all ``hole_counts[i]`` are. The arrays hold the
    first of each, up to the limit; ``interval_count`` and ``hole_count`` are the true totals. ``unexpected_count`` is
    how many rows stand at no expected time.
    """

    starts: Int64
    ends: Int64
    hole_starts: Int64
    hole_ends: Int64
    hole_counts: Int64
    interval_count: int
    hole_count: int
    expected_count: int
    present_count: int
    unexpected_count: int

    @property
    def missing_count(self) -> int:
        """How many expected times have no row."""
        return self.expected_count - self.present_count

    @property
    def is_complete(self) -> bool:
        """Whether every expected time has a row."""
        return self.present_count == self.expected_count

    def __repr__(self) -> str:
        return (
            f"<coverage: {self.present_count:,} of {self.expected_count:,} expected times in "
            f"{self.interval_count:,} intervals, {self.hole_count:,} holes, {self.unexpected_count:,} unexpected rows>"
        )


class _Runs:
    """Runs of filled slots, found in ascending order; the first ones are kept."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._starts: list[Int64] = []
        self._ends: list[Int64] = []
        self._last = -2  # the slot before the next one; no slot goes on from here
        self.first = -1
        self.count = self.present = 0

    def add(self, starts: Int64, ends: Int64) -> None:
        """Go on with later runs; one may begin where the one before ends, or right behind."""
        if not starts.size:
            return
        before = np.append(self._last, ends[:-1])
        self.present += int((ends - starts + 1).sum()) - int(np.count_nonzero(starts == before))
        breaks = np.flatnonzero(starts > before + 1)
        if not self.count:
            self.first = int(starts[0])
        if self.count <= self._limit:  # one run more than the limit is kept: a hole may lie before it
            self._starts.append(starts[breaks])
            self._ends.append(before[breaks if self.count else breaks[1:]])
        self.count += breaks.size
        self._last = int(ends[-1])

    def coverage(self, slots: Slots, unexpected: int) -> Coverage:
        """What the runs say of all slots."""
        starts, ends = np.empty((2, 0), np.int64)
        if self.count:
            starts, ends = np.concatenate(self._starts), np.append(np.concatenate(self._ends), self._last)
        starts, ends = starts[: self._limit + 1], ends[: self._limit + 1]
        hole_starts, hole_ends = np.append(0, ends + 1), np.append(starts - 1, slots.count - 1)
        # Where runs were left out the last of these is no hole, but then there are more than the limit before it.
        real = np.flatnonzero(hole_starts <= hole_ends)[: self._limit]
        hole_starts, hole_ends = hole_starts[real], hole_ends[real]
        starts, ends = starts[: self._limit], ends[: self._limit]
        return Coverage(
            slots.ts(starts),
            slots.ts(ends),
            slots.ts(hole_starts),
            slots.ts(hole_ends),
            hole_ends - hole_starts + 1,
            interval_count=self.count,
            hole_count=self._hole_count(slots.count),
            expected_count=slots.count,
            present_count=self.present,
            unexpected_count=unexpected,
        )

    def _hole_count(self, slots: int) -> int:
        if not self.count:
            return int(slots > 0)
        return self.count - 1 + (self.first > 0) + (self._last < slots - 1)


def coverage(snapshot: Snapshot, slots: Slots, limit: int) -> Coverage:
    """Which slots have rows. Cost: one pass over the ts column, a few over blocks of it in cache.

    Small chunks share a block: to join a day of bars costs a twentieth of what a block of its own did.
    """
    runs, unexpected = _Runs(checked_limit(limit)), 0
    stretch = Stretch(snapshot, *slots.window)
    for first in range(stretch.first, stretch.stop, _BLOCK_ROWS):
        rows = stretch.rows(first, min(first + _BLOCK_ROWS, stretch.stop))
        filled = slots.fill(rows["ts"])
        unexpected += filled.unexpected
        runs.add(filled.starts, filled.ends)
    return runs.coverage(slots, unexpected)
