"""The tables of the contest: bars with gaps, scalars of several clusterings, features; the same every time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.data import MINUTE, MONTHS, ROWS_PER_MONTH, SEED, SYMBOLS, make_columns
from bench.peers.base import Int64, Table
from bench.signals import Make, feature, mixed, oscillator, runs, ternary, walk

VALUES: dict[str, Make] = {each.__name__: each for each in (mixed, walk, runs, oscillator, ternary)}
FEATURES = tuple(f"feature_{place:02}" for place in range(20))


@dataclass(frozen=True)
class Size:
    """How much data, and how long each question may take for each contestant."""

    symbols: int
    rows_per_month: int
    seconds: float
    storage_rows: int
    process_rounds: int

    @property
    def text(self) -> str:
        """What a report says of the data."""
        bars = f"{self.symbols} symbols x {len(MONTHS)} UTC months x {self.rows_per_month:,} random minutes"
        return f"{bars}; scalars and 20 features a symbol at the minutes of the first"


SIZES = {
    "small": Size(2, 6_000, 0.04, 100_080, 3),
    "full": Size(SYMBOLS, ROWS_PER_MONTH, 0.4, 10_000_080, 7),
}


class Tables:
    """All tables of one size."""

    def __init__(self, size: Size) -> None:
        self.size = size

    @cached_property
    def bars(self) -> dict[str, Table]:
        """Random minutes of four months of each symbol."""
        rng = np.random.default_rng(SEED)
        return {f"SYM{place}USDT": make_columns(rng, self.size.rows_per_month) for place in range(self.size.symbols)}

    @cached_property
    def values(self) -> dict[str, Table]:
        """Scalars at the minutes of the first symbol, one table a clustering."""
        rng = np.random.default_rng(SEED + 1)
        return {name: {"ts": self.ts, "value": make(rng, self.ts.size)} for name, make in VALUES.items()}

    @cached_property
    def features(self) -> dict[str, Table]:
        """20 features of each symbol at the minutes of the first."""
        rng = np.random.default_rng(SEED + 2)
        return {
            symbol: {"ts": self.ts, **{name: feature(rng, place, self.ts.size) for place, name in enumerate(FEATURES)}}
            for symbol in self.bars
        }

    @property
    def ts(self) -> Int64:
        """The minutes of the first symbol."""
        return next(iter(self.bars.values()))["ts"]

    @property
    def half_month(self) -> dict[str, Table]:
        """The first half of the first month of the first symbol."""
        name, columns = next(iter(self.bars.items()))
        return {name: {field: values[: self.size.rows_per_month // 2] for field, values in columns.items()}}

    def at_rank(self, clustering: str, share: float) -> int:
        """The value that this share of a clustering's values lies below."""
        ascending = self._ascending[clustering]
        return int(ascending[int(share * (ascending.size - 1))])

    @cached_property
    def _ascending(self) -> dict[str, Int64]:
        return {name: np.sort(table["value"]) for name, table in self.values.items()}


def long_bars(rows: int) -> dict[str, Table]:
    """One symbol with many rows: every tenth minute is missing."""
    minutes = np.arange(rows + rows // 9 + 1, dtype=np.int64)
    ts = (minutes[minutes % 10 != 7][:rows]) * MINUTE + np.datetime64("2005-01-01", "ms").astype(np.int64)
    rng = np.random.default_rng(SEED + 3)
    walked = 5_000_000 + rng.integers(-50, 51, rows).cumsum()
    columns = {"ts": ts, "open": walked, "high": walked + 40, "low": walked - 40, "close": walked + 7}
    return {"SYM0USDT": {**columns, "volume": rng.integers(0, 10**9, rows)}}
