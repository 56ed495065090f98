"""Rows as a store that the original opens: its chunks, sidecars and manifests, version 2.

A partition whose chunks are puts, one behind the other, becomes the very files that the original makes of these puts.
Of any other partition, merged or rewritten, one sealed chunk is made, as of a single put.
"""

from __future__ import annotations

import os.path
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.errors import InvalidInput
from fastk.format import names as our_names
from fastk.format.original import names
from fastk.format.original.chunk import OriginalHeader, header_of, sparse_index
from fastk.format.original.manifest import OriginalChunk, OriginalManifest, OriginalSidecar, checksum
from fastk.format.original.records import SCHEMAS, row_dtype
from fastk.format.original.sidecars import VALUE_INDEX, ZONE_MAP, encode_values, encode_zones
from fastk.format.sidecars import ZONE_MAP as OUR_ZONE_MAP
from fastk.format.sidecars import ZONE_ROWS
from fastk.format.tables import ChunkKind, ChunkState
from fastk.partition import PartitionUnit
from fastk.schema.schema import PRICE_SCALE, VALUE_SCALE, VOLUME_SCALE, RecordType
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk
    from fastk.schema.settings import SeriesSettings

    Tell = Callable[[int], None]

FORMAT = "fastk-v2"
_BATCH_ROWS = 1 << 20
_BY_MONTH = (RecordType.KLINE, RecordType.SCALAR)
_HIDING = (our_names.CHUNKS_FOLDER, our_names.MANIFEST_FILE)


@dataclass(frozen=True, slots=True)
class ExportedSeries:
    """A series as it was written."""

    symbol: str
    category: str
    name: str
    rows: int
    chunks: int


class _Put(NamedTuple):
    """Consecutive stored chunks that become one file of the original's."""

    refs: list[ChunkRef]
    partition_key: str
    generation: int

    @property
    def order(self) -> int:
        """The place of the put among all: that of its first commit."""
        return min(ref.chunk_id for ref in self.refs)

    @property
    def span(self) -> tuple[int, int]:
        """First and last ts."""
        return int(self.refs[0].item["start_ts"]), int(self.refs[-1].item["end_ts"])

    @property
    def rows(self) -> int:
        """How many."""
        return sum(ref.rows for ref in self.refs)

    @property
    def state(self) -> ChunkState:
        """The original leaves appended chunks Active."""
        return ChunkState.SEALED if self.generation == 1 else ChunkState.ACTIVE


# What the original cannot express


def check_exportable(snapshots: list[Snapshot]) -> None:
    """Raise InvalidInput naming the first series that the original cannot hold, and why."""
    places = {}
    for snapshot in snapshots:
        settings = snapshot.settings
        reason = _reason(settings)
        if reason is not None:
            raise InvalidInput(f"{settings.key} cannot be exported as {FORMAT}: {reason}")
        places[tuple(names.series_parts(settings.key))] = settings.key
    ordered = sorted(places)
    for one, other in pairwise(ordered):
        if other[: len(one)] == one:
            raise InvalidInput(f"{places[one]} and {places[other]} would lie in one folder of the original's")
    if len(places) < len(snapshots):
        raise InvalidInput("two of the series would lie in one folder of the original's")


def _reason(settings: SeriesSettings) -> str | None:
    schema = settings.schema
    known = SCHEMAS.get(int(schema.record_type))
    if known is None or known.fields != schema.fields:
        return f"it holds {schema.name!r} records; the original knows {_listed(each.name for each in SCHEMAS.values())}"
    kind, units = f"the original's {schema.name} series", _units(schema.record_type)
    if schema.unique_ts != known.unique_ts:
        return f"it was registered with unique_ts={schema.unique_ts}, and {kind} have {known.unique_ts}"
    if settings.time_unit is not TimeUnit.MILLISECONDS:
        return f"it counts time in {settings.time_unit}, and {kind} in ms"
    if settings.scales.get(VALUE_SCALE, 1) != 1:
        return f"its value_scale is {settings.scales[VALUE_SCALE]}, and {kind} have none"
    if schema.partition not in units:
        return f"its partition is a {schema.partition}, and that of {kind} a {_listed(units)}"
    hiding = [part for part in names.series_parts(settings.key) if part in _HIDING]
    return f"a folder named {hiding[0]!r} would hide it from the original" if hiding else None


def _units(record_type: RecordType) -> tuple[PartitionUnit, ...]:
    if record_type in _BY_MONTH:
        return (PartitionUnit.MONTH,)
    return PartitionUnit.MONTH, PartitionUnit.DAY, PartitionUnit.HOUR


def _listed(words: Any) -> str:
    return ", ".join(map(str, words))


# Which files


def _puts(snapshot: Snapshot) -> list[_Put]:
    """The files to be written, in order of time."""
    settings = snapshot.settings
    puts = []
    for ordinal, group in groupby(snapshot.refs, key=lambda ref: int(ref.item["partition"])):
        refs, key = list(group), settings.partition.key(ordinal)
        if _are_plain_puts(refs, settings):
            puts += [_Put([ref], key, place + 1) for place, ref in enumerate(refs)]
        else:
            puts.append(_Put(refs, key, 1))
    return puts


def _are_plain_puts(refs: list[ChunkRef], settings: SeriesSettings) -> bool:
    """Whether the original would have made these chunks: a first one, and others appended behind it one by one.

    Its scalar series never have more than one chunk a month, and none of its chunks begins with the last ts of another.
    """
    if settings.schema.record_type is RecordType.SCALAR and len(refs) > 1:
        return False
    kinds = [ChunkKind(ref.item["kind"]) for ref in refs]
    if kinds != [ChunkKind.FIRST] + [ChunkKind.DELTA] * (len(refs) - 1):
        return False
    return all(
        one.chunk_id < other.chunk_id and one.item["end_ts"] < other.item["start_ts"] for one, other in pairwise(refs)
    )


# Writing


def write_series(disk: Disk, snapshot: Snapshot, root: str, tell: Tell) -> ExportedSeries:
    """Write one series below a root, durable except for the names of its folders' parents; ``tell`` is told rows."""
    settings = snapshot.settings
    folder = os.path.join(root, our_names.SERIES_FOLDER, *names.series_parts(settings.key))
    chunks = os.path.join(folder, our_names.CHUNKS_FOLDER)
    _make_folders(disk, root, chunks)
    puts = _puts(snapshot)
    ids = {put.order: place + 1 for place, put in enumerate(sorted(puts, key=lambda put: put.order))}
    writer = _ChunkWriter(disk, snapshot, folder, tell)
    try:
        written = [writer.write(put, ids[put.order]) for put in puts]
        path = os.path.join(folder, our_names.MANIFEST_FILE)
        disk.create(path, [_manifest(settings, written).encode()], sync=False)
        disk.sync_together([*writer.unsynced, path], [chunks, folder])
    except BaseException:
        for each in writer.unsynced:  # which the disk keeps open
            with suppress(OSError):
                disk.remove(each)
        raise
    return ExportedSeries(*settings.key, snapshot.rows, len(written))


def _make_folders(disk: Disk, root: str, folder: str) -> None:
    if folder != root:
        _make_folders(disk, root, os.path.dirname(folder))
        if disk.make_folder(folder):
            disk.sync_folder(os.path.dirname(folder))


def _manifest(settings: SeriesSettings, chunks: list[OriginalChunk]) -> OriginalManifest:
    active = [chunk.chunk_id for chunk in chunks if chunk.state is ChunkState.ACTIVE]
    code = int(settings.schema.record_type)
    return OriginalManifest(
        key=settings.key,
        record_type=code,
        record_size=row_dtype(settings.schema.record_type).itemsize,
        schema_id=code,
        series_id=names.series_id(settings.key),
        sequence=1 + len(chunks),
        created_at=settings.created_at,
        updated_at=time.time_ns() // 1_000_000,
        timeframe_ms=settings.timeframe_ms,
        price_scale=settings.scales.get(PRICE_SCALE, 1),
        volume_scale=settings.scales.get(VOLUME_SCALE, 1),
        chunk_unit=settings.partition.value,
        active_chunk_id=max(active, default=0),
        chunks=chunks,
    )


class _ChunkWriter:
    """Writes the chunks of one series. ``unsynced`` are the files that are not durable yet."""

    def __init__(self, disk: Disk, snapshot: Snapshot, folder: str, tell: Tell) -> None:
        self.unsynced: list[str] = []
        self._disk = disk
        self._snapshot = snapshot
        self._folder = folder
        self._tell = tell

    def write(self, put: _Put, chunk_id: int) -> OriginalChunk:
        """Write one chunk and its sidecars, and return what the manifest says of it."""
        settings = self._snapshot.settings
        header = header_of(
            record_size=row_dtype(settings.schema.record_type).itemsize,
            schema_id=int(settings.schema.record_type),
            series_id=names.series_id(settings.key),
            chunk_id=chunk_id,
            generation=put.generation,
            timeframe_ms=settings.timeframe_ms,
            span=put.span,
            rows=put.rows,
        )
        name = names.chunk_file_name(put.partition_key, put.generation)
        relative = f"{our_names.CHUNKS_FOLDER}/{name}"
        found = self._write_file(relative, header, put)
        sidecars = self._write_sidecars(relative, put) if settings.schema.record_type is RecordType.SCALAR else ()
        layout = header.version, header.length, header.sparse_every, header.index_offset, header.index_entries
        facts = chunk_id, put.partition_key, *put.span, put.rows, put.state
        return OriginalChunk(*facts, *layout, found, put.generation, relative, tuple(sidecars))

    def _write_file(self, relative: str, header: OriginalHeader, put: _Put) -> int:
        """Write a chunk file, and return its checksum."""
        path = os.path.join(self._folder, relative)
        pieces = _Summed(self._pieces(header, put))
        if put.rows > _BATCH_ROWS:
            self._disk.create_streamed(path, pieces)
        else:
            self._disk.create(path, list(pieces), sync=False)
            self.unsynced.append(path)
        return pieces.checksum

    def _pieces(self, header: OriginalHeader, put: _Put) -> Iterator[NDArray[np.uint8]]:
        """The bytes of a chunk file: header, rows, index."""
        yield np.frombuffer(header.encode(), np.uint8)
        schema = self._snapshot.settings.schema
        index, row = [], 0
        for chunk, low, high in self._parts(put):
            columns = [chunk.column(place, low, high) for place in range(len(schema.fields))]
            index.append(sparse_index(columns[0], row))
            row += high - low
            records = np.zeros(high - low, row_dtype(schema.record_type))
            for name, column in zip(schema.names, columns, strict=True):
                records[name] = column
            yield records.view(np.uint8)
            self._tell(high - low)
        yield np.concatenate(index).view(np.uint8)

    def _parts(self, put: _Put) -> Iterator[tuple[MappedChunk, int, int]]:
        """The rows of a put in parts that fit in memory."""
        for ref in put.refs:
            chunk = self._snapshot.open_chunk(*ref)
            for low in range(0, chunk.rows, _BATCH_ROWS):
                yield chunk, low, min(low + _BATCH_ROWS, chunk.rows)

    def _write_sidecars(self, relative: str, put: _Put) -> Iterator[OriginalSidecar]:
        chunks = [self._snapshot.open_chunk(*ref) for ref in put.refs]
        ts, values = (np.concatenate([chunk.column(place, 0, chunk.rows) for chunk in chunks]) for place in range(2))
        block_rows = self._zone_rows(chunks[0])
        zones = encode_zones(ts, values, block_rows)
        items = -(-put.rows // block_rows)
        for kind, data, rows, count in (
            (ZONE_MAP, zones, block_rows, items),
            (VALUE_INDEX, encode_values(ts, values), 0, put.rows),
        ):
            path = f"{relative}.{kind}"
            self._disk.create(os.path.join(self._folder, path), [data], sync=False)
            self.unsynced.append(os.path.join(self._folder, path))
            yield OriginalSidecar(kind, path, put.generation, checksum(data), rows, count)

    def _zone_rows(self, chunk: MappedChunk) -> int:
        """The size of the blocks of the chunk's own zone map."""
        if not chunk.sidecars & OUR_ZONE_MAP.bit:
            return ZONE_ROWS
        zones = self._snapshot.chunks.sidecars.zones(chunk, 1)
        return zones.block_rows if zones.block_rows < chunk.header.block_rows else ZONE_ROWS


class _Summed:
    """Pieces of bytes, and the checksum of those that were taken so far."""

    def __init__(self, pieces: Iterator[NDArray[np.uint8]]) -> None:
        self.checksum = checksum(b"")
        self._pieces = pieces

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for piece in self._pieces:
            self.checksum = kernels.active.fnv1a(piece, self.checksum)
            yield piece
