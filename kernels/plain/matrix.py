"""Aligning times, and the fill of a matrix from columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..interface import Column, Int64Array

_STRIDE = 4_096
"""Rows at a time: what numpy makes of them on the way stays in a cache, and is no part of a matrix's memory."""


def equal(one: Int64Array, other: Int64Array) -> bool:
    """Tell whether two int64 arrays of the same length hold the same."""
    return bool((one == other).all())


def unite(one: Int64Array, other: Int64Array, out: Int64Array) -> int:
    """Write the different values of two sorted int64 arrays to `out`, ascending; gives their number."""
    both = np.union1d(one, other)
    out[: both.size] = both
    return int(both.size)


def intersect(one: Int64Array, other: Int64Array, out: Int64Array) -> int:
    """Write the different values that two sorted int64 arrays share to `out`, ascending; gives their number."""
    common = np.intersect1d(one, other)
    out[: common.size] = common
    return int(common.size)


def align(ts: Int64Array, grid: Int64Array, base: int, reach: np.uint64, rows: Int64Array) -> int:
    """Write base + the last row at or before each grid ts, no farther than `reach` behind; -1 where there is none."""
    strides = (slice(start, start + _STRIDE) for start in range(0, len(grid), _STRIDE))
    return sum(_align(ts, grid[stride], base, reach, rows[stride]) for stride in strides)


def _align(ts: Int64Array, grid: Int64Array, base: int, reach: np.uint64, rows: Int64Array) -> int:
    np.subtract(ts.searchsorted(grid, "right"), 1, out=rows)
    found = rows >= 0
    if ts.size:
        behind = ts.take(rows, mode="clip").view(np.uint64)
        np.subtract(grid.view(np.uint64), behind, out=behind)
        found &= behind <= reach
    rows += base
    rows[~found] = -1
    return int(np.count_nonzero(found))


def carry_forward(limit: int, last: int, age: int, rows: Int64Array) -> tuple[int, int]:
    """Put the row before in the place of -1, up to `limit` times in a row; gives the state after the last one."""
    places = np.arange(rows.size)
    source = np.maximum.accumulate(np.where(rows >= 0, places, -1))
    own = source >= 0
    ages = np.where(own, places - source, places + 1 + age)
    values = np.where(own, rows[np.maximum(source, 0)], last)
    if rows.size:
        last, age = int(values[-1]), int(ages[-1])
    np.copyto(rows, np.where((values >= 0) & (ages <= limit), values, -1))
    return last, age


def bundle(columns: Sequence[Column]) -> Any:
    """Pack columns for `spread` and `gather`: here they are taken as they are."""
    return columns


def spread(
    bundle: Any,
    first: int,
    count: int,
    divisors: NDArray[np.float64],
    places: Int64Array,
    row_step: int,
    out: Column,
) -> None:
    """Set out[places[j] + i * row_step] = columns[j][first + i] / divisors[j] for every j and i < count."""
    for column, divisor, place in zip(bundle, divisors.tolist(), places.tolist(), strict=True):
        target = out[place:][: count * row_step : row_step]
        _divide(column[first : first + count], divisor, target)


def gather(
    bundle: Any,
    base: int,
    rows: Int64Array,
    divisors: NDArray[np.float64],
    fill: Any,
    places: Int64Array,
    row_step: int,
    out: Column,
) -> None:
    """Set out[places[j] + i * row_step] = columns[j][rows[i] - base] / divisors[j], or fill where rows[i] is -1."""
    for start in range(0, rows.size, _STRIDE):
        sources = rows[start : start + _STRIDE] - base
        missing = rows[start : start + _STRIDE] < 0
        sources[missing] = 0
        for column, divisor, place in zip(bundle, divisors.tolist(), places.tolist(), strict=True):
            target = out[place + start * row_step :][: sources.size * row_step : row_step]
            if column.size:
                _divide(column[sources], divisor, target)
            target[missing] = fill


def _divide(values: Column, divisor: float, out: Column) -> None:
    if divisor == 1.0 or out.dtype.kind == "i":
        np.copyto(out, values, casting="unsafe")
    elif out.dtype == np.float64:
        np.divide(values, divisor, out=out)
    else:
        np.copyto(out, np.divide(values, divisor, dtype=np.float64), casting="unsafe")
