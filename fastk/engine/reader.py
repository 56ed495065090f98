"""The one read path: locate the chunk, make sure that it is verified, slice.

A :class:`SeriesReader` is one series as one store object sees it: the pinned snapshot, the chunks mapped so far, and
which of their blocks are verified.
"""

from __future__ import annotations

import os.path
import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.mapped import MappedChunk, Verify
from fastk.engine.rows import ArrayRows, ChunkRows, JoinedPieces, JoinedRows, Rows, rows_class
from fastk.engine.snapshot import ChunkRef, Leaf, Snapshot
from fastk.errors import InvalidData, NotFound, SnapshotExpired, StoreClosed
from fastk.format import names, tables
from fastk.format.manifest import PREFIX_BYTES, Manifest, parse_manifest
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.engine.cache import MapCache
    from fastk.engine.files import SeriesFiles
    from fastk.io.disk import Disk


class SeriesReader:
    """Reads of one series on its pinned snapshot. Safe to share between threads."""

    __slots__ = (
        "_chunk_rows",
        "_disk",
        "_dropped",
        "_empty",
        "_known_leaves",
        "_lock",
        "_manifest_prefix",
        "_maps",
        "_snapshot",
        "_verified",
        "_verify",
        "chunks",
        "closed",
        "files",
    )

    def __init__(self, disk: Disk, files: SeriesFiles, dropped: str, maps: MapCache, verify: Verify) -> None:
        self.files = files
        self.closed = False
        self._disk = disk
        self._dropped = dropped
        self._maps = maps
        self._verify = verify
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._manifest_prefix = b""
        self._chunk_rows: Callable[[MappedChunk, int, int], Rows]
        self._empty: Rows
        self.forget()

    def forget(self) -> None:
        """Unpin, and let go of everything that belongs to the series as it was."""
        self._snapshot = None
        self._known_leaves: dict[int, Leaf] = {}
        self._verified: dict[int, list[bytearray]] = {}
        self.chunks: dict[int, MappedChunk] = {}

    # The snapshot

    @property
    def snapshot(self) -> Snapshot:
        """The pinned snapshot; the first use pins the state then committed. NotFound if there is no such series."""
        return self._snapshot or self._pin()

    @property
    def pinned(self) -> Snapshot | None:
        """The pinned snapshot, if any use has pinned one."""
        return self._snapshot

    def _pin(self) -> Snapshot:
        with self._lock:
            if self._snapshot is None:
                data = self._read_manifest()
                self.install(parse_manifest(data, self.files.manifest), data)
            assert self._snapshot is not None
            return self._snapshot

    def _read_manifest(self) -> bytes:
        if self.closed:
            raise StoreClosed("the store was closed; open it again to read or write")
        try:
            return self._disk.read(self.files.manifest)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"series {self.files.key} is not in the store; register it first, or see list_series()"
            ) from None

    def install(self, manifest: Manifest, data: bytes) -> Snapshot:
        """Make a committed state the pinned one. Chunks of both states stay mapped and verified."""
        old = self._snapshot
        if old is not None and old.settings.series_id != manifest.settings.series_id:
            self._maps.forget(self.chunks)
            self.forget()
        snapshot = Snapshot(manifest, self._load_leaf, self._known_leaves)
        schema = manifest.settings.schema
        self._chunk_rows = rows_class(ChunkRows, schema)
        self._empty = rows_class(ArrayRows, schema)(manifest.settings, [np.empty(0, f.dtype) for f in schema.fields])
        self._manifest_prefix = data[:PREFIX_BYTES] + data[-4:]
        self._snapshot = snapshot
        return snapshot

    def newest(self) -> SeriesReader:
        """A reader pinned to the newest committed state that shares this one's maps; this one's pin stays."""
        other = SeriesReader(self._disk, self.files, self._dropped, self._maps, self._verify)
        data = self._read_manifest()
        manifest = parse_manifest(data, self.files.manifest)
        if self._snapshot is None or self._snapshot.settings.series_id == manifest.settings.series_id:
            other._known_leaves, other._verified, other.chunks = self._known_leaves, self._verified, self.chunks
        other.install(manifest, data)
        return other

    def refresh(self) -> bool:
        """Pin the newest committed state; False (one small read) if it is the pinned one already."""
        with self._lock:
            if self._snapshot is None:
                return False
            data = self._read_manifest()
            if data[:PREFIX_BYTES] + data[-4:] == self._manifest_prefix:
                return False
            self.install(parse_manifest(data, self.files.manifest), data)
            return True

    def _load_leaf(self, item: np.void) -> tables.Table:
        return self._load_table("chunks", tables.CHUNK, item)

    def load_retired(self, item: np.void) -> tables.Table:
        """The table of retired files that a manifest refers to."""
        return self._load_table("retired", tables.RETIRED, item)

    def _load_table(self, kind: str, dtype: np.dtype[Any], item: np.void) -> tables.Table:
        table_id = int(item["table_id"])
        path = self.files.table(kind, table_id)
        try:
            data = self._disk.read(path)
        except FileNotFoundError:
            raise self._expired(path) from None
        if tables.table_crc(data) != int(item["crc"]):
            raise InvalidData(f"{path} is not the table that the manifest names; restore it from a copy")
        return tables.parse_table(data, dtype, self.snapshot.settings.series_id, table_id, path)

    def _expired(self, path: str) -> SnapshotExpired:
        return SnapshotExpired(
            f"{path} was removed after snapshot {self.snapshot.manifest.sequence} of "
            f"{self.files.key} was pinned; call refresh() and repeat the read"
        )

    def is_registered(self) -> bool:
        """Whether there is such a series: the pinned one, or one on disk."""
        try:
            return bool(self.snapshot)
        except NotFound:
            return False

    # Chunks

    def all_chunks(self) -> Iterator[MappedChunk]:
        """Every chunk of the snapshot in order of time, mapped one after the other."""
        for leaf in self.snapshot.leaves():
            for place in range(len(leaf)):
                yield self.open_chunk(ChunkRef((leaf, place)))

    def open_chunk(self, ref: ChunkRef) -> MappedChunk:
        """The chunk, mapped; its header is verified, its columns as they are touched."""
        chunk_id = ref.chunk_id
        return self.chunks.get(chunk_id) or self._map_chunk(chunk_id, ref.item)

    def _map_chunk(self, chunk_id: int, item: np.void) -> MappedChunk:
        if self.closed:
            raise StoreClosed("the store was closed; open it again to read")
        path = self.files.chunk(item, self.snapshot.settings.partition)
        try:
            chunk = self._map_file(path, chunk_id, item)
        except (FileNotFoundError, InvalidData) as error:
            if self._is_named_still(chunk_id, item):
                raise _damage(error, path) from None
            chunk = self._map_dropped(path, chunk_id, item)
        return self._maps.add(self.chunks, chunk_id, chunk)

    def _map_file(self, path: str, chunk_id: int, item: np.void) -> MappedChunk:
        data = self._disk.map(path, int(item["file_length"]))
        settings = self.snapshot.settings
        chunk = MappedChunk(data, int(item["header_crc"]), settings, path, self._verified.get(chunk_id), self._verify)
        self._verified.setdefault(chunk_id, chunk.verified)
        return chunk

    def _map_dropped(self, path: str, chunk_id: int, item: np.void) -> MappedChunk:
        """A dropped series keeps its files for the grace period, in a folder that bears its id."""
        for folder in self._disk.list(self._dropped):
            dropped = names.parse_dropped_folder_name(folder)
            if dropped is not None and dropped[0] == self.snapshot.settings.series_id:
                moved = os.path.join(self._dropped, folder, names.CHUNKS_FOLDER, os.path.basename(path))
                try:
                    return self._map_file(moved, chunk_id, item)
                except FileNotFoundError:
                    break
        raise self._expired(path)

    def _is_named_still(self, chunk_id: int, item: np.void) -> bool:
        """Whether the newest committed state has this chunk, so that its file ought to be there and sound."""
        try:
            newest = self.newest().snapshot
        except NotFound:
            return False
        same_series = newest.settings.series_id == self.snapshot.settings.series_id
        span = int(item["start_ts"]), int(item["end_ts"])
        return same_series and any(ref.chunk_id == chunk_id for ref in newest.overlapping(*span))

    # Rows

    def range(self, start: int, end: int) -> Rows:
        """Rows with ``start <= ts <= end``; none if start > end. Any python int is a bound."""
        snapshot = self._snapshot or self._pin()
        leaf_index = bisect_left(snapshot.leaf_ends, start)
        if leaf_index == len(snapshot.leaf_ends) or start > end:
            return self._empty
        leaf = snapshot.loaded[leaf_index] or snapshot.leaf(leaf_index)
        place = bisect_left(leaf.ends, start)
        if leaf.ends[place] <= end:
            return self._range_of_many(snapshot.overlapping(start, end), start, end)
        if end < leaf.starts[place]:
            return self._empty
        chunk = self.chunks.get(leaf.ids[place]) or self.open_chunk(ChunkRef((leaf, place)))
        low, high = chunk.bounds(start if start > INT64_MIN else INT64_MIN, end)
        return self._chunk_rows(chunk, low, high) if low < high else self._empty

    def _range_of_many(self, refs: list[ChunkRef], start: int, end: int) -> Rows:
        """Only the first and the last chunk are searched; those between lie in the range whole."""
        if len(refs) == 1:
            return self.rows_of(self.open_chunk(refs[0]), *self._bounds_in(refs[0], start, end))
        pieces = [
            (ref, *(self._bounds_in(ref, start, end) if place in (0, len(refs) - 1) else (0, ref.rows)))
            for place, ref in enumerate(refs)
        ]
        return self.rows_of_pieces([piece for piece in pieces if piece[1] < piece[2]])

    def _bounds_in(self, ref: ChunkRef, start: int, end: int) -> tuple[int, int]:
        leaf, place = ref
        if start <= leaf.starts[place] and leaf.ends[place] <= end:
            return 0, ref.rows
        return self.open_chunk(ref).bounds(max(start, INT64_MIN), min(end, INT64_MAX))

    def latest(self, count: int) -> Rows:
        """The last ``count`` rows, ascending; fewer if the series has fewer."""
        snapshot = self._snapshot or self._pin()
        if count <= 0 or not snapshot.leaf_ends:
            return self._empty
        leaf = snapshot.loaded[len(snapshot.leaf_ends) - 1] or snapshot.leaf(len(snapshot.leaf_ends) - 1)
        rows = leaf.rows[-1]
        if count > rows:
            return self._latest_of_many(snapshot, count)
        chunk = self.chunks.get(leaf.ids[-1]) or self.open_chunk(ChunkRef((leaf, len(leaf) - 1)))
        chunk.used = True
        return self._chunk_rows(chunk, rows - count, rows)

    def _latest_of_many(self, snapshot: Snapshot, count: int) -> Rows:
        pieces = []
        for ref in snapshot.backwards():
            taken = min(count, ref.rows)
            pieces.append((ref, ref.rows - taken, ref.rows))
            count -= taken
            if not count:
                break
        return self.rows_of_pieces(pieces[::-1])

    def at(self, ts: int) -> Any:
        """The first row with this ts as a record; None if there is none."""
        snapshot = self._snapshot or self._pin()
        leaf_index = bisect_left(snapshot.leaf_ends, ts)
        if leaf_index == len(snapshot.leaf_ends):
            return None
        leaf = snapshot.loaded[leaf_index] or snapshot.leaf(leaf_index)
        place = bisect_left(leaf.ends, ts)
        if leaf.starts[place] > ts:
            return None
        chunk = self.chunks.get(leaf.ids[place]) or self.open_chunk(ChunkRef((leaf, place)))
        low, high = chunk.bounds(ts, ts)
        return chunk.row(low) if low < high else None

    def rows_of(self, chunk: MappedChunk, start: int, stop: int) -> Rows:
        """Rows ``start`` to ``stop`` of one chunk."""
        return self._chunk_rows(chunk, start, stop)

    def rows_of_pieces(self, pieces: list[tuple[ChunkRef, int, int]]) -> Rows:
        """Rows of consecutive parts of chunks; mapped now if they fit the budget easily, else as they are used."""
        if not pieces:
            return self._empty
        if len(pieces) == 1:
            ref, start, stop = pieces[0]
            return self.rows_of(self.open_chunk(ref), start, stop)
        source = JoinedPieces(self, pieces, pin=len(pieces) <= self._maps.budget // 4)
        rows: Rows = rows_class(JoinedRows, self.snapshot.settings.schema)(self.snapshot.settings, source)
        return rows

    @property
    def no_rows(self) -> Rows:
        """Rows of this series that are none."""
        self.snapshot  # noqa: B018 (pins)
        return self._empty


def _damage(error: Exception, path: str) -> InvalidData:
    if isinstance(error, InvalidData):
        return error
    return InvalidData(f"{path} is missing, though the manifest names it; restore it from a copy")
