"""The workloads that read. Queries go to random symbols; every batch is new to both contenders, and the files warm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.data import CLOSE, MINUTE, NAMES, SEED, Market
from bench.measure import Workload

CALLS = 50
POINTS = 10_000
RANGES, RANGE_ROWS = 1_000, 64
LATEST = 1_024

Query = tuple[int, ...]  # the place of the symbol, then one or two ts
Build = Callable[[Market, int], Workload]


def batches_of(market: Market, rounds: int, draw: Callable[[np.random.Generator, Any], Query]) -> list[list[Query]]:
    """As many batches of random queries as there are rounds; ``draw`` gives the ts of a query from a ts column."""
    rng = np.random.default_rng(SEED + 1)
    places = rng.integers(0, len(market.symbols), (rounds, CALLS)).tolist()
    return [[(place, *draw(rng, market.raw[place].ts)) for place in batch] for batch in places]


# Points


def points(name: str, draw: Callable[[np.random.Generator, Any], Query], market: Market, rounds: int) -> Workload:
    """Single rows by their ts."""
    series, raw = market.series, market.raw

    def fastk_read(batch: list[Query]) -> list[Any]:
        return [series[place].at(ts) for place, ts in batch]

    def raw_read(batch: list[Query]) -> list[Any]:
        return [raw[place].at(ts) for place, ts in batch]

    def fastk_proof(batch: list[Query]) -> list[Any]:
        return [row and list(row) for row in fastk_read(batch)]

    batches = batches_of(market, rounds, draw)
    return Workload(name, fastk_read, raw_read, batches, CALLS, proofs=(fastk_proof, raw_read))


def stored_ts(rng: np.random.Generator, ts: Any) -> Query:
    """The ts of a random row."""
    return (int(ts[rng.integers(ts.size)]),)


def missing_ts(rng: np.random.Generator, ts: Any) -> Query:
    """A random minute of the grid that has no row."""
    gaps = np.flatnonzero(np.diff(ts) > MINUTE)
    return (int(ts[gaps[rng.integers(gaps.size)]]) + MINUTE,)


# Ranges


def rows_in_month(rows: int, rows_per_month: int, rng: np.random.Generator, ts: Any) -> Query:
    """First and last ts of so many rows of one month."""
    month = int(rng.integers(ts.size // rows_per_month))
    first = month * rows_per_month + int(rng.integers(rows_per_month - rows + 1))
    return int(ts[first]), int(ts[first + rows - 1])


def rows_across_months(rows: int, rows_per_month: int, rng: np.random.Generator, ts: Any) -> Query:
    """First and last ts of so many rows that lie in two months."""
    border = rows_per_month * int(rng.integers(1, ts.size // rows_per_month))
    first = border - int(rng.integers(1, rows))
    return int(ts[first]), int(ts[first + rows - 1])


def range_proofs(market: Market) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both answers to ranges in full: every column."""

    def fastk_proof(batch: list[Query]) -> list[Any]:
        answers = [market.series[place].range(start, end) for place, start, end in batch]
        return [[rows[name] for name in NAMES] for rows in answers]

    def raw_proof(batch: list[Query]) -> list[Any]:
        return [market.raw[place].range(start, end) for place, start, end in batch]

    return fastk_proof, raw_proof


def range_sums(name: str, draw: Any, market: Market, rounds: int) -> Workload:
    """Ranges of which the caller sums one column."""
    series, raw = market.series, market.raw

    def fastk_read(batch: list[Query]) -> list[Any]:
        return [series[place].range(start, end).close.sum() for place, start, end in batch]

    def raw_read(batch: list[Query]) -> list[Any]:
        return [raw[place].range(start, end)[CLOSE].sum() for place, start, end in batch]

    draw = partial(draw, market.rows_per_month)
    return Workload(name, fastk_read, raw_read, batches_of(market, rounds, draw), CALLS, proofs=range_proofs(market))


def sum_with_all_columns(rows: Any) -> Any:
    """Take all six columns, and sum one."""
    rows.ts, rows.open, rows.high, rows.low, rows.volume  # noqa: B018
    return rows.close.sum()


def range_all_columns(name: str, draw: Any, market: Market, rounds: int) -> Workload:
    """Ranges of which the caller takes all columns."""
    plain = range_sums(name, draw, market, rounds)
    series = market.series

    def fastk_read(batch: list[Query]) -> list[Any]:
        return [sum_with_all_columns(series[place].range(start, end)) for place, start, end in batch]

    return Workload(name, fastk_read, plain.baseline, plain.batches, CALLS, proofs=plain.proofs)


def across_segments(name: str, rows: int, market: Market, rounds: int) -> Workload:
    """Ranges across months, summed piece by piece without a copy."""
    plain = range_sums(name, partial(rows_across_months, rows), market, rounds)
    series = market.series

    def fastk_read(batch: list[Query]) -> list[Any]:
        return [
            sum(piece.close.sum() for piece in series[place].range(start, end).segments) for place, start, end in batch
        ]

    return Workload(name, fastk_read, plain.baseline, plain.batches, CALLS)


# Whole series


def whole_series(name: str, read: Callable[[Any], Any], market: Market, rounds: int) -> Workload:
    """All rows of one symbol between its first and last ts."""
    series, raw = market.series, market.raw
    spans = [(place, int(each.ts[0]), int(each.ts[-1])) for place, each in enumerate(raw)]

    def fastk_read(query: Query) -> Any:
        place, start, end = query
        return read(series[place].range(start, end))

    def raw_read(query: Query) -> Any:
        place, start, end = query
        return raw[place].range(start, end)[CLOSE].sum()

    return Workload(name, fastk_read, raw_read, [spans[turn % len(spans)] for turn in range(rounds)])


def sum_of_segments(rows: Any) -> Any:
    """Sum of close piece by piece."""
    return sum(piece.close.sum() for piece in rows.segments)


def sum_of_joined(rows: Any) -> Any:
    """Sum of close as one array, which is a copy where the rows lie in several chunks."""
    return rows.close.sum()


def latest(market: Market, rounds: int) -> Workload:
    """The last rows of a series."""
    series, raw = market.series, market.raw
    queries = batches_of(market, rounds, lambda rng, ts: ())

    def fastk_read(batch: list[Query]) -> list[Any]:
        return [series[place].latest(LATEST).close.sum() for (place,) in batch]

    def raw_read(batch: list[Query]) -> list[Any]:
        return [raw[place].latest(LATEST)[CLOSE].sum() for (place,) in batch]

    return Workload(f"latest {LATEST:,}, sum of close", fastk_read, raw_read, queries, CALLS)


def scan(market: Market, rounds: int) -> Workload:
    """One column of everything."""

    def fastk_read(batch: Any) -> list[Any]:
        return [sum_of_segments(series.range()) for series in market.series]

    def raw_read(batch: Any) -> list[Any]:
        return [series.columns[CLOSE].sum() for series in market.raw]

    return Workload("scan close of all symbols", fastk_read, raw_read, range(rounds))


# Batches


def many_points(name: str, order: Callable[[Any], Any], market: Market, rounds: int) -> Workload:
    """Random minutes of the months, most of them stored, in one call: which there are, and their close."""
    rng = np.random.default_rng(SEED + 2)

    def draw(place: int) -> tuple[int, Any]:
        ts = market.raw[place].ts
        return place, order(int(ts[0]) + MINUTE * rng.integers(0, (ts[-1] - ts[0]) // MINUTE, POINTS))

    def fastk_read(query: tuple[int, Any]) -> list[Any]:
        rows, found = market.series[query[0]].at_many(query[1])
        return [found, rows.close]

    def raw_read(query: tuple[int, Any]) -> list[Any]:
        raw, keys = market.raw[query[0]], query[1]
        rows = np.searchsorted(raw.ts, keys)
        found = raw.ts[np.minimum(rows, len(raw.ts) - 1)] == keys
        return [found, raw.columns[CLOSE][rows[found]]]

    queries = [draw(turn % len(market.symbols)) for turn in range(rounds)]
    return Workload(name, fastk_read, raw_read, queries, POINTS)


def many_ranges(market: Market, rounds: int) -> Workload:
    """Many ranges in one call, their close one after the other."""
    rng = np.random.default_rng(SEED + 3)

    def draw(place: int) -> tuple[int, Any, Any]:
        ts = market.raw[place].ts
        first = rng.integers(0, ts.size - RANGE_ROWS, RANGES)
        return place, ts[first], ts[first + RANGE_ROWS - 1]

    def fastk_read(query: tuple[int, Any, Any]) -> list[Any]:
        result = market.series[query[0]].ranges(query[1], query[2])
        return [result.offsets, result.rows.close]

    def raw_read(query: tuple[int, Any, Any]) -> list[Any]:
        raw = market.raw[query[0]]
        low, high = np.searchsorted(raw.ts, query[1]), np.searchsorted(raw.ts, query[2], side="right")
        offsets = np.append(0, np.cumsum(high - low))
        pieces = [raw.columns[CLOSE][first:last] for first, last in zip(low, high, strict=True)]
        return [offsets, np.concatenate(pieces)]

    queries = [draw(turn % len(market.symbols)) for turn in range(rounds)]
    return Workload(f"ranges, {RANGES:,} of {RANGE_ROWS} rows, each", fastk_read, raw_read, queries, RANGES)


def named(name: str, build: Callable[..., Workload], *arguments: Any) -> dict[str, Build]:
    """One entry of the list below."""
    return {name: partial(build, name, *arguments)}


READS: dict[str, Build] = {
    **named("point, hit", points, stored_ts),
    **named("point, miss", points, missing_ts),
    **{
        name: build
        for rows in (16, 64, 256, 1_024)
        for name, build in named(f"range {rows:,} rows, sum of close", range_sums, partial(rows_in_month, rows)).items()
    },
    **{
        name: build
        for rows in (16, 64, 256, 1_024)
        for name, build in named(
            f"range {rows:,} rows, all six columns taken", range_all_columns, partial(rows_in_month, rows)
        ).items()
    },
    **named("range 4,096 rows across months, sum of close", range_sums, partial(rows_across_months, 4_096)),
    **named("range 4,096 rows across months, over segments", across_segments, 4_096),
    **named("full series, sum of close over segments", whole_series, sum_of_segments),
    **named("full series, sum of close concatenated", whole_series, sum_of_joined),
    "latest 1,024, sum of close": latest,
    "scan close of all symbols": scan,
    **named("at_many, 10,000 random timestamps, each", many_points, np.asarray),
    **named("at_many, 10,000 ascending timestamps, each", many_points, np.sort),
    "ranges, 1,000 of 64 rows, each": many_ranges,
}
