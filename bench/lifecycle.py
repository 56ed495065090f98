"""The workloads of a store that is written in small pieces: reads of what came minute by minute, batches, merges.

A whole month of minutes is 44,640 commits; 4,000 of them stand for it, which have as many tiers but one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

import fastk
from bench.data import MINUTE, TIMEFRAME, Columns, Market
from bench.measure import Workload
from bench.writes import APPENDED, Appender, Build, FreshFolder, bars_from, monthly_appender

MINUTES = 4_000
DAYS, DAY_ROWS = 30, 1_440
SERIES = 50
SYMBOL = "SYM0USDT"
START = int(np.datetime64("2024-01-01", "ms").astype(np.int64))
POINTS = 100
PUT, CHUNKS, MERGED = "put", "put_kline_chunk", "merged"


@contextmanager
def without_syncs() -> Iterator[None]:
    """Do not wait for the medium while something is prepared whose making is not measured."""
    with patch("os.fsync", lambda descriptor: None):
        yield


def new_series(folder: str) -> Any:
    """A kline series without rows in an empty folder."""
    return fastk.open(folder).register_kline_series(SYMBOL, TIMEFRAME, MINUTE)


# What came minute by minute


def minute_by_minute(market: Market, how: str) -> Any:
    """4,000 bars that were written one by one, or as one chunk; warm. Made at the first use."""
    root = os.path.join(market.folder, f"minutes-{how}")
    if not os.path.exists(root):
        with without_syncs():
            series = new_series(root)
            put = series.append if how == CHUNKS else series.put
            rows = 1 if how in (PUT, CHUNKS) else MINUTES
            for place in range(0, MINUTES, rows):
                put(bars_from(START + place * MINUTE, rows))
    series = fastk.open(root, "r").kline(SYMBOL, TIMEFRAME)
    assert int(series.range().close.sum()) == int(bars_from(START, MINUTES)["close"].sum())
    series.verify()
    return series


def full_range(how: str, market: Market, rounds: int) -> Workload:
    """Sum a column of all rows, beside the same rows in one chunk."""

    def read(series: Any) -> Callable[[Any], int]:
        return lambda batch: int(series.range().close.sum())

    return Workload(
        f"all of 4,000 minutes by {how}",
        read(minute_by_minute(market, how)),
        read(minute_by_minute(market, MERGED)),
        range(rounds),
        baseline_name=MERGED,
    )


def points(how: str, market: Market, rounds: int) -> Workload:
    """Single rows at random times, beside the same in one chunk."""
    times = START + MINUTE * np.random.default_rng(7).integers(0, MINUTES, (rounds, POINTS))

    def read(series: Any) -> Callable[[list[int]], list[int]]:
        return lambda batch: [series.at(ts).close for ts in batch]

    return Workload(
        f"one of 4,000 minutes by {how}",
        read(minute_by_minute(market, how)),
        read(minute_by_minute(market, MERGED)),
        times.tolist(),
        calls=POINTS,
        baseline_name=MERGED,
    )


def range_after_puts(market: Market, rounds: int) -> Workload:
    return full_range(PUT, market, rounds)


def range_after_chunks(market: Market, rounds: int) -> Workload:
    return full_range(CHUNKS, market, rounds)


def points_after_puts(market: Market, rounds: int) -> Workload:
    return points(PUT, market, rounds)


def points_after_chunks(market: Market, rounds: int) -> Workload:
    return points(CHUNKS, market, rounds)


def put_beside_append(market: Market, rounds: int) -> Workload:
    """A put, which merges small neighbours every fourth time, beside an append, which never does; 16 a round."""
    put, _ = monthly_appender(market, "put-beside-append", merges=True)
    append, _ = monthly_appender(market, "append-beside-put")

    def many(appender: Appender) -> tuple[Callable[[Any], list[Columns]], Callable[[list[Columns]], int]]:
        return lambda batch: [appender.bars() for _ in range(16)], lambda pieces: sum(map(appender.put, pieces))

    (prepare_put, puts), (prepare_append, appends) = many(put), many(append)
    return Workload(
        "put 64 rows, durable",
        puts,
        appends,
        range(min(rounds, 20)),
        calls=16,
        baseline_name="append",
        prepare_fastk=prepare_put,
        prepare_baseline=prepare_append,
    )


# Batches


def batch_beside_puts(market: Market, rounds: int) -> Workload:
    """64 rows into each of 50 series: in one batch, beside one put after the other."""
    stores = [ManySeries(market, name) for name in ("batched", "put-one-by-one")]
    return Workload(
        "64 rows into 50 series, one batch",
        stores[0].put_in_a_batch,
        stores[1].put_all,
        range(min(rounds, 20)),
        baseline_name="50 puts",
        prepare_fastk=stores[0].bars,
        prepare_baseline=stores[1].bars,
    )


class ManySeries:
    """Fifty series that grow at their ends."""

    def __init__(self, market: Market, name: str) -> None:
        with without_syncs():
            self._store = fastk.open(FreshFolder(market.folder, name)())
            keys = [f"SYM{number}USDT" for number in range(SERIES)]
            self._series = [self._store.register_kline_series(key, TIMEFRAME, MINUTE) for key in keys]
        self._rows = 0

    def bars(self, batch: Any) -> Columns:
        """The next bars."""
        self._rows += APPENDED
        return bars_from(START + (self._rows - APPENDED) * MINUTE, APPENDED)

    def put_all(self, bars: Columns) -> int:
        """Append them to each of the series; gives how many rows were accepted."""
        return sum(series.append(bars).accepted for series in self._series)

    def put_in_a_batch(self, bars: Columns) -> int:
        """The same, in one batch."""
        with self._store.batch():
            return self.put_all(bars)


# A month at once


def put_of_a_month(market: Market) -> Callable[[Any], Any]:
    """What merging and passing over a month stand beside: writing it for the first time."""
    month = bars_from(START, DAYS * DAY_ROWS)
    return lambda series: series.put(month) and len(series)


def fresh_series(market: Market, name: str) -> Callable[[Any], Any]:
    """Gives a series without rows each time."""
    folder = FreshFolder(market.folder, name)
    return lambda batch: new_series(folder())


def merge_of_a_month(market: Market, rounds: int) -> Workload:
    """Merge 30 chunks, one a day, into one, beside a put of their rows."""
    fresh = fresh_series(market, "unmerged")

    def thirty_days(batch: Any) -> Any:
        with without_syncs():
            series = fresh(batch)
            for day in range(DAYS):
                series.append(bars_from(START + day * DAY_ROWS * MINUTE, DAY_ROWS))
        os.sync()
        return series

    def merge(series: Any) -> int:
        assert series.merge().merged == DAYS
        return len(series)

    return Workload(
        "merge of a month in 30 chunks",
        merge,
        put_of_a_month(market),
        range(min(rounds, 11)),
        baseline_name="put of it",
        prepare_fastk=thirty_days,
        prepare_baseline=fresh_series(market, "put-beside-merge"),
    )


def put_again(market: Market, rounds: int) -> Workload:
    """A month that is stored already, passed over, beside the put that stored it."""
    month = bars_from(START, DAYS * DAY_ROWS)
    with without_syncs():
        stored = new_series(FreshFolder(market.folder, "stored-month")())
        stored.put(month)

    def pass_over(batch: Any) -> int:
        assert stored.put(month, on_conflict="skip_identical").identical == len(month["ts"])
        return len(stored)

    return Workload(
        "a stored month again, skip_identical",
        pass_over,
        put_of_a_month(market),
        range(min(rounds, 11)),
        baseline_name="put of it",
        prepare_baseline=fresh_series(market, "put-beside-again"),
    )


LIFECYCLE: dict[str, Build] = {
    "all of 4,000 minutes by put": range_after_puts,
    "all of 4,000 minutes by put_kline_chunk": range_after_chunks,
    "one of 4,000 minutes by put": points_after_puts,
    "one of 4,000 minutes by put_kline_chunk": points_after_chunks,
    "put 64 rows, durable": put_beside_append,
    "64 rows into 50 series, one batch": batch_beside_puts,
    "merge of a month in 30 chunks": merge_of_a_month,
    "a stored month again, skip_identical": put_again,
}
