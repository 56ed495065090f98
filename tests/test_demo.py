"""The demo: what it finds out about a file of bars, what it refuses, and what it shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastk
from fastk import InvalidData, InvalidInput
from fastk.cli import demo_measure, demo_queries
from fastk.cli.demo_csv import read_bars
from fastk.cli.demo_data import fit, make_bars, sample_bars, time_text
from fastk.cli.main import main

CHECKOUT = Path(__file__).resolve().parent.parent

HEADER = "timestamp,open,high,low,close,volume\n"
THREE_BARS = (
    "2024-01-01 00:00:00,1.5,2.25,1.0,2.0,10\n2024-01-01 00:01:00,2.0,2.5,1.75,2.25,20.5\n"
    "2024-01-01 00:05:00,2.25,3.0,2.0,2.75,0\n"
)


@pytest.fixture
def file(tmp_path):
    """Writes the text of a CSV file and gives its path."""

    def write(text):
        path = tmp_path / "my bars.csv"
        path.write_text(text)
        return path

    return write


def milliseconds(*times):
    return np.array(times, "datetime64[ms]").astype(np.int64).tolist()


def bars_of_times(file, *times):
    return read_bars(file(HEADER + "".join(f"{time},1,1,1,1,1\n" for time in times)))


def test_a_plain_file(file):
    bars = read_bars(file(HEADER + THREE_BARS))
    assert bars.symbol == "MY BARS"
    assert (bars.timeframe, bars.timeframe_ms, bars.gap_count) == ("1m", 60_000, 1)
    assert (bars.price_scale, bars.volume_scale) == (100, 10)
    assert bars.ts.tolist() == milliseconds("2024-01-01T00:00", "2024-01-01T00:01", "2024-01-01T00:05")
    assert bars.columns["close"].tolist() == [2.0, 2.25, 2.75]
    assert bars.notes == ("times carry no zone: they are taken as UTC",)


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "DATETIME, OPEN, HIGH, LOW, CLOSE, VOL",
        "open_time,o,h,l,c,v",
        "Open time,Open,High,Low,Close,Volume",
        "<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICK VOLUME>",
        ",open,high,low,close,volume",
        "\ufefftimestamp,open,high,low,close,volume",
    ],
)
def test_column_names_are_found(file, header):
    bars = read_bars(file(header + "\n" + THREE_BARS))
    assert bars.ts[0] == milliseconds("2024-01-01")[0]
    assert [bars.columns[name][0] for name in ("open", "high", "low", "close", "volume")] == [1.5, 2.25, 1.0, 2.0, 10]


def test_a_named_time_column_wins_over_row_numbers(file):
    bars = read_bars(file(",date,open,high,low,close\n0,2024-01-01,1,1,1,1\n1,2024-01-02,1,1,1,1\n"))
    assert bars.ts.tolist() == milliseconds("2024-01-01", "2024-01-02")


def test_date_and_time_in_two_columns(file):
    bars = read_bars(file("date,time,open,high,low,close\n2024-01-01,09:30,1,1,1,1\n2024-01-01,09:31,1,1,1,1\n"))
    assert bars.ts.tolist() == milliseconds("2024-01-01T09:30", "2024-01-01T09:31")


def test_a_comma_at_the_end_of_each_row_shifts_nothing(file):
    bars = read_bars(file("timestamp,open,high,low,close\n2024-01-01,1,2,3,4,\n2024-01-02,1,2,3,4,\n"))
    assert bars.columns["open"].tolist() == [1, 1]


def test_missing_volume_is_zero_and_said(file):
    bars = read_bars(file("time,open,high,low,close\n2024-01-01Z,1,1,1,1\n2024-01-02Z,1,1,1,1\n".replace("Z", "")))
    assert bars.columns["volume"].tolist() == [0, 0]
    assert "no volume column: volume is stored as 0" in bars.notes


@pytest.mark.parametrize(
    ("times", "zone"),
    [
        (("2024-01-01 00:00:00+00:00", "2024-01-01 00:01:00+00:00"), True),
        (("2024-01-01T00:00Z", "2024-01-01T00:01Z"), True),
        (("2023-12-31 19:00-05:00", "2024-01-01 00:01+00"), True),
        (("2024-01-01 00:00:00.000000", "2024-01-01 00:01:00.000000"), False),
        (("2024-01-01", "2024-01-01 00:01Z"), False),
    ],
)
def test_zones(file, times, zone):
    bars = bars_of_times(file, *times)
    assert bars.ts.tolist() == milliseconds("2024-01-01T00:00", "2024-01-01T00:01")
    assert bars.notes == (() if zone else ("times carry no zone: they are taken as UTC",))


@pytest.mark.parametrize(
    ("unit", "factor"), [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]
)
def test_epochs(file, unit, factor):
    bars = bars_of_times(file, 1_704_067_200 * factor, 1_704_067_260 * factor)
    assert bars.ts.tolist() == milliseconds("2024-01-01T00:00", "2024-01-01T00:01")
    assert bars.notes == (f"times are {unit} since 1970, UTC",)


def test_epochs_written_as_floats(file):
    assert bars_of_times(file, "1704067200.0", "1.70406726e9").timeframe == "1m"


def test_dates_written_as_numbers(file):
    assert bars_of_times(file, 20240101, 20240102).ts.tolist() == milliseconds("2024-01-01", "2024-01-02")


@pytest.mark.parametrize(
    ("second", "timeframe"),
    [("00:01:00", "1m"), ("00:15:00", "15m"), ("04:00:00", "4h"), ("00:00:01.5", "1500ms"), ("00:00:30", "30s")],
)
def test_timeframe_names(file, second, timeframe):
    assert bars_of_times(file, "2024-01-01 00:00:00", f"2024-01-01 {second}").timeframe == timeframe


def test_prices_share_a_scale(file):
    bars = read_bars(file(HEADER + "2024-01-01,1,1.5,0.125,1,1\n2024-01-02,1,1.5,0.1,1,0.00000001\n"))
    assert (bars.price_scale, bars.volume_scale) == (1000, 100_000_000)


def test_what_no_integer_holds_is_rounded_and_said(file):
    bars = read_bars(file(HEADER + "2024-01-01,1,1,1,1,218102.59507500002\n2024-01-02,1,1,1,1,134918704.7632\n"))
    assert bars.volume_scale == 10**7
    assert bars.columns["volume"].tolist() == [218102.595075, 134918704.7632]
    assert "1 volumes have more digits than fit: rounded to 7 decimals" in bars.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no readable CSV"),
        ("\n\n", "no readable CSV"),
        (HEADER, "no rows below the first line"),
        (HEADER + "2024-01-01,1,1,1,1,1\n", "2 rows are needed, there is 1"),
        ("a,b\n1,2\n", r"no column for the time; .*\(found: a, b\)"),
        (",open,high,low,close\n0,1,1,1,1\n1,1,1,1,1\n", "no column for the time"),
        ("timestamp,open,high,low\n2024-01-01,1,1,1\n", "no column for close"),
        ("timestamp,open,high,low,close,Open\n2024-01-01,1,1,1,1,2\n", "two columns are called 'open'"),
        ("timestamp;open;high;low;close\n2024-01-01;1;1;1;1\n", "no column for the time; .*comma-separated"),
        (HEADER + THREE_BARS + "2024-01-01 00:05:00,1,1,1,1,1\n", "rows 3 and 4 have the same time, 2024-01-01 00:05"),
        (HEADER + THREE_BARS + "2024-01-01 00:04:00,1,1,1,1,1\n", r"row 4 \(2024-01-01 00:04\) is earlier than"),
        (HEADER + "2024-01-01,1,1,1,,1\n", "'close' holds nothing in data row 1, which is no number"),
        (HEADER + "2024-01-01,1,1,1,NaN,1\n", "'close' holds nothing in data row 1"),
        (HEADER + "2024-01-01,1,inf,1,1,1\n", "'high' holds 'inf' in data row 1"),
        (HEADER + '2024-01-01,1,1,1,1,"1,000"\n', "'volume' holds '1,000' in data row 1"),
        (HEADER + "13/02/2024,1,1,1,1,1\n", "'13/02/2024' in data row 1, which is no ISO 8601 time"),
        (HEADER + "01/02/2024,1,1,1,1,1\n", "no ISO 8601 time"),
        (HEADER + "1704067200.5,1,1,1,1,1\n", "no ISO 8601 time"),
        (HEADER + "2024-01-01,1,1,1,1,1e30\n2024-01-02,1,1,1,1,1\n", "volumes are too large for 64-bit integers"),
        (HEADER + ",1,1,1,1,1\n", "'timestamp' holds nothing in data row 1"),
        (HEADER + "2024-01-01 00:00:00.0005,1,1,1,1,1\n", "finer than a millisecond"),
        (HEADER + "1704067200000001,1,1,1,1,1\n", "finer than a millisecond"),
        (HEADER + "2024-01-01,1,1,1,1,1\n2024-01-02,1,1,1,1,1,7\n", "no readable CSV .*line 3"),
        (HEADER + "2024-01-01,1,1,1,1,1,7\n2024-01-02,1,1,1,1,1,7\n", "no readable CSV"),
    ],
)
def test_what_is_refused(file, text, message, capsys):
    path = file(text)
    with pytest.raises(InvalidInput, match=message) as refused:
        read_bars(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert main(["demo", "--csv", str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert shown.err.startswith(f"fastk: {path}: ")


def test_binary_files_are_refused_in_one_line(tmp_path, capsys):
    path = tmp_path / "bars.parquet"
    path.write_bytes(b"PAR1\x15\x04\x00\xff\xfe\x00\n\r\x1b[31m,\x80\n" * 50)
    assert main(["demo", "--csv", str(path)]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "\x1b" not in error


def test_missing_files_and_folders_are_refused_in_one_line(tmp_path, capsys):
    assert main(["demo", "--csv", str(tmp_path / "absent.csv")]) == 1
    assert capsys.readouterr().err == f"fastk: {tmp_path}/absent.csv: No such file or directory\n"
    assert main(["demo", "--csv", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"fastk: {tmp_path}: Is a directory\n"


def test_numbers_too_small_for_any_scale_are_said():
    columns, scale, notes = fit("prices", {"open": np.array([1e-320, 0.5])})
    assert (columns["open"].tolist(), scale) == ([0.0, 0.5], 10**15)
    assert notes == ["1 prices have more digits than fit: rounded to 15 decimals"]
    assert fit("prices", {"open": np.array([1e-320])})[1] == 10**15


def test_the_sample():
    every = {bars.symbol: bars for bars in sample_bars()}
    assert list(every) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert {bars.timeframe for bars in every.values()} == {"1d"}
    assert len(every["AAPL"]) == 3_270
    assert time_text(every["AAPL"].ts[0]) == "2000-03-01"


def test_the_most_common_step_is_the_timeframe():
    ts = np.array([0, 60_000, 120_000, 500_000, 560_000], np.int64)
    ones = np.ones(5)
    bars = make_bars("X", ts, dict.fromkeys(("open", "high", "low", "close", "volume"), ones))
    assert (bars.timeframe_ms, bars.gap_count) == (60_000, 1)


def test_the_default_demo(capsys):
    assert main(["demo"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    for word in ("AAPL", "3,270", "10 series", "rows/s", "B/s", "all intact", "430.47", "is removed"):
        assert word in shown.out
    for word in ("Queries: AAPL", "volume > 98,328,300", "close > 614.32", "sma_20 from 13.8205 to", "rows looked at"):
        assert word in shown.out


@pytest.fixture
def sample_store(tmp_path):
    """The store of the default demo, and its bars."""
    every = sample_bars()
    with fastk.open(tmp_path / "store") as store:
        demo_measure.write(store, every)
        yield store, every


def test_queries_say_what_was_found_and_by_what(sample_store):
    store, every = sample_store
    bars, asked = demo_queries.ask(store, every)
    volume, close = bars.columns["volume"], bars.columns["close"]
    assert [each.condition.partition(" ")[0] for each in asked] == ["volume", "volume", "close", "sma_20"]
    assert asked[0].matches == np.count_nonzero(volume > 98_328_300) == asked[0].stats.rows_matched
    assert asked[2].matches == np.count_nonzero(close > 614.32)
    assert asked[3].matches == 163
    assert asked[0].served == "zones, comparing; 716 rows looked at"
    assert asked[2].served == "zones, comparing; 250 rows looked at"
    assert all(min(each.numpy, each.query) > 0 for each in asked)


def test_a_query_that_finds_something_else_ends_the_demo(sample_store, monkeypatch):
    store, every = sample_store
    monkeypatch.setattr(demo_queries, "Gt", fastk.Gte)
    with pytest.raises(InvalidData, match="does not find what comparing finds"):
        demo_queries.ask(store, every)


def test_conditions_that_are_the_same_are_asked_once(tmp_path):
    ones = np.ones(5)
    bars = make_bars("X", np.arange(5) * 60_000, dict.fromkeys(("open", "high", "low", "close", "volume"), ones))
    with fastk.open(tmp_path / "store") as store:
        demo_measure.write(store, [bars])
        asked = demo_queries.ask(store, [bars])[1]
    assert [each.condition for each in asked] == ["volume > 1", "close > 1", "sma_5 from 1 to 1"]
    assert [each.matches for each in asked] == [0, 0, 1]


def test_a_demo_for_programs(file, capsys):
    assert main(["demo", "--csv", str(file(HEADER + THREE_BARS)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["series"][0] | {"symbol": "MY BARS", "rows": 3, "gaps": 1} == found["series"][0]
    assert found["written"]["rows"] == 4
    assert [each["matches"] for each in found["queries"]]
    assert found["speeds"].keys() >= {"range_read", "point_read"}


def test_a_demo_of_a_file(file, tmp_path, capsys):
    path = file(HEADER + THREE_BARS)
    root = tmp_path / "my store"
    assert main(["demo", "--csv", str(path), "--root", str(root)]) == 0
    shown = capsys.readouterr().out
    for word in ("MY BARS", "1m", "Note: times carry no zone: they are taken as UTC.", "2.75"):
        assert word in shown
    assert str(root) in shown.replace("\n", "")
    assert any(root.rglob("*.chunk"))
    assert main(["demo", "--csv", str(path), "--root", str(root)]) == 1
    assert "is no empty folder" in capsys.readouterr().err


def test_a_kept_store(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo", "--csv", str(file(HEADER + THREE_BARS)), "--keep"]) == 0
    assert "stays in" in capsys.readouterr().out
    assert any(tmp_path.glob("fastk-demo-*/**/*.chunk"))


def test_nothing_is_left_behind(file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["demo", "--csv", str(file(HEADER + THREE_BARS))]) == 0
    assert "is removed" in capsys.readouterr().out
    assert not any(tmp_path.glob("fastk-demo-*"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "btc-perp-1m-20211231-20220201.csv",
            ("45,031", "1m", "6 volumes have more digits", "taken as UTC", "2022-02-01 05:31", "38,544"),
        ),
        ("usdjpy-1m-201302.csv", ("28,761", "1m", "volume is stored as 0", "2013-03-01", "92.539")),
    ],
)
def test_real_files(shared, name, words, capsys):
    assert main(["demo", "--csv", str(shared / "data" / name)]) == 0
    shown = capsys.readouterr().out
    assert [word for word in words if word not in shown] == []


def test_a_file_that_is_no_ohlcv(shared, capsys):
    assert main(["demo", "--csv", str(shared / "data" / "usdjpy-quotes-20130101.csv")]) == 1
    assert "no column for open" in capsys.readouterr().err


@pytest.mark.slow
def test_the_installed_way(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + THREE_BARS)
    command = [sys.executable, "-m", "fastk", "demo", "--csv", str(path)]
    shown = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "all intact" in shown.stdout
    assert shown.stderr == ""


@pytest.mark.slow
def test_letters_that_the_terminal_lacks_are_escaped(tmp_path):
    path = tmp_path / "ünï [bold].csv"
    path.write_text(HEADER + THREE_BARS)
    command = [sys.executable, "-m", "fastk", "demo", "--csv", str(path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "FASTK_KERNELS": "never"}
    shown = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True)
    assert r"\xdcN\xcf [BOLD]" in shown.stdout
