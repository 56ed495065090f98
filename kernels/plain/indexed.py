"""Few matches among many chunks, from their value indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..codes import EMPTY, UNREACHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..interface import Column, Int64Array, Uint32Array


def chain(columns: Sequence[Column]) -> Any:
    """Pack arrays of one dtype for `find_indexed` and `pick`: here they are taken as they are."""
    return columns


def find_indexed(
    values: Any,
    rows: Any,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    counts: Int64Array,
    out: Uint32Array,
) -> int:
    """Write the rows whose values are in one of the ranges, chunk by chunk. Two binary searches a range and chunk."""
    entries: list[Any] = []
    for chunk, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        starts, stops = values[chunk].searchsorted(lows), values[chunk].searchsorted(highs, "right")
        entries.append((starts, stops))
        reached = ((starts < len(values[chunk])) & (stops > 0)).any()
        counts[chunk] = EMPTY if begin >= end else (stops - starts).sum() if reached else UNREACHED
    if counts[counts > 0].sum() > len(out):
        return -1
    position = 0
    for chunk in np.flatnonzero(counts > 0).tolist():
        named = np.concatenate([rows[chunk][start:stop] for start, stop in zip(*entries[chunk], strict=True)])
        named = np.sort(named[(named >= begins[chunk]) & (named < ends[chunk])])
        out[position : position + named.size] = named
        counts[chunk] = named.size
        position += named.size
    return position


def pick(columns: Any, counts: Int64Array, rows: Uint32Array, out: Column) -> None:
    """Write the values of such rows. A gather for each chunk."""
    first = 0
    for chunk in np.flatnonzero(counts > 0).tolist():
        stop = first + int(counts[chunk])
        np.take(columns[chunk], rows[first:stop], out=out[first:stop], mode="clip")
        first = stop
