"""What the demo does to a store, with a clock beside it: write, read back, time the reads, verify."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

import fastk
from fastk.cli.demo_data import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from fastk import FastKStore, PutResult
    from fastk.cli.demo_data import Bars

Result = TypeVar("Result")

REPETITIONS = 500
SCANS = 50
RANGE_ROWS = 256
AVERAGED_BARS = 20


@dataclass(frozen=True)
class Written:
    """What went in, and how long the puts took: each is durable when it returns."""

    rows: int
    chunks: int
    commits: int
    seconds: float


@dataclass(frozen=True)
class Speeds:
    """Seconds for one call: medians, except for the first read. A scan goes over ``scan_bytes``."""

    first_read: float
    range_rows: int
    range_read: float
    latest_read: float
    point_read: float
    scan_bytes: int
    scan: float


@dataclass(frozen=True)
class Verified:
    """All checksums of all series."""

    blocks: int
    bytes: int
    seconds: float


def feature_name(bars: Bars) -> str:
    """The moving average that the demo calculates: sma_20, or shorter for a short file."""
    return f"sma_{min(AVERAGED_BARS, len(bars))}"


def feature_key(bars: Bars) -> Any:
    """The key of the moving average beside the bars."""
    return fastk.feature_series_key(bars.symbol, bars.timeframe, feature_name(bars))


def moving_average(bars: Bars) -> dict[str, NDArray[Any]]:
    """A feature made outside the store. It is rounded to the decimals of the prices, which the store keeps exactly."""
    window = min(AVERAGED_BARS, len(bars))
    average = pd.Series(bars.columns["close"]).rolling(window).mean().to_numpy()[window - 1 :]
    return {"ts": bars.ts[window - 1 :], "value": np.round(average, len(str(bars.price_scale)) - 1)}


def write(store: FastKStore, every: Iterable[Bars]) -> Written:
    """Registers and writes all bars, and a feature beside each."""
    puts = [put for bars in every for put in (_write_bars(store, bars), _write_feature(store, bars))]
    results, seconds = zip(*puts, strict=True)
    return Written(
        rows=sum(result.accepted for result in results),
        chunks=sum(result.chunks for result in results),
        commits=len(results),
        seconds=sum(seconds),
    )


def partition_of(bars: Bars) -> str:
    """Years for bars of an hour and more, so that a chunk has hundreds of rows; months for shorter ones."""
    return "year" if bars.timeframe_ms >= 3_600_000 else "month"


def _write_bars(store: FastKStore, bars: Bars) -> tuple[PutResult, float]:
    series = store.register_kline_series(
        bars.symbol,
        bars.timeframe,
        bars.timeframe_ms,
        price_scale=bars.price_scale,
        volume_scale=bars.volume_scale,
        partition=partition_of(bars),
        zone_maps=["close"],
        value_indexes=["volume"],
    )
    return _timed(lambda: series.put(bars.rows(), decoded=True))


def _write_feature(store: FastKStore, bars: Bars) -> tuple[PutResult, float]:
    series = store.register_scalar_series(
        feature_key(bars), bars.timeframe_ms, value_scale=bars.price_scale, partition=partition_of(bars)
    )
    average = moving_average(bars)
    return _timed(lambda: series.put(average, decoded=True))


def first_difference(store: FastKStore, every: Iterable[Bars]) -> str | None:
    """Reads all bars back and compares them, value by value, with what was written."""
    for bars in every:
        rows = store.kline(bars.symbol, bars.timeframe).range(None, None)
        if not np.array_equal(rows.ts, bars.ts):
            return f"{bars.symbol}: ts"
        for name in FIELDS:
            if not np.array_equal(rows.decoded(name), bars.columns[name]):
                return f"{bars.symbol}: {name}"
    return None


def measure(store: FastKStore, every: Sequence[Bars]) -> Speeds:
    """Times the reads of a store that was just opened. The longest series serves the small reads."""
    bars = max(every, key=len)
    series = store.kline(bars.symbol, bars.timeframe)
    count = min(RANGE_ROWS, len(bars))
    starts = np.random.default_rng(7).integers(0, len(bars) - count + 1, REPETITIONS).tolist()
    times = bars.ts.tolist()
    return Speeds(
        first_read=_seconds(lambda: series.range(times[starts[0]], times[starts[0] + count - 1]).close),
        range_rows=count,
        range_read=median_seconds(lambda start: series.range(times[start], times[start + count - 1]).close, starts),
        latest_read=median_seconds(lambda start: series.latest(count).close, starts),
        point_read=median_seconds(lambda start: series.at(times[start]), starts),
        scan_bytes=sum(map(len, every)) * 8 * (1 + len(FIELDS)),
        scan=median_seconds(lambda _: _sum_all(store, every), range(SCANS)),
    )


def _sum_all(store: FastKStore, every: Iterable[Bars]) -> int:
    """Every value of every column goes through the processor once, straight from the mapped files."""
    total = 0
    for bars in every:
        for segment in store.kline(bars.symbol, bars.timeframe).range(None, None).segments:
            total += sum(int(segment[name].sum()) for name in ("ts", *FIELDS))
    return total


def verify(store: FastKStore, every: Iterable[Bars]) -> Verified:
    """Compares every stored checksum with the bytes on disk; damage raises InvalidData."""
    reports = [
        series.verify()
        for bars in every
        for series in (store.kline(bars.symbol, bars.timeframe), store.scalar(feature_key(bars)))
    ]
    return Verified(
        sum(report.blocks for report in reports),
        sum(report.bytes for report in reports),
        sum(report.seconds for report in reports),
    )


def median_seconds(call: Callable[[int], object], arguments: Iterable[int]) -> float:
    """The median time of a call over its arguments."""
    return statistics.median(_seconds(partial(call, argument)) for argument in arguments)


def _seconds(call: Callable[[], object]) -> float:
    return _timed(call)[1]


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    begin = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begin
