"""Order checks of ts columns."""

from __future__ import annotations

from ..interface import Int64Array
from .compile import kernel, part

# Rows checked between two looks at the flag: they fill the first-level cache.
_STRIDE = 4_096


@part
def _wrong(earlier: int, later: int, strict: bool) -> bool:
    return later <= earlier if strict else later < earlier


@part
def _any_wrong(earlier: Int64Array, later: Int64Array, strict: bool) -> bool:
    # No early exit, and slices counted from 0: only so does the loop become vector instructions (eight times as fast).
    found = False
    for row in range(len(later)):
        found |= _wrong(earlier[row], later[row], strict)
    return found


@kernel
def first_disorder(ts: Int64Array, strict: bool) -> int:
    """First row of int64 `ts` with ts[row] < ts[row - 1] (strict: <=), or -1. One vectorised pass."""
    for start in range(1, len(ts), _STRIDE):
        stop = min(start + _STRIDE, len(ts))
        if _any_wrong(ts[start - 1 : stop - 1], ts[start:stop], strict):
            row = start
            while not _wrong(ts[row - 1], ts[row], strict):
                row += 1
            return row
    return -1
