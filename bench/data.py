"""The data of the benchmarks: the same bars every time, as a FastK store and as the files a numpy user would write.

Each symbol has 41,667 random minutes of each of four UTC months, so that the grid has gaps; klines are int64.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastk

Int64 = NDArray[np.int64]
Columns = dict[str, Int64]
Times = Callable[[np.random.Generator, str, int], Int64]

NAMES = fastk.KLINE.names
CLOSE = NAMES.index("close")
MINUTE = 60_000
TIMEFRAME = "1m"
MONTHS = ("2024-01", "2024-02", "2024-03", "2024-04")
ROWS_PER_MONTH = 41_667
SYMBOLS = 8
SEED = 20_240_101


def random_minutes(rng: np.random.Generator, month: str, count: int) -> Int64:
    """Ascending ts of ``count`` different minutes of a UTC month."""
    begin = np.datetime64(month)
    first, last = (int(edge.astype("M8[m]").astype(np.int64)) for edge in (begin, begin + 1))
    return (first + np.sort(rng.choice(last - first, count, replace=False))) * MINUTE


def make_columns(rng: np.random.Generator, rows_per_month: int, times: Times = random_minutes) -> Columns:
    """One symbol's bars: their times in each month, prices that walk."""
    ts = np.concatenate([times(rng, month, rows_per_month) for month in MONTHS])
    walk = 5_000_000 + rng.integers(-50, 51, ts.size).cumsum()
    spread = rng.integers(0, 100, (3, ts.size))
    open_, close = walk, walk + spread[0] - 50
    high, low = np.maximum(open_, close) + spread[1], np.minimum(open_, close) - spread[2]
    columns = (ts, open_, high, low, close, rng.integers(0, 10**9, ts.size))
    return dict(zip(NAMES, columns, strict=True))


@dataclass(frozen=True)
class RawSeries:
    """What a numpy user writes by hand: one mapped file a column, as plain arrays."""

    ts: Int64
    columns: list[Int64]

    @classmethod
    def load(cls, folder: str) -> RawSeries:
        """Map the files of a folder."""
        columns = load_columns(folder, NAMES)
        return cls(columns[0], columns)

    def range(self, start: int, end: int) -> list[Int64]:
        """All columns of the rows with start <= ts <= end."""
        low = np.searchsorted(self.ts, start)
        high = np.searchsorted(self.ts, end, side="right")
        return [column[low:high] for column in self.columns]

    def at(self, ts: int) -> list[int] | None:
        """The values of one row."""
        row = np.searchsorted(self.ts, ts)
        if row == len(self.ts) or self.ts[row] != ts:
            return None
        return [int(column[row]) for column in self.columns]

    def latest(self, count: int) -> list[Int64]:
        """All columns of the last rows."""
        return [column[-count:] for column in self.columns]


class Market:
    """Bars of some symbols in memory, in a store and in .npy files, below one folder."""

    partition = "month"
    times: Times = staticmethod(random_minutes)

    def __init__(self, folder: str, symbols: int = SYMBOLS, rows_per_month: int = ROWS_PER_MONTH) -> None:
        self.folder = folder
        self.rows_per_month = rows_per_month
        rng = np.random.default_rng(SEED)
        self.columns = {f"SYM{number}USDT": make_columns(rng, rows_per_month, self.times) for number in range(symbols)}
        self.symbols = list(self.columns)
        self.root = os.path.join(folder, "store")
        self.raw_root = os.path.join(folder, "raw")

    @cached_property
    def store(self) -> fastk.FastKStore:
        """The store, written at the first use and opened again for reading."""
        with fastk.open(self.root) as store:
            register(store, self.symbols, self.partition)
            put_all(store, self.columns)
        return fastk.open(self.root, "r")

    @cached_property
    def series(self) -> list[Any]:
        """The handles of all symbols, warm: every block verified and every page mapped."""
        handles = [self.store.kline(symbol, TIMEFRAME) for symbol in self.symbols]
        for handle in handles:
            for piece in handle.range().segments:
                touch(piece[name] for name in NAMES)
        return handles

    def reopened(self) -> list[Any]:
        """New handles of the same, which have verified nothing."""
        store = fastk.open(self.store.root, "r")
        return [store.kline(symbol, TIMEFRAME) for symbol in self.symbols]

    @cached_property
    def raw(self) -> list[RawSeries]:
        """The mapped files of all symbols, written at the first use; warm likewise."""
        save_all(self.raw_root, self.columns)
        loaded = [RawSeries.load(os.path.join(self.raw_root, symbol)) for symbol in self.symbols]
        for series in loaded:
            touch(series.columns)
        return loaded

    @property
    def rows(self) -> int:
        """Rows of one symbol."""
        return self.rows_per_month * len(MONTHS)


def load_columns(folder: str, names: Iterable[str]) -> list[Int64]:
    """Map files of a folder; ``np.asarray`` strips np.memmap, which would make each slice slower."""
    return [np.asarray(np.load(os.path.join(folder, f"{name}.npy"), mmap_mode="r")) for name in names]


def touch(columns: Iterable[Int64]) -> None:
    """Read every value once, so that no later read meets a page that is not mapped yet."""
    for column in columns:
        column.sum()


def register(store: fastk.FastKStore, symbols: list[str], partition: str = Market.partition) -> None:
    """Create the series of all symbols."""
    for symbol in symbols:
        store.register_kline_series(symbol, TIMEFRAME, MINUTE, partition=partition)


def put_all(store: fastk.FastKStore, columns: dict[str, Columns]) -> None:
    """Write all bars, one durable commit a symbol."""
    for symbol, bars in columns.items():
        store.kline(symbol, TIMEFRAME).put(bars)


def save_all(root: str, columns: dict[str, Columns]) -> None:
    """Write all bars as .npy files, each of them and their folders durable."""
    for symbol, bars in columns.items():
        folder = os.path.join(root, symbol)
        os.makedirs(folder)
        for name, values in bars.items():
            with open(os.path.join(folder, f"{name}.npy"), "wb") as file:
                np.save(file, values)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(folder)
    sync_folder(root)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary_market(symbols: int = SYMBOLS, rows_per_month: int = ROWS_PER_MONTH) -> Iterator[Market]:
    """A market in a temporary folder that goes with the block."""
    with tempfile.TemporaryDirectory(prefix="fastk-bench-") as folder:
        yield Market(folder, symbols, rows_per_month)
