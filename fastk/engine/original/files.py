"""Where the files of one series of an original store lie, and which series such a store has."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from fastk.engine.files import ChunkName, SeriesFiles, refuse
from fastk.errors import FastKError, InvalidData
from fastk.format import names as our_names
from fastk.format.original import names
from fastk.format.original.manifest import is_manifest, parse_original
from fastk.format.original.state import as_manifest
from fastk.keys import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from fastk.engine.files import Unlisted
    from fastk.format.manifest import Manifest
    from fastk.format.original.manifest import OriginalChunk
    from fastk.format.original.state import Entries
    from fastk.io.disk import Disk
    from fastk.partition import PartitionUnit

_DEEPEST = 16  # folders below series/, for keys with slashes


class OriginalFiles(SeriesFiles):
    """Paths of one series, and what the manifests read so far say of its chunks, by the identity they have here."""

    __slots__ = ("_entries",)

    def __init__(self, root: str, key: SeriesKey) -> None:
        self.key = key
        folders = [os.path.join(root, our_names.SERIES_FOLDER)]
        for part in names.series_parts(key):
            folders.append(os.path.join(folders[-1], part))
        self.parents = tuple(folders[:-1])
        self._entries: Entries = {}
        self._place(folders[-1])

    def parse_manifest(self, data: bytes) -> Manifest:
        """Read the content of ``series.meta``; InvalidData also if it is the manifest of another series."""
        original = parse_original(data, self.manifest)
        if original.key != self.key:
            raise InvalidData(f"{self.manifest} is the manifest of {original.key}; restore it from a copy")
        manifest, entries = as_manifest(original, self.manifest)
        self._entries.update(entries)
        return manifest

    def identity(self, manifest: bytes) -> bytes:
        """What tells one committed state from all others: all of it, for the oldest have no checksum."""
        return manifest

    def check_seal(self, manifest: bytes) -> None:
        """Nothing: a manifest of the same identity is the same."""

    def entry(self, item: np.void) -> OriginalChunk:
        """What the manifest says of a chunk."""
        return self._entries[int(item["chunk_id"])]

    def chunk(self, item: np.void, partition: PartitionUnit) -> str:
        """Path of a chunk."""
        return os.path.join(self.chunks, names.file_in_chunks(self.entry(item).path, self.manifest))

    def chunk_name(self, item: np.void, partition: PartitionUnit) -> ChunkName:
        """A chunk as inventories name it: the original's id and checksum."""
        entry = self.entry(item)
        file = names.file_in_chunks(entry.path, self.manifest)
        return ChunkName(entry.chunk_id, f"{our_names.CHUNKS_FOLDER}/{file}", entry.checksum)

    def check_not_lost(self, disk: Disk) -> None:
        """Raise InvalidData if there are chunks in the place of a series that has no manifest."""
        chunks = [name for name in disk.list(self.chunks) if name.endswith(".chunk")]
        if chunks:
            raise InvalidData(
                f"{self.manifest} is missing, but {len(chunks):,} chunks of the series are there: restore it from a "
                f"copy, or rebuild it from them with the original's fastk_admin rebuild-manifest"
            )


def original_folders(disk: Disk, root: str, unlisted: Unlisted = refuse) -> Iterator[tuple[SeriesKey, str]]:
    """Key and path of every series of an original store; no link is followed. ``unlisted`` as in other stores."""
    top = os.path.join(root, our_names.SERIES_FOLDER)
    return _series_below(disk, top, (), unlisted)


def _series_below(disk: Disk, path: str, parts: tuple[str, ...], unlisted: Unlisted) -> Iterator[tuple[SeriesKey, str]]:
    try:
        entries = disk.entries(path)
    except OSError as error:
        unlisted(path, error)
        return
    if len(parts) >= 3 and {our_names.MANIFEST_FILE, our_names.CHUNKS_FOLDER} & entries.keys():
        yield _key_of(disk, path, parts), path
    elif len(parts) < _DEEPEST:
        for name, entry in entries.items():
            if entry.kind == "folder":
                yield from _series_below(disk, os.path.join(path, name), (*parts, name), unlisted)


def _key_of(disk: Disk, path: str, parts: tuple[str, ...]) -> SeriesKey:
    """The key; where more than three folders leave open which parts of it have slashes, its manifest says."""
    guess = SeriesKey("/".join(parts[:-2]), *parts[-2:])
    if len(parts) == 3:
        return guess
    try:
        manifest = os.path.join(path, our_names.MANIFEST_FILE)
        key = parse_original(disk.read(manifest), manifest).key
        return key if tuple(names.series_parts(key)) == parts else guess
    except (FastKError, OSError):
        return guess


def is_original_store(disk: Disk, root: str) -> bool:
    """Whether a folder holds a store of the original: a series with such a manifest, or chunks that lost theirs."""
    for _, path in original_folders(disk, root):
        try:
            front = next(disk.pieces(os.path.join(path, our_names.MANIFEST_FILE), 0, 8, 8), None)
        except (FastKError, OSError):
            continue
        if front is not None and is_manifest(front.tobytes()):
            return True
    return False
