"""Grids made from the times of the series: beside the grid a window of time, or one series, is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.errors import InvalidInput
from fastk.matrix import memory
from fastk.times import format_ts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastk.matrix.timeline import Timeline

    Int64 = NDArray[np.int64]

WAY_OUT = (
    "the times of the rows are held in memory, also of a matrix that goes to disk: take a shorter range or fewer rows"
)
# About so many rows of all series together are united at a time; each series adds up to a sample more.
WINDOW_ROWS = 1 << 19
SAMPLE_ROWS = 1 << 10
_SAVED_A_ROW = 2e-8  # seconds, by the compiled kernels


def named_grid(name: str, timelines: list[Timeline]) -> Int64:
    """The times that the series have: those of all, those that they share, or those of the first."""
    kernels.load_when_worth(_SAVED_A_ROW * sum(timeline.rows for timeline in timelines))
    if name == "intersection":
        return _intersection(timelines)
    return _own(timelines[0]) if name == "first" or len(timelines) == 1 else _union(timelines)


def _own(timeline: Timeline) -> Int64:
    memory.check(timeline.rows * 8, f"a grid of {timeline.rows:,} times", WAY_OUT)
    return _unique(timeline.all_ts())


# What any of them has


def _union(timelines: list[Timeline]) -> Int64:
    """Window after window, so that no more is held than the grid and the rows of one window."""
    free, cursors = memory.free_memory(), [_Cursor(timeline) for timeline in timelines]
    grid = np.empty(0, np.int64)
    for end in [*_window_ends(timelines), None]:
        part = _united([ts for cursor in cursors for ts in cursor.upto(end)])
        known, rows = grid.size, grid.size + part.size
        memory.check(rows * 8, f"a grid of more than {rows:,} times", WAY_OUT, free)
        grid.resize(rows, refcheck=False)  # in its place, as far as the system can
        grid[known:] = part
    return read_only(grid)


def _window_ends(timelines: list[Timeline]) -> list[int]:
    """Times that part the rows into windows of about equal size, seen from every so many rows of each series."""
    if sum(timeline.rows for timeline in timelines) <= WINDOW_ROWS:
        return []
    samples = np.concatenate(
        [timeline.ts(piece)[::SAMPLE_ROWS] for timeline in timelines for piece in range(len(timeline.pieces))]
    )
    samples.sort()
    step = max(1, WINDOW_ROWS // SAMPLE_ROWS)
    return np.unique(samples[step::step]).tolist()  # type: ignore[no-any-return]


class _Cursor:
    """How far the times of a timeline have been taken."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._piece = 0
        self._row = timeline.lookback

    def upto(self, end: int | None) -> Iterator[Int64]:
        """The next times before ``end``, or all that are left."""
        timeline = self._timeline
        while self._piece < len(timeline.pieces) and (end is None or timeline.first_of(self._piece) < end):
            ts = timeline.ts(self._piece)
            first, stop = self._row, ts.size if end is None else int(ts.searchsorted(end))
            if first < stop:
                yield read_only(ts[first:stop])
            if stop < ts.size:
                self._row = max(first, stop)
                return
            self._piece, self._row = self._piece + 1, 0


def _united(columns: list[Int64]) -> Int64:
    if len(columns) < 2:
        return _unique(columns[0]) if columns else np.empty(0, np.int64)
    while len(columns) > 1:  # in pairs, so that no ts is copied more often than there are doublings
        pairs = [_pair(one, other) for one, other in zip(columns[::2], columns[1::2], strict=False)]
        columns = pairs + columns[len(pairs) * 2 :]
    return columns[0]


def _pair(one: Int64, other: Int64) -> Int64:
    out = np.empty(one.size + other.size, np.int64)
    return _shrunk(out, kernels.active.unite(one, other, out))


def _unique(ts: Int64) -> Int64:
    return ts if kernels.active.first_disorder(ts, True) < 0 else _pair(ts, ts[:0])


# What all of them have


def _intersection(timelines: list[Timeline]) -> Int64:
    """From the shortest series on, which bounds the grid."""
    first, *others = sorted(timelines, key=lambda timeline: timeline.rows)
    grid = _own(first)
    for timeline in others:
        grid = _shared(grid, timeline)
    if not grid.size:
        raise InvalidInput(_nothing_shared(timelines))
    return grid


def _shared(grid: Int64, timeline: Timeline) -> Int64:
    """The times of a grid that a timeline has, too, piece by piece."""
    out, count, low = np.empty(grid.size, np.int64), 0, 0
    for piece in range(len(timeline.pieces)):
        ts = read_only(timeline.ts(piece)[0 if piece else timeline.lookback :])
        high = int(grid.searchsorted(ts[-1], "right")) if ts.size else low
        count += kernels.active.intersect(grid[low:high], ts, out[count:])
        low = high  # chunks may share a time, which then counts once
    return _shrunk(out, count)


def _shrunk(out: Int64, count: int) -> Int64:
    if count < out.size:
        out.resize(count, refcheck=False)  # gives the rest of the memory back
    return read_only(out)


def _nothing_shared(timelines: list[Timeline]) -> str:
    lines = []
    for timeline in timelines[:4]:
        source, _ = timeline.members[0]
        unit, span = source.snapshot.settings.time_unit, timeline.span()
        text = "no rows" if span is None else " to ".join(format_ts(ts, unit) for ts in span)
        lines.append(f"{source.key}: {text}")
    return f"the series share no time ({'; '.join(lines)}): take grid='union', or series and a range that overlap"
