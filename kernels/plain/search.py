"""Searches in sorted ts columns, and the copies that follow them."""

from __future__ import annotations

from operator import index  # what `int` takes twice as long for
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..interface import Column, Int64Array

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
# Measured: below about this mean length one gather over all rows beats one slice copy a range.
_SHORT_RANGE = 32


def bounds(ts: Int64Array, start: int, end: int) -> tuple[int, int]:
    """Half-open row bounds (lo, hi) of start <= ts <= end in sorted int64 `ts`. A binary search for each end given.

    One call for both ends takes two thirds of two calls; bisect on the array's memoryview takes a third longer than
    these where reads jump between columns (measured).
    """
    if end == _INT64_MAX:
        return 0 if start == _INT64_MIN else index(ts.searchsorted(start)), len(ts)
    if start == _INT64_MIN:
        return 0, index(ts.searchsorted(end, "right"))
    lo, hi = ts.searchsorted((start, end + 1)).tolist()
    return lo, hi if hi > lo else lo


def find(ts: Int64Array, key: int, table: Int64Array) -> int:
    """First row of sorted int64 `ts` with ts == key, -1 if there is none. One binary search."""
    row = index(ts.searchsorted(key))
    try:  # no look at the size, which takes a twentieth of the whole
        return row if ts.item(row) == key else -1
    except IndexError:  # behind the last row
        return -1


def find_many(ts: Int64Array, keys: Int64Array, out: Int64Array) -> None:
    """Write to int64 out[i] the first row of sorted int64 `ts` with ts == keys[i], -1 if there is none."""
    if len(ts) == 0:
        out[:] = -1
        return
    rows = ts.searchsorted(keys)
    out[:] = rows
    out[ts.take(rows, mode="clip") != keys] = -1


def lower_bounds(ts: Int64Array, keys: Int64Array, out: Int64Array) -> None:
    """Write to int64 out[i] the first row of sorted int64 `ts` with ts >= keys[i]. One binary search a key."""
    out[:] = ts.searchsorted(keys)


def upper_bounds(ts: Int64Array, keys: Int64Array, out: Int64Array) -> None:
    """Write to int64 out[i] the first row of sorted int64 `ts` with ts > keys[i]. One binary search a key."""
    out[:] = ts.searchsorted(keys, "right")


def group_order(groups: Int64Array, count: int, out: Int64Array) -> None:
    """Write to int64 out the items of group 0, then those of group 1 and so on: a stable sort.

    Of 16-bit values it is a radix sort: 60 us for 10,000 items, a tenth of the comparison sort.
    """
    out[:] = np.argsort(groups.astype(np.uint16) if count <= 2**16 else groups, kind="stable")


def take(column: Column, rows: Int64Array, targets: Int64Array, out: Column) -> None:
    """Set out[targets[i]] = column[rows[i]] for every i. Any dtype; one temporary array of len(rows) values."""
    out[targets] = column[rows]


def copy_ranges(column: Column, los: Int64Array, his: Int64Array, offsets: Int64Array, out: Column) -> None:
    """Copy column[los[i]:his[i]] to `out` from offsets[i] on, for every i. Any dtype.

    Long ranges are copied one by one, many short ones in one gather with three temporary int64 arrays of a row each.
    """
    lengths = his - los
    if int(lengths.sum()) < _SHORT_RANGE * len(lengths):
        _gather_ranges(column, los, lengths, offsets, out)
    else:
        for lo, hi, offset in zip(los.tolist(), his.tolist(), offsets.tolist(), strict=True):
            out[offset : offset + hi - lo] = column[lo:hi]


def _gather_ranges(column: Column, los: Int64Array, lengths: Int64Array, offsets: Int64Array, out: Column) -> None:
    ends = lengths.cumsum()
    steps = np.arange(ends[-1])
    rows = steps + np.repeat(los - (ends - lengths), lengths)
    targets = steps + np.repeat(offsets - (ends - lengths), lengths)
    out[targets] = column[rows]
