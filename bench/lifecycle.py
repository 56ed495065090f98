"""The workloads of a store that is written in small pieces: reads of what came minute by minute, batches, merges."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import fastk
from bench.data import MINUTE, TIMEFRAME, Columns, Market
from bench.measure import LOADED, Workload
from bench.writes import APPENDED, Appender, Build, FreshFolder, bars_from, monthly_appender

DAYS, DAY_ROWS = 30, 1_440
SERIES = 50
SYMBOL = "SYM0USDT"
START, FEBRUARY = (int(np.datetime64(f"2024-{month}-01", "ms").astype(np.int64)) for month in ("01", "02"))
POINTS = 100
MERGED = "merged"


@contextmanager
def without_syncs() -> Iterator[None]:
    """Do not wait for the medium while something is prepared whose making is not measured."""
    with patch("os.fsync", lambda descriptor: None):
        yield


def new_series(folder: str) -> Any:
    """A kline series without rows in an empty folder."""
    return fastk.open(folder).register_kline_series(SYMBOL, TIMEFRAME, MINUTE)


# What came minute by minute


class Minutes(NamedTuple):
    """A month that came minute by minute by ``put``, up to some row; ``is_over``: the next one has begun."""

    rows: int
    is_over: bool = False

    @property
    def sizes(self) -> list[int]:
        """The rows of its chunks: one of each tier, by the digits of the count.

        So a few puts make what 43,199 would. That they do is asserted where all are few enough to be made.
        """
        return [digit * size for size in POWERS if (digit := self.rows // size % TIERS.tier_fanout)]

    def make(self, root: str) -> Any:
        """The series, and the month of January in it."""
        series, start = new_series(root), START
        for size in self.sizes:
            series.put(bars_from(start, size))
            start += size * MINUTE
        if self.is_over:
            series.put(bars_from(FEBRUARY, 1))
        return series


TIERS = fastk.CompactionPolicy()
POWERS = [TIERS.tier_fanout**power for power in reversed(range(5))]
ONE_BY_ONE = 700
MINUTES = {
    "a month of minutes, over": Minutes(43_200, is_over=True),
    "a month less one minute": Minutes(43_199),
    "a month of 4,095 minutes": Minutes(4_095),
}


def assert_puts_leave_these_chunks(folder: str) -> None:
    """One row a put, so often as many chunks of a tier as can be stand at the end."""
    series = new_series(os.path.join(folder, "one-by-one"))
    for row in range(ONE_BY_ONE):
        series.put(bars_from(START + row * MINUTE, 1))
    assert [len(piece) for piece in series.range().segments] == Minutes(ONE_BY_ONE).sizes


def written(market: Market, name: str, minutes: Minutes) -> Any:
    """The series, warm; made at the first use."""
    root = os.path.join(market.folder, f"minutes of {name}")
    if not os.path.exists(root):
        with without_syncs():
            minutes.make(root)
            if minutes == MINUTES["a month less one minute"]:
                assert_puts_leave_these_chunks(market.folder)
    return opened(root, minutes.rows)


def merged(market: Market, rows: int) -> Any:
    """As many minutes in one chunk."""
    root = os.path.join(market.folder, f"{rows} merged")
    if not os.path.exists(root):
        with without_syncs():
            new_series(root).put(bars_from(START, rows))
    return opened(root, rows)


def opened(root: str, rows: int) -> Any:
    """The series of a store, every checksum compared before."""
    series = fastk.open(root, "r").kline(SYMBOL, TIMEFRAME)
    assert int(series.range(START, FEBRUARY - 1).close.sum()) == int(bars_from(START, rows)["close"].sum())
    series.verify()
    return series


Answer = Callable[[Any, int], Any]
QUANTILE = 990_000  # close is spread over 0 to 1,000,003

ANSWERS: dict[str, Answer] = {
    "one row": lambda series, ts: series.at(ts).close,
    "64 rows, sum of close": lambda series, ts: int(series.range(ts, ts + 63 * MINUTE).close.sum()),
    "1,024 rows, sum of close": lambda series, ts: int(series.range(ts, ts + 1_023 * MINUTE).close.sum()),
    "all, sum of close": lambda series, ts: int(series.range(START, FEBRUARY - 1).close.sum()),
    "all, sum of close over segments": lambda series, ts: sum(
        int(piece.close.sum()) for piece in series.range(START, FEBRUARY - 1).segments
    ),
    "where close > x, 1% match": lambda series, ts: (
        series.where("close", fastk.Gt(QUANTILE), START, FEBRUARY - 1).rows.ts
    ),
}


def read_of_minutes(name: str, minutes: Minutes, what: str) -> Build:
    """Reads at random times of what came minute by minute, beside the same of one chunk."""
    calls = 1 if what.startswith(("all", "where")) else POINTS
    answer = ANSWERS[what]

    def build(market: Market, rounds: int) -> Workload:
        times = START + MINUTE * np.random.default_rng(7).integers(0, minutes.rows - 1_024, (rounds, calls))

        def read(series: Any) -> Callable[[list[int]], list[Any]]:
            return lambda batch: [answer(series, ts) for ts in batch]

        return Workload(
            f"{name}: {what}",
            read(written(market, name, minutes)),
            read(merged(market, minutes.rows)),
            times.tolist(),
            calls=calls,
            baseline_name=MERGED,
            modes=(LOADED,),
        )

    return build


READS_OF_MINUTES: dict[str, Build] = {
    f"{name}: {what}": read_of_minutes(name, minutes, what) for name, minutes in MINUTES.items() for what in ANSWERS
}


def put_beside_append(market: Market, rounds: int) -> Workload:
    """A put, which merges small neighbours, beside an append, which never does; 16 a round."""
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
        modes=(LOADED,),
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
        modes=(LOADED,),
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
        modes=(LOADED,),
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
        modes=(LOADED,),
        prepare_baseline=fresh_series(market, "put-beside-again"),
    )


LIFECYCLE: dict[str, Build] = {
    **READS_OF_MINUTES,
    "put 64 rows, durable": put_beside_append,
    "64 rows into 50 series, one batch": batch_beside_puts,
    "merge of a month in 30 chunks": merge_of_a_month,
    "a stored month again, skip_identical": put_again,
}
