"""The original's ``series.meta``: binary with a checksum, or, in its oldest stores, JSON without one."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.errors import InvalidData, UnsupportedVersion
from fastk.format.original.chunk import SPARSE_EVERY
from fastk.format.tables import ChunkState
from fastk.keys import SeriesKey

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST_MAGIC = b"FKMETA02"
_VERSION = 2
_FRONT = struct.Struct("<8sIIQ")  # magic, version, flags, checksum of the body
_SERIES = struct.Struct("<IIIQQqqqqq")
_CHUNK = struct.Struct("<qqQBIIIQIQI")
_SIDECAR = struct.Struct("<IQIQ")
_LEGACY_HEADER_BYTES = 88


@dataclass(frozen=True, slots=True)
class OriginalSidecar:
    """What a manifest says of one sidecar: ``items`` zones or values; ``generation`` 0 if a repair adopted it."""

    kind: str
    path: str
    generation: int
    checksum: int
    block_rows: int
    items: int


@dataclass(frozen=True, slots=True)
class OriginalChunk:
    """What a manifest says of one chunk; ``checksum`` 0 is none. Paths are below the series' folder."""

    chunk_id: int
    partition_key: str
    start_ts: int
    end_ts: int
    rows: int
    state: ChunkState
    version: int
    header_bytes: int
    sparse_every: int
    index_offset: int
    index_entries: int
    checksum: int
    generation: int
    path: str
    sidecars: tuple[OriginalSidecar, ...] = ()


@dataclass(frozen=True)
class OriginalManifest:
    """One state of one series. ``active_chunk_id`` is 0 if no chunk is Active."""

    key: SeriesKey
    record_type: int
    record_size: int
    schema_id: int
    series_id: int
    sequence: int
    created_at: int
    updated_at: int
    timeframe_ms: int
    price_scale: int
    volume_scale: int
    chunk_unit: str
    active_chunk_id: int = 0
    chunks: list[OriginalChunk] = field(default_factory=list)

    def encode(self) -> bytes:
        """The bytes of a binary ``series.meta``."""
        numbers = self.record_type, self.record_size, self.schema_id, self.series_id, self.sequence
        times = self.created_at, self.updated_at, self.timeframe_ms, self.price_scale, self.volume_scale
        parts = [_SERIES.pack(*numbers, *times), _text(self.chunk_unit), struct.pack("<Q", self.active_chunk_id)]
        parts += [*map(_text, self.key), struct.pack("<I", len(self.chunks))]
        for chunk in self.chunks:
            parts += _encode_chunk(chunk)
        body = b"".join(parts)
        return _FRONT.pack(MANIFEST_MAGIC, _VERSION, 0, checksum(body)) + body


def checksum(data: Any) -> int:
    """The original's checksum of any bytes."""
    return kernels.active.fnv1a(np.frombuffer(data, np.uint8))


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<H", len(encoded)) + encoded


def _encode_chunk(chunk: OriginalChunk) -> Iterable[bytes]:
    yield struct.pack("<Q", chunk.chunk_id) + _text(chunk.partition_key)
    span = chunk.start_ts, chunk.end_ts, chunk.rows, chunk.state
    layout = chunk.version, chunk.header_bytes, chunk.sparse_every, chunk.index_offset, chunk.index_entries
    yield _CHUNK.pack(*span, *layout, chunk.checksum, chunk.generation)
    yield _text(chunk.path) + struct.pack("<I", len(chunk.sidecars))
    for each in chunk.sidecars:
        yield _text(each.kind) + _text(each.path)
        yield _SIDECAR.pack(each.generation, each.checksum, each.block_rows, each.items)


def is_manifest(front: bytes) -> bool:
    """Whether a file that begins so may be a manifest of the original's."""
    return front.startswith((MANIFEST_MAGIC[:7], b"{"))


def parse_original(data: bytes, path: str) -> OriginalManifest:
    """Read a ``series.meta`` of either form.

    InvalidData if it is damaged or foreign, UnsupportedVersion if it is of a later version.
    """
    try:
        if data[:1] == b"{":
            return _parse_json(data, path)
        _check_front(data, path)
        return _Reader(data[_FRONT.size :]).manifest()
    except (ValueError, KeyError, TypeError, struct.error, RecursionError, OverflowError) as error:
        raise InvalidData(f"{path} is no sound manifest ({error}); restore it from a copy") from error


def _check_front(data: bytes, path: str) -> None:
    if data[:7] != MANIFEST_MAGIC[:7] or len(data) < _FRONT.size:
        raise InvalidData(f"{path} is damaged or foreign: it starts with {data[:8]!r}; restore it from a copy")
    magic, version, _, expected = _FRONT.unpack_from(data)
    if magic != MANIFEST_MAGIC or version != _VERSION:
        raise UnsupportedVersion(
            f"{path} is a manifest {magic[4:].decode(errors='replace')} of version {version}; this library reads "
            f"the original's META02 of version {_VERSION}"
        )
    found = checksum(data[_FRONT.size :])
    if found != expected:
        raise InvalidData(
            f"{path}: the checksum of its content is {found:016x}, but {expected:016x} was stored: the file is "
            f"damaged; restore it from a copy"
        )


class _Reader:
    """Takes the fields of a manifest's body one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0

    def _take(self, layout: struct.Struct) -> tuple[Any, ...]:
        found = layout.unpack_from(self._body, self._position)
        self._position += layout.size
        return found

    def _number(self, code: str) -> int:
        number: int = self._take(struct.Struct(f"<{code}"))[0]
        return number

    def _text(self) -> str:
        size = self._number("H")
        start, self._position = self._position, self._position + size
        if self._position > len(self._body):
            raise ValueError("a text reaches beyond its end")
        return self._body[start : self._position].decode()

    def manifest(self) -> OriginalManifest:
        """All of it."""
        numbers = self._take(_SERIES)
        unit, active = self._text(), self._number("Q")
        key = SeriesKey(self._text(), self._text(), self._text())
        chunks = [self._chunk() for _ in range(self._number("I"))]
        if self._position != len(self._body):
            raise ValueError("there are bytes behind its end")
        return OriginalManifest(*(key, *numbers, unit, active, chunks))

    def _chunk(self) -> OriginalChunk:
        chunk_id, partition_key = self._number("Q"), self._text()
        start, end, rows, state, *layout = self._take(_CHUNK)
        path = self._text()
        sidecars = tuple(self._sidecar() for _ in range(self._number("I")))
        facts = chunk_id, partition_key, start, end, rows, ChunkState(state), *layout, path, sidecars
        return OriginalChunk(*facts)

    def _sidecar(self) -> OriginalSidecar:
        return OriginalSidecar(self._text(), self._text(), *self._take(_SIDECAR))


def _parse_json(data: bytes, path: str) -> OriginalManifest:
    """A manifest of the oldest stores: klines only, all chunks sealed and of version 1, no checksums."""
    stored = json.loads(data)
    numbers = [_whole(stored[name]) for name in ("record_size", "schema_id", "series_id")]
    scales = [_whole(stored[name]) for name in ("timeframe_ms", "price_scale", "volume_scale")]
    key = SeriesKey(*(_checked_text(stored[name]) for name in ("symbol", "category", "name")))
    chunks = [_legacy_chunk(place + 1, each) for place, each in enumerate(stored["chunks"])]
    unit = _checked_text(stored["chunk_unit"])
    facts: tuple[Any, ...] = key, 1, *numbers, 1, 0, 0, *scales, unit, 0, chunks
    return OriginalManifest(*facts)


def _legacy_chunk(chunk_id: int, stored: Any) -> OriginalChunk:
    start, end, rows = (_whole(stored[name]) for name in ("start_ts", "end_ts", "count"))
    path = f"chunks/{_checked_text(stored['file_name'])}"
    layout = 1, _LEGACY_HEADER_BYTES, SPARSE_EVERY, 0, 0
    return OriginalChunk(chunk_id, "", start, end, rows, ChunkState.SEALED, *layout, 0, 1, path)


def _whole(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**64:
        raise ValueError(f"{value!r} is no whole number of 64 bits")
    return value


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
