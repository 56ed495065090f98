"""Validation and scrubbing: every series of a store looked at, nothing changed, damage contained."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastk.format import sidecars
from fastk.recovery.adoption import adopt
from fastk.recovery.chunk_file import read_chunk_file
from fastk.recovery.examine import Examination, Examiner, named_chunks
from fastk.recovery.overlaps import choose, groups_of
from fastk.recovery.plan import resolution_of, unnamed_commit, why_stale
from fastk.recovery.reports import ManifestValidation, ScrubSeriesReport
from fastk.recovery.scan import settled, stretches_of
from fastk.recovery.strays import strays_of
from fastk.recovery.survey import StoreFile, Survey, counter, survey
from fastk.recovery.verdicts import Code, Problem, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from fastk.format.chunk import ChunkHeader
    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey
    from fastk.recovery.overlaps import Choice
    from fastk.recovery.places import Place
    from fastk.recovery.scan import SeriesScan
    from fastk.recovery.strays import Stray
    from fastk.recovery.verdicts import Verdict

    Count = Callable[[int], None]

_CHECKSUMS = (
    Code.TORN_TAIL,
    Code.EXCESS_TAIL,
    Code.CORRUPT_HEADER,
    Code.CORRUPT_BLOCK,
    Code.FOREIGN_FILE,
    Code.CORRUPT_TABLE,
    Code.CORRUPT_MANIFEST,
    Code.UNREADABLE,
    Code.UNREADABLE_BLOCK,
)
_SIDECAR_ISSUES = (Code.STALE_SIDECAR, Code.DAMAGED_SIDECAR, Code.FOREIGN_FILE, Code.NEWER_FORMAT, Code.UNREADABLE)
_SIDECAR_ENDS = tuple(kind.suffix for kind in sidecars.KINDS)


def _uncounted(size: int) -> None:
    """Nobody counts."""


def validate(
    disk: Disk, root: str, *, verbose: bool = False, keys: Container[SeriesKey] | None = None
) -> list[ManifestValidation]:
    """Validate every series, or those of some keys, by manifests, tables, headers and sizes, without reading columns.

    Where there is something to say of the root itself, the first entry does (``series_dir`` is ``.``). ``verbose`` adds
    a note for each retired file, orphan and file of others. Raises only for what is no store. Cost: a map and a header
    a file, about 50 us.
    """
    found = survey(disk, root)
    if keys is not None:
        found.places = [place for place in found.places if place.key in keys]
    return [report.validation for report in _reports(disk, found, verbose, thorough=False)]


def scrub(
    disk: Disk, root: str, *, verbose: bool = False, progress: Callable[[int, int], None] | None = None
) -> list[ScrubSeriesReport]:
    """Validate, and compare every block of every column and every sidecar with its checksum.

    ``progress`` is told the bytes behind it and the bytes in all. Cost: one pass over all files, at the speed of the
    disk or of memory.
    """
    found = survey(disk, root)
    return list(_reports(disk, found, verbose, thorough=True, count=counter(disk, found, progress)))


def _reports(
    disk: Disk, found: Survey, verbose: bool, *, thorough: bool, count: Count = _uncounted
) -> Iterator[ScrubSeriesReport]:
    about_root = [each for each in found.verdicts if verbose or each.severity is Severity.DAMAGE]
    if about_root:
        exists = found.store_file is not StoreFile.MISSING
        validation = ManifestValidation(".", exists, verdicts=about_root)
        yield ScrubSeriesReport(validation, 0, 0, diagnostics=list(map(str, about_root)))
    for place in found.places:
        yield look_at(disk, place, verbose=verbose, thorough=thorough, count=count)


def look_at(
    disk: Disk, place: Place, *, verbose: bool = False, thorough: bool = False, count: Count = _uncounted
) -> ScrubSeriesReport:
    """One series. Whatever goes wrong stays with it.

    ``thorough`` compares every checksum, as a scrub does; ``count`` is told the bytes of each file behind it.
    """

    def look(scan: SeriesScan) -> ScrubSeriesReport:
        return _report_on(disk, scan, verbose, thorough, count)

    try:
        return settled(disk, place, look, _is_settled)
    except Exception as error:
        verdict = place.say(Code.UNREADABLE, place.folder, f"it cannot be looked at: {type(error).__name__}: {error}")
        return ScrubSeriesReport(
            ManifestValidation(place.series_dir, True, verdicts=[verdict]), 0, 0, [], [str(verdict)]
        )


def _is_settled(report: ScrubSeriesReport) -> bool:
    """Whether no writer at work could make this better. One may be between its chunks and its manifest."""
    return report.is_clean and all(each.code is not Code.UNNAMED_COMMIT for each in report.validation.verdicts)


def _report_on(disk: Disk, scan: SeriesScan, verbose: bool, thorough: bool, count: Count) -> ScrubSeriesReport:
    begin = time.perf_counter()
    work = _SeriesWork(disk, scan, thorough, count)
    validation = _validation(scan, work, verbose)
    return ScrubSeriesReport(
        validation,
        work.found.chunks,
        work.found.sidecars,
        [resolution_of(choice) for choice in work.choices],
        list(map(str, validation.verdicts)),
        work.found.bytes,
        time.perf_counter() - begin,
    )


class _SeriesWork:
    """What there is to say of one series."""

    def __init__(self, disk: Disk, scan: SeriesScan, thorough: bool, count: Count) -> None:
        self.found = Examination()
        self.choices: list[Choice] = []
        self.verdicts: list[Verdict] = [_with_rows(disk, scan, each) for each in scan.verdicts]
        self.strays: list[Stray] = []
        if scan.is_unreadable:
            return
        if scan.obstacle is not None:
            self.verdicts.append(scan.place.verdict(scan.obstacle, scan.place.temporary))
        if scan.manifest is not None:
            examiner = Examiner(disk, scan, scan.manifest.settings, thorough=thorough, count=count)
            self.found = examiner.examine(named_chunks(scan))
            self.choices = choices_of(scan)
            self.verdicts += [*_about_age(disk, scan), *self.found.verdicts]
        elif not scan.verdicts:
            words = (
                "no series is registered here, and there are no chunks: nothing was ever written, or all was removed"
            )
            self.verdicts.append(scan.place.say(Code.UNREGISTERED, scan.place.folder, words))
        self.strays = strays_of(disk, scan)


def _with_rows(disk: Disk, scan: SeriesScan, verdict: Verdict) -> Verdict:
    """A lost manifest puts all rows at risk that its chunks hold."""
    if verdict.code not in (Code.CORRUPT_MANIFEST, Code.MISSING_MANIFEST):
        return verdict
    files = [read_chunk_file(disk, scan.place.chunk(name), scan.chunks[name]) for name in scan.chunk_names]
    adoption = adopt(files, scan.place.key)
    if adoption is None or not adoption.live:
        return verdict
    span = _span_of([each.head.header for each in adoption.live])
    return scan.place.say(verdict.code, scan.place.manifest, verdict.detail, span)


def _about_age(disk: Disk, scan: SeriesScan) -> list[Verdict]:
    """Whether the manifest is an old copy, or may be one."""
    assert scan.manifest is not None
    path, sequence = scan.place.manifest, scan.manifest.sequence
    why = why_stale(disk, scan)
    if why is not None:
        return [scan.place.say(Code.STALE_MANIFEST, path, f"it is of commit {sequence}, but {why}: it is an old copy")]
    parts = unnamed_commit(disk, scan)
    if not parts:
        return []
    words = (
        f"it is of commit {sequence}, and commit {parts[0].head.sequence} lies whole beside it: its writer is at it, "
        f"or was killed before it counted, or this is a copy of the manifest from before it. The next write sets its "
        f"files aside"
    )
    return [scan.place.say(Code.UNNAMED_COMMIT, path, words, _span_of([each.head.header for each in parts]))]


def _span_of(headers: list[ChunkHeader]) -> Span:
    filled = [each for each in headers if each.rows]
    if not filled:
        return Span()
    rows = sum(each.rows for each in filled)
    return Span(min(each.start_ts for each in filled), max(each.end_ts for each in filled), rows)


def choices_of(scan: SeriesScan) -> list[Choice]:
    """Which of the named chunks count, where they interleave."""
    if scan.manifest is None or not any(each.code is Code.OVERLAP for each in scan.verdicts):
        return []
    unique_ts = scan.manifest.settings.schema.unique_ts
    return [choose(group, unique_ts=unique_ts) for group in groups_of(stretches_of(scan), unique_ts=unique_ts)]


# From verdicts to the original's lists


def _validation(scan: SeriesScan, work: _SeriesWork, verbose: bool) -> ManifestValidation:
    place, verdicts, strays = scan.place, work.verdicts, work.strays
    notes = [place.verdict(Problem(each.code, each.reason), each.path) for each in strays]
    orphans = [each for each in strays if each.code in (Code.ORPHAN, Code.LEFTOVER)]
    of_sidecars = [each for each in verdicts if each.path.endswith(_SIDECAR_ENDS)]
    others = [each for each in verdicts if not each.path.endswith(_SIDECAR_ENDS)]
    return ManifestValidation(
        place.series_dir,
        scan.has_manifest,
        _paths(scan, others, (Code.MISSING_FILE,)),
        _paths(scan, of_sidecars, (Code.MISSING_SIDECAR,)),
        _paths(scan, others, _CHECKSUMS),
        _paths(scan, others, (Code.METADATA_MISMATCH,)),
        _paths(scan, of_sidecars, _SIDECAR_ISSUES),
        [place.within(each.path) for each in orphans if each.kind == "chunk"],
        [place.within(each.path) for each in orphans if each.kind == "sidecar"],
        [[each.name for each in (*choice.winners, *choice.losers)] for choice in work.choices],
        verdicts + (notes if verbose else []),
        scan.items.size,
        int(scan.items["rows"].sum()),
        sum(each.code is Code.RETIRED for each in strays),
        len(orphans),
    )


def _paths(scan: SeriesScan, verdicts: list[Verdict], codes: tuple[Code, ...]) -> list[str]:
    """The files below the series' folder that verdicts of some codes are about, each once."""
    prefix = f"{scan.place.series_dir}/"
    return list(dict.fromkeys(each.path.removeprefix(prefix) for each in verdicts if each.code in codes))
