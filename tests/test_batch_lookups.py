"""Many points or many ranges in one call give what as many single reads would, in the order asked."""

import itertools

import numpy as np
import pytest
from builders import FIXED_FIXTURES, JANUARY, MINUTE, assert_rows, bars, part, temporary_store, trades, use_kernels
from hypothesis import given
from hypothesis import strategies as st

from fastk import InvalidInput, NotFound, Schema

TS = sorted([0, 1, 1, 5, 5, 5, 5, 9, 9, 12, 12, 12, 13, 20, 3_600_000, 3_600_000, 3_600_007, 7_200_000, 10_800_001])
CUTS = [0, 2, 5, 6, 8, 11, 13, 14, 17, len(TS)]
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "S1", "S7"]


@pytest.fixture(params=["plain", "compiled"])
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param


@pytest.fixture(scope="module")
def store():
    with temporary_store() as opened:
        yield opened


@pytest.fixture(scope="module")
def ticks(store):
    """A series in many chunks whose borders lie between equal timestamps."""
    series = store.register_trade_series("BTC", "many")
    columns = trades(TS)
    for start, stop in itertools.pairwise(CUTS):
        series.put(part(columns, start, stop))
    return series


@pytest.fixture(scope="module")
def wide(store):
    """Every dtype side by side, in three partitions and four chunks of several blocks."""
    schema = Schema("wide", [("ts", "i8"), *((f"c{place}", dtype) for place, dtype in enumerate(DTYPES))])
    series = store.register_series(("X", "own", "wide"), schema)
    columns = wide_columns()
    for start, stop in ((0, 10_000), (10_000, 11_000), (11_000, 12_000)):
        series.put(part(columns, start, stop))
    return series


def wide_columns():
    random = np.random.default_rng(5)
    columns = {"ts": JANUARY + np.arange(12_000) * 7 * MINUTE}
    for place, dtype in enumerate(DTYPES):
        kind = np.dtype(dtype)
        values = random.integers(0, 250 if kind.kind != "i" else 120, 12_000)
        columns[f"c{place}"] = (values % 2).astype(bool) if dtype == "?" else values.astype(kind)
    columns["c10"][::100] = np.nan
    return columns


KEYS = st.lists(st.sampled_from(TS).flatmap(lambda ts: st.integers(ts - 1, ts + 1)) | st.integers(-(2**63), 2**63 - 1))


@FIXED_FIXTURES
@given(KEYS)
def test_many_points_are_many_single_reads(ticks, kernels, keys):
    rows, found = ticks.at_many(np.array(keys, np.int64))
    single = [ticks.at(key) for key in keys]
    assert found.tolist() == [row is not None for row in single]
    assert list(rows) == [row for row in single if row is not None]
    assert rows.trade_id.tolist() == [TS.index(key) + 1 for key in keys if key in TS]


@pytest.mark.slow
@FIXED_FIXTURES
@given(st.lists(st.tuples(*[st.sampled_from(TS).flatmap(lambda ts: st.integers(ts - 1, ts + 1))] * 2)))
def test_many_ranges_are_many_single_ranges(ticks, kernels, pairs):
    starts, ends = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    result = ticks.ranges(starts, ends)
    single = [ticks.range(start, end) for start, end in pairs]
    assert len(result) == len(pairs)
    assert result.offsets.tolist() == np.cumsum([0, *map(len, single)]).tolist()
    for place, (rows, expected) in enumerate(zip(result, single, strict=True)):
        assert rows.trade_id.tolist() == expected.trade_id.tolist()
        assert result[place].ts.tolist() == result[place - len(result)].ts.tolist() == expected.ts.tolist()
    assert result.rows.ts.tolist() == [ts for rows in single for ts in rows.ts.tolist()]


def test_points_of_every_dtype(wide, kernels):
    columns = wide_columns()
    picked = np.random.default_rng(1).integers(0, 12_000, 3_000)
    rows, found = wide.at_many(columns["ts"][picked])
    assert found.all()
    assert_rows(rows, {name: column[picked] for name, column in columns.items()})


def test_ranges_of_every_dtype(wide, kernels):
    columns = wide_columns()
    starts = np.random.default_rng(2).integers(0, 12_000, 200)
    stops = np.minimum(starts + np.random.default_rng(3).integers(0, 1_500, 200), 11_999)
    result = wide.ranges(columns["ts"][starts], columns["ts"][stops])
    picked = np.concatenate([np.arange(start, stop + 1) for start, stop in zip(starts, stops, strict=True)])
    assert_rows(result.rows, {name: column[picked] for name, column in columns.items()})
    assert_rows(result[7], part(columns, starts[7], stops[7] + 1))


def test_short_and_long_ranges_together(wide, kernels):
    ts = wide_columns()["ts"]
    result = wide.ranges([ts[0], ts[5], ts[0], ts[9_990]], [ts[-1], ts[5], ts[0] - 1, ts[10_010]])
    assert [len(rows) for rows in result] == [12_000, 1, 0, 21]
    assert result[0].ts.tolist() == ts.tolist()
    assert result[3].ts.tolist() == ts[9_990:10_011].tolist()


def test_points_asked_twice_unsorted_and_absent(wide, kernels):
    columns = wide_columns()
    ts = columns["ts"]
    asked = [ts[11_999], 5, ts[0], ts[0], ts[0] + 1, ts[10_000], ts[9_999], 2**62, ts[11_999]]
    rows, found = wide.at_many(asked)
    assert found.tolist() == [True, False, True, True, False, True, True, False, True]
    assert_rows(rows, {name: column[[11_999, 0, 0, 10_000, 9_999, 11_999]] for name, column in columns.items()})


def test_the_answer_names_its_parts(ticks, kernels):
    matches = ticks.at_many([1, 2, 5])
    assert (matches.rows.ts.tolist(), matches.found.tolist()) == ([1, 5], [True, False, True])
    assert matches.found.dtype == bool
    assert matches.rows[0] == ticks.at(1)
    assert matches.rows.decoded("price").tolist() == [50_001.0, 50_003.0]


@pytest.mark.parametrize(
    "keys",
    [
        [1, 5],
        (1, 5),
        np.array([1, 5], np.int8),
        np.array([1, 5], np.uint64),
        np.array([1, 5], ">i8"),
        np.array([1, 9, 5])[::2],
        np.array([5, 1])[::-1],
        np.array([1, 5], object),
        np.array([1, 5], "M8[ms]"),
        np.array([1_000, 5_000], "M8[us]"),
        ["1970-01-01T00:00:00.001", "1970-01-01T00:00:00.005Z"],
        [np.datetime64(1, "ms"), 5],
    ],
    ids=repr,
)
def test_keys_in_every_spelling(ticks, kernels, keys):
    assert ticks.at_many(keys).rows.trade_id.tolist() == [2, 4]
    assert ticks.ranges(keys, keys).offsets.tolist() == [0, 2, 6]


def test_keys_are_left_alone_and_may_be_read_only(ticks, kernels):
    keys = np.array([9, 1, 5])
    keys.flags.writeable = False
    assert ticks.at_many(keys).rows.ts.tolist() == [9, 1, 5]
    assert ticks.ranges(keys, keys).rows.ts.tolist() == [9, 9, 1, 1, 5, 5, 5, 5]
    writable = np.array([9, 1, 5])
    ticks.at_many(writable)
    assert writable.flags.writeable
    assert writable.tolist() == [9, 1, 5]


@pytest.mark.parametrize("keys", [[], (), np.empty(0, np.int64), np.empty(0), np.empty(0, "M8[ns]")], ids=repr)
def test_no_keys(ticks, kernels, keys):
    rows, found = ticks.at_many(keys)
    assert (len(rows), found.shape, found.dtype) == (0, (0,), bool)
    result = ticks.ranges(keys, keys)
    assert (len(result), list(result), len(result.rows)) == (0, [], 0)
    assert rows.trade_id.dtype == np.int64


def test_no_key_is_found(ticks, kernels):
    rows, found = ticks.at_many([2, 3, -5, 2**62])
    assert not found.any()
    assert_rows(rows, part(trades([1]), 0, 0))


def test_a_series_without_rows(store, kernels):
    series = store.register_kline_series("EMPTY", kernels, MINUTE)
    rows, found = series.at_many([1, 2])
    assert found.tolist() == [False, False]
    assert_rows(rows, part(bars(), 0, 0))
    result = series.ranges([1, 5], [3, 2])
    assert result.offsets.tolist() == [0, 0, 0]
    assert_rows(result[1], part(bars(), 0, 0))


@pytest.mark.parametrize(
    "keys", [5, "2024", [1.0], [True], [None], [[1]], [[1], [1, 2]], np.array(["NaT"], "M8[ms]"), [2**63]], ids=repr
)
def test_keys_that_are_no_times_are_refused(ticks, keys):
    with pytest.raises(InvalidInput):
        ticks.at_many(keys)
    with pytest.raises(InvalidInput):
        ticks.ranges(keys, [1])


def test_as_many_starts_as_ends(ticks):
    with pytest.raises(InvalidInput, match="as many starts as ends, not 2 and 3"):
        ticks.ranges([1, 2], [1, 2, 3])


def test_a_range_that_was_not_asked(ticks):
    result = ticks.ranges([1, 5], [1, 5])
    for index in (2, -3, 10**30):
        with pytest.raises(IndexError, match="of 2"):
            result[index]


def test_a_range_may_end_before_it_starts(ticks, kernels):
    result = ticks.ranges([9, 5, 20], [5, 9, -1])
    assert [len(rows) for rows in result] == [0, 6, 0]
    assert result.offsets.tolist() == [0, 0, 6, 6]


def test_the_widest_bounds(ticks, kernels):
    low, high = -(2**63), 2**63 - 1
    assert ticks.ranges([low, high, low], [high, high, low]).offsets.tolist() == [0, len(TS), len(TS), len(TS)]
    assert ticks.at_many([low, high]).found.tolist() == [False, False]


def test_a_missing_series(store):
    absent = store.kline("ABSENT", "1m")
    with pytest.raises(NotFound):
        absent.at_many([1])
    with pytest.raises(NotFound):
        absent.ranges([1], [1])


def test_answers_belong_to_their_snapshot(store, kernels):
    series = store.register_kline_series("MOVES", kernels, MINUTE)
    series.put(bars(JANUARY, 5))
    rows, _ = series.at_many(bars(JANUARY, 5)["ts"])
    result = series.ranges([JANUARY], [JANUARY + 10 * MINUTE])
    series.put(bars(JANUARY + 5 * MINUTE, 5))
    assert_rows(rows, bars(JANUARY, 5))
    assert_rows(result.rows, bars(JANUARY, 5))
    assert series.at_many(bars(JANUARY, 10)["ts"]).found.all()


@pytest.mark.slow
def test_more_than_a_thousand_chunks(store, kernels):
    series = store.register_kline_series("HOURS", kernels, MINUTE, partition="hour")
    columns = bars(JANUARY, 1_500, 3_600_000)
    series.put(columns)
    picked = np.random.default_rng(4).permutation(1_500)
    assert_rows(series.at_many(columns["ts"][picked]).rows, {name: each[picked] for name, each in columns.items()})
    result = series.ranges(columns["ts"][::7], columns["ts"][::7] + 3 * 3_600_000)
    assert [rows.ts[0] for rows in result] == columns["ts"][::7].tolist()
    assert len(result[100]) == 4
