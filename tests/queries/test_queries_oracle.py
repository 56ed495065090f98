"""Every condition on every dtype gives the rows that plain python gives, on every plan, with either set of kernels."""

import itertools
import math
from contextlib import nullcontext

import numpy as np
import pytest
from builders import FIXED_FIXTURES, HOUR, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from query_calls import PLANS, columns_of, reopened, satisfies, values_schema

from fastk import Between, Eq, Gt, Gte, InSet, Lt, Lte, Ne, NotInSet

DTYPES = [np.dtype(code) for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")]
INT64 = -(2**63), 2**63 - 1
CLOSED = {
    "both": lambda ts, start, end: start <= ts <= end,
    "left": lambda ts, start, end: start <= ts < end,
    "right": lambda ts, start, end: start < ts <= end,
    "neither": lambda ts, start, end: start < ts < end,
}


def pool_of(dtype):
    """The values of a column: some neighbours, and all that is special."""
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        special = [math.nan, math.inf, -math.inf, 0.0, -0.0, limits.smallest_subnormal, limits.max, limits.min, 0.1]
        return np.array([*special, *range(-3, 12), 0.5, 2.0**53], dtype).tolist()
    limits = np.iinfo(dtype)
    return [limits.min, limits.min + 1, *range(max(limits.min, -3), 12), limits.max - 1, limits.max]


def bounds_of(dtype):
    """What a column may be compared with: its values, their neighbours, and numbers that it cannot hold."""
    pool = [value for value in pool_of(dtype) if value == value]
    if dtype.kind == "f":
        beside = np.nextafter(np.array(pool, dtype), dtype.type(0)).tolist()
        return st.sampled_from([*pool, *beside, 0.1, 0.3, 7, -1, 2**53 + 1])
    most = max(INT64[1], np.iinfo(dtype).max if dtype.kind == "u" else 1)
    numbers = sorted({number for value in pool for number in range(int(value) - 1, int(value) + 2)} | {*INT64, most})
    inside = [number for number in numbers if INT64[0] <= number <= most]
    return st.sampled_from([*inside, False, True] if dtype.kind == "b" else inside)


def between(draw, bounds, convert):
    least, greatest = sorted([draw(bounds), draw(bounds)], key=convert)
    return Between(least, greatest, inclusive=draw(st.booleans()))


def conditions_of(dtype):
    """All nine forms; sets of any size, beyond that up to which all ranges are compared with each row."""
    bounds, convert = bounds_of(dtype), conversion(dtype)
    sets = st.lists(bounds, max_size=5) | st.lists(st.integers(0, 120), min_size=40, max_size=120)
    simple = [bounds.map(form) for form in (Eq, Ne, Gt, Gte, Lt, Lte)]
    return st.one_of(*simple, st.composite(between)(bounds, convert), sets.map(InSet), sets.map(NotInSet))


def conversion(dtype):
    """Bounds of a float column become floats of its size first; all other numbers are compared as they are."""
    return (lambda bound: dtype.type(bound).item()) if dtype.kind == "f" else lambda bound: bound


class Table:
    """The rows of a series, and which of them a condition and a window select."""

    def __init__(self, ts, values):
        self.columns = {name: np.asarray(column) for name, column in columns_of(ts, values).items()}
        self.unique, self.inverse = np.unique(values, return_inverse=True)
        self.ts = np.unique(ts)

    def rows(self, condition, start, end, closed):
        convert = conversion(self.unique.dtype)
        matches = np.array([satisfies(value, condition, convert) for value in self.unique.tolist()], bool)
        low, high = -math.inf if start is None else start, math.inf if end is None else end
        # An end that is left open excludes nothing.
        inside = np.array([CLOSED[closed](ts, low, high) for ts in self.ts.tolist()], bool)
        return np.flatnonzero(matches[self.inverse] & inside[np.searchsorted(self.ts, self.columns["ts"])])


def put(series, ts, values, cuts, zone_rows):
    """Store rows by one put from cut to cut."""
    table = Table(ts, values)
    for size, (start, stop) in zip(itertools.cycle(zone_rows), itertools.pairwise(cuts), strict=False):
        series.append({name: column[start:stop] for name, column in table.columns.items()}, zone_rows=size)
    return table


def pieces_of(dtype):
    """Chunks of every kind: at random, in runs, ascending, constant, of NaN alone, of one row, of several blocks."""
    random, pool = np.random.default_rng(5), np.array(pool_of(dtype), dtype)
    return [
        random.choice(pool, 150),
        np.repeat(random.choice(pool, 12), 20),
        np.sort(random.choice(pool, 90)),
        np.full(70, pool[-1]),
        np.full(40, pool[0]),
        pool[:1],
        np.tile(pool, 2),
        np.repeat(random.choice(pool, 90), 100),
    ]


@pytest.fixture(scope="module")
def stored():
    """A series and its rows for each dtype, made when it is first asked for."""
    with temporary_store() as store:
        made = {}

        def of(dtype):
            if dtype not in made:
                pieces = pieces_of(dtype)
                cuts = np.cumsum([0, *map(len, pieces)])
                # Three rows a ts, so that chunks end between rows of one. An hour ends with every third piece.
                first = np.arange(cuts[-1]) // 3
                ts = first + HOUR * np.searchsorted(cuts[3::3], 3 * first, "right")
                series = store.register_series(("X", "own", str(dtype)), values_schema(dtype))
                made[dtype] = store, series, put(series, ts, np.concatenate(pieces), cuts, [7, 64, 256, 20])
                assert len(series.chunk_inventory()) >= len(pieces)
            return made[dtype]

        yield of


def check(series, table, column, condition, window):
    """The same rows on every plan, every column of them right."""
    start, end, closed = window
    expected = table.rows(condition, *window)
    for plan in PLANS:
        result = series.where(column, condition, start, end, closed=closed, plan=plan)
        assert len(result) == len(result.rows) == result.stats.rows_matched == len(expected)
        for name, whole in table.columns.items():
            found = result.rows[name]
            assert found.dtype == series.schema.dtype[name]
            np.testing.assert_array_equal(found, whole[expected], f"{plan}: {name}")


def windows(ts):
    """Open, partial, empty and far away; never reversed."""
    near = st.sampled_from(ts).flatmap(lambda place: st.integers(place - 1, place + 1))
    bounds = st.none() | near | st.sampled_from([*INT64, -(10**30), 10**30])
    pairs = st.tuples(bounds, bounds).map(lambda pair: pair if None in pair else sorted(pair))
    return st.tuples(pairs, st.sampled_from(list(CLOSED))).map(lambda drawn: (*drawn[0], drawn[1]))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(FIXED_FIXTURES, max_examples=10)
@given(data=st.data())
def test_every_plan_gives_the_rows_that_match(stored, kernels, dtype, data):
    store, series, table = stored(dtype)
    condition, window = data.draw(conditions_of(dtype)), data.draw(windows(table.ts))
    column, fresh = data.draw(st.sampled_from(["value", "plain"])), data.draw(st.booleans())
    with reopened(store, series.key) if fresh else nullcontext(series) as asked:
        check(asked, table, column, condition, window)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(FIXED_FIXTURES, max_examples=100)
@given(data=st.data())
def test_every_plan_gives_the_rows_that_match_for_longer(stored, kernels, dtype, data):
    _, series, table = stored(dtype)
    column = data.draw(st.sampled_from(["value", "plain"]))
    check(series, table, column, data.draw(conditions_of(dtype)), data.draw(windows(table.ts)))


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=20)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), zone_rows=st.integers(1, 9))
def test_any_rows_in_any_chunks(kernels, data, dtype, zone_rows):
    """One chunk a put: hypothesis picks values, times and borders."""
    values = np.array(data.draw(st.lists(st.sampled_from(pool_of(dtype)), min_size=1, max_size=40)), dtype)
    ts = np.cumsum(data.draw(st.lists(st.sampled_from([0, 0, 1, HOUR]), min_size=len(values), max_size=len(values))))
    cuts = sorted({0, len(values), *data.draw(st.lists(st.integers(0, len(values)), max_size=3))})
    with temporary_store() as store:
        series = store.register_series(("X", "own", "any"), values_schema(dtype))
        table = put(series, ts, values, cuts, [zone_rows])
        for _ in range(3):
            window = data.draw(windows(table.ts))
            check(series, table, "value", data.draw(conditions_of(dtype)), window)


def test_times_are_a_column_too(stored, kernels):
    _, series, table = stored(np.dtype("i4"))
    for condition in (
        Gt(200),
        Lte(HOUR),
        Between(HOUR, 2 * HOUR),
        InSet([3, 3 + HOUR, 10**9]),
        Ne(0),
        Eq(table.ts[70]),
    ):
        expected = [row for row, ts in enumerate(table.columns["ts"].tolist()) if satisfies(ts, condition)]
        for plan in PLANS:
            assert series.where("ts", condition, plan=plan).rows.number.tolist() == expected


def test_the_times_of_a_condition_may_be_spelled_in_any_way(stored, kernels):
    _, series, table = stored(np.dtype("i4"))
    early, late = "19700101T000000Z", "1970-01-01T03:00+02:00"  # as text, the earlier one is the greater
    found = series.where("ts", Between(early, late)).rows
    assert found.number.tolist() == np.flatnonzero(table.columns["ts"] <= HOUR).tolist()
    assert len(series.where("ts", Gte("1970-01-01T01:00"), "1970-01-01T01:00Z", np.datetime64("1970-01-02"))) > 0


def test_values_of_numpy_are_numbers_as_those_of_python(stored):
    _, series, _ = stored(np.dtype("i4"))
    for wanted, same in (
        (Eq(np.int8(5)), Eq(5)),
        (Between(np.uint64(3), np.int16(7)), Between(3, 7)),
        (InSet(np.array([1, 2, 3], np.uint8)), InSet([1, 2, 3])),
        (NotInSet(range(3)), NotInSet((2, 1, 0))),
        (InSet(number for number in (4, 5)), InSet({4, 5})),
    ):
        assert series.where("value", wanted).rows.number.tolist() == series.where("value", same).rows.number.tolist()


def test_what_comes_before_the_least_and_behind_the_greatest_number(stored, kernels):
    _, series, table = stored(np.dtype("f8"))
    for condition in (Gt(np.finfo("f8").max), Gte(math.inf), Eq(math.inf)):
        assert set(series.where("value", condition).rows.value.tolist()) == {math.inf}
    for condition in (Lt(np.finfo("f8").min), Lte(-math.inf)):
        assert set(series.where("value", condition).rows.value.tolist()) == {-math.inf}
    assert len(series.where("value", Gt(math.inf))) == len(series.where("value", Lt(-math.inf))) == 0
    everything = len(series.where("value", Gte(-math.inf))) + np.count_nonzero(np.isnan(table.columns["value"]))
    assert everything == len(series)


def test_zeros_of_both_signs_are_one_value(stored, kernels):
    _, series, table = stored(np.dtype("f4"))
    zeros = np.flatnonzero(table.columns["value"] == 0)
    for condition in (Eq(0.0), Eq(-0.0), InSet([-0.0, 0]), Between(-0.0, 0.0), Between(0.0, -0.0)):
        for plan in PLANS:
            assert series.where("value", condition, plan=plan).rows.number.tolist() == zeros.tolist()
