"""Chunk files: a header that describes and guards everything, then one contiguous array a column, then a trailer.

::

    head (fixed) | settings JSON | superseded ids | first ts, minima, maxima, CRCs, flags of the blocks | CRC-32C
    column | column | ...          each 64-byte aligned, widest dtypes first, so that equal ones share one stride
    trailer                        header CRC, version, magic

A *block* is ``block_rows`` rows of one column: the unit of verification and of the coarse zones.
"""

from __future__ import annotations

import struct
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.errors import InvalidData, InvalidInput
from fastk.format import names
from fastk.format.binary import VERSION, check_magic, check_seal, check_version, padding, sealed, take_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.schema.schema import Schema

CHUNK_MAGIC = b"FKCHK003"
TRAILER_MAGIC = b"FKEND003"
BLOCK_ROWS = 4096
SMALL_ROWS = 512
"""A chunk of so many rows at most is laid out in one buffer: its bytes cost less than the calls that spare a copy."""
ALIGNMENT = 64
NO_ZONE = 2  # flag of a (column, block) without zones: text
HAS_NAN = 1  # flag of a (column, block) whose zones leave NaN out

_ZONE_DTYPES = {kind: np.dtype(code) for kind, code in (("i", "<i8"), ("u", "<u8"), ("b", "<u8"), ("f", "<f8"))}
_HEAD = struct.Struct("<8sIIQQQQIIIIqQqqIIII")
_TRAILER = struct.Struct("<II8s")
TRAILER_BYTES = _TRAILER.size
_CELL_BYTES = 8 + 8 + 4 + 1  # of a (column, block): minimum, maximum, CRC, flag
_SMALLEST = _HEAD.size + TRAILER_BYTES
LARGEST_HEADER = 1 << 28
"""Of a chunk of billions of rows. So many bytes are read, at most, on the word of a length that may be damaged."""


class ChunkIdentity(NamedTuple):
    """Who a chunk is: its series, and its place in a commit.

    ``base_sequence`` is the commit that this one was made upon. A commit between the two was never published, so that
    a rebuild from files knows a complete but unpublished commit from a published one.
    """

    series_id: int
    chunk_id: int
    base_sequence: int
    part: int
    parts: int
    generation: int
    kind: int
    partition: int


class ChunkHeader(NamedTuple):
    """The verified description of a chunk.

    ``superseded`` are the ids (uint64) of all chunks that its commit took out, named by the first part of the commit.
    ``first_ts`` is int64 per block. ``minima`` and ``maxima`` (columns x blocks) hold 8 raw bytes a value: int64,
    uint64 (bool too) or float64 by the column's kind. ``zone_flags`` is uint8 and ``crcs`` uint32, of that shape.
    """

    identity: ChunkIdentity
    settings: bytes
    rows: int
    start_ts: int
    end_ts: int
    block_rows: int
    superseded: NDArray[np.uint64]
    first_ts: NDArray[np.int64]
    minima: NDArray[np.uint64]
    maxima: NDArray[np.uint64]
    zone_flags: NDArray[np.uint8]
    crcs: NDArray[np.uint32]
    length: int
    crc: int
    file_length: int


class EncodedChunk(NamedTuple):
    """A chunk ready to be written: buffers in file order, and what the manifest will say of them."""

    buffers: list[Any]
    header_crc: int
    file_length: int


def column_offsets(schema: Schema, rows: int, header_length: int) -> tuple[list[int], int]:
    """Offset of each column (in schema order), and the offset behind the last one."""
    offsets, position = [0] * len(schema.fields), header_length
    for index in _disk_order(schema):
        offsets[index] = position
        size = rows * schema.fields[index].dtype.itemsize
        position += size + padding(size, ALIGNMENT)
    return offsets, position


def most_rows(schema: Schema, file_length: int) -> int:
    """The most rows that a whole chunk file of a size can hold."""
    return max(0, file_length - _SMALLEST) // sum(field.dtype.itemsize for field in schema.fields)


@cache
def _disk_order(schema: Schema) -> list[int]:
    return sorted(range(len(schema.fields)), key=lambda index: -schema.fields[index].dtype.itemsize)


@cache
def _alike(schema: Schema) -> list[slice]:
    """Runs of neighbouring columns of one dtype."""
    dtypes = [field.dtype for field in schema.fields]
    starts = [place for place, dtype in enumerate(dtypes) if place == 0 or dtype != dtypes[place - 1]]
    return [slice(*each) for each in pairwise((*starts, len(dtypes)))]


def encode_chunk(
    settings: bytes,
    schema: Schema,
    columns: Sequence[NDArray[Any]],
    identity: ChunkIdentity,
    superseded: Sequence[int] = (),
    block_rows: int = BLOCK_ROWS,
) -> EncodedChunk:
    """Lay out one chunk. ``columns`` are checked ones (see :mod:`fastk.schema.columns`), sorted by ts; none is fine.

    Costs one pass over the data for zones and one for checksums; the columns are referred to, those of a few rows
    copied.
    """
    is_small = 0 < len(columns[0]) <= min(SMALL_ROWS, block_rows)
    body, length = _body(schema, columns, is_small)
    block_index = _block_index(schema, columns, block_rows, is_small)
    header = _encode_header(settings, columns, identity, superseded, block_rows, block_index, length)
    crc = int.from_bytes(header[-4:], "little")
    buffers = [header, *body, _TRAILER.pack(crc, VERSION, TRAILER_MAGIC)]
    if is_small:
        buffers = [b"".join(buffers)]
    return EncodedChunk(buffers, crc, len(header) + length + TRAILER_BYTES)


def _body(schema: Schema, columns: Sequence[NDArray[Any]], is_small: bool) -> tuple[list[Any], int]:
    """The columns in their order on disk, each filled up, and how many bytes that is."""
    body: list[Any] = []
    length = 0
    for index in _disk_order(schema):
        column = columns[index]
        size = column.nbytes
        body.append(column if is_small else column.view(np.uint8))
        length += size
        if filler := padding(size, ALIGNMENT):
            body.append(bytes(filler))
            length += filler
    return body, length


def _encode_header(
    settings: bytes,
    columns: Sequence[NDArray[Any]],
    identity: ChunkIdentity,
    superseded: Sequence[int],
    block_rows: int,
    block_index: bytes | bytearray,
    body_length: int,
) -> bytes:
    ts = columns[0]
    variable = b"".join(
        (
            settings,
            bytes(padding(len(settings), 8)),
            np.array(superseded, "<u8").tobytes() if superseded else b"",
            block_index,
        )
    )
    length = _HEAD.size + len(variable) + 4
    filler = padding(length, ALIGNMENT)
    length += filler
    if length > LARGEST_HEADER:
        raise InvalidInput(f"a chunk of {len(ts):,} rows has a header of {length:,} bytes: write the rows in parts")
    start_ts, end_ts = (int(ts[0]), int(ts[-1])) if len(ts) else (0, 0)
    head = _HEAD.pack(
        CHUNK_MAGIC,
        VERSION,
        length,
        length + body_length + TRAILER_BYTES,
        *identity,
        len(ts),
        start_ts,
        end_ts,
        block_rows,
        len(columns),
        len(settings),
        len(superseded),
    )
    return sealed(head + variable + bytes(filler))


def _block_index(schema: Schema, columns: Sequence[NDArray[Any]], block_rows: int, is_small: bool) -> bytes | bytearray:
    """First ts, minima, maxima, CRCs and flags of all blocks, in the order of the header.

    Neighbouring columns of one dtype, of a small chunk, are joined to be the blocks of one array: six columns of 64
    rows then take one call of each kernel, and half the time.
    """
    blocks = block_count(len(columns[0]), block_rows)
    if not blocks:
        return b""
    cells = len(columns) * blocks
    index = bytearray(columns[0][::block_rows].tobytes()) + bytes(cells * _CELL_BYTES)
    minima = 8 * blocks
    maxima, crcs = minima + 8 * cells, minima + 16 * cells
    flags = crcs + 4 * cells
    for run in _alike(schema) if is_small else [slice(place, place + 1) for place in range(len(columns))]:
        column = columns[run.start] if run.stop == run.start + 1 else _joined(columns[run])
        rows = len(columns[0]) if is_small else block_rows
        first, count = run.start * blocks, (run.stop - run.start) * blocks
        out = np.frombuffer(index, np.uint32, count, crcs + 4 * first)
        kernels.active.crc32c_blocks(column.view(np.uint8), rows * column.itemsize, out)
        flag = np.frombuffer(index, np.uint8, count, flags + first)
        if column.dtype.kind == "S":
            flag[:] = NO_ZONE
        else:
            wide = _ZONE_DTYPES[column.dtype.kind]
            low = np.frombuffer(index, wide, count, minima + 8 * first)
            write_zones(column, rows, low, np.frombuffer(index, wide, count, maxima + 8 * first), flag)
    return index


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    joined = np.concatenate(columns)
    joined.setflags(write=False)  # as kernels take them
    return joined


def write_zones(
    column: NDArray[Any], block_rows: int, minima: NDArray[Any], maxima: NDArray[Any], flags: NDArray[np.uint8]
) -> None:
    """Zones of one numeric column, in the dtype in which they are stored, and whether the block has NaN."""
    if column.dtype == minima.dtype:
        kernels.active.zones(column, block_rows, minima, maxima, flags)
        return
    low, high = np.empty(flags.size, column.dtype), np.empty(flags.size, column.dtype)
    kernels.active.zones(column, block_rows, low, high, flags)
    minima[:], maxima[:] = low, high


def zone_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The 8-byte dtype in which zones of a column are stored."""
    return _ZONE_DTYPES[dtype.kind]


def block_count(rows: int, block_rows: int) -> int:
    """Blocks of a column."""
    return -(-rows // block_rows)


def parse_chunk(data: NDArray[np.uint8], path: str) -> ChunkHeader:
    """Verify and read the header of a mapped chunk; no column is touched.

    Raises InvalidData if the file is damaged, truncated or foreign, UnsupportedVersion if it is another format's.
    """
    parsed = parse_header(data, path)
    check_end(data[-TRAILER_BYTES:], data.size, parsed, path)
    return parsed


def parse_header(data: NDArray[np.uint8], path: str, size: int | None = None) -> ChunkHeader:
    """Verify and read the header alone, also of a file that was torn behind it. Raises as :func:`parse_chunk`.

    ``size`` is that of the file, if ``data`` is its beginning.
    """
    size = data.size if size is None else size
    check_magic(data[:8].tobytes(), CHUNK_MAGIC, path)
    length = int(data[12:16].view("<u4")[0]) if min(size, data.size) >= 16 else 0
    if not _HEAD.size < length <= min(size - TRAILER_BYTES, data.size, LARGEST_HEADER):
        raise InvalidData(f"{path} is truncated or damaged: {size:,} bytes cannot hold its header")
    header = data[:length].tobytes()
    check_seal(header, path, "header")
    try:
        return _parse_header(header, path)
    except ValueError as error:
        raise InvalidData(f"{path}: {error}") from error


def check_end(end: NDArray[np.uint8], size: int, parsed: ChunkHeader, path: str) -> None:
    """Raise InvalidData unless the file is as long as its verified header says, and its last bytes are as they should.

    ``end`` are the last ``TRAILER_BYTES`` of ``size`` bytes.
    """
    if parsed.file_length != size:
        raise InvalidData(f"{path} has {size:,} bytes, but its header says {parsed.file_length:,}")
    if end.tobytes() != _TRAILER.pack(parsed.crc, VERSION, TRAILER_MAGIC):
        raise InvalidData(f"{path}: its end does not belong to its header: the file was not written to its end")


def _parse_header(header: bytes, path: str) -> ChunkHeader:
    (
        _,
        version,
        length,
        file_length,
        series_id,
        chunk_id,
        base_sequence,
        part,
        parts,
        generation,
        kind,
        partition,
        rows,
        start_ts,
        end_ts,
        block_rows,
        columns,
        settings_length,
        superseded_count,
    ) = _HEAD.unpack_from(header)
    check_version(version, path)
    if not block_rows or not columns:
        raise ValueError("the header describes no columns")
    if max(base_sequence, names.sequence_and_part(chunk_id)[0]) > names.LAST_SEQUENCE:
        raise ValueError("the header names a commit that cannot be")
    blocks = block_count(rows, block_rows)
    if blocks * columns > length:
        raise ValueError("the header is too short for its blocks")
    offset = _HEAD.size + settings_length
    settings = header[_HEAD.size : offset]
    offset += padding(settings_length, 8)
    superseded, offset = take_array(header, np.dtype("<u8"), superseded_count, offset)
    first_ts, offset = take_array(header, np.dtype("<i8"), blocks, offset)
    grids = []
    for dtype in ("<u8", "<u8", "<u4", "u1"):
        grid, offset = take_array(header, np.dtype(dtype), columns * blocks, offset)
        grids.append(grid.reshape(columns, blocks))
    minima, maxima, crcs, flags = grids
    identity = ChunkIdentity(series_id, chunk_id, base_sequence, part, parts, generation, kind, partition)
    return ChunkHeader(
        identity,
        settings,
        rows,
        start_ts,
        end_ts,
        block_rows,
        superseded,
        first_ts,
        minima,
        maxima,
        flags,
        crcs,
        length,
        int.from_bytes(header[-4:], "little"),
        file_length,
    )


def map_columns(data: NDArray[np.uint8], header: ChunkHeader, schema: Schema, path: str) -> list[NDArray[Any]]:
    """Unverified views of the columns of a mapped chunk, in schema order."""
    offsets, end = column_offsets(schema, header.rows, header.length)
    if end + TRAILER_BYTES != header.file_length or header.crcs.shape[0] != len(schema.fields):
        raise InvalidData(f"{path} is a chunk of another schema than {schema.name}")
    return [
        data[offset : offset + header.rows * field.dtype.itemsize].view(field.dtype)
        for offset, field in zip(offsets, schema.fields, strict=True)
    ]


def as_table(columns: list[NDArray[Any]]) -> NDArray[Any] | None:
    """Mapped columns of one dtype as one 2-D view (rows x columns), so that a row is one step; None if they differ."""
    first = columns[0]
    if len(columns) < 2 or any(column.dtype != first.dtype for column in columns):
        return None
    stride = first.nbytes + padding(first.nbytes, ALIGNMENT)
    return np.lib.stride_tricks.as_strided(first, (first.size, len(columns)), (first.itemsize, stride), writeable=False)
