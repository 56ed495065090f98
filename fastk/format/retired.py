"""Files that no newer state names: remembered for the grace period of readers, then removed by a later writer. Pure.

They are removed before the manifest that forgets them gets its name, so that no crash leaves a chunk file of old rows
that nobody knows of: what took its place names it, but will go itself one day.

The newest entries stand inline in the manifest; when they are too many they move to a table file of their own, so that
the manifest stays small. A table is forgotten as a whole, when its newest entry is over.

Order matters where files are all that is left: a chunk that a commit took out must be gone for good before the chunk
that says so goes, or a rebuild from files would bring its rows back. :func:`removal_waves` keeps that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidData, SnapshotExpired
from fastk.format import names, tables

if TYPE_CHECKING:
    from fastk.format.manifest import Manifest
    from fastk.format.tables import LoadTable

INLINE_MAX = 256


@dataclass
class RetiredEdit:
    """What the next manifest remembers, the table file to write first (if any), and what is to be removed before it."""

    inline: tables.Table
    table: tables.Table
    files: list[tuple[int, bytes]] = field(default_factory=list)
    expired: list[np.void] = field(default_factory=list)

    def keep(self, entries: list[np.void]) -> None:
        """Remember some after all: their files could not be removed."""
        self.inline = tables.joined(self.inline, np.array(entries, tables.RETIRED))


def item(identity: int, kind: int, now: int, sequence: int) -> tables.Table:
    """The RETIRED item of a table file: retired at a time by a commit."""
    entry = np.zeros(1, tables.RETIRED)
    entry[0] = (identity, 0, now, sequence, 0, kind, 0)
    return entry


def chunk_items(chunks: tables.Table, now: int, sequence: int) -> tables.Table:
    """RETIRED items of some chunks of a chunk table."""
    entries = np.zeros(chunks.size, tables.RETIRED)
    for name in ("partition", "file_length", "kind", "supersedes"):
        entries[name] = chunks[name]
    entries["identity"], entries["retired_at"], entries["retired_by"] = chunks["chunk_id"], now, sequence
    return entries


def advance(
    manifest: Manifest, load: LoadTable, newly: list[tables.Table], now: int, grace_ms: int, sequence: int
) -> RetiredEdit:
    """Add what this commit retires, and let go of what was retired longer than ``grace_ms`` ago.

    ``now`` must not fall from commit to commit: what was retired first is over first.
    """
    waiting, over = _split(manifest.retired, now - grace_ms, manifest.content_sequence)
    edit = RetiredEdit(tables.joined(waiting, *newly), manifest.retired_table, expired=over)
    if edit.table.size and int(edit.table["end_ts"][0]) <= now - grace_ms:
        _expire_table(edit, manifest, load, now, sequence)
    if edit.inline.size > INLINE_MAX:
        _spill(edit, manifest, load, now, now - grace_ms, sequence)
    return edit


def _split(entries: tables.Table, before: int, content_sequence: int) -> tuple[tables.Table, list[np.void]]:
    """The entries that stay, and those that may go.

    A chunk without rows stays while its commit is the last one that changed rows: nothing else proves to a rebuild from
    files that the commits before it counted.
    """
    if not entries.size:  # most often
        return entries, []
    over = entries["retired_at"] <= before
    if not np.count_nonzero(over):
        return entries, []
    over &= (entries["supersedes"] != tables.Supersedes.ONLY) | (entries["retired_by"] != content_sequence)
    return tables.select(entries, np.flatnonzero(~over)), list(tables.select(entries, np.flatnonzero(over)))


def _expire_table(edit: RetiredEdit, manifest: Manifest, load: LoadTable, now: int, sequence: int) -> None:
    reference = edit.table[0]
    entries = _load(load, reference)
    waiting, over = _split(entries, now, manifest.content_sequence)
    edit.expired += over
    edit.table = edit.table[:0]
    left = item(int(reference["table_id"]), tables.RetiredKind.RETIRED_TABLE, now, sequence)
    edit.inline = tables.joined(waiting, edit.inline, left)


def removal_waves(entries: list[np.void]) -> list[list[np.void]]:
    """Split entries so that what one wave removes must be gone for good before the next one begins.

    A chunk that names others may have been written by the very commit that retired an entry before it.
    """
    waves: list[list[np.void]] = []
    first_commit = 0
    for entry in sorted(entries, key=lambda entry: (int(entry["retired_by"]), int(entry["identity"]))):
        written_by = names.sequence_and_part(int(entry["identity"]))[0]
        if not waves or (entry["supersedes"] and written_by >= first_commit):
            waves.append([])
            first_commit = int(entry["retired_by"])
        waves[-1].append(entry)
    return waves


def _spill(edit: RetiredEdit, manifest: Manifest, load: LoadTable, now: int, before: int, sequence: int) -> None:
    """Move the inline entries, and those of an earlier table that are not over, to a new table.

    A series that is written all the time spills before its table is over as a whole: nothing else would empty it.
    """
    entries, kept = edit.inline, edit.inline[:0]
    if edit.table.size:
        earlier = _load(load, edit.table[0])
        waiting, over = _split(earlier, before, manifest.content_sequence)
        edit.expired += over
        entries = tables.joined(waiting, entries)
        kept = item(int(edit.table["table_id"][0]), tables.RetiredKind.RETIRED_TABLE, now, sequence)
    table_id = names.chunk_id(sequence, 0)
    data = tables.encode_table(entries, manifest.settings.series_id, table_id)
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
        return tables.NO_RETIRED
