"""Breaks in sequence numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..interface import Column, Int64Array


def sequence_breaks(
    values: Column, counts: Int64Array, gaps: Int64Array, duplicates: Int64Array, violations: Int64Array
) -> None:
    """Count rows whose value is more than 1 above, equal to, or below the one before, and list the first of each."""
    earlier, later = values[:-1], values[1:]
    rises = later > earlier
    # The difference of two that rise may not fit its dtype; it comes back as 1 only where it is 1.
    kinds = rises & (later - earlier != 1), later == earlier, later < earlier
    for kind, (found, rows) in enumerate(zip(kinds, (gaps, duplicates, violations), strict=True)):
        counts[kind] = np.count_nonzero(found)
        listed = np.flatnonzero(found)[: len(rows)] + 1
        rows[: len(listed)] = listed
