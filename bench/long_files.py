"""Workloads over one month of seconds: two million rows in a file, where searches and plans weigh differently."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from bench.data import MONTHS, NAMES, SEED, Columns, Market
from bench.measure import Workload
from bench.queries import Condition, Values, predicate
from bench.reads import many_points, points, range_sums, rows_in_month, stored_ts
from bench.signals import mixed, walk
from fastk import Gte

SECOND = 1_000
ROWS = 2_000_000

Build = Callable[[Market, int], Workload]


class LongMarket(Market):
    """One symbol with one month of random seconds."""

    def __init__(self, folder: str) -> None:
        super().__init__(os.path.join(folder, "long"), symbols=0, rows_per_month=ROWS)
        self.symbols = ["LONGUSDT"]
        self.columns = {self.symbols[0]: month_of_seconds()}


def month_of_seconds() -> Columns:
    rng = np.random.default_rng(SEED + 9)
    first, last = (int((np.datetime64(MONTHS[0]) + month).astype("M8[s]").astype(np.int64)) for month in (0, 1))
    ts = (first + np.sort(rng.choice(last - first, ROWS, replace=False))) * SECOND
    return {"ts": ts, **{name: walk(rng, ROWS) for name in NAMES[1:]}}


long_market = cache(LongMarket)


def over_long_file(build: Build) -> Build:
    """The same workload over the long file, which is made once a run."""
    return lambda market, rounds: build(long_market(market.folder), rounds)


def partly_verified(name: str, market: Market, rounds: int) -> Workload:
    """Points by a new reader that has verified the blocks that they lie in, and no others."""
    plain = points(name, stored_ts, market, rounds)

    def prepare(batch: list[Any]) -> tuple[Any, list[Any]]:
        series = market.reopened()[0]
        for _, ts in batch:
            series.at(ts)
        return series, batch

    def fastk_read(query: tuple[Any, list[Any]]) -> list[Any]:
        series, batch = query
        return [series.at(ts) for _, ts in batch]

    def proof(query: tuple[Any, list[Any]]) -> list[Any]:
        return [list(row) for row in fastk_read(query)]

    return replace(plain, fastk=fastk_read, prepare_fastk=prepare, proofs=(proof, plain.baseline))


def highest(share: float, rng: np.random.Generator, values: Values) -> Condition:
    """The highest values, as far as this share of the rows reaches."""
    return Gte(values.at_rank(1 - share) + int(rng.integers(10)))


LONG_FILES: dict[str, Build] = {
    f"{name}, long file": over_long_file(partial(build, f"{name}, long file", *arguments))
    for name, build, *arguments in (
        ("point, hit", points, stored_ts),
        ("point, hit, blocks around verified", partly_verified),
        ("range 64 rows, sum of close", range_sums, partial(rows_in_month, 64)),
        ("range 4,096 rows, sum of close", range_sums, partial(rows_in_month, 4_096)),
        ("at_many, 10,000 random timestamps, each", many_points, np.asarray),
        ("where value > x, 1% match, random", predicate, mixed, partial(highest, 0.01)),
        ("where value > x, 1% match, walk", predicate, walk, partial(highest, 0.01)),
        ("where value > x, 10% match, walk", predicate, walk, partial(highest, 0.1)),
        ("where value > x, 50% match, walk", predicate, walk, partial(highest, 0.5)),
    )
}
