"""Chunk files of the original: a header of words, the rows one after the other, and a sparse index of ts.

::

    magic | 15 words (version 2) or 10 (version 1) | row | row | ... | (ts, row) of every 128th row (version 2)
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.errors import InvalidData, UnsupportedVersion

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_MAGIC = b"FASTK001"
SPARSE_EVERY = 128
HAS_INDEX = 1
INDEX_ENTRY = np.dtype([("ts", "<i8"), ("row", "<u8")])

_FRONT = struct.Struct("<8sQQ")  # magic, version, header length
_HEADERS = {1: struct.Struct("<8sQQQQQqqqQQ"), 2: struct.Struct("<8sQQQQQQQqqqQQQQQ")}
HEADER_BYTES = _HEADERS[2].size


class OriginalHeader(NamedTuple):
    """What a chunk file says of itself. Version 1 has no chunk id, no generation and no index: they are 0."""

    version: int
    length: int
    record_size: int
    schema_id: int
    series_id: int
    chunk_id: int
    generation: int
    timeframe_ms: int
    start_ts: int
    end_ts: int
    rows: int
    flags: int
    index_offset: int
    index_entries: int
    sparse_every: int

    @property
    def rows_end(self) -> int:
        """Where the last row ends."""
        return self.length + self.rows * self.record_size

    def encode(self) -> bytes:
        """The bytes of a header of version 2."""
        return _HEADERS[2].pack(CHUNK_MAGIC, *self)


def header_of(
    *,
    record_size: int,
    schema_id: int,
    series_id: int,
    chunk_id: int,
    generation: int,
    timeframe_ms: int,
    span: tuple[int, int],
    rows: int,
) -> OriginalHeader:
    """The header of a chunk as the original writes it."""
    end = HEADER_BYTES + rows * record_size
    index = end, -(-rows // SPARSE_EVERY), SPARSE_EVERY
    identity = series_id, chunk_id, generation, timeframe_ms
    return OriginalHeader(2, HEADER_BYTES, record_size, schema_id, *identity, *span, rows, HAS_INDEX, *index)


def sparse_index(ts: NDArray[np.int64], first_row: int) -> NDArray[np.void]:
    """The index entries of some rows of a chunk, of which the first is its row ``first_row``."""
    begin = -first_row % SPARSE_EVERY
    entries = np.zeros(len(range(begin, ts.size, SPARSE_EVERY)), INDEX_ENTRY)
    entries["ts"] = ts[begin::SPARSE_EVERY]
    entries["row"] = np.arange(first_row + begin, first_row + ts.size, SPARSE_EVERY)
    return entries


def parse_header(data: NDArray[np.uint8], path: str) -> OriginalHeader:
    """Read the header of a mapped chunk file, and check it against the file's length.

    Raises InvalidData if it is truncated, damaged or foreign, UnsupportedVersion if it is of an unknown version.
    """
    if data.size < _FRONT.size:
        raise InvalidData(f"{path} is truncated to {data.size} bytes; restore it from a copy")
    magic, version, length = _FRONT.unpack_from(data.data)
    if magic != CHUNK_MAGIC:
        raise InvalidData(
            f"{path} is damaged or foreign: it starts with {magic!r}, not {CHUNK_MAGIC!r}; restore it from a copy"
        )
    if version not in _HEADERS:
        raise UnsupportedVersion(f"{path} says version {version}; the original's chunks are of version 1 or 2")
    layout = _HEADERS[version]
    if length != layout.size or data.size < length:
        raise InvalidData(f"{path} is truncated or damaged: its header says {length:,} bytes; restore it from a copy")
    header = _unpack(layout.unpack_from(data.data), version)
    _check_length(header, data.size, path)
    return header


def _unpack(words: tuple[Any, ...], version: int) -> OriginalHeader:
    if version == 2:
        return OriginalHeader._make(words[1:])
    return OriginalHeader._make((*words[1:6], 0, 0, *words[6:], words[2], 0, 0))


def _check_length(header: OriginalHeader, size: int, path: str) -> None:
    """Version 1 does not say what follows the rows; version 2 does."""
    expected = header.rows_end + header.index_entries * INDEX_ENTRY.itemsize
    if size < expected or (header.version == 2 and size != expected):
        raise InvalidData(
            f"{path} has {size:,} bytes, but its header describes {expected:,}: it is truncated or damaged; "
            f"restore it from a copy"
        )
