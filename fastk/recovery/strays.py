"""Files in a series' folder that no committed state needs: retired ones, orphans, leftovers, and other people's."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, NamedTuple

from fastk.format import names, sidecars
from fastk.recovery.chunk_file import ChunkFile, read_chunk_file
from fastk.recovery.verdicts import Code

if TYPE_CHECKING:
    from fastk.io.disk import Disk
    from fastk.recovery.scan import SeriesScan


class Stray(NamedTuple):
    """One such file; ``kind`` is chunk, sidecar, table, temporary or other."""

    code: Code
    path: str
    kind: str
    reason: str


def strays_of(disk: Disk, scan: SeriesScan) -> list[Stray]:
    """All of a series. Costs a header for each chunk that nothing names.

    Where the manifest or one of its tables is damaged, nobody knows which chunks it names, and none counts as stray.
    """
    found = [*_other_files(scan), *_temporaries(scan)]
    if scan.manifest is not None and not scan.verdicts:
        found += [*_chunks(disk, scan), *_sidecars(scan), *_tables(scan)]
    return found + [Stray(Code.ORPHAN, scan.place.chunk(name), "chunk", SET_ASIDE) for name in scan.orphan_names]


SET_ASIDE = "set aside: it is of a commit that was never finished"


def _temporaries(scan: SeriesScan) -> list[Stray]:
    if names.MANIFEST_TEMPORARY not in scan.folder or scan.obstacle is not None:
        return []
    return [Stray(Code.LEFTOVER, scan.place.temporary, "temporary", "a temporary file of an unfinished commit")]


def _other_files(scan: SeriesScan) -> list[Stray]:
    ours = {names.MANIFEST_FILE, names.MANIFEST_TEMPORARY, names.CHUNKS_FOLDER, *scan.table_ids}
    foreign = [os.path.join(scan.place.folder, name) for name in scan.folder if name not in ours]
    ours = {*scan.chunk_names, *scan.orphan_names, *scan.sidecar_names}
    foreign += [scan.place.chunk(name) for name in scan.chunks if name not in ours]
    return [Stray(Code.UNKNOWN_FILE, path, "other", "no file of FastK") for path in foreign]


def _chunks(disk: Disk, scan: SeriesScan) -> list[Stray]:
    retired = [name for name in scan.chunk_names if name in scan.retired_names]
    found = [_retired(scan.place.chunk(name), "chunk") for name in retired]
    return found + [_unnamed_chunk(scan, file) for file in unnamed_chunk_files(disk, scan)]


def unnamed_chunk_files(disk: Disk, scan: SeriesScan) -> list[ChunkFile]:
    """The headers of all chunk files that nothing names."""
    return [read_chunk_file(disk, scan.place.chunk(name), scan.chunks[name]) for name in scan.unnamed_chunks]


def _retired(path: str, kind: str) -> Stray:
    return Stray(Code.RETIRED, path, kind, "retired: it goes when the grace period is over")


def _unnamed_chunk(scan: SeriesScan, file: ChunkFile) -> Stray:
    if file.head is not None and _is_foreign(scan, file):
        return Stray(Code.ORPHAN, file.path, "chunk", f"a chunk of another series ({file.head.settings.key}) or name")
    return Stray(Code.ORPHAN, file.path, "chunk", _reason(scan, file))


def _reason(scan: SeriesScan, file: ChunkFile) -> str:
    if file.problem is not None and file.problem.code is Code.SYMBOLIC_LINK:
        return "a symbolic link that nothing names; it was not followed"
    assert scan.manifest is not None
    parsed = names.parse_chunk_file_name(os.path.basename(file.path))
    assert parsed is not None
    sequence = names.sequence_and_part(parsed.identity)[0]
    if sequence > scan.manifest.sequence:
        return f"of commit {sequence}, which was never finished"
    return "nothing names it any more: its rows are deleted, or live in other chunks"


def _is_foreign(scan: SeriesScan, file: ChunkFile) -> bool:
    assert file.head is not None
    assert scan.manifest is not None
    return not file.has_own_name or file.head.settings.series_id != scan.manifest.settings.series_id


def _sidecars(scan: SeriesScan) -> list[Stray]:
    wanted = {name: int(item["sidecars"]) for name, item in zip(scan.item_names, scan.items, strict=True)}
    found = []
    for name, owner in scan.sidecar_names.items():
        path = scan.place.chunk(name)
        if owner in scan.retired_names:
            found.append(_retired(path, "sidecar"))
        elif owner not in wanted:
            found.append(Stray(Code.ORPHAN, path, "sidecar", "nothing names its chunk"))
        elif not wanted[owner] & _bit(name):
            found.append(Stray(Code.ORPHAN, path, "sidecar", "its chunk was written without it"))
    return found


def _bit(name: str) -> int:
    return sum(kind.bit for kind in sidecars.KINDS if name.endswith(kind.suffix))


def _tables(scan: SeriesScan) -> list[Stray]:
    live = scan.live_tables
    retired = sorted(scan.named_tables - live)
    found = [_retired(os.path.join(scan.place.folder, name), "table") for name in retired if name in scan.folder]
    words = "no manifest names it"
    unnamed = [os.path.join(scan.place.folder, name) for name in scan.unnamed_tables]
    return found + [Stray(Code.ORPHAN, path, "table", words) for path in unnamed]
