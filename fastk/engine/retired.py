"""Files that no newer state names: remembered for the grace period of readers, then removed by a later writer. Pure.

The newest entries stand inline in the manifest; when they are too many they move to a table file of their own, so that
the manifest stays small. A table is forgotten as a whole, when its newest entry is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidData, SnapshotExpired
from fastk.format import names, tables

if TYPE_CHECKING:
    from fastk.engine.chunk_index import LoadTable
    from fastk.format.manifest import Manifest

INLINE_MAX = 256


@dataclass
class RetiredEdit:
    """What the next manifest remembers, the table file to write first (if any), and what may be removed after it."""

    inline: tables.Table
    table: tables.Table
    files: list[tuple[int, bytes]] = field(default_factory=list)
    expired: list[np.void] = field(default_factory=list)


def item(identity: int, kind: int, now: int, partition: int = 0, file_length: int = 0) -> tables.Table:
    """One RETIRED item."""
    entry = np.zeros(1, tables.RETIRED)
    entry[0] = (identity, partition, now, file_length, kind, 0)
    return entry


def advance(
    manifest: Manifest, load: LoadTable, newly: list[tables.Table], now: int, grace_ms: int, sequence: int
) -> RetiredEdit:
    """Add what this commit retires, and let go of what was retired longer than ``grace_ms`` ago."""
    over = manifest.retired["retired_at"] <= now - grace_ms
    inline = tables.joined(manifest.retired[~over], *newly)
    edit = RetiredEdit(inline, manifest.retired_table, expired=list(manifest.retired[over]))
    if edit.table.size and int(edit.table["end_ts"][0]) <= now - grace_ms:
        edit.expired += [
            *_load(load, edit.table[0]),
            item(int(edit.table["table_id"][0]), tables.RetiredKind.RETIRED_TABLE, now)[0],
        ]
        edit.table = edit.table[:0]
    if edit.inline.size > INLINE_MAX:
        _spill(edit, manifest.settings.series_id, load, now, sequence)
    return edit


def _spill(edit: RetiredEdit, series_id: int, load: LoadTable, now: int, sequence: int) -> None:
    """Move the inline entries, and those of an earlier table, to a new table."""
    entries, kept = edit.inline, edit.inline[:0]
    if edit.table.size:
        entries = tables.joined(_load(load, edit.table[0]), entries)
        kept = item(int(edit.table["table_id"][0]), tables.RetiredKind.RETIRED_TABLE, now)
    table_id = names.chunk_id(sequence, 0)
    data = tables.encode_table(entries, series_id, table_id)
    reference = np.zeros(1, tables.LEAF)
    reference[0] = (
        table_id,
        entries["retired_at"].min(),
        entries["retired_at"].max(),
        0,
        entries.size,
        tables.table_crc(data),
    )
    edit.files, edit.table, edit.inline = [(table_id, data)], reference, kept


def _load(load: LoadTable, reference: np.void) -> tables.Table:
    """The entries of a table; none if it is damaged: what it names then stays as stray files and hinders nobody."""
    try:
        return load(reference)
    except (InvalidData, SnapshotExpired):
        return tables.empty(tables.RETIRED)
