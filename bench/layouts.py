"""Workloads over what the others do not have: float columns, columns without sidecars, one file a day, uneven times."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np

from bench.data import NAMES, Int64, Market
from bench.measure import Workload
from bench.queries import Condition, Draw, Values, conditions, predicate
from bench.reads import (
    latest,
    many_points,
    points,
    range_sums,
    rows_in_month,
    stored_ts,
    sum_of_joined,
    sum_of_segments,
    whole_series,
)
from bench.signals import floats, scattered
from bench.writes import append_beside_syncs
from fastk import Gte

Build = Callable[[Market, int], Workload]


# One file a day


class DayMarket(Market):
    """The first symbol's bars, one file a day: 121 of some 1,377 rows."""

    partition = "day"

    def __init__(self, folder: str, rows_per_month: int) -> None:
        super().__init__(os.path.join(folder, "days"), 1, rows_per_month)


# Times that lie nowhere near a line


def seconds_of_sessions(rng: np.random.Generator, month: str, count: int) -> Int64:
    """Ascending ts of different seconds of a UTC month, on weekdays from 14:30 to 21:00."""
    begin, end = (np.datetime64(month) + months for months in (0, 1))
    days = np.arange(begin.astype("M8[D]"), end.astype("M8[D]"))
    days = days[np.is_busday(days)].astype("M8[s]").astype(np.int64) + 52_200
    seconds = (days[:, None] + np.arange(23_400)).ravel()
    return np.sort(rng.choice(seconds, count, replace=False)) * 1_000


def milliseconds_in_bursts(rng: np.random.Generator, month: str, count: int) -> Int64:
    """Ascending ts of a UTC month: waits of all lengths, as between trades."""
    begin, end = ((np.datetime64(month) + months).astype("M8[ms]").astype(np.int64) for months in (0, 1))
    waits = np.minimum(rng.pareto(0.7, count), 1e5).cumsum()
    return begin + (waits / waits[-1] * (end - begin - count - 1)).astype(np.int64) + np.arange(count)


class SessionMarket(Market):
    """As many rows of as many symbols as elsewhere, with nights and weekends between them."""

    times = staticmethod(seconds_of_sessions)

    def __init__(self, folder: str, rows_per_month: int) -> None:
        super().__init__(os.path.join(folder, "sessions"), rows_per_month=rows_per_month)


class BurstMarket(Market):
    """The same in bursts."""

    times = staticmethod(milliseconds_in_bursts)

    def __init__(self, folder: str, rows_per_month: int) -> None:
        super().__init__(os.path.join(folder, "bursts"), rows_per_month=rows_per_month)


@cache
def other_market(make: Callable[[str, int], Market], folder: str, rows_per_month: int) -> Market:
    """Made once a run."""
    return make(folder, rows_per_month)


def over(make: Callable[[str, int], Market], name: str, build: Build) -> Build:
    """The same workload over other files."""
    return lambda market, rounds: replace(
        build(other_market(make, market.folder, market.rows_per_month), rounds), name=name
    )


# Predicates


class Bars(Values):
    """A column of klines, which has no sidecars: only the coarse zones in the headers of its chunks."""

    def __init__(self, market: Market, column: str) -> None:
        self.column, self.series = column, market.series[0]
        self.ts, self.value = market.raw[0].ts, market.raw[0].columns[NAMES.index(column)]
        self._warm()


def bars(name: str, column: str, draw: Draw, market: Market, rounds: int) -> Workload:
    """Conditions on a column of klines: ``volume`` is random, ``close`` walks."""
    return conditions(name, Bars(market, column), draw, rounds)


def highest(share: float, rng: np.random.Generator, values: Values) -> Condition:
    """The highest values, about this share of the rows."""
    return Gte(values.at_rank(1 - share * rng.uniform(0.9, 1.1)))


PREDICATES: dict[str, Build] = {
    name: partial(build, name, what, partial(highest, share))
    for name, build, what, share in (
        ("where value > x, 1% match, floats with NaN", predicate, floats, 0.01),
        ("where value > x, 50% match, floats with NaN", predicate, floats, 0.5),
        ("where close > x, 1% match, no sidecars", bars, "close", 0.01),
        ("where volume > x, 0.1% match, no sidecars", bars, "volume", 0.001),
        ("where volume > x, 50% match, no sidecars", bars, "volume", 0.5),
    )
}
DAYS: dict[str, Build] = {
    f"{name}, day files": over(DayMarket, f"{name}, day files", partial(build, name, *arguments))
    for name, build, *arguments in (
        ("point, hit", points, stored_ts),
        ("range 64 rows, sum of close", range_sums, partial(rows_in_month, 64)),
        ("range 4,096 rows, sum of close", range_sums, partial(rows_in_month, 4_096)),
        ("latest 1,024, sum of close", lambda _, *arguments: latest(*arguments)),
        ("full series, sum of close over segments", whole_series, sum_of_segments),
        ("full series, sum of close concatenated", whole_series, sum_of_joined),
        ("at_many, 10,000 random timestamps, each", many_points, np.asarray),
        ("where value > x, 1% match", predicate, scattered, partial(highest, 0.01)),
        ("where value > x, 50% match", predicate, scattered, partial(highest, 0.5)),
        ("where volume > x, 1% match, no sidecars", bars, "volume", partial(highest, 0.01)),
        ("where volume > x, 50% match, no sidecars", bars, "volume", partial(highest, 0.5)),
    )
}
UNEVEN: dict[str, Build] = {
    f"{name}, {times}": over(make, f"{name}, {times}", partial(build, name, *arguments))
    for times, make in (("sessions", SessionMarket), ("bursts", BurstMarket))
    for name, build, *arguments in (
        ("point, hit", points, stored_ts),
        ("range 64 rows, sum of close", range_sums, partial(rows_in_month, 64)),
        ("range 1,024 rows, sum of close", range_sums, partial(rows_in_month, 1_024)),
    )
}
APPEND = "append 64 rows with zone map and value index, durable"
LAYOUTS: dict[str, Build] = {
    **PREDICATES,
    **DAYS,
    **UNEVEN,
    APPEND: partial(append_beside_syncs, APPEND, zone_maps=["close"], value_indexes=["close"]),
}
