"""Mutations of a store: series come and go, rows are put, deleted and merged, each in one commit a series."""

from __future__ import annotations

import os
import os.path
import time
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fastk.engine.collect import Garbage, find_garbage
from fastk.engine.commit import Commit
from fastk.engine.edit import SeriesEdit, check_order
from fastk.engine.leftovers import check_newest, set_aside
from fastk.engine.partition_edit import Counts
from fastk.engine.results import GcReport, MergeResult, PutResult
from fastk.errors import InvalidData, InvalidInput, SnapshotExpired, UnsupportedVersion
from fastk.format import names
from fastk.format.manifest import Manifest
from fastk.schema.settings import SeriesSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.engine.commit import BeforeRemoval
    from fastk.engine.compaction import CompactionPolicy
    from fastk.engine.conflicts import OnConflict
    from fastk.engine.files import SeriesFiles
    from fastk.engine.gate import WriteGate
    from fastk.engine.reader import SeriesReader
    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk
    from fastk.schema.columns import Columns

    Outcome = TypeVar("Outcome")

MERGE_BYTES = 64 << 20
"""Of rows that a merge of many partitions holds in memory, unless one partition has more."""


def now_ms() -> int:
    """Wall-clock time in ms."""
    return time.time_ns() // 1_000_000


def _time_of(newest: Snapshot) -> int:
    """The time of the next commit of a series, which never goes back: what was retired first is to be over first."""
    return max(now_ms(), newest.manifest.updated_at)


class Writer:
    """Mutations of one store. ``grace_ms`` is how long files stay after a commit stopped naming them.

    ``before_removal`` is told of a series before files of it go for good.
    """

    def __init__(
        self,
        disk: Disk,
        root: str,
        gate: WriteGate,
        grace_ms: int,
        policy: CompactionPolicy,
        before_removal: BeforeRemoval,
    ) -> None:
        self.policy = policy
        self._before_removal = before_removal
        self._disk = disk
        self._root = root
        self._gate = gate
        self._grace_ms = grace_ms
        self._durable_folders: set[str] = set()
        self._highest: dict[int, int] = {}
        self._known_crashes = 0
        self._batch: dict[SeriesReader, SeriesEdit] | None = None
        self._is_spoilt = False

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the store's lock. What was known of the disk is forgotten if any writer left files since."""
        with self._gate.hold():
            self._heed_crashes()
            yield

    def _heed_crashes(self) -> None:
        if self._gate.crashes != self._known_crashes:
            self._known_crashes = self._gate.crashes
            self._highest.clear()
            self._durable_folders.clear()

    # Series come and go

    def register(self, files: SeriesFiles, wanted: SeriesSettings) -> bool:
        """Create a series; False if it exists with these settings. InvalidInput if it exists with others."""
        with self._held():
            files.check_plain(self._disk)
            if self._disk.exists(files.manifest):
                self._disk.sync_folder(files.folder)  # its writer may have ended between the rename and this
                stored = files.parse_manifest(self._disk.read(files.manifest)).settings
                differences = stored.differences(wanted)
                if differences:
                    raise InvalidInput(
                        f"series {files.key} is registered with other settings: {'; '.join(differences)}. "
                        f"Use those, or another name"
                    )
                return False
            files.check_not_lost(self._disk)
            self._make_folders(files)
            settings = wanted.changed(series_id=int.from_bytes(os.urandom(8), "little"), created_at=now_ms())
            SeriesSettings.from_json(settings.json)  # what could not be read again is not written
            self._disk.replace_unnamed(files.manifest_temporary, [Manifest(settings, 1, 1, now_ms()).encode()])
            self._publish(files, [files.manifest_temporary])
            self._disk.sync_folder(files.folder)
            return True

    def _make_folders(self, files: SeriesFiles) -> None:
        """The folders of a series, durable by name: what another writer left may not be, so all are synced once."""
        for folder in (*files.parents, files.folder):
            if self._disk.make_folder(folder) or folder not in self._durable_folders:
                self._disk.sync_folder(os.path.dirname(folder))
                self._durable_folders.add(folder)
        self._disk.make_folder(files.chunks)
        self._disk.sync_folder(files.folder)

    def drop(self, files: SeriesFiles) -> None:
        """Take a series out of the store in one rename; its files stay aside for the grace period."""
        with self._held():
            series_id = self._series_id(files)
            aside = self._dropped_folder()
            self._disk.make_folder(aside)
            self._disk.sync_folder(self._root)
            dropped_at = now_ms()
            while self._disk.exists(target := os.path.join(aside, names.dropped_folder_name(series_id, dropped_at))):
                dropped_at += 1  # damaged series share the id 0
            self._disk.rename(files.folder, target)
            if self._batch is not None:
                self._batch = {reader: edit for reader, edit in self._batch.items() if reader.files.key != files.key}
            self._disk.sync_folder(aside)
            self._disk.sync_folder(files.parents[-1])
            self._durable_folders.discard(files.folder)
            for folder in files.parents[:0:-1]:
                if not self._disk.remove_folder(folder):
                    break
                self._durable_folders.discard(folder)
            self._purge_dropped(self._grace_ms)

    def _series_id(self, files: SeriesFiles) -> int:
        """The id in the manifest; 0 if that is damaged, so that such a series can be dropped as well."""
        try:
            return files.parse_manifest(self._disk.read(files.manifest)).settings.series_id
        except UnsupportedVersion:
            raise
        except InvalidData:
            return 0

    def _dropped_folder(self) -> str:
        """Where dropped series lie."""
        aside = os.path.join(self._root, names.DROPPED_FOLDER)
        if self._disk.is_link(aside):
            raise InvalidData(f"{aside} is a symbolic link; the folders of a store are plain ones: remove it")
        return aside

    def _dropped(self, grace_ms: int) -> list[str]:
        """Folders of series that were dropped longer than the grace period ago. What a link names lies elsewhere."""
        aside, before = self._dropped_folder(), now_ms() - grace_ms
        found = ((name, names.parse_dropped_folder_name(name)) for name in self._disk.list(aside))
        over = [os.path.join(aside, name) for name, dropped in found if dropped is not None and dropped[1] <= before]
        return [folder for folder in over if not self._disk.is_link(folder)]

    def _files_below(self, folder: str) -> list[str]:
        """The files of a dropped series; others in its folders are somebody else's, and so is what a link names."""
        below = (os.path.join(folder, names.CHUNKS_FOLDER), folder)
        return [
            os.path.join(place, name)
            for place in below
            if not self._disk.is_link(place)
            for name in self._disk.list(place)
            if names.is_of_series(name)
        ]

    def _purge_dropped(self, grace_ms: int) -> None:
        for folder in self._dropped(grace_ms):
            dropped = names.parse_dropped_folder_name(os.path.basename(folder))
            if dropped is not None:
                self._before_removal(dropped[0], None, None)
            for path in self._files_below(folder):
                self._disk.remove_file_or_folder(path)
            self._disk.remove_folder(os.path.join(folder, names.CHUNKS_FOLDER))
            self._disk.remove_folder(folder)

    def collect_dropped(self, grace_ms: int, *, dry_run: bool) -> GcReport:
        """Remove the files of series that were dropped longer than the grace period ago."""
        with nullcontext() if dry_run else self.alone("gc"):
            every = (path for folder in self._dropped(grace_ms) for path in self._files_below(folder))
            paths = [path for path in every if not self._disk.is_folder(path)]
            size = sum(map(self._disk.size, paths))
            if not dry_run:
                self._purge_dropped(grace_ms)
            return GcReport(dry_run, len(paths), size, 0, paths)

    # Rows

    def put(self, reader: SeriesReader, columns: Columns, on_conflict: OnConflict | None, zone_rows: int) -> PutResult:
        """Put checked rows, all of them in one commit, or an error and nothing; see :meth:`fastk.Series.put`.

        ``zone_rows`` is the size of the blocks of zone maps.
        """
        rows = len(columns[0])
        if rows:
            check_order(columns[0], reader.snapshot.settings)

        def change(edit: SeriesEdit) -> Counts:
            edit.zone_rows = zone_rows
            if on_conflict is None and self._batch is None and edit.append_behind(columns):
                return Counts(rows)
            return edit.put(columns, on_conflict)

        counts, chunks, sequence = self._mutate(reader, change)
        return PutResult(*counts, 0, chunks, sequence)

    def delete(self, reader: SeriesReader, start: int, end: int) -> PutResult:
        """Take the rows with ``start <= ts <= end`` out, in one commit."""
        deleted, chunks, sequence = self._mutate(reader, lambda edit: edit.delete(start, end))
        return PutResult(0, 0, 0, 0, chunks, sequence, deleted)

    def replace(self, reader: SeriesReader, start: int, end: int, columns: Columns, zone_rows: int) -> PutResult:
        """Put rows in the place of all between ``start`` and ``end``, in one commit; none if they are these already."""
        ts = columns[0]
        if ts.size:
            check_order(ts, reader.snapshot.settings)
            if not start <= int(ts[0]) <= int(ts[-1]) <= end:
                raise InvalidInput(
                    f"{reader.files.key}: the rows reach from ts {int(ts[0])} to {int(ts[-1])}, beyond the range from "
                    f"{start} to {end} that they are to replace. Nothing was written"
                )

        def change(edit: SeriesEdit) -> tuple[int, int]:
            edit.zone_rows = zone_rows
            return edit.replace(start, end, columns)

        (accepted, deleted), chunks, sequence = self._mutate(reader, change)
        return PutResult(accepted, ts.size - accepted, 0, 0, chunks, sequence, deleted)

    def merge(self, reader: SeriesReader, choose: Callable[[SeriesEdit], list[int]]) -> MergeResult:
        """Make one sealed chunk of each of the chosen partitions, in commits that change no row.

        Each holds as many partitions as MERGE_BYTES of rows are, or a larger one alone: what is in memory at a time.
        """
        with self._held():
            edit = self._edit_of(reader)
            groups = list(edit.groups(choose(edit), MERGE_BYTES))
            done = [self._mutate(reader, partial(SeriesEdit.merge, ordinals=group)) for group in groups]
        return MergeResult(sum(merged for merged, _, _ in done), sum(chunks for _, chunks, _ in done), done[-1][2])

    def _mutate(self, reader: SeriesReader, change: Callable[[SeriesEdit], Outcome]) -> tuple[Outcome, int, int]:
        """Apply a change to the newest state and commit it, or leave it to the batch; with chunks and commit number."""
        with self._gate.hold():
            self._heed_crashes()
            edit = self._edit_of(reader)
            outcome = change(edit)
            if self._batch is not None:
                self._batch[reader] = edit
                return outcome, 0, edit.newest.manifest.sequence
            return outcome, *self._commit({reader: edit})[0]

    def _edit_of(self, reader: SeriesReader) -> SeriesEdit:
        if self._batch is not None and reader in self._batch:
            return self._batch[reader]
        pinned, newest = reader.snapshot.settings, reader.newest()
        if newest.settings.series_id != pinned.series_id:
            raise SnapshotExpired(f"series {pinned.key} was dropped and registered again; call refresh() first")
        return SeriesEdit(newest, self.policy)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold the lock, and commit what happens meanwhile at the end: one commit a series; nothing if it fails.

        Batches of one thread nest: the outermost commits, and if an inner one failed, it fails as well.
        """
        with self._held():
            if self._batch is not None:
                with self._spoiling():
                    yield
                return
            self._batch, self._is_spoilt = {}, False
            try:
                yield
                self._gate.check_thread()
                edits = self._batch
            finally:
                self._batch = None
            if self._is_spoilt:
                raise InvalidInput("a batch within this one failed: nothing of either was written")
            self._gate.check_open()  # the block may have closed the store, or caught a failed sync
            self._commit(edits)

    @contextmanager
    def _spoiling(self) -> Iterator[None]:
        try:
            yield
            self._gate.check_thread()
        except BaseException:
            self._is_spoilt = True
            raise

    @contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Hold the lock for what commits at once; InvalidInput within a batch, whose edits know the state before."""
        with self._held():
            if self._batch is not None:
                raise InvalidInput(
                    f"{what} commits at once, which a batch must not: call it before or behind the batch"
                )
            yield

    def collect(self, reader: SeriesReader, grace_ms: int, *, dry_run: bool) -> GcReport:
        """Remove what no snapshot younger than the grace period can need; with ``dry_run`` say only what that is."""
        with nullcontext() if dry_run else self.alone("gc"):
            newest = reader.newest()
            if dry_run:
                check_newest(self._disk, newest)
            else:
                self._look_at_leftovers(newest)
            garbage = find_garbage(self._disk, newest, _time_of(newest), grace_ms)
            size = sum(map(self._disk.size, garbage.paths))
            if not dry_run:
                self._remove_garbage(reader, newest, garbage, grace_ms)
            return GcReport(dry_run, len(garbage.paths), size, garbage.waiting, garbage.paths)

    def _remove_garbage(self, reader: SeriesReader, newest: Snapshot, garbage: Garbage, grace_ms: int) -> None:
        for wave in garbage.waves:
            for path in wave:
                self._disk.remove(path)
            self._disk.sync_folder(newest.chunks.files.chunks)
        if garbage.expired:  # later, because these may name some of the others
            self._carry_out({reader: self._begin(SeriesEdit(newest, self.policy))}, grace_ms)

    # Commits

    def _commit(self, edits: dict[SeriesReader, SeriesEdit]) -> list[tuple[int, int]]:
        """Bring edits to their next states; returns chunks written and commit number of each."""
        commits = {reader: self._begin(edit) for reader, edit in edits.items() if edit.changes_files}
        self._carry_out(commits, self._grace_ms)
        return [
            (commits[reader].chunk_count, commits[reader].sequence)
            if reader in commits
            else (0, edit.newest.manifest.sequence)
            for reader, edit in edits.items()
        ]

    def _begin(self, edit: SeriesEdit) -> Commit:
        return Commit(self._disk, edit, self._next_sequence(edit.newest), _time_of(edit.newest))

    def _carry_out(self, commits: dict[SeriesReader, Commit], grace_ms: int) -> None:
        try:
            made = self._write(commits, grace_ms)
            for commit in commits.values():
                self._publish(commit.files, commit.created)
            self._disk.sync_together([], [commit.files.folder for commit in commits.values()])
            for reader, commit in commits.items():
                reader.move(made[reader], commit.data, commit.removed)
        except BaseException:
            self._gate.leave_files()  # or a manifest that is not durable
            self._remove_unnamed([path for commit in commits.values() for path in commit.created])
            raise

    def _write(self, commits: dict[SeriesReader, Commit], grace_ms: int) -> dict[SeriesReader, Snapshot]:
        """Everything before the rename, each step for all series; gives the states that the renames will make."""
        for commit in commits.values():
            commit.write_chunks()
        for commit in commits.values():
            commit.remove_expired(grace_ms, self._before_removal)
        made = {}
        for reader, commit in commits.items():
            commit.write_manifest()
            made[reader] = reader.following(commit.manifest, commit.last_chunk)
        files = [path for commit in commits.values() for path in commit.unsynced]
        folders = [commit.files.chunks for commit in commits.values() if commit.changes_chunk_names]
        self._disk.sync_together(files, folders)
        return made

    def _publish(self, files: SeriesFiles, created: list[str]) -> None:
        """The commit point.

        ``created`` is emptied before the rename: from there on the files may belong to the store, whatever interrupts
        this thread, so that nobody must remove them.
        """
        written = list(created)
        created.clear()
        try:
            self._disk.rename(files.manifest_temporary, files.manifest)
        except OSError:  # it did not take place
            created += written
            raise

    def _next_sequence(self, newest: Snapshot) -> int:
        """A commit number above all that files bear, so that the leftovers of a crashed writer never share one.

        The folders are listed at the first write of this store object, and again after any writer left files.
        """
        series_id = newest.settings.series_id
        if series_id not in self._highest:
            self._look_at_leftovers(newest)
        highest = max(self._highest[series_id], newest.manifest.sequence)
        self._highest[series_id] = names.sequence_behind(highest)
        return self._highest[series_id]

    def _look_at_leftovers(self, newest: Snapshot) -> None:
        found = set_aside(self._disk, newest)
        series_id = newest.settings.series_id
        self._highest[series_id] = max(self._highest.get(series_id, 0), found)

    def _remove_unnamed(self, paths: list[str]) -> None:
        """Remove what an unfinished commit wrote, as far as the disk lets."""
        for path in paths:
            with suppress(OSError):
                self._disk.remove(path)
