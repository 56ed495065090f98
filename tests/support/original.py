"""Stores of the original in its formats 1 and 2, written and read byte by byte without the library.

Written from the description of these formats alone, so that a misreading of the library's shows as a difference.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

ACTIVE, SEALED, MERGING, REPLACED = 1, 2, 3, 4
SPARSE_EVERY = 128
CODES = {"kline": 1, "scalar": 2, "trade": 10, "bbo": 11, "book_delta": 12}
ROWS = {
    "kline": struct.Struct("<6q"),
    "scalar": struct.Struct("<2q"),
    "trade": struct.Struct("<5qbB6x"),
    "bbo": struct.Struct("<7q"),
    "book_delta": struct.Struct("<5qbbhI"),
}
UNITS = {"kline": "month", "scalar": "month", "trade": "hour", "bbo": "day", "book_delta": "hour"}
KEYS = {"month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H"}


def fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def text(value: str) -> bytes:
    return struct.pack("<H", len(value.encode())) + value.encode()


@dataclass
class Sidecar:
    kind: str
    data: bytes
    block_rows: int
    items: int
    checksum: int | None = None
    generation: int | None = None  # None: the chunk's


@dataclass
class Chunk:
    """One chunk as its manifest describes it; ``data`` is the file."""

    rows: list[tuple[int, ...]]
    file: str
    partition: str
    chunk_id: int
    generation: int
    state: int
    version: int
    data: bytes
    checksum: int
    sidecars: list[Sidecar] = field(default_factory=list)


class OriginalSeries:
    """One series of a store of the original. ``put`` adds chunks in memory, ``save`` writes all of it."""

    def __init__(
        self,
        root: Path,
        record_type: str,
        key: tuple[str, str, str],
        *,
        timeframe_ms: int = 60_000,
        price_scale: int = 100,
        volume_scale: int = 1_000,
        unit: str | None = None,
    ) -> None:
        self.folder = root.joinpath("series", *key)
        self.record_type = record_type
        self.key = key
        self.timeframe_ms = timeframe_ms
        self.scales = price_scale, volume_scale
        self.unit = unit or UNITS[record_type]
        self.series_id = fnv1a(":".join(key).encode())
        self.chunks: list[Chunk] = []

    def put(
        self,
        rows: list[tuple[int, ...]],
        *,
        state: int | None = None,
        file: str | None = None,
        generation: int | None = None,
        version: int = 2,
        sidecars: bool = False,
        block_rows: int = 256,
    ) -> Chunk:
        """Add one chunk of rows of one partition, as the original's puts do unless told otherwise."""
        partition = datetime.fromtimestamp(rows[0][0] // 1000, UTC).strftime(KEYS[self.unit])
        before = [chunk for chunk in self.chunks if chunk.partition == partition]
        number = generation or len(before) + 1
        name = file or (f"{partition}.delta.g{number:08}.chunk" if before else f"{partition}.chunk")
        chunk_id = max((chunk.chunk_id for chunk in self.chunks), default=0) + 1
        data = self.encode(rows, chunk_id, number, version)
        kind = state or (ACTIVE if before else SEALED)
        chunk = Chunk(rows, name, partition, chunk_id, number, kind, version, data, fnv1a(data))
        if sidecars:
            chunk.sidecars = [zone_map(rows, block_rows), value_index(rows)]
        self.chunks.append(chunk)
        return chunk

    def encode(self, rows: list[tuple[int, ...]], chunk_id: int, generation: int, version: int) -> bytes:
        layout, code = ROWS[self.record_type], CODES[self.record_type]
        body = b"".join(layout.pack(*row) for row in rows)
        tail = self.timeframe_ms, rows[0][0], rows[-1][0], len(rows)
        if version == 1:
            return struct.pack("<8s5Q3q2Q", b"FASTK001", 1, 88, layout.size, code, self.series_id, *tail, 0) + body
        index = [(rows[place][0], place) for place in range(0, len(rows), SPARSE_EVERY)]
        words = 2, 128, layout.size, code, self.series_id, chunk_id, generation
        end = 128 + len(body)
        header = struct.pack("<8s7Q3q5Q", b"FASTK001", *words, *tail, 1, end, len(index), SPARSE_EVERY)
        return header + body + b"".join(struct.pack("<qQ", *entry) for entry in index)

    def save(self) -> OriginalSeries:
        """Write all files."""
        chunks = self.folder / "chunks"
        chunks.mkdir(parents=True, exist_ok=True)
        for chunk in self.chunks:
            (chunks / chunk.file).write_bytes(chunk.data)
            for each in chunk.sidecars:
                (chunks / f"{chunk.file}.{each.kind}").write_bytes(each.data)
        self.save_manifest(self.manifest())
        return self

    def save_manifest(self, data: bytes) -> None:
        (self.folder / "series.meta").write_bytes(data)

    def manifest(self) -> bytes:
        """A binary manifest."""
        active = max((chunk.chunk_id for chunk in self.chunks if chunk.state == ACTIVE), default=0)
        code, size = CODES[self.record_type], ROWS[self.record_type].size
        body = struct.pack("<3I2Q", code, size, code, self.series_id, 1 + len(self.chunks))
        body += struct.pack("<5q", 1_700_000_000_000, 1_700_000_000_001, self.timeframe_ms, *self.scales)
        body += text(self.unit) + struct.pack("<Q", active) + b"".join(map(text, self.key))
        body += struct.pack("<I", len(self.chunks))
        for chunk in sorted(self.chunks, key=lambda each: each.rows[0][0]):
            body += self._describe(chunk)
        return b"FKMETA02" + struct.pack("<2IQ", 2, 0, fnv1a(body)) + body

    def _describe(self, chunk: Chunk) -> bytes:
        rows, size = chunk.rows, ROWS[self.record_type].size
        header, entries = (128, -(-len(rows) // SPARSE_EVERY)) if chunk.version == 2 else (88, 0)
        offset = header + len(rows) * size if entries else 0
        found = struct.pack("<Q", chunk.chunk_id) + text(chunk.partition)
        found += struct.pack("<2qQB3I", rows[0][0], rows[-1][0], len(rows), chunk.state, chunk.version, header, 128)
        found += struct.pack("<QIQI", offset, entries, chunk.checksum, chunk.generation)
        found += text(f"chunks/{chunk.file}") + struct.pack("<I", len(chunk.sidecars))
        for each in chunk.sidecars:
            found += text(each.kind) + text(f"chunks/{chunk.file}.{each.kind}")
            generation = chunk.generation if each.generation is None else each.generation
            checksum = fnv1a(each.data) if each.checksum is None else each.checksum
            found += struct.pack("<IQIQ", generation, checksum, each.block_rows, each.items)
        return found

    def json_manifest(self) -> bytes:
        """A manifest of the oldest stores."""
        price_scale, volume_scale = self.scales
        return json.dumps(
            {
                "symbol": self.key[0],
                "category": self.key[1],
                "name": self.key[2],
                "timeframe_ms": self.timeframe_ms,
                "record_size": ROWS[self.record_type].size,
                "schema_id": CODES[self.record_type],
                "price_scale": price_scale,
                "volume_scale": volume_scale,
                "chunk_unit": self.unit,
                "series_id": self.series_id,
                "chunks": [
                    {
                        "file_name": chunk.file,
                        "start_ts": chunk.rows[0][0],
                        "end_ts": chunk.rows[-1][0],
                        "count": len(chunk.rows),
                    }
                    for chunk in self.chunks
                ],
            }
        ).encode()


def zone_map(rows: list[tuple[int, ...]], block_rows: int = 256) -> Sidecar:
    data = b""
    for first in range(0, len(rows), block_rows):
        block = rows[first : first + block_rows]
        values = [row[1] for row in block]
        span = first, first + len(block) - 1, block[0][0], block[-1][0]
        data += struct.pack("<2I4q", *span, min(values), max(values))
    return Sidecar("zmap", data, block_rows, len(data) // 40)


def value_index(rows: list[tuple[int, ...]]) -> Sidecar:
    data = b"".join(struct.pack("<2q", value, ts) for value, ts in sorted((row[1], row[0]) for row in rows))
    return Sidecar("vix", data, 0, len(rows))


# Reading, with every check that the original makes


class Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return found

    def text(self) -> str:
        (size,) = self.take("H")
        self.position += size
        return self.data[self.position - size : self.position].decode()


@dataclass
class Read:
    """A series as it was read: its rows, and what its manifest says of it."""

    record_type: str
    timeframe_ms: int
    scales: tuple[int, int]
    unit: str
    active: int
    rows: list[tuple[int, ...]]
    files: list[tuple[str, int, int, int]]  # name, chunk id, generation, state


def read_store(root: Path) -> dict[tuple[str, str, str], Read]:
    """Every series below a root; AssertionError for anything that the original would not accept."""
    found = {}
    for manifest in sorted(root.rglob("series.meta")):
        key, read = read_series(manifest)
        assert root.joinpath("series", *key) == manifest.parent
        found[key] = read
    return found


def read_series(manifest: Path) -> tuple[tuple[str, str, str], Read]:
    data = manifest.read_bytes()
    assert data[:16] == b"FKMETA02" + struct.pack("<2I", 2, 0)
    assert data[16:24] == struct.pack("<Q", fnv1a(data[24:]))
    cursor = Cursor(data[24:])
    code, size, schema, series_id, _ = cursor.take("3I2Q")
    _, _, timeframe_ms, price_scale, volume_scale = cursor.take("5q")
    unit, (active,) = cursor.text(), cursor.take("Q")
    key = cursor.text(), cursor.text(), cursor.text()
    record_type = next(name for name, known in CODES.items() if known == code)
    assert (size, schema, series_id) == (ROWS[record_type].size, code, fnv1a(":".join(key).encode()))
    read = Read(record_type, timeframe_ms, (price_scale, volume_scale), unit, active, [], [])
    (count,) = cursor.take("I")
    for _ in range(count):
        read_chunk(cursor, manifest.parent, read, series_id)
    assert cursor.position == len(cursor.data)
    listed = {path.name for path in (manifest.parent / "chunks").iterdir() if path.name.endswith(".chunk")}
    assert listed == {name for name, *_ in read.files}
    return key, read


def read_chunk(cursor: Cursor, folder: Path, read: Read, series_id: int) -> None:
    (chunk_id,), partition = cursor.take("Q"), cursor.text()
    start, end, count, state, version, header, every = cursor.take("2qQB3I")
    offset, entries, checksum, generation = cursor.take("QIQI")
    path = cursor.text()
    data = (folder / path).read_bytes()
    layout = ROWS[read.record_type]
    assert fnv1a(data) == checksum
    assert (version, header, every, offset) == (2, 128, 128, 128 + count * layout.size)
    words = 2, 128, layout.size, CODES[read.record_type], series_id, chunk_id, generation
    expected = struct.pack(
        "<8s7Q3q5Q", b"FASTK001", *words, read.timeframe_ms, start, end, count, 1, offset, entries, 128
    )
    assert data[:128] == expected
    rows = [layout.unpack_from(data, 128 + place * layout.size) for place in range(count)]
    index = b"".join(struct.pack("<qQ", rows[place][0], place) for place in range(0, count, 128))
    assert data[offset:] == index
    assert entries * 16 == len(index)
    assert (rows[0][0], rows[-1][0]) == (start, end)
    assert not read.rows or read.rows[-1][0] < start
    keys = {datetime.fromtimestamp(row[0] // 1000, UTC).strftime(KEYS[read.unit]) for row in rows}
    assert keys == {partition}
    read.rows += rows
    read.files.append((path.removeprefix("chunks/"), chunk_id, generation, state))
    read_sidecars(cursor, folder, rows, generation)


def read_sidecars(cursor: Cursor, folder: Path, rows: list[tuple[int, ...]], generation: int) -> None:
    (count,) = cursor.take("I")
    for _ in range(count):
        kind, path = cursor.text(), cursor.text()
        number, checksum, block_rows, items = cursor.take("IQIQ")
        data = (folder / path).read_bytes()
        made = zone_map(rows, block_rows) if kind == "zmap" else value_index(rows)
        assert (data, fnv1a(data), number, items) == (made.data, checksum, generation, made.items)
