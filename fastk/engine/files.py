"""Where the files of one series lie."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from fastk.errors import InvalidData
from fastk.format import names, tables
from fastk.format.manifest import PREFIX_BYTES, check_manifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey
    from fastk.partition import PartitionUnit

    Unlisted = Callable[[str, OSError], None]


# A folder above a store that was there before may be another user's, or of a file system without such syncs.
_UNSYNCABLE = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EROFS})


def make_folders(disk: Disk, path: str) -> None:
    """Create a folder and those above it, and make all their names durable: who made them may not have."""
    parent = os.path.dirname(path)
    if parent == path:
        return
    make_folders(disk, parent)
    created = not disk.is_folder(path) and disk.make_folder(path)
    try:
        disk.sync_folder(parent)
    except OSError as error:
        if created or error.errno not in _UNSYNCABLE:
            raise


def remove_tree(disk: Disk, path: str) -> None:
    """Remove a folder and what lies in it; links are removed, not followed."""
    for name in disk.list(path):
        below = os.path.join(path, name)
        if disk.is_folder(below) and not disk.is_link(below):
            remove_tree(disk, below)
        else:
            disk.remove(below)
    disk.remove_folder(path)


def refuse(path: str, error: OSError) -> NoReturn:
    """Raise the error of a folder that cannot be listed."""
    raise error


def series_folders(disk: Disk, root: str, unlisted: Unlisted = refuse) -> Iterator[tuple[SeriesKey, str]]:
    """Key and path of every folder of a store that is named like a series.

    ``unlisted`` is told of each folder that cannot be listed, and which therefore hides series.
    """

    def names_in(*parts: str) -> list[str]:
        path = os.path.join(root, names.SERIES_FOLDER, *parts)
        try:
            return disk.list(path)
        except OSError as error:
            unlisted(path, error)
            return []

    for symbol in names_in():
        for category in names_in(symbol):
            for name in names_in(symbol, category):
                try:
                    key = names.parse_series_path(symbol, category, name)
                except InvalidData:
                    continue
                yield key, os.path.join(root, names.SERIES_FOLDER, symbol, category, name)


class ChunkName(NamedTuple):
    """A chunk as inventories name it: ``path`` below the series' folder, and the checksum that the manifest has."""

    chunk_id: int
    path: str
    checksum: int


class SeriesFiles:
    """Paths of one series below a store's root."""

    __slots__ = ("_folders", "chunks", "folder", "key", "manifest", "manifest_temporary", "parents")

    def __init__(self, root: str, key: SeriesKey) -> None:
        symbol, category, name = names.series_path(key)
        series = os.path.join(root, names.SERIES_FOLDER)
        self.key = key
        # Encoded names hold no separator, so that nothing is left for os.path.join to do: it takes as long as a read.
        self.parents: tuple[str, ...] = (
            series,
            f"{series}{os.sep}{symbol}",
            f"{series}{os.sep}{symbol}{os.sep}{category}",
        )
        self._place(f"{self.parents[-1]}{os.sep}{name}")

    def _place(self, folder: str) -> None:
        self.folder = folder
        self.chunks = f"{folder}{os.sep}{names.CHUNKS_FOLDER}"
        self.manifest = f"{folder}{os.sep}{names.MANIFEST_FILE}"
        self.manifest_temporary = f"{folder}{os.sep}{names.MANIFEST_TEMPORARY}"
        self._folders = (*self.parents, folder, self.chunks)

    def check_plain(self, disk: Disk) -> None:
        """Raise InvalidData if any folder of the series is a symbolic link: what it names may lie outside the store."""
        link = disk.find_link(self._folders)
        if link is not None:
            raise InvalidData(f"{link} is a symbolic link; the folders of a store are plain ones: copy it in")

    def check_not_lost(self, disk: Disk) -> None:
        """Raise InvalidData if there are chunks in the place of a series that has no manifest."""
        chunks = [name for name in disk.list(self.chunks) if names.parse_chunk_file_name(name) is not None]
        if chunks:
            raise InvalidData(
                f"{self.manifest} is missing, but {len(chunks):,} chunks of the series are there: restore it from a "
                f"copy, or rebuild it from them with fastk_admin rebuild-manifest"
            )

    def parse_manifest(self, data: bytes) -> Manifest:
        """Read the content of ``series.meta``; InvalidData also if it is the manifest of another series."""
        manifest = parse_manifest(data, self.manifest)
        if manifest.settings.key != self.key:
            raise InvalidData(f"{self.manifest} is the manifest of {manifest.settings.key}; restore it from a copy")
        return manifest

    def identity(self, manifest: bytes) -> bytes:
        """What tells one committed state from all others: magic, version, sequence and the checksum of the whole."""
        return manifest[:PREFIX_BYTES] + manifest[-4:]

    def check_seal(self, manifest: bytes) -> None:
        """Whether these are the bytes that were written, before any of them is parsed; errors as in parse_manifest."""
        check_manifest(manifest, self.manifest)

    def chunk(self, item: np.void, partition: PartitionUnit) -> str:
        """Path of a chunk of the chunk table."""
        return f"{self.chunks}{os.sep}{tables.chunk_name(item, partition.key(int(item['partition'])))}"

    def chunk_file(self, partition_key: str, kind: tables.ChunkKind, chunk_id: int) -> str:
        """Path of a chunk, by what its name says of it."""
        return f"{self.chunks}{os.sep}{names.chunk_file_name(partition_key, kind.label, chunk_id)}"

    def chunk_name(self, item: np.void, partition: PartitionUnit) -> ChunkName:
        """A chunk of the chunk table as inventories name it."""
        file = tables.chunk_name(item, partition.key(int(item["partition"])))
        return ChunkName(int(item["chunk_id"]), f"{names.CHUNKS_FOLDER}/{file}", int(item["header_crc"]))

    def table(self, kind: str, table_id: int) -> str:
        """Path of a table file (``chunks`` or ``retired``)."""
        return os.path.join(self.folder, names.table_file_name(kind, table_id))

    def retired(self, item: np.void, partition: PartitionUnit) -> tuple[str, ...]:
        """Paths of the file that a retired entry names, and of what goes with it."""
        kind, identity = int(item["kind"]), int(item["identity"])
        if kind == tables.RetiredKind.CHUNK_TABLE:
            return (self.table("chunks", identity),)
        if kind == tables.RetiredKind.RETIRED_TABLE:
            return (self.table("retired", identity),)
        from fastk.format.sidecars import KINDS  # here, because reads of ranges load no sidecars

        chunk = self.chunk_file(partition.key(int(item["partition"])), tables.ChunkKind(kind), identity)
        return (chunk, *(chunk + kind.suffix for kind in KINDS))
