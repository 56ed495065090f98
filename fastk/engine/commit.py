"""One series on its way from a planned edit to its next committed state, step by step.

Order of effects: chunks written; files removed that were retired long ago; table files, synced with their folder; the
manifest written under a temporary name; it and the chunks synced, and the folder of chunks; the manifest renamed; the
series folder synced. Until the rename nothing names the new files, so a crash leaves the old state; after it, all that
the manifest names is durable. Several series take each step together, so that the system writes them in one go.

All that has to be thought of comes before the first sync of chunks: behind a wait the processor's caches are cold.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from fastk.engine.partition_edit import NewChunk
from fastk.errors import InvalidInput
from fastk.format import chunk_tables, names, retired, tables
from fastk.format.chunk import ChunkIdentity, encode_chunk
from fastk.format.manifest import Manifest
from fastk.format.sidecars import SidecarOwner, encode_sidecars
from fastk.format.tables import ChunkKind, Supersedes
from fastk.io.disk import SyncFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fastk.engine.edit import SeriesEdit
    from fastk.engine.files import SeriesFiles
    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey

    # Told a series' id, its key (None if it was dropped), and the chunks whose files are about to go (None: all).
    BeforeRemoval = Callable[[int, SeriesKey | None, Collection[int] | None], None]


class Commit:
    """The next state of one series.

    ``created`` are the files that nothing names so far, ``unsynced`` those that have to become durable, ``removed`` the
    chunks that it takes out, ``chunk_count`` is how many chunks with rows it writes, ``last_chunk`` the last.
    """

    def __init__(self, disk: Disk, edit: SeriesEdit, sequence: int, now: int) -> None:
        self.files: SeriesFiles = edit.newest.chunks.files
        self.old: Manifest = edit.newest.manifest
        self.created: list[str] = []
        self.unsynced: list[str] = []
        self.sequence = sequence
        self._disk = disk
        self._edit = edit
        self._now = now
        removed = edit.removed
        self._removed = tables.joined(*(ref.table for ref in removed)) if removed else tables.NO_CHUNKS
        self.removed: list[int] = self._removed["chunk_id"].tolist() if removed else []
        self._chunks = edit.added
        self.chunk_count = len(self._chunks)
        self.last_chunk: NewChunk | None = self._chunks[-1] if self._chunks else None
        if self.removed and not self._chunks:
            self._chunks = [self._empty_chunk()]
        if len(self._chunks) > names.MAX_PARTS:
            raise InvalidInput(
                f"{self.old.settings.key}: one commit may touch {names.MAX_PARTS:,} partitions, not "
                f"{len(self._chunks):,}; write it in parts"
            )

    def _empty_chunk(self) -> NewChunk:
        """A chunk without rows, which tells a rebuild from files that those before it are gone."""
        first = self._removed[0]
        columns = [np.empty(0, field.dtype) for field in self.old.settings.schema.fields]
        return NewChunk(
            int(first["partition"]), columns, ChunkKind.MERGED, tables.generation_behind(int(first["generation"]))
        )

    def write_chunks(self) -> None:
        """Write chunks and sidecars, not yet durable."""
        items = [self._write_chunk(part, chunk) for part, chunk in enumerate(self._chunks)]
        self._written = tables.joined(*items) if items else tables.NO_CHUNKS

    def _write_chunk(self, part: int, chunk: NewChunk) -> tables.Table:
        """Write one chunk, and return its item of the chunk table."""
        settings, rows = self.old.settings, chunk.columns
        identity = ChunkIdentity(
            settings.series_id,
            names.chunk_id(self.sequence, part),
            self.old.sequence,
            part,
            len(self._chunks),
            chunk.generation,
            chunk.kind,
            chunk.partition,
        )
        superseded: Sequence[int] = self.removed if part == 0 else ()
        encoded = encode_chunk(settings.json, settings.schema, rows, identity, superseded)
        count = len(rows[0])
        span = (int(rows[0][0]), int(rows[0][-1])) if count else (0, 0)
        supersedes = Supersedes.NOTHING if not superseded else Supersedes.CHUNKS if count else Supersedes.ONLY
        item = tables.chunk_item(identity, span, count, encoded.file_length, encoded.header_crc, supersedes)
        path = self.files.chunk_file(settings.partition.key(chunk.partition), chunk.kind, identity.chunk_id)
        if settings.schema.zone_maps or settings.schema.value_indexes:
            owner = SidecarOwner(settings.series_id, identity.chunk_id, encoded.header_crc, count)
            for sidecar in encode_sidecars(owner, settings.schema, rows, self._edit.zone_rows):
                self._disk.create_derived(path + sidecar.suffix, sidecar.buffers)
                self.created.append(path + sidecar.suffix)
                item["sidecars"] |= sidecar.bit
        self._disk.create(path, encoded.buffers, sync=False)
        self.created.append(path)
        self.unsynced.append(path)
        return item

    def remove_expired(self, grace_ms: int, before_removal: BeforeRemoval) -> None:
        """Remove files wave by wave, while the manifest still names them; the last wave is not yet durable.

        Those that cannot be removed stay retired, and wait for a later commit. ``before_removal`` is told if there are
        any.
        """
        self._plan_tables(grace_ms)
        waves = retired.removal_waves(self._gone.expired)
        self._unlinked = bool(waves)
        if waves:
            settings = self.old.settings
            before_removal(settings.series_id, settings.key, {int(entry["identity"]) for entry in chain(*waves)})
        try:
            while waves:
                self._remove(waves[0])
                waves.pop(0)
                if waves:
                    self._disk.sync_folder(self.files.chunks)
        except SyncFailed:
            raise
        except OSError:
            self._gone.keep(list(chain(*waves)))

    def _plan_tables(self, grace_ms: int) -> None:
        """The tables of the next manifest; nothing is written yet."""
        named = self._written[: self.chunk_count]  # a chunk that only tells what is gone is in no table
        empty = self._written[self.chunk_count :]
        newest = self._edit.newest
        self._change = chunk_tables.edit(self.old, newest.load_table, self._removed, named, self.sequence)
        newly = [*self._retire(self._removed, empty), *map(self._retire_table, self._change.left)]
        load = newest.chunks.load_retired
        self._gone = retired.advance(self.old, load, newly, self._now, grace_ms, self.sequence)

    @property
    def changes_chunk_names(self) -> bool:
        """Whether chunk files came or went."""
        return bool(self._chunks) or self._unlinked

    def write_manifest(self) -> None:
        """Write the tables of the next manifest, durable, and the manifest under its temporary name."""
        if self._change.files or self._gone.files:
            self._write_tables("chunks", self._change.files)
            self._write_tables("retired", self._gone.files)
            self._disk.sync_folder(self.files.folder)
        self._write_root(self._change, self._gone)

    def _remove(self, wave: list[np.void]) -> None:
        for entry in wave:
            for path in self.files.retired(entry, self.old.settings.partition):
                self._disk.remove(path)

    def _retire(self, *chunks: tables.Table) -> list[tables.Table]:
        return [retired.chunk_items(each, self._now, self.sequence) for each in chunks if each.size]

    def _retire_table(self, table_id: int) -> tables.Table:
        return retired.item(table_id, tables.RetiredKind.CHUNK_TABLE, self._now, self.sequence)

    def _write_root(self, change: chunk_tables.TableEdit, gone: retired.RetiredEdit) -> None:
        self.manifest = Manifest(
            self.old.settings,
            self.sequence,
            self.sequence if self._edit.changes_rows else self.old.content_sequence,
            self._now,
            change.leaf_table,
            change.chunks,
            gone.table,
            gone.inline,
        )
        self.data = self.manifest.encode()
        self._disk.replace_unnamed(self.files.manifest_temporary, [self.data], sync=False)
        self.created.append(self.files.manifest_temporary)
        self.unsynced.append(self.files.manifest_temporary)

    def _write_tables(self, kind: str, written: list[tuple[int, bytes]]) -> None:
        for table_id, data in written:
            path = self.files.table(kind, table_id)
            self._disk.create(path, [data])
            self.created.append(path)
