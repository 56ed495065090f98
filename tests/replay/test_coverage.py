"""Coverage: which expected times have rows, as intervals and holes; by grid, by sessions, by list."""

from datetime import timedelta

import numpy as np
import pytest
from builders import DAY, FEBRUARY, HOUR, JANUARY, MINUTE, bars, temporary_store, trades
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastk import InvalidInput, NotFound, Schema
from fastk.replay import coverage as of_coverage
from fastk.replay.slots import SessionSlots
from fastk.times import INT64_MAX

LOOSE = Schema("loose", [("ts", "i8")], unique_ts=False, partition="hour")


def bars_at(minutes):
    ts = JANUARY + np.array(minutes, np.int64) * MINUTE
    return bars(count=ts.size) | {"ts": ts}


def minutes(times):
    return ((times - JANUARY) / MINUTE).tolist()


def expected_coverage(slots, reach, rows):
    """(intervals, holes, present, unexpected) by one look at each slot; a row up to ``reach`` behind fills it."""
    filled = [any(slot <= ts <= end for ts in rows) for slot, end in zip(slots, reach, strict=True)]
    runs = []
    for slot, is_filled in zip(slots, filled, strict=True):
        if runs and runs[-1][0] == is_filled:
            runs[-1][1].append(slot)
        else:
            runs.append((is_filled, [slot]))
    intervals = [(run[0], run[-1]) for is_filled, run in runs if is_filled]
    holes = [(run[0], run[-1], len(run)) for is_filled, run in runs if not is_filled]
    window = [ts for ts in rows if slots and slots[0] <= ts <= reach[-1]]
    unexpected = sum(not any(slot <= ts <= end for slot, end in zip(slots, reach, strict=True)) for ts in window)
    return intervals, holes, sum(filled), unexpected


def told(found):
    intervals = list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))
    holes = list(zip(found.hole_starts.tolist(), found.hole_ends.tolist(), found.hole_counts.tolist(), strict=True))
    return intervals, holes, found.present_count, found.unexpected_count


def assert_coverage(found, slots, reach, rows):
    assert told(found) == expected_coverage(slots, reach, rows)
    assert found.expected_count == len(slots)
    assert (found.interval_count, found.hole_count) == (len(found.starts), len(found.hole_starts))
    assert found.missing_count == len(slots) - found.present_count
    assert found.is_complete == (not found.missing_count)


def series_of(store, rows, cut):
    series = store.register_series(("X", "own", "x"), LOOSE)
    rows = sorted(rows)
    while cut < len(rows) and rows[cut - 1] == rows[cut]:
        cut += 1
    for part in (rows[:cut], rows[cut:]):
        if part:
            series.put({"ts": part})
    return series, rows


ROWS = st.lists(st.integers(0, 40) | st.integers(HOUR - 3, HOUR + 20), max_size=25)
laws = settings(deadline=None, max_examples=80)


@laws
@example(rows=[2], cut=1, step=2, origin=1, window=(0, 2), buckets=False)
@given(rows=ROWS, cut=st.integers(1, 9), step=st.integers(1, 9), origin=st.integers(-9, 60),
       window=st.tuples(st.integers(-5, 70), st.integers(0, 80)), buckets=st.booleans())  # fmt: skip
def test_against_a_grid(rows, cut, step, origin, window, buckets):
    with temporary_store() as store:
        series, rows = series_of(store, rows, cut)
        start, end = window[0], sum(window)
        found = series.coverage(start, end, step=step, origin=origin, buckets=buckets)
        slots = [ts for ts in range(start, end + 1) if (ts - origin) % step == 0]
        assert_coverage(found, slots, [slot + (step - 1) * buckets for slot in slots] if buckets else slots, rows)


@pytest.mark.slow
@laws
@given(rows=ROWS, cut=st.integers(1, 9), step=st.integers(1, 9) | st.none(), buckets=st.booleans(),
       lengths=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12)), max_size=5),
       window=st.none() | st.tuples(st.integers(-5, 70), st.integers(0, 80)))  # fmt: skip
def test_against_sessions(rows, cut, step, buckets, lengths, window):
    opens, closes, now = [], [], -3
    for pause, length in lengths:
        opens.append(now + pause)
        closes.append(now := now + pause + length)
    with temporary_store() as store:
        series, rows = series_of(store, rows, cut)
        start, end = (None, None) if window is None else (window[0], sum(window))
        found = series.coverage(start, end, step=step, sessions=(opens, closes), buckets=buckets)
        slots, reach = [], []
        sessions = list(zip(opens, closes, strict=True))
        longest = max((close - begin for begin, close in sessions), default=1)
        for begin, close in sessions:
            for slot in range(begin, close, step or longest):
                if window is None or start <= slot <= end:
                    slots.append(slot)
                    reach.append(min(slot + (step or longest), close) - 1 if buckets or step is None else slot)
        assert_coverage(found, slots, reach, rows)


@pytest.mark.slow
@laws
@given(rows=ROWS, cut=st.integers(1, 9), expected=st.sets(st.integers(-5, 70)).map(sorted),
       window=st.none() | st.tuples(st.integers(-5, 70), st.integers(0, 80)))  # fmt: skip
def test_against_a_list(rows, cut, expected, window):
    with temporary_store() as store:
        series, rows = series_of(store, rows, cut)
        start, end = (None, None) if window is None else (window[0], sum(window))
        found = series.coverage(start, end, expected=np.array(expected, np.int64))
        slots = [slot for slot in expected if window is None or start <= slot <= end]
        assert_coverage(found, slots, slots, rows)


@pytest.mark.slow
@laws
@given(rows=ROWS.filter(bool), cut=st.integers(1, 9), limit=st.integers(0, 4), step=st.integers(1, 4))
def test_a_limit_cuts_the_lists_and_no_total(rows, cut, limit, step):
    with temporary_store() as store:
        series, _ = series_of(store, rows, cut)
        whole, part = (series.coverage(-5, 90, step=step, origin=0, limit=each) for each in (10**6, limit))
        intervals, holes, *totals = told(whole)
        assert told(part) == (intervals[:limit], holes[:limit], *totals)
        assert (part.interval_count, part.hole_count) == (len(intervals), len(holes))


QUARTER = HOUR // 4


@settings(deadline=None, max_examples=30)
@example(quarters={0, 1, 2, 3, 4, 5, 6, 7, 9, 11}, block=4)
@given(quarters=st.sets(st.integers(0, 31), min_size=1), block=st.integers(1, 9))
def test_borders_of_chunks_and_blocks_leave_no_trace_at_any_limit(quarters, block):
    rows = sorted(quarter * QUARTER for quarter in quarters)
    slots = range(0, 32 * QUARTER, QUARTER)
    intervals, holes, *totals = expected_coverage(slots, slots, rows)
    with temporary_store() as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_coverage, "_BLOCK_ROWS", block)
        series, _ = series_of(store, rows, len(rows))
        for limit in range(max(len(intervals), len(holes)) + 2):
            found = series.coverage(slots[0], slots[-1], step=QUARTER, limit=limit)
            assert told(found) == (intervals[:limit], holes[:limit], *totals)
            assert (found.interval_count, found.hole_count) == (len(intervals), len(holes))


def test_small_chunks_are_looked_at_together(store, monkeypatch):
    looks = []
    fill = SessionSlots.fill
    monkeypatch.setattr(SessionSlots, "fill", lambda slots, ts: looks.append(ts.size) or fill(slots, ts))
    series, _ = series_of(store, range(0, 100 * HOUR, QUARTER), 400)
    assert len(series.range().segments) == 100
    assert series.coverage(step=QUARTER).is_complete
    assert looks == [400]


def test_bars_are_measured_by_their_timeframe(klines):
    klines.put(bars_at([0, 1, 2, 5, 6, 9]))
    found = klines.coverage()
    assert (minutes(found.starts), minutes(found.ends)) == ([0, 5, 9], [2, 6, 9])
    assert (minutes(found.hole_starts), minutes(found.hole_ends), found.hole_counts.tolist()) == (
        [3, 7],
        [4, 8],
        [2, 2],
    )
    assert (found.present_count, found.expected_count, found.missing_count) == (6, 10, 4)
    assert repr(found) == "<coverage: 6 of 10 expected times in 3 intervals, 2 holes, 0 unexpected rows>"
    wider = klines.coverage(JANUARY - MINUTE, JANUARY + 12 * MINUTE)
    assert minutes(wider.hole_starts) == [-1, 3, 7, 10]
    assert minutes(klines.coverage(JANUARY + 30_000, JANUARY + 6 * MINUTE).starts) == [1, 5]
    assert klines.coverage("2024-01-01", "2024-01-01T00:02").is_complete


def test_rows_beside_the_grid_are_counted_and_fill_nothing(klines):
    klines.put(bars_at([0, 1]))
    klines.put(bars(JANUARY + 2 * MINUTE + 1, 1))
    klines.put(bars_at([3]))
    found = klines.coverage()
    assert (found.present_count, found.missing_count, found.unexpected_count) == (3, 1, 1)


def test_trading_days(store):
    series = store.register_kline_series("SPY", "1h", HOUR)
    days = JANUARY + np.arange(5) * DAY
    opens, closes = days + 9 * HOUR, days + 16 * HOUR
    ts = np.concatenate([np.arange(begin, close, HOUR) for begin, close in zip(opens, closes, strict=True)])
    series.put(bars(count=ts.size) | {"ts": ts})
    assert series.coverage().hole_count == 4
    found = series.coverage(sessions=(opens, closes))
    assert found.is_complete
    assert (found.starts.tolist(), found.ends.tolist()) == ([ts[0]], [ts[-1]])
    series.delete_range(ts[6], ts[7])
    (start,), (end,) = (series.coverage(sessions=(opens, closes)).hole_starts, series.coverage().hole_ends[:1])
    assert (start, end) == (ts[6], ts[7])


def test_trades_are_measured_by_buckets_or_sessions(ticks):
    ticks.put(trades(JANUARY + np.array([5, 30_000, MINUTE + 1, 4 * MINUTE + 7, 4 * MINUTE + 8])))
    found = ticks.coverage(step=MINUTE, origin=JANUARY, buckets=True)
    assert (minutes(found.starts), minutes(found.ends)) == ([0, 4], [1, 4])
    assert (minutes(found.hole_starts), minutes(found.hole_ends)) == ([2], [3])
    opens = JANUARY + np.array([0, 2, 4]) * MINUTE
    found = ticks.coverage(sessions=(opens, opens + MINUTE))
    assert (minutes(found.hole_starts), found.unexpected_count) == ([2], 1)
    assert (minutes(found.starts), minutes(found.ends)) == ([0, 4], [0, 4])


def test_a_step_may_be_a_timedelta(klines):
    klines.put(bars(count=5, step=2 * MINUTE))
    for step in (timedelta(minutes=2), np.timedelta64(2, "m")):
        assert klines.coverage(step=step).is_complete
        assert klines.coverage(step=step / 2).missing_count == 4


def test_a_timeframe_counts_in_the_unit_of_the_series(store):
    series = store.register_kline_series("BTC", "1m", MINUTE, time_unit="ns")
    nanosecond_bars = bars(count=5)
    series.put(nanosecond_bars | {"ts": nanosecond_bars["ts"] * 10**6})
    assert series.coverage().is_complete
    assert series.coverage(sessions=(["2024-01-01"], ["2024-01-01T00:06"])).missing_count == 1
    expected = np.array(["2024-01-01T00:03", "2024-01-01T00:07"], "M8[m]")
    assert series.coverage(expected=expected).hole_starts.tolist() == [(JANUARY + 7 * MINUTE) * 10**6]


def test_times_at_the_end_of_int64(store):
    series = store.register_series(("X", "own", "x"), LOOSE, time_unit="ns")
    series.put({"ts": [INT64_MAX - 10, INT64_MAX - 5, INT64_MAX]})
    for options in ({"step": 5}, {"step": 5, "buckets": True}, {"step": INT64_MAX, "buckets": True}):
        found = series.coverage(**options)
        assert (found.is_complete, found.unexpected_count) == (True, 0)
    assert series.coverage(INT64_MAX - 10, INT64_MAX, step=5).expected_count == 3
    assert series.coverage(sessions=([INT64_MAX - 10], [INT64_MAX]), step=5).expected_count == 2


@pytest.mark.parametrize("buckets", [False, True])
@pytest.mark.parametrize(
    ("start", "end"), [(-INT64_MAX, INT64_MAX - 1), (-(2**62), 2**62 + MINUTE), (-INT64_MAX, MINUTE)]
)
def test_more_than_int64_can_count_is_refused(klines, start, end, buckets):
    klines.put(bars(count=100))
    with pytest.raises(InvalidInput, match="span more than int64 can count: give a start and end closer"):
        klines.coverage(start, end, buckets=buckets)


def test_as_much_as_int64_can_count_is_counted(klines):
    klines.put(bars(count=100))
    for start, end in ((0, INT64_MAX - 1), (-(2**62), 2**62 - 1), (-(2**62), 2**62)):
        found = klines.coverage(start, end)
        assert (found.present_count, found.is_complete) == (100, False)
        assert found.expected_count == len(range(start + (JANUARY - start) % MINUTE, end + 1, MINUTE))


def test_rows_at_both_ends_of_what_int64_can_count(store):
    series = store.register_series(("X", "own", "x"), LOOSE, time_unit="ns", partition="year")
    series.put({"ts": [0, INT64_MAX]})
    with pytest.raises(InvalidInput, match="span more than int64 can count"):
        series.coverage(step=1)
    found = series.coverage(step=2)
    assert (found.expected_count, found.present_count, found.unexpected_count) == (2**62, 1, 0)


def test_a_series_without_rows(klines):
    assert klines.coverage().expected_count == 0
    assert klines.coverage().is_complete
    assert klines.coverage(JANUARY, None).expected_count == 0
    found = klines.coverage(JANUARY, JANUARY + 9 * MINUTE)
    assert (found.missing_count, found.hole_counts.tolist()) == (10, [10])
    assert klines.coverage(sessions=([JANUARY], [FEBRUARY])).missing_count == 31 * 24 * 60


def test_bad_input_is_refused(store, klines, ticks):
    ticks.put(trades([1]))
    for options, message in (
        ({}, "BTC/trade/spot has no timeframe: say what is expected by step="),
        ({"step": 0}, "step must be 1 or more"),
        ({"step": 1.0}, "step must be an int in ms or a timedelta"),
        ({"step": True}, "step must be an int in ms or a timedelta"),
        ({"step": timedelta(microseconds=5)}, "step must be an int in ms or a timedelta that is a whole number of ms"),
        ({"step": 2**63}, "step must be 1 or more, and within int64"),
        ({"expected": [1, 1]}, "expected must ascend"),
        ({"expected": [1], "step": 1}, "leave the other arguments out"),
        ({"expected": [1], "buckets": True}, "leave the other arguments out"),
        ({"sessions": ([1], [2, 3])}, "1 opens and 2 closes"),
        ({"sessions": ([1, 2], [3, 4])}, "do not overlap"),
        ({"sessions": ([1], [1])}, "closes after it opens"),
        ({"sessions": ([1],)}, "two arrays"),
        ({"sessions": 7}, "two arrays"),
        ({"sessions": ([-(2**63)], [2**63 - 1])}, "more than int64 can count"),
        ({"sessions": ([1], [2]), "origin": 0}, "leave origin out"),
        ({"sessions": ([1.5], [2])}, "ts"),
        ({"step": 1, "limit": -1}, "limit must be an int of 0 or more"),
    ):
        with pytest.raises(InvalidInput, match=message):
            ticks.coverage(**options)
    with pytest.raises(InvalidInput, match="start 2 lies after its end 1"):
        store.kline("NONE", "1m").coverage(2, 1)
    with pytest.raises(NotFound):
        store.kline("NONE", "1m").coverage()
