"""Commits: from checked columns to one new durable state, or to the old one.

Order of effects: chunks, then each synced; their folder synced; table files, synced with theirs; the manifest under a
temporary name, synced; renamed; the series folder synced. Until the rename nothing names the new files, so a crash
leaves the old state; after it, all that the manifest names is durable.
"""

from __future__ import annotations

import os
import os.path
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fastk.engine import append
from fastk.errors import InvalidData, InvalidInput, SnapshotExpired, UnsupportedVersion
from fastk.format import chunk_tables, names, retired, tables
from fastk.format.chunk import ChunkIdentity, encode_chunk
from fastk.format.manifest import Manifest
from fastk.format.sidecars import ZONE_ROWS, SidecarOwner, encode_sidecars
from fastk.schema.settings import SeriesSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.engine.files import SeriesFiles
    from fastk.engine.gate import WriteGate
    from fastk.engine.reader import SeriesReader
    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk
    from fastk.schema.columns import Columns


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of the rows of one put; the first four counts sum to the rows given.

    ``chunks`` files were written, and ``sequence`` is the series' commit number after the put.
    """

    accepted: int
    identical: int
    replaced: int
    rejected: int
    chunks: int
    sequence: int


def now_ms() -> int:
    """Wall-clock time in ms."""
    return time.time_ns() // 1_000_000


class Writer:
    """Mutations of one store. ``grace_ms`` is how long files stay after a commit stopped naming them."""

    def __init__(self, disk: Disk, root: str, gate: WriteGate, grace_ms: int) -> None:
        self._disk = disk
        self._root = root
        self._gate = gate
        self._grace_ms = grace_ms
        self._durable_folders: set[str] = set()
        self._highest: dict[int, int] = {}
        self._known_crashes = 0

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the store's lock. What was known of the disk is forgotten if any writer left files since."""
        with self._gate.hold():
            if self._gate.crashes != self._known_crashes:
                self._known_crashes = self._gate.crashes
                self._highest.clear()
                self._durable_folders.clear()
            yield

    # Series come and go

    def register(self, files: SeriesFiles, wanted: SeriesSettings) -> bool:
        """Create a series; False if it exists with these settings. InvalidInput if it exists with others."""
        with self._held():
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
            self._make_folders(files)
            settings = wanted.changed(series_id=int.from_bytes(os.urandom(8), "little"), created_at=now_ms())
            SeriesSettings.from_json(settings.json)  # what could not be read again is not written
            self._publish(files, Manifest(settings, 1, 1, now_ms()), [])
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
            aside = os.path.join(self._root, names.DROPPED_FOLDER)
            self._disk.make_folder(aside)
            self._disk.sync_folder(self._root)
            dropped_at = now_ms()
            while self._disk.exists(target := os.path.join(aside, names.dropped_folder_name(series_id, dropped_at))):
                dropped_at += 1  # damaged series share the id 0
            self._disk.rename(files.folder, target)
            self._disk.sync_folder(aside)
            self._disk.sync_folder(files.parents[-1])
            self._durable_folders.discard(files.folder)
            for folder in files.parents[:0:-1]:
                if not self._disk.remove_folder(folder):
                    break
                self._durable_folders.discard(folder)
            self._purge_dropped(aside)

    def _series_id(self, files: SeriesFiles) -> int:
        """The id in the manifest; 0 if that is damaged, so that such a series can be dropped as well."""
        try:
            return files.parse_manifest(self._disk.read(files.manifest)).settings.series_id
        except UnsupportedVersion:
            raise
        except InvalidData:
            return 0

    def _purge_dropped(self, aside: str) -> None:
        """Remove series that were dropped longer than the grace period ago."""
        for name in self._disk.list(aside):
            dropped = names.parse_dropped_folder_name(name)
            if dropped is not None and dropped[1] <= now_ms() - self._grace_ms:
                folder = os.path.join(aside, name)
                for below in (os.path.join(folder, names.CHUNKS_FOLDER), folder):
                    for file in self._disk.list(below):
                        self._disk.remove_file_or_folder(os.path.join(below, file))
                self._disk.remove_folder(folder)

    # Rows

    def put(self, reader: SeriesReader, columns: Columns, zone_rows: int = ZONE_ROWS) -> PutResult:
        """Append checked columns: all of them in one commit, or InvalidInput and nothing.

        ``zone_rows`` is the size of the blocks of zone maps.
        """
        settings = reader.snapshot.settings
        rows = len(columns[0])
        if rows:
            append.check_order(columns[0], settings)
        with self._held():
            newest = reader.newest()
            if newest.settings.series_id != settings.series_id:
                raise SnapshotExpired(f"series {settings.key} was dropped and registered again; call refresh() first")
            if not rows:
                return PutResult(0, 0, 0, 0, 0, newest.manifest.sequence)
            planned = append.plan_append(newest, columns)
            if sum(plan.stop - plan.start for plan in planned) != rows:  # no assert: `python -O` must not lose a row
                raise AssertionError(f"{settings.key}: the rows of a put were not all planned; nothing was written")
            manifest, data, expired = self._commit_append(newest, columns, planned, zone_rows)
            reader.move(manifest, data)
            self._remove_expired(reader.files, manifest, expired)
            return PutResult(rows, 0, 0, 0, len(planned), manifest.sequence)

    def _remove_expired(self, files: SeriesFiles, manifest: Manifest, expired: list[np.void]) -> None:
        """Nothing names these files any more, and a failure leaves no more than a stray file."""
        for item in expired:
            with suppress(OSError):
                for path in files.retired(item, manifest.settings.partition):
                    self._disk.remove(path)

    def _next_sequence(self, files: SeriesFiles, manifest: Manifest) -> int:
        """A commit number above all that files bear, so that the leftovers of a crashed writer never share one.

        The folders are listed at the first write of this store object, and again after any writer left files.
        """
        highest = self._highest.get(manifest.settings.series_id)
        if highest is None:
            highest = max((0, *self._sequences_on_disk(files)))
        sequence = max(highest, manifest.sequence) + 1
        self._highest[manifest.settings.series_id] = sequence
        return sequence

    def _sequences_on_disk(self, files: SeriesFiles) -> Iterator[int]:
        for name in self._disk.list(files.chunks):
            chunk = names.parse_chunk_file_name(name.removesuffix(".zmap").removesuffix(".vix"))
            if chunk is not None:
                yield names.sequence_and_part(chunk.identity)[0]
        for name in self._disk.list(files.folder):
            table = names.parse_table_file_name(name)
            if table is not None:
                yield names.sequence_and_part(table)[0]

    def _commit_append(
        self, newest: Snapshot, columns: Columns, planned: list[append.PlannedChunk], zone_rows: int
    ) -> tuple[Manifest, bytes, list[np.void]]:
        files, old = newest.chunks.files, newest.manifest
        if len(planned) > names.MAX_PARTS:
            raise InvalidInput(
                f"{old.settings.key}: one put may touch {names.MAX_PARTS:,} partitions, not "
                f"{len(planned):,}; write it in parts"
            )
        sequence = self._next_sequence(files, old)
        created: list[str] = []
        try:
            added = self._write_chunks(files, old, sequence, columns, planned, zone_rows, created)
            edit = chunk_tables.edit(old, newest.load_table, tables.empty(tables.CHUNK), added, sequence)
            manifest, expired = self._next_manifest(newest, edit, created)
            return manifest, self._publish(files, manifest, created), expired
        except BaseException:
            self._remove_unnamed(created)
            raise

    def _remove_unnamed(self, paths: list[str]) -> None:
        """Remove what an unfinished commit wrote, as far as the disk lets."""
        for path in paths:
            try:
                self._disk.remove(path)
            except OSError:
                self._gate.leave_files()

    def _write_chunks(
        self,
        files: SeriesFiles,
        old: Manifest,
        sequence: int,
        columns: Columns,
        planned: list[append.PlannedChunk],
        zone_rows: int,
        created: list[str],
    ) -> tables.Table:
        """Write the chunks of a commit, and return their items of the chunk table."""
        settings = old.settings
        description = settings.json
        items = np.zeros(len(planned), tables.CHUNK)
        for part, plan in enumerate(planned):
            rows = [column[plan.start : plan.stop] for column in columns]
            identity = ChunkIdentity(
                settings.series_id,
                names.chunk_id(sequence, part),
                old.sequence,
                part,
                len(planned),
                plan.generation,
                plan.kind,
                plan.partition,
            )
            encoded = encode_chunk(description, settings.schema, rows, identity)
            items[part] = tables.chunk_item(
                identity, (int(rows[0][0]), int(rows[0][-1])), len(rows[0]), encoded.file_length, encoded.header_crc
            )[0]
            path = files.chunk(items[part], settings.partition)
            owner = SidecarOwner(settings.series_id, identity.chunk_id, encoded.header_crc, len(rows[0]))
            for sidecar in encode_sidecars(owner, settings.schema, rows, zone_rows):
                self._disk.create_derived(path + sidecar.suffix, sidecar.buffers)
                created.append(path + sidecar.suffix)
                items["sidecars"][part] |= sidecar.bit
            self._disk.create(path, encoded.buffers, sync=len(planned) == 1)
            created.append(path)
        for path in created:
            self._disk.sync_file(path)
        self._disk.sync_folder(files.chunks)
        return items

    def _next_manifest(
        self, newest: Snapshot, edit: chunk_tables.TableEdit, created: list[str]
    ) -> tuple[Manifest, list[np.void]]:
        """The manifest after an edit that changed rows, its table files written; and what nobody may need any more."""
        files, old, now = newest.chunks.files, newest.manifest, now_ms()
        newly = [retired.item(table_id, tables.RetiredKind.CHUNK_TABLE, now, edit.sequence) for table_id in edit.left]
        gone = retired.advance(old, newest.chunks.load_retired, newly, now, self._grace_ms, edit.sequence)
        for kind, written in (("chunks", edit.files), ("retired", gone.files)):
            for table_id, data in written:
                path = files.table(kind, table_id)
                self._disk.create(path, [data])
                created.append(path)
        if edit.files or gone.files:
            self._disk.sync_folder(files.folder)
        manifest = replace(
            old,
            sequence=edit.sequence,
            content_sequence=edit.sequence,
            updated_at=now,
            leaves=edit.leaf_table,
            chunks=edit.chunks,
            retired_table=gone.table,
            retired=gone.inline,
        )
        return manifest, gone.expired

    def _publish(self, files: SeriesFiles, manifest: Manifest, created: list[str]) -> bytes:
        """The commit point.

        ``created`` is emptied before the rename: from there on the files may belong to the store, whatever interrupts
        this thread, so that nobody must remove them.
        """
        data = manifest.encode()
        self._disk.replace_unnamed(files.manifest_temporary, [data])
        written = list(created)
        created.clear()
        try:
            self._disk.rename(files.manifest_temporary, files.manifest)
        except OSError:  # it did not take place
            created += [*written, files.manifest_temporary]
            raise
        except BaseException:  # it may have
            self._gate.leave_files()
            raise
        self._disk.sync_folder(files.folder)
        return data
