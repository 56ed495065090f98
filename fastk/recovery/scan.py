"""What lies in the folder of one series, and what its manifest says of it. Damage is collected, never raised."""

from __future__ import annotations

import os.path
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from fastk.errors import InvalidData, UnsupportedVersion
from fastk.format import names, sidecars, tables
from fastk.format.binary import is_sealed
from fastk.format.manifest import MANIFEST_MAGIC, parse_manifest
from fastk.recovery.chunk_file import not_a_file, unreadable
from fastk.recovery.overlaps import Stretch, groups_of
from fastk.recovery.reading import patiently
from fastk.recovery.verdicts import NOWHERE, Code, Problem, Span, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk, Entry
    from fastk.recovery.places import Place

Found = TypeVar("Found")
_ATTEMPTS = 10
LARGEST_READ = 1 << 28
"""Manifests and tables above this are damaged: one of that size would describe more chunks than a disk holds."""


@dataclass
class SeriesScan:
    """One series. ``items`` are all chunks that the manifest names, as far as its tables are sound, in their order;
    ``item_names`` their files, and ``retired`` all retired files. ``content`` are the bytes of the manifest.
    ``verdicts`` are about manifest and tables.
    """

    place: Place
    folder: dict[str, Entry] = field(default_factory=dict)
    chunks: dict[str, Entry] = field(default_factory=dict)
    manifest: Manifest | None = None
    content: bytes = b""
    items: tables.Table = field(default_factory=lambda: tables.NO_CHUNKS)
    item_names: list[str] = field(default_factory=list)
    retired: tables.Table = field(default_factory=lambda: tables.NO_RETIRED)
    retired_names: frozenset[str] = frozenset()
    verdicts: list[Verdict] = field(default_factory=list)
    lost_tables: list[Span] = field(default_factory=list)
    is_newer: bool = False
    is_unreadable: bool = False
    is_moved: bool = False

    def say(self, code: Code, path: str, detail: str, span: Span = NOWHERE) -> None:
        """Add a verdict."""
        self.verdicts.append(self.place.say(code, path, detail, span))

    @property
    def is_hidden(self) -> bool:
        """Whether the system gives nothing of the manifest, a table or a folder: what they say is unknown."""
        return self.is_unreadable or any(each.code in (Code.UNREADABLE, Code.INACCESSIBLE) for each in self.verdicts)

    @property
    def has_manifest(self) -> bool:
        """Whether there is a file of that name, sound or not."""
        return names.MANIFEST_FILE in self.folder

    @property
    def obstacle(self) -> Problem | None:
        """What stands under the temporary name of the manifest and is no file: no writer gets past it."""
        entry = self.folder.get(names.MANIFEST_TEMPORARY)
        if entry is None or entry.kind == "file":
            return None
        code = Code.SYMBOLIC_LINK if entry.kind == "link" else Code.FOREIGN_FILE
        words = f"writers put the next manifest there, and it is no file ({entry.kind}): nothing can be written"
        return Problem(code, words)

    @cached_property
    def named_chunks(self) -> frozenset[str]:
        """File names of the chunks that the manifest names."""
        return frozenset(self.item_names)

    @cached_property
    def missing_chunks(self) -> frozenset[int]:
        """The ids of chunks that the manifest names, and that have no file."""
        ids = zip(self.item_names, self.items["chunk_id"].tolist(), strict=True)
        return frozenset(chunk_id for name, chunk_id in ids if name not in self.chunks)

    @cached_property
    def chunk_names(self) -> list[str]:
        """All files that are named like chunks; those set aside are not."""
        return [name for name in self.chunks if names.parse_chunk_file_name(name) is not None]

    @cached_property
    def orphan_names(self) -> list[str]:
        """All chunk files that were set aside."""
        return [name for name in self.chunks if _is_set_aside(name)]

    @cached_property
    def unnamed_chunks(self) -> list[str]:
        """Files named like chunks that neither the manifest nor its retired files name."""
        known = self.named_chunks | self.retired_names
        return [name for name in self.chunk_names if name not in known]

    @cached_property
    def sidecar_names(self) -> dict[str, str]:
        """Files named like sidecars of chunks, and the chunks' names."""
        found = ((name, owner_of_sidecar(name)) for name in self.chunks)
        return {name: owner for name, owner in found if owner is not None}

    @cached_property
    def table_ids(self) -> dict[str, int]:
        """Files named like tables, and their ids."""
        found = ((name, names.parse_table_file_name(name)) for name in self.folder)
        return {name: identity for name, identity in found if identity is not None}

    @property
    def live_tables(self) -> set[str]:
        """The table files that the manifest refers to."""
        if self.manifest is None:
            return set()
        return {names.table_file_name("chunks", each) for each in self.manifest.leaves["table_id"].tolist()} | {
            names.table_file_name("retired", each) for each in self.manifest.retired_table["table_id"].tolist()
        }

    @property
    def named_tables(self) -> set[str]:
        """Those, and the ones that it retired."""
        kinds = (("chunks", tables.RetiredKind.CHUNK_TABLE), ("retired", tables.RetiredKind.RETIRED_TABLE))
        return self.live_tables | {
            names.table_file_name(label, each)
            for label, kind in kinds
            for each in self.retired["identity"][self.retired["kind"] == kind].tolist()
        }

    @property
    def unnamed_tables(self) -> list[str]:
        """Table files that nothing names."""
        named = self.named_tables
        return [name for name in self.table_ids if name not in named]

    def highest_sequence(self) -> int:
        """The highest commit that a file bears in its name, or the manifest in its head."""
        of_manifest = 0 if self.manifest is None else self.manifest.sequence
        return max(of_manifest, *map(sequence_of_file, (*self.chunks, *self.folder)), 0)


def sequence_of_file(name: str) -> int:
    """The commit that the name of a chunk, sidecar or table bears; 0 for other files."""
    bare = owner_of_sidecar(name) or name.removesuffix(names.ORPHAN_SUFFIX)
    chunk, table = names.parse_chunk_file_name(bare), names.parse_table_file_name(name)
    identity = table if chunk is None else chunk.identity
    return 0 if identity is None else names.sequence_and_part(identity)[0]


def _is_set_aside(name: str) -> bool:
    bare = name.removesuffix(names.ORPHAN_SUFFIX)
    return bare != name and names.parse_chunk_file_name(bare) is not None


def owner_of_sidecar(name: str) -> str | None:
    """The name of the chunk whose sidecar a file would be; None for other files."""
    for kind in sidecars.KINDS:
        bare = name.removesuffix(kind.suffix)
        if bare != name and names.parse_chunk_file_name(bare) is not None:
            return bare
    return None


def scan_series(disk: Disk, place: Place) -> SeriesScan:
    """Look at a series: its listings, its manifest and its tables. Never raises for what lies on the disk.

    The manifest is read before the listings that count, so that all files which it names are in them.
    """
    scan = SeriesScan(place)
    try:
        scan.folder = patiently(lambda: disk.entries(place.folder))
        _read_manifest(disk, scan)
        scan.folder = patiently(lambda: disk.entries(place.folder))
        _list_chunks(disk, scan)
    except OSError as error:
        scan.is_unreadable = True
        scan.verdicts.append(place.verdict(unreadable(error), error.filename or place.folder))
        return scan
    if not scan.has_manifest and (scan.chunks or scan.table_ids):
        scan.say(Code.MISSING_MANIFEST, place.manifest, "it is missing, so that the series is not in the store")
    if scan.manifest is not None:
        _read_tables(disk, scan, scan.manifest)
        _check_order(scan)
    return scan


def settled(disk: Disk, place: Place, look: Callable[[SeriesScan], Found], is_fine: Callable[[Found], bool]) -> Found:
    """What a look at a series finds; once more if that is not fine, and a writer has committed meanwhile."""
    for _ in range(_ATTEMPTS):
        scan = scan_series(disk, place)
        found = look(scan)
        if is_fine(found) or _is_current(disk, scan):
            break
    return found


def _is_current(disk: Disk, scan: SeriesScan) -> bool:
    if not scan.content:
        return True
    try:
        return patiently(lambda: disk.read(scan.place.manifest)) == scan.content
    except OSError:
        return False


def _list_chunks(disk: Disk, scan: SeriesScan) -> None:
    entry = scan.folder.get(names.CHUNKS_FOLDER)
    if entry is not None and entry.kind == "folder":
        scan.chunks = patiently(lambda: disk.entries(scan.place.chunks))
    elif entry is not None:
        code = Code.SYMBOLIC_LINK if entry.kind == "link" else Code.FOREIGN_FILE
        scan.is_unreadable = True
        scan.say(code, scan.place.chunks, "it is no folder; nothing in it was looked at")


# The manifest


def _read_manifest(disk: Disk, scan: SeriesScan) -> None:
    path, entry = scan.place.manifest, scan.folder.get(names.MANIFEST_FILE)
    if entry is None:
        return
    problem = not_a_file(entry) or _too_large(entry)
    if problem is not None:
        scan.is_unreadable = problem.code is Code.SYMBOLIC_LINK
        scan.verdicts.append(scan.place.verdict(problem, path))
        return
    try:
        scan.content = patiently(lambda: disk.read(path))
        _accept(scan, parse_manifest(scan.content, path))
    except UnsupportedVersion as error:
        if is_sealed(MANIFEST_MAGIC + scan.content[len(MANIFEST_MAGIC) :]):
            scan.say(Code.CORRUPT_MANIFEST, path, "the digits of its format are damaged")
            return
        scan.is_newer = True
        scan.say(Code.NEWER_FORMAT, path, str(error))
    except InvalidData as error:
        scan.say(Code.CORRUPT_MANIFEST, path, str(error))
    except OSError as error:
        scan.is_unreadable = True
        scan.verdicts.append(scan.place.verdict(unreadable(error), path))


def _too_large(entry: Entry) -> Problem | None:
    if entry.size <= LARGEST_READ:
        return None
    return Problem(Code.CORRUPT_MANIFEST, f"{entry.size:,} bytes are no manifest or table")


def _accept(scan: SeriesScan, manifest: Manifest) -> None:
    """A sound manifest counts only in the folder of its own series."""
    if manifest.settings.key == scan.place.key:
        scan.manifest = manifest
    else:
        scan.is_moved = True
        scan.say(Code.FOREIGN_FILE, scan.place.manifest, f"it is the manifest of {manifest.settings.key}")


# Its tables


class _LoadedTable(NamedTuple):
    items: tables.Table
    problem: Problem | None


def _read_tables(disk: Disk, scan: SeriesScan, manifest: Manifest) -> None:
    parts = []
    for leaf in manifest.leaves:
        items, problem = _load(disk, scan, "chunks", tables.CHUNK, leaf)
        parts.append(items)
        if problem is not None:
            span = Span(int(leaf["start_ts"]), int(leaf["end_ts"]), int(leaf["rows"]))
            scan.lost_tables.append(span)
            scan.verdicts.append(scan.place.verdict(problem, scan.place.table("chunks", int(leaf["table_id"])), span))
    scan.items = tables.joined(tables.NO_CHUNKS, *parts, manifest.chunks)
    for reference in manifest.retired_table:
        scan.retired, problem = _load(disk, scan, "retired", tables.RETIRED, reference)
        if problem is not None:
            path = scan.place.table("retired", int(reference["table_id"]))
            scan.verdicts.append(scan.place.verdict(problem, path))
    scan.retired = tables.joined(scan.retired, manifest.retired)
    _name_files(scan, manifest)


def _load(disk: Disk, scan: SeriesScan, kind: str, dtype: np.dtype[Any], reference: np.void) -> _LoadedTable:
    table_id = int(reference["table_id"])
    path, nothing = scan.place.table(kind, table_id), np.empty(0, dtype)
    entry = scan.folder.get(os.path.basename(path))
    problem = not_a_file(entry) or (_too_large(entry) if entry is not None else None)
    if problem is not None:
        return _LoadedTable(nothing, problem)
    try:
        data = patiently(lambda: disk.read(path))
        assert scan.manifest is not None
        series_id = scan.manifest.settings.series_id
        return _LoadedTable(tables.parse_named(data, dtype, series_id, reference, path), None)
    except InvalidData as error:
        return _LoadedTable(nothing, Problem(Code.CORRUPT_TABLE, str(error)))
    except OSError as error:
        return _LoadedTable(nothing, unreadable(error))


def _name_files(scan: SeriesScan, manifest: Manifest) -> None:
    """The file names of chunks and retired chunks; items that no writer makes are as bad as a damaged table."""
    is_chunk = scan.retired["kind"] < tables.RetiredKind.CHUNK_TABLE
    retired = tables.select(scan.retired, np.flatnonzero(is_chunk))
    try:
        scan.item_names = _chunk_names(manifest, scan.items, "chunk_id")
        scan.retired_names = frozenset(_chunk_names(manifest, retired, "identity"))
    except (ValueError, ArithmeticError) as error:
        scan.say(Code.CORRUPT_MANIFEST, scan.place.manifest, f"it names chunks that cannot be: {error}")
        scan.manifest, scan.items, scan.item_names = None, tables.NO_CHUNKS, []


def _chunk_names(manifest: Manifest, items: tables.Table, identity: str) -> list[str]:
    partition = manifest.settings.partition
    ordinals, places = np.unique(items["partition"], return_inverse=True)
    keys = [partition.key(int(ordinal)) for ordinal in ordinals]
    labels = [tables.ChunkKind(kind).label for kind in items["kind"].tolist()]
    ids = items[identity].tolist()
    return [
        names.chunk_file_name(keys[place], label, chunk_id)
        for place, label, chunk_id in zip(places.tolist(), labels, ids, strict=True)
    ]


# Its chunks, seen together


def stretches_of(scan: SeriesScan) -> list[Stretch]:
    """The stretches of time of the chunks that the manifest names."""
    columns = (scan.items[name].tolist() for name in ("start_ts", "end_ts", "rows", "generation", "chunk_id"))
    return list(map(Stretch, scan.item_names, *columns))


def _check_order(scan: SeriesScan) -> None:
    """Chunks must not interleave. Where they do, reads give rows twice or miss them."""
    if scan.manifest is None or _are_in_order(scan, scan.manifest.settings.schema.unique_ts):
        return
    groups = groups_of(stretches_of(scan), unique_ts=scan.manifest.settings.schema.unique_ts)
    if not groups:
        scan.say(Code.OVERLAP, scan.place.manifest, "its chunks are not in the order of time")
    for group in groups:
        span = Span(group[0].start_ts, max(each.end_ts for each in group), sum(each.rows for each in group))
        words = f"chunks interleave: {', '.join(each.name for each in group)}"
        scan.say(Code.OVERLAP, scan.place.manifest, words, span)


def _are_in_order(scan: SeriesScan, unique_ts: bool) -> bool:
    starts, ends = scan.items["start_ts"][1:], scan.items["end_ts"][:-1]
    return bool((starts > ends).all() if unique_ts else (starts >= ends).all())
