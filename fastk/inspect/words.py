"""Facts in words and numbers for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk.times import TimeUnit, format_ts

if TYPE_CHECKING:
    from fastk.inspect.facts import SeriesFacts, StoreFacts

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def time_text(ts: int | None, unit: str) -> str:
    """ISO text, as fine as the time is but not coarser than minutes; nothing for None."""
    if ts is None:
        return ""
    whole, dot, fraction = format_ts(ts, TimeUnit(unit)).removesuffix("Z").partition(".")
    if not dot:  # beyond the calendar: a plain number
        return whole
    if fraction.strip("0"):
        return f"{whole}.{fraction.rstrip('0')}Z"
    return f"{whole.removesuffix(':00')}Z"


def bytes_text(size: int) -> str:
    """Three digits and a unit, by powers of 1000."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if not unit or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {_UNITS[unit]}"


def part_text(part: float | None) -> str:
    """A part as a percentage that says 0% and 100% only where it is just that."""
    if part is None:
        return ""
    if part in (0, 1):
        return f"{part:.0%}"
    return f"{min(max(part, 0.001), 0.999):.1%}"


def count_text(count: int, one: str, many: str | None = None) -> str:
    """A number and its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def health_words(series: SeriesFacts) -> str:
    """A word, or how much is damaged."""
    if series.damage:
        return f"{len(series.damage):,} damaged"
    return "unreadable" if series.problem else "sound"


def size_rows(facts: StoreFacts) -> list[tuple[str, int]]:
    """What takes how many bytes, only what takes any."""
    sizes = facts.sizes
    every = [
        ("chunks", sizes.chunks),
        ("zone maps", sizes.zone_maps),
        ("value indexes", sizes.value_indexes),
        ("manifests and tables", sizes.tables),
        ("retired and left over", sizes.unnamed),
        ("dropped series", facts.dropped_bytes),
        ("quarantine", facts.quarantine_bytes),
    ]
    return [(what, size) for what, size in every if size]
