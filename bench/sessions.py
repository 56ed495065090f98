"""The workloads of read sessions: attaching very many series, prewarming, reads of a session, and what metrics cost."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastk
from bench.data import MINUTE, SYMBOLS, TIMEFRAME, Market
from bench.lifecycle import without_syncs
from bench.measure import NEVER, Workload
from bench.reads import CALLS, batches_of, rows_in_month
from bench.writes import bars_from

SERIES, ROWS = 10_000, 16
START = int(np.datetime64("2024-01-01", "ms").astype(np.int64))
RANGE_ROWS = 16


class ManySeries:
    """Ten thousand short series, as a store and as one .npy file each; both warm. Made at the first use."""

    def __init__(self, market: Market) -> None:
        self.count = SERIES if len(market.symbols) == SYMBOLS else SERIES // 50  # a smaller market is a trial
        self.root = os.path.join(market.folder, "many-series")
        self.folder = os.path.join(market.folder, "raw-many-series")
        self.symbols = [f"S{place:05}" for place in range(self.count)]
        if not os.path.exists(self.root):
            self._write()

    def _write(self) -> None:
        bars = bars_from(START, ROWS)
        os.makedirs(self.folder)
        with without_syncs(), fastk.open(self.root) as store:
            for symbol in self.symbols:
                store.register_kline_series(symbol, TIMEFRAME, MINUTE).put(bars)
                np.save(os.path.join(self.folder, f"{symbol}.npy"), np.stack(list(bars.values())))


def attach(market: Market, rounds: int) -> Workload:
    """Open a store and attach all of its series, beside mapping one .npy file for each."""
    many = ManySeries(market)

    def fastk_attach(batch: Any) -> int:
        session = fastk.open(many.root, "r").read_session().attach_symbols_for_timeframe(TIMEFRAME, many.symbols)
        return len(session.attached())

    def raw_map(batch: Any) -> int:
        return len([np.load(os.path.join(many.folder, f"{name}.npy"), mmap_mode="r") for name in many.symbols])

    return Workload(f"attach {SERIES:,} series, each", fastk_attach, raw_map, range(rounds), many.count, modes=(NEVER,))


def attach_by_handles(market: Market, rounds: int) -> Workload:
    """The same beside pinning each by its handle, which also parses what a session parses at the first use."""
    many = ManySeries(market)

    def fastk_attach(batch: Any) -> int:
        session = fastk.open(many.root, "r").read_session().attach_symbols_for_timeframe(TIMEFRAME, many.symbols)
        return len(session.attached())

    def pin(batch: Any) -> int:
        store = fastk.open(many.root, "r")
        return sum(store.kline(name, TIMEFRAME).span is not None for name in many.symbols)

    return Workload(
        f"attach {SERIES:,} series, each, beside handles",
        fastk_attach,
        pin,
        range(rounds),
        many.count,
        baseline_name="handles",
        modes=(NEVER,),
    )


def prewarm(market: Market, rounds: int) -> Workload:
    """Open a store and prewarm all symbols, beside reading every column and comparing its checksum by hand."""
    keys = [series.key for series in market.series]
    root = market.store.root

    def fastk_prewarm(batch: Any) -> int:
        return fastk.open(root, "r").read_session().attach(*keys).prewarm().chunks

    def verify(batch: Any) -> int:
        store = fastk.open(root, "r")
        return sum(store.series(key).verify().chunks for key in keys)

    return Workload("prewarm all symbols", fastk_prewarm, verify, range(rounds), baseline_name="verify", modes=(NEVER,))


def reads(name: str, level: str, through_session: bool, market: Market, rounds: int) -> Workload:
    """Short ranges through a session or with metrics on, beside plain handles of the store."""
    store = fastk.open(market.store.root, "r")
    plain = [store.series(series.key) for series in market.series]
    measured = fastk.open(market.store.root, "r")
    for switched in ("detailed", "off", level):  # off again after on: what is left of it would show
        measured.set_metrics_level(switched)
    reader = measured.read_session().attach(*(each.key for each in plain)) if through_session else measured
    series = [reader.series(each.key) for each in plain]
    for each in (*plain, *series):
        each.verify()

    def read(handles: list[Any]) -> Callable[[list[Any]], list[Any]]:
        return lambda batch: [handles[place].range(start, end).close.sum() for place, start, end in batch]

    batches = batches_of(market, rounds, partial(rows_in_month, RANGE_ROWS, market.rows_per_month))
    return Workload(name, read(series), read(plain), batches, CALLS, baseline_name="store, off", modes=(NEVER,))


SESSIONS: dict[str, Callable[[Market, int], Workload]] = {
    f"attach {SERIES:,} series, each": attach,
    f"attach {SERIES:,} series, each, beside handles": attach_by_handles,
    "prewarm all symbols": prewarm,
    **{
        name: partial(reads, name, level, through_session)
        for name, level, through_session in (
            ("range 16 rows, session", "off", True),
            ("range 16 rows, metrics off again", "off", False),
            ("range 16 rows, metrics basic", "basic", False),
            ("range 16 rows, metrics detailed", "detailed", False),
        )
    },
}
