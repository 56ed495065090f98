"""Aligning times, and the fill of a matrix from columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from ..interface import Column, Int64Array
from ..plain import matrix as plain
from .bits import either, workspace
from .columns import TILE_ROWS, read_rows, read_run
from .compile import KernelByDtype, array_type, kernel, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Values of up to so many columns and rows are laid side by side before they are written: 4 KiB, a part of the
# first-level cache, and each line of the output is written while it is there.
_TILE_COLUMNS = 8
_EIGHT, _TILE_STEP = np.uint64(_TILE_COLUMNS), np.uint64(TILE_ROWS)
_STRIDE = 4_096

_INT64S = array_type(types.int64)


@part
def _divide(tile: Column, divisor: float) -> None:
    if divisor != 1.0:
        for index in range(len(tile)):
            tile[index] = np.true_divide(tile[index], divisor)


@kernel
def equal(one: Int64Array, other: Int64Array) -> bool:
    """Tell whether two int64 arrays of the same length hold the same. One vectorised pass that stops soon."""
    for start in range(0, len(one), _STRIDE):
        stop = min(start + _STRIDE, len(one))
        different = np.int64(0)
        for row in range(start, stop):
            different |= one[np.uint64(row)] ^ other[np.uint64(row)]
        if different != 0:
            return False
    return True


@kernel
def unite(one: Int64Array, other: Int64Array, out: Int64Array) -> int:
    """Write the different values of two sorted int64 arrays to `out`, ascending; gives their number."""
    left, right, count = 0, 0, 0
    # No branch depends on which is less: a value is written, and counted if it differs from the one before.
    while left < len(one) and right < len(other):
        first, second = one[np.uint64(left)], other[np.uint64(right)]
        value = min(first, second)
        left += first <= second
        right += second <= first
        out[np.uint64(count)] = value
        count += count == 0 or out[np.uint64(count - 1)] != value
    for rest in (one[left:], other[right:]):
        for value in rest:
            out[np.uint64(count)] = value
            count += count == 0 or out[np.uint64(count - 1)] != value
    return count


@kernel
def intersect(one: Int64Array, other: Int64Array, out: Int64Array) -> int:
    """Write the different values that two sorted int64 arrays share to `out`, ascending; gives their number."""
    left, right, count = 0, 0, 0
    while left < len(one) and right < len(other):
        first, second = one[np.uint64(left)], other[np.uint64(right)]
        left += first <= second
        right += second <= first
        if count < len(out):
            out[np.uint64(count)] = first
        count += first == second and (count == 0 or out[np.uint64(count - 1)] != first)
    return count


@part
def _last_upto(ts: Int64Array, key: int, row: int) -> int:
    """Last row from `row` on that is not behind the key, in growing steps; `row` itself is not behind it, or is -1."""
    step = 1
    while row + step < len(ts) and ts[row + step] <= key:
        row += step
        step *= 2
    while step > 0:
        if row + step < len(ts) and ts[row + step] <= key:
            row += step
        step >>= 1
    return row


@kernel
def align(ts: Int64Array, grid: Int64Array, base: int, reach: np.uint64, rows: Int64Array) -> int:
    """Write base + the last row at or before each grid ts, no farther than `reach` behind; -1 where there is none."""
    row, found = -1, 0
    for index in range(len(grid)):
        row = _last_upto(ts, grid[index], row)
        # As unsigned numbers, because the distance of two int64 may be beyond them.
        if row >= 0 and np.uint64(grid[index]) - np.uint64(ts[row]) <= reach:
            rows[index] = base + row
            found += 1
        else:
            rows[index] = -1
    return found


@kernel
def carry_forward(limit: int, last: int, age: int, rows: Int64Array) -> tuple[int, int]:
    """Put the row before in the place of -1, up to `limit` times in a row; gives the state after the last one."""
    for index in range(len(rows)):
        if rows[index] >= 0:
            last, age = rows[index], 0
        else:
            age += 1
            if last >= 0 and age <= limit:
                rows[index] = last
    return last, age


@part
def _write_eight(tile: Column, rows: int, place: int, row_step: int, out: Column) -> None:
    """Write eight columns that lie side by side, row by row: what the processor does best."""
    target, step = np.uint64(place), np.uint64(row_step)
    for row in range(np.uint64(rows)):
        for column in range(_EIGHT):
            out[target + column] = tile[column * _TILE_STEP + row]
        target += step


@part
def _write_any(tile: Column, rows: int, places: Int64Array, offset: int, row_step: int, out: Column) -> None:
    """Write up to eight columns, one after the other."""
    for column in range(len(places)):
        target, step = np.uint64(places[column] + offset), np.uint64(row_step)
        source = np.uint64(column) * _TILE_STEP
        for row in range(np.uint64(rows)):
            out[target + row * step] = tile[source + row]


@part
def _are_neighbours(places: Int64Array) -> bool:
    for column in range(1, len(places)):
        if places[column] != places[0] + column:
            return False
    return len(places) == _TILE_COLUMNS


@part
def _write(tile: Column, rows: int, places: Int64Array, offset: int, row_step: int, out: Column) -> None:
    if row_step > 1 and _are_neighbours(places):
        _write_eight(tile, rows, places[0] + offset, row_step, out)
    else:
        _write_any(tile, rows, places, offset, row_step, out)


def _spread(
    addresses: NDArray[np.uint64],
    readings: Int64Array,
    first: int,
    count: int,
    divisors: NDArray[np.float64],
    places: Int64Array,
    row_step: int,
    tile: Column,
    out: Column,
) -> None:
    for start in range(0, count, TILE_ROWS):
        rows = min(TILE_ROWS, count - start)
        for group in range(0, len(addresses), _TILE_COLUMNS):
            columns = min(_TILE_COLUMNS, len(addresses) - group)
            for column in range(columns):
                source = group + column
                part = tile[column * TILE_ROWS : column * TILE_ROWS + rows]
                read_run(addresses[source], readings[source], first + start, part)
                _divide(part, divisors[source])
            _write(tile, rows, places[group : group + columns], start * row_step, row_step, out)


def _gather(
    addresses: NDArray[np.uint64],
    readings: Int64Array,
    base: int,
    rows: Int64Array,
    divisors: NDArray[np.float64],
    fill: Any,
    places: Int64Array,
    row_step: int,
    tile: Column,
    out: Column,
) -> None:
    sources = workspace(TILE_ROWS, np.int64(0))
    for start in range(0, len(rows), TILE_ROWS):
        part = rows[start : start + TILE_ROWS]
        count = len(part)
        missing = 0
        for index in range(count):
            # Where there is no row the first one is read, as it exists if any does; the fill comes after.
            row = part[index]
            sources[index] = either(row < 0, np.int64(0), row - base)
            missing += row < 0
        for group in range(0, len(addresses), _TILE_COLUMNS):
            columns = min(_TILE_COLUMNS, len(addresses) - group)
            for column in range(columns):
                source = group + column
                values = tile[column * TILE_ROWS : column * TILE_ROWS + count]
                if missing < count:
                    read_rows(addresses[source], readings[source], sources, values)
                    _divide(values, divisors[source])
                if missing:
                    for index in range(count):
                        if part[index] < 0:
                            values[index] = fill
            _write(tile, count, places[group : group + columns], start * row_step, row_step, out)


def _tile_type(value: types.Type) -> types.Type:
    """Values are widened and divided as float64, whatever becomes of them then; or stay int64."""
    return types.int64 if value == types.int64 else types.float64


def _spread_types(value: types.Type) -> tuple[types.Type, ...]:
    return (
        *_BUNDLE_TYPES,
        types.int64,
        types.int64,
        array_type(types.float64),
        _INT64S,
        types.int64,
        array_type(_tile_type(value), readonly=False),
        array_type(value, readonly=False),
    )


def _gather_types(value: types.Type) -> tuple[types.Type, ...]:
    return (
        *_BUNDLE_TYPES,
        types.int64,
        _INT64S,
        array_type(types.float64),
        _tile_type(value),
        _INT64S,
        types.int64,
        array_type(_tile_type(value), readonly=False),
        array_type(value, readonly=False),
    )


_BUNDLE_TYPES = (array_type(types.uint64), _INT64S)
_SPREAD = KernelByDtype(_spread, plain.spread, _spread_types)
_GATHER = KernelByDtype(_gather, plain.gather, _gather_types)


def _tile(out: Column) -> Column:
    return np.empty(_TILE_COLUMNS * TILE_ROWS, np.int64 if out.dtype == np.int64 else np.float64)


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
    _SPREAD[out.dtype](*bundle[1:], first, count, divisors, places, row_step, _tile(out), out)


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
    _GATHER[out.dtype](*bundle[1:], base, rows, divisors, fill, places, row_step, _tile(out), out)
