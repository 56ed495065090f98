"""Searches in sorted ts columns, and the copies that follow them."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from ..interface import Column, Int64Array
from ..plain import search as plain
from .bits import clear, either, workspace
from .compile import KernelByDtype, array_type, instruction, kernel, part, point_kernel

# Keys searched side by side: their loads overlap, and the bounds of a block stay in the first-level cache.
_KEY_BLOCK = 64
_GALLOP = 32
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


@point_kernel(_INT64S, types.int64, types.int64)
def bounds(ts: Int64Array, start: int, end: int) -> tuple[int, int]:
    """Half-open row bounds (lo, hi) of start <= ts <= end in sorted int64 `ts`. O(log n).

    The end is looked for from lo on in growing steps (galloping, Bentley and Yao 1976): usual ranges are short. An end
    beyond the rows is looked for at once: rows of several chunks have one in all but the last.
    """
    rows = len(ts)
    lo = first_not_before(ts, start, False, 0, rows) if rows and ts[0] < start else 0
    if rows and ts[np.uint64(rows - 1)] <= end:
        return lo, rows
    step = _GALLOP
    first = lo
    while first + step < rows and ts[first + step] <= end:
        first += step
        step *= 4
    return lo, first_not_before(ts, end, True, first, min(step, rows - first))


@point_kernel(_INT64S, types.int64)
def find(ts: Int64Array, key: int) -> int:
    """First row of sorted int64 `ts` with ts == key, -1 if there is none. O(log n)."""
    row = first_not_before(ts, key, False, 0, len(ts))
    return row if row < len(ts) and ts[row] == key else -1


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
