"""Order checks of ts columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..interface import Int64Array

# Rows compared at a time, so that an early disorder ends the search early. Measured: as fast as all at once.
_STRIDE = 65_536


def first_disorder(ts: Int64Array, strict: bool) -> int:
    """First row of int64 `ts` with ts[row] < ts[row - 1] (strict: <=), or -1. One pass, one bool a row of a stride."""
    for start in range(0, len(ts) - 1, _STRIDE):
        later = ts[start + 1 : start + 1 + _STRIDE]
        earlier = ts[start : start + len(later)]
        wrong = later <= earlier if strict else later < earlier
        row = int(wrong.argmax())
        if wrong[row]:
            return start + 1 + row
    return -1
