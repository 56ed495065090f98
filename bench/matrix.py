"""Feature matrices beside what a numpy user writes by hand: an array, and each column divided into it."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastk
from bench.data import MINUTE, MONTHS, SEED, TIMEFRAME, Int64, Market, load_columns, save_all, touch
from bench.measure import LOADED, NEVER, Result, Workload, assert_same
from bench.processes import PRINT_PEAK, run_python
from bench.signals import feature

FEATURES = tuple(f"feature_{number:02}" for number in range(20))
SCALE = 10_000
SAME, OWN = "same", "own"

Build = Callable[[Market, int], Workload]


class Features:
    """20 int64 features of each symbol: scalar series of a store, and mapped .npy files; both warm.

    Their times are those of the first symbol's bars for all, or those of each symbol's own bars.
    """

    def __init__(self, market: Market, times: str) -> None:
        self.root, self.folder = (os.path.join(market.folder, kind, times) for kind in ("features", "raw-features"))
        self.symbols = market.symbols
        if not os.path.exists(self.root):
            self._write(market, times)
        self.store = fastk.open(self.root, "r")
        self.keys = [feature_key(symbol, name) for symbol in self.symbols for name in FEATURES]
        columns = [load_columns(os.path.join(self.folder, symbol), ("ts", *FEATURES)) for symbol in self.symbols]
        self.ts = [each[0] for each in columns]
        self.raw = [each[1:] for each in columns]
        for each in columns:
            touch(each)
        self.first = self.ts[0][: market.rows_per_month]

    def _write(self, market: Market, times: str) -> None:
        rng = np.random.default_rng(SEED)
        columns = {}
        with fastk.open(self.root) as store:
            for symbol in self.symbols:
                ts = market.columns[symbol if times == OWN else self.symbols[0]]["ts"]
                features = {name: feature(rng, place, ts.size) for place, name in enumerate(FEATURES)}
                columns[symbol] = {"ts": ts, **features}
                for name in FEATURES:
                    series = store.register_scalar_series(feature_key(symbol, name), MINUTE, value_scale=SCALE)
                    series.put({"ts": ts, "value": columns[symbol][name]})
        save_all(self.folder, columns)


def feature_key(symbol: str, name: str) -> fastk.ScalarSeriesKey:
    return fastk.feature_series_key(symbol, TIMEFRAME, name)


def raw_matrix(ts: list[Int64], columns: list[list[Int64]], start: int, end: int, by_column: bool = False) -> Any:
    """Columns that have the same times: every one is divided into its place.

    ``by_column``: each column in one piece, the layout that numpy fills fastest; otherwise rows are.
    """
    bounds = [(np.searchsorted(each, start), np.searchsorted(each, end, side="right")) for each in ts]
    rows, width = int(bounds[0][1] - bounds[0][0]), sum(map(len, columns))
    out = np.empty((width, rows) if by_column else (rows, width))
    places = iter(out if by_column else out.T)
    for (low, high), features in zip(bounds, columns, strict=True):
        for values in features:
            np.divide(values[low:high], SCALE, out=next(places))
    return out


def raw_union(ts: list[Int64], columns: list[list[Int64]], start: int, end: int) -> Any:
    """Columns of different times at each time that there is, NaN where there is none."""
    bounds = [(np.searchsorted(each, start), np.searchsorted(each, end, side="right")) for each in ts]
    parts = [each[low:high] for each, (low, high) in zip(ts, bounds, strict=True)]
    grid = np.unique(np.concatenate(parts))
    out = np.full((grid.size, sum(map(len, columns))), np.nan)
    place = 0
    for part, (low, high), features in zip(parts, bounds, columns, strict=True):
        rows = np.searchsorted(grid, part)
        for values in features:
            out[rows, place] = values[low:high] / SCALE
            place += 1
    return out


def matrix(
    name: str, times: str, months: int, raw: Callable[..., Any], layout: str, market: Market, rounds: int
) -> Workload:
    """All features of all symbols over some months."""
    features = Features(market, times)
    start = int(min(each[0] for each in features.ts))
    end = int((np.datetime64(MONTHS[0]) + months).astype("M8[ms]").astype(np.int64)) - 1

    def fastk_read(batch: Any) -> Any:
        return features.store.feature_matrix(features.keys, start=start, end=end, layout=layout).values

    def raw_read(batch: Any) -> Any:
        return raw(features.ts, features.raw, start, end)

    return Workload(name, fastk_read, raw_read, range(rounds), same=assert_same_bits, modes=(NEVER, LOADED))


def assert_same_bits(found: Any, expected: Any) -> None:
    assert_same(found.view(np.int64), expected.view(np.int64))


ONE_MONTH, ALL_MONTHS = "feature matrix, 8 x 20 features, one month", "feature matrix, 8 x 20 features, all months"
MATRICES: dict[str, Build] = {
    name: partial(matrix, name, times, months, raw, layout)
    for name, times, months, raw, layout in (
        (ONE_MONTH, SAME, 1, raw_matrix, "TF"),
        (ALL_MONTHS, SAME, len(MONTHS), raw_matrix, "TF"),
        ("feature matrix, each column in one piece, one month", SAME, 1, partial(raw_matrix, by_column=True), "FT"),
        ("feature matrix with gaps, union of 8 grids, one month", OWN, 1, raw_union, "TF"),
    )
}

_BY_FASTK = """
import fastk
store = fastk.open({root!r}, "r")
keys = [fastk.feature_series_key(symbol, {timeframe!r}, name) for symbol in {symbols!r} for name in {features!r}]
print(store.feature_matrix(keys).values[-1, -1])
"""
_BY_HAND = """
import numpy as np
paths = [{folder!r} + "/" + symbol + "/" + name + ".npy" for symbol in {symbols!r} for name in {features!r}]
columns = [np.load(path, mmap_mode="r") for path in paths]
out = np.empty((len(columns[0]), len(columns)))
for place, values in enumerate(columns):
    np.divide(values, {scale}, out=out[:, place])
print(out[-1, -1])
"""


def matrix_memory(market: Market, rounds: int) -> Result:
    """Peak memory in MB of processes that make the matrix of all months."""
    features = Features(market, SAME)
    facts = {"root": features.root, "folder": features.folder, "timeframe": TIMEFRAME, "scale": SCALE}
    facts |= {"symbols": features.symbols, "features": FEATURES}
    programs = {"raw": _BY_HAND.format(**facts), "fastk": _BY_FASTK.format(**facts)}
    outputs = {name: [run_python(code + PRINT_PEAK).split() for _ in range(rounds)] for name, code in programs.items()}
    assert outputs["raw"][0][0] == outputs["fastk"][0][0]
    peaks = {name: statistics.median(int(peak) / 1024 for _, peak in found) for name, found in outputs.items()}
    raw, own = {LOADED: peaks["raw"]}, {LOADED: peaks["fastk"]}
    return Result("peak memory, feature matrix of all months", "raw npy", raw, own, unit="MB")
