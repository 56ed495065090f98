"""What an inspection finds: plain values. Times are ints in the unit of their series, sizes are in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastk.query.pruning import ZonePruning
    from fastk.recovery.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes by category. ``tables`` are the manifest and what it refers to; ``unnamed`` is all that no current state
    names: retired files that wait for the end of the grace period, left-overs, and files of others.
    """

    chunks: int = 0
    zone_maps: int = 0
    value_indexes: int = 0
    tables: int = 0
    unnamed: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.chunks + self.zone_maps + self.value_indexes + self.tables + self.unnamed

    def __add__(self, other: Sizes) -> Sizes:
        return Sizes(
            self.chunks + other.chunks,
            self.zone_maps + other.zone_maps,
            self.value_indexes + other.value_indexes,
            self.tables + other.tables,
            self.unnamed + other.unnamed,
        )


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """One partition that has rows. ``expected`` is how many the timeframe asks for between the first and the last row
    of the series; None without a timeframe. Counted by chunk tables: rows beside the grid count as rows.
    """

    key: str
    rows: int
    expected: int | None
    chunks: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Expected times without rows: ``count`` of them, from ``start_ts`` to ``end_ts``, both missing."""

    start_ts: int
    end_ts: int
    count: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is missing against the timeframe. ``largest`` are the longest holes, longest first."""

    expected: int
    present: int
    unexpected: int
    holes: int
    largest: tuple[Hole, ...] = ()

    @property
    def missing(self) -> int:
        """How many expected times have no row."""
        return self.expected - self.present


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """One series. ``states`` counts its chunks by state; ``sidecars`` how many chunks should have a zone map and how
    many a value index. ``gaps`` is None where nobody asked, or nothing says what to expect. ``problem`` says why
    numbers are missing; ``damage`` is what the look at its files found, and ``notes`` counts what is no damage.
    """

    symbol: str
    category: str
    name: str
    record_type: str = "?"
    time_unit: str = "ms"
    timeframe_ms: int = 0
    partition_unit: str = "month"
    rows: int = 0
    first_ts: int | None = None
    last_ts: int | None = None
    states: dict[str, int] = field(default_factory=dict)
    generation: int = 0
    sidecars: dict[str, int] = field(default_factory=dict)
    sizes: Sizes = Sizes()
    partitions: tuple[PartitionFacts, ...] = ()
    expected: int | None = None
    gaps: Gaps | None = None
    pruning: tuple[ZonePruning, ...] = ()
    damage: tuple[Verdict, ...] = ()
    notes: int = 0
    problem: str | None = None

    @property
    def key(self) -> str:
        """Its three names, as listings show them."""
        return f"{self.symbol}/{self.category}/{self.name}"

    @property
    def chunks(self) -> int:
        """How many chunks it has."""
        return sum(self.states.values())

    @property
    def present(self) -> float | None:
        """Which part of the expected rows there is, 1 at most; None without a timeframe."""
        return min(1.0, self.rows / self.expected) if self.expected else None

    @property
    def is_sound(self) -> bool:
        """Whether it could be read and nothing is damaged."""
        return self.problem is None and not self.damage


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A store, or those of its series that were asked for (``selected`` of ``series_count``).

    ``damage`` is about the root itself. ``scrubbed`` says that every checksum was compared, not only those of headers
    and tables. ``dropped_bytes`` and ``quarantine_bytes`` lie beside the series.
    """

    root: str
    format_version: int
    series_count: int
    series: tuple[SeriesFacts, ...]
    scrubbed: bool
    damage: tuple[Verdict, ...] = ()
    dropped_bytes: int = 0
    quarantine_bytes: int = 0
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows of all series here."""
        return sum(each.rows for each in self.series)

    @property
    def chunks(self) -> int:
        """Chunks of all series here."""
        return sum(each.chunks for each in self.series)

    @property
    def sizes(self) -> Sizes:
        """Bytes of all series here."""
        return sum((each.sizes for each in self.series), Sizes())

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All damage, of the root and of series."""
        return (*self.damage, *(verdict for each in self.series for verdict in each.damage))

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged and every series could be read."""
        return not self.damage and all(each.is_sound for each in self.series)
