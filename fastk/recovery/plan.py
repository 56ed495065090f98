"""What a repair would do with one series: read only, and the same for a dry run and a real one.

From the manifest where it is sound, else from the chunk files. What verifies stays; of damaged chunks the sound rows go
into new ones; what nobody can read is let go and its rows are named. All of it becomes one commit.
"""

from __future__ import annotations

import os.path
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidInput
from fastk.format import names, retired, sidecars, tables
from fastk.recovery.adoption import (
    Adoption,
    SoundFile,
    adopt,
    complete_commits,
    present_files,
    sign_of_age,
    what_may_be_back,
)
from fastk.recovery.chunk_file import read_chunk_file
from fastk.recovery.examine import BadChunk, BadSidecar, Examiner, NamedChunk, item_of, named_chunks
from fastk.recovery.overlaps import is_replaced
from fastk.recovery.reports import LostRows, OverlapResolution
from fastk.recovery.row_counts import RowCount, count_rows
from fastk.recovery.scan import sequence_of_file
from fastk.recovery.sources import Sources
from fastk.recovery.strays import unnamed_chunk_files
from fastk.recovery.verdicts import Code, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk
    from fastk.recovery.chunk_file import ChunkFile
    from fastk.recovery.overlaps import Choice
    from fastk.recovery.scan import SeriesScan
    from fastk.schema.schema import Schema
    from fastk.schema.settings import SeriesSettings

_UNTOUCHABLE_SIDECAR = (Code.NEWER_FORMAT, Code.SYMBOLIC_LINK, Code.INACCESSIBLE)
_UNTOUCHABLE = (*_UNTOUCHABLE_SIDECAR, Code.UNREADABLE)


@dataclass
class SeriesPlan:
    """The next state of a series, and what becomes of its files.

    ``base`` is the highest commit that was published. ``chunks`` are those of the next state, in order: the
    ``salvages`` among them are replaced by their sound rows, the ``dropped`` ones go. ``retired`` are the entries of
    files that stay for the grace period. ``gone`` are ids of other chunks that the commit takes out. File names in
    ``set_aside`` (of ``chunks/``) and paths in ``quarantine``. ``settings`` are None where nothing tells them.
    ``doubts`` say what files cannot tell.
    """

    scan: SeriesScan
    settings: SeriesSettings | None = None
    base: int = 0
    chunks: list[NamedChunk] = field(default_factory=list)
    retired: tables.Table = field(default_factory=lambda: tables.NO_RETIRED)
    is_rebuilt: bool = False
    salvages: list[BadChunk] = field(default_factory=list)
    dropped: list[BadChunk] = field(default_factory=list)
    bad_sidecars: list[BadSidecar] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    quarantine: list[str] = field(default_factory=list)
    lost: list[LostRows] = field(default_factory=list)
    resolutions: list[OverlapResolution] = field(default_factory=list)
    unrepaired: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def needs_commit(self) -> bool:
        """Whether the series gets a new manifest."""
        return self.settings is not None and (self.is_rebuilt or bool(self.salvages or self.dropped))

    @property
    def does_nothing(self) -> bool:
        """Whether there is nothing to do but to remove a temporary file."""
        return not (self.needs_commit or self.quarantine or self.bad_sidecars or self.unrepaired)

    @property
    def has_temporary(self) -> bool:
        """Whether there is a temporary manifest to be removed."""
        entry = self.scan.folder.get(names.MANIFEST_TEMPORARY)
        return entry is not None and entry.kind == "file" and not self.scan.is_newer

    @property
    def superseded(self) -> list[int]:
        """The ids of all chunks that the commit takes out without retiring them, and of those that its damaged chunks
        may have taken out: these will not be there to say so any more."""
        bad_chunks = (*self.salvages, *self.dropped)
        taken = {bad.chunk.chunk_id for bad in bad_chunks}
        if bad_chunks:
            taken |= set(self.retired["identity"][self.retired["kind"] < tables.RetiredKind.CHUNK_TABLE].tolist())
        for bad in bad_chunks:
            if bad.head is not None:
                taken |= set(bad.head.header.superseded.tolist())
        return sorted(taken | set(self.gone))

    def lose(self, path: str, reason: str, span: Span, count: RowCount | None = None) -> None:
        """Report rows as lost; how many, ``count`` may say instead of the span."""
        place, count = self.scan.place, count or RowCount(span.rows)
        below = f"{place.series_dir}/{place.within(path)}"
        self.lost.append(LostRows(str(place.key), *span[:2], count.rows, below, reason, count.at_most))


def plan_series(
    disk: Disk, scan: SeriesScan, *, rebuild: bool = False, count: Callable[[int], None] = lambda size: None
) -> SeriesPlan:
    """Plan the repair of a series; ``rebuild`` makes its manifest anew even if that is sound.

    ``count`` is told the bytes of each file behind it. Cost: one pass over all chunks and sidecars.
    """
    plan = SeriesPlan(scan)
    if scan.is_newer or scan.is_hidden:
        plan.unrepaired += [str(verdict) for verdict in scan.verdicts]
    elif scan.manifest is not None and not (rebuild or needs_rebuild(disk, scan)):
        _keep(disk, plan, scan.manifest, count)
    elif scan.has_manifest or scan.chunk_names:
        _rebuild(disk, plan, count)
    if scan.obstacle is not None and not plan.unrepaired:
        plan.quarantine.append(scan.place.temporary)
    if plan.needs_commit and plan.set_aside:
        _doubt_the_unnamed(disk, plan)
    return plan


def needs_rebuild(disk: Disk, scan: SeriesScan) -> bool:
    """Whether the manifest or a table is damaged, or an old copy."""
    return bool(scan.verdicts) or why_stale(disk, scan) is not None


def why_stale(disk: Disk, scan: SeriesScan) -> str | None:
    """What proves that the manifest is an old copy; None if nothing does."""
    if scan.manifest is None:
        return None
    return sign_of_age(_unnamed_files(disk, scan), scan.manifest, scan.missing_chunks)


def unnamed_commit(disk: Disk, scan: SeriesScan) -> list[SoundFile]:
    """The parts of the newest complete commit above that of the manifest; none if there is no such commit."""
    if scan.manifest is None:
        return []
    files = present_files(_unnamed_files(disk, scan))
    newest = max(complete_commits(files), default=0)
    return [each for each in files if each.head.sequence == newest > scan.manifest.sequence]


def _unnamed_files(disk: Disk, scan: SeriesScan) -> list[SoundFile]:
    """The sound chunks of the series that its manifest does not name, and that bear their own names."""
    assert scan.manifest is not None
    series_id = scan.manifest.settings.series_id
    files = unnamed_chunk_files(disk, scan)
    sound = [SoundFile(file, file.head) for file in files if file.head is not None and file.has_own_name]
    return [each for each in sound if each.head.settings.series_id == series_id]


def _doubt_the_unnamed(disk: Disk, plan: SeriesPlan) -> None:
    """A whole commit that is set aside was acknowledged, if the manifest is a copy from before it."""
    parts = [each for each in unnamed_commit(disk, plan.scan) if each.file_name in plan.set_aside]
    if parts:
        rows = sum(each.head.header.rows for each in parts)
        plan.doubts.append(
            f"{plan.scan.place.series_dir}: commit {parts[0].head.sequence} lay whole beside the manifest and was set "
            f"aside ({rows:,} rows): its writer was killed before it counted, or the manifest is a copy from before "
            f"it; in that case put its rows again"
        )


# From a sound manifest


def _keep(disk: Disk, plan: SeriesPlan, manifest: Manifest, count: Callable[[int], None]) -> None:
    scan = plan.scan
    plan.settings, plan.base = manifest.settings, manifest.sequence
    plan.chunks, plan.retired = named_chunks(scan), _retired_chunks(scan)
    found = Examiner(disk, scan, manifest.settings, thorough=True, count=count).examine(plan.chunks)
    if _is_wrong_about_chunks(scan, found.bad_chunks):
        _rebuild(disk, plan, count)
        return
    plan.set_aside = [name for name in scan.unnamed_chunks if sequence_of_file(name) > manifest.sequence]
    if found.bad_chunks and _hides_a_commit(disk, plan):
        return
    if scan.missing_chunks:  # what is set aside may hold their rows, and must not be removed one day
        plan.quarantine += [scan.place.chunk(name + names.ORPHAN_SUFFIX) for name in plan.set_aside]
    _take_damage(disk, plan, found.bad_chunks, found.bad_sidecars)


def _hides_a_commit(disk: Disk, plan: SeriesPlan) -> bool:
    """Whether a file of a later commit cannot be read: it might tell that the manifest is an old copy."""
    place, scan = plan.scan.place, plan.scan
    files = (read_chunk_file(disk, place.chunk(name), scan.chunks[name]) for name in plan.set_aside)
    verdicts = [place.verdict(each.problem, each.path) for each in files if each.problem and each.is_hidden]
    plan.unrepaired += map(str, verdicts)
    plan.settings = None if verdicts else plan.settings
    return bool(verdicts)


def _is_wrong_about_chunks(scan: SeriesScan, bad_chunks: list[BadChunk]) -> bool:
    """Whether the manifest itself is to blame: it contradicts a sound header, or gives a file another name."""
    parsed = map(names.parse_chunk_file_name, scan.unnamed_chunks)
    elsewhere = {each.identity for each in parsed if each is not None}
    return any(
        bad.problem.code is Code.METADATA_MISMATCH
        or (bad.problem.code is Code.MISSING_FILE and bad.chunk.chunk_id in elsewhere)
        for bad in bad_chunks
    )


def _retired_chunks(scan: SeriesScan) -> tables.Table:
    is_chunk = scan.retired["kind"] < tables.RetiredKind.CHUNK_TABLE
    return tables.select(scan.retired, np.flatnonzero(is_chunk))


def _take_damage(disk: Disk, plan: SeriesPlan, bad_chunks: list[BadChunk], bad_sidecars: list[BadSidecar]) -> None:
    """Decide what becomes of each damaged file; all or nothing where one of them must not be touched."""
    untouchable = [bad for bad in bad_chunks if bad.problem.code in _UNTOUCHABLE]
    for bad in untouchable:
        plan.unrepaired.append(str(plan.scan.place.verdict(bad.problem, bad.file.path, bad.chunk.span)))
    if untouchable:
        plan.settings = None
        return
    assert plan.settings is not None
    sources = Sources(disk, plan.scan, plan.settings, plan.retired)
    for bad in map(sources.rescue, bad_chunks):
        path = plan.scan.place.chunk(bad.chunk.name)
        (plan.salvages if bad.kept_rows else plan.dropped).append(bad)
        for span in bad.lost:
            plan.lose(path, bad.problem.code, span)
        places = (path, bad.file.path) if bad.head is not None else (path,)
        plan.quarantine += [each for each in dict.fromkeys(places) if os.path.basename(each) in plan.scan.chunks]
    plan.bad_sidecars = [bad for bad in bad_sidecars if bad.problem.code not in _UNTOUCHABLE_SIDECAR]


# From the chunk files


def _rebuild(disk: Disk, plan: SeriesPlan, count: Callable[[int], None]) -> None:
    scan = plan.scan
    every = [*scan.chunk_names, *scan.orphan_names]
    files = [read_chunk_file(disk, scan.place.chunk(name), scan.chunks[name]) for name in every]
    hindrance = _hindrance(scan, files)
    is_complete = scan.manifest is not None and not scan.lost_tables
    named = frozenset(scan.items["chunk_id"].tolist()) if is_complete else None
    known = scan.manifest, _retired_by(scan), named, scan.missing_chunks
    adoption = None if hindrance else adopt(files, scan.place.key, *known, has_tables=bool(scan.table_ids))
    if hindrance:
        plan.unrepaired.append(f"{scan.place.series_dir}: {hindrance}")
    elif adoption is None:
        _give_up(disk, plan, files)
    else:
        _follow(disk, plan, adoption)
        assert plan.settings is not None
        found = Examiner(disk, scan, plan.settings, thorough=True, count=count).examine(plan.chunks)
        _take_damage(disk, plan, found.bad_chunks, found.bad_sidecars)


def _hindrance(scan: SeriesScan, files: list[ChunkFile]) -> str | None:
    """Why a series must be left alone. What is said to be gone is no reason, whatever became of its file."""
    gone = _gone_files(scan, files)
    for file in files:
        if os.path.basename(file.path) not in gone and file.problem is not None and file.problem.code in _UNTOUCHABLE:
            return f"{os.path.basename(file.path)}: {file.problem.detail}"
    others = {file.head.settings.key for file in files if file.head is not None} - {scan.place.key}
    own = any(file.head is not None and file.head.settings.key == scan.place.key for file in files)
    if (others and not own) or (scan.is_moved and not own):
        whose = ", ".join(map(str, others)) or "another series"
        return f"its files are those of {whose}: the folder was moved or copied by hand; move it back"
    return None


def _gone_files(scan: SeriesScan, files: list[ChunkFile]) -> set[str]:
    """File names of chunks that the manifest retired, or that commits took out which others were made upon."""
    heads = [file.head for file in files if file.head is not None and file.head.settings.key == scan.place.key]
    published = max((head.header.identity.base_sequence for head in heads), default=0)
    taken = (head.header.superseded.tolist() for head in heads if head.sequence <= published)
    dead = set(chain.from_iterable(taken))
    parsed = ((name, names.parse_chunk_file_name(name)) for name in scan.chunk_names)
    return {name for name, each in parsed if each is not None and each.identity in dead} | scan.retired_names


def _retired_by(scan: SeriesScan) -> dict[int, int]:
    """The chunks that a sound manifest let go, and the commits that did so."""
    entries = _retired_chunks(scan)
    return dict(zip(entries["identity"].tolist(), entries["retired_by"].tolist(), strict=True))


def _give_up(disk: Disk, plan: SeriesPlan, files: list[ChunkFile]) -> None:
    """Nothing tells what the series was: all of it is moved aside, so that it can be registered again."""
    scan = plan.scan
    for file in files:
        reason = file.problem.code if file.problem is not None else Code.CORRUPT_MANIFEST
        plan.lose(file.path, reason, Span(), count_rows(disk, scan, file, None))
    plan.quarantine += [scan.place.chunk(name) for name in (*scan.chunk_names, *scan.orphan_names, *scan.sidecar_names)]
    plan.quarantine += [os.path.join(scan.place.folder, name) for name in scan.table_ids]
    if scan.has_manifest:
        plan.quarantine.append(scan.place.manifest)
    plan.unrepaired.append(f"{scan.place.series_dir}: no sound chunk tells what the series was; register it again")


def _follow(disk: Disk, plan: SeriesPlan, adoption: Adoption) -> None:
    """Take over what the chunk files tell."""
    scan, settings = plan.scan, adoption.settings
    plan.settings, plan.base, plan.is_rebuilt = settings, adoption.published, True
    plan.chunks = [NamedChunk(_item_with_sidecars(each, settings.schema), each.name) for each in adoption.live]
    plan.set_aside = adoption.unpublished
    plan.gone = [each.head.chunk_id for each in adoption.stray]
    dead = [_retire(each, adoption.dead_by[each.head.chunk_id]) for each in adoption.dead]
    new = [_retire(each, NEXT_COMMIT) for each in (*adoption.empty, *adoption.stray)]
    plan.retired = tables.joined(tables.NO_RETIRED, *dead, *new)
    if scan.has_manifest and scan.manifest is None:
        plan.quarantine.append(scan.place.manifest)
    plan.quarantine += _damaged_tables(scan)
    for file in adoption.unsound:
        _take_out(disk, plan, adoption, file)
    plan.quarantine += [file.path for file in adoption.foreign if os.path.basename(file.path) in scan.named_chunks]
    for choice in adoption.choices:
        _take_choice(plan, choice)
    if adoption.is_by_manifest:
        _add_what_is_missing(plan, adoption)
    else:
        _doubt_the_unpublished(disk, plan, adoption)
        plan.unrepaired += what_may_be_back(adoption, scan.place.series_dir)
        _tell_absences(plan, adoption)


def _tell_absences(plan: SeriesPlan, adoption: Adoption) -> None:
    """A repair of a series without a manifest goes on without the files of commits that are absent."""
    place = plan.scan.place.series_dir
    for each in adoption.absent:
        if each.is_sure:
            plan.unrepaired.append(
                f"{place}: {each} is gone: rows that it replaced or deleted may have come back, and rows that it put "
                f"are lost; do it again"
            )
    unsure = [str(each) for each in adoption.absent if not each.is_sure]
    if unsure:
        more = f" and {len(unsure) - 3:,} more" if len(unsure) > 3 else ""
        plan.doubts.append(
            f"{place}: no file is left of {', '.join(unsure[:3])}{more}, as after a merge or a collection; if chunk "
            f"files were lost as well, rows that they replaced or deleted have come back: compare with where they came "
            f"from"
        )


def _doubt_the_unpublished(disk: Disk, plan: SeriesPlan, adoption: Adoption) -> None:
    """Without a manifest, a commit of which a part is missing or damaged looks like one that was never finished.

    Its files are set aside before the commit, so that none can count after a crash, and then moved where nothing
    removes them. Its rows are reported: they may have been acknowledged.
    """
    scan, place = plan.scan, plan.scan.place
    doubtful = [name for name in adoption.unpublished if sequence_of_file(name) > adoption.published]
    for name in doubtful:
        plan.quarantine.append(place.chunk(name + names.ORPHAN_SUFFIX))
        file = read_chunk_file(disk, place.chunk(name), scan.chunks[name])
        span = adoption.spans.get(name, Span())
        plan.lose(file.path, Code.LEFTOVER, span, count_rows(disk, scan, file, plan.settings))
    if doubtful:
        plan.unrepaired.append(
            f"{place.series_dir}: the manifest was lost, and of the newest commit a part is missing or damaged; if it "
            f"was acknowledged, put its rows again, since those that it replaced or deleted are back (its files are in "
            f"the quarantine)"
        )


def _item_with_sidecars(sound: SoundFile, schema: Schema) -> np.void:
    """The item of a chunk, with the sidecars that its series asks for: those that are missing are made anew."""
    item: np.void = item_of(sound.head)[0]
    if schema.zone_maps:
        item["sidecars"] |= sidecars.ZONE_MAP.bit
    if schema.value_indexes and sound.head.header.rows <= sidecars.MAX_INDEXED_ROWS:
        item["sidecars"] |= sidecars.VALUE_INDEX.bit
    return item


def _retire(sound: SoundFile, sequence: int) -> tables.Table:
    """The entry of a chunk that a commit took out.

    A chunk without rows is the next commit's: it stays until rows change again, and proves that those before counted.
    """
    return retired.chunk_items(item_of(sound.head), 0, sequence)


NEXT_COMMIT = 0
"""Stands for the number of the commit that is planned."""


def _damaged_tables(scan: SeriesScan) -> list[str]:
    damaged = {verdict.path for verdict in scan.verdicts}
    paths = [os.path.join(scan.place.folder, name) for name in scan.table_ids]
    return [path for path in paths if f"{scan.place.series_dir}/{scan.place.within(path)}" in damaged]


def _take_out(disk: Disk, plan: SeriesPlan, adoption: Adoption, file: ChunkFile) -> None:
    """A chunk file without a sound header. Its rows are lost, unless other chunks had taken its place."""
    name = os.path.basename(file.path)
    parsed = names.parse_chunk_file_name(name)
    assert parsed is not None
    plan.quarantine.append(file.path)
    plan.gone.append(parsed.identity)
    if parsed.identity not in adoption.dead_by and name not in plan.scan.named_chunks:
        with suppress(InvalidInput):
            ordinal = adoption.settings.partition.parse_key(parsed.partition_key)
            start, end = adoption.settings.partition.bounds(ordinal, adoption.settings.time_unit)
            assert file.problem is not None
            plan.lose(file.path, file.problem.code, Span(start, end), count_rows(disk, plan.scan, file, plan.settings))


def _take_choice(plan: SeriesPlan, choice: Choice) -> None:
    place, settings = plan.scan.place, plan.settings
    assert settings is not None
    for loser in choice.losers:
        plan.quarantine.append(place.chunk(loser.name))
        plan.gone.append(loser.chunk_id)
        if not is_replaced(loser, choice.winners, unique_ts=settings.schema.unique_ts):
            plan.lose(place.chunk(loser.name), Code.OVERLAP, Span(loser.start_ts, loser.end_ts, loser.rows))
    plan.resolutions.append(resolution_of(choice))


def resolution_of(choice: Choice) -> OverlapResolution:
    """A choice as it is reported."""
    everyone = [f"{names.CHUNKS_FOLDER}/{each.name}" for each in (*choice.winners, *choice.losers)]
    month = choice.winners[0].name.partition(".")[0][:7]
    return OverlapResolution(month, everyone[0], sorted(everyone), choice.reason)


def _add_what_is_missing(plan: SeriesPlan, adoption: Adoption) -> None:
    """Chunks that a manifest or its tables know of, and that have no sound file: what is left of them is looked for."""
    kept = {chunk.chunk_id for chunk in plan.chunks} | {loser.chunk_id for loser in adoption.losers}
    known = kept | adoption.dead_by.keys()
    missing = [chunk for chunk in named_chunks(plan.scan) if chunk.chunk_id not in known]
    plan.chunks = sorted([*plan.chunks, *missing], key=lambda each: (each.span[:2], each.chunk_id))
    for span in plan.scan.lost_tables:
        _lose_from_table(plan, span)


def _lose_from_table(plan: SeriesPlan, table: Span) -> None:
    assert table.start_ts is not None
    assert table.end_ts is not None
    spans = [chunk.span for chunk in plan.chunks if table.start_ts <= int(chunk.item["start_ts"]) <= table.end_ts]
    missing = table.rows - sum(span.rows for span in spans)
    if missing > 0:
        plan.lose(plan.scan.place.folder, Code.MISSING_FILE, table._replace(rows=missing))
