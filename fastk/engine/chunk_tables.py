"""Changing the chunk tables of a manifest: pure copy-on-write.

New chunks go to the inline part, which spills into table files when it outgrows :data:`INLINE_MAX`; a chunk older than
a table's end goes into that table, which is written anew. So an append rewrites at most the inline part (16 KiB), and
one table of at most :data:`TABLE_MAX` chunks each time the inline part is full, however many chunks there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastk.format import names, tables

if TYPE_CHECKING:
    from fastk.engine.chunk_index import LoadTable
    from fastk.format.manifest import Manifest

INLINE_MAX = 256
TABLE_MAX = 4096


@dataclass
class TableEdit:
    """New leaf references and inline chunks, the table files to write first, and the ids of tables left behind."""

    series_id: int
    sequence: int
    leaves: list[tables.Table] = field(default_factory=list)
    chunks: tables.Table = field(default_factory=lambda: tables.empty(tables.CHUNK))
    files: list[tuple[int, bytes]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    def write_table(self, items: tables.Table) -> None:
        """Add table files for a run of chunks behind the leaves so far."""
        for part in np.array_split(items, -(-items.size // TABLE_MAX)):
            table_id = names.chunk_id(self.sequence, len(self.files))
            data = tables.encode_table(part, self.series_id, table_id)
            self.files.append((table_id, data))
            self.leaves.append(tables.leaf_of(part, table_id, tables.table_crc(data)))

    @property
    def leaf_table(self) -> tables.Table:
        """All leaf references as one table."""
        return tables.joined(tables.empty(tables.LEAF), *self.leaves)


def insert(manifest: Manifest, load: LoadTable, added: tables.Table, sequence: int) -> TableEdit:
    """Put chunks (in order of time, none interleaving with stored ones) in their places."""
    edit = TableEdit(manifest.settings.series_id, sequence)
    late = _insert_into_tables(edit, manifest, load, added)
    inline = _merged(manifest.chunks, late)
    if inline.size > INLINE_MAX:
        _spill(edit, load, inline)
        inline = tables.empty(tables.CHUNK)
    edit.chunks = inline
    return edit


def _insert_into_tables(edit: TableEdit, manifest: Manifest, load: LoadTable, added: tables.Table) -> tables.Table:
    """Copy the leaves, writing those anew that get chunks; returns the chunks behind the last leaf's end."""
    leaves = manifest.leaves
    if not leaves.size:
        return added
    behind = added["start_ts"] >= leaves["end_ts"][-1]
    early = added[~behind]
    homes = np.maximum(np.searchsorted(leaves["start_ts"], early["start_ts"], "right") - 1, 0)
    for index in range(leaves.size):
        mine = early[homes == index]
        if mine.size:
            edit.left.append(int(leaves["table_id"][index]))
            edit.write_table(_merged(load(leaves[index]), mine))
        else:
            edit.leaves.append(leaves[index : index + 1])
    return tables.select(added, np.flatnonzero(behind))


def _spill(edit: TableEdit, load: LoadTable, inline: tables.Table) -> None:
    """Move the inline chunks into tables, filling up the last one if they fit."""
    last = edit.leaves[-1] if edit.leaves else None
    written_now = {table_id for table_id, _ in edit.files}
    if last is not None and int(last["chunks"][0]) + inline.size <= TABLE_MAX:
        table_id = int(last["table_id"][0])
        if table_id not in written_now:
            edit.leaves.pop()
            edit.left.append(table_id)
            inline = tables.joined(load(last[0]), inline)
    edit.write_table(inline)


def _merged(stored: tables.Table, added: tables.Table) -> tables.Table:
    """Both in order of time; where starts are equal, what was stored comes first."""
    if not added.size:
        return stored
    both = tables.joined(stored, added)
    if stored.size and added["start_ts"][0] < stored["end_ts"][-1]:
        both = tables.select(both, np.argsort(both["start_ts"], kind="stable"))
    return both
