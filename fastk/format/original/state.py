"""From a manifest of the original's to one of ours: the settings, and a table of the chunks that count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.errors import FastKError, InvalidData
from fastk.format import names as our_names
from fastk.format import sidecars, tables
from fastk.format.manifest import Manifest
from fastk.format.original import names
from fastk.format.original.chunk import INDEX_ENTRY
from fastk.format.original.records import SCHEMAS, row_dtype
from fastk.format.original.sidecars import VALUE_INDEX, ZONE_MAP
from fastk.partition import PartitionUnit
from fastk.schema.schema import PRICE_SCALE, VOLUME_SCALE
from fastk.schema.settings import SeriesSettings, adapted
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from fastk.format.original.manifest import OriginalChunk, OriginalManifest
    from fastk.format.tables import Table
    from fastk.schema.schema import Schema

    Entries = dict[int, OriginalChunk]

_BITS = {ZONE_MAP: sidecars.ZONE_MAP.bit, VALUE_INDEX: sidecars.VALUE_INDEX.bit}
_UNITS = (PartitionUnit.MONTH, PartitionUnit.DAY, PartitionUnit.HOUR)


def as_manifest(original: OriginalManifest, path: str) -> tuple[Manifest, Entries]:
    """Our form of a state, and what the original says of each of its chunks, by the identity that they have here.

    InvalidData for a record type, partition or scale that the original does not write, and where chunks claim the
    same time so that none of them wins.
    """
    settings = _settings(original, path)
    chunks = _surviving([chunk for chunk in original.chunks if _counts(chunk, path)], settings.schema, path)
    entries = {_identity(chunk): chunk for chunk in chunks}
    if len(entries) != len(chunks):
        raise InvalidData(f"{path} names the same chunk twice; restore it from a copy")
    sequence = min(original.sequence, our_names.LAST_SEQUENCE)
    return Manifest(settings, sequence, sequence, original.updated_at, chunks=_table(entries, settings)), entries


def _settings(original: OriginalManifest, path: str) -> SeriesSettings:
    schema = SCHEMAS.get(original.record_type)
    if schema is None or original.schema_id != original.record_type:
        raise InvalidData(f"{path}: record type {original.record_type}, schema {original.schema_id} is unknown")
    if original.record_size != row_dtype(schema.record_type).itemsize:
        raise InvalidData(f"{path}: rows of {schema.name} have not {original.record_size} bytes; restore a copy")
    if original.chunk_unit not in _UNITS:
        raise InvalidData(f"{path}: the original has no chunks in {original.chunk_unit!r}; restore it from a copy")
    scales = {PRICE_SCALE: original.price_scale, VOLUME_SCALE: original.volume_scale}
    try:
        return SeriesSettings(
            original.key,
            adapted(schema, partition=original.chunk_unit),
            original.series_id,
            original.created_at,
            original.timeframe_ms,
            scales={name: scales[name] for name in schema.scale_names if name in scales},
        )
    except FastKError as error:
        raise InvalidData(f"{path}: {error}") from error


def _counts(chunk: OriginalChunk, path: str) -> bool:
    """Whether a chunk holds rows that were not replaced; InvalidData for numbers that cannot be."""
    if chunk.rows == 0 or chunk.state == tables.ChunkState.REPLACED:
        return False
    if not INT64_MIN <= chunk.start_ts <= chunk.end_ts <= INT64_MAX or not 0 < chunk.rows < 2**48:
        raise InvalidData(f"{path}: {chunk.path} cannot hold {chunk.rows} rows of {chunk.start_ts} to {chunk.end_ts}")
    names.file_in_chunks(chunk.path, path)
    return True


def _surviving(chunks: list[OriginalChunk], schema: Schema, path: str) -> list[OriginalChunk]:
    """The chunks in order of time; where some claim the same time, the one that the original lets win."""
    groups: list[list[OriginalChunk]] = []
    reach = INT64_MIN
    for chunk in sorted(chunks, key=lambda each: (each.start_ts, each.end_ts, each.generation, each.chunk_id)):
        goes_on = not schema.unique_ts and chunk.start_ts == reach  # rows of one ts may lie in two chunks
        if groups and chunk.start_ts <= reach and not goes_on:
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
        reach = max(reach, chunk.end_ts)
    return [_winner(group, path) for group in groups]


def _winner(group: list[OriginalChunk], path: str) -> OriginalChunk:
    """Of chunks that claim the same time: the highest generation, then span, count and path, that covers all of it."""
    if len(group) == 1:
        return group[0]
    start, end = min(each.start_ts for each in group), max(each.end_ts for each in group)
    covering = [each for each in group if each.start_ts == start and each.end_ts == end]
    if not covering:
        raise InvalidData(
            f"{path}: {', '.join(each.path for each in group)} claim the same time (ts {start} to {end}), and none of "
            f"them covers all of it: repair the store with the original's tools"
        )
    return max(covering, key=lambda each: (each.generation, each.rows, each.path))


def _identity(chunk: OriginalChunk) -> int:
    """What tells a chunk from all others that its series ever had; the original's ids come back after its repairs."""
    facts = chunk.path, chunk.chunk_id, chunk.generation, chunk.start_ts, chunk.end_ts, chunk.rows, chunk.checksum
    return kernels.active.fnv1a(np.frombuffer(repr(facts).encode(), np.uint8))


def _table(entries: Entries, settings: SeriesSettings) -> Table:
    table = np.zeros(len(entries), tables.CHUNK)
    row_bytes = row_dtype(settings.schema.record_type).itemsize
    for place, (identity, chunk) in enumerate(entries.items()):
        item = table[place]
        item["chunk_id"], item["rows"] = identity, chunk.rows
        item["start_ts"], item["end_ts"] = chunk.start_ts, chunk.end_ts
        item["file_length"] = _file_length(chunk, row_bytes)
        item["generation"], item["state"] = chunk.generation, chunk.state
        item["kind"] = _kind(chunk)
        item["sidecars"] = sum(_BITS.get(kind, 0) for kind in {each.kind for each in chunk.sidecars})
    # By its first row, not by the key: the original's repairs write the month for days and hours.
    table["partition"] = settings.partition.ordinals(table["start_ts"].copy(), settings.time_unit)
    return table


def _file_length(chunk: OriginalChunk, row_bytes: int) -> int:
    """The bytes of its file, as far as the manifest tells."""
    return chunk.header_bytes + chunk.rows * row_bytes + chunk.index_entries * INDEX_ENTRY.itemsize


def _kind(chunk: OriginalChunk) -> tables.ChunkKind:
    if names.is_delta(chunk.path):
        return tables.ChunkKind.DELTA
    return tables.ChunkKind.MERGED if names.is_merged(chunk.path) else tables.ChunkKind.FIRST
