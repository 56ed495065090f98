"""Searches in sorted ts columns, and the copies that follow them."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..interface import Column, Int64Array
from ..plain import search as plain
from .bits import clear, either, fetch, fetch_row, workspace
from .compile import KernelByDtype, array_type, instruction, kernel, part, point_kernel

# Keys searched side by side: their loads overlap, and the bounds of a block stay in the first-level cache.
_KEY_BLOCK = 64
_GALLOP = 32
# Rows around a guess: in a month of minutes of which each fifteenth is missing, it is rarely further off.
_NEAR = 128
# Of fewer rows most lie in the caches, once some were read.
_GUESSED = 1_024
_PARTS = 8
_INT64S = array_type(types.int64)


@part
def before(value: int, key: int, inclusive: bool) -> bool:
    """Whether a value comes before what is looked for."""
    return value <= key if inclusive else value < key


@instruction
def _parts_before(typing_context: Any, values: Any, first: Any, part: Any, key: Any, inclusive: Any) -> Any:
    """How many of the parts of so many values each, from `first` on, end before key; the last part is not looked at.

    All loads at once. Compiled in half of the time that a loop takes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, part, key, inclusive = arguments
        start = builder.gep(context.make_array(values)(context, builder, array).data, [first])
        compare: Any = builder.fcmp_ordered
        if not isinstance(values.dtype, types.Float):
            compare = builder.icmp_signed if values.dtype.signed else builder.icmp_unsigned
        behind, count = part, ir.Constant(part.type, 0)
        for _ in range(_PARTS - 1):
            value = builder.load(builder.gep(start, [builder.sub(behind, ir.Constant(part.type, 1))]))
            is_before = builder.select(inclusive, compare("<=", value, key), compare("<", value, key))
            count = builder.add(count, builder.zext(is_before, part.type))
            behind = builder.add(behind, part)
        return count

    return types.intp(values, types.intp, types.intp, values.dtype, types.boolean), generate


@part
def first_not_before(values: Column, key: Any, inclusive: bool, first: int, count: int) -> int:
    """First row from `first` on that is not before key, among `count` rows; no branch depends on what is found.

    Each step looks at seven rows, whose loads overlap (k-ary search; Schlegel, Gemulla and Lehner 2009): of rows that
    are not in the caches of the core, it takes three quarters of the time of halving; of others as much.
    """
    while count >= _PARTS:
        length = count // _PARTS
        first += length * _parts_before(values, first, length, key, inclusive)
        count -= (_PARTS - 1) * length
    while count > 0:
        half = (count + 1) >> 1
        first += either(before(values[np.uint64(first + half - 1)], key, inclusive), half, 0)
        count -= half
    return first


@instruction
def _address(typing_context: Any, values: Any, index: Any) -> Any:
    """Where a value lies."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(values)(context, builder, arguments[0])
        return builder.ptrtoint(builder.gep(array.data, [arguments[1]]), ir.IntType(64))

    return types.uint64(values, types.intp), generate


@part
def _guess(ts: Int64Array, key: int) -> Any:
    """Where `_NEAR` rows begin that key may lie among: around the line from the first row to the last.

    Neither the first lies behind key, nor the last before it, and they differ. Times of bars, and of whatever happens
    evenly, lie there (interpolation search, Peterson 1957). All of their cache lines are asked for at once, where a
    search waits for one after the other.
    """
    last = len(ts) - 1
    # Distances of int64, which uint64 holds; the whole one is at least 1.
    part, whole = np.uint64(key - ts[0]), np.uint64(ts[np.uint64(last)] - ts[0])
    guess = np.int64(np.float64(part) / np.float64(whole) * last) - (_NEAR >> 1)
    guess = either(guess > 0, guess, 0)
    guess = either(guess + _NEAR <= last, guess, last + 1 - _NEAR)
    for place in range(guess, guess + _NEAR, 32):
        fetch(_address(ts, place))
    return guess


@part
def _first_not_before(ts: Int64Array, key: int) -> int:
    """First row that is not before key, where there are rows before, and such as are not."""
    if len(ts) <= _GUESSED:
        return first_not_before(ts, key, False, 0, len(ts))
    guess = _guess(ts, key)
    # In step with the guess, so that where it is wrong nothing waits for it; it costs 20 ns of instructions there.
    length = len(ts) // _PARTS
    first, count = length * _parts_before(ts, 0, length, key, False), len(ts) - (_PARTS - 1) * length
    if ts[np.uint64(guess)] < key <= ts[np.uint64(guess + _NEAR - 1)]:
        first, count = guess, _NEAR
    return first_not_before(ts, key, False, first, count)


@part
def _first_behind(ts: Int64Array, key: int, low: int) -> int:
    """First row from `low` on that is behind key, where there is one: in growing steps, usual ranges are short.

    That is galloping (Bentley and Yao 1976), and a guess beside it.
    """
    rows = len(ts)
    first, step, guess = low, _GALLOP, low
    # The first comparison holds of times in order; of damaged ones, the guess would have no bounds.
    if ts[0] <= key and rows > _GUESSED and low + step < rows and ts[np.uint64(low + step)] <= key:
        guess = _guess(ts, key)
    while first + step < rows and ts[np.uint64(first + step)] <= key:
        first += step
        step *= 4
    count = either(step < rows - first, step, rows - first)
    if guess > low and ts[np.uint64(guess)] <= key < ts[np.uint64(guess + _NEAR - 1)]:
        first, count = guess, _NEAR
    return first_not_before(ts, key, True, first, count)


@point_kernel(_INT64S, types.int64, types.int64)
def bounds(ts: Int64Array, start: int, end: int) -> tuple[int, int]:
    """Half-open row bounds (lo, hi) of start <= ts <= end in sorted int64 `ts`. O(log n).

    Rows of several chunks have one end each in the first and the last, which is looked at by itself.
    """
    rows = len(ts)
    if rows == 0 or ts[np.uint64(rows - 1)] < start:
        return rows, rows
    lo = _first_not_before(ts, start) if ts[0] < start else 0
    if ts[np.uint64(rows - 1)] <= end:
        return lo, rows
    return lo, _first_behind(ts, end, lo)


@point_kernel(_INT64S, types.int64, types.Array(types.int64, 2, "A", readonly=True))
def find(ts: Int64Array, key: int, table: Int64Array) -> int:
    """First row of sorted int64 `ts` with ts == key, -1 if there is none. O(log n).

    While the caller turns to the row's values, they are on their way.
    """
    rows = len(ts)
    if rows == 0 or key < ts[0] or ts[np.uint64(rows - 1)] < key:
        return -1
    row = _first_not_before(ts, key) if ts[0] < key else 0
    if ts[np.uint64(row)] != key:
        return -1
    fetch_row(table, row)
    return row


@part
def _block_bounds(ts: Int64Array, keys: Int64Array, inclusive: bool, out: Int64Array) -> None:
    """Binary searches in step; `out` holds the row that each has reached, so that nothing is allocated."""
    count = len(ts)
    for index in range(len(keys)):
        out[index] = 0
    while count > 1:
        half = count >> 1
        for index in range(len(keys)):
            row = out[index] + half
            out[index] = either(before(ts[np.uint64(row - 1)], keys[index], inclusive), row, row - half)
        count -= half
    for index in range(len(keys)):
        out[index] += 1 if count == 1 and before(ts[np.uint64(out[index])], keys[index], inclusive) else 0


@part
def _all_bounds(ts: Int64Array, keys: Int64Array, inclusive: bool, out: Int64Array) -> None:
    for start in range(0, len(keys), _KEY_BLOCK):
        stop = min(start + _KEY_BLOCK, len(keys))
        _block_bounds(ts, keys[start:stop], inclusive, out[start:stop])


@kernel
def lower_bounds(ts: Int64Array, keys: Int64Array, out: Int64Array) -> None:
    """Write to int64 out[i] the first row of sorted int64 `ts` with ts >= keys[i]."""
    _all_bounds(ts, keys, False, out)


@kernel
def upper_bounds(ts: Int64Array, keys: Int64Array, out: Int64Array) -> None:
    """Write to int64 out[i] the first row of sorted int64 `ts` with ts > keys[i]."""
    _all_bounds(ts, keys, True, out)


@kernel
def find_many(ts: Int64Array, keys: Int64Array, out: Int64Array) -> None:
    """Write to int64 out[i] the first row of sorted int64 `ts` with ts == keys[i], -1 if there is none."""
    for start in range(0, len(keys), _KEY_BLOCK):
        stop = min(start + _KEY_BLOCK, len(keys))
        _block_bounds(ts, keys[start:stop], False, out[start:stop])
        for index in range(start, stop):  # what was just compared is still in the first-level cache
            row = out[index]
            out[index] = row if row < len(ts) and ts[np.uint64(row)] == keys[index] else -1


@kernel
def group_order(groups: Int64Array, count: int, out: Int64Array) -> None:
    """Write to int64 out the items of group 0, then those of group 1 and so on: a counting sort."""
    places = workspace(count, np.int64(0))
    clear(places)
    for item in range(len(groups)):
        places[np.uint64(groups[item])] += 1
    behind = 0
    for group in range(count):
        behind += places[group]
        places[group] = behind - places[group]
    for item in range(len(groups)):
        place = np.uint64(groups[item])
        out[np.uint64(places[place])] = item
        places[place] += 1


def _take(column: Column, rows: Int64Array, targets: Int64Array, out: Column) -> None:
    for index in range(len(rows)):
        # Unsigned subscripts spare the check for negative ones.
        out[np.uint64(targets[index])] = column[np.uint64(rows[index])]


def _copy_ranges(column: Column, los: Int64Array, his: Int64Array, offsets: Int64Array, out: Column) -> None:
    for index in range(len(los)):
        lo = np.uint64(los[index])
        offset = np.uint64(offsets[index])
        for row in range(np.uint64(his[index] - los[index])):
            out[offset + row] = column[lo + row]


_TAKE = KernelByDtype(
    _take,
    plain.take,
    lambda value: (array_type(value), _INT64S, _INT64S, array_type(value, readonly=False)),
)
_COPY_RANGES = KernelByDtype(
    _copy_ranges,
    plain.copy_ranges,
    lambda value: (array_type(value), _INT64S, _INT64S, _INT64S, array_type(value, readonly=False)),
)


def take(column: Column, rows: Int64Array, targets: Int64Array, out: Column) -> None:
    """Set out[targets[i]] = column[rows[i]] for every i. S<n> go by numpy."""
    _TAKE[column.dtype](column, rows, targets, out)


def copy_ranges(column: Column, los: Int64Array, his: Int64Array, offsets: Int64Array, out: Column) -> None:
    """Copy column[los[i]:his[i]] to `out` from offsets[i] on, for every i. S<n> go by numpy."""
    _COPY_RANGES[column.dtype](column, los, his, offsets, out)
