"""What mutations return: plain counts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PutResult:
    """What became of the rows given: the first four counts sum to them.

    ``rejected`` is 0 in every result: a put that may not be raises :class:`fastk.Conflict` as a whole. ``deleted`` are
    stored rows that were taken out without another of their key. ``chunks`` files were written, and ``sequence`` is the
    series' commit number after it; within a batch both tell the state before the batch's commit.
    """

    accepted: int
    identical: int
    replaced: int
    rejected: int
    chunks: int
    sequence: int
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class MergeResult:
    """``merged`` chunks became ``chunks``; 0 and 0 where there was nothing to do. ``sequence``: the commit number."""

    merged: int
    chunks: int
    sequence: int


@dataclass(frozen=True, slots=True)
class GcReport:
    """What was removed, or with ``dry_run`` would be.

    ``retired_files`` wait for the end of the grace period. ``problems`` are what could not be looked at.
    """

    dry_run: bool
    removed_files: int
    removed_bytes: int
    retired_files: int
    removed_paths: list[str]
    problems: list[str] = field(default_factory=list)
