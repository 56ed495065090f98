"""Changing the chunk tables of a manifest: pure copy-on-write.

New chunks go to the inline part, which spills into table files when it outgrows :data:`INLINE_MAX`; a table that loses
chunks, or gets one that is older than the last table's end, is written anew. So an append rewrites at most the inline
part (16 KiB), and one table of at most :data:`TABLE_MAX` chunks each time the inline part is full, however many chunks
there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastk.format import names, tables

if TYPE_CHECKING:
    from fastk.format.manifest import Manifest
    from fastk.format.tables import LoadTable

INLINE_MAX = 256
TABLE_MAX = 4096


@dataclass
class TableEdit:
    """New leaf references and inline chunks, the table files to write first, and the ids of tables left behind."""

    series_id: int
    sequence: int
    leaves: list[tables.Table] = field(default_factory=list)
    chunks: tables.Table = field(default_factory=lambda: tables.NO_CHUNKS)
    files: list[tuple[int, bytes]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)

    def write_table(self, items: tables.Table) -> None:
        """Add table files for a run of chunks behind the leaves so far."""
        for part in np.array_split(items, -(-items.size // TABLE_MAX)) if items.size else ():
            table_id = names.chunk_id(self.sequence, len(self.files))
            data = tables.encode_table(part, self.series_id, table_id)
            self.files.append((table_id, data))
            self.leaves.append(tables.leaf_of(part, table_id, tables.table_crc(data)))

    @property
    def leaf_table(self) -> tables.Table:
        """All leaf references as one table."""
        return tables.joined(tables.NO_LEAVES, *self.leaves)


def edit(manifest: Manifest, load: LoadTable, removed: tables.Table, added: tables.Table, sequence: int) -> TableEdit:
    """Take some stored chunks out, and put others (in order of time) in their places.

    None of the new ones interleaves with those that stay. Of two chunks that start at the same ts, the stored one
    comes first.
    """
    change = TableEdit(manifest.settings.series_id, sequence)
    late = _edit_tables(change, manifest, load, removed, added)
    inline = _merged(_without(manifest.chunks, removed), late)
    if inline.size > INLINE_MAX:
        _spill(change, load, inline)
        inline = tables.NO_CHUNKS
    change.chunks = inline
    return change


def _edit_tables(
    change: TableEdit, manifest: Manifest, load: LoadTable, removed: tables.Table, added: tables.Table
) -> tables.Table:
    """Copy the leaves, writing those anew that change; returns the chunks behind the last leaf's end."""
    leaves = manifest.leaves
    if not leaves.size:
        return added
    behind = int(added["start_ts"].searchsorted(leaves["end_ts"][-1]))
    early = added[:behind]
    if not early.size and not removed.size:
        change.leaves += (leaves[:-1], leaves[-1:])  # the last alone: a spill may fill it up
        return added
    homes = np.maximum(np.searchsorted(leaves["start_ts"], early["start_ts"], "right") - 1, 0)
    for index, leaf in enumerate(leaves):
        mine, stored = early[homes == index], None
        if mine.size or _may_hold(leaf, removed):
            stored = load(leaf)
            kept = _without(stored, removed)
        if stored is None or (not mine.size and kept.size == stored.size):
            change.leaves.append(leaves[index : index + 1])
        else:
            change.left.append(int(leaf["table_id"]))
            change.write_table(_merged(kept, mine))
    return added[behind:]


def _may_hold(leaf: np.void, chunks: tables.Table) -> bool:
    """Whether any of the chunks starts within the leaf's span."""
    if not chunks.size:
        return False
    return bool(((chunks["start_ts"] >= leaf["start_ts"]) & (chunks["start_ts"] <= leaf["end_ts"])).any())


def _without(stored: tables.Table, removed: tables.Table) -> tables.Table:
    if not removed.size or not stored.size:
        return stored
    return tables.select(stored, np.flatnonzero(~np.isin(stored["chunk_id"], removed["chunk_id"])))


def _spill(change: TableEdit, load: LoadTable, inline: tables.Table) -> None:
    """Move the inline chunks into tables, filling up the last one if they fit."""
    last = change.leaves[-1] if change.leaves else None
    written_now = {table_id for table_id, _ in change.files}
    if last is not None and int(last["chunks"][0]) + inline.size <= TABLE_MAX:
        table_id = int(last["table_id"][0])
        if table_id not in written_now:
            change.leaves.pop()
            change.left.append(table_id)
            inline = tables.joined(load(last[0]), inline)
    change.write_table(inline)


def _merged(stored: tables.Table, added: tables.Table) -> tables.Table:
    """Both in order of time; where starts are equal, what was stored comes first."""
    if not added.size:
        return stored
    both = tables.joined(stored, added)
    if stored.size and added["start_ts"][0] < stored["end_ts"][-1]:
        both = tables.select(both, np.argsort(both["start_ts"], kind="stable"))
    return both
