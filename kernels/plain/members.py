"""Single values in the value indexes of many chunks."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..codes import MOST_MEMBER_ROWS, UNREACHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..interface import Int64Array, MemberFinder, Uint32Array


def member_finder(values: Sequence[Int64Array], rows: Sequence[Uint32Array], ts: Sequence[Int64Array]) -> MemberFinder:
    """Prepare the look for single values."""
    return partial(find_members, values, rows, ts)


def find_members(
    values: Sequence[Int64Array],
    rows: Sequence[Uint32Array],
    ts: Sequence[Int64Array],
    count: int,
    one: int,
    two: int,
    three: int,
    four: int,
    answer: Int64Array,
) -> int:
    """Write how many rows each chunk has, and all rows' ts, values and places. A comparison of all values."""
    members = np.array((one, two, three, four)[:count], np.int64)
    out_ts, out_values, out_places, counts = np.split(answer, MOST_MEMBER_ROWS * np.arange(1, 4))
    position = 0
    for chunk, (present, places, times) in enumerate(zip(values, rows, ts, strict=True)):
        counts[chunk] = UNREACHED
        if not ((present[0] <= members) & (members <= present[-1])).any():
            continue
        matches = np.flatnonzero(np.isin(present, members) & (places < len(times)))
        order = matches[np.argsort(places[matches], kind="stable")]
        stop = position + len(order)
        if stop > MOST_MEMBER_ROWS:
            return -1
        counts[chunk] = len(order)
        out_places[position:stop], out_values[position:stop] = places[order], present[order]
        out_ts[position:stop] = times[places[order]]
        position = stop
    return position
