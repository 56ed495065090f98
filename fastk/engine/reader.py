"""Which committed state of a series a store object sees: pinned at first use, moved on request or by own writes."""

from __future__ import annotations

from _thread import RLock  # what threading.RLock is, without a millisecond of that module
from contextlib import suppress
from typing import TYPE_CHECKING

from fastk.engine.chunks import SeriesChunks
from fastk.engine.snapshot import LastPartition, Snapshot, Tail
from fastk.errors import FastKError, InvalidData, NotFound, StoreClosed
from fastk.format.binary import is_sealed

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastk.engine.cache import MapCache
    from fastk.engine.files import SeriesFiles
    from fastk.engine.mapped import Verify
    from fastk.engine.partition_edit import NewChunk
    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk


class SeriesReader:
    """One series as one store object sees it. ``pinned`` is the snapshot in use, None before the first use.

    ``tail`` is what the latest rows of that need, None until they are asked for, and again when a map of the series is
    let go: to look for the last chunk by snapshot and map took a thirtieth of a read of 1,024 rows and their sum.
    """

    __slots__ = (
        "__weakref__",
        "_chunks",
        "_chunks_class",
        "_closed",
        "_disk",
        "_dropped",
        "_lock",
        "_maps",
        "_prefix",
        "_verify",
        "files",
        "pinned",
        "tail",
    )

    def __init__(
        self,
        disk: Disk,
        files: SeriesFiles,
        dropped: str,
        maps: MapCache,
        verify: Verify,
        chunks: type[SeriesChunks] = SeriesChunks,
    ) -> None:
        self.files = files
        self.pinned: Snapshot | None = None
        self.tail: Tail | None = None
        self._chunks_class = chunks
        self._disk = disk
        self._dropped = dropped
        self._maps = maps
        self._verify = verify
        self._lock = RLock()  # a collection of garbage within may close the store
        self._prefix = b""
        self._closed = False
        self._chunks: SeriesChunks | None = None

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

    def find_tail(self) -> None:
        """Set ``tail`` to that of the pinned snapshot, unless this is no longer pinned when it is found."""
        snapshot = self.snapshot
        tail = snapshot.tail()
        with self._lock:
            if self.pinned is snapshot:
                snapshot.chunks.maps.hold_tail(snapshot.mapped, self, tail)

    def _read_manifest(self) -> bytes:
        if self._closed:
            raise StoreClosed("the store was closed; open it again to read or write")
        try:
            return self._disk.read(self.files.manifest)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(self._why_not_found()) from None

    def _why_not_found(self) -> str:
        try:
            self.files.check_not_lost(self._disk)
        except InvalidData as error:
            return str(error)
        return f"series {self.files.key} is not in the store; register it first, or see list_series()"

    def _pin(self, data: bytes) -> None:
        self._set(self._snapshot_of(self.files.parse_manifest(data)))
        self._prefix = self.files.identity(data)

    def _set(self, snapshot: Snapshot | None) -> None:
        self.pinned, self.tail = snapshot, None

    def _snapshot_of(self, manifest: Manifest) -> Snapshot:
        """Snapshots of one series share its chunks; a series registered anew under the name starts afresh."""
        chunks = self._chunks
        if chunks is None or chunks.settings.series_id != manifest.settings.series_id:
            settings = manifest.settings
            chunks = self._chunks_class(self._disk, self.files, self._dropped, self._maps, self._verify, settings)
            self._chunks = chunks
        return Snapshot(manifest, chunks)

    def committed(self) -> bytes:
        """The newest manifest, whose checksum holds: a state that may be pinned, of which nothing is parsed yet."""
        self.files.check_plain(self._disk)
        data = self._read_manifest()
        self.files.check_seal(data)
        return data

    def state(self) -> tuple[Snapshot | None, bytes]:
        """The pinned snapshot and the identity of its manifest; None and nothing before the first use."""
        with self._lock:
            return self.pinned, self._prefix if self.pinned is not None else b""

    def snapshot_from(self, data: bytes) -> Snapshot:
        """The snapshot of a manifest that :meth:`committed` gave; the pin stays."""
        manifest = self.files.parse_manifest(data)
        with self._lock:
            return self._snapshot_of(manifest)

    def newest(self) -> Snapshot:
        """The newest committed state, sharing the pinned one's maps; the pin stays.

        That is the pinned one itself where nothing was committed since: parsing it again took a fifth of an append.
        """
        self.files.check_plain(self._disk)
        data = self._read_manifest()
        with self._lock:
            if self.pinned is not None and self.files.identity(data) == self._prefix and is_sealed(data):
                return self.pinned
        return self.snapshot_from(data)

    def following(self, manifest: Manifest, last_chunk: NewChunk | None) -> Snapshot:
        """The state that an own commit is about to make; ``last_chunk`` is the last one that it writes."""
        with self._lock:
            snapshot = self._snapshot_of(manifest)
        if last_chunk is not None and last_chunk.columns[0][-1] == snapshot.leaf_ends[-1]:
            snapshot.last_partition = LastPartition(last_chunk.partition, last_chunk.generation)
        return snapshot

    def move(self, made: Snapshot, data: bytes, removed: Collection[int]) -> None:
        """Pin the state that an own commit has just made; ``removed`` are the chunks that it took out."""
        with self._lock:
            if not self._closed and (self.pinned is None or self.pinned.manifest.sequence < made.manifest.sequence):
                self._set(made)
                self._prefix = self.files.identity(data)
                made.chunks.forget(removed)

    def refresh(self) -> bool:
        """Pin the newest committed state; False (one small read) if it is the pinned one already."""
        with self._lock:
            if self.pinned is None and not self._closed:
                return False
            data = self._read_manifest()
            if self.files.identity(data) == self._prefix:
                return False
            before = self.pinned
            self._pin(data)
            if before is not None and self.pinned is not None and before.chunks is self.pinned.chunks:
                with suppress(FastKError, OSError):  # a table that cannot be read is told to who needs it
                    self.pinned.chunks.forget(self.pinned.gone_since(before))
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
            if self._chunks is not None:
                self._chunks.let_go()
            self._set(None)

    def close(self) -> None:
        """Read nothing any more."""
        with self._lock:
            self._closed = True
            if self._chunks is not None:
                self._chunks.close()
            if self.pinned is not None:
                self.pinned.chunks.close()
            self._set(None)
