"""Sidecars: what is derived from a chunk and lies beside it. Used only if it verifies; no answer depends on it.

::

    head (fixed) | one entry a column | arrays, each 64-byte aligned | CRC-32C of all before

A zone map (``.zmap``) holds minima, maxima and NaN flags of small blocks of rows, below the header's coarse zones. A
value index (``.vix``) holds the values of a column in ascending order, and the row of each. The head names the chunk by
series, id and header checksum, so that no other chunk's sidecar is taken for its own.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.errors import InvalidData
from fastk.format import names
from fastk.format.binary import CRC_BYTES, VERSION, check_magic, check_version, padding
from fastk.format.chunk import ALIGNMENT, block_count, write_zones, zone_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fastk.format.chunk import ChunkHeader
    from fastk.schema.schema import Schema

ZONE_ROWS = 256
MAX_INDEXED_ROWS = 1 << 32

_HEAD = struct.Struct("<8sIIQQQQII8x")
_ENTRY = struct.Struct("<IIQ")
FRONT_BYTES = _HEAD.size + CRC_BYTES
"""The least size of a sidecar; its head is within."""


class SidecarKind(NamedTuple):
    """One kind of sidecar: the end of its file name, its bit in the chunk table, its magic."""

    suffix: str
    bit: int
    magic: bytes


ZONE_MAP = SidecarKind(names.ZONE_MAP_SUFFIX, 1, b"FKZMP003")
VALUE_INDEX = SidecarKind(names.VALUE_INDEX_SUFFIX, 2, b"FKVIX003")
KINDS = (ZONE_MAP, VALUE_INDEX)


class SidecarOwner(NamedTuple):
    """The chunk that a sidecar was derived from."""

    series_id: int
    chunk_id: int
    header_crc: int
    rows: int

    @classmethod
    def of(cls, header: ChunkHeader) -> SidecarOwner:
        """The owner that a chunk's header describes."""
        return cls(header.identity.series_id, header.identity.chunk_id, header.crc, header.rows)


class Zones(NamedTuple):
    """Zones of one column: ``minima`` and ``maxima`` as int64, uint64 or float64, ``nan_flags`` 1 for a block with NaN.

    One entry for each ``block_rows`` rows; a block of NaN alone has NaN for both.
    """

    block_rows: int
    minima: NDArray[Any]
    maxima: NDArray[Any]
    nan_flags: NDArray[np.uint8]


class ValueIndex(NamedTuple):
    """Values of one column in ascending order, NaN left out, and the row of each; rows of equal values ascend."""

    values: NDArray[Any]
    rows: NDArray[np.uint32]


class EncodedSidecar(NamedTuple):
    """A sidecar ready to be written beside its chunk."""

    suffix: str
    bit: int
    buffers: list[Any]


def encode_sidecars(
    owner: SidecarOwner, schema: Schema, columns: Sequence[NDArray[Any]], zone_rows: int
) -> Iterator[EncodedSidecar]:
    """The sidecars that a chunk of this schema gets; none for a chunk without rows."""
    if owner.rows and schema.zone_maps:
        yield EncodedSidecar(ZONE_MAP.suffix, ZONE_MAP.bit, encode_zone_map(owner, schema, columns, zone_rows))
    if 0 < owner.rows <= MAX_INDEXED_ROWS and schema.value_indexes:
        yield EncodedSidecar(VALUE_INDEX.suffix, VALUE_INDEX.bit, encode_value_index(owner, schema, columns))


def encode_zone_map(owner: SidecarOwner, schema: Schema, columns: Sequence[NDArray[Any]], block_rows: int) -> list[Any]:
    """The buffers of a ``.zmap`` file for the schema's zone-mapped columns. One pass over each."""
    arrays = {}
    for place in map(schema.position, schema.zone_maps):
        blocks = block_count(owner.rows, block_rows)
        wide, flags = zone_dtype(columns[place].dtype), np.zeros(blocks, np.uint8)
        minima, maxima = np.zeros(blocks, wide), np.zeros(blocks, wide)
        write_zones(columns[place], block_rows, minima, maxima, flags)
        arrays[place] = (minima, maxima, flags)
    return _encode(ZONE_MAP, owner, block_rows, arrays)


def encode_value_index(owner: SidecarOwner, schema: Schema, columns: Sequence[NDArray[Any]]) -> list[Any]:
    """The buffers of a ``.vix`` file for the schema's indexed columns. One sort of each."""
    arrays = {place: sorted_entries(columns[place]) for place in map(schema.position, schema.value_indexes)}
    return _encode(VALUE_INDEX, owner, 0, arrays)


def sorted_entries(column: NDArray[Any]) -> ValueIndex:
    """Sort the values of a column of at most 2**32 rows, and say where each stands.

    Costs 60 ns a row of unordered values. Sorting value and row as one word was tried: a quarter faster on those, and
    half as fast on the few distinct values of a signal.
    """
    numbers = column.view(np.uint8) if column.dtype.kind == "b" else column
    order = np.argsort(numbers, kind="stable")
    if numbers.dtype.kind == "f":  # NaN come last
        order = order[: len(order) - int(np.count_nonzero(np.isnan(numbers)))]
    return ValueIndex(numbers[order], order.astype(np.uint32))


def _encode(
    kind: SidecarKind, owner: SidecarOwner, block_rows: int, arrays: Mapping[int, Sequence[NDArray[Any]]]
) -> list[Any]:
    entries = b"".join(_ENTRY.pack(place, 0, len(parts[0])) for place, parts in arrays.items())
    body: list[Any] = []
    for part in (part for parts in arrays.values() for part in parts):
        body += (part.view(np.uint8), bytes(padding(part.nbytes, ALIGNMENT)))
    front = _HEAD.size + len(entries)
    gap = padding(front, ALIGNMENT)
    length = front + gap + sum(len(part) for part in body) + CRC_BYTES
    head = _HEAD.pack(
        kind.magic,
        VERSION,
        owner.header_crc,
        owner.series_id,
        owner.chunk_id,
        length,
        owner.rows,
        block_rows,
        len(arrays),
    )
    buffers = [head + entries + bytes(gap), *body]
    crc = 0
    for buffer in buffers:
        crc = kernels.crc32c(buffer, crc)
    return [*buffers, crc.to_bytes(CRC_BYTES, "little")]


def parse_zone_map(data: NDArray[np.uint8], owner: SidecarOwner, schema: Schema, path: str) -> dict[int, Zones]:
    """The zones in a ``.zmap`` file by column; InvalidData unless the file is sound and the owner's."""
    head = _parse_head(data, ZONE_MAP, owner, path)
    if not head.block_rows:
        raise InvalidData(f"{path} describes blocks of no rows")
    blocks = block_count(owner.rows, head.block_rows)
    reader = _ArrayReader(data, head, path)
    zones = {}
    for place, items in head.columns:
        if items != blocks:
            raise InvalidData(f"{path} has {items:,} zones for {blocks:,} blocks")
        wide = zone_dtype(_indexed_dtype(schema, place, path))
        zones[place] = Zones(
            head.block_rows, reader.take(wide, blocks), reader.take(wide, blocks), reader.take(np.dtype("u1"), blocks)
        )
    return zones


def parse_value_index(
    data: NDArray[np.uint8], owner: SidecarOwner, schema: Schema, path: str, *, check: bool = True
) -> dict[int, ValueIndex]:
    """The value indexes in a ``.vix`` file by column; InvalidData unless the file is sound and the owner's.

    ``check=False`` leaves the file's checksum out, for files that were verified before.
    """
    head = _parse_head(data, VALUE_INDEX, owner, path, check=check)
    reader = _ArrayReader(data, head, path)
    indexes = {}
    for place, items in head.columns:
        if items > owner.rows:
            raise InvalidData(f"{path} has {items:,} entries for {owner.rows:,} rows")
        dtype = _indexed_dtype(schema, place, path)
        numbers = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        index = indexes[place] = ValueIndex(reader.take(numbers, items), reader.take(np.dtype("<u4"), items))
        if check and items and int(index.rows.max()) >= owner.rows:
            raise InvalidData(f"{path} names rows beyond the {owner.rows:,} of its chunk")
    return indexes


def read_owner(
    data: NDArray[np.uint8], kind: SidecarKind, path: str, size: int | None = None
) -> tuple[SidecarOwner, int]:
    """Whose sidecar a file says to be, and the rows of its zones; only its magic and length are looked at.

    ``size`` is that of the file, if ``data`` is its beginning (``FRONT_BYTES`` of it will do).
    """
    size = data.size if size is None else size
    check_magic(data[:8].tobytes(), kind.magic, path)
    if data.size < FRONT_BYTES:
        raise InvalidData(f"{path} is truncated to {size} bytes")
    _, _, crc, series_id, chunk_id, length, rows, block_rows, _ = _HEAD.unpack_from(data.data)
    if length != size:
        raise InvalidData(f"{path} has {size:,} bytes, but its head says {length:,}")
    return SidecarOwner(series_id, chunk_id, crc, rows), block_rows


class _Head(NamedTuple):
    block_rows: int
    columns: list[tuple[int, int]]  # place in the schema, number of items
    length: int


def _parse_head(
    data: NDArray[np.uint8], kind: SidecarKind, owner: SidecarOwner, path: str, *, check: bool = True
) -> _Head:
    found, block_rows = read_owner(data, kind, path)  # the length before the checksum, which takes as long as that says
    if check and kernels.crc32c(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:].tobytes(), "little"):
        raise InvalidData(f"{path} is damaged: its checksum differs")
    _, version, *_, count = _HEAD.unpack_from(data.data)
    check_version(version, path)
    if found != owner:
        raise InvalidData(f"{path} belongs to another chunk")
    front = _HEAD.size + count * _ENTRY.size
    if front > data.size:
        raise InvalidData(f"{path} has {data.size:,} bytes, which do not fit its head")
    entries = [_ENTRY.unpack_from(data.data, _HEAD.size + index * _ENTRY.size) for index in range(count)]
    return _Head(block_rows, [(place, items) for place, _, items in entries], front + padding(front, ALIGNMENT))


def _indexed_dtype(schema: Schema, place: int, path: str) -> np.dtype[Any]:
    if place >= len(schema.fields) or not schema.fields[place].indexed:
        raise InvalidData(f"{path} is about a column that {schema.name} does not have")
    return schema.fields[place].dtype


class _ArrayReader:
    """Takes the arrays of a sidecar one after the other, as views."""

    def __init__(self, data: NDArray[np.uint8], head: _Head, path: str) -> None:
        self._data = data
        self._position = head.length
        self._path = path

    def take(self, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
        """The next array."""
        start, size = self._position, count * dtype.itemsize
        self._position += size + padding(size, ALIGNMENT)
        if self._position > self._data.size - CRC_BYTES:
            raise InvalidData(f"{self._path} is too short for what its head describes")
        return self._data[start : start + size].view(dtype)
