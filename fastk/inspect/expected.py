"""How many rows a timeframe asks for between two times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastk.schema.settings import SeriesSettings


@dataclass(frozen=True, slots=True)
class Grid:
    """The times from ``first`` to ``last``, ``step`` apart; python's integers, so that nothing overflows."""

    first: int
    last: int
    step: int

    def count(self, low: int, high: int) -> int:
        """How many of them lie between two times, both included."""
        low, high = max(low, self.first), min(high, self.last)
        if low > high:
            return 0
        return (high - self.first) // self.step - (low - self.first - 1) // self.step

    @property
    def size(self) -> int:
        """How many there are."""
        return self.count(self.first, self.last)


def grid_of(settings: SeriesSettings, span: tuple[int, int] | None) -> Grid | None:
    """The grid of a series from its first row on; None without rows, or where nothing says how far apart they are."""
    step = settings.timeframe_ms * (settings.time_unit.per_second // 1000)
    return Grid(*span, step) if span and step else None
