"""Carrying a plan out, in the order of every commit: what is new is durable before the manifest names it.

Leftovers of killed writers set aside; chunks of salvaged rows, synced with their folder; tables, synced with theirs; a
copy of a damaged manifest; the manifest under a temporary name, synced, renamed, its folder synced. Only then damaged
files move to the quarantine, and sidecars are made anew. A crash anywhere leaves the old state or the new one.
"""

from __future__ import annotations

import os.path
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.format import chunk_tables, names, retired, sidecars, tables
from fastk.format.chunk import ChunkIdentity, encode_chunk
from fastk.format.manifest import Manifest
from fastk.format.sidecars import SidecarOwner, encode_sidecars, encode_value_index, encode_zone_map
from fastk.recovery.blocks import Blocks
from fastk.recovery.examine import NamedChunk
from fastk.recovery.plan import NEXT_COMMIT
from fastk.recovery.quarantine import Quarantine, quarantined_files
from fastk.recovery.reading import other_than_before
from fastk.recovery.scan import LARGEST_READ, sequence_of_file
from fastk.recovery.sidecar_file import zone_rows_of
from fastk.recovery.sources import saved_rows
from fastk.recovery.verdicts import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastk.io.disk import Disk
    from fastk.recovery.examine import BadChunk, BadSidecar
    from fastk.recovery.locking import WriteLock
    from fastk.recovery.plan import SeriesPlan
    from fastk.schema.settings import SeriesSettings

_FOREVER = 1 << 62


def carry_out(disk: Disk, plan: SeriesPlan, lock: WriteLock) -> None:
    """Bring a series to the state that is planned; the store's lock is held. OSError leaves the old state.

    A manifest that somebody published who was killed before its sync is made durable first: what is made here builds
    upon it, or nothing is to be done because of it.
    """
    now = time.time_ns() // 1_000_000
    if plan.settings is not None:
        disk.sync_folder(plan.scan.place.folder)
    series_id = 0 if plan.settings is None else plan.settings.series_id
    quarantine = Quarantine(disk, plan.scan.place.root, series_id, now)
    if plan.needs_commit and plan.settings is not None:
        _SeriesCommit(disk, plan, plan.settings, now, lock).carry_out(quarantine)
    _clear_away(disk, plan, quarantine)
    for bad in plan.bad_sidecars:
        _make_sidecar(disk, plan, bad, quarantine)
    quarantine.settle()


def _clear_away(disk: Disk, plan: SeriesPlan, quarantine: Quarantine) -> None:
    """Move damaged files, and sidecars of damaged chunks, to the quarantine; remove the temporary manifest."""
    place = plan.scan.place
    moved = (path for damaged in plan.quarantine for path in _with_sidecars(plan, damaged))
    for path in dict.fromkeys(moved):
        if not (path in (place.manifest, place.temporary) and plan.needs_commit):
            quarantine.take(path)
    quarantine.settle()
    if plan.has_temporary and not plan.needs_commit:
        disk.remove(place.temporary)
        disk.sync_folder(place.folder)


def _with_sidecars(plan: SeriesPlan, path: str) -> list[str]:
    below = ((path + kind.suffix, os.path.basename(path) + kind.suffix) for kind in sidecars.KINDS)
    return [path, *(sidecar for sidecar, name in below if name in plan.scan.chunks)]


class _SeriesCommit:
    """One commit of one series. ``created`` are the files that nothing names so far."""

    def __init__(self, disk: Disk, plan: SeriesPlan, settings: SeriesSettings, now: int, lock: WriteLock) -> None:
        self._disk = disk
        self._plan = plan
        self._place = plan.scan.place
        self._settings = settings
        self._now = now
        self._lock = lock
        self._created: list[str] = []
        aside = quarantined_files(disk, self._place.root, settings.series_id)
        highest = max(plan.scan.highest_sequence(), plan.base, *map(sequence_of_file, aside), 0)
        writes_chunks = plan.salvages or plan.superseded
        self._sequence = (names.sequence_behind if writes_chunks else names.sequence_of_rebuild)(highest)

    def carry_out(self, quarantine: Quarantine) -> None:
        """All steps; what an error interrupts is taken back."""
        if names.CHUNKS_FOLDER not in self._plan.scan.folder and self._disk.make_folder(self._place.chunks):
            self._disk.sync_folder(self._place.folder)
        self._set_leftovers_aside()
        try:
            replaced, empty = self._write_chunks()
            data = self._write_tables(replaced, empty).encode()
            self._make_way(quarantine)
            self._publish(data)
        except BaseException:
            self._take_back()
            raise

    def _set_leftovers_aside(self) -> None:
        """Files of commits that were never finished must not look as if a commit had been made upon them."""
        for name in self._plan.set_aside:
            self._disk.rename(self._place.chunk(name), self._place.chunk(name + names.ORPHAN_SUFFIX))
            for kind in sidecars.KINDS:
                self._disk.remove(self._place.chunk(name + kind.suffix))
        if self._plan.set_aside:
            self._disk.sync_folder(self._place.chunks)

    # Chunks

    def _write_chunks(self) -> tuple[dict[int, np.void], tables.Table]:
        """Write the chunks of salvaged rows, or one without rows that says what is gone; durable.

        Returns the items of the former by the ids of the damaged chunks, and that of the latter.
        """
        replaced: dict[int, np.void] = {}
        for part, bad in enumerate(self._plan.salvages):
            rows = saved_rows(self._disk, bad)
            replaced[bad.chunk.chunk_id] = self._write_chunk(part, bad.chunk.item, rows, self._zone_rows(bad))[0]
        empty = tables.NO_CHUNKS
        if self._plan.superseded and not replaced:
            empty = self._write_chunk(0, self._some_item(), self._no_rows(), sidecars.ZONE_ROWS)
        for path in self._created:
            self._disk.sync_file(path)
        if self._created:
            self._disk.sync_folder(self._place.chunks)
        return replaced, empty

    def _zone_rows(self, bad: BadChunk) -> int:
        name = bad.chunk.name + sidecars.ZONE_MAP.suffix
        return zone_rows_of(self._disk, self._place.chunk(name), self._plan.scan.chunks.get(name))

    def _some_item(self) -> np.void:
        """The partition and generation that the chunk without rows gets."""
        items = [bad.chunk.item for bad in self._plan.dropped] or [chunk.item for chunk in self._plan.chunks]
        return items[0] if items else np.zeros(1, tables.CHUNK)[0]

    def _no_rows(self) -> list[NDArray[Any]]:
        return [np.empty(0, field.dtype) for field in self._settings.schema.fields]

    def _write_chunk(self, part: int, old: np.void, rows: list[NDArray[Any]], zone_rows: int) -> tables.Table:
        """Write one chunk in the partition of another; its item of the chunk table."""
        settings, count = self._settings, len(rows[0])
        superseded = self._plan.superseded if part == 0 else []
        identity = self._identity(part, old)
        encoded = encode_chunk(settings.json, settings.schema, rows, identity, superseded)
        supersedes = tables.Supersedes.CHUNKS if superseded else tables.Supersedes.NOTHING
        span = (int(rows[0][0]), int(rows[0][-1])) if count else (0, 0)
        item = tables.chunk_item(
            identity,
            span,
            count,
            encoded.file_length,
            encoded.header_crc,
            supersedes if count else tables.Supersedes.ONLY,
        )
        path = self._place.chunk(tables.chunk_name(item[0], settings.partition.key(identity.partition)))
        owner = SidecarOwner(settings.series_id, identity.chunk_id, encoded.header_crc, count)
        for sidecar in encode_sidecars(owner, settings.schema, rows, zone_rows):
            self._disk.create_derived(path + sidecar.suffix, sidecar.buffers)
            self._created.append(path + sidecar.suffix)
            item["sidecars"] |= sidecar.bit
        self._disk.create(path, encoded.buffers, sync=False)
        self._created.append(path)
        return item

    def _identity(self, part: int, old: np.void) -> ChunkIdentity:
        return ChunkIdentity(
            self._settings.series_id,
            names.chunk_id(self._sequence, part),
            self._plan.base,
            part,
            max(1, len(self._plan.salvages)),
            tables.generation_behind(int(old["generation"])),
            tables.ChunkKind.MERGED,
            int(old["partition"]),
        )

    # Tables and manifest

    def _write_tables(self, replaced: dict[int, np.void], empty: tables.Table) -> Manifest:
        """The next manifest, its tables written and durable: all of them anew, so that no damaged one stays."""
        nothing = Manifest(self._settings, self._sequence, self._sequence, self._now)
        change = chunk_tables.edit(nothing, _no_table, tables.NO_CHUNKS, self._next_items(replaced), self._sequence)
        gone = retired.advance(nothing, _no_table, self._retired(empty), self._now, _FOREVER, self._sequence)
        for kind, files in (("chunks", change.files), ("retired", gone.files)):
            for table_id, data in files:
                path = self._place.table(kind, table_id)
                self._disk.create(path, [data])
                self._created.append(path)
        if change.files or gone.files:
            self._disk.sync_folder(self._place.folder)
        return Manifest(
            self._settings,
            self._sequence,
            self._sequence,
            self._now,
            change.leaf_table,
            change.chunks,
            gone.table,
            gone.inline,
        )

    def _next_items(self, replaced: dict[int, np.void]) -> tables.Table:
        dropped = {bad.chunk.chunk_id for bad in self._plan.dropped}
        kept: list[NamedChunk] = [chunk for chunk in self._plan.chunks if chunk.chunk_id not in dropped]
        items = np.zeros(len(kept), tables.CHUNK)
        for place, chunk in enumerate(kept):
            items[place] = replaced.get(chunk.chunk_id, chunk.item)
        return items

    def _retired(self, empty: tables.Table) -> list[tables.Table]:
        """The entries of all files that stay for the grace period: chunks, and the tables of earlier states."""
        entries = self._plan.retired.copy()
        is_new = entries["retired_at"] == 0
        entries["retired_at"][is_new] = self._now
        entries["retired_by"][entries["retired_by"] == NEXT_COMMIT] = self._sequence
        old_tables = [retired.item(each, kind, self._now, self._sequence) for each, kind in self._old_tables()]
        return [entries, retired.chunk_items(empty, self._now, self._sequence), *old_tables]

    def _old_tables(self) -> Iterator[tuple[int, int]]:
        for name, table_id in self._plan.scan.table_ids.items():
            if os.path.join(self._place.folder, name) not in self._plan.quarantine:
                is_of_chunks = name == names.table_file_name("chunks", table_id)
                yield table_id, tables.RetiredKind.CHUNK_TABLE if is_of_chunks else tables.RetiredKind.RETIRED_TABLE

    def _make_way(self, quarantine: Quarantine) -> None:
        """Keep what stands in the manifest's place and is none: a copy of a file, anything else itself."""
        if self._place.temporary in self._plan.quarantine:
            quarantine.take(self._place.temporary)
        if self._place.manifest not in self._plan.quarantine:
            return
        entry = self._plan.scan.folder[names.MANIFEST_FILE]
        if entry.kind == "file" and entry.size <= LARGEST_READ:
            quarantine.copy(self._place.manifest)
        else:
            quarantine.take(self._place.manifest)

    def _publish(self, data: bytes) -> None:
        """The commit point. From the rename on the new files may belong to the store, whatever interrupts."""
        self._disk.replace_unnamed(self._place.temporary, [data])
        written, self._created = self._created, []
        try:
            self._disk.rename(self._place.temporary, self._place.manifest)
        except OSError:  # it did not take place
            self._created = [*written, self._place.temporary]
            raise
        except BaseException:  # it may have
            self._lock.leave_files()
            raise
        self._disk.sync_folder(self._place.folder)

    def _take_back(self) -> None:
        for path in self._created:
            try:
                self._disk.remove(path)
            except OSError:
                self._lock.leave_files()


def _no_table(reference: np.void) -> tables.Table:
    raise AssertionError("a manifest that is made anew refers to no table")


def _make_sidecar(disk: Disk, plan: SeriesPlan, bad: BadSidecar, quarantine: Quarantine) -> None:
    """Make a sidecar of a sound chunk anew. Not synced, as always: it is derived."""
    path, chunk = plan.scan.place.chunk(bad.name), plan.scan.place.chunk(bad.chunk.name)
    owner, schema = SidecarOwner.of(bad.head.header), bad.head.settings.schema
    rows = Blocks(disk, chunk, bad.head).sound_rows()
    if len(rows[0]) != owner.rows:
        raise other_than_before(chunk)
    if bad.kind is sidecars.ZONE_MAP:
        zone_rows = zone_rows_of(disk, path, plan.scan.chunks.get(bad.name))
        buffers = encode_zone_map(owner, schema, rows, zone_rows)
    else:
        buffers = encode_value_index(owner, schema, rows)
    if bad.problem.code is not Code.MISSING_SIDECAR:
        quarantine.take(path)
    disk.create_derived(path, buffers)
