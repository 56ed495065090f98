"""Facts in words and numbers for people."""

from __future__ import annotations

from fastk.times import TimeUnit, format_ts

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def time_text(ts: int | None, unit: str) -> str:
    """ISO text in seconds, or finer where the time is finer; nothing for None."""
    if ts is None:
        return ""
    text = format_ts(ts, TimeUnit(unit))
    whole, dot, fraction = text.removesuffix("Z").partition(".")
    return f"{whole}Z" if dot and not fraction.strip("0") else text


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
