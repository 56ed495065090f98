"""Breaks in sequence numbers."""

from __future__ import annotations

import numpy as np
from numba import types

from ..interface import Column, Int64Array
from ..plain import sequence as plain
from .compile import KernelByDtype, array_type, part

# Values compared between two looks at the flag: they fill the first-level cache.
_STRIDE = 4_096
_ONE = np.uint64(1)
_OUT_INT64S = array_type(types.int64, readonly=False)


@part
def _counts_up(earlier: Column, later: Column) -> bool:
    # No early exit, so that the loop becomes vector instructions. Unsigned, because LLVM assumes that differences of
    # signed numbers never wrap around; from the greatest value to the least one they are 1.
    breaks = False
    for row in range(len(later)):
        breaks |= (np.uint64(later[row]) - np.uint64(earlier[row]) != _ONE) | (later[row] <= earlier[row])
    return not breaks


@part
def _note(counts: Int64Array, kind: int, rows: Int64Array, row: int) -> None:
    if counts[kind] < len(rows):
        rows[counts[kind]] = row
    counts[kind] += 1


def _sequence_breaks(
    values: Column, counts: Int64Array, gaps: Int64Array, duplicates: Int64Array, violations: Int64Array
) -> None:
    counts[:] = 0
    for start in range(1, len(values), _STRIDE):
        stop = min(start + _STRIDE, len(values))
        if _counts_up(values[start - 1 : stop - 1], values[start:stop]):
            continue
        for row in range(start, stop):
            earlier, later = values[row - 1], values[row]
            if later == earlier:
                _note(counts, 1, duplicates, row)
            elif later < earlier:
                _note(counts, 2, violations, row)
            elif np.uint64(later) - np.uint64(earlier) != _ONE:
                _note(counts, 0, gaps, row)


_BREAKS = KernelByDtype(
    _sequence_breaks,
    plain.sequence_breaks,
    lambda value: (array_type(value), *[_OUT_INT64S] * 4),
)


def sequence_breaks(
    values: Column, counts: Int64Array, gaps: Int64Array, duplicates: Int64Array, violations: Int64Array
) -> None:
    """Count rows whose value is more than 1 above, equal to, or below the one before, and list the first of each."""
    _BREAKS[values.dtype](values, counts, gaps, duplicates, violations)
