"""A k-way merge of sorted runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..interface import Column, Int64Array, Uint8Array

_GREATEST = 2**63 - 1


def merge(
    ts: Int64Array,
    stops: Int64Array,
    final: Uint8Array,
    labels: Column,
    shifts: Int64Array,
    positions: Int64Array,
    out_labels: Column,
    out_rows: Int64Array,
    out_ts: Int64Array,
) -> int:
    """Merge the sorted runs ts[positions[i]:stops[i]] until `out_ts` is full or a run that goes on is over.

    A stable sort of what may come before the first end of a run that goes on.
    """
    goes_on = (final == 0) & (positions < stops)
    horizon = int(ts[stops[goes_on] - 1].min()) if goes_on.any() else _GREATEST
    parts = [
        low + np.arange(min(int(ts[low:stop].searchsorted(horizon, "right")), len(out_ts)))
        for low, stop in zip(positions.tolist(), stops.tolist(), strict=True)
    ]
    found = np.concatenate(parts)
    order = ts[found].argsort(kind="stable")
    runs = np.repeat(np.arange(len(parts)), [len(part) for part in parts])[order]
    found = found[order]
    ends = np.flatnonzero(goes_on[runs] & (found == stops[runs] - 1))
    events = min(int(ends[0]) + 1 if ends.size else len(found), len(out_ts))
    out_labels[:events] = labels[runs[:events]]
    out_rows[:events] = found[:events] + shifts[runs[:events]]
    out_ts[:events] = ts[found[:events]]
    positions += np.bincount(runs[:events], minlength=len(parts))
    return events


def interleave(columns: Any, labels: Column, out: Column) -> None:
    """Set out[i] to the next value of column labels[i]. A write to all places of a column for each."""
    # Of 16-bit numbers the stable sort is a radix sort: one pass.
    places, first = labels.argsort(kind="stable"), 0
    for column, count in zip(columns, np.bincount(labels, minlength=len(columns)).tolist(), strict=True):
        out[places[first : first + count]] = column[:count]
        first += count
