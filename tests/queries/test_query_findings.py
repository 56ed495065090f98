"""Faults that queries once had: None as a value, times as bounds, empty windows, the ends of floats, large sets."""

from dataclasses import replace

import numpy as np
import pytest
from builders import JANUARY, MINUTE, bars, one_field, temporary_store
from hypothesis import given
from hypothesis import strategies as st

from fastk import Between, Eq, Gt, Gte, InSet, InvalidInput, Lt, Lte, Ne, NotFound, NotInSet, ScalarPredicateExpr
from fastk.query.expressions import ValuesOf
from fastk.query.values import value_set

TOP = 2**63 - 1


@pytest.fixture
def filled(klines):
    """A series of five bars, a minute apart."""
    klines.put(bars())
    return klines


def typed(store, dtype, values):
    """A series with one column of a dtype."""
    series = one_field(store, dtype)
    series.put({"ts": np.arange(len(values)), "x": np.array(values, dtype)})
    return series


# None

WITHOUT_A_VALUE = [
    *(form(None) for form in (Eq, Ne, Gt, Gte, Lt, Lte)),
    *(form([None]) for form in (InSet, NotInSet)),
    InSet([1, None]),
    InSet([None] * 100),
    Between(None, 5),
    Between(5, None),
    Between(None, None),
]


@pytest.mark.parametrize("condition", WITHOUT_A_VALUE, ids=repr)
@pytest.mark.parametrize("dtype", ["i8", "u8", "i1", "f8", "f4", "?"])
def test_none_is_no_value(store, dtype, condition):
    series = typed(store, dtype, [0, 1])
    for column in ("x", "ts"):
        with pytest.raises(InvalidInput, match=rf"column '{column}': .*None"):
            series.where(column, condition)


# Bounds that are times


@pytest.mark.parametrize(
    ("least", "greatest"),
    [
        ("2024-01-01T00:04Z", "2024-01-01T02:04+01:00"),  # as text, the first of them is the greater one
        ("2024-01-01T01:01+01:00", "2024-01-01T00:03Z"),
        ("2024-01-01T00:01", np.datetime64("2024-01-01T00:03")),
        (np.datetime64("2024-01-01T00:01"), JANUARY + 3 * MINUTE),
        ("20240101T0001", "2024-01-01T00:03"),
    ],
)
def test_times_as_bounds(filled, least, greatest):
    rows = filled.range(least, greatest)
    for condition in (Between(least, greatest), Between(least, greatest, inclusive=False)):
        found = filled.where("ts", condition).rows.ts
        assert found.tolist() == (rows.ts if condition.inclusive else rows.ts[1:-1]).tolist()


@pytest.mark.parametrize(
    ("least", "greatest"),
    [
        ("2024-01-01T00:03Z", "2024-01-01T01:02+01:00"),
        ("2024-01-01T00:03", np.datetime64("2024-01-01T00:01")),
        (JANUARY + 1, "2024-01-01"),
        (5, 4),
    ],
)
def test_times_as_reversed_bounds(filled, least, greatest):
    with pytest.raises(InvalidInput, match="Between needs min <= max"):
        filled.where("ts", Between(least, greatest))


def test_numbers_as_reversed_bounds_are_refused_before_the_series_is_missed(store):
    missing = store.kline("ETH", "1m")
    for bounds in [(5, 4), (5.0, 4), (np.int64(5), np.float32(4)), (2**70, 2**69)]:
        with pytest.raises(InvalidInput, match="Between needs min <= max"):
            store.find_scalar_points_by_predicate(store_key(), None, None, Between(*bounds))
    with pytest.raises(NotFound):
        missing.where("ts", Between("2024-02", "2024-01"))


def store_key():
    from fastk import feature_series_key

    return feature_series_key("BTC", "1m", "none")


def test_truth_values_as_reversed_bounds(store):
    series = typed(store, "?", [False, True])
    assert len(series.where("x", Between(False, True))) == 2
    with pytest.raises(InvalidInput, match="Between needs min <= max"):
        series.where("x", Between(True, False))


# Windows


@pytest.mark.parametrize(
    ("start", "end", "closed"),
    [
        ("2024-01-01T00:01", "2024-01-01T00:01", "left"),
        ("2024-01-01T00:01", "2024-01-01T00:01", "right"),
        ("2024-01-01T00:01", "2024-01-01T00:01", "neither"),
        (JANUARY, JANUARY + 1, "neither"),
        (None, -(2**63), "left"),
        (TOP, None, "right"),
        (TOP, TOP, "right"),
    ],
)
@pytest.mark.parametrize("plan", ["auto", "scan", "zones", "index"])
def test_an_empty_window_finds_nothing(filled, start, end, closed, plan):
    assert len(filled.range(start, end, closed=closed)) == 0
    found = filled.where("volume", Gt(1), start, end, closed=closed, plan=plan)
    assert len(found) == len(found.rows.ts) == found.stats.rows_matched == found.stats.chunks_considered == 0


@pytest.mark.parametrize("closed", ["both", "left", "neither"])
@pytest.mark.parametrize(
    ("start", "end"), [(5, 4), (np.int64(5), np.int64(4)), ("2024-01-01T00:00Z", "2024-01-01T00:00+01:00")]
)
def test_a_reversed_window_is_refused(filled, start, end, closed):
    with pytest.raises(InvalidInput, match=r"the query's start .* lies after its end"):
        filled.where("volume", Gt(1), start, end, closed=closed)


# The ends of floats


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_the_ends_of_floats(store, dtype):
    top = np.finfo(dtype).max
    series = typed(store, dtype, [-np.inf, -top, 0, top, np.inf])
    with np.errstate(all="raise"):
        assert series.where("x", Gt(top)).rows.ts.tolist() == [4]
        assert series.where("x", Lt(-top)).rows.ts.tolist() == [0]
        assert series.where("x", Between(-top, top, inclusive=False)).rows.ts.tolist() == [2]
        assert series.where("x", Gt(0)).rows.ts.tolist() == [3, 4]
        assert series.where("x", InSet([1e-300, *range(100), float(top)])).rows.ts.tolist() == [2, 3]


# Large sets


def singly(condition):
    """The same set, whose values are looked at one by one."""
    copy = replace(condition)
    object.__setattr__(copy, "numbers", None)
    return copy


def outcome(condition, settings):
    try:
        found = value_set(condition, settings, 1)
    except InvalidInput as refused:
        return str(refused)
    return [(low, high, low.dtype) for low, high in zip(*found.arrays, strict=True)], found.negated


INTEGERS = st.one_of(
    st.integers(-5, 20), st.integers(250, 260), st.integers(-(2**63), 2**63 - 1), st.sampled_from([-TOP - 1, TOP])
)
FLOATS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 0.1, 1e38, 1e39, 2.0**63]))
DTYPES = ["i1", "u1", "i4", "i8", "u8", "f4", "f8", "?"]


@pytest.fixture(scope="module")
def settings_of():
    with temporary_store() as store:
        yield {dtype: one_field(store, dtype).settings for dtype in DTYPES}


@given(
    dtype=st.sampled_from(DTYPES),
    form=st.sampled_from([InSet, NotInSet]),
    values=st.one_of(st.lists(INTEGERS, min_size=12), st.lists(FLOATS, min_size=12)),
    as_an_array=st.booleans(),
)
def test_many_values_mean_what_they_mean_singly(settings_of, dtype, form, values, as_an_array):
    condition = form(np.array(values) if as_an_array else values)
    assert condition.numbers is not None
    assert outcome(condition, settings_of[dtype]) == outcome(singly(condition), settings_of[dtype])


@pytest.mark.parametrize("numbers", ["i1", "i2", "i4", "i8", "u1", "u4", "u8", ">i8", ">f8", "f2", "f4", "f8", "g"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_any_numbers(settings_of, dtype, numbers):
    condition = InSet(np.arange(50).astype(numbers)[::-3])
    assert outcome(condition, settings_of[dtype]) == outcome(singly(condition), settings_of[dtype])


@pytest.mark.parametrize(
    "values",
    [
        [*range(20), 2**64],
        [*range(20), True],
        [*range(20), 0.5],
        [*range(20), np.int64(5)],
        [True, False] * 10,
        np.ma.masked_equal(np.arange(20), 3),
        np.arange(20).astype("m8[s]"),
        np.array([*range(20), 2**64 - 1], np.uint64),
        [*"abcdefghijklmnop"],
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_looked_at_singly(settings_of, dtype, values):
    condition = InSet(values)
    assert outcome(condition, settings_of[dtype]) == outcome(singly(condition), settings_of[dtype])


def test_large_sets_of_times(filled):
    ts = np.arange(100) * MINUTE + JANUARY + 2 * MINUTE
    assert filled.where("ts", InSet(ts)).rows.ts.tolist() == [JANUARY + row * MINUTE for row in (2, 3, 4)]
    assert len(filled.where("ts", NotInSet(ts.tolist()))) == 2
    with pytest.raises(InvalidInput, match=r"column 'ts': 0\.0 \(float\) is not a time"):
        filled.where("ts", InSet(np.arange(100.0)))


def test_a_set_keeps_what_it_was_given(filled):
    array = np.arange(100_000, 100_100)
    condition = InSet(array)
    array[:] = 0
    assert len(filled.where("volume", condition)) == 5
    assert condition == InSet(list(range(100_000, 100_100)))
    assert hash(condition) == hash(InSet(condition.values))
    assert condition.values[:2] == (100_000, 100_001)
    assert "numbers" not in repr(condition)
    assert isinstance(condition, ScalarPredicateExpr)
    assert isinstance(condition, ValuesOf)


@pytest.mark.parametrize("plan", ["auto", "scan", "zones", "index"])
@pytest.mark.parametrize("span", [3_000, 10**12])
def test_large_sets_find_what_numpy_finds(store, plan, span):
    random = np.random.default_rng(5)
    values = random.integers(-span, span, 20_000)
    series = store.register_kline_series("X", "1m", MINUTE, zone_maps=["volume"], value_indexes=["volume"])
    series.put({**bars(count=len(values)), "volume": values})
    wanted = np.concatenate([random.choice(values, 500), random.integers(-span, span, 500)])
    expected = np.isin(values, wanted)
    for condition, matches in ((InSet(wanted), expected), (NotInSet(wanted.tolist()), ~expected)):
        found = series.where("volume", condition, plan=plan).rows
        assert np.array_equal(found.ts, bars(count=len(values))["ts"][matches])


# NaN that signal, which neither fmin nor fmax passes over

BLOCK = 4_096


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("place", [slice(0, BLOCK), slice(1, 2 * BLOCK), slice(BLOCK - 1, BLOCK)], ids=str)
def test_signalling_nan_hide_no_row(kernels, store, dtype, place):
    values = np.zeros(3 * BLOCK, dtype)
    values[[0, BLOCK + 1, -1]] = 5, 7, -6
    bits = values.view(f"u{values.itemsize}")
    bits[place] = np.array(np.inf, dtype).view(bits.dtype) + 1
    series = typed(store, dtype, values)
    for condition, expected in ((Gt(4), values > 4), (Lt(-5), values < -5), (Ne(0), values != 0)):
        for plan in ("auto", "scan", "zones"):
            assert series.where("x", condition, plan=plan).rows.ts.tolist() == np.flatnonzero(expected).tolist()
