"""The manifest ``series.meta``: the root of one committed state of one series, of bounded size.

It holds the settings, the sequence number, references to immutable chunk tables, the newest chunks inline, and what
was retired. Layout: a fixed head, the settings as JSON padded to 8 bytes, the leaf references, the reference to the
table of retired files (none or one), the inline chunks, the inline retired files, and a CRC-32C over all of it.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from fastk.errors import InvalidData
from fastk.format import names, tables
from fastk.format.binary import check_magic, check_seal, check_version, padding, sealed, take_array
from fastk.schema.settings import SeriesSettings

MANIFEST_MAGIC = b"FKMET003"
_HEAD = struct.Struct("<8sIIQQqQIIIII4x")
PREFIX_BYTES = 24
"""The first bytes (magic, version, settings' length, sequence) tell one commit from the next."""


class Manifest(NamedTuple):
    """One committed state. ``sequence`` counts commits; ``content_sequence`` is that of the last one that changed rows.

    ``leaves`` (LEAF items) and then ``chunks`` (CHUNK items) ascend in time and do not interleave.
    """

    settings: SeriesSettings
    sequence: int
    content_sequence: int
    updated_at: int
    leaves: tables.Table = tables.NO_LEAVES
    chunks: tables.Table = tables.NO_CHUNKS
    retired_table: tables.Table = tables.NO_LEAVES
    retired: tables.Table = tables.NO_RETIRED

    def encode(self) -> bytes:
        """The bytes of ``series.meta``."""
        settings = self.settings.json
        head = _HEAD.pack(
            MANIFEST_MAGIC,
            3,
            len(settings),
            self.sequence,
            self.content_sequence,
            self.updated_at,
            self.settings.series_id,
            tables.CHUNK.itemsize,
            self.leaves.size,
            self.retired_table.size,
            self.chunks.size,
            self.retired.size,
        )
        arrays = (self.leaves, self.retired_table, self.chunks, self.retired)
        return sealed(
            b"".join((head, settings, bytes(padding(len(settings), 8)), *(a.tobytes() for a in arrays if a.size)))
        )


def check_manifest(data: bytes, path: str) -> None:
    """Whether these are the bytes that were written, before any of them is parsed; errors as in parse_manifest."""
    check_magic(data, MANIFEST_MAGIC, path)
    if len(data) < _HEAD.size + 4:
        raise InvalidData(f"{path} is truncated to {len(data)} bytes; restore it from a copy")
    check_seal(data, path, "content")


def parse_manifest(data: bytes, path: str) -> Manifest:
    """Read ``series.meta``; InvalidData if damaged, UnsupportedVersion if it is another format's."""
    check_manifest(data, path)
    (
        _,
        version,
        length,
        sequence,
        content,
        updated_at,
        series_id,
        item_size,
        leaf_count,
        table_count,
        chunk_count,
        retired_count,
    ) = _HEAD.unpack_from(data)
    check_version(version, path)
    offset = _HEAD.size + length
    try:
        settings = SeriesSettings.from_json(data[_HEAD.size : offset])
        offset += padding(length, 8)
        leaves, offset = take_array(data, tables.LEAF, leaf_count, offset)
        retired_table, offset = take_array(data, tables.LEAF, table_count, offset)
        chunks, offset = take_array(data, tables.CHUNK, chunk_count, offset)
        retired, offset = take_array(data, tables.RETIRED, retired_count, offset)
        _check_end(offset, len(data), item_size, series_id, settings)
        if sequence > names.LAST_SEQUENCE:
            raise ValueError(f"its commit number {sequence} cannot be")
        tables.check_leaves(leaves)
        tables.check_items(chunks)
        tables.check_items(retired)
    except (ValueError, InvalidData) as error:
        raise InvalidData(f"{path}: {error}") from error
    return Manifest(settings, sequence, content, updated_at, leaves, chunks, retired_table, retired)


def _check_end(offset: int, length: int, item_size: int, series_id: int, settings: SeriesSettings) -> None:
    if offset + 4 != length or item_size != tables.CHUNK.itemsize or series_id != settings.series_id:
        raise ValueError("its parts do not fit each other")
