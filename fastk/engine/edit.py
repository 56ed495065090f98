"""What a commit is to make of one series: puts, deletions and merges upon the newest state, not yet written."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.engine import conflicts
from fastk.engine.partition_edit import UNREADABLE, Counts, NewChunk, PartitionEdit
from fastk.errors import Conflict, InvalidInput
from fastk.format.sidecars import ZONE_ROWS
from fastk.format.tables import ChunkKind, generation_behind
from fastk.partition import split
from fastk.times import check_storable, format_ts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.compaction import CompactionDecision, CompactionPolicy
    from fastk.engine.conflicts import OnConflict
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.columns import Columns
    from fastk.schema.settings import SeriesSettings


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


class SeriesEdit:
    """Changes of one series, partition by partition. A change that fails leaves no trace.

    ``changes_rows`` is False as long as chunks were merged only. ``zone_rows`` is the size of the blocks of zone maps.
    """

    def __init__(self, newest: Snapshot, policy: CompactionPolicy) -> None:
        self.newest = newest
        self.changes_rows = False
        self.zone_rows = ZONE_ROWS
        self._policy = policy
        self._partitions: dict[int, PartitionEdit] = {}
        self._behind: NewChunk | None = None

    def append_behind(self, columns: Columns) -> bool:
        """Put checked rows behind all that is stored, in the last partition, as most appends do; False if not there.

        What :meth:`put` would make of them, in a straight line, for an edit that gets no other change.
        """
        newest, ts = self.newest, columns[0]
        last = newest.last_partition
        if last is None or self._policy.auto_merge or not len(ts) or ts[0] <= newest.leaf_ends[-1]:
            return False
        settings = newest.settings
        if ts[-1] > settings.partition.bounds(last.ordinal, settings.time_unit)[1]:
            return False
        self._behind = NewChunk(last.ordinal, columns, ChunkKind.DELTA, generation_behind(last.generation))
        self.changes_rows = True
        return True

    def _partition(self, ordinal: int) -> PartitionEdit:
        """A partition as it stands, to be changed and then put back."""
        present = self._partitions.get(ordinal)
        return PartitionEdit(self.newest, ordinal) if present is None else present.copy()

    def put(self, columns: Columns, on_conflict: OnConflict | None) -> Counts:
        """Put checked rows. ``on_conflict`` None: behind what their partitions hold, as one chunk each."""
        settings = self.newest.settings
        pieces = split(columns[0], settings.partition, settings.time_unit)
        if sum(stop - start for _, start, stop in pieces) != len(columns[0]):  # no assert: `-O` must not lose a row
            raise AssertionError(f"{settings.key}: the rows of a put were not all planned; nothing was written")
        changed, counts, refused = [], [], []
        for ordinal, start, stop in pieces:
            partition, rows = self._partition(ordinal), [column[start:stop] for column in columns]
            try:
                counts.append(self._put_into(partition, rows, on_conflict))
                changed.append(partition)
            except Conflict as error:
                refused.append(error)
        if refused:
            raise _summed(refused, on_conflict or "error", len(columns[0]), counts)
        if on_conflict is not None and pieces:
            changed += self._sealed_before(pieces[0][0])
        self._keep(changed)
        total = Counts(*map(sum, zip(*counts, strict=True))) if counts else Counts()
        self.changes_rows |= total.accepted + total.replaced > 0
        return total

    def _sealed_before(self, ordinal: int) -> list[PartitionEdit]:
        """The last partition as one chunk, if the one of this ordinal begins behind it."""
        last = max(
            [*self._partitions, *(int(ref.item["partition"]) for ref in islice(self.newest.backwards(), 1))],
            default=ordinal,
        )
        if last >= ordinal:
            return []
        partition = self._partition(last)
        with suppress(*UNREADABLE):  # such a chunk stays as it is, and keeps nobody from writing
            partition.seal(self._policy)
        return [partition]

    def _put_into(self, partition: PartitionEdit, rows: Columns, on_conflict: OnConflict | None) -> Counts:
        if on_conflict is None:
            counts = partition.append(rows)
        else:
            counts = partition.insert(rows, on_conflict, self._policy)
        if self._policy.auto_merge and counts.accepted + counts.replaced:
            self._merge_if_advised(partition)
        return counts

    def _merge_if_advised(self, partition: PartitionEdit) -> None:
        if partition.decide(self._policy).should_merge:
            with suppress(*UNREADABLE):  # such a chunk stays as it is, and keeps nobody from writing
                partition.merge()

    def _keep(self, changed: Iterable[PartitionEdit]) -> None:
        for partition in changed:
            partition.settle()
            self._partitions[partition.partition] = partition

    def delete(self, start: int, end: int) -> int:
        """Take the rows with ``start <= ts <= end`` out; returns how many."""
        changed = [self._partition(ordinal) for ordinal in self._touched(start, end)]
        deleted = sum(partition.delete(start, end) for partition in changed)
        self._keep(changed)
        self.changes_rows |= deleted > 0
        return deleted

    def _touched(self, start: int, end: int) -> list[int]:
        """The partitions that have rows between two times, or may have."""
        stored = {int(ref.item["partition"]) for ref in self.newest.overlapping(start, end)}
        return sorted(stored | self._partitions.keys())

    def replace(self, start: int, end: int, columns: Columns) -> tuple[int, int]:
        """Put rows in the place of all between two times; returns rows put and taken out, none if they are the same."""
        if self._holds(start, end, columns):
            return 0, 0
        before = dict(self._partitions), self.changes_rows
        try:
            deleted = self.delete(start, end)
            return self.put(columns, "error").accepted if columns[0].size else 0, deleted
        except BaseException:
            self._partitions, self.changes_rows = before
            raise

    def _holds(self, start: int, end: int, columns: Columns) -> bool:
        """Whether these very rows stand between two times; False where what stands there cannot be read."""
        try:
            return conflicts.same_rows(self._rows_between(start, end), columns)
        except UNREADABLE:
            return False

    def _rows_between(self, start: int, end: int) -> Columns:
        empty = [np.empty(0, field.dtype) for field in self.newest.settings.schema.fields]
        parts = (self._partition(ordinal).between(start, end) for ordinal in self._touched(start, end))
        return conflicts.joined([empty, *parts])

    def merge(self, ordinals: Iterable[int]) -> int:
        """Make one chunk of each partition; returns how many chunks were merged."""
        changed = [self._partition(ordinal) for ordinal in ordinals]
        merged = sum(count for count in (partition.merge() for partition in changed) if count > 1)
        self._keep(changed)
        return merged

    def groups(self, ordinals: Sequence[int], most_bytes: int) -> Iterator[list[int]]:
        """Partitions in runs whose chunks that are to be merged have so many bytes of rows at most; or one alone."""
        size, group = 0, list[int]()
        merged = self._bytes_to_merge()
        for ordinal in ordinals:
            if group and size + merged.get(ordinal, 0) > most_bytes:
                yield group
                size, group = 0, []
            size, group = size + merged.get(ordinal, 0), [*group, ordinal]
        yield group

    def _bytes_to_merge(self) -> dict[int, int]:
        """Bytes of rows of each partition that has several chunks."""
        table, row_bytes = self.newest.table, self.newest.settings.schema.dtype.itemsize
        ordinals, places, chunks = np.unique(table["partition"], return_inverse=True, return_counts=True)
        rows = np.bincount(places, table["rows"], ordinals.size).astype(np.int64)
        several = chunks > 1
        return dict(zip(ordinals[several].tolist(), (rows[several] * row_bytes).tolist(), strict=True))

    def decide(self, ordinals: Iterable[int]) -> list[CompactionDecision]:
        """The advice for some partitions."""
        return [self._partition(ordinal).decide(self._policy) for ordinal in ordinals]

    def stored_partitions(self) -> list[int]:
        """The partitions that have chunks, or were changed here, in order of time."""
        return sorted({*np.unique(self.newest.table["partition"]).tolist(), *self._partitions})

    @property
    def changes_files(self) -> bool:
        """Whether there is anything to commit: rows that were put and deleted again are not."""
        return self._behind is not None or any(partition.changes_files for partition in self._partitions.values())

    @property
    def removed(self) -> list[ChunkRef]:
        """The stored chunks to be taken out, in order of partitions."""
        if self._behind is not None:
            return []
        return [ref for partition in self._in_order() for ref in partition.removed]

    @property
    def added(self) -> list[NewChunk]:
        """The chunks to be written, in order of time."""
        if self._behind is not None:
            return [self._behind]
        return [chunk for partition in self._in_order() for chunk in partition.added]

    def _in_order(self) -> Iterator[PartitionEdit]:
        return (self._partitions[ordinal] for ordinal in sorted(self._partitions))


def _summed(refused: list[Conflict], policy: OnConflict, rows: int, accepted: list[Counts]) -> Conflict:
    """The first refusal, with the counts of the whole put."""
    identical = sum(error.identical for error in refused) + sum(counts.identical for counts in accepted)
    return conflicts.refusal(refused[0], policy, rows, identical, sum(error.conflicting for error in refused))
