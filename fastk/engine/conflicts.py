"""Which new rows meet stored ones under the same key, and what both become. Pure: columns in, columns out.

The key of a row is its ts where ts is unique, ts and sequence where the type has a sequence field, else ts alone; all
rows of one key are a *group*. Groups of both sides are identical (the same rows in the same order) or in conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastk.errors import Conflict
from fastk.times import format_ts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.schema.columns import Columns
    from fastk.schema.settings import SeriesSettings

    Mask = NDArray[np.bool_]
    Places = NDArray[np.int64]

OnConflict = Literal["error", "skip_identical", "replace"]
POLICIES: tuple[OnConflict, ...] = ("error", "skip_identical", "replace")
_REPLACING = "on_conflict='replace' takes the new ones"
_WAYS_OUT = {
    "error": f"on_conflict='skip_identical' passes over rows that are stored just so, {_REPLACING}",
    "skip_identical": _REPLACING,
}


class Meeting(NamedTuple):
    """How new rows stand to stored ones.

    ``identical`` and ``conflicting`` tell of each new row what its group is; neither: its key is not stored.
    ``outdated`` tells which stored rows are of a group in conflict, and ``places`` gives each conflicting new row the
    place of the first stored row of its group.
    """

    identical: Mask
    conflicting: Mask
    outdated: Mask
    places: NDArray[np.int64]


def meet(stored: Columns, new: Columns, settings: SeriesSettings) -> Meeting:
    """Compare new rows with stored ones of the same span of time; both ascend in ts. Cost: one sort of both."""
    old, keys = len(stored[0]), _keys(stored, new, settings)
    order = np.lexsort(keys[::-1])
    begins = np.ones(order.size, bool)
    begins[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in keys])
    groups = np.empty(order.size, np.int64)
    groups[order] = np.cumsum(begins) - 1
    stored_counts, new_counts = (np.bincount(part, minlength=groups.max() + 1) for part in (groups[:old], groups[old:]))
    shared = (stored_counts > 0) & (new_counts > 0)
    differ = shared & (stored_counts != new_counts)
    _compare_rows(stored, new, groups[old:], order, stored_counts, shared & ~differ, differ)
    mine = groups[old:]
    return Meeting(
        (shared & ~differ)[mine],
        differ[mine],
        differ[groups[:old]],
        order[np.flatnonzero(begins)[mine]].astype(np.int64),
    )


def _keys(stored: Columns, new: Columns, settings: SeriesSettings) -> list[NDArray[Any]]:
    """The parts of the key, of the stored rows and then of the new ones."""
    schema, places = settings.schema, [0]
    if schema.sequence_field is not None and not schema.unique_ts:
        places.append(schema.position(schema.sequence_field))
    return [np.concatenate([stored[place], new[place]]) for place in places]


def _compare_rows(
    stored: Columns,
    new: Columns,
    groups: NDArray[np.int64],
    order: NDArray[np.intp],
    stored_counts: NDArray[np.intp],
    comparable: Mask,
    differ: Mask,
) -> None:
    """Add the groups to ``differ`` of which a row is not the same on both sides.

    In the sorted order a group's stored rows stand before as many new ones, so that partners are that far apart.
    """
    rows = np.flatnonzero(comparable[groups])
    if not rows.size:
        return
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    partners = order[rank[rows + len(stored[0])] - stored_counts[groups[rows]]]
    for one, other in zip(stored, new, strict=True):
        unequal = _bits(one)[partners] != _bits(other)[rows]
        differ[groups[rows[unequal]]] = True


def _bits(column: NDArray[Any]) -> NDArray[Any]:
    """A view in which equal means the same bytes: NaN is like itself, and 0.0 is not -0.0."""
    return column.view(f"u{column.itemsize}") if column.dtype.kind == "f" else column


def same_rows(one: Columns, other: Columns) -> bool:
    """Whether both are the same rows, byte for byte."""
    return len(one[0]) == len(other[0]) and all(
        np.array_equal(_bits(left), _bits(right)) for left, right in zip(one, other, strict=True)
    )


def check_allowed(meeting: Meeting, ts: NDArray[np.int64], policy: OnConflict, settings: SeriesSettings) -> None:
    """Raise Conflict if the policy does not allow what was found."""
    refused = meeting.conflicting if policy == "skip_identical" else meeting.conflicting | meeting.identical
    if policy == "replace" or not refused.any():
        return
    row = int(refused.argmax())
    kind = "other values" if meeting.conflicting[row] else "the same values"
    raise Conflict(
        f"{settings.key}: rows overlap existing coverage: the key of ts {int(ts[row])} "
        f"({format_ts(int(ts[row]), settings.time_unit)}) is stored already, with {kind}",
        identical=int(meeting.identical.sum()),
        conflicting=int(meeting.conflicting.sum()),
    )


def refusal(first: Conflict, policy: OnConflict, rows: int, identical: int, conflicting: int) -> Conflict:
    """What a put of so many rows says of itself: what was found first, the counts of the whole, and the way out."""
    return Conflict(
        f"{first}. Of {rows:,} rows, {identical:,} are stored just so and {conflicting:,} with other values. "
        f"Nothing was written; {_WAYS_OUT[policy]}",
        rows=rows,
        identical=identical,
        conflicting=conflicting,
    )


def interleave(stored: Columns, outdated: Mask, new: Columns, places: NDArray[np.int64]) -> Columns:
    """Both in order of ts; of equal ts the stored rows come first.

    A new row whose ``places`` entry is not negative stands where that stored row stood.
    """
    kept = np.flatnonzero(~outdated)
    last = len(stored[0])
    ts = np.concatenate([stored[0][kept], new[0]])
    position = np.concatenate([kept, np.where(places < 0, last, places)])
    order = np.lexsort((position, ts))
    return [np.concatenate([one[kept], other])[order] for one, other in zip(stored, new, strict=True)]


def joined(parts: Sequence[Columns]) -> Columns:
    """Runs of rows, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
