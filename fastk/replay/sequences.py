"""Scans of sequence numbers: what is missing, stored twice, or out of order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.arrays import is_integer
from fastk.errors import InvalidInput
from fastk.replay.stretch import Stretch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.settings import SeriesSettings

_SAVED_A_ROW = 4.5e-9  # seconds, by the compiled kernel


@dataclass(frozen=True, slots=True)
class SequenceBreak:
    """Two adjacent rows: their sequence numbers, times, and ordinals (0 is the first row that was scanned)."""

    previous_sequence: int
    current_sequence: int
    previous_ts: int
    current_ts: int
    previous_ordinal: int
    current_ordinal: int


@dataclass(frozen=True, slots=True)
class SequenceGap(SequenceBreak):
    """The sequence went up by more than 1."""

    @property
    def missing_count(self) -> int:
        """How many numbers lie between the two."""
        return self.current_sequence - self.previous_sequence - 1


@dataclass(frozen=True, slots=True)
class SequenceDuplicate(SequenceBreak):
    """The same number twice."""


@dataclass(frozen=True, slots=True)
class SequenceViolation(SequenceBreak):
    """The sequence went down."""


_KINDS = SequenceGap, SequenceDuplicate, SequenceViolation


@dataclass(frozen=True, slots=True)
class SequenceScanReport:
    """What adjacent rows tell. The counts are true totals; the lists hold the first of each kind, up to the limit.

    ``sequence_field`` is the column that was scanned; ``first_sequence`` and ``last_sequence`` are None without rows.
    """

    sequence_field: str
    first_sequence: int | None
    last_sequence: int | None
    scanned_chunk_count: int
    scanned_record_count: int
    gap_count: int
    duplicate_count: int
    violation_count: int
    gaps: list[SequenceGap]
    duplicates: list[SequenceDuplicate]
    violations: list[SequenceViolation]

    @property
    def is_clean(self) -> bool:
        """Whether every row's number is the one before it plus 1."""
        return not (self.gap_count or self.duplicate_count or self.violation_count)


def scan_sequence(snapshot: Snapshot, start: int, end: int, name: str | None, limit: int) -> SequenceScanReport:
    """Compare the numbers of adjacent rows, across the borders of chunks too. Cost: one pass over one column."""
    place = _sequence_place(snapshot.settings, name)
    scan = _Scan(place, checked_limit(limit))
    stretch = Stretch(snapshot, start, end)
    kernels.load_when_worth(_SAVED_A_ROW * (stretch.stop - stretch.first))
    for piece in stretch.pieces(stretch.first, stretch.stop):
        scan.add(*piece)
    return scan.report(snapshot.settings.schema.names[place])


def _sequence_place(settings: SeriesSettings, name: str | None) -> int:
    schema = settings.schema
    wanted = schema.sequence_field if name is None else name
    if wanted is None:
        raise InvalidInput(f"{settings.key}: {schema.name} declares no sequence field; name an integer column: field=")
    place = schema.position(wanted)
    if schema.fields[place].dtype.kind not in "iu":
        raise InvalidInput(f"{settings.key}: {wanted!r} holds {schema.fields[place].dtype}; a sequence is of integers")
    return place


def checked_limit(limit: object) -> int:
    """How many entries a list may have."""
    if is_integer(limit) and limit >= 0:
        return int(limit)
    raise InvalidInput(f"limit must be an int of 0 or more, not {limit!r}")


class _Scan:
    """A scan under way. ``_last`` is the row before the next one: its number, its chunk and its row there."""

    def __init__(self, place: int, limit: int) -> None:
        self._place = place
        self._limit = limit
        self._first: int | None = None
        self._last: tuple[int, MappedChunk, int] | None = None
        self._chunks = self._rows = 0
        self._counts = [0, 0, 0]
        self._lists: list[list[Any]] = [[], [], []]

    def report(self, name: str) -> SequenceScanReport:
        """What has been found."""
        last = None if self._last is None else self._last[0]
        gap_count, duplicate_count, violation_count = self._counts
        gaps, duplicates, violations = self._lists
        return SequenceScanReport(
            sequence_field=name,
            first_sequence=self._first,
            last_sequence=last,
            scanned_chunk_count=self._chunks,
            scanned_record_count=self._rows,
            gap_count=gap_count,
            duplicate_count=duplicate_count,
            violation_count=violation_count,
            gaps=gaps,
            duplicates=duplicates,
            violations=violations,
        )

    def add(self, chunk: MappedChunk, low: int, high: int) -> None:
        """Go on with rows of the next chunk."""
        values = chunk.dense_rows(self._place, low, high)
        if self._last is None:
            self._first = int(values[0])
        else:
            self._compare_border(*self._last, int(values[0]), chunk, low)
        self._compare_within(chunk, low, values)
        self._last = int(values[-1]), chunk, high - 1
        self._chunks += 1
        self._rows += high - low

    def _compare_border(
        self, previous: int, last_chunk: MappedChunk, last_row: int, current: int, chunk: MappedChunk, row: int
    ) -> None:
        """In python's integers, which have no ends."""
        step = current - previous
        if step == 1:
            return
        kind = 0 if step > 1 else 1 if step == 0 else 2
        self._counts[kind] += 1
        if len(self._lists[kind]) < self._limit:
            previous_ts, ts = (
                int(each.column(0, at, at + 1)[0]) for each, at in ((last_chunk, last_row), (chunk, row))
            )
            found = _KINDS[kind](previous, current, previous_ts, ts, self._rows - 1, self._rows)
            self._lists[kind].append(found)

    def _compare_within(self, chunk: MappedChunk, low: int, values: NDArray[Any]) -> None:
        counts = np.empty(3, np.int64)
        rows = [np.empty(min(self._limit - len(listed), values.size), np.int64) for listed in self._lists]
        kernels.active.sequence_breaks(values, counts, *rows)
        for kind, count in enumerate(counts.tolist()):
            self._counts[kind] += count
            self._lists[kind] += [self._break(kind, chunk, low, values, row) for row in rows[kind][:count].tolist()]

    def _break(self, kind: int, chunk: MappedChunk, low: int, values: NDArray[Any], row: int) -> SequenceBreak:
        previous, current = values[row - 1 : row + 1].tolist()
        previous_ts, current_ts = chunk.column(0, low + row - 1, low + row + 1).tolist()
        ordinal = self._rows + row
        return _KINDS[kind](previous, current, previous_ts, current_ts, ordinal - 1, ordinal)
