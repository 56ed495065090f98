"""Verdicts: what is wrong with a file, where, and which rows are at risk."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """``damage`` makes a validation fail; a ``note`` is said and changes no answer of the store."""

    DAMAGE = "damage"
    NOTE = "note"


class Code(StrEnum):
    """What may be wrong. Those of sidecars and leftovers are notes: no answer depends on these files."""

    TORN_TAIL = "torn_tail"
    EXCESS_TAIL = "excess_tail"
    CORRUPT_HEADER = "corrupt_header"
    CORRUPT_BLOCK = "corrupt_block"
    MISSING_FILE = "missing_file"
    FOREIGN_FILE = "foreign_file"
    SYMBOLIC_LINK = "symbolic_link"
    NEWER_FORMAT = "newer_format"
    UNREADABLE = "unreadable"
    UNREADABLE_BLOCK = "unreadable_block"
    INACCESSIBLE = "inaccessible"
    CORRUPT_MANIFEST = "corrupt_manifest"
    MISSING_MANIFEST = "missing_manifest"
    STALE_MANIFEST = "stale_manifest"
    CORRUPT_TABLE = "corrupt_table"
    METADATA_MISMATCH = "metadata_mismatch"
    OVERLAP = "overlap"
    MISSING_STORE_FILE = "missing_store_file"
    CORRUPT_STORE_FILE = "corrupt_store_file"
    STALE_SIDECAR = "stale_sidecar"
    DAMAGED_SIDECAR = "damaged_sidecar"
    MISSING_SIDECAR = "missing_sidecar"
    ORPHAN = "orphan"
    RETIRED = "retired"
    LEFTOVER = "leftover"
    UNNAMED_COMMIT = "unnamed_commit"
    UNREGISTERED = "unregistered"
    UNKNOWN_FILE = "unknown_file"

    @property
    def severity(self) -> Severity:
        """How bad it is where nothing else is said."""
        return Severity.NOTE if self in _NOTES else Severity.DAMAGE


_NOTES = frozenset(
    {
        Code.STALE_SIDECAR,
        Code.DAMAGED_SIDECAR,
        Code.MISSING_SIDECAR,
        Code.ORPHAN,
        Code.RETIRED,
        Code.LEFTOVER,
        Code.UNNAMED_COMMIT,
        Code.UNREGISTERED,
        Code.UNKNOWN_FILE,
    }
)


class Span(NamedTuple):
    """Rows at risk: first and last ts in the series' unit (None if unknown), and how many (0 if unknown)."""

    start_ts: int | None = None
    end_ts: int | None = None
    rows: int = 0


NOWHERE = Span()


class Problem(NamedTuple):
    """What is wrong with one file; ``offset`` is the first bad byte as far as it is known."""

    code: Code
    detail: str
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One finding. ``path`` is below the root, ``offset`` the first bad byte in bytes, where one is known.

    ``series`` is ``symbol/category/name``. ``start_ts`` and ``end_ts`` bound the rows at risk, in the unit of the
    series; ``rows_at_risk`` counts them. Both are None and 0 where no rows are at risk, or nobody knows which.
    """

    code: Code
    severity: Severity
    path: str
    offset: int | None
    detail: str
    series: str | None
    start_ts: int | None
    end_ts: int | None
    rows_at_risk: int

    def __str__(self) -> str:
        place = self.path if self.offset is None else f"{self.path}, byte {self.offset:,}"
        risk = ""
        if self.rows_at_risk:
            risk = f" ({self.rows_at_risk:,} rows at risk, ts {self.start_ts} to {self.end_ts})"
        return f"{self.code}: {place}: {self.detail}{risk}"
