"""The times of a matrix's rows: ascending, each once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.arrays import as_array, is_integer, read_only
from fastk.errors import InvalidInput
from fastk.matrix import memory
from fastk.matrix.named_grid import WAY_OUT
from fastk.times import INT64_MAX, INT64_MIN, format_ts, span_of, to_ts_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.matrix.timeline import Timeline
    from fastk.times import TimeUnit

    Int64 = NDArray[np.int64]

NAMES = ("union", "intersection", "first")


def is_named(grid: Any) -> bool:
    """Whether a grid is made from the times of the series; InvalidInput for what is no grid at all."""
    is_name = isinstance(grid, str) and grid in NAMES
    if not (is_name or is_step(grid) or as_array(grid, "grid").ndim):
        raise InvalidInput(f"grid={grid!r} is unknown: give {', '.join(map(repr, NAMES))}, an array of times or a step")
    return is_name


def given_grid(grid: Any, unit: TimeUnit, start: int, end: int) -> Int64 | None:
    """A grid that the caller gives as an array, as far as it lies between two times; None if it is another one."""
    if isinstance(grid, str) or is_step(grid):
        return None
    ts = read_only(to_ts_array(grid, unit, zoneless_is_utc=True))
    row = kernels.active.first_disorder(ts, True)
    if row >= 0:
        raise InvalidInput(
            f"the grid does not ascend: row {row:,} ({format_ts(int(ts[row]), unit)}) comes not after row {row - 1:,} "
            f"({format_ts(int(ts[row - 1]), unit)}); sort it, each time once"
        )
    low, high = kernels.active.bounds(ts, start, end)
    return ts[low:high]


def is_step(grid: Any) -> bool:
    """Whether a grid is given by the distance of its rows."""
    return is_integer(grid) or isinstance(grid, (timedelta, np.timedelta64))


def step_grid(step: Any, unit: TimeUnit, start: int, end: int, timelines: list[Timeline]) -> Int64:
    """A row each step: from the start, if there is one, or from the multiple of the step at or before the first row."""
    width = span_of(step, unit, "grid")
    if not 1 <= width <= INT64_MAX:
        raise InvalidInput(f"a step of the grid must be 1 or more, and within int64, not {step!r}")
    spans = [span for timeline in timelines if (span := timeline.span()) is not None]
    if start == INT64_MIN:
        start = min((first for first, _ in spans), default=0) // width * width
        if start < INT64_MIN:
            raise InvalidInput(f"the multiple of the step {step!r} before the first row is beyond int64: give a start=")
        if not spans:
            return read_only(np.empty(0, np.int64))
    if end == INT64_MAX:
        end = max((last for _, last in spans), default=start - 1)
    rows = max(0, (end - start) // width + 1)
    memory.check(rows * 8, f"the grid with a step of {step!r} from {start} to {end}", WAY_OUT)
    ts = np.arange(rows, dtype=np.int64)
    ts *= width
    ts += start
    return read_only(ts)
