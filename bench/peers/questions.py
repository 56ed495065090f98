"""The questions: one declaration each, which every contestant that has the method answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench.data import MINUTE
from bench.lifecycle import DAY_ROWS, DAYS, START
from bench.measure import assert_same
from bench.peers.base import Condition, Contestant
from bench.peers.stage import Stage, cold, fresh, growing, reopened, thirty_days
from bench.peers.tables import FEATURES, Tables
from bench.reads import missing_ts, rows_across_months, rows_in_month, stored_ts
from bench.writes import APPENDED, bars_from

Query = tuple[Any, ...]
Draw = Callable[[Tables, np.random.Generator], Query]
Ask = Callable[[Contestant, Query], Any]
LATEST = 1_024
FOREVER = 7 * 10**12  # ms: the year 2191


def as_it_is(stage: Stage, query: Query) -> Contestant:
    """Ask the contestant that is open on the question's tables."""
    return stage.contestant


@dataclass(frozen=True)
class Question:
    """One line of the table.

    ``draw`` gives a new query from the tables. ``place`` gives the contestant to be asked, before the clock starts:
    one that is open and warm, if nothing else is said; then questions come in batches, otherwise one by one. ``ask``
    gives the answer; ``proof``, if given, what is compared in its place, after it.
    """

    title: str
    tables: str  # bars, values or features
    method: str  # what a contestant must have
    draw: Draw
    ask: Ask
    place: Callable[[Stage, Query], Contestant] = as_it_is
    proof: Ask | None = None
    same: Callable[[Any, Any], None] = assert_same
    rounds: int = 200

    @property
    def is_warm(self) -> bool:
        """Whether it is asked again and again, in batches."""
        return self.place is as_it_is


# Queries


def nothing(tables: Tables, rng: np.random.Generator) -> Query:
    return ()


def of_symbol(draw: Callable[[np.random.Generator, Any], Query]) -> Draw:
    """A random symbol, and one or two of its ts."""

    def drawn(tables: Tables, rng: np.random.Generator) -> Query:
        symbol = f"SYM{rng.integers(len(tables.bars))}USDT"
        return symbol, *draw(rng, tables.bars[symbol]["ts"])

    return drawn


def span_of(rows: int, draw: Callable[..., Query] = rows_in_month) -> Draw:
    """First and last ts of so many rows; fewer where a month has not so many."""

    def drawn(tables: Tables, rng: np.random.Generator) -> Query:
        fitting = min(rows, tables.size.rows_per_month)
        return of_symbol(partial(draw, fitting, tables.size.rows_per_month))(tables, rng)

    return drawn


def whole(tables: Tables, rng: np.random.Generator) -> Query:
    """All of a random symbol."""
    return of_symbol(lambda rng, ts: ())(tables, rng)


def everything(tables: Tables, rng: np.random.Generator) -> Query:
    return tuple(tables.bars)


def months(count: int) -> Draw:
    """All symbols, the first ts, and the last of so many months."""

    def drawn(tables: Tables, rng: np.random.Generator) -> Query:
        return list(tables.bars), int(tables.ts[0]), int(tables.ts[count * tables.size.rows_per_month - 1])

    return drawn


# Answers


def sum_of_close(store: Contestant, query: Query) -> int:
    symbol, start, end = query
    return int(store.column(symbol, "close", start, end).sum())


def all_columns(store: Contestant, query: Query) -> Any:
    return store.rows(*query)


def one_row(store: Any, query: Query) -> Any:
    return store.at(*query)


def row_as_list(store: Any, query: Query) -> Any:
    found = store.at(*query)
    return None if found is None else [int(value) for value in found]


def latest(store: Contestant, query: Query) -> int:
    return int(store.latest(query[0], "close", LATEST).sum())


def total(store: Contestant, query: Query) -> int:
    return store.total(query, "close")


def matrix(store: Any, query: Query) -> Any:
    symbols, start, end = query
    return store.matrix(symbols, FEATURES, start, end)


def replay(store: Any, query: Query) -> Any:
    return store.replay(query, "close")


def almost_same(found: Any, expected: Any) -> None:
    """Up to the last bit: polars multiplies by a reciprocal where the others divide. Row by row in memory."""
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, rtol=4e-16, atol=0)


READS = [
    Question("point, hit", "bars", "at", of_symbol(stored_ts), one_row, proof=row_as_list),
    Question("point, miss", "bars", "at", of_symbol(missing_ts), one_row, proof=row_as_list),
    *(
        Question(f"range {rows:,} rows, sum of close", "bars", "column", span_of(rows), sum_of_close)
        for rows in (16, 64, 256, 1_024)
    ),
    Question("range 1,024 rows, all six columns", "bars", "rows", span_of(1_024), all_columns),
    Question("range 4,096 rows across months, sum of close", "bars", "column", span_of(4_096, rows_across_months),
             sum_of_close),
    Question("range 16,384 rows, sum of close", "bars", "column", span_of(16_384), sum_of_close),
    Question("latest 1,024, sum of close", "bars", "latest", whole, latest),
    Question("full series, sum of close", "bars", "total", whole, total),
    Question("scan close of all symbols", "bars", "total", everything, total),
]  # fmt: skip


# Predicates


def conditions(clustering: str, make: Callable[[Tables, np.random.Generator], Condition]) -> Draw:
    return lambda tables, rng: (clustering, make(tables, rng))


def where(store: Any, query: Query) -> Any:
    return store.where(*query)


def above(clustering: str, share: float) -> Draw:
    """The highest values, in each query a little other ones."""

    def make(tables: Tables, rng: np.random.Generator) -> Condition:
        return Condition(">", (tables.at_rank(clustering, 1 - share * rng.uniform(0.9, 1.1)),))

    return conditions(clustering, make)


def within(clustering: str, share: float) -> Draw:
    """A band of values."""

    def make(tables: Tables, rng: np.random.Generator) -> Condition:
        first = rng.uniform(0.4, 0.99 - share)
        return Condition("between", (tables.at_rank(clustering, first), tables.at_rank(clustering, first + share)))

    return conditions(clustering, make)


def always(clustering: str, operator: str, *values: int) -> Draw:
    return conditions(clustering, lambda tables, rng: Condition(operator, values))


def three_stored(tables: Tables, rng: np.random.Generator) -> Condition:
    return Condition("in", tuple(tables.at_rank("mixed", share) for share in rng.uniform(0.4, 1, 3)))


PREDICATES = [
    Question(title, "values", "where", draw, where)
    for title, draw in {
        "value > x, 1% match, random": above("mixed", 0.01),
        "value between, 0.1% match, random": within("mixed", 0.001),
        "value == x, a third matches": always("mixed", "==", 0),
        "value in 3 values": conditions("mixed", three_stored),
        "value != x, two thirds match": always("mixed", "!=", 0),
        "value between, 1% match, random walk": within("walk", 0.01),
        "value between, 0.1% match, sorted runs": within("runs", 0.001),
        "value > x, 5% match, oscillator": above("oscillator", 0.05),
        "value == 1, ternary signal": always("ternary", "==", 1),
    }.items()
]

MATRICES = [
    Question(f"feature matrix, 20 features of each symbol, {text}", "features", "matrix", months(count), matrix,
             same=almost_same)
    for count, text in ((1, "one month"), (4, "all months"))
]  # fmt: skip

REPLAY = [Question("merged replay of all symbols: source, ts, close", "bars", "replay", everything, replay)]


# Opening


def rows_of(store: Contestant, query: Query) -> Any:
    store.open()
    return [store.count(table) for table in query]


def opened_sum(store: Contestant, query: Query) -> int:
    store.open()
    return sum_of_close(store, query)


def opened_row(store: Any, query: Query) -> Any:
    store.open()
    return row_as_list(store, query)


def opened_total(store: Contestant, query: Query) -> int:
    store.open()
    return total(store, query)


def opened(title: str, draw: Draw, ask: Ask, method: str, place: Any) -> Question:
    return Question(title, "bars", method, draw, ask, place, rounds=25)


OPENING = [
    opened("open and count the rows of one symbol", whole, rows_of, "count", reopened),
    opened("open and count the rows of all symbols", everything, rows_of, "count", reopened),
    opened("open, then 1,024 rows", span_of(1_024), opened_sum, "column", reopened),
]
COLD = [
    opened("cold: open, then one row", of_symbol(stored_ts), opened_row, "at", cold),
    opened("cold: open, then 1,024 rows", span_of(1_024), opened_sum, "column", cold),
    opened("cold: open, then sum a full series", whole, opened_total, "total", cold),
]


# Writing


def read_back(store: Contestant, tables: Iterable[str]) -> Any:
    """All that was written, by a contestant that was closed in between."""
    store.close()
    store.open()
    found = [store.rows(table, 0, FOREVER) for table in tables]
    store.close()
    return found


def write(store: Contestant, query: Query) -> None:
    store.write(query[0])


def written(store: Contestant, query: Query) -> Any:
    write(store, query)
    return read_back(store, query[0])


def append(store: Any, query: Query) -> None:
    store.append(*query)


def appended(store: Contestant, query: Query) -> Any:
    append(store, query)
    return read_back(store, query[:1])


def merge(store: Any, query: Query) -> None:
    store.merge(query[0])


def merged(store: Contestant, query: Query) -> Any:
    merge(store, query)
    return read_back(store, query[:1])


def next_bars() -> Draw:
    """64 bars behind the ones before; every contestant takes all of them in turn."""
    numbers = itertools.count()

    def drawn(tables: Tables, rng: np.random.Generator) -> Query:
        symbol, columns = next(iter(tables.half_month.items()))
        return symbol, bars_from(int(columns["ts"][-1]) + MINUTE * (1 + APPENDED * next(numbers)), APPENDED)

    return drawn


def days(tables: Tables, rng: np.random.Generator) -> Query:
    """A month of bars in pieces of a day."""
    return "SYM0USDT", [bars_from(START + day * DAY_ROWS * MINUTE, DAY_ROWS) for day in range(DAYS)]


WRITES = [
    Question("initial write, durable", "bars", "write", lambda tables, rng: (tables.bars,), write, fresh, written,
             rounds=5),
    Question("append 64 rows, durable", "bars", "append", next_bars(), append, growing, appended, rounds=60),
    Question("merge of a month in 30 pieces", "bars", "merge", days, merge, thirty_days, merged, rounds=5),
    Question("scalars, with indexes where there are any, durable", "values", "write",
             lambda tables, rng: (tables.values,), write, fresh, written, rounds=5),
]  # fmt: skip

GROUPS = {
    "reads": ("Reads", READS),
    "predicates": ("Predicates", PREDICATES),
    "matrices": ("Feature matrices", MATRICES),
    "replay": ("Replay", REPLAY),
    "opening": ("Opening", OPENING),
    "cold": ("Cold reads", COLD),
    "writes": ("Writes", WRITES),
}
