"""What the fuzzers do: change a sound file so that its checksum vouches for the change, and read what that makes.

Damage that no checksum vouches for never gets behind it; what lies behind is reached by sealing the file anew.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import fastk
from fastk import kernels
from fastk.bridge import payload, strict_json
from fastk.bridge.batch import Batch
from fastk.bridge.commands import COMMANDS
from fastk.format import sidecars, tables
from fastk.format.chunk import TRAILER_BYTES, map_columns, parse_chunk
from fastk.format.manifest import parse_manifest
from fastk.format.store_file import check_store_file
from fastk.io.disk import Disk
from fastk.recovery.listings import explain_overlaps, list_orphans

from . import damage

SEALED = ("manifest", "chunk table", "retired table", *damage.SIDECARS)
"""Kinds of files that end in the checksum of all before; a chunk's stands behind its header, and again at its end."""

NUMBERS = [0, 1, 2, 7, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def resealed(kind: str, content: bytes) -> bytes:
    """The content with right checksums, as far as it has places for them."""
    if kind in SEALED:
        return content[:-4] + struct.pack("<I", kernels.crc32c(content[:-4]))
    if kind == "chunk" and len(content) >= 16:
        length = int.from_bytes(content[12:16], "little")
        if 4 <= length <= len(content) - TRAILER_BYTES:
            crc = struct.pack("<I", kernels.crc32c(content[: length - 4]))
            end = len(content) - TRAILER_BYTES
            return content[: length - 4] + crc + content[length:end] + crc + content[end + 4 :]
    return content


class Edit(NamedTuple):
    """A number written over some bytes."""

    place: int
    width: int
    number: int

    def applied(self, content: bytes) -> bytes:
        data = (self.number % (1 << 8 * self.width)).to_bytes(self.width, "little")
        return (content[: self.place] + data + content[self.place + self.width :])[: len(content)]


@st.composite
def changed(draw: Any, content: bytes) -> bytes:
    """A file with some numbers changed, most of them in its head, and sometimes another length."""
    places = st.integers(0, min(len(content), 160) // 4).map(lambda word: 4 * word) | st.integers(0, len(content) - 1)
    numbers = st.sampled_from(NUMBERS) | st.integers(0, 300) | st.integers(0, 2**64 - 1)
    edits = st.lists(st.builds(Edit, places, st.sampled_from([1, 2, 4, 8]), numbers), min_size=1, max_size=4)
    for edit in draw(edits):
        content = edit.applied(content)
    cut = draw(st.none() | st.integers(0, len(content)))
    more = draw(st.just(b"") | st.binary(max_size=64))
    return content[:cut] + more


# Parsers: each takes any bytes, and refuses them with a FastKError or gives what can be used


def read_chunk(content: bytes) -> None:
    from fastk.schema.settings import SeriesSettings

    data = np.frombuffer(content, np.uint8)
    header = parse_chunk(data, "file")
    settings = SeriesSettings.from_json(header.settings)
    for column in map_columns(data, header, settings.schema, "file"):
        assert len(column) == header.rows
        column.view(np.uint8).sum()


def read_manifest(content: bytes) -> None:
    found = parse_manifest(content, "file")
    assert parse_manifest(found.encode(), "file").encode() == found.encode()


def read_table(dtype: Any, content: bytes) -> None:
    identity = struct.unpack_from("<QQ", content.ljust(32, b"\0"), 16)
    found = tables.parse_table(content, dtype, *identity, "file")
    assert tables.encode_table(found, *identity) == content


def read_sidecar(parse: Callable[..., Any], content: bytes) -> None:
    crc, series_id, chunk_id, _, rows = struct.unpack_from("<IQQQQ", content.ljust(64, b"\0"), 12)
    owner = sidecars.SidecarOwner(series_id, chunk_id, crc, rows)
    for arrays in parse(np.frombuffer(content, np.uint8), owner, damage.SCHEMA, "file").values():
        for array in arrays:
            np.asarray(array).sum()


def read_payload(content: bytes) -> None:
    document = strict_json.parse(content, "the payload")
    for command in COMMANDS.values():
        if command.payload is not None:
            with suppress(fastk.InvalidInput):
                payload.checked(document, command.payload)


def read_line(content: bytes) -> None:
    answer = json.loads(Batch(None).answer(content.replace(b"\n", b" ")))
    assert "error" in answer, "there is no store"


PARSERS: dict[str, Callable[[bytes], None]] = {
    "chunk": read_chunk,
    "manifest": read_manifest,
    "chunk table": partial(read_table, tables.CHUNK),
    "retired table": partial(read_table, tables.RETIRED),
    "zone map": partial(read_sidecar, sidecars.parse_zone_map),
    "value index": partial(read_sidecar, sidecars.parse_value_index),
    "store file": lambda content: check_store_file(content, "file"),
    "payload": read_payload,
    "line": read_line,
}


def parse(kind: str, content: bytes) -> bool:
    """Read what was made up; only a refusal may come of it. Whether it was taken for a sound file."""
    try:
        PARSERS[kind](resealed(kind, content))
    except fastk.FastKError:
        return False
    return True


# Whole stores: the manifest vouches for what was changed


def plant(root: Path, kind: str, content: bytes, *, counted: bool = True) -> None:
    """Put a changed file into a store, and let all that names its checksum name it as it is now.

    ``counted``: the manifest has the rows and times of a changed chunk table, too.
    """
    content = resealed(kind, content)
    damage.file_of(root, kind).write_bytes(content)
    manifest = damage.file_of(root, "manifest")
    if kind == "chunk table" and len(content) > 4:
        stored = parse_manifest(manifest.read_bytes(), "")
        items, crc = _items(content), tables.table_crc(content)
        leaves = stored.leaves.copy()
        if counted and items.size:
            leaves = tables.leaf_of(items, int(leaves["table_id"][0]), crc)
        leaves["crc"] = crc
        manifest.write_bytes(stored._replace(leaves=leaves).encode())
    if kind == "chunk" and len(content) >= 16:
        table = damage.file_of(root, "chunk table")
        items = _items(table.read_bytes())
        place = next(place for place, item in enumerate(items) if damage.file_of(root, kind).match(_name(item)))
        length = int.from_bytes(content[12:16], "little")
        items["header_crc"][place] = int.from_bytes(content[length - 4 : length].ljust(4, b"\0"), "little")
        items["file_length"][place] = len(content)
        plant(root, "chunk table", table.read_bytes()[:40] + items.tobytes() + bytes(4))


def _items(table: bytes) -> tables.Table:
    """The items of a chunk table, as many as are whole."""
    body = table[40:-4]
    return np.frombuffer(body[: len(body) - len(body) % tables.CHUNK.itemsize], tables.CHUNK).copy()


def _name(item: Any) -> str:
    sequence, part = int(item["chunk_id"]) >> 20, int(item["chunk_id"]) & 0xFFFFF
    return f"*.{sequence:08d}-{part:04d}.chunk"


def use(root: Path) -> None:
    """Whatever the store's owner may do with it. Any answer is right here, as long as there is one, or a FastKError."""
    with suppress(fastk.FastKError, OSError), fastk.open(root, "r") as store:
        for key in damage.EXPECTED:
            for work in works(store, store.series(key)):
                with suppress(fastk.FastKError, OSError):
                    work()
    damage.verdicts_of(str(root))
    damage.plan_repairs(str(root))
    list_orphans(Disk(), str(root))
    explain_overlaps(Disk(), str(root))


def works(store: Any, series: Any) -> Iterator[Callable[[], Any]]:
    times = damage.EXPECTED[damage.KEY]["ts"]
    yield lambda: series.range().to_numpy()
    yield lambda: [series.range().column(name) for name in damage.SCHEMA.names]
    yield lambda: series.latest(5).to_numpy()
    yield lambda: [series.at(int(ts)) for ts in times]
    yield lambda: series.at_many(times).rows.value
    yield lambda: [rows.value for rows in series.ranges(times, times + damage.HOUR)]
    for plan in ("auto", "scan", "zones", "index"):
        for condition in (fastk.Gt(100), fastk.InSet([3, 6, 300]), fastk.Ne(6)):
            yield partial(_ask, series, condition, plan)
    yield lambda: list(series.zone_map("value"))
    yield lambda: list(series.value_index("value"))
    yield series.verify
    yield series.chunk_inventory
    yield series.month_inventory
    yield series.compaction_advice
    yield store.list_series
    yield lambda: store.gc(dry_run=True, grace_seconds=0)


def _ask(series: Any, condition: Any, plan: Any) -> None:
    series.where("value", condition, plan=plan).rows.to_numpy()


def change(root: Path) -> None:
    """What a writer may do with such a store."""
    with suppress(fastk.FastKError, OSError), fastk.open(root) as store:
        series, rows = store.series(damage.KEY), damage.EXPECTED[damage.KEY]
        for work in (
            partial(series.put, rows, on_conflict="replace"),
            partial(series.delete_range, int(rows["ts"][3]), int(rows["ts"][9])),
            series.merge,
            partial(store.gc, grace_seconds=0),
            store.repair_store,
            store.rebuild_manifests,
        ):
            with suppress(fastk.FastKError, OSError):
                work()
