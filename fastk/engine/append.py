"""Planning an append: which rows go into which partition's chunk, and whether they may. Pure but for one small read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastk import kernels
from fastk.errors import InvalidInput
from fastk.format.tables import ChunkKind, ChunkState
from fastk.partition import split
from fastk.times import check_storable, format_ts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.schema.columns import Columns
    from fastk.schema.settings import SeriesSettings


class PlannedChunk(NamedTuple):
    """Rows ``start`` to ``stop`` of the put, as one chunk of a partition."""

    partition: int
    start: int
    stop: int
    kind: ChunkKind
    state: ChunkState
    generation: int


def check_order(ts: NDArray[np.int64], settings: SeriesSettings) -> None:
    """Refuse rows that do not ascend in ts, or leave the calendar. One pass."""
    row = kernels.active.first_disorder(ts, settings.schema.unique_ts)
    if row >= 0:
        here, before = (format_ts(int(ts[place]), settings.time_unit) for place in (row, row - 1))
        if ts[row] == ts[row - 1]:
            raise InvalidInput(
                f"{settings.key}: ts {int(ts[row])} ({here}) stands twice, at rows {row - 1} and {row}; "
                f"this series keeps one row a ts"
            )
        raise InvalidInput(
            f"{settings.key}: ts {int(ts[row])} ({here}) at row {row} comes after {before}; sort the rows by ts first"
        )
    check_storable(ts, settings.time_unit)


def plan_append(newest: Snapshot, columns: Columns) -> list[PlannedChunk]:
    """One chunk a partition, each behind what the partition holds; InvalidInput if any row is not.

    A partition's first chunk is Sealed; what continues one is an Active delta of the next generation.
    """
    settings = newest.settings
    pieces = split(columns[0], settings.partition, settings.time_unit)
    return [_plan_piece(newest, columns, *piece) for piece in pieces]


def _plan_piece(newest: Snapshot, columns: Columns, partition: int, start: int, stop: int) -> PlannedChunk:
    settings = newest.settings
    stored = newest.tail_of(*settings.partition.bounds(partition, settings.time_unit))
    if stored is None:
        return PlannedChunk(partition, start, stop, ChunkKind.FIRST, ChunkState.SEALED, 1)
    (last_ts, generation), first_new = stored, int(columns[0][start])
    if first_new < last_ts or (first_new == last_ts and settings.schema.unique_ts):
        _refuse_overlap(settings, partition, last_ts, first_new)
    if first_new == last_ts:
        _check_continuation(newest, columns, last_ts)
    return PlannedChunk(partition, start, stop, ChunkKind.DELTA, ChunkState.ACTIVE, generation + 1)


def _refuse_overlap(settings: SeriesSettings, partition: int, last_ts: int, first_new: int) -> None:
    unit = settings.time_unit
    raise InvalidInput(
        f"{settings.key}: rows from ts {first_new} ({format_ts(first_new, unit)}) overlap existing "
        f"coverage: {settings.partition} {settings.partition.key(partition)} is stored up to ts {last_ts} "
        f"({format_ts(last_ts, unit)}); only later rows can be added to it. Nothing was written"
    )


def _check_continuation(newest: Snapshot, columns: Columns, ts: int) -> None:
    """Rows may go on at the last stored ts if the sequence field tells them from the stored ones."""
    schema = newest.settings.schema
    key = newest.settings.key
    if schema.sequence_field is None:
        raise InvalidInput(
            f"{key}: ts {ts} overlaps existing coverage: rows of one ts belong together where no sequence "
            f"field tells them apart. Nothing was written"
        )
    low, high = kernels.active.bounds(columns[0], ts, ts)
    new = columns[schema.position(schema.sequence_field)][low:high]
    both = np.intersect1d(new, newest.range(ts, ts).column(schema.sequence_field))
    if both.size:
        raise InvalidInput(
            f"{key}: ts {ts} with {schema.sequence_field} {both[0]} is stored already (overlaps existing "
            f"coverage). Nothing was written"
        )
