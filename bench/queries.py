"""The workloads that find rows by value, over one scalar series; the caller takes ts and value of what is found."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import fastk
from bench.data import MINUTE, SEED, TIMEFRAME, Int64, Market, load_columns, save_all, touch
from bench.measure import Workload, as_given, measure, take_turns, time_once, use_kernels
from bench.reads import CALLS
from bench.signals import CLUSTERINGS, SHARES, Make, mixed
from fastk import Between, Eq, Gt, Gte, InSet, Ne

FORCED = ("scan", "zones", "index")
AUTO = "auto"

Condition = fastk.ScalarPredicateExpr
Build = Callable[[Market, int], Workload]


FLOATS = fastk.Schema("floats", (("ts", "int64"), ("value", "float64")), zone_maps=["value"], value_indexes=["value"])


class Values:
    """Values at the minutes of one symbol: a scalar series with both sidecars, and mapped .npy files; both warm."""

    column = "value"

    def __init__(self, market: Market, make: Make) -> None:
        root, folder = (os.path.join(market.folder, kind, make.__name__) for kind in ("queried", "raw-queried"))
        key = fastk.feature_series_key(market.symbols[0], TIMEFRAME, make.__name__)
        if not os.path.exists(root):
            ts = market.columns[market.symbols[0]]["ts"]
            columns = {"ts": ts, "value": make(np.random.default_rng(SEED), ts.size)}
            with fastk.open(root) as store:
                schema = FLOATS if columns["value"].dtype.kind == "f" else fastk.SCALAR
                store.register_series(key, schema, timeframe_ms=MINUTE, partition=market.partition).put(columns)
            save_all(folder, {"": columns})
        self.series = fastk.open(root, "r").series(key)
        self.ts, self.value = load_columns(folder, ("ts", "value"))
        self._warm()

    def _warm(self) -> None:
        self.ascending = np.sort(self.value[self.value == self.value])  # without NaN
        touch((self.ts, self.value))
        for piece in self.series.range().segments:
            touch((piece.ts, piece[self.column]))

    def at_rank(self, share: float) -> Any:
        """The value that this share of all values lies below."""
        return self.ascending[int(share * (self.ascending.size - 1))].item()

    def found(self, condition: Condition, plan: Any = AUTO) -> list[Int64]:
        """The matches by FastK."""
        rows = self.series.where(self.column, condition, plan=plan).rows
        return [rows.ts, rows[self.column]]

    def raw_found(self, condition: Condition) -> list[Int64]:
        """The matches as a numpy user takes them."""
        mask = raw_mask(self.value, condition)
        return [self.ts[mask], self.value[mask]]


class Windows(Values):
    """Conditions on the rows between two times."""

    rows = 1_024

    def draw(self, rng: np.random.Generator) -> Window:
        """A condition that one row in a hundred meets, and where it is asked."""
        first = int(rng.integers(self.ts.size - self.rows))
        return Window(highest_percent(rng, self), int(self.ts[first]), int(self.ts[first + self.rows - 1]))

    def found(self, condition: Any, plan: Any = AUTO) -> list[Int64]:
        """The matches by FastK."""
        rows = self.series.where(self.column, *condition, plan=plan).rows
        return [rows.ts, rows[self.column]]

    def raw_found(self, condition: Any) -> list[Int64]:
        """The matches as a numpy user takes them."""
        low, high = self.ts.searchsorted(condition.start), self.ts.searchsorted(condition.end, "right")
        ts, value = self.ts[low:high], self.value[low:high]
        mask = raw_mask(value, condition.condition)
        return [ts[mask], value[mask]]


class Window(NamedTuple):
    """What is asked of the rows between two times, both included."""

    condition: Condition
    start: int
    end: int


def raw_mask(values: Int64, condition: Condition) -> Any:
    """The comparison that a numpy user writes."""
    match condition:
        case Gt(bound):
            return values > bound
        case Gte(bound):
            return values >= bound
        case Between(low, high):
            return (values >= low) & (values <= high)
        case Eq(value):
            return values == value
        case Ne(value):
            return values != value
        case InSet(members):
            return np.isin(values, members)
    raise AssertionError(condition)


# Conditions beside raw npy

Draw = Callable[[np.random.Generator, Any], Any]


def predicate(name: str, make: Make, draw: Draw, market: Market, rounds: int, calls: int = CALLS) -> Workload:
    """Conditions on one scalar series."""
    return conditions(name, Values(market, make), draw, rounds, calls)


def conditions(name: str, values: Values, draw: Draw, rounds: int, calls: int = CALLS) -> Workload:
    """New bounds in every call."""
    rng = np.random.default_rng(SEED + 4)

    def each(found: Callable[[Condition], list[Int64]], batch: list[Condition]) -> None:
        for condition in batch:
            found(condition)

    def proof(found: Callable[[Condition], list[Int64]], batch: list[Condition]) -> list[list[Int64]]:
        return [found(condition) for condition in batch]

    contenders = values.found, values.raw_found
    fastk_read, raw_read = (partial(each, found) for found in contenders)
    proofs = partial(proof, contenders[0]), partial(proof, contenders[1])
    batches = [[draw(rng, values) for _ in range(calls)] for _ in range(rounds)]
    return Workload(name, fastk_read, raw_read, batches, calls, proofs=proofs)


def highest_percent(rng: np.random.Generator, values: Values) -> Condition:
    return Gt(values.at_rank(0.99) + int(rng.integers(-1_000, 1_000)))


def thousandth(rng: np.random.Generator, values: Values) -> Condition:
    first = rng.uniform(0.4, 0.99)
    return Between(values.at_rank(first), values.at_rank(first + 0.001))


def in_windows(name: str, market: Market, rounds: int) -> Workload:
    """Few rows in short windows: what a strategy asks again and again."""
    return conditions(name, Windows(market, mixed), lambda rng, values: values.draw(rng), rounds)


def three_stored(rng: np.random.Generator, values: Values) -> Condition:
    return InSet([values.at_rank(share) for share in rng.uniform(0.4, 1, 3)])


QUERIES: dict[str, Build] = {
    name: partial(predicate, name, mixed, draw, calls=calls)
    for name, draw, calls in (
        ("where value > x, 1% match", highest_percent, CALLS),
        ("where value between, 0.1% match", thousandth, CALLS),
        ("where value == x, a third matches", lambda rng, values: Eq(0), CALLS),
        ("where value in 3 values", three_stored, CALLS),
        ("where value != x, two thirds match", lambda rng, values: Ne(0), CALLS),
        # One alone finds caches that another contender has filled with what is its own.
        ("where value between, 0.1% match, one alone", thousandth, 1),
        ("where value in 3 values, one alone", three_stored, 1),
    )
}
_SHORT = f"where value > x, 1% match, among {Windows.rows:,} rows"
QUERIES[_SHORT] = partial(in_windows, _SHORT)


# Plans


class PlanResult(NamedTuple):
    """Medians in us of one condition by each plan, forced and chosen, and by raw npy.

    ``beside_raw`` is the chosen plan's time divided by raw npy's, in turns of these two.
    """

    values: str
    share: float
    mode: str
    raw: float
    forced: dict[str, float]
    chosen: float
    beside_raw: float

    @property
    def ratio(self) -> float:
        """The chosen plan beside the best of the forced ones."""
        return self.chosen / min(self.forced.values())


def measure_plans(market: Market, rounds: int, modes: Sequence[str]) -> Iterator[PlanResult]:
    """Every clustering of values by every share of matches."""
    for name, make in CLUSTERINGS.items():
        values = Values(market, make)
        for share in SHARES:
            for mode in modes:
                yield measure_plan(values, name, share, mode, rounds)


def measure_plan(values: Values, name: str, share: float, mode: str, rounds: int) -> PlanResult:
    """One line of the matrix: all plans take turns, then the chosen one and raw npy, without the others to warm it."""
    condition = Gte(values.at_rank(1 - share))
    workloads = {plan: plan_workload(values, condition, plan, rounds) for plan in (*FORCED, AUTO)}
    use_kernels(mode)
    for workload in workloads.values():
        workload.check()
    contenders = {plan: partial(time_once, workload.fastk, as_given) for plan, workload in workloads.items()}
    medians = {plan: statistics.median(times) * 1e6 for plan, times in take_turns(contenders, range(rounds)).items()}
    beside = measure(workloads[AUTO], [mode])
    raw, chosen = beside.baselines[mode], medians.pop(AUTO)
    return PlanResult(name, share, mode, raw, medians, chosen, beside.fastk[mode] / raw)


def plan_workload(values: Values, condition: Condition, plan: str, rounds: int) -> Workload:
    return Workload(
        plan, lambda batch: values.found(condition, plan), lambda batch: values.raw_found(condition), range(rounds)
    )
