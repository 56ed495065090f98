"""What an import says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ImportReport:
    """An import of files into one series; with ``dry_run`` nothing was written.

    ``rows`` is what the files hold, ``duplicates`` of them came again under their key and were passed over.
    ``accepted`` were new, ``identical`` stored just so before, ``replaced`` put in the place of others; ``resumed`` are
    rows that an import which was interrupted had stored. ``first`` and ``last`` are times in ISO 8601. ``gaps`` are
    longer steps than the timeframe, at which ``missing`` rows would stand (0 without a timeframe). ``problems`` is what
    a dry run found to be wrong, the first ten.
    """

    series: str
    files: list[str]
    dry_run: bool
    rows: int = 0
    first: str | None = None
    last: str | None = None
    out_of_order: int = 0
    duplicates: int = 0
    gaps: int = 0
    missing: int = 0
    longest_gap: list[str] | None = None
    record_type: str = ""
    scales: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    identical: int = 0
    replaced: int = 0
    resumed: int = 0
    commits: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with the files."""
        return not self.problems
