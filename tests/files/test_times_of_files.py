"""Times of files: zones, units and forms are said, or stand in the file. Nothing is guessed."""

import datetime
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from file_calls import FIRST, refused, take, write

from fastk import InvalidInput
from fastk.times import TimeUnit

KEY = ("X", "signal", "1m@@s")


def values(folder, *times, name="values.csv"):
    return write(folder, "ts,value\n" + "".join(f"{time},{row}\n" for row, time in enumerate(times)), name)


def ts(store, path, unit="ms", **options):
    store.import_files(path, KEY, "scalar", store_unit=unit, on_conflict="replace", **options)
    return store.series(KEY).range().ts.tolist()


@pytest.mark.parametrize(
    ("times", "options", "expected"),
    [
        (["2024-01-01T00:00:00Z", "2024-01-01 00:00:00.250+00:00"], {}, [FIRST, FIRST + 250]),
        (["2024-01-01 02:00+02:00", "2023-12-31 19:00:01-05:00"], {}, [FIRST, FIRST + 1000]),
        (["2024-01-01", "2024-01-01 00:00:00.001"], {"zone": "UTC"}, [FIRST, FIRST + 1]),
        (["2024-01-01 01:00", "2024-07-01 02:00"], {"zone": "Europe/Berlin"}, [FIRST, FIRST + 182 * 86_400_000]),
        (["2024-01-01T00:00:00Z", "2024-01-01 00:00:01"], {"zone": "UTC"}, [FIRST, FIRST + 1000]),
        (["1704067200000", "1704067200001"], {"time_unit": "ms"}, [FIRST, FIRST + 1]),
        (["1704067200", "1704067200.125"], {"time_unit": "s"}, [FIRST, FIRST + 125]),
        (["1704067200000000", "1704067200001000"], {"time_unit": "us"}, [FIRST, FIRST + 1]),
        (["1704067200000000000", "1704067200001000000"], {"time_unit": "ns"}, [FIRST, FIRST + 1]),
        (
            ["01.01.2024 00:00", "01.01.2024 00:01"],
            {"time_format": "%d.%m.%Y %H:%M", "zone": "UTC"},
            [FIRST, FIRST + 60_000],
        ),
        (["20240101", "20240102"], {"time_format": "%Y%m%d", "zone": "UTC"}, [FIRST, FIRST + 86_400_000]),
        (
            ["1/1/24 0:00:00.5", "1/1/24 0:00:00.75"],
            {"time_format": "%d/%m/%y %H:%M:%S.%f", "zone": "UTC"},
            [FIRST + 500, FIRST + 750],
        ),
        (["1/1/24 1:00 +0100", "1/1/24 0:01 +0000"], {"time_format": "%d/%m/%y %H:%M %z"}, [FIRST, FIRST + 60_000]),
        (["0001-01-01T00:00Z", "9999-12-31T23:59:59.999Z"], {}, [-62_135_596_800_000, 253_402_300_799_999]),
    ],
)
def test_times_that_are_clear(store, tmp_path, times, options, expected):
    assert ts(store, values(tmp_path, *times), **options) == expected


@pytest.mark.parametrize(
    ("times", "options", "problem"),
    [
        (["2024-01-01"], {}, "the time has no zone: say which it is: --zone UTC"),
        (["2024-01-01T00:00Z", "2024-01-01"], {}, "the time has no zone"),
        (["1704067200000"], {}, "--time-unit s, ms, us or ns (time_unit=) (counted in ms it would be of this century)"),
        (["1704067200"], {"time_unit": "ms"}, "counted in ms it is 1970-01-20T17:21:07.200Z; counted in s"),
        (
            ["1704067200000"],
            {"time_unit": "s"},
            "outside the years 1 to 9999; counted in ms it would be of this century",
        ),
        (["1704067200000"], {"time_unit": "ns"}, "counted in ms it would be of this century"),
        (["1704067200000", "1704067200000000"], {"time_unit": "ms"}, "counted in us"),
        (["1704067200.0001"], {"time_unit": "s"}, "finer than"),
        (["1704067200000001"], {"time_unit": "us"}, "it is finer than ms"),
        (["2024-01-01T00:00:00.0001Z"], {}, "finer than ms"),
        (["2024-13-01T00:00Z"], {}, "is not a time"),
        (["2024-01-01T00:00Z", "17"], {}, "times are numbers"),
        (["2024-03-31 02:30"], {"zone": "Europe/Berlin"}, "comes twice there, or never"),
        (["2024-10-27 02:30"], {"zone": "Europe/Berlin"}, "comes twice there, or never"),
        (
            ["27.10.2024 02:30:00.5"],
            {"zone": "Europe/Berlin", "time_format": "%d.%m.%Y %H:%M:%S.%f"},
            "comes twice there, or never",
        ),
        (["2024-01-01"], {"time_format": "%d.%m.%Y", "zone": "UTC"}, "it is not of the form '%d.%m.%Y'"),
        (["2024-01-01"], {"time_format": "%Y-%m-%d"}, "the time has no zone"),
        (["01.04.2024", "31.04.2024"], {"time_format": "%d.%m.%Y", "zone": "UTC"}, "it is not of the form"),
        (["29.2.2023"], {"time_format": "%d.%m.%Y", "zone": "UTC"}, "it is not of the form"),
        (["20240101 235960"], {"time_format": "%Y%m%d %H%M%S", "zone": "UTC"}, "it is not of the form"),
    ],
)
def test_times_that_are_not(store, tmp_path, times, options, problem):
    path = values(tmp_path, *times)
    options = options or {"zone": None}
    message = refused(store, path, KEY, schema="scalar", **options)
    assert message.startswith(f"{path}, line {len(times) + 1}: column 'ts': {times[-1]!r}: ")
    assert problem in message, message


def test_names_of_zones_are_no_zones(store, tmp_path):
    path = values(tmp_path, "2024-01-01 IST")
    with pytest.raises(InvalidInput, match="names of zones are ambiguous"):
        take(store, path, KEY, schema="scalar", time_format="%Y-%m-%d %Z", zone="UTC")


def test_days_without_a_leading_zero_are_days(store, tmp_path):
    path = values(tmp_path, "1/1/2024", "2/1/2024", "29/2/2024")
    days = [FIRST, FIRST + 86_400_000, FIRST + 59 * 86_400_000]
    assert ts(store, path, time_format="%d/%m/%Y", zone="UTC") == days


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_the_calendar_is_taken_to_its_last_moment(store, tmp_path, unit):
    limits = [int(limit) for limit in TimeUnit(unit).limits]
    assert ts(store, values(tmp_path, *limits), unit, time_unit=unit) == limits


@pytest.mark.parametrize("kind", [pa.time64("us"), pa.duration("s"), pa.list_(pa.int64()), pa.bool_()], ids=str)
def test_types_that_hold_no_times(store, tmp_path, kind):
    some = {pa.bool_(): [True], pa.list_(pa.int64()): [[1]]}.get(kind, [1])
    message = refused(store, typed(tmp_path, some, kind), KEY, schema="scalar", zone="UTC")
    assert re.search(r"column 'ts': .*: Arrow's type .* is no time$", message)


def test_small_numbers_are_times_if_no_other_unit_fits(store, tmp_path):
    assert ts(store, values(tmp_path, 0, 1, 1000), time_unit="ms") == [0, 1, 1000]


def test_units_of_the_series(store, tmp_path):
    path = values(tmp_path, "2024-01-01T00:00:00.123456789Z")
    assert ts(store, path, "ns") == [FIRST * 10**6 + 123456789]
    assert "finer than us" in refused(store, path, ("X", "signal", "b"), schema="scalar", store_unit="us", zone="UTC")


def test_date_and_time_in_two_columns(store, tmp_path):
    path = write(tmp_path, "Date,Time,value\n2024-01-01,00:00,1\n2024-01-01,00:01:30,2\n")
    assert ts(store, path, mapping={"ts": "Date+Time"}, zone="UTC") == [FIRST, FIRST + 90_000]


def typed(folder, column, kind=None):
    path = folder / "values.parquet"
    pq.write_table(pa.table({"ts": pa.array(column, kind), "value": list(range(len(column)))}), path)
    return path


def test_times_that_are_typed(store, tmp_path):
    moments = [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 1, 0, 0, 1)]
    expected = [FIRST, FIRST + 1000]
    assert ts(store, typed(tmp_path, moments, pa.timestamp("us", "UTC"))) == expected
    assert ts(store, typed(tmp_path, moments, pa.timestamp("ns", "America/New_York"))) == expected
    assert ts(store, typed(tmp_path, moments, pa.timestamp("s")), zone="UTC") == expected
    assert "no zone" in refused(store, typed(tmp_path, moments, pa.timestamp("s")), KEY, zone=None)
    assert ts(store, typed(tmp_path, [FIRST, FIRST + 1000]), time_unit="ms") == expected
    assert "--time-unit" in refused(store, typed(tmp_path, [FIRST]), KEY, zone=None)
    store.drop_series(KEY)
    assert ts(store, typed(tmp_path, [datetime.date(2024, 1, 1)]), zone="UTC") == [FIRST]
    assert "has no exact" in refused(store, typed(tmp_path, [0.5]), KEY, time_unit="s")


def test_other_fields_that_hold_times(store, tmp_path):
    text = f"ts,recv_ts,trade_id,price,qty,side,flags\n{FIRST},2024-01-01T00:00:00.002Z,1,1,1,1,0\n"
    take(store, write(tmp_path, text), ("X", "trade", "a"))
    assert store.series(("X", "trade", "a")).range().recv_ts.tolist() == [FIRST + 2]
    seconds = text.replace(str(FIRST), str(FIRST // 1000)).replace("2024-01-01T00:00:00.002Z", str(FIRST // 1000))
    take(store, write(tmp_path, seconds), ("X", "trade", "b"), time_unit="s")
    assert store.series(("X", "trade", "b")).range().recv_ts.tolist() == [FIRST]
    iso = text.replace(f"{FIRST},2024-01-01T00:00:00.002Z", f"2024-01-01T00:00:00Z,{FIRST + 5}")
    take(store, write(tmp_path, iso), ("X", "trade", "c"), zone="UTC")
    assert store.series(("X", "trade", "c")).range().recv_ts.tolist() == [FIRST + 5]
