"""Orphans, overlaps, and the health of a store at a glance. Nothing is changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastk.recovery.adoption import adopt
from fastk.recovery.chunk_file import read_chunk_file
from fastk.recovery.plan import resolution_of
from fastk.recovery.reports import OrphanArtifact, SeriesOverlapExplanation, StoreHealthSummary
from fastk.recovery.scan import scan_series
from fastk.recovery.strays import strays_of
from fastk.recovery.survey import survey
from fastk.recovery.validate import choices_of, validate
from fastk.recovery.verdicts import Code

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey
    from fastk.recovery.overlaps import Choice
    from fastk.recovery.reports import ManifestValidation
    from fastk.recovery.scan import SeriesScan

_UNNAMED = (Code.ORPHAN, Code.LEFTOVER)


def list_orphans(disk: Disk, root: str) -> list[OrphanArtifact]:
    """Every file of FastK's own in the folders of series that nothing names: what killed writers left.

    Retired files are none: they wait for the end of the grace period. Cost: a header for each orphaned chunk.
    """
    found = []
    for scan in _scans(disk, root):
        place = scan.place
        orphans = [stray for stray in strays_of(disk, scan) if stray.code in _UNNAMED]
        found += [OrphanArtifact(place.series_dir, place.within(each.path), each.kind, each.reason) for each in orphans]
    return found


def _scans(disk: Disk, root: str) -> Iterator[SeriesScan]:
    return (scan_series(disk, place) for place in survey(disk, root).places)


def explain_overlaps(disk: Disk, root: str) -> list[SeriesOverlapExplanation]:
    """Chunks that claim the same time, and which of them a repair keeps; none in a sound store.

    Where the manifest is damaged, this looks at the chunks that a rebuild would take. Cost: a header for each of those.
    """
    return [
        SeriesOverlapExplanation(scan.place.series_dir, resolution_of(choice))
        for scan in _scans(disk, root)
        for choice in _choices(disk, scan)
    ]


def _choices(disk: Disk, scan: SeriesScan) -> list[Choice]:
    if scan.manifest is not None:
        return choices_of(scan)
    files = [read_chunk_file(disk, scan.place.chunk(name), scan.chunks[name]) for name in scan.chunk_names]
    adoption = adopt(files, scan.place.key)
    return [] if adoption is None else adoption.choices


def health(disk: Disk, root: str, keys: Container[SeriesKey] | None = None) -> StoreHealthSummary:
    """Count sound and damaged series, orphans and overlaps; of some series only, if ``keys`` names them.

    Cost: that of a validation.
    """
    return summary(validate(disk, root, keys=keys))


def summary(found: list[ManifestValidation]) -> StoreHealthSummary:
    """A validation in numbers."""
    series = [each for each in found if each.series_dir != "." and (each.manifest_exists or not each.is_clean)]
    return StoreHealthSummary(
        series_count=len(series),
        clean_series_count=sum(each.is_clean for each in series),
        issue_series_count=sum(not each.is_clean for each in series),
        orphan_count=sum(each.orphan_files for each in series),
        overlap_group_count=sum(len(each.overlap_groups) for each in series),
        pending_recovery=not all(each.is_clean for each in found),
        platform_fsync_guarantee=fsync_guarantee(sys.platform),
    )


def fsync_guarantee(platform: str) -> str:
    """What a sync promises on a platform, as far as the drive keeps its word."""
    if platform == "darwin":
        return "F_FULLFSYNC: files and folders, through the drive's cache"
    if platform == "win32":
        return "files only: folders cannot be synced"
    return "fsync: files and folders"
