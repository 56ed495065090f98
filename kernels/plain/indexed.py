"""Few matches among many chunks, from their value indexes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..codes import EMPTY, UNREACHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..interface import Column, Finder, Int64Array, Picker, Uint32Array


def chain(columns: Sequence[Column]) -> Any:
    """Pack arrays of one dtype for kernels: here they are taken as they are."""
    return columns


def finder(values: Sequence[Column], rows: Sequence[Uint32Array], ahead: Sequence[Sequence[Column]] = ()) -> Finder:
    """Prepare the search of the chunks' value indexes."""
    return partial(find_indexed, values, rows)


def find_indexed(
    values: Sequence[Column],
    rows: Sequence[Uint32Array],
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    counts: Int64Array,
    out: Uint32Array,
) -> int:
    """Write the rows whose values are in one of the ranges, chunk by chunk. Two binary searches a range and chunk."""
    bounds = []
    for chunk, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        if begin >= end:
            counts[chunk] = EMPTY
            continue
        # Lists: of a few ranges, sums and comparisons of arrays would take most of the time.
        starts, stops = values[chunk].searchsorted(lows).tolist(), values[chunk].searchsorted(highs, "right").tolist()
        count = sum(stops) - sum(starts)
        counts[chunk] = count if count or _reaches(starts, stops, len(values[chunk])) else UNREACHED
        if count:
            bounds.append((chunk, starts, stops, count))
    if sum(count for *_, count in bounds) > len(out):  # before any row is written: sorting them takes most of the time
        return -1
    position = 0
    for chunk, starts, stops, count in bounds:
        window = int(begins[chunk]), int(ends[chunk])
        found = _write_rows(rows[chunk], starts, stops, *window, out[position : position + count])
        counts[chunk] = found
        position += found
    return position


def _reaches(starts: list[int], stops: list[int], entries: int) -> bool:
    """Whether one of the ranges touches the span of the values."""
    return any(start < entries and stop for start, stop in zip(starts, stops, strict=True))


def _write_rows(rows: Uint32Array, starts: list[int], stops: list[int], begin: int, end: int, out: Uint32Array) -> int:
    """Write the rows from begin to end that some entries name, ascending; `out` has room for all of them."""
    if len(starts) == 1:
        out[:] = rows[starts[0] : stops[0]]
    else:
        np.concatenate([rows[start:stop] for start, stop in zip(starts, stops, strict=True)], out=out)
    out.sort()
    if begin <= out[0] and out[-1] < end:
        return len(out)
    within = out[(out >= begin) & (out < end)]
    out[: within.size] = within
    return within.size


def picker(columns: Sequence[Column]) -> Picker:
    """Prepare what takes the values of such rows."""
    return partial(pick, columns)


def pick(columns: Sequence[Column], counts: Int64Array, rows: Uint32Array, out: Column) -> None:
    """Write the values of such rows. A gather for each chunk."""
    first = 0
    for chunk, count in enumerate(counts.tolist()):
        if count > 0:
            stop = first + count
            columns[chunk].take(rows[first:stop], out=out[first:stop], mode="clip")
            first = stop
