"""Which committed state of a series a store object sees: pinned at first use, moved on request or by own writes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fastk.engine.chunks import SeriesChunks
from fastk.engine.snapshot import Snapshot
from fastk.errors import NotFound, StoreClosed
from fastk.format.binary import check_seal
from fastk.format.manifest import PREFIX_BYTES

if TYPE_CHECKING:
    from fastk.engine.cache import MapCache
    from fastk.engine.files import SeriesFiles
    from fastk.engine.mapped import Verify
    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk


class SeriesReader:
    """One series as one store object sees it. ``pinned`` is the snapshot in use, None before the first use."""

    __slots__ = ("_closed", "_disk", "_dropped", "_lock", "_maps", "_prefix", "_verify", "files", "pinned")

    def __init__(self, disk: Disk, files: SeriesFiles, dropped: str, maps: MapCache, verify: Verify) -> None:
        self.files = files
        self.pinned: Snapshot | None = None
        self._disk = disk
        self._dropped = dropped
        self._maps = maps
        self._verify = verify
        self._lock = threading.Lock()
        self._prefix = b""
        self._closed = False

    @property
    def snapshot(self) -> Snapshot:
        """The pinned snapshot; the first use pins the state then committed. NotFound if there is no such series."""
        return self.pinned or self.pin()

    def pin(self) -> Snapshot:
        """Pin the newest committed state, unless one is pinned."""
        with self._lock:
            if self.pinned is None:
                self.files.check_plain(self._disk)
                self._pin(self._read_manifest())
            assert self.pinned is not None
            return self.pinned

    def _read_manifest(self) -> bytes:
        if self._closed:
            raise StoreClosed("the store was closed; open it again to read or write")
        try:
            return self._disk.read(self.files.manifest)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"series {self.files.key} is not in the store; register it first, or see list_series()"
            ) from None

    def _pin(self, data: bytes) -> None:
        self.pinned = self._snapshot_of(self.files.parse_manifest(data))
        self._prefix = _identity(data)

    def _snapshot_of(self, manifest: Manifest) -> Snapshot:
        """Snapshots of one series share its chunks; a series registered anew under the name starts afresh."""
        chunks = self.pinned.chunks if self.pinned is not None else None
        if chunks is None or chunks.settings.series_id != manifest.settings.series_id:
            chunks = SeriesChunks(self._disk, self.files, self._dropped, self._maps, self._verify, manifest.settings)
        return Snapshot(manifest, chunks)

    def newest(self) -> Snapshot:
        """The newest committed state, sharing the pinned one's maps; the pin stays.

        That is the pinned one itself where nothing was committed since: parsing it again took a fifth of an append.
        """
        self.files.check_plain(self._disk)
        data = self._read_manifest()
        with self._lock:  # so that both are of one state
            pinned, prefix = self.pinned, self._prefix
        if pinned is not None and _identity(data) == prefix:
            check_seal(data, self.files.manifest, "content")
            return pinned
        return self._snapshot_of(self.files.parse_manifest(data))

    def move(self, manifest: Manifest, data: bytes) -> None:
        """Pin the state that an own commit has just made."""
        with self._lock:
            if not self._closed and (self.pinned is None or self.pinned.manifest.sequence < manifest.sequence):
                self.pinned = self._snapshot_of(manifest)
                self._prefix = _identity(data)

    def refresh(self) -> bool:
        """Pin the newest committed state; False (one small read) if it is the pinned one already."""
        with self._lock:
            if self.pinned is None and not self._closed:
                return False
            data = self._read_manifest()
            if _identity(data) == self._prefix:
                return False
            self._pin(data)
            return True

    def is_registered(self) -> bool:
        """Whether there is such a series: the pinned one, or one on disk."""
        try:
            return bool(self.snapshot)
        except NotFound:
            return False

    def unpin(self) -> None:
        """Forget the snapshot; the next use pins what is committed then."""
        with self._lock:
            if self.pinned is not None:
                self.pinned.chunks.let_go()
            self.pinned = None

    def close(self) -> None:
        """Read nothing any more."""
        with self._lock:
            self._closed = True
            if self.pinned is not None:
                self.pinned.chunks.close()
            self.pinned = None


def _identity(manifest: bytes) -> bytes:
    """What tells one committed state from all others: magic, version, sequence and the checksum of the whole."""
    return manifest[:PREFIX_BYTES] + manifest[-4:]
