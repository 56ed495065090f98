"""The chunks of one series: mapped when they are needed, verified once, let go when the budget of maps is spent.

Shared by all snapshots of the series that one store object has: a chunk's identity never comes back, so that what is
mapped and verified stays true whatever is committed.
"""

from __future__ import annotations

import os.path
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from fastk.engine.chunk_index import ChunkIndex, ChunkRef, Leaf
from fastk.engine.mapped import MappedChunk, Verify
from fastk.errors import InvalidData, SnapshotExpired, StoreClosed
from fastk.format import names, tables
from fastk.format.chunk import encode_chunk

if TYPE_CHECKING:
    from collections.abc import Collection

    from fastk.engine.cache import MapCache
    from fastk.engine.files import SeriesFiles
    from fastk.engine.sidecars import MappedIndex, SeriesSidecars
    from fastk.io.disk import Disk
    from fastk.schema.settings import SeriesSettings


class SeriesChunks:
    """Maps and verification state of one series. ``mapped`` holds chunks by id; the map cache takes them out again."""

    def __init__(
        self, disk: Disk, files: SeriesFiles, dropped: str, maps: MapCache, verify: Verify, settings: SeriesSettings
    ) -> None:
        self.settings = settings
        self.files = files
        self.maps = maps
        self.mapped: dict[int, MappedChunk] = {}
        self.leaves: dict[int, Leaf] = {}
        self.indexes: dict[int, MappedIndex] = {}
        self.held: WeakValueDictionary[int, MappedChunk] = WeakValueDictionary()  # by sessions, as long as these live
        self.closed = False
        self._disk = disk
        self._dropped = dropped
        self._verify = verify
        self._verified: dict[int, list[bytearray]] = {}
        self._made_up_ids = count(names.chunk_id(names.LAST_SEQUENCE, 0))

    @cached_property
    def sidecars(self) -> SeriesSidecars:
        """The sidecars of the chunks; loaded with their parsers, which reads of ranges need not."""
        made: SeriesSidecars = vars(self).setdefault("sidecars", self._make_sidecars())  # of two threads the first's
        return made

    def _make_sidecars(self) -> SeriesSidecars:
        from fastk.engine.sidecars import SeriesSidecars

        return SeriesSidecars(self._disk, self.maps, self._verify, self.indexes)

    def map(self, ref: ChunkRef, state: ChunkIndex) -> MappedChunk:
        """Map a chunk of a committed state, which is not mapped; its header is verified.

        If a merge took the chunk out and its file is gone, its rows come from the file that has them now.
        """
        if self.closed:
            raise StoreClosed("the store was closed; open it again to read")
        chunk_id, item = ref.chunk_id, ref.item
        held = self.held.get(chunk_id)
        if held is not None:
            return self.maps.add(self.mapped, chunk_id, held)
        path = self.files.chunk(item, self.settings.partition)
        try:
            chunk = self._map_file(path, chunk_id, item)
        except (FileNotFoundError, InvalidData) as error:
            newest = self._newest()
            if newest is not None and _names(newest, chunk_id, item):
                raise _damage(error, path) from None
            chunk = self._restore(ref, state, newest) or self._map_dropped(path, chunk_id, item)
        return self.maps.add(self.mapped, chunk_id, chunk)

    def _map_file(self, path: str, chunk_id: int, item: np.void) -> MappedChunk:
        data = self._disk.map(path, int(item["file_length"]))
        verified = self._verified.get(chunk_id)
        chunk = MappedChunk(
            data, int(item["header_crc"]), self.settings, path, verified, self._verify, int(item["sidecars"])
        )
        if chunk.rows != int(item["rows"]):
            raise InvalidData(
                f"{path} has {chunk.rows:,} rows, and its table says {int(item['rows']):,}; restore it from a copy"
            )
        self._verified.setdefault(chunk_id, chunk.verified)
        return chunk

    def _map_dropped(self, path: str, chunk_id: int, item: np.void) -> MappedChunk:
        try:
            return self._map_file(self._aside(path), chunk_id, item)
        except FileNotFoundError:
            raise self._expired(path) from None

    def _aside(self, path: str) -> str:
        """Where a file lies after its series was dropped: it stays for the grace period, under the series' id."""
        for folder in self._disk.list(self._dropped):
            dropped = names.parse_dropped_folder_name(folder)
            if dropped is not None and dropped[0] == self.settings.series_id:
                return os.path.join(self._dropped, folder, os.path.relpath(path, self.files.folder))
        raise self._expired(path)

    def _newest(self) -> ChunkIndex | None:
        """The newest committed state of this very series; None if it is gone."""
        try:
            manifest = self.files.parse_manifest(self._disk.read(self.files.manifest))
        except (FileNotFoundError, NotADirectoryError):
            return None
        same_series = manifest.settings.series_id == self.settings.series_id
        return ChunkIndex(manifest, self.load_leaf, self.leaves) if same_series else None

    def _restore(self, ref: ChunkRef, state: ChunkIndex, newest: ChunkIndex | None) -> MappedChunk | None:
        """A chunk made anew in memory from the newest state; None if its series has other rows by now."""
        if newest is None or newest.manifest.content_sequence != state.manifest.content_sequence:
            return None
        position = state.position_of(ref)
        place = int(newest.row_borders.searchsorted(position, "right")) - 1
        source = newest.refs[place]
        if source.chunk_id == ref.chunk_id:  # where times of a table are made up, it is not found by them
            return None
        chunk = self.mapped.get(source.chunk_id) or self.map(source, newest)
        low = position - int(newest.row_borders[place])
        columns = [chunk.column(each, low, low + ref.rows) for each in range(len(chunk.columns))]
        identity = chunk.header.identity._replace(chunk_id=ref.chunk_id)
        encoded = encode_chunk(self.settings.json, self.settings.schema, columns, identity)
        data = np.frombuffer(b"".join(encoded.buffers), np.uint8)
        return MappedChunk(data, encoded.header_crc, self.settings, chunk.path, None, self._verify)

    def restored_leaf(self, state: ChunkIndex, index: int) -> tables.Table | None:
        """What stands for a leaf whose table is gone: the newest chunks of the same rows; None if these are other ones.

        Chunks that reach beyond the leaf are cut: their parts get ids that no file has, and are made in memory.
        """
        newest = self._newest()
        if newest is None or newest.manifest.content_sequence != state.manifest.content_sequence:
            return None
        rows = state.manifest.leaves["rows"]
        low, high = int(rows[:index].sum()), int(rows[: index + 1].sum())
        first, last = (int(newest.row_borders.searchsorted(row, "right")) - 1 for row in (low, high - 1))
        items = newest.table[first : last + 1].copy()
        for place in {first, last}:
            begin, end = newest.row_borders[place : place + 2].tolist()
            if begin < low or end > high:
                items[place - first] = self._cut(newest, place, max(low, begin) - begin, min(high, end) - begin)
        return items

    def _cut(self, newest: ChunkIndex, place: int, low: int, high: int) -> np.void:
        """The item of a part of a chunk."""
        ref = newest.refs[place]
        chunk = self.mapped.get(ref.chunk_id) or self.map(ref, newest)
        item: np.void = ref.item.copy()
        ts = chunk.column(0, low, high)
        for name, value in (
            ("chunk_id", next(self._made_up_ids)),
            ("start_ts", ts[0]),
            ("end_ts", ts[-1]),
            ("rows", high - low),
            ("sidecars", 0),
        ):
            item[name] = value
        return item

    def load_leaf(self, item: np.void) -> tables.Table:
        """The chunk table that a manifest refers to."""
        return self._load_table("chunks", tables.CHUNK, item)

    def load_retired(self, item: np.void) -> tables.Table:
        """The table of retired files that a manifest refers to."""
        return self._load_table("retired", tables.RETIRED, item)

    def _load_table(self, kind: str, dtype: np.dtype[Any], item: np.void) -> tables.Table:
        table_id = int(item["table_id"])
        path = self.files.table(kind, table_id)
        try:
            data = self._disk.read(path)
        except FileNotFoundError as error:
            if self._is_table_named_still(table_id):
                raise _damage(error, path) from None
            data = self._read_dropped(path)
        return tables.parse_named(data, dtype, self.settings.series_id, item, path)

    def _is_table_named_still(self, table_id: int) -> bool:
        newest = self._newest()
        if newest is None:
            return False
        manifest = newest.manifest
        return table_id in manifest.leaves["table_id"] or table_id in manifest.retired_table["table_id"]

    def _read_dropped(self, path: str) -> bytes:
        try:
            return self._disk.read(self._aside(path))
        except FileNotFoundError:
            raise self._expired(path) from None

    def _expired(self, path: str) -> SnapshotExpired:
        return SnapshotExpired(
            f"{path} was removed after the snapshot of {self.settings.key} was pinned; call refresh() and repeat"
        )

    def forget(self, chunk_ids: Collection[int]) -> None:
        """Unmap chunks that the newest state does not name: their files will be removed, and a map keeps their space.

        Those that a caller holds stay mapped as long; a snapshot that still names one maps it anew.
        """
        if chunk_ids:
            self.maps.let_go(self.settings.series_id, (self.mapped, self.indexes, self._verified), chunk_ids)

    def let_go(self) -> None:
        """Unmap everything that no caller holds."""
        self.maps.forget((self.mapped, self.indexes))
        if "sidecars" in vars(self):
            self.sidecars.try_again()

    def close(self) -> None:
        """Map nothing any more."""
        self.closed = True


def _names(state: ChunkIndex, chunk_id: int, item: np.void) -> bool:
    """Whether a committed state has this chunk, so that its file ought to be there and sound."""
    span = int(item["start_ts"]), int(item["end_ts"])
    return any(ref.chunk_id == chunk_id for ref in state.overlapping(*span))


def _damage(error: Exception, path: str) -> InvalidData:
    if isinstance(error, InvalidData):
        return error
    return InvalidData(f"{path} is missing, though the manifest names it; restore it from a copy")
