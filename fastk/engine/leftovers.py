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
    from fastk.engine.snapshot import Snapshot
    from fastk.format.chunk import ChunkHeader
    from fastk.io.disk import Disk


def set_aside(disk: Disk, newest: Snapshot) -> int:
    """Clear the way for the next commit; returns the highest sequence that any file bears.

    The manifest is made durable first: its writer may have ended before that, and the next chunks will say that they
    were made upon it. Copies of a store may lack the folder of chunks where there were none.

    Raises InvalidData if chunks prove that the manifest is an old copy.
    """
    files, manifest = newest.chunks.files, newest.manifest
    if not disk.is_folder(files.chunks):
        disk.make_folder(files.chunks)
    disk.sync_folder(files.folder)
    listed = disk.list(files.chunks)
    left = _left(listed, newest)
    _check_age(disk, listed, left, newest)
    for path in left:
        _move(disk, path)
    if left:
        disk.sync_folder(files.chunks)
    highest = max(map(_sequence_of, listed), default=0)
    return max(manifest.sequence, highest, _clear_tables(disk, newest))


def check_newest(disk: Disk, newest: Snapshot) -> None:
    """Raise InvalidData if chunks prove that the manifest is an old copy."""
    listed = disk.list(newest.chunks.files.chunks)
    _check_age(disk, listed, _left(listed, newest), newest)


def missing_chunks(listed: list[str], newest: Snapshot) -> set[int]:
    """The ids of chunks that a state names, and that are not among the files that are listed."""
    parsed = map(names.parse_chunk_file_name, listed)
    return set(newest.table["chunk_id"].tolist()) - {each.identity for each in parsed if each is not None}


def _left(listed: list[str], newest: Snapshot) -> list[str]:
    """The files in ``chunks/`` that bear a later commit than the manifest, and were not set aside yet."""
    return [
        os.path.join(newest.chunks.files.chunks, name)
        for name in listed
        if _sequence_of(name) > newest.manifest.sequence and not name.endswith(names.ORPHAN_SUFFIX)
    ]


def _sequence_of(name: str) -> int:
    """The commit that a file in ``chunks/`` bears in its name; 0 for other files."""
    chunk_id = names.chunk_of_file(name)
    return 0 if chunk_id is None else names.sequence_and_part(chunk_id)[0]


def _is_sidecar(path: str) -> bool:
    return path.endswith((names.ZONE_MAP_SUFFIX, names.VALUE_INDEX_SUFFIX))


def _check_age(disk: Disk, listed: list[str], left: list[str], newest: Snapshot) -> None:
    """Files go only when the commit that took them out is published: what a killed writer left cannot look like that.

    So the manifest is old if a chunk was made upon a later commit, or took the place of chunks whose files are gone.
    """
    headers = [header for path in left if not _is_sidecar(path) and (header := _own_header(disk, path, newest))]
    for header in headers:
        if header.identity.base_sequence > newest.manifest.sequence:
            raise _is_old(newest, header, f"was made upon commit {header.identity.base_sequence}")
    if any(header.superseded.size for header in headers):
        missing = missing_chunks(listed, newest)
        for header in headers:
            if missing.intersection(header.superseded.tolist()):
                raise _is_old(newest, header, "took the place of chunks that it names, and these are gone")


def _own_header(disk: Disk, path: str, newest: Snapshot) -> ChunkHeader | None:
    try:
        header = parse_chunk(disk.map(path), path)
    except (FastKError, OSError):  # not written to its end
        return None
    return header if header.identity.series_id == newest.settings.series_id else None


def _is_old(newest: Snapshot, header: ChunkHeader, why: str) -> InvalidData:
    sequence, part = names.sequence_and_part(header.identity.chunk_id)
    return InvalidData(
        f"{newest.chunks.files.manifest} is of commit {newest.manifest.sequence}, but part {part} of commit {sequence} "
        f"{why}: the manifest is an old copy. Rebuild it (fastk_admin rebuild-manifest) or restore the newest one "
        f"before you write"
    )


def _move(disk: Disk, path: str) -> None:
    if _is_sidecar(path):
        disk.remove(path)
    else:
        disk.rename(path, path + names.ORPHAN_SUFFIX)


def _clear_tables(disk: Disk, newest: Snapshot) -> int:
    """Remove tables that no manifest has named; returns the highest sequence of a table."""
    files, manifest, highest = newest.chunks.files, newest.manifest, 0
    for name in disk.list(files.folder):
        identity = names.parse_table_file_name(name)
        if identity is not None:
            sequence = names.sequence_and_part(identity)[0]
            highest = max(highest, sequence)
            path = os.path.join(files.folder, name)
            if sequence > manifest.sequence and not disk.is_folder(path):
                disk.remove(path)
    return highest
