"""What killed writers left in a series' folders: looked at under the lock, before names are given.

A chunk file above the manifest's sequence was never published. It is set aside under another name, durably, so that a
rebuild from files can rely on it: every chunk file up to the highest commit that any chunk was made upon counted once.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from fastk.errors import FastKError, InvalidData
from fastk.format import names, sidecars
from fastk.format.chunk import parse_chunk

if TYPE_CHECKING:
    from fastk.engine.files import SeriesFiles
    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk


def set_aside(disk: Disk, files: SeriesFiles, manifest: Manifest) -> int:
    """Clear the way for the next commit; returns the highest sequence that any file bears.

    Raises InvalidData if a chunk was made upon a later commit than the manifest's: then that is an old copy.
    """
    highest = manifest.sequence
    moved = []
    for name in disk.list(files.chunks):
        sequence = _sequence_of(name)
        highest = max(highest, sequence)
        if sequence > manifest.sequence and not name.endswith(names.ORPHAN_SUFFIX):
            moved.append(os.path.join(files.chunks, name))
    for path in moved:
        _check_base(disk, path, manifest, files)
    for path in moved:
        _move(disk, path)
    if moved:
        disk.sync_folder(files.chunks)
    return max(highest, _clear_tables(disk, files, manifest))


def _sequence_of(name: str) -> int:
    """The commit that a file in ``chunks/`` bears in its name; 0 for other files."""
    for suffix in (names.ORPHAN_SUFFIX, *(kind.suffix for kind in sidecars.KINDS)):
        name = name.removesuffix(suffix)
    chunk = names.parse_chunk_file_name(name)
    return 0 if chunk is None else names.sequence_and_part(chunk.identity)[0]


def _is_sidecar(path: str) -> bool:
    return path.endswith(tuple(kind.suffix for kind in sidecars.KINDS))


def _check_base(disk: Disk, path: str, manifest: Manifest, files: SeriesFiles) -> None:
    if _is_sidecar(path):
        return
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
