"""Chunk tables: what a manifest knows of each chunk, fixed-width, so that numpy loads thousands without a loop.

A table file is ``magic, version, item size, series id, own id, item count``, the items, and a CRC-32C over all of it.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidData
from fastk.format import names
from fastk.format.binary import check_magic, check_seal, check_version, sealed, take_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.format.chunk import ChunkIdentity

    Table = NDArray[np.void]
    LoadTable = Callable[[np.void], Table]  # reads the table that a reference names

TABLE_MAGIC = b"FKTBL003"
_HEADER = struct.Struct("<8sIIQQQ")


class ChunkState(IntEnum):
    """The original's states. Here a chunk is Sealed, or an Active delta; the others are never written."""

    ACTIVE = 1
    SEALED = 2
    MERGING = 3
    REPLACED = 4


class ChunkKind(IntEnum):
    """How a chunk came to be; part of its file name."""

    FIRST = 0
    DELTA = 1
    MERGED = 2

    @property
    def label(self) -> str:
        """The word in the file name."""
        return ("", "delta", "merged")[self]

    @property
    def state(self) -> ChunkState:
        """Deltas are Active, the others Sealed."""
        return ChunkState.ACTIVE if self is ChunkKind.DELTA else ChunkState.SEALED


class Supersedes(IntEnum):
    """Whether a chunk's header names others that its commit took out, and whether it was written for that alone."""

    NOTHING = 0
    CHUNKS = 1
    ONLY = 2


class RetiredKind(IntEnum):
    """What kind of file a retired entry names; the first three are those of :class:`ChunkKind`."""

    CHUNK_TABLE = 16
    RETIRED_TABLE = 17


# As plain ints: numpy looks members of an enumeration over for protocols, 3 us each.
_LAST_KIND, _FIRST_STATE, _LAST_STATE = int(max(ChunkKind)), int(min(ChunkState)), int(max(ChunkState))
_STATES = tuple(int(kind.state) for kind in ChunkKind)
# So that the rows of a table, and of all tables, are counted in 64 bits.
_LONGEST_FILE, _MOST_ROWS = 1 << 44, 1 << 56
_RETIRED_KINDS = frozenset((*ChunkKind, *RetiredKind))

CHUNK = np.dtype(
    [
        ("chunk_id", "<u8"),
        ("start_ts", "<i8"),
        ("end_ts", "<i8"),
        ("rows", "<u8"),
        ("file_length", "<u8"),
        ("partition", "<i8"),
        ("header_crc", "<u4"),
        ("generation", "<u4"),
        ("kind", "u1"),
        ("state", "u1"),
        ("sidecars", "u1"),
        ("supersedes", "u1"),
        ("reserved", "V4"),
    ]
)
_CHUNK_ITEM = struct.Struct("<QqqQQqIIBBBB4x")  # packing takes a tenth of what numpy's assignment of a record does
LEAF = np.dtype(
    [
        ("table_id", "<u8"),
        ("start_ts", "<i8"),
        ("end_ts", "<i8"),
        ("rows", "<u8"),
        ("chunks", "<u4"),
        ("crc", "<u4"),
    ]
)
RETIRED = np.dtype(
    [
        ("identity", "<u8"),
        ("partition", "<i8"),
        ("retired_at", "<i8"),
        ("retired_by", "<u8"),
        ("file_length", "<u8"),
        ("kind", "<u4"),
        ("supersedes", "<u4"),
    ]
)

# Made once: numpy takes more than a microsecond for an array of structured items, whatever its size.
NO_CHUNKS, NO_LEAVES, NO_RETIRED = (np.empty(0, dtype) for dtype in (CHUNK, LEAF, RETIRED))


def generation_behind(highest: int) -> int:
    """The generation of a chunk that takes the place of others; it is no identity, and stays at what 32 bits hold."""
    return min(highest + 1, 0xFFFF_FFFF)


def joined(*parts: Table) -> Table:
    """Tables of one dtype, one after the other; the only one that has items as it is.

    Joined as bytes: numpy copies structured items field by field, 67 us for 150 chunks against one.
    """
    if len(parts) == 1:
        return parts[0]
    filled = [part for part in parts if part.size]
    if len(filled) <= 1:
        return filled[0] if filled else parts[0]
    return np.frombuffer(bytearray().join([part.tobytes() for part in filled]), filled[0].dtype)


def select(table: Table, places: NDArray[np.int64]) -> Table:
    """The items at some places, in that order. ``table[places]`` takes ten times as long."""
    return table.take(places)


def encode_table(items: Table, series_id: int, table_id: int) -> bytes:
    """A table file."""
    header = _HEADER.pack(TABLE_MAGIC, 3, items.dtype.itemsize, series_id, table_id, items.size)
    return sealed(header + items.tobytes())


def table_crc(data: bytes) -> int:
    """The checksum at the end of an encoded table, as its reference repeats it."""
    return int.from_bytes(data[-4:], "little")


def parse_table(data: bytes, dtype: np.dtype[Any], series_id: int, table_id: int, path: str) -> Table:
    """The items of a table file; InvalidData if it is damaged or not the one that was asked for."""
    check_magic(data, TABLE_MAGIC, path)
    if len(data) < _HEADER.size + 4:
        raise InvalidData(f"{path} is truncated to {len(data)} bytes; restore it from a copy")
    check_seal(data, path, "content")
    _, version, item_size, series, identity, count = _HEADER.unpack_from(data)
    check_version(version, path)
    if (item_size, series, identity) != (dtype.itemsize, series_id, table_id):
        raise InvalidData(f"{path} is a table of another series or kind")
    if len(data) != _HEADER.size + count * item_size + 4:
        raise InvalidData(f"{path} holds {len(data):,} bytes, which do not fit its {count:,} items")
    items = take_array(data, dtype, count, _HEADER.size)[0]
    try:
        check_items(items)
    except ValueError as error:
        raise InvalidData(f"{path}: {error}") from error
    return items


def parse_named(data: bytes, dtype: np.dtype[Any], series_id: int, reference: np.void, path: str) -> Table:
    """The items of the table file that a manifest refers to; InvalidData also if they are not what it says of them."""
    table_id, crc = int(reference["table_id"]), int(reference["crc"])
    if table_crc(data) != crc:
        raise InvalidData(f"{path} is not the table that the manifest names; restore it from a copy")
    items = parse_table(data, dtype, series_id, table_id, path)
    if dtype is CHUNK and (not items.size or leaf_of(items, table_id, crc)[0] != reference):
        raise InvalidData(f"{path} has other rows or times than the manifest says; restore it from a copy")
    return items


def check_items(items: Table) -> None:
    """ValueError if CHUNK or RETIRED items hold kinds, states or sizes that cannot be."""
    if not items.size:  # most often; what follows costs 10 us
        return
    if items["file_length"].max() > _LONGEST_FILE:
        raise ValueError("it names files of a size that no file has")
    kinds = items["kind"]
    if "state" in (items.dtype.names or ()):
        _check_spans(items)
        states = items["state"]
        sound = kinds.max() <= _LAST_KIND and states.min() >= _FIRST_STATE and states.max() <= _LAST_STATE
    else:
        sound = _RETIRED_KINDS.issuperset(kinds.tolist())
    if not sound:
        raise ValueError("it names files of a kind or state that does not exist")


def _check_spans(items: Table) -> None:
    rows, starts, ends = items["rows"], items["start_ts"], items["end_ts"]
    if rows.min() < 1 or (rows > items["file_length"]).any():
        raise ValueError("it names chunks without rows, or with more rows than bytes")
    if (starts > ends).any():
        raise ValueError("it names chunks that end before they begin")


def check_leaves(leaves: Table) -> None:
    """ValueError if LEAF items name more rows than can be."""
    if leaves.size and leaves["rows"].max() > _MOST_ROWS:
        raise ValueError("it names more rows than tables can have")


def leaf_of(items: Table, table_id: int, crc: int) -> Table:
    """The reference by which a manifest names a chunk table: one LEAF item."""
    leaf = np.zeros(1, LEAF)
    leaf[0] = (table_id, items["start_ts"][0], items["end_ts"][-1], items["rows"].sum(), items.size, crc)
    return leaf


def chunk_item(
    identity: ChunkIdentity,
    span: tuple[int, int],
    rows: int,
    file_length: int,
    header_crc: int,
    supersedes: Supersedes = Supersedes.NOTHING,
) -> Table:
    """What a chunk table says of a chunk without sidecars: one CHUNK item. ``span`` is its first and last ts."""
    packed = _CHUNK_ITEM.pack(
        identity.chunk_id,
        *span,
        rows,
        file_length,
        identity.partition,
        header_crc,
        identity.generation,
        identity.kind,
        _STATES[identity.kind],
        0,
        supersedes,
    )
    return np.frombuffer(bytearray(packed), CHUNK)


def chunk_name(item: np.void, partition_key: str) -> str:
    """File name of a chunk of the table."""
    return names.chunk_file_name(partition_key, ChunkKind(item["kind"]).label, int(item["chunk_id"]))
