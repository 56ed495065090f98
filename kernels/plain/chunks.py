"""Matches of many small chunks by comparing their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..codes import ALL, NONE
from .selection import are_within

if TYPE_CHECKING:
    from ..interface import Column, Int64Array, Uint8Array, Uint32Array


def scan_chunks(
    columns: Any,
    verdicts: Uint8Array,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    negated: bool,
    counts: Int64Array,
    out: Uint32Array,
) -> int:
    """Write the rows of each chunk that belong to a set. A few passes over all rows, joined."""
    counts[:] = 0
    looked_at = np.flatnonzero((verdicts != NONE) & (begins < ends))
    if not looked_at.size:
        return 0
    first, sizes = begins[looked_at], ends[looked_at] - begins[looked_at]
    windows = zip(looked_at.tolist(), first.tolist(), ends[looked_at].tolist(), strict=True)
    values = np.concatenate([columns[chunk][begin:end] for chunk, begin, end in windows])
    belong = are_within(values, lows, highs) != negated
    belong |= (verdicts[looked_at] == ALL).repeat(sizes)
    rows, stops = np.flatnonzero(belong), sizes.cumsum()
    found = np.diff(rows.searchsorted(stops), prepend=0)
    counts[looked_at] = found
    np.subtract(rows, (stops - sizes - first).repeat(found), out=out[: rows.size], casting="unsafe")
    return rows.size
