"""Many points or many ranges in one call give what as many single reads would, in the order asked."""

import gc
import itertools
from pathlib import Path
from weakref import ref

import numpy as np
import pytest
from builders import FIXED_FIXTURES, JANUARY, MINUTE, assert_rows, bars, part, temporary_store, trades, use_kernels
from hypothesis import given
from hypothesis import strategies as st

from fastk import InvalidData, InvalidInput, NotFound, Schema

TS = sorted([0, 1, 1, 5, 5, 5, 5, 9, 9, 12, 12, 12, 13, 20, 3_600_000, 3_600_000, 3_600_007, 7_200_000, 10_800_001])
CUTS = [0, 2, 5, 6, 8, 11, 13, 14, 17, len(TS)]
TIMES_OVER = (1, 5)  # few keys a chunk are taken one by one, many together
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
@given(KEYS, st.sampled_from(TIMES_OVER))
def test_many_points_are_many_single_reads(ticks, kernels, keys, times_over):
    keys = keys * times_over
    rows, found = ticks.at_many(np.array(keys, np.int64))
    single = [ticks.at(key) for key in keys]
    assert found.tolist() == [row is not None for row in single]
    assert list(rows) == [row for row in single if row is not None]
    assert rows.trade_id.tolist() == [TS.index(key) + 1 for key in keys if key in TS]


@pytest.mark.slow
@FIXED_FIXTURES
@given(
    st.lists(st.tuples(*[st.sampled_from(TS).flatmap(lambda ts: st.integers(ts - 1, ts + 1))] * 2)),
    st.sampled_from(TIMES_OVER),
)
def test_many_ranges_are_many_single_ranges(ticks, kernels, pairs, times_over):
    pairs = pairs * times_over
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


@pytest.fixture
def hours(kernels):
    """40 hour files, in a store that keeps 16 of them mapped, and one answer four."""
    with temporary_store(max_maps=16) as store:
        series = store.register_kline_series("HOURS", "1m", MINUTE, partition="hour")
        series.put(bars(JANUARY, 40 * 60))
        yield series


@pytest.mark.parametrize("files", [4, 5, 40])
@pytest.mark.parametrize("step", [1, 30])
def test_answers_from_more_files_than_stay_mapped(hours, files, step):
    columns = bars(JANUARY, 40 * 60)
    picked = np.random.default_rng(6).permutation(files * 60)[: files * 60 // step]
    asked = columns["ts"][picked]
    points = hours.at_many(asked)
    ranges = hours.ranges(asked, asked + 2 * MINUTE)
    for hour in range(40):
        hours.at(JANUARY + hour * 60 * MINUTE)  # the files asked before are let go
    assert_rows(points.rows, {name: column[picked] for name, column in columns.items()})
    rows = np.concatenate([np.arange(first, min(first + 3, 40 * 60)) for first in picked.tolist()])
    assert_rows(ranges.rows, {name: column[rows] for name, column in columns.items()})
    assert ranges[1].ts.tolist() == [ts for ts in (asked[1] + MINUTE * np.arange(3)).tolist() if ts in columns["ts"]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda series, ts: series.at_many(ts),
        lambda series, ts: series.ranges(ts, ts),
        lambda series, ts: series.ranges(ts[:1], ts[-1:]),
    ],
    ids=["points", "ranges", "one long range"],
)
@pytest.mark.parametrize("files", [1, 4, 5, 40])
def test_an_answer_keeps_a_quarter_of_the_maps_at_most(hours, ask, files):
    answer = ask(hours, JANUARY + np.arange(files) * 60 * MINUTE)
    mapped = hours._reader.snapshot.mapped
    references = [ref(chunk) for chunk in mapped.values()]
    hours._reader.snapshot.chunks.maps.clear()
    gc.collect()
    kept = sum(chunk() is not None for chunk in references)
    assert kept == (files if files <= 4 else 0)
    assert np.isin(JANUARY + np.arange(files) * 60 * MINUTE, answer.rows.ts).all()


def test_a_long_range_among_few(hours):
    end = JANUARY + 40 * 60 * MINUTE
    result = hours.ranges([JANUARY, JANUARY + 59 * MINUTE, 2**63 - 1], [end, JANUARY + 60 * MINUTE, 2**63 - 1])
    assert result.offsets.tolist() == [0, 2_400, 2_402, 2_402]
    assert result[1].ts.tolist() == [JANUARY + 59 * MINUTE, JANUARY + 60 * MINUTE]
    assert_rows(result[0], bars(JANUARY, 2_400))


@pytest.mark.parametrize("times_over", TIMES_OVER)
@pytest.mark.parametrize(
    "ask", [lambda series, ts: series.at_many(ts), lambda series, ts: series.ranges(ts, ts + MINUTE)]
)
def test_damage_in_a_touched_file_is_named_when_its_column_is_taken(kernels, ask, times_over):
    with temporary_store() as store:
        series = store.register_kline_series("DAMAGED", "1m", MINUTE, partition="hour")
        series.put(bars(JANUARY, 180))
        close = bars(JANUARY, 180)["close"][60:120].tobytes()
        (file,) = [path for path in Path(store.root).rglob("*.chunk") if close in path.read_bytes()]
        content = bytearray(file.read_bytes())
        content[content.index(close)] ^= 1
        file.write_bytes(content)
        asked = np.repeat(JANUARY + np.array([5, 65, 130]) * MINUTE, times_over)
        series.refresh()
        answer = ask(series, asked)
        assert np.isin(asked, answer.rows.ts).all()
        with pytest.raises(InvalidData, match="'close' is damaged in rows 0 to 59"):
            _ = answer.rows.close
        assert np.array_equal(
            ask(series, asked[asked != asked[times_over]]).rows.open[:1], bars(JANUARY, 6)["open"][5:]
        )


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
