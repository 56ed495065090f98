"""What may be removed of one series: files retired longer than the grace period ago, and those that nothing names."""

from __future__ import annotations

import os.path
from itertools import chain, groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastk.engine.leftovers import missing_chunks
from fastk.errors import InvalidData, SnapshotExpired
from fastk.format import names, retired, tables

if TYPE_CHECKING:
    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk


class Garbage(NamedTuple):
    """Files that exist and may go: ``expired`` ones of old states, and ``waves`` of those that nothing names.

    What one wave removes must be gone for good before the next one begins. ``waiting`` is how many retired files have
    to wait for the end of the grace period.
    """

    expired: list[str]
    waves: list[list[str]]
    waiting: int

    @property
    def paths(self) -> list[str]:
        """All of them."""
        return [*self.expired, *chain.from_iterable(self.waves)]


def find_garbage(disk: Disk, newest: Snapshot, now: int, grace_ms: int) -> Garbage:
    """What of a series may be removed now.

    InvalidData while chunks are missing that the manifest names: other files may have their rows, and a repair finds
    out which.
    """
    manifest, files = newest.manifest, newest.chunks.files
    missing = missing_chunks(disk.list(files.chunks), newest)
    if missing:
        raise InvalidData(
            f"{files.folder}: {len(missing):,} chunks are missing that the manifest names, and nothing is removed "
            f"that may hold their rows: restore them from a copy, or run fastk_admin repair"
        )
    edit = retired.advance(manifest, newest.chunks.load_retired, [], now, grace_ms, manifest.sequence + 1)
    named = (path for item in edit.expired for path in files.retired(item, manifest.settings.partition))
    expired = [path for path in named if disk.exists(path)]
    waiting = _entries_of(newest, edit)
    unnamed = (
        path
        for path in _unnamed(disk, newest, waiting)
        if not disk.is_folder(path) and _set_aside_at(disk, path, newest, now) <= now - grace_ms
    )
    strays = sorted(set(unnamed) - set(expired), key=_commit_of)
    waves = [list(wave) for _, wave in groupby(strays, _commit_of)]
    return Garbage(expired, waves, waiting.size)


def _set_aside_at(disk: Disk, path: str, newest: Snapshot, now: int) -> int:
    """When a chunk of an unfinished commit was set aside; 0 for other files, which nobody waits for.

    Nobody needs such a chunk, unless the manifest turns out to be an old copy.
    """
    if path.endswith(names.ORPHAN_SUFFIX):
        return min(disk.changed_at(path), now)
    is_chunk = names.parse_chunk_file_name(os.path.basename(path)) is not None
    return now if is_chunk and _commit_of(path) > newest.manifest.sequence else 0


def _commit_of(path: str) -> int:
    """The commit by which a file without a place is removed: a chunk names chunks of earlier commits only.

    What was never part of a commit, and what are no chunks, may go with the first.
    """
    chunk_id = names.chunk_of_file(os.path.basename(path))
    if chunk_id is None or path.endswith(names.ORPHAN_SUFFIX):
        return 0
    return names.sequence_and_part(chunk_id)[0]


def _entries_of(newest: Snapshot, edit: retired.RetiredEdit) -> tables.Table:
    """All entries that the next manifest remembers."""
    entries = edit.inline
    for reference in edit.table:
        entries = tables.joined(entries, _load(newest, edit, reference))
    return entries


def _load(newest: Snapshot, edit: retired.RetiredEdit, reference: np.void) -> tables.Table:
    for table_id, data in edit.files:  # not written yet
        return tables.parse_table(data, tables.RETIRED, newest.settings.series_id, table_id, "memory")
    try:
        return newest.chunks.load_retired(reference)
    except (InvalidData, SnapshotExpired):
        return tables.NO_RETIRED


def _unnamed(disk: Disk, newest: Snapshot, waiting: tables.Table) -> list[str]:
    """Files of the series that bear names of ours, but that neither the manifest nor the retired entries name."""
    manifest, files = newest.manifest, newest.chunks.files
    is_chunk = waiting["kind"] < tables.RetiredKind.CHUNK_TABLE
    chunk_ids = {*newest.table["chunk_id"].tolist(), *waiting["identity"][is_chunk].tolist()}
    table_ids = {
        *manifest.leaves["table_id"].tolist(),
        *manifest.retired_table["table_id"].tolist(),
        *waiting["identity"][~is_chunk].tolist(),
    }
    found = []
    for name in disk.list(files.chunks):
        chunk_id = names.chunk_of_file(name)
        if chunk_id is not None and (name.endswith(names.ORPHAN_SUFFIX) or chunk_id not in chunk_ids):
            found.append(os.path.join(files.chunks, name))
    for name in disk.list(files.folder):
        identity = names.parse_table_file_name(name)
        if name == names.MANIFEST_TEMPORARY or (identity is not None and identity not in table_ids):
            found.append(os.path.join(files.folder, name))
    return found
