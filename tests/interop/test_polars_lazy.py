"""A LazyFrame over a series gives what polars makes of all its rows, and reads only what the query needs."""

import functools
import operator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from builders import FEBRUARY, JANUARY, MARCH, MINUTE, bars, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_stores import damage, three_months
from polars.testing import assert_frame_equal

import fastk
from fastk import InvalidData, Schema
from fastk.interop import arrow, polars_lazy
from fastk.query import candidates

FIELDS = [
    ("ts", "i8"),
    ("price", "i8", "price_scale"),
    ("small", "i1"),
    ("large", "u8"),
    ("f8", "f8"),
    ("f4", "f4"),
    ("yes", "?"),
    ("text", "S2"),
]
NUMBERS = [-3.5, -1.0, -0.0, 0.0, 0.1, 0.5, 1.0, 2.0, 7.25, float("inf"), float("-inf"), float("nan")]
COUNT = 60


@functools.cache
def columns():
    """Rows with few values, NaN among them, so that conditions meet some."""
    random = np.random.default_rng(7)
    return {
        "ts": JANUARY + np.arange(COUNT) * 36 * 3_600_000 // 2,
        "price": random.integers(-300, 300, COUNT),
        "small": random.integers(-4, 5, COUNT).astype("i1"),
        "large": random.choice(np.array([0, 1, 2, 2**63, 2**64 - 1], "u8"), COUNT),
        "f8": random.choice(np.array(NUMBERS), COUNT),
        "f4": random.choice(np.array(NUMBERS, "f4"), COUNT),
        "yes": random.integers(0, 2, COUNT).astype(bool),
        "text": random.choice(np.array([b"a", b"bc", b""]), COUNT),
    }


@pytest.fixture(scope="module", params=["plain", "zones and indexes"])
def series(request):
    """Five chunks: without sidecars, their rows come all or none; with some, those that match are gathered."""
    names = ["price", "small", "f8", "f4"] if request.param != "plain" else []
    with pytest.MonkeyPatch.context() as patch, temporary_store() as store:
        patch.setattr(candidates, "_FEW", 1 if names else 8)
        schema = Schema("mixed", FIELDS, zone_maps=names, value_indexes=names)
        handle = store.register_series(("X", "own", "mixed"), schema, scales={"price_scale": 100})
        for low in range(0, COUNT, 15):
            handle.append({name: column[low : low + 15] for name, column in columns().items()}, zone_rows=4)
        yield handle


def moments():
    around = [datetime(2024, 1, day, hour, tzinfo=UTC) for day in (1, 7, 31) for hour in (0, 18)]
    finer = [moment + timedelta(microseconds=shift) for moment in around for shift in (-1, 1)]
    return st.sampled_from([*around, *finer])


VALUES = {
    "ts": moments(),
    "price": st.integers(-320, 320) | st.sampled_from([-(2**63), 2**63 - 1, 2**63, 0.5, -2.25]),
    "small": st.integers(-6, 6) | st.sampled_from([-129, 200, 10**12, 1.5]),
    "large": st.sampled_from([0, 1, 2, 2**63, 2**64 - 1, -1]),
    "f8": st.sampled_from([*NUMBERS, 3, -2]),
    "f4": st.sampled_from([*NUMBERS, 3, -2, 1e300]),
}
DECODED = {"price": st.sampled_from([-3.2, -1.0, 0, 0.01, 0.29, 1, 2.999999, 1e30, float("nan"), float("inf")])}
COMPARISONS = (operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne)


@st.composite
def comparisons(draw, values):
    name = draw(st.sampled_from(sorted(values)))
    column, value = pl.col(name), values[name]
    kind = draw(st.sampled_from(["compare", "compare", "mirrored", "between", "in", "other"]))
    if kind == "compare":
        return draw(st.sampled_from(COMPARISONS))(column, draw(value))
    if kind == "mirrored":
        return draw(st.sampled_from(COMPARISONS))(pl.lit(draw(value)), column)
    if kind == "between":
        closed = draw(st.sampled_from(["both", "left", "right", "none"]))
        return column.is_between(draw(value), draw(value), closed=closed)
    if kind == "in":
        members = draw(st.lists(value, max_size=4))
        alike = [member for member in members if type(member) is type(members[0])]
        listed = pl.Series(alike, strict=False)
        return column.is_in(
            pl.lit(listed).implode() if name in ("large", "price") or draw(st.booleans()) else listed.to_list()
        )
    return draw(
        st.sampled_from([pl.col("yes"), pl.col("small") % 2 == 0, pl.col("f8").is_nan(), pl.col("text") == b"a"])
    )


def conditions(values):
    both = st.sampled_from([operator.and_, operator.and_, operator.and_, operator.or_])
    joined = lambda inner: st.builds(lambda join, left, right: join(left, right), both, inner, inner)  # noqa: E731
    return st.recursive(comparisons(values), lambda inner: joined(inner) | inner.map(operator.invert), max_leaves=4)


def outcome(frame, engine):
    """The rows, or the error that polars makes of the query: types that do not compare, say."""
    try:
        return frame.collect(engine=engine)
    except pl.exceptions.PolarsError as error:
        return type(error)


@pytest.mark.slow
@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
@given(data=st.data())
@settings(max_examples=120)
def test_nothing_depends_on_what_is_pushed_down(series, decoded, engine, data):
    values = VALUES | (DECODED if decoded else {})
    steps = data.draw(st.lists(st.sampled_from(["filter", "filter", "head", "select", "slice", "tail"]), max_size=4))
    lazy, plain = series.lazy(decoded=decoded), series.range().to_polars(decoded=decoded).lazy()
    for step in steps:
        if step == "filter":
            condition = data.draw(conditions(values))
            lazy, plain = lazy.filter(condition), plain.filter(condition)
        elif step == "select":
            names = data.draw(st.permutations([field[0] for field in FIELDS]))
            kept = [
                *names[: data.draw(st.integers(4, 8))],
                *("price", "small", "f8", "ts", "f4", "large", "yes", "text"),
            ]
            lazy, plain = lazy.select(list(dict.fromkeys(kept))), plain.select(list(dict.fromkeys(kept)))
        else:
            count = data.draw(st.integers(0, 20))
            lazy, plain = (getattr(frame, step)(*([3] if step == "slice" else []), count) for frame in (lazy, plain))
    found, expected = outcome(lazy, engine), outcome(plain, engine)
    if isinstance(expected, pl.DataFrame):
        assert_frame_equal(found, expected)
    else:
        assert found == expected


@pytest.fixture
def demands(monkeypatch):
    """The windows and conditions that reach the planner."""
    seen = []
    plan = polars_lazy.candidates

    def watched(snapshot, asked, start, end):
        seen.append(((start, end), asked))
        return plan(snapshot, asked, start, end)

    monkeypatch.setattr(polars_lazy, "candidates", watched)
    return seen


FIRST = datetime(2024, 1, 1, tzinfo=UTC)
CLOSE = pl.col("close")
TS = pl.col("ts")
ALL_TIME = (-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("condition", "window", "asked"),
    [
        (TS >= FIRST, (JANUARY, 2**63 - 1), []),
        (pl.datetime(2024, 2, 1, time_zone="UTC") > TS, (-(2**63), FEBRUARY), []),
        (TS.is_between(FIRST, datetime(2024, 2, 1, tzinfo=UTC)), (JANUARY, FEBRUARY), []),
        (FIRST + timedelta(microseconds=500) == TS, (JANUARY, JANUARY), []),
        (TS.is_in([FIRST, datetime(2024, 3, 1, tzinfo=UTC)]), (JANUARY, MARCH), [(0, fastk.InSet([JANUARY, MARCH]))]),
        ((CLOSE > 5) & (CLOSE <= 9) & (TS >= FIRST), (JANUARY, 2**63 - 1), [(4, fastk.Between(5, 9))]),
        (CLOSE.is_in([3, 1]) & (pl.col("open") == 4), ALL_TIME, [(4, fastk.InSet([3, 1])), (4, (1, 3)), (1, (4, 4))]),
        (pl.lit(7) > CLOSE, ALL_TIME, [(4, fastk.Between(-(2**63), 7))]),
        ((CLOSE > 5) | (TS >= FIRST), ALL_TIME, []),
        ((CLOSE + 1 > 5) & (CLOSE != 4) & CLOSE.is_not_null(), ALL_TIME, []),
    ],
    ids=str,
)
def test_what_reaches_the_planner(demands, condition, window, asked):
    with three_months() as (_, bitcoin):
        bitcoin.lazy().filter(condition).collect()
    ((found_window, found),) = demands
    asked = [(place, fastk.Between(*each) if isinstance(each, tuple) else each) for place, each in asked]
    assert tuple(found_window) == window
    assert sorted(found, key=repr) == sorted(asked, key=repr)


@pytest.mark.parametrize(("unit", "factor"), [("us", 1_000), ("ns", 1_000_000)])
def test_times_reach_the_planner_in_the_unit_of_the_series(demands, unit, factor):
    with temporary_store() as store:
        series = store.register_series(("X", "own", unit), Schema("t", [("ts", "i8")]), time_unit=unit)
        series.put({"ts": JANUARY * factor + np.arange(5)})
        found = series.lazy().filter(TS >= FIRST).select(TS.dt.epoch("ns").last()).collect().item()
        assert found == (JANUARY * factor + 4) * (1_000_000 // factor)
    assert demands[0][0][0] == JANUARY * factor


def test_a_column_compared_with_as_many_values_is_left_to_polars(demands):
    values = pl.Series([2_000_000] + 13 * [0])
    with three_months() as (_, bitcoin):
        found = bitcoin.lazy().filter(values < CLOSE).collect()
        assert_frame_equal(found, bitcoin.range().to_polars().filter(values < CLOSE))
    assert all(asked == [] for _, asked in demands)


def test_natural_units_reach_the_planner_as_stored_integers(demands):
    with three_months() as (_, bitcoin):
        found = bitcoin.lazy(decoded=True).filter(CLOSE.is_between(10.11, 10.31)).collect()
    ((_, ((_, bounds),)),) = demands
    assert found["close"].to_list() == [10.11, 10.21, 10.31]
    assert (bounds.min, bounds.max) in [(1010, 1032), (1010, 1031), (1011, 1032), (1011, 1031)]


def test_large_stored_integers_that_decode_to_one_float_are_all_found():
    """Beyond 2**53 many integers do: the bounds that reach the planner hold them all."""
    with temporary_store() as store:
        schema = Schema("large", [("ts", "i8"), ("price", "i8", "price_scale")])
        series = store.register_series(("X", "own", "large"), schema, scales={"price_scale": 100})
        series.put({"ts": np.arange(4_001), "price": 2**62 + np.arange(-2_000, 2_001)})
        everything = series.range().to_polars(decoded=True)
        for value in everything["price"].unique():
            for condition in (pl.col("price") == value, pl.col("price") >= value, pl.col("price") <= value):
                assert_frame_equal(series.lazy(decoded=True).filter(condition).collect(), everything.filter(condition))


def test_nan_is_above_all_numbers_as_in_polars(demands):
    with temporary_store() as store:
        series = store.register_series(("X", "own", "f"), Schema("f", [("ts", "i8"), ("f", "f8")]))
        series.put({"ts": [1, 2, 3], "f": [1.0, float("nan"), 3.0]})
        assert series.lazy().filter(pl.col("f") > 2).select("ts").collect()["ts"].dt.epoch("ms").to_list() == [2, 3]
        assert demands[0][1]


def test_conditions_that_exclude_each_other_read_nothing(demands):
    with three_months() as (_, bitcoin):
        assert bitcoin.lazy().filter((CLOSE > 5) & (CLOSE < 3)).collect().shape == (0, 6)
        assert demands == []
        assert bitcoin.lazy().filter(CLOSE.is_in([])).collect().shape == (0, 6)


def test_columns_that_a_query_does_not_need_are_not_read():
    with three_months() as (store, bitcoin):
        damage(store, "volume", 120_001)
        with fastk.open(store.root, mode="r") as again:
            lazy = again.series(bitcoin.key).lazy()
            assert lazy.filter(CLOSE > 1_000).select("ts", "high").collect().height == 14
            with pytest.raises(InvalidData, match="column 'volume' is damaged"):
                lazy.select("volume").collect()


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_chunks_beyond_the_window_and_the_limit_are_not_read(engine):
    with three_months() as (store, bitcoin):
        damage(store, "close", 1_061)  # the last row of January
        with fastk.open(store.root, mode="r") as again:
            lazy = again.series(bitcoin.key).lazy()
            assert lazy.filter(datetime(2024, 2, 1, tzinfo=UTC) <= TS).collect(engine=engine).height == 7
            with pytest.raises(InvalidData):
                lazy.collect(engine=engine)
    with three_months() as (store, bitcoin):
        damage(store, "close", 11_041)  # the last row of February
        with fastk.open(store.root, mode="r") as again:
            assert again.series(bitcoin.key).lazy().head(6).collect(engine=engine).height == 6


def test_the_plan_tells_the_series_its_columns_and_the_condition():
    with three_months() as (_, bitcoin):
        plan = bitcoin.lazy().filter(CLOSE > 5).select("ts", "high").explain()
        assert "fastk" in plan
        assert "BTC/kline/1m" in plan
        assert "PROJECT 3/6" in plan
        assert "SELECTION" in plan


def test_a_lazy_frame_keeps_its_snapshot():
    with three_months() as (_, bitcoin):
        lazy = fastk.polars.scan(bitcoin)
        bitcoin.put(bars(MARCH + 9 * MINUTE, 1))
        assert lazy.collect().height == 14
        assert bitcoin.lazy().collect().height == 15


def test_batches_are_no_longer_than_polars_asks(monkeypatch):
    with three_months() as (_, bitcoin):
        frames = list(polars_lazy._Source(bitcoin._reader.snapshot, False)(["ts"], None, None, 3))
        assert [frame.height for frame in frames] == [3, 3, 1, 3, 2, 2]
        assert all(frame.columns == ["ts"] for frame in frames)


def test_small_files_come_together_and_large_ones_as_they_are(monkeypatch):
    with three_months() as (_, bitcoin):  # of 7, 5 and 2 rows
        heights = lambda: [  # noqa: E731
            frame.height for frame in polars_lazy._Source(bitcoin._reader.snapshot, False)(None, None, None, None)
        ]
        assert heights() == [14]
        monkeypatch.setattr(arrow, "_JOINED_ROWS", 7)
        assert heights() == [7, 7]
        monkeypatch.setattr(arrow, "_JOINED_ROWS", 6)
        assert heights() == [7, 5, 2]


@given(pieces=st.lists(st.integers(1, 9).map(range)), rows=st.integers(1, 20), count=st.integers(1, 4))
def test_groups_hold_all_pieces_in_order_and_no_more_than_they_may(pieces, rows, count):
    groups = list(arrow.together(pieces, rows, count))
    assert [piece for group in groups for piece in group] == pieces
    assert all(len(group) == 1 or sum(map(len, group)) <= rows for group in groups)
    assert all(1 <= len(group) <= count for group in groups)
    for group, following in pairwise(groups):
        assert len(group) == count or sum(map(len, group)) + len(following[0]) > rows
