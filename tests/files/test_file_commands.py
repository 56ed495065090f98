"""`fastk import` and `fastk export`: the same as the library, in one line, and one way to fail."""

import json
import re

import pytest
from file_calls import FIRST, HEADER, bar_line, bar_text, write

import fastk
from fastk.cli import rows_progress
from fastk.cli.main import main

BARS = ["--symbol", "X", "--category", "kline", "--name", "1m"]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words, status=0):
        assert main(list(words)) == status, capsys.readouterr().err
        shown = capsys.readouterr()
        return shown.err if status else json.loads(shown.out)

    return call


def test_in_and_out(run, tmp_path):
    write(tmp_path, bar_text(range(4)))
    report = run("import", "store", "bars.csv", *BARS, "--time-unit", "ms", "--json")
    assert (report["rows"], report["accepted"], report["is_sound"]) == (4, 4, True)
    (result,) = run(
        "export", "store", "out.csv.gz", *BARS, "--start", str(FIRST + 60_000), "--end", "2024-01-01T00:02Z"
    )
    assert result["rows"] == 2
    run("import", "store", "out.csv.gz", *BARS, "--on-conflict", "skip_identical")
    (result,) = run("export", "store", "out.dat", "--format", "jsonl", "--columns", "ts,close", "--raw")
    assert (tmp_path / "out.dat").read_text().splitlines()[0] == '{"ts": "2024-01-01 00:00:00.000Z", "close": 10025}'


def test_every_option(run, tmp_path):
    write(tmp_path, "junk\n01.01.2024;00:00;1.25;2;buy;x\n01.01.2024;00:01;1.25;2;sell;x\n", "own.txt")
    command = ["import", "store", "own.txt", "--symbol", "X", "--category", "own", "--name", "y", "--skip-lines", "1"]
    command += ["--columns", "date,clock,price,n,side,note", "--delimiter", ";", "--map", "ts=date+clock"]
    command += ["--time-format", "%d.%m.%Y %H:%M", "--zone", "Europe/Berlin", "--values", "side=buy:1,sell:-1"]
    command += ["--set", "venue=3", "--field", "price:i8:price_scale", "--field", "n:i2", "--field", "side:i1"]
    command += ["--field", "note:S4", "--field", "venue:u1", "--scale", "price=1000", "--store-unit", "us"]
    command += ["--partition", "day", "--no-unique-ts", "--sequence-field", "n", "--timeframe-ms", "60000"]
    command += ["--batch-rows", "1", "--scratch", str(tmp_path), "--round", "price=1", "--type", "mine"]
    run(*command, "--dry-run")
    assert not (tmp_path / "store").exists()
    assert run(*command)["commits"] == 2
    with fastk.open(tmp_path / "store", "r") as store:
        series = store.series(("X", "own", "y"))
        assert (series.schema.name, series.schema.sequence_field, series.schema.unique_ts) == ("mine", "n", False)
        assert [list(row)[1:] for row in series.range()] == [[1200, 2, 1, b"x", 3], [1200, 2, -1, b"x", 3]]
        assert series.range().ts.tolist() == [(FIRST - 3_600_000) * 1000, (FIRST - 3_540_000) * 1000]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["bars.csv", "--map", "close"], "--map 'close' is no FIELD=VALUE"),
        (["bars.csv", "--map", "ts=a,ts=b"], "the second of its name"),
        (["bars.csv", "--scale", "close=many"], "--scale close=many is no whole number"),
        (["bars.csv", "--round", "close=x"], "is no whole number"),
        (["bars.csv", "--values", "side"], "is no FIELD=WORD:VALUE"),
        (["bars.csv", "--type", "kline", "--field", "x:i8"], "has fields of its own"),
        (["bars.csv", "--sequence-field", "x"], "declare its fields"),
        (["bars.csv", "--batch-rows", "0"], "a batch has 1 row or more"),
        (["bars.csv"], "--time-unit"),
    ],
)
def test_failing_to_import(run, tmp_path, words, problem):
    write(tmp_path, bar_text(range(4)))
    said = run("import", "store", *words, *BARS, status=1)
    assert said.startswith("fastk: ")
    assert said.count("\n") == 1
    assert problem in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bars.csv"]


def test_a_dry_run_that_finds_something(run, tmp_path, capsys):
    write(tmp_path, f"{HEADER}\n{bar_line(0)}\n{bar_line(1, 'x')}\n")
    assert main(["import", "store", "bars.csv", *BARS, "--time-unit", "ms", "--dry-run"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["problems"][0].startswith(f"{tmp_path}/bars.csv, line 3: column 'open': 'x'")
    assert shown.err.startswith(f"fastk: {tmp_path}/bars.csv, line 3: ")


def test_failing_to_export(run, tmp_path):
    with fastk.open(tmp_path / "store") as store:
        store.register_kline_series("A", "1m", 60_000)
        store.register_kline_series("B", "1m", 60_000)
    for words, problem in (
        (["out"], "2 series match, which go into a new folder: say --format"),
        (["out", "--format", "csv", "--columns", "ts"], "leave --columns and --overwrite out"),
        (["out.xlsx", "--symbol", "A"], "tells no format"),
        (["out.csv", "--symbol", "C"], "no series match: there is nothing to export"),
        (["out", "--symbol", "A"], "out names no kind of file: the series goes into a new folder: say --format"),
        (["none/out.csv", "--symbol", "A"], f"there is no folder {tmp_path}/none; make it"),
        (["store/out.csv", "--symbol", "A"], "lies in the store"),
        (["store/fastk.store", "--symbol", "A", "--overwrite", "--format", "csv"], "lies in the store"),
        (["store/A/out", "--format", "csv"], "lies in the store"),
        (["out.csv", "--symbol", "A", "--start", "soon"], "'soon' (str) is not a time"),
    ):
        assert problem in run("export", "store", *words, status=1)
    assert "no store at" in run("export", "nowhere", "out.csv", status=1)
    assert len(run("export", "store", "out", "--format", "csv")) == 2
    assert "exists" in run("export", "store", "out", "--format", "csv", status=1)


def test_tables_for_people(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, bar_text([0, 1, 5]))
    assert main(["import", "store", "bars.csv", *BARS, "--time-unit", "ms", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "gaps         1 (3 rows missing)" in shown
    assert shown.endswith("nothing was written\n")
    assert main(["import", "store", "bars.csv", *BARS, "--time-unit", "ms"]) == 0
    assert "accepted     3" in capsys.readouterr().out
    assert main(["export", "store", "out.parquet"]) == 0
    assert "3 rows of X/kline/1m are in" in capsys.readouterr().out


def test_long_work_shows_rows_a_second(tmp_path, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, bar_text(range(4)))
    assert main(["import", "store", "bars.csv", *BARS, "--time-unit", "ms"]) == 0
    assert capsys.readouterr().err == ""  # it took no time
    monkeypatch.setattr(rows_progress, "_PATIENCE", 0)
    for command in (["import", "other", "bars.csv", *BARS, "--time-unit", "ms"], ["export", "store", "out.csv"]):
        assert main(command) == 0
        assert re.search(r"(storing|exporting) .* 4 rows +[\d,]+/s", capsys.readouterr().err)


def test_help_shows_examples(capsys):
    for command in ("import", "export"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "examples:" in capsys.readouterr().out


def test_a_missing_library_is_one_line(run, tmp_path, monkeypatch):
    write(tmp_path, bar_text(range(4)))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    said = run("import", "store", "bars.csv", *BARS, status=1)
    assert said == "fastk: this needs pyarrow, which is not installed: pip install 'fastk-engine[files]'\n"
