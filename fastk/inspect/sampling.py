"""A series in few points that lose no extreme: first, least, greatest and last value of each stretch of time.

Where a stretch is as wide as a pixel, a line through these four looks as one through all rows does (the aggregation
that Jugel and others call M4, VLDB 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidInput
from fastk.inspect.expected import grid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.store.series import Series

    Float64 = NDArray[np.float64]

DEFAULT_BUCKETS = 400
_BATCH_ROWS = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One entry for each stretch of time that has rows, in order; values in natural units, as float64.

    Stretch i begins at ``starts[i]`` (int64, in the series' unit) and is ``width`` long, which is a multiple of the
    timeframe where there is one. ``rows`` counts. ``first``, ``least``, ``greatest`` and ``last`` are of the columns
    that were asked for; NaN is left out of ``least`` and ``greatest``, and all of a stretch of NaN is NaN.
    """

    width: int
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    first: Float64
    least: Float64
    greatest: Float64
    last: Float64


def sample(series: Series, columns: Sequence[str], buckets: int = DEFAULT_BUCKETS) -> Sample:
    """A whole series in at most ``buckets`` stretches of equal width.

    ``columns`` name those that first, least, greatest and last are taken from: ("open", "low", "high", "close") makes
    exact wider bars; one name four times samples one column. Cost: one pass over these columns, in batches.
    """
    if len(columns) != 4:
        raise InvalidInput(f"columns are four: of the first, least, greatest and last value, not {columns!r}")
    if series.span is None:
        return _empty()
    first_ts, last_ts = series.span
    grid = grid_of(series.settings, series.span)
    unit = grid.step if grid else 1
    width = unit * max(1, -((last_ts - first_ts + unit) // (-buckets * unit)))
    tally = _Tally(first_ts, width, (last_ts - first_ts) // width + 1)
    for batch in series.replay(batch_rows=_BATCH_ROWS):
        tally.add(batch, columns)
    return tally.sample()


def _empty() -> Sample:
    nothing = np.empty(0, np.float64)
    return Sample(1, np.empty(0, np.int64), np.empty(0, np.int64), nothing, nothing, nothing, nothing)


class _Tally:
    """What the stretches hold so far."""

    def __init__(self, start: int, width: int, count: int) -> None:
        self._start, self._width = start, width
        self._rows = np.zeros(count, np.int64)
        self._first, self._least, self._greatest, self._last = np.full((4, count), np.nan)

    def add(self, batch: Rows, columns: Sequence[str]) -> None:
        """Go on with later rows; a stretch may go on from the batch before."""
        # The difference of two int64 fits uint64, in which it wraps to the right number.
        since = (batch.ts - self._start).view(np.uint64)
        buckets = (since // np.uint64(self._width)).astype(np.int64)
        heads = np.append(0, np.flatnonzero(np.diff(buckets)) + 1)
        filled = buckets[heads]
        first, least, greatest, last = (batch.decoded(name).astype(np.float64, copy=False) for name in columns)
        is_new = self._rows[filled] == 0
        self._rows[filled] += np.diff(heads, append=buckets.size)
        self._first[filled[is_new]] = first[heads[is_new]]
        self._least[filled] = np.fmin(self._least[filled], np.fmin.reduceat(least, heads))
        self._greatest[filled] = np.fmax(self._greatest[filled], np.fmax.reduceat(greatest, heads))
        self._last[filled] = last[np.append(heads[1:], buckets.size) - 1]

    def sample(self) -> Sample:
        """The stretches that have rows."""
        filled = np.flatnonzero(self._rows)
        starts = self._start + filled * self._width
        values = (each[filled] for each in (self._first, self._least, self._greatest, self._last))
        return Sample(self._width, starts, self._rows[filled], *values)
