"""Ranges, latest rows and single rows, against plain numpy on the whole series, with either set of kernels."""

import datetime as dt
import itertools
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from builders import DAY, FEBRUARY, FIXED_FIXTURES, HOUR, JANUARY, MINUTE, bars, temporary_store, trades, use_kernels
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk import InvalidData, InvalidInput, NotFound
from fastk.engine import mapped

TS = sorted([0, 1, 1, 5, 5, 5, 5, 9, 9, 12, 12, 12, 13, 20, 3_600_000, 3_600_000, 3_600_007, 7_200_000, 10_800_001])
CUTS = [0, 2, 5, 6, 8, 11, 13, 14, 17, len(TS)]  # chunk borders, some of them between rows of equal ts
BLOCKS = (4096 * 2 + 100, 3)  # rows of the large chunk, and how many of them share a ts
CLOSED = {
    "both": ("left", "right"),
    "left": ("left", "left"),
    "right": ("right", "right"),
    "neither": ("right", "left"),
}


@pytest.fixture(scope="module")
def store():
    with temporary_store() as opened:
        yield opened


@pytest.fixture(scope="module")
def ticks(store):
    """A small series in many chunks whose borders lie between equal timestamps."""
    series = store.register_trade_series("BTC", "many")
    columns = trades(TS)
    for start, stop in itertools.pairwise(CUTS):
        series.put({name: column[start:stop] for name, column in columns.items()})
    return series


@pytest.fixture(scope="module")
def large(store):
    """One chunk of several blocks, the rows of a ts lying on both sides of a block's border."""
    rows, share = BLOCKS
    series = store.register_trade_series("BTC", "large")
    series.put(trades(np.arange(rows) // share * 2))
    return series


@pytest.fixture(params=["plain", "compiled"])
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param


@pytest.fixture(params=["whole", "by blocks"])
def search(request, monkeypatch):
    """Search a timestamp column whole, or only the block that the index names."""
    if request.param == "by blocks":
        monkeypatch.setattr(mapped, "WHOLE_SEARCH_BYTES", 0)
    return request.param


@contextmanager
def untouched(store, series):
    """The same series with nothing mapped or verified yet."""
    with fastk.open(store.root, "r") as other:
        yield other.series(series.key)


def oracle(ts, start, end, closed="both"):
    """First and one past the last row of a range."""
    sides = CLOSED[closed]
    low = 0 if start is None else int(np.searchsorted(ts, start, sides[0]))
    high = len(ts) if end is None else int(np.searchsorted(ts, end, sides[1]))
    return low, max(low, high)


def ids(rows):
    return rows.trade_id.tolist()


NEAR = st.sampled_from(TS).flatmap(lambda ts: st.integers(ts - 1, ts + 1))
BOUNDS = st.none() | NEAR | st.integers(-10, 10_800_010) | st.sampled_from([10**30, -(10**30), 2**63, -(2**63) - 1])


@FIXED_FIXTURES
@given(BOUNDS, BOUNDS, st.sampled_from(list(CLOSED)))
def test_any_range_over_many_chunks(ticks, kernels, search, start, end, closed):
    low, high = oracle(TS, start, end, closed)
    rows = ticks.range(start, end, closed=closed)
    assert ids(rows) == list(range(low + 1, high + 1))
    assert rows.ts.tolist() == TS[low:high]


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=60)
@given(st.data())
def test_any_range_within_a_large_chunk(store, large, kernels, search, data):
    rows, share = BLOCKS
    borders = [0, 1, 4095, 4096, 4097, 8191, 8192, rows - 1]
    bound = st.none() | st.sampled_from(borders).map(lambda row: row // share * 2) | st.integers(-3, rows)
    start, end = data.draw(bound), data.draw(bound)
    closed = data.draw(st.sampled_from(list(CLOSED)))
    ts = np.arange(rows) // share * 2
    low, high = oracle(ts, start, end, closed)
    with untouched(store, large) if data.draw(st.booleans()) else nullcontext(large) as series:
        assert ids(series.range(start, end, closed=closed)) == list(range(low + 1, high + 1))


@FIXED_FIXTURES
@given(st.integers(0, len(TS) + 5))
def test_latest_rows_ascend(store, ticks, kernels, count):
    with untouched(store, ticks) as series:
        for _ in ("its file is opened", "its file is mapped"):
            assert ids(series.latest(count)) == list(range(1, len(TS) + 1))[len(TS) - min(count, len(TS)) :]


def test_latest_of_all_counts_there_are(ticks):
    assert len(ticks.latest()) == 1
    assert len(ticks.latest(10**30)) == len(TS)
    assert len(ticks.latest(0)) == 0


@pytest.mark.parametrize("count", [-1, 1.0, "1", None, True])
def test_latest_takes_a_whole_number(ticks, count):
    with pytest.raises(InvalidInput, match="number of rows"):
        ticks.latest(count)


def test_latest_takes_the_integers_of_numpy(ticks):
    assert len(ticks.latest(np.int64(3))) == 3


@FIXED_FIXTURES
@given(st.sampled_from(TS) | NEAR | st.integers(-10, 10_800_010) | st.sampled_from([10**30, -(10**30), 2**63]))
def test_a_single_row_is_the_first_of_its_ts(ticks, kernels, search, ts):
    row = ticks.at(ts)
    if ts in TS:
        assert (row.ts, row.trade_id) == (ts, TS.index(ts) + 1)
    else:
        assert row is None


def test_every_row_of_a_large_chunk_is_found(large, kernels, search):
    rows, share = BLOCKS
    for row in [0, 1, 2, 3, 4094, 4095, 4096, 4097, 4098, 8190, 8191, 8192, 8193, rows - 1]:
        ts = row // share * 2
        assert large.at(ts).trade_id == row // share * share + 1
        assert large.at(ts + 1) is None
    assert large.at(-1) is None


def test_a_chunk_whose_rows_all_share_one_ts(store, kernels, search):
    series = store.register_trade_series(f"SAME-{kernels}-{search}".upper(), "one")
    series.put(trades(np.full(9_000, 77)))
    series.put(trades([77, 78], first_id=9_001))
    with untouched(store, series) as fresh:
        assert ids(fresh.range(77, 77)) == list(range(1, 9_002))
        assert fresh.at(77).trade_id == 1
    assert len(series.range(76, 76)) == len(series.range(79, 80)) == 0
    assert series.at(77).trade_id == 1
    assert ids(series.range(77, 78, closed="right")) == [9_002]
    assert len(series.range(77, 78, closed="neither")) == 0


def test_a_column_above_the_limit_is_searched_by_blocks(kernels):
    """140,000 timestamps are more than a mebibyte: a damaged block of them concerns only reads that need it."""
    ts = JANUARY + np.arange(140_000) * 10_000
    with temporary_store() as store:
        series = store.register_scalar_series(("X", "feature", "1s@@f"), 1_000)
        series.put({"ts": ts, "value": np.arange(140_000)})
        (path,) = Path(store.root).rglob("*.chunk")
        content = bytearray(path.read_bytes())
        content[content.index(ts[100:200].tobytes())] ^= 1
        path.write_bytes(content)
        assert series.at(int(ts[70_000])).value == 70_000
        assert series.range(int(ts[70_001]), int(ts[99_999])).value.tolist() == list(range(70_001, 100_000))
        assert series.range(int(ts[5_000]) + 1, int(ts[5_003]) - 1).value.tolist() == [5_001, 5_002]
        assert series.latest(1).ts.tolist() == [ts[-1]]
        for read in (lambda: series.at(int(ts[5])), lambda: series.range(int(ts[7]), int(ts[9])), series.verify):
            with pytest.raises(InvalidData, match=r"'ts' is damaged in rows 0 to 4,095"):
                read()


# Ends of every kind


@pytest.fixture(scope="module")
def klines(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(JANUARY, 3 * 24 * 60))
    series.put(bars(FEBRUARY, 60))
    return series


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        (None, None, 4380),
        ("2024-01-02", "2024-01-02", 1),
        ("2024-01-02", "2024-01-03", 1441),
        ("2024-01-02", None, 2940),
        (None, "2024-01-02", 1441),
        ("2024-01-02T00:00Z", "2024-01-02T01:00+01:00", 1),
        ("2024-02", "2024-03", 60),
        ("2024", "2025", 4380),
        (np.datetime64("2024-01-02"), np.datetime64("2024-01-02T00:05"), 6),
        (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, 0, 5), 6),
        (np.int64(JANUARY), JANUARY + MINUTE, 2),
        (JANUARY, "2024-01-01T00:01", 2),
        (JANUARY + MINUTE, JANUARY, 0),
        ("2025", "2024", 0),
        (10**30, None, 0),
        (None, -(10**30), 0),
        (-(10**30), 10**30, 4380),
        (10**30, -(10**30), 0),
        (JANUARY + 1, JANUARY + MINUTE - 1, 0),
        (JANUARY + 10 * DAY, FEBRUARY - 1, 0),
        ("9999-12-31T23:59:59.999", None, 0),
        (None, "0001-01-01", 0),
    ],
    ids=str,
)
def test_ends_of_every_kind(klines, kernels, start, end, count):
    rows = klines.range(start, end)
    assert len(rows) == count
    assert len(rows.ts) == count


def test_a_date_is_an_instant_also_as_an_end(klines):
    assert klines.range("2024-01-02", "2024-01-03").ts[-1] == JANUARY + 2 * DAY
    assert klines.range("2024-01-02", "2024-01-03", closed="left").ts[-1] == JANUARY + 2 * DAY - MINUTE


@pytest.mark.parametrize("closed", ["", "Both", None, True, "open", ["left"]])
def test_unknown_closings_are_refused(klines, closed):
    with pytest.raises(InvalidInput, match="give 'both', 'left', 'right', 'neither'"):
        klines.range(None, None, closed=closed)


@pytest.mark.parametrize(
    "time", [1.0, "noon", True, float("nan"), b"2024", [1], np.datetime64("NaT", "s"), dt.date(2024, 1, 1)]
)
def test_bounds_that_are_no_times_are_refused(klines, time):
    for ask in (klines.at, klines.range, lambda end: klines.range(None, end)):
        with pytest.raises(InvalidInput):
            ask(time)


def test_a_bound_finer_than_the_unit_is_refused(klines):
    with pytest.raises(InvalidInput, match="finer than ms"):
        klines.range("2024-01-01T00:00:00.0001")


def test_a_series_that_is_not_there(store):
    absent = store.kline("ABSENT", "1m")
    assert not absent.exists
    for ask in (absent.range, absent.latest, lambda: absent.at(1), lambda: absent.at_many([1]), lambda: len(absent)):
        with pytest.raises(NotFound, match="ABSENT/kline/1m is not in the store"):
            ask()
    assert repr(absent) == "<series ABSENT/kline/1m, not registered>"


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_finer_units_count_in_themselves(store, unit):
    series = store.register_kline_series(f"FINE-{unit}".upper(), "1m", MINUTE, time_unit=unit)
    factor = {"us": 10**3, "ns": 10**6}[unit]
    columns = bars(JANUARY, 120)
    columns["ts"] = columns["ts"] * factor + 1
    series.put(columns)
    assert len(series.range("2024-01-01", "2024-01-01T01:00")) == 60
    assert len(series.range(f"2024-01-01T00:00:00.{'000001' if unit == 'us' else '000000001'}", None)) == 120
    assert series.at(JANUARY * factor + 1).open == 1_000
    assert "2024-01-01T00:00:00.0000" in repr(series.range())


def test_coverage_and_length(klines, ticks):
    assert klines.span == (JANUARY, FEBRUARY + HOUR - MINUTE)
    assert len(klines) == 4380
    assert (ticks.span, len(ticks)) == ((0, 10_800_001), len(TS))
