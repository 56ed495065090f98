"""What recovery reports: the original's fields in its order, then FastK's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastk.recovery.verdicts import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.recovery.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class ManifestValidation:
    """One series validated. The lists hold paths below ``series_dir``, which is ``.`` for the root's own files.

    ``verdicts`` say more of the same: all damage, and the notes. ``retired_files`` and ``orphan_files`` count files
    that nothing names any more; notes about these are among the verdicts of a verbose validation only.
    """

    series_dir: str
    manifest_exists: bool
    missing_chunks: list[str] = field(default_factory=list)
    missing_sidecars: list[str] = field(default_factory=list)
    checksum_mismatches: list[str] = field(default_factory=list)
    chunk_metadata_mismatches: list[str] = field(default_factory=list)
    sidecar_consistency_issues: list[str] = field(default_factory=list)
    untracked_chunks: list[str] = field(default_factory=list)
    untracked_sidecars: list[str] = field(default_factory=list)
    overlap_groups: list[list[str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    chunk_count: int = 0
    record_count: int = 0
    retired_files: int = 0
    orphan_files: int = 0

    @property
    def damage(self) -> list[Verdict]:
        """The verdicts that make a validation fail."""
        return [verdict for verdict in self.verdicts if verdict.severity is Severity.DAMAGE]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage


@dataclass(frozen=True, slots=True)
class OrphanArtifact:
    """A file of FastK's own that no committed state names. ``kind`` is chunk, sidecar, table or temporary."""

    series_dir: str
    relative_path: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class OverlapResolution:
    """Chunks that claim the same time, and the one that counts."""

    month_key: str
    winner_relative_path: str
    participants: list[str]
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesOverlapExplanation:
    """An overlap of one series."""

    series_dir: str
    resolution: OverlapResolution


@dataclass(frozen=True, slots=True)
class ScrubSeriesReport:
    """One series with every checksum compared. ``diagnostics`` are the verdicts in words; times are in seconds."""

    validation: ManifestValidation
    checked_chunk_count: int
    checked_sidecar_count: int
    overlap_resolutions: list[OverlapResolution] = field(default_factory=list)
    diagnostics: list[str] = field(default_factory=list)
    checked_bytes: int = 0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is damaged."""
        return self.validation.is_clean


@dataclass(frozen=True, slots=True)
class LostRows:
    """Rows that a repair could not save: their first and last ts, in the unit of the series, and how many.

    What nothing tells is None. ``at_most`` says that ``rows`` is no count but a bound, by the size of the file.
    """

    series: str
    start_ts: int | None
    end_ts: int | None
    rows: int | None
    path: str
    reason: str
    at_most: bool = False


def how_many(lost: Sequence[LostRows]) -> str:
    """The sum of lost rows, in words."""
    known = [each.rows for each in lost if each.rows is not None]
    total = f"up to {sum(known):,} rows" if any(each.at_most for each in lost) else f"{sum(known):,} rows"
    if len(known) == len(lost):
        return total
    return f"{total}, and more that nobody can count," if known else "rows that nobody can count"


@dataclass(slots=True)
class RecoveryReport:
    """What a repair did, or (``dry_run``) would do. Paths are below the root.

    ``quarantined_paths`` are files that were moved to ``.fastk.quarantine/``, ``orphaned_paths`` those of unfinished
    commits that got a suffix. ``salvaged_chunk_paths`` are damaged chunks whose sound rows live on in new ones.
    ``unrepaired`` says what is left as it is, and why; ``doubts`` what files cannot tell.
    """

    removed_temp_files: int = 0
    rebuilt_manifests: int = 0
    adopted_chunks: int = 0
    dry_run: bool = False
    removed_temp_paths: list[str] = field(default_factory=list)
    rebuilt_manifest_paths: list[str] = field(default_factory=list)
    adopted_chunk_paths: list[str] = field(default_factory=list)
    overlap_resolutions: list[OverlapResolution] = field(default_factory=list)
    quarantined_paths: list[str] = field(default_factory=list)
    orphaned_paths: list[str] = field(default_factory=list)
    salvaged_chunk_paths: list[str] = field(default_factory=list)
    salvaged_rows: int = 0
    lost_rows: list[LostRows] = field(default_factory=list)
    rebuilt_sidecar_paths: list[str] = field(default_factory=list)
    restored_store_file: bool = False
    unrepaired: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def changes_nothing(self) -> bool:
        """Whether there was nothing to do."""
        return self == RecoveryReport(dry_run=self.dry_run, unrepaired=self.unrepaired)


@dataclass(frozen=True, slots=True)
class StoreHealthSummary:
    """The store at a glance, by a validation of everything but the columns.

    ``pending_recovery`` says that a repair has something to mend.
    """

    series_count: int
    clean_series_count: int
    issue_series_count: int
    orphan_count: int
    overlap_group_count: int
    pending_recovery: bool
    platform_fsync_guarantee: str
