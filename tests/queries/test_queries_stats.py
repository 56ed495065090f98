"""Each number of a query's stats is what its docstring says: counted again from the rows, by chunk and by block.

Which steps a chunk took is the planner's affair and is overheard; what they looked at is worked out here.
"""

import itertools
from collections import Counter

import numpy as np
import pytest
from builders import DAY, FIXED_FIXTURES, HOUR, JANUARY, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from query_calls import PLANS, columns_of, satisfies, values_schema

import fastk
from fastk import Between, Eq, Gt, Gte, InSet, Lt, Lte, Ne, NotInSet, ScalarPredicateQueryStats
from fastk.query.planner import Step
from fastk.query.stats import ScalarIndexKind as Kind

SPACE = 1_000  # between two rows, so that a window may lie within a chunk and hold none
ZONE_ROWS = (10, 64, 256, 7)
COARSE_ROWS = 4_096
VALUES = 50  # all are below


def pieces():
    """Chunks of small integers: random, ascending, in runs, constant, of several blocks of 4,096 rows, of one row."""
    random = np.random.default_rng(3)
    return [
        random.integers(0, VALUES, 300),
        np.sort(random.integers(0, VALUES, 400)),
        np.repeat(random.integers(0, VALUES, 12), 25),
        np.full(90, 17),
        np.sort(random.integers(0, VALUES, 9_000)),
        np.arange(5_000) % 3 + np.arange(5_000) // 1_024 * 10,
        np.array([21]),
    ]


class Chunk:
    """The rows of one chunk, and the rows of a block in its zone maps."""

    def __init__(self, ts, values, zone_rows):
        self.ts, self.values, self.zone_rows = ts, values, zone_rows


@pytest.fixture(scope="module")
def stored():
    """A series of many chunks in several hours, and what is in each."""
    chunks, first = [], 0
    with temporary_store() as store:
        series = store.register_series(("X", "own", "stats"), values_schema("i2"))
        for values, zone_rows in zip(pieces(), itertools.cycle(ZONE_ROWS), strict=False):
            ts = first + SPACE * np.arange(len(values))
            series.append(columns_of(ts, values), zone_rows=zone_rows)
            hours = np.flatnonzero(np.diff(ts // HOUR)) + 1
            chunks += [
                Chunk(*part, zone_rows) for part in zip(np.split(ts, hours), np.split(values, hours), strict=True)
            ]
            first = ts[-1] + SPACE
        assert [meta.count for meta in series.chunk_inventory()] == [len(chunk.ts) for chunk in chunks]
        yield series, chunks


class Recount:
    """The stats of a query by their definitions."""

    def __init__(self, condition, plan, column, steps):
        self.column = column
        self.answers = np.array([satisfies(value, condition) for value in range(VALUES)], bool)
        self.negated = isinstance(condition, Ne | NotInSet)
        self.spans = plan in ("auto", "zones")
        self.at_once = any("at once" in each for each in steps)
        self.steps = iter(steps)
        self.counts, self.helped = Counter(), set()
        self.fallback = False

    def decided(self, values):
        """Whether least and greatest value decide: all integers between them satisfy the condition, or none does.

        Where indexes are asked of all chunks at once, they also answer where all do.
        """
        answers = self.answers[values.min() : values.max() + 1]
        return not answers.any() or (answers.all() and not self.at_once)

    def add(self, chunk, start, end):
        """Count a chunk whose span touches the window."""
        self.counts["chunks_considered"] += 1
        inside = (chunk.ts >= start) & (chunk.ts <= end)
        self.counts["rows_matched"] += np.count_nonzero(self.answers[chunk.values[inside]])
        if not inside.any():
            self.counts["chunks_pruned"] += 1
        elif self.spans and self.decided(chunk.values):
            self.counts["chunks_pruned"] += 1
            self.helped.add("zones")
        else:
            self.search(chunk, inside, next(self.steps))

    def search(self, chunk, inside, steps):
        if steps[-1] in (Step.PROBE, Step.MARK):
            self.counts["chunks_scanned"] += 1
            # For Ne and NotInSet it is asked for the rows that do not match.
            self.counts["rows_checked"] += np.count_nonzero(self.answers[chunk.values[inside]] != self.negated)
            self.helped.add("index")
            return
        compared = self.blocks(chunk, inside) if Step.PRUNE in steps else np.count_nonzero(inside)
        self.counts["chunks_scanned" if steps[-1] is Step.SCAN else "chunks_pruned"] += 1
        assert (compared > 0) == (steps[-1] is Step.SCAN)
        self.counts["rows_checked"] += compared
        self.fallback |= compared == np.count_nonzero(inside)

    def blocks(self, chunk, inside):
        """Count the blocks with rows in the window, and give the rows that they leave open."""
        size, compared = chunk.zone_rows if self.column == "value" else COARSE_ROWS, 0
        for first in range(0, len(chunk.ts), size):
            rows = slice(first, first + size)
            if not inside[rows].any():
                continue
            self.counts["blocks_considered"] += 1
            if self.decided(chunk.values[rows]):
                self.counts["blocks_pruned"] += 1
                self.helped.add("zones")
            else:
                self.counts["blocks_scanned"] += 1
                compared += np.count_nonzero(inside[rows])
        return compared

    def stats(self):
        assert next(self.steps, None) is None
        kinds = {(): Kind.FULL_SCAN, ("index",): Kind.VALUE_INDEX, ("zones",): Kind.ZONE_MAP}
        used = kinds.get(tuple(sorted(self.helped)), Kind.ZONE_MAP_AND_VALUE_INDEX)
        considered = bool(self.counts["chunks_considered"])
        return ScalarPredicateQueryStats(
            **self.counts, index_used=used if considered else None, fallback_scan=self.fallback
        )


BOUNDS = st.integers(-2, 52)
SETS = st.lists(BOUNDS, max_size=4) | st.lists(BOUNDS, min_size=20, max_size=40)
CONDITIONS = st.one_of(
    *(BOUNDS.map(form) for form in (Eq, Ne, Gt, Gte, Lt, Lte)),
    st.builds(lambda pair, inclusive: Between(*sorted(pair), inclusive), st.tuples(BOUNDS, BOUNDS), st.booleans()),
    SETS.map(InSet),
    SETS.map(NotInSet),
)
LAST = SPACE * sum(map(len, pieces()))
TIMES = st.integers(-5, LAST + 5) | st.integers(0, LAST // SPACE).map(lambda row: row * SPACE)
LENGTHS = st.integers(0, 2 * SPACE) | st.integers(0, LAST)
WINDOWS = st.just((-5, LAST)) | st.tuples(TIMES, LENGTHS).map(lambda drawn: (drawn[0], sum(drawn)))


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=40)
@given(condition=CONDITIONS, window=WINDOWS, column=st.sampled_from(["value", "plain"]))
def test_every_number_on_every_plan(stored, kernels, steps, condition, window, column):
    series, chunks = stored
    for plan in PLANS:
        found = series.where(column, condition, *window, plan=plan).stats
        recount = Recount(condition, plan, column, steps())
        for chunk in chunks:
            if chunk.ts[0] <= window[1] and chunk.ts[-1] >= window[0]:
                recount.add(chunk, *window)
        assert found == recount.stats(), plan
        assert found.chunks_considered == found.chunks_pruned + found.chunks_scanned
        assert found.blocks_considered == found.blocks_pruned + found.blocks_scanned


class TestIndexUsed:
    """What answered any part of a query."""

    ROWS = 80_000  # of a day: enough for an index to pay

    @pytest.fixture
    def series(self, store):
        """Two days: on the first, values grow; on the second, each of 0 to 9,999 stands anywhere."""
        series = store.register_series(("X", "own", "days"), values_schema(partition="day"))
        seconds = np.arange(self.ROWS)
        series.put(columns_of(JANUARY + seconds * 1_000, seconds + 20_000))
        series.put(columns_of(JANUARY + DAY + seconds * 1_000, seconds * 7_919 % 10_000))
        return series

    def used(self, series, condition, *window, column="value", plan="auto"):
        return series.where(column, condition, *window, plan=plan).stats.index_used

    def test_is_none_where_no_chunk_was_considered(self, series):
        assert self.used(series, Gt(0), "2025-01-01") is None
        assert self.used(series, Gt(0), JANUARY - DAY, JANUARY - 1) is None

    @pytest.mark.slow
    def test_of_a_window_without_rows_is_nothing_but_comparing(self, series):
        found = series.where("value", Gt(0), JANUARY + 1, JANUARY + 2)
        assert found.stats == ScalarPredicateQueryStats(1, 0, 1, index_used=Kind.FULL_SCAN)

    @pytest.mark.slow
    def test_counts_the_zones_of_the_header(self, series):
        assert self.used(series, Gt(15_000), column="plain") is Kind.ZONE_MAP
        assert self.used(series, Gt(15_000), plan="scan") is Kind.FULL_SCAN

    @pytest.mark.slow
    def test_names_both_where_each_answered_a_part(self, series):
        assert self.used(series, Eq(500)) is Kind.ZONE_MAP_AND_VALUE_INDEX
        assert self.used(series, Eq(500), "2024-01-02") is Kind.VALUE_INDEX
        assert self.used(series, Eq(500), plan="index") is Kind.VALUE_INDEX
        assert self.used(series, Eq(500), plan="zones") is Kind.ZONE_MAP
        assert self.used(series, Eq(500), "2024-01-02", plan="zones") is Kind.FULL_SCAN

    @pytest.mark.slow
    def test_counts_an_index_that_named_no_row(self, series):
        found = series.where("value", Between(12_000, 19_000), plan="index").stats
        assert (found.rows_checked, found.rows_matched, found.index_used) == (0, 0, Kind.VALUE_INDEX)
        found = series.where("value", Ne(-5), plan="index").stats
        assert (found.rows_checked, found.rows_matched, found.index_used) == (0, 2 * self.ROWS, Kind.VALUE_INDEX)


class TestFallbackScan:
    """Whether in some chunk every row of the window was compared."""

    def test_one_chunk_is_enough(self, store):
        series = store.register_series(("X", "own", "two"), values_schema(value_indexes=[]))
        series.put(columns_of([0, 1], [1, 2]))
        series.put(columns_of([HOUR, HOUR + 1], [1, 9]))
        assert not series.where("value", Lt(1)).stats.fallback_scan
        assert series.where("value", Gt(2)).stats.fallback_scan
        assert not series.where("value", Gt(2), 0, 1).stats.fallback_scan
        assert series.where("value", Gt(2), plan="index").stats.index_used is not Kind.VALUE_INDEX

    def test_not_if_zones_decided_about_a_block(self, store):
        series = store.register_series(("X", "own", "blocks"), values_schema(value_indexes=[]))
        series.put(columns_of(range(30), range(30)), zone_rows=10)
        found = series.where("value", Gt(15), plan="zones").stats
        assert (found.blocks_scanned, found.rows_checked, found.fallback_scan) == (1, 10, False)
        found = series.where("value", Gt(15), 12, 14, plan="zones").stats
        assert (found.blocks_scanned, found.rows_checked, found.fallback_scan) == (1, 3, True)


def ascending_series(store, rows):
    series = store.register_series(("X", "own", "long"), values_schema(partition="month"))
    series.put(columns_of(range(rows), np.arange(rows) // 256))
    return series


def test_a_long_chunk_is_pruned_by_its_zones_though_its_index_was_asked_first(store, steps):
    """The index would name half of the rows; all zones decide."""
    found = ascending_series(store, 256 * 800).where("value", Gte(400)).stats
    assert steps() == [[Step.PROBE, Step.PRUNE]]
    assert found == ScalarPredicateQueryStats(1, 0, 1, 800, 0, 800, 0, 256 * 400, Kind.ZONE_MAP)


def test_a_short_chunk_is_compared_where_the_indexes_name_many_rows(store, steps):
    """A look at its zones would cost about what comparing costs."""
    found = ascending_series(store, 256 * 200).where("value", Gte(100)).stats
    assert steps() == [[Step.SCAN]]
    assert (found.rows_checked, found.rows_matched, found.index_used) == (256 * 200, 256 * 100, Kind.FULL_SCAN)


def test_nan_is_in_no_zone(store):
    series = store.register_series(("X", "own", "nan"), values_schema("f8"))
    series.put(columns_of([0, 1], [np.nan, np.nan]))
    series.put(columns_of([HOUR, HOUR + 1], [np.nan, 5.0]))
    for condition, pruned, matched in (
        (Gt(0), 1, 1),  # NaN alone satisfies nothing; beside 5 it must be told apart
        (Gt(9), 2, 0),
        (Ne(5), 1, 3),
        (Ne(9), 2, 4),
    ):
        for plan in ("auto", "zones"):
            found = series.where("value", condition, plan=plan).stats
            assert (found.chunks_pruned, found.rows_matched) == (pruned, matched), condition


def test_stats_do_not_depend_on_what_is_taken_of_the_rows(klines):
    klines.put({name: np.arange(10) for name in fastk.KLINE.names})
    found = klines.where("volume", Gt(5))
    before = found.stats
    assert found.rows.close.tolist() == [6, 7, 8, 9]
    assert found.stats == before
