"""`fastk bench` and `fastk.latency_profile`: percentiles of a store's reads, and nothing of it changes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from builders import MINUTE

import fastk
from fastk.cli import bench
from fastk.cli.main import main

START = 1_704_067_200_000
QUICK = ("--seconds", "0.002")


@pytest.fixture
def root(tmp_path):
    """Bars of one symbol, a signal, trades, a series without rows, and one with floats of its own."""
    root = str(tmp_path / "store")
    ts = START + MINUTE * np.arange(500)
    with fastk.open(root) as store:
        bars = {name: np.arange(500) for name in ("open", "high", "low", "close", "volume")}
        store.register_kline_series("BTC", "1m", MINUTE).put({"ts": ts, **bars})
        key = fastk.signal_series_key("BTC", "1m", "side")
        store.register_scalar_series(key, MINUTE).put({"ts": ts, "value": np.arange(500) % 3})
        store.register_kline_series("EMPTY", "1m", MINUTE)
        schema = fastk.Schema("tick", [("ts", "i8"), ("mark", "S4"), ("price", "f8")], unique_ts=False)
        ticks = {"ts": ts, "mark": np.full(500, b"ab", "S4"), "price": np.linspace(0, 1, 500)}
        store.register_series(("BTC", "tick", "x"), schema).put(ticks)
    return root


def files_of(root):
    """Every file with its size and time."""
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]
    return {path: (os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths}


def test_every_operation_has_ordered_percentiles(root):
    profile = fastk.latency_profile(root, seconds=0.002)
    assert len({each.operation for each in profile.operations}) == len(profile.operations) >= 10
    for each in profile.operations:
        assert 0 < each.least <= each.p50 <= each.p95 <= each.p99 <= each.greatest
        assert each.calls >= 5


def test_rows_are_those_that_a_call_reads(root):
    rows = {each.operation: each.rows for each in fastk.latency_profile(root, seconds=0.002).operations}
    assert rows["point"] == 1
    assert rows["point, missing"] == 0
    assert rows["range of 16"] == 16
    assert rows["range of 4,096"] == rows["full scan, one column"] == 500


def test_series_without_rows_are_not_drawn(root):
    profile = fastk.latency_profile(root, seconds=0.002)
    assert profile.series_count == 4
    assert len(profile.sampled) == 3
    assert not any("EMPTY" in each for each in profile.sampled)
    assert profile.rows == 1_500


@pytest.mark.slow
def test_the_sample_follows_its_seed(root):
    drawn = [fastk.latency_profile(root, series=1, seconds=0.001, seed=seed).sampled for seed in (3, 3, *range(8))]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_the_store_is_as_it_was(root):
    before = files_of(root)
    fastk.latency_profile(root, seconds=0.002)
    assert files_of(root) == before


def test_a_damaged_series_is_passed_over_and_named(root):
    manifest = os.path.join(root, "series", "BTC", "kline", "1m", "series.meta")
    with open(manifest, "r+b") as file:
        file.seek(40)
        file.write(b"\xff" * 8)
    profile = fastk.latency_profile(root, seconds=0.002)
    assert len(profile.sampled) == 2
    assert len(profile.skipped) == 1
    assert "BTC/kline/1m" in profile.skipped[0]


def test_a_damaged_chunk_is_passed_over_and_named_as_well(root):
    (chunk,) = Path(root, "series", "BTC", "kline", "1m", "chunks").glob("*.chunk")
    with chunk.open("r+b") as file:
        file.seek(chunk.stat().st_size // 2)
        file.write(b"\xff" * 8)
    profile = fastk.latency_profile(root, seconds=0.002)
    assert len(profile.sampled) == 2
    assert "BTC/kline/1m" in profile.skipped[0]
    assert "damaged" in profile.skipped[0]
    assert profile.rows == 1_000


@pytest.mark.parametrize("step", [1, 20])
def test_values_that_are_no_number_are_left_out_of_the_order(tmp_path, step):
    prices = np.arange(500.0)
    prices[::step] = np.nan
    with fastk.open(tmp_path / "store") as store:
        series = store.register_series(("BTC", "mark", "x"), fastk.Schema("mark", [("ts", "i8"), ("price", "f8")]))
        series.put({"ts": START + MINUTE * np.arange(500), "price": prices})
    rows = {each.operation: each.rows for each in fastk.latency_profile(tmp_path / "store", seconds=0.002).operations}
    assert rows["predicate, top 1%"] == np.isfinite(prices).sum() // 100 + (step > 1)


def test_a_store_without_rows_is_refused(tmp_path):
    with fastk.open(tmp_path / "store") as store:
        store.register_kline_series("BTC", "1m", MINUTE)
    with pytest.raises(fastk.NotFound, match="nothing to measure"):
        fastk.latency_profile(tmp_path / "store")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"series": 0}, "series must be an int"),
        ({"series": 2.0}, "series must"),
        ({"seconds": 0}, "seconds must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_wrong_options_are_refused(root, options, problem):
    with pytest.raises(fastk.InvalidInput, match=problem):
        fastk.latency_profile(root, **options)


def test_the_command_draws_a_chart(root, capsys):
    assert main(["bench", root, *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "3 of 4 series, 1,500 rows" in shown
    line = next(line for line in shown.splitlines() if line.startswith("range of 256"))
    assert line.count("●") == 1


def test_the_command_prints_json(root, capsys):
    assert main(["bench", root, "--json", "--series", "2", *QUICK]) == 0
    profile = json.loads(capsys.readouterr().out)
    assert len(profile["sampled"]) == 2
    assert {"operation", "calls", "rows", "p50", "p95", "p99", "least", "greatest"} == set(profile["operations"][0])


def test_without_a_store_the_command_makes_one_and_removes_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "ROWS", 300)
    monkeypatch.setattr(bench.tempfile, "tempdir", str(tmp_path))
    assert main(["bench", *QUICK]) == 0
    assert "a store made for this, and removed: 4 of 4 series" in capsys.readouterr().out
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "arguments", [["missing"], [".", "--series", "0"], [".", "--seconds", "-1"], [".", "--seed", "-1"]]
)
def test_the_command_fails_in_one_line(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fastk: ")
    assert shown.err.count("\n") == 1


@pytest.mark.slow
def test_a_terminal_without_these_letters_gets_plain_ones(root):
    import subprocess
    import sys

    command = [sys.executable, "-m", "fastk", "bench", root, *QUICK]
    shown = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True)
    assert b"o median, = to the 95th" in shown.stdout
    assert b"\\u" not in shown.stdout


@pytest.mark.parametrize(
    ("microseconds", "text"), [(0.25, "250 ns"), (1.6, "1.6 us"), (2_500, "2.5 ms"), (3e6, "3 s"), (999.96, "1e+03 us")]
)
def test_times_are_short(microseconds, text):
    assert bench._time(microseconds) == text
