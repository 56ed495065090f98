"""The bars that the demo stores: what they are, what is found out about them, and the default ones."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import InvalidInput, find_scale

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")
TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
MAX_DECIMALS = 15
EXACT = 2.0**53  # below this, every integer is a float64 as well
TIME_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


@dataclass(frozen=True)
class Bars:
    """The bars of one symbol in natural units, ascending in time, and how they fit into integers."""

    symbol: str
    ts: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    timeframe_ms: int
    price_scale: int
    volume_scale: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def timeframe(self) -> str:
        """The usual short name: 1m, 4h, 1d."""
        unit = next(name for name, length in TIME_UNITS.items() if self.timeframe_ms % length == 0)
        return f"{self.timeframe_ms // TIME_UNITS[unit]}{unit}"

    @property
    def gap_count(self) -> int:
        """How many times the next bar is later than one timeframe after its predecessor."""
        return int(np.count_nonzero(np.diff(self.ts) > self.timeframe_ms))

    def rows(self) -> dict[str, NDArray[Any]]:
        """The columns in the form that a put takes, in natural units."""
        return {"ts": self.ts, **self.columns}


def make_bars(
    symbol: str, ts: NDArray[np.int64], columns: Mapping[str, NDArray[Any]], notes: Sequence[str] = ()
) -> Bars:
    """Checks the times; finds the timeframe and the scales, one for all prices and one for volume."""
    check_times(ts)
    prices, price_scale, price_notes = fit("prices", {name: columns[name] for name in PRICES})
    volume, volume_scale, volume_notes = fit("volumes", {"volume": columns["volume"]})
    every_note = (*notes, *price_notes, *volume_notes)
    return Bars(symbol, ts, {**prices, **volume}, common_step(ts), price_scale, volume_scale, every_note)


def fit(what: str, columns: dict[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], int, list[str]]:
    """The columns, the scale that stores them exactly, and a note if they had to be rounded for it."""
    with contextlib.suppress(InvalidInput):
        return columns, find_scale(*columns.values()), []
    largest = max(float(np.abs(values).max()) for values in columns.values())
    if largest >= EXACT:
        raise InvalidInput(f"some {what} are too large for 64-bit integers: the largest is {largest:g}")
    places = math.floor(min(MAX_DECIMALS, math.log10(EXACT / largest)))
    rounded = {name: np.rint(values * 10**places) / 10**places for name, values in columns.items()}
    count = sum(int(np.count_nonzero(rounded[name] != columns[name])) for name in columns)
    return rounded, 10**places, [f"{count:,} {what} have more digits than fit: rounded to {places} decimals"]


def check_times(ts: NDArray[np.int64]) -> None:
    """Refuses times that do not ascend, or too few of them to tell a timeframe."""
    if len(ts) < 2:
        raise InvalidInput(f"the timeframe is found from the steps between bars: 2 rows are needed, there is {len(ts)}")
    late = np.flatnonzero(np.diff(ts) <= 0)
    if not len(late):
        return
    first, second = int(late[0]), int(late[0]) + 1
    if ts[first] == ts[second]:
        raise InvalidInput(f"data rows {first + 1} and {second + 1} have the same time, {time_text(ts[first])}")
    raise InvalidInput(
        f"data row {second + 1} ({time_text(ts[second])}) is earlier than the row before it: sort by time"
    )


def common_step(ts: NDArray[np.int64]) -> int:
    """The most frequent step between neighbours."""
    steps, counts = np.unique(np.diff(ts), return_counts=True)
    return int(steps[counts.argmax()])


def time_text(ts: int | np.int64) -> str:
    """A time as people write it: no seconds where they are zero, no time of day at midnight."""
    return time_texts([ts])[0]


def time_texts(column: Iterable[int | np.int64]) -> list[str]:
    """Times of one column, all as long as the one that needs most."""
    texts = [str(np.datetime64(int(ts), "ms")).replace("T", " ") for ts in column]
    for ending in (".000", ":00", " 00:00"):
        if all(text.endswith(ending) for text in texts):
            texts = [text.removesuffix(ending) for text in texts]
    return texts


def sample_bars() -> list[Bars]:
    """Daily bars of five tickers, 2000 to 2013, as the package bokeh-sampledata carries them."""
    from bokeh_sampledata import stocks

    return [_sample(ticker, getattr(stocks, ticker)) for ticker in TICKERS]


def _sample(ticker: str, table: Mapping[str, list[Any]]) -> Bars:
    ts = np.array(table["date"], "datetime64[ms]").astype(np.int64)
    return make_bars(ticker, ts, {name: np.array(table[name]) for name in FIELDS})
