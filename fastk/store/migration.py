"""From a store of the original to one of this format: copied, compared row by row, and only then named.

The target is built under a temporary name beside it. Each series is appended batch by batch in order of time, so that
what a killed migration left is a beginning of the whole: the next one goes on behind it. At the end every row that the
target has is compared with the source's; a series that differs is made anew once. A rename then gives the target its
name: there is never half of it.
"""

from __future__ import annotations

import os
import os.path
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fastk.errors import FastKError, InvalidData, InvalidInput, LockTimeout, NotFound, StoreClosed
from fastk.format import names
from fastk.io.disk import Disk, SyncFailed
from fastk.keys import SeriesKey
from fastk.store.building import alone, check_free, publish
from fastk.store.migration_batches import Batch, batches_of, first_difference, row_bytes
from fastk.store.migration_report import MigrationReport, SeriesMigration
from fastk.store.store import FastKStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.engine.snapshot import Snapshot
    from fastk.store.series import Series

    Path = str | os.PathLike[str]
    Progress = Callable[[int, int], None]

BUILDING_SUFFIX = ".migrating"
_MAPS = 16  # chunks of either store that stay mapped meanwhile
_FATAL = (LockTimeout, StoreClosed, SyncFailed)  # true of every series


def migrate(
    source: Path, target: Path, *, dry_run: bool = False, progress: Progress | None = None, disk: Disk | None = None
) -> MigrationReport:
    """Make a store of this format from one of the original, which stays as it is.

    Every series comes with its settings: scales, timeframe, partition, the block size of its zone maps. Each chunk
    becomes a chunk. After all is written it is compared row by row; then the target gets its name. A migration that was
    killed is gone on with by the same call: what it had made lies at ``TARGET.migrating``. One that was finished before
    is compared again, and nothing is written.

    Damaged chunks are left out, their rows named in the report; so is a series whose manifest cannot be read. Look at
    ``report.is_complete``. ``dry_run`` verifies the source and writes nothing. ``progress(done, total)`` is told bytes
    of rows. NotFound or InvalidInput if the source is no store of the original, or the target holds something else;
    LockTimeout if another migration is making it.

    Cost: three passes over the rows, and the syncs of a commit for a million rows or a partition that has several
    chunks. Memory: about 100 MB, more where more rows than a million share a ts.
    """
    disk = disk or Disk()
    root, final = (os.path.abspath(os.fspath(path)) for path in (source, target))
    with FastKStore.open(root, "r", max_maps=_MAPS, disk=disk) as old:
        if not old.is_original:
            raise InvalidInput(f"{root} is a store of this format already: there is nothing to migrate")
        _check_apart(root, final)
        migration = _Migration(disk, old, MigrationReport(root, final, dry_run), progress)
        if dry_run:
            migration.examine()
        elif disk.exists(os.path.join(final, names.STORE_FILE)):
            migration.compare()
        else:
            migration.build()
        return migration.report


def _check_apart(source: str, target: str) -> None:
    if os.path.commonpath((source, target)) in (source, target):
        raise InvalidInput(f"{target} must lie beside the source {source}, not in it or around it")


class _Migration:
    """One migration. ``done`` and ``total`` count bytes of rows that were written or compared."""

    def __init__(self, disk: Disk, old: FastKStore, report: MigrationReport, progress: Progress | None) -> None:
        self.report = report
        self._disk = disk
        self._old = old
        self._progress = progress
        self._done = self._total = 0

    # The three ways

    def examine(self) -> None:
        """Verify the source, and write nothing."""
        for snapshot, report in self._sources(1):
            for batch in batches_of(snapshot, report.lost):
                report.migrated_rows += batch.rows
                self._count(batch)

    def compare(self) -> None:
        """Compare a target that is there already; InvalidInput if it is not what a migration makes."""
        with FastKStore.open(self.report.target, "r", max_maps=_MAPS, disk=self._disk) as new:
            for snapshot, report in self._sources(1):
                key = snapshot.settings.key
                series = new.series(key)
                problem = self._compare(snapshot, series, report) if series.exists else "it is missing"
                if problem is not None:
                    raise InvalidInput(
                        f"{self.report.target} is a store already, and not what this migration would make ({key}: "
                        f"{problem}): name a new folder"
                    )

    def build(self) -> None:
        """Make the target, or go on with making it."""
        target = self.report.target
        check_free(self._disk, target)
        building = target + BUILDING_SUFFIX
        with alone(self._disk, building), FastKStore.open(building, grace_seconds=0, disk=self._disk) as new:
            new.init()
            sources = self._sources(2)
            self._drop_others(new)
            for snapshot, report in sources:
                with self._contained(report):
                    self._bring(snapshot, report, new)
            new.gc(grace_seconds=0)
        if self.report.series and all(each.problem for each in self.report.series):
            return
        publish(self._disk, building, target)
        self.report.is_new = True

    # One series

    def _sources(self, passes: int) -> list[tuple[Snapshot, SeriesMigration]]:
        """Every series whose manifest can be read, pinned; the others are in the report."""
        found = []
        for key, folder in sorted(self._old._series_folders()):
            report = SeriesMigration(*key)
            self.report.series.append(report)
            with self._contained(report):
                found.append((self._pin(key, folder, report), report))
        self._total = passes * sum(row_bytes(snapshot) * snapshot.rows for snapshot, _ in found)
        self._tell()
        return found

    @contextmanager
    def _contained(self, report: SeriesMigration) -> Iterator[None]:
        """What is wrong with one series keeps no other from coming."""
        try:
            yield
        except _FATAL:
            raise
        except (FastKError, OSError) as error:
            if not isinstance(error, FastKError) and str(error.filename or "").startswith(self.report.target):
                raise  # the target is where every series goes
            report.problem, report.migrated_rows = str(error), 0

    def _pin(self, key: SeriesKey, folder: str, report: SeriesMigration) -> Snapshot:
        series = self._old.series(key)
        if not series.exists:
            self._old._readers[key].files.check_not_lost(self._disk)
            raise InvalidData(f"{folder} has no manifest, and no chunks either")
        snapshot = series._reader.snapshot
        report.record_type, report.chunks, report.rows = series.schema.name, snapshot.chunk_count, snapshot.rows
        self._find_unnamed(snapshot)
        return snapshot

    def _find_unnamed(self, snapshot: Snapshot) -> None:
        files, partition = snapshot.chunks.files, snapshot.settings.partition
        named = {files.chunk(item, partition) for item in snapshot.table}
        for name in self._disk.list(files.chunks):
            path = os.path.join(files.chunks, name)
            if name.endswith(".chunk") and path not in named:
                self.report.unnamed_files.append(os.path.relpath(path, self.report.source))

    def _drop_others(self, new: FastKStore) -> None:
        """Drop what a migration of another source left under the temporary name."""
        ours = {SeriesKey(each.symbol, each.category, each.name) for each in self.report.series if not each.problem}
        for key in [key for key, _ in new._series_folders() if key not in ours]:
            _drop(new, key)

    def _bring(self, snapshot: Snapshot, report: SeriesMigration, new: FastKStore) -> None:
        """Copy a series as far as it is not there, and compare it; once more from the start if that does not fit."""
        key, difference = snapshot.settings.key, None
        for is_last in (False, True):
            try:
                difference = self._copy_and_compare(snapshot, report, new)
            except _FATAL:
                raise
            except FastKError:
                _drop(new, key)
                if is_last:
                    raise
                continue
            if difference is None:
                return
            _drop(new, key)
        raise InvalidData(f"what was written differs from the source, twice: {difference}")

    def _copy_and_compare(self, snapshot: Snapshot, report: SeriesMigration, new: FastKStore) -> str | None:
        report.lost.clear()
        settings = snapshot.settings
        series = new.register_series(
            settings.key,
            settings.schema,
            timeframe_ms=settings.timeframe_ms,
            scales=settings.scales,
            partition=settings.partition,
        )
        self._copy(snapshot, report, series)
        report.lost.clear()
        return self._compare(snapshot, series, report)

    def _copy(self, snapshot: Snapshot, report: SeriesMigration, series: Series) -> None:
        position, present = 0, len(series)
        for batch in batches_of(snapshot, report.lost):
            if position >= present:
                columns = dict(zip(series.schema.names, batch.columns(), strict=True))
                series.append(columns, zone_rows=batch.zone_rows)
            elif position + batch.rows > present:  # no migration of this source has made that
                return
            position += batch.rows
            self._count(batch)

    def _compare(self, snapshot: Snapshot, series: Series, report: SeriesMigration) -> str | None:
        """What differs between the sound rows of a source and a series, in words; None if nothing does."""
        cursor = series.replay()
        for batch in batches_of(snapshot, report.lost):
            rows = cursor.next_batch(batch.rows)
            difference = first_difference(batch, rows) if len(rows) == batch.rows else "it has fewer rows"
            if difference is not None:
                return difference
            self._count(batch)
        if not cursor.is_exhausted:
            return "it has more rows"
        report.migrated_rows = cursor.position
        return None

    def _count(self, batch: Batch) -> None:
        self._done += batch.nbytes
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _drop(new: FastKStore, key: SeriesKey) -> None:
    with suppress(NotFound):
        new.drop_series(key)
