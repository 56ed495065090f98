"""Every accepted spelling of a point in time becomes the same integer, exactly; everything else is refused.

Zone-less times mean UTC where they are asked for, and are refused where they would be stored.
"""

import contextlib
import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from builders import temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk import InvalidInput, TimeUnit
from fastk.times import INT64_MAX, INT64_MIN, check_storable, format_ts, to_ts, to_ts_array

MS, US, NS = TimeUnit.MILLISECONDS, TimeUnit.MICROSECONDS, TimeUnit.NANOSECONDS
UNITS = st.sampled_from(list(TimeUnit))
NOON = 1_706_788_800_000  # 2024-02-01T12:00:00Z in ms
UTC = dt.UTC


@st.composite
def unit_and_ts(draw):
    unit = draw(UNITS)
    return unit, draw(st.integers(*unit.limits))


# Integers


@pytest.mark.parametrize("value", [0, -1, NOON, np.int64(NOON), np.int8(-5), np.uint64(2**63), 10**30, -(10**30)])
def test_integers_are_counted_in_the_unit_already(value):
    for unit in TimeUnit:
        found = to_ts(value, unit)
        assert found == int(value)
        assert type(found) is int


@pytest.mark.parametrize(
    "value", [True, False, np.True_, 1.0, float("nan"), np.float64(5), None, [], (), {}, b"2024", object(), 1j]
)
def test_what_is_no_time_is_refused(value):
    with pytest.raises(InvalidInput, match="not a time"):
        to_ts(value)


def test_a_date_is_refused_with_the_way_out():
    with pytest.raises(InvalidInput, match="ISO text or datetime64"):
        to_ts(dt.date(2024, 2, 1))


# datetime64


@pytest.mark.parametrize(
    ("text", "unit"),
    [("2024", "Y"), ("2024-02", "M"), ("2024-02-01", "W"), ("2024-02-01", "D"), ("2024-02-01T12", "h")]
    + [("2024-02-01T12:34", "m"), ("2024-02-01T12:34:56", "s")]
    + [("2024-02-01T12:34:56.789", unit) for unit in ("ms", "us", "ns")],
)
@pytest.mark.parametrize("target", list(TimeUnit))
def test_datetime64_of_every_unit(text, unit, target):
    value = np.datetime64(text, unit)
    expected = int(value.astype("M8[ns]").astype(np.int64)) * target.per_second // 10**9
    assert to_ts(value, target) == expected
    for order in "<>":
        assert to_ts_array(np.array([value], f"{order}M8[{unit}]"), target, zoneless_is_utc=True).tolist() == [expected]


def test_datetime64_of_finer_units_where_they_are_whole():
    assert to_ts(np.datetime64(5 * 10**9, "ps"), MS) == 5
    assert to_ts(np.datetime64(7 * 10**15, "as"), MS) == 7


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (np.datetime64(1, "us"), MS),
        (np.datetime64(-1, "us"), MS),
        (np.datetime64(1, "ns"), US),
        (np.datetime64(1, "ps"), NS),
        (np.datetime64(1, "as"), MS),
        (np.datetime64(2**60, "D"), MS),
        (np.datetime64("3000-01-01", "s"), NS),
    ],
)
def test_datetime64_that_the_unit_cannot_hold_is_refused(value, unit):
    with pytest.raises(InvalidInput, match=r"finer|range"):
        to_ts(value, unit)


@pytest.mark.parametrize("value", [np.datetime64("NaT", "s"), np.datetime64("NaT", "ns")])
def test_not_a_time_of_numpy_is_refused(value):
    with pytest.raises(InvalidInput, match="NaT"):
        to_ts(value)


def test_the_row_of_a_missing_time_is_named():
    column = np.array(["2024-01-01", "2024-01-02", "NaT"], "M8[ms]")
    with pytest.raises(InvalidInput, match="NaT at row 2"):
        to_ts_array(column, MS, zoneless_is_utc=True)


def test_the_row_of_a_time_that_is_too_fine_is_named():
    column = np.array([0, 1_000, 1_001], "M8[us]")
    with pytest.raises(InvalidInput, match="row 2 is finer than ms"):
        to_ts_array(column, MS, zoneless_is_utc=True)


# datetime


@pytest.mark.parametrize(
    "zone",
    [
        UTC,
        dt.timezone(dt.timedelta(hours=5, minutes=45)),
        dt.timezone(-dt.timedelta(hours=9, minutes=30)),
        dt.timezone(dt.timedelta(seconds=-61)),
        ZoneInfo("Asia/Kathmandu"),
        ZoneInfo("America/St_Johns"),
        ZoneInfo("Australia/Lord_Howe"),
    ],
    ids=str,
)
def test_aware_datetimes_in_any_zone(zone):
    moment = dt.datetime(2024, 2, 1, 12, tzinfo=UTC).astimezone(zone)
    assert to_ts(moment) == NOON
    assert to_ts(moment, NS) == NOON * 10**6
    assert to_ts(moment, zoneless_is_utc=False) == NOON


def test_a_repeated_hour_is_told_apart_by_its_fold():
    zone = ZoneInfo("Europe/Berlin")
    first = dt.datetime(2024, 10, 27, 2, 30, tzinfo=zone)
    assert to_ts(first.replace(fold=1)) - to_ts(first) == 3_600_000


@given(
    st.datetimes(timezones=st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=-11, minutes=-7))])).filter(
        lambda moment: 2 < moment.year < 9998
    )
)
def test_datetimes_are_exact_to_the_microsecond(moment):
    ts = to_ts(moment, US)
    assert dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(microseconds=ts) == moment


def test_a_datetime_finer_than_the_unit_is_refused():
    with pytest.raises(InvalidInput, match="finer than ms; nothing is rounded"):
        to_ts(dt.datetime(2024, 2, 1, 12, 0, 0, 1, tzinfo=UTC))


def test_zoneless_datetimes_mean_utc_only_in_reads():
    moment = dt.datetime(2024, 2, 1, 12)
    assert to_ts(moment) == NOON
    with pytest.raises(InvalidInput, match=r"no time zone.*zoneless='utc'"):
        to_ts(moment, zoneless_is_utc=False)


# pandas


def test_pandas_timestamps_keep_their_nanoseconds():
    pandas = pytest.importorskip("pandas")
    stamp = pandas.Timestamp("2024-02-01T12:00:00.000000001", tz="Asia/Tokyo")
    assert to_ts(stamp, NS) == (NOON - 9 * 3_600_000) * 10**6 + 1
    assert to_ts(pandas.Timestamp("2024-02-01T12:00Z")) == NOON
    assert to_ts(pandas.Timestamp("2024-02-01T12:00")) == NOON
    with pytest.raises(InvalidInput, match="finer than us"):
        to_ts(stamp, US)
    with pytest.raises(InvalidInput, match="no time zone"):
        to_ts(pandas.Timestamp("2024-02-01T12:00"), zoneless_is_utc=False)


@pytest.mark.parametrize("zoneless_is_utc", [True, False])
def test_not_a_time_of_pandas_is_refused(zoneless_is_utc):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(InvalidInput):
        to_ts(pandas.NaT, zoneless_is_utc=zoneless_is_utc)
    with pytest.raises(InvalidInput):
        to_ts_array([pandas.NaT], MS, zoneless_is_utc=zoneless_is_utc)


def test_columns_of_pandas_times():
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2024-02-01T12:00", periods=3, freq="min", tz="UTC")
    expected = [NOON, NOON + 60_000, NOON + 120_000]
    assert to_ts_array(index, MS).tolist() == expected
    assert to_ts_array(index.to_series(), MS).tolist() == expected
    assert to_ts_array(index.tz_localize(None), MS, zoneless_is_utc=True).tolist() == expected


# Text


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-01T12:00:00Z",
        "2024-02-01T12:00Z",
        "2024-02-01T12Z",
        "2024-02-01 12:00:00Z",
        "2024-02-01T12:00:00.000Z",
        "2024-02-01T12:00:00,000000000Z",
        "2024-02-01T12:00:00.000000000000000Z",
        "2024-02-01T17:45:00+05:45",
        "2024-02-01T17:45:00+0545",
        "2024-02-01T02:30:00-09:30",
        "2024-02-01T07-05",
    ],
)
def test_spellings_of_one_instant(text):
    assert to_ts(text) == NOON
    assert to_ts(text, NS) == NOON * 10**6
    assert to_ts(text, zoneless_is_utc=False) == NOON


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2024", "2024-01-01T00:00:00Z"),
        ("2024-02", "2024-02-01T00:00:00Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("2024-02-01T05:30", "2024-02-01T05:30:00Z"),
        ("2024-02-01 05:30:01.25", "2024-02-01T05:30:01.25Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_zoneless_text_means_utc_in_reads_and_is_refused_in_writes(text, iso):
    assert to_ts(text) == to_ts(iso)
    with pytest.raises(InvalidInput, match="zone"):
        to_ts(text, zoneless_is_utc=False)


@pytest.mark.parametrize("text", ["2024-02-01-05", "2024-02-01+05", "2024-02-01+0530", "2024-02-01-05:30"])
def test_an_hour_behind_a_date_is_never_taken_for_its_zone(text):
    """A lenient parser reads these as five o'clock in no zone at all."""
    with pytest.raises(InvalidInput):
        to_ts(text, zoneless_is_utc=False)


@pytest.mark.parametrize(
    "text", ["2024.5", "2024-02.5", "2024-02-01.5", "2024-02-01T05.5", "2024-02-01T05:30.5Z", "2024-02-01T05,25+01:00"]
)
def test_a_fraction_belongs_to_seconds_or_is_refused(text):
    """Half an hour must not become half a second."""
    with pytest.raises(InvalidInput):
        to_ts(text, NS)


@pytest.mark.parametrize(
    ("fraction", "nanoseconds"),
    [("1", 10**8), ("12", 12 * 10**7), ("001", 10**6), ("000001", 1_000), ("000000001", 1), ("123456789", 123_456_789)],
)
def test_fractions_to_the_nanosecond(fraction, nanoseconds):
    for mark in ".,":
        assert to_ts(f"2024-02-01T12:00:00{mark}{fraction}Z", NS) == NOON * 10**6 + nanoseconds
        assert to_ts(f"2024-02-01T12:00:00{mark}{fraction}", NS) == NOON * 10**6 + nanoseconds


def test_a_fraction_before_1970_counts_forwards():
    assert to_ts("1969-12-31T23:59:59.9Z") == -100


def test_text_finer_than_the_unit_is_refused():
    with pytest.raises(InvalidInput, match="finer than ms; nothing is rounded"):
        to_ts("2024-02-01T12:00:00.0001Z")
    with pytest.raises(InvalidInput):
        to_ts("2024-02-01T12:00:00.0000000001Z", NS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "noon",
        "2024-13",
        "2024-02-30",
        "2024-02-01T25:00",
        "10000-01-01",
        "0000-01-01",
        "NaT",
        "nan",
        "2024-02-01T12:00:00 UTC",
        "-2024-01-01",
        "2024/02/01",
        "1706788800000",
    ],
)
def test_text_that_names_no_time_is_refused(text):
    with pytest.raises(InvalidInput):
        to_ts(text)
    with pytest.raises(InvalidInput):
        to_ts(text, zoneless_is_utc=False)


@settings(max_examples=50)
@given(st.text(alphabet="0123456789-+:.,TZWz \n\u0665x", max_size=30))
def test_no_text_raises_anything_but_invalid_input(text):
    with contextlib.suppress(InvalidInput):
        assert type(to_ts(text, NS)) is int


@given(unit_and_ts())
def test_what_is_formatted_reads_back_the_same(unit_ts):
    unit, ts = unit_ts
    assert to_ts(format_ts(ts, unit), unit, zoneless_is_utc=False) == ts


@given(unit_and_ts())
def test_all_spellings_of_a_storable_ts_agree(unit_ts):
    unit, ts = unit_ts
    value = np.datetime64(ts, unit.value)
    assert to_ts(value, unit) == to_ts(str(value), unit) == ts
    assert to_ts_array([value, value], unit, zoneless_is_utc=True).tolist() == [ts, ts]
    assert to_ts_array([f"{value}Z"], unit).tolist() == [ts]


@given(st.integers(), UNITS)
def test_formatting_never_fails(ts, unit):
    assert format_ts(ts, unit)


# Columns


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", ">i8", "u1", "u2", "u4", "u8"])
def test_integer_columns_of_every_width(dtype):
    found = to_ts_array(np.array([1, 2, 100], dtype), MS)
    assert found.dtype == np.int64
    assert found.tolist() == [1, 2, 100]


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        [True, False],
        [None],
        [1, None],
        [b"2024"],
        [[1], [2]],
        [[1], [2, 3]],
        5,
        "2024",
        {1, 2},
        [2**63],
        [-(2**63) - 1],
        [2**70],
        np.array([2**63], np.uint64),
        np.array([1], "m8[s]"),
        [1, dt.date(2024, 1, 1)],
        [1 + 0j],
    ],
    ids=repr,
)
def test_columns_that_are_no_times_are_refused(values):
    with pytest.raises(InvalidInput):
        to_ts_array(values, MS, zoneless_is_utc=True)


def test_a_truth_value_among_integers_is_refused():
    with pytest.raises(InvalidInput):
        to_ts_array([1, True], MS)


def test_a_number_among_texts_keeps_its_meaning():
    """2024 is two seconds after 1970 began; it must not become the year 2024 because a text stands beside it."""
    assert to_ts_array([2024, "1970-01-01T00:00:03Z"], MS, zoneless_is_utc=True).tolist() == [2024, 3000]


def test_mixed_spellings_in_one_column():
    column = [NOON, np.datetime64(NOON, "ms"), dt.datetime(2024, 2, 1, 12, tzinfo=UTC)]
    assert to_ts_array(column, MS, zoneless_is_utc=True).tolist() == [NOON] * 3


@pytest.mark.parametrize("values", [[], (), np.empty(0), np.empty(0, "M8[ms]"), np.empty(0, object)])
def test_an_empty_column_has_no_times(values):
    assert to_ts_array(values, MS, zoneless_is_utc=True).dtype == np.int64
    assert to_ts_array(values, MS, zoneless_is_utc=True).size == 0


# What can be stored


@given(UNITS, st.integers(1, 10**6))
def test_only_the_years_1_to_9999_can_be_stored(unit, beyond):
    first, last = unit.limits
    check_storable(np.array([first, last]), unit)
    for ts in (first - beyond, last + beyond):
        if INT64_MIN <= ts <= INT64_MAX:
            with pytest.raises(InvalidInput, match=r"years 1 to 9999.*another unit"):
                check_storable(np.array([ts, ts]), unit)


@pytest.mark.parametrize("unit", list(TimeUnit))
def test_the_ends_of_the_calendar_are_stored_and_read_back(unit):
    first, last = unit.limits
    with temporary_store() as store:
        for partition in ("year", "month", "day", "hour"):
            series = store.register_kline_series("EDGE", partition, 0, time_unit=unit, partition=partition)
            series.put(np.array([[first, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [last, 1, 2, 3, 4, 5]]))
            assert series.range().ts.tolist() == [first, 0, last]
            assert series.at(first).ts == first
            assert series.latest(1).ts.tolist() == [last]
            assert str(last) in repr(series.at(last))


@pytest.mark.parametrize("ts", [-62_135_596_800_001, 253_402_300_800_000, 1_706_788_800_000_000_000])
def test_a_write_outside_the_calendar_changes_nothing(ts):
    with temporary_store() as store:
        series = store.register_kline_series("EDGE", "1m", 60_000)
        with pytest.raises(InvalidInput, match="years 1 to 9999"):
            series.put(np.array([[ts, 1, 2, 3, 4, 5]]))
        assert len(series) == 0


def test_zoneless_times_are_refused_in_writes_unless_said_to_be_utc():
    row = {"open": [1], "high": [1], "low": [1], "close": [1], "volume": [1]}
    with temporary_store() as store:
        series = store.register_kline_series("BTCUSDT", "1m", 60_000)
        for column in (np.array(["2024-02-01T12:00"], "M8[ms]"), ["2024-02-01T12:00"], ["2024-02-01"]):
            with pytest.raises(InvalidInput, match="zoneless='utc'"):
                series.put({"ts": column, **row})
        with pytest.raises(InvalidInput, match="'local' is unknown"):
            series.put({"ts": ["2024-02-01T12:00"], **row}, zoneless="local")
        assert len(series) == 0
        series.put({"ts": np.array(["2024-02-01T12:00"], "M8[m]"), **row}, zoneless="utc")
        series.put({"ts": ["2024-02-01T12:01"], **row}, zoneless="utc")
        series.put({"ts": ["2024-02-01T12:02Z"], **row})
        assert series.range("2024-02-01T12:00", "2024-02-01T12:02").ts.tolist() == [NOON, NOON + 60_000, NOON + 120_000]


@pytest.mark.parametrize("value", [np.timedelta64(60, "s"), np.timedelta64(5, "ns")])
def test_a_span_of_time_is_no_time(value):
    """numpy counts it among the integers."""
    for refuse in (lambda: to_ts(value), lambda: to_ts_array([value, 7], MS), lambda: to_ts_array([value], MS)):
        with pytest.raises(InvalidInput):
            refuse()
