"""Writes: rows come later than what their months hold, all of them or none, whatever made the series."""

import numpy as np
import pytest
from bridge_calls import ALL_TIME, SCALAR, SERIES, Bridge, klines, minutes
from builders import DAY, FEBRUARY, HOUR, JANUARY, MARCH, MINUTE, contents, temporary_folder
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk

TOP = 2**63 - 1


def test_continuing_a_month(bridge):
    bridge.write_klines(minutes(2))
    again = bridge.write_klines(minutes(2, JANUARY + HOUR))
    assert (again["registered"], again["month_batches_written"]) == (False, 1)
    (month,) = bridge.call("kline-inventory", **SERIES)["inventory"]
    assert month == {
        "month_key": "2024-01",
        "chunk_count": 2,
        "record_count": 4,
        "sealed_chunk_count": 1,
        "active_delta_count": 1,
        "sidecar_count": 0,
    }


def test_an_earlier_month_may_still_come(bridge):
    bridge.write_klines([FEBRUARY])
    assert bridge.write_klines([JANUARY])["written_record_count"] == 1
    assert "overlap existing coverage" in bridge.refuse("write-kline-range", klines([JANUARY]), **SERIES)


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        ([JANUARY + MINUTE], "stored up to ts 1704067320000 in 2024-01"),
        ([JANUARY + 2 * MINUTE], "overlap"),
        ([JANUARY - 1, JANUARY, FEBRUARY], "overlap"),
        ([MARCH, MARCH], "records[0] and records[1] have the same ts"),
        ([MARCH, JANUARY + HOUR, MARCH + 1, JANUARY + HOUR], "records[1] and records[3] have the same ts"),
    ],
)
def test_rows_that_do_not_come_later_are_refused_with_all_others(bridge, ts, reason):
    bridge.write_klines(minutes(3))
    assert reason in bridge.refuse("write-kline-range", klines(ts), **SERIES)


@pytest.mark.parametrize("name", ["timeframe_ms", "price_scale", "volume_scale"])
def test_other_settings_than_the_stored_ones_are_refused(bridge, name):
    bridge.write_klines(minutes(1))
    assert f"has {name}" in bridge.refuse("write-kline-range", klines([FEBRUARY], **{name: 7}), **SERIES)


@pytest.mark.parametrize("changes", [{"timeframe_ms": -1}, {"price_scale": 0}, {"volume_scale": 10**18 + 1}])
def test_settings_that_no_series_can_have(bridge, changes):
    assert next(iter(changes)) in bridge.refuse("write-kline-range", klines(minutes(1), **changes), **SERIES)


@pytest.mark.parametrize("ts", [-TOP, TOP, 253_402_300_800_000])
def test_times_outside_the_calendar_leave_no_series_behind(bridge, ts):
    assert "years 1 to 9999" in bridge.refuse("write-kline-range", klines([JANUARY, ts]), **SERIES)


def test_no_records_register_the_series_and_write_nothing(bridge):
    first = bridge.write_klines([])
    assert (first["registered"], first["written_record_count"], first["month_batches_written"]) == (True, 0, 0)
    before = contents(bridge.root)
    assert bridge.write_klines([])["registered"] is False
    assert contents(bridge.root) == before
    inventory = bridge.call("kline-inventory", **SERIES)
    assert (inventory["exists"], inventory["coverage_start_ts"], inventory["inventory"]) == (True, None, [])


# Series that the library made otherwise


def test_months_count_whatever_the_partition_is(bridge):
    with fastk.open(bridge.root) as store:
        store.register_kline_series("BTC", "1m", MINUTE, 100, 1, partition="day")
    bridge.write_klines([JANUARY + 5 * DAY])
    assert "overlap" in bridge.refuse("write-kline-range", klines([JANUARY]), **SERIES)
    assert bridge.write_klines([JANUARY + 6 * DAY])["month_batches_written"] == 1


def test_years_are_refused_where_the_store_refuses_them(bridge):
    with fastk.open(bridge.root) as store:
        store.register_kline_series("BTC", "1m", MINUTE, 100, 1, partition="year")
    bridge.write_klines([FEBRUARY])
    assert "overlap" in bridge.refuse("write-kline-range", klines([JANUARY]), **SERIES)


def test_other_records_under_a_kline_key_are_refused(bridge):
    with fastk.open(bridge.root) as store:
        store.register_series(("BTC", "kline", "1m"), fastk.TRADE)
    assert "holds trade records" in bridge.refuse("read-kline-range", **SERIES, **ALL_TIME)


# All or nothing, for any sequence of writes

TIMES = st.lists(st.integers(JANUARY - 3, JANUARY + 3) | st.integers(FEBRUARY - 3, FEBRUARY + 3), max_size=6)


def accepted(stored, ts):
    """The rule: no time twice, and in each month only what comes later."""
    month = np.array([*stored, *ts], "M8[ms]").astype("M8[M]").astype(int).tolist()
    last = dict(zip(month, stored, strict=False)) if stored else {}
    later = all(each > last.get(key, each - 1) for key, each in zip(month[len(stored) :], ts, strict=True))
    return later and len(set(ts)) == len(ts)


@pytest.mark.slow
@given(puts=st.lists(TIMES, max_size=5))
@settings(max_examples=40)
def test_any_sequence_of_writes(puts):
    with temporary_folder() as folder:
        bridge, stored = Bridge(str(folder / "store")), []
        bridge.write_scalars({})
        for ts in puts:
            payload = {"timeframe_ms": MINUTE, "records": [{"ts": each, "value": -each} for each in ts]}
            if accepted(stored, ts):
                bridge.call("write-scalar-range", payload, **SCALAR)
                stored = sorted(stored + ts)
            else:
                bridge.refuse("write-scalar-range", payload, **SCALAR)
        records = bridge.call("read-scalar-range", **SCALAR, **ALL_TIME)["records"]
        assert records == [{"ts": each, "value": -each} for each in stored]
