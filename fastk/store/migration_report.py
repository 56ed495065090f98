"""What a migration did, or would do: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastk.recovery.reports import LostRows


@dataclass(slots=True)
class SeriesMigration:
    """One series of the source.

    ``rows`` and ``chunks`` are what its manifest names, ``migrated_rows`` what the target holds (after a dry run: would
    hold), each compared with the source after it was written. ``lost`` are the rows of chunks that are damaged.
    ``problem`` says why the series is not in the target at all.
    """

    symbol: str
    category: str
    name: str
    record_type: str = "?"
    chunks: int = 0
    rows: int = 0
    migrated_rows: int = 0
    lost: list[LostRows] = field(default_factory=list)
    problem: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every row is there that the source's manifest names."""
        return not self.lost and self.problem is None


@dataclass(slots=True)
class MigrationReport:
    """What became of each series. ``is_new`` says whether this call made the target, or found it as it ought to be.

    ``unnamed_files`` are chunk files below the source that no manifest names: they hold nothing that was committed.
    """

    source: str
    target: str
    dry_run: bool
    is_new: bool = False
    series: list[SeriesMigration] = field(default_factory=list)
    unnamed_files: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the target has every row that the source names."""
        return all(each.is_complete for each in self.series)

    @property
    def rows(self) -> int:
        """Rows in the target."""
        return sum(each.migrated_rows for each in self.series)

    @property
    def problems(self) -> list[str]:
        """One line for each series that is not in the target, and each damaged chunk."""
        found = []
        for each in self.series:
            key = f"{each.symbol}/{each.category}/{each.name}"
            found += [f"{key}: {each.problem}"] if each.problem else []
            found += [f"{key}: {lost.rows:,} rows of {lost.path} are lost: {lost.reason}" for lost in each.lost]
        return found
