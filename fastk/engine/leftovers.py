"""What killed writers left in a series' folders: looked at under the lock, before names are given.

A chunk file above the manifest's sequence was never published. It is set aside under another name, durably, so that a
rebuild from files can rely on it: every chunk file up to the highest commit that any chunk was made upon counted once.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from fastk.errors import FastKError, InvalidData
from fastk.format import names
from fastk.format.chunk import parse_chunk

if TYPE_CHECKING:
    from fastk.engine.files import SeriesFiles
    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk


def set_aside(disk: Disk, files: SeriesFiles, manifest: Manifest) -> int:
    """Clear the way for the next commit; returns the highest sequence that any file bears.

    The manifest is made durable first: its writer may have ended before that, and the next chunks will say that they
    were made upon it.

    Raises InvalidData if a chunk was made upon a later commit than the manifest's: then that is an old copy.
    """
    disk.sync_folder(files.folder)
    listed = disk.list(files.chunks)
    left = _left(listed, files, manifest)
    _check_bases(disk, left, files, manifest)
    for path in left:
        _move(disk, path)
    if left:
        disk.sync_folder(files.chunks)
    highest = max(map(_sequence_of, listed), default=0)
    return max(manifest.sequence, highest, _clear_tables(disk, files, manifest))


def check_newest(disk: Disk, files: SeriesFiles, manifest: Manifest) -> None:
    """Raise InvalidData if a chunk was made upon a later commit than the manifest's."""
    _check_bases(disk, _left(disk.list(files.chunks), files, manifest), files, manifest)


def _left(listed: list[str], files: SeriesFiles, manifest: Manifest) -> list[str]:
    """The files in ``chunks/`` that bear a later commit than the manifest, and were not set aside yet."""
    return [
        os.path.join(files.chunks, name)
        for name in listed
        if _sequence_of(name) > manifest.sequence and not name.endswith(names.ORPHAN_SUFFIX)
    ]


def _sequence_of(name: str) -> int:
    """The commit that a file in ``chunks/`` bears in its name; 0 for other files."""
    chunk_id = names.chunk_of_file(name)
    return 0 if chunk_id is None else names.sequence_and_part(chunk_id)[0]


def _is_sidecar(path: str) -> bool:
    return path.endswith((names.ZONE_MAP_SUFFIX, names.VALUE_INDEX_SUFFIX))


def _check_bases(disk: Disk, paths: list[str], files: SeriesFiles, manifest: Manifest) -> None:
    for path in paths:
        if not _is_sidecar(path):
            _check_base(disk, path, files, manifest)


def _check_base(disk: Disk, path: str, files: SeriesFiles, manifest: Manifest) -> None:
    try:
        identity = parse_chunk(disk.map(path), path).identity
    except (FastKError, OSError):  # not written to its end
        return
    if identity.series_id == manifest.settings.series_id and identity.base_sequence > manifest.sequence:
        raise InvalidData(
            f"{files.manifest} is of commit {manifest.sequence}, but {os.path.basename(path)} was made upon commit "
            f"{identity.base_sequence}: the manifest is an old copy. Rebuild it (fastk_admin rebuild-manifest) or "
            f"restore the newest one before you write"
        )


def _move(disk: Disk, path: str) -> None:
    if _is_sidecar(path):
        disk.remove(path)
    else:
        disk.rename(path, path + names.ORPHAN_SUFFIX)


def _clear_tables(disk: Disk, files: SeriesFiles, manifest: Manifest) -> int:
    """Remove tables that no manifest has named; returns the highest sequence of a table."""
    highest = 0
    for name in disk.list(files.folder):
        identity = names.parse_table_file_name(name)
        if identity is not None:
            sequence = names.sequence_and_part(identity)[0]
            highest = max(highest, sequence)
            if sequence > manifest.sequence:
                disk.remove(os.path.join(files.folder, name))
    return highest
