"""When chunks of a partition are worth merging. Pure.

Two rules. *Advice* is the original's: thresholds on the deltas of a partition. *Tiers* keep a series that is written
in small puts readable by itself, as in log-structured merging (P. O'Neil et al., "The Log-Structured Merge-Tree",
1996): the powers of ``tier_fanout`` divide chunks by their rows, and a put takes along its neighbours of no higher tier
than its own. So one chunk of each tier stays, log(n) to base ``tier_fanout``, and a row is rewritten about half of
``tier_fanout`` times a tier. Each chunk costs readers some microseconds, and rewriting a few rows costs a put little
beside its syncs: a low base would spare the wrong side. The put that begins a new partition behind all others merges
the one before it, which will hardly change any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """Thresholds from which on merging a partition is advised, and what puts do by themselves.

    ``auto_merge``: a put merges the partitions for which that is advised, in its own commit (off by default).
    ``tier_fanout``: how many times more rows a chunk of the next tier has, of each of which ``put`` lets one stand; 0
    turns that off, and the merging of a partition when the next one begins. ``tier_bytes``: the largest chunk that
    either makes. The ``put_*_chunk`` methods write one delta a put.
    """

    delta_chunk_threshold: int = 4
    delta_total_bytes_threshold: int = 4 * MEBIBYTE
    append_count_threshold: int = 4
    auto_merge: bool = False
    tier_fanout: int = 16
    tier_bytes: int = 4 * MEBIBYTE

    def __post_init__(self) -> None:
        for name in ("delta_chunk_threshold", "delta_total_bytes_threshold", "append_count_threshold", "tier_bytes"):
            _check_count(name, getattr(self, name), 1)
        _check_count("tier_fanout", self.tier_fanout, 0)
        if not isinstance(self.auto_merge, bool):
            raise InvalidInput(f"auto_merge must be True or False, not {self.auto_merge!r}")
        if self.tier_fanout == 1:
            raise InvalidInput("tier_fanout=1 would rewrite everything at each put: give 2 or more, or 0 for never")

    def decide(
        self, month_key: str, chunks: int, delta_rows: list[int], appends: int, row_bytes: int
    ) -> CompactionDecision:
        """The advice for one partition: how many chunks it has, the rows of each delta, and appends since a merge."""
        delta_bytes = sum(delta_rows) * row_bytes
        reasons = [
            f"{what} {count:,} reached the threshold {threshold:,}"
            for what, count, threshold in (
                ("delta chunk count", len(delta_rows), self.delta_chunk_threshold),
                ("delta bytes", delta_bytes, self.delta_total_bytes_threshold),
                ("append count", appends, self.append_count_threshold),
            )
            if count >= threshold and delta_rows
        ]
        return CompactionDecision(
            month_key, chunks, len(delta_rows), delta_bytes, appends, should_merge=bool(reasons), reasons=reasons
        )

    def neighbours_to_take(self, rows: int, neighbours: Iterable[int], row_bytes: int) -> int:
        """How many neighbours, nearest first and given by their rows, a new chunk of so many rows is merged with."""
        if not self.tier_fanout:
            return 0
        taken, total = 0, rows
        for size in neighbours:
            if size >= self._end_of_tier(total) or (total + size) * row_bytes > self.tier_bytes:
                break
            taken, total = taken + 1, total + size
        return taken

    def _end_of_tier(self, rows: int) -> int:
        """The least power of the fanout above a number of rows."""
        end = 1
        while end <= rows:
            end *= self.tier_fanout
        return end

    def seals(self, rows: int, row_bytes: int) -> bool:
        """Whether a partition of so many rows is merged when a later one begins."""
        return bool(self.tier_fanout) and rows * row_bytes <= self.tier_bytes


def checked_policy(policy: object) -> CompactionPolicy | None:
    """A policy as it was given, or None; InvalidInput if it is something else."""
    if policy is not None and not isinstance(policy, CompactionPolicy):
        raise InvalidInput(f"policy must be a fastk.CompactionPolicy, not {policy!r}")
    return policy


def _check_count(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise InvalidInput(f"{name} must be an int of {least} or more, not {value!r}")


@dataclass(frozen=True, slots=True)
class CompactionDecision:
    """Whether merging a partition is advised, and why."""

    month_key: str
    total_chunks: int
    delta_chunk_count: int
    delta_total_bytes: int
    append_count: int
    should_merge: bool
    reasons: list[str]
