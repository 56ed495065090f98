"""`fastk inspect`: JSON for programs, tables on a terminal, and how it ends."""

import json
import sys

import pytest
from builders import FEBRUARY, JANUARY, MINUTE
from inspected import HOLE, files_of, put_eight_bars, spoil

import fastk
from fastk.cli.main import main


@pytest.fixture
def terminal(monkeypatch):
    """Makes standard output a terminal. Called by the test: capturing changes when it begins."""
    return lambda: monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


@pytest.fixture(params=["rich", "plain"])
def tables(request, terminal, monkeypatch):
    """The same, with rich installed or not."""
    if request.param == "plain":
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    return terminal


def test_json_where_nobody_looks(store, capsys):
    put_eight_bars(store)
    assert main(["inspect", store.root]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["chunks"], found["is_sound"]) == (8, 2, True)
    assert found["sizes"]["total"] == sum(found["sizes"][each] for each in found["sizes"] if each != "total")
    (series,) = found["series"]
    assert (series["key"], series["rows"], series["first_ts"]) == ("BTC/kline/1m", 8, JANUARY)
    assert [each["rows"] for each in series["partitions"]] == [5, 3]
    assert series["gaps"] is None


def test_json_on_a_terminal(store, terminal, capsys):
    terminal()
    put_eight_bars(store)
    assert main(["inspect", store.root, "--json", "--gaps"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert series["gaps"]["missing"] == HOLE
    assert series["gaps"]["largest"] == [{"start_ts": JANUARY + 5 * MINUTE, "end_ts": FEBRUARY - MINUTE, "count": HOLE}]


def test_tables_on_a_terminal(store, tables, capsys):
    tables()
    put_eight_bars(store)
    assert main(["inspect", store.root, "--gaps"]) == 0
    shown = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert f"{store.root}: 1 series of 1" in lines
    (row,) = [line for line in lines if line.startswith("BTC/kline/1m kline")]
    assert row.startswith("BTC/kline/1m kline 8 2024-01-01T00:00Z 2024-02-01T00:02Z 0.1% 2 0 ")
    assert f"BTC/kline/1m: {HOLE:,} of {HOLE + 8:,} rows are missing, in 1 gap" in lines
    assert f"2024-01-01T00:05Z 2024-01-31T23:59Z {HOLE:,}" in lines
    assert "sound, by headers and tables (--scrub reads all)" in lines
    assert not any("2024-02 3" in line for line in lines)


def test_nothing_is_cut_off_on_a_terminal_that_calls_itself_dumb(store, terminal, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "dumb")
    terminal()
    put_eight_bars(store, "BTCUSDT-PERPETUAL-OF-A-LONG-NAME")
    assert main(["inspect", store.root]) == 0
    shown = capsys.readouterr().out
    assert "BTCUSDT-PERPETUAL-OF-A-LONG-NAME/kline/1m" in shown
    assert "…" not in shown


def test_partitions_of_chosen_series(store, tables, capsys):
    tables()
    for symbol in ("BTC", "ETH"):
        put_eight_bars(store, symbol)
    assert main(["inspect", store.root, "--series", "ETH/*", "--scrub"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert not any("BTC" in line for line in lines)
    assert any(line.startswith("ETH/kline/1m 2024-01 5 44,640 1 ") for line in lines)
    assert "sound, every checksum compared" in lines


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_damage_is_shown_and_fails(store, terminal, options, capsys):
    terminal()
    for symbol in ("BTC", "ETH"):
        put_eight_bars(store, symbol)
    spoil(files_of(store, "BTC/kline/1m/series.meta")[0], 40)
    assert main(["inspect", store.root, *options]) == 1
    shown = capsys.readouterr()
    assert "ETH/kline/1m" in shown.out
    assert shown.err.startswith("fastk: corrupt_manifest: series/BTC/kline/1m/series.meta")
    assert shown.err.count("\n") == 1


def test_a_missing_store_file_hides_nothing(store, capsys):
    put_eight_bars(store)
    files_of(store, "../fastk.store")[0].unlink()
    assert main(["inspect", store.root]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["rows"] == 8
    assert "missing_store_file" in shown.err


@pytest.mark.parametrize("command", [["inspect"], ["report", "-o", "page.html"]])
def test_what_is_no_store(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*command, str(tmp_path / "absent")]) == 1
    assert capsys.readouterr().err.startswith("fastk: there is no ")
    assert not (tmp_path / "page.html").exists()


def test_a_pattern_that_matches_nothing(store, capsys):
    put_eight_bars(store)
    assert main(["inspect", store.root, "--series", "DOGE/*"]) == 1
    assert "no series matches 'DOGE/*'" in capsys.readouterr().err


def test_names_that_a_terminal_should_not_see(tmp_path, tables, capsys):
    tables()
    with fastk.open(tmp_path / "store") as store:
        store.register_kline_series("[red]B[/red]\u3000", "1m", MINUTE)
    assert main(["inspect", str(tmp_path / "store")]) == 0
    assert "[red]B[/red]\\u3000/kline/1m" in capsys.readouterr().out
