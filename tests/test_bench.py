"""The figures in the documentation are those that the benchmark kept, and its workloads give right answers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600
    )


def test_the_documentation_shows_the_results_that_were_kept():
    checked = run("bench.docs", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_guarded_workload_has_a_ratio_to_be_compared_with():
    from bench.measure import LOADED, NEVER
    from bench.test_regression import GUARDED

    results = json.loads((CHECKOUT / "bench" / "results" / "latest.json").read_text())["sections"]
    ratios = {each["workload"]: each["ratio"] for listed in results.values() for each in listed}
    assert len(GUARDED) >= 20
    for name in GUARDED:
        assert set(ratios[name]) == {NEVER, LOADED}


def test_a_baseline_that_is_fastk_has_the_kernels_of_what_stands_beside_it(monkeypatch):
    from bench import measure

    seen = []
    monkeypatch.setattr(measure, "use_kernels", seen.append)
    workload = measure.Workload("both are FastK", lambda batch: 1, lambda batch: 1, [0], modes=(measure.LOADED,))
    measure.measure(workload, [measure.NEVER, measure.LOADED])
    assert set(seen) == {measure.LOADED}


def workload_that_tells(told, rounds):
    """Both contenders tell the batch that they were given; their answers are compared by others."""
    from bench.measure import BASELINE, FASTK, Workload

    fastk, baseline = (lambda batch, who=who: told.append((who, batch)) for who in (FASTK, BASELINE))
    return Workload("told", fastk, baseline, range(rounds), proofs=(lambda batch: 1, lambda batch: 1))


def test_each_state_takes_turns_with_the_baseline_by_itself(monkeypatch):
    """Its twin reads the same files: behind it, a state would find its batch in the processor's caches."""
    from bench.measure import BASELINE, FASTK, LOADED, NEVER, measure

    told = []
    monkeypatch.setattr("bench.measure.use_kernels", told.append)
    result = measure(workload_that_tells(told, 20), [NEVER, LOADED])
    second = told.index(LOADED)
    assert told[0] == NEVER
    for turns in (told[1:second], told[second + 1 :]):
        assert len(turns) == 40
        for batch, both in enumerate(zip(turns[::2], turns[1::2], strict=True)):
            assert set(both) == {(FASTK, batch), (BASELINE, batch)}
        assert {who for who, _ in turns[::2]} == {FASTK, BASELINE}  # either may come first
    assert set(result.fastk) == set(result.baselines) == set(result.spread) == {NEVER, LOADED}


def test_ratios_and_goals_are_to_the_baseline_of_the_same_turns():
    from bench.measure import LOADED, NEVER, Result
    from bench.table import result_cells, result_data

    result = Result("point, hit", "raw npy", {NEVER: 4.0, LOADED: 2.0}, {NEVER: 1.6, LOADED: 1.2})
    assert (result.ratio(NEVER), result.ratio(LOADED)) == (0.4, 0.6)
    limit = result.goal.ratio
    assert (result.limit(NEVER), result.limit(LOADED)) == (4 * limit, 2 * limit)
    assert result.excess(NEVER) < 1 < result.excess(LOADED)
    assert result_cells(result, [NEVER, LOADED])[1:8] == ["raw npy", "2 us", "1.6 us", "0.40", "yes", "1.2 us", "0.60"]
    data = result_data(result)
    assert (data["baseline_value"], data["baseline_values"]) == (2.0, {NEVER: 4.0, LOADED: 2.0})
    assert data["met"] == {NEVER: True, LOADED: False}


def test_a_workload_without_a_baseline_has_neither_ratio_nor_figure_of_it(monkeypatch):
    from bench.measure import NEVER, Workload, measure
    from bench.table import result_cells, result_data

    monkeypatch.setattr("bench.measure.use_kernels", lambda mode: None)
    result = measure(Workload("alone", lambda batch: 1, None, range(3)), [NEVER])
    assert (result.baseline, result.ratio(NEVER), result.excess(NEVER)) == (None, None, None)
    assert result_cells(result, [NEVER])[1:3] == ["-", "-"]
    assert result_data(result)["ratio"] == {NEVER: None}


def test_the_chosen_plan_stands_beside_raw_npy_without_the_forced_ones(tmp_path, monkeypatch):
    from bench import queries
    from bench.data import Market
    from bench.measure import NEVER
    from bench.signals import mixed

    values, told = queries.Values(Market(str(tmp_path), symbols=1, rows_per_month=100), mixed), []
    monkeypatch.setattr("bench.measure.use_kernels", lambda mode: None)
    monkeypatch.setattr(queries, "use_kernels", lambda mode: None)
    monkeypatch.setattr(values, "found", lambda condition, plan: told.append(plan))
    monkeypatch.setattr(values, "raw_found", lambda condition: told.append("raw"))
    found = queries.measure_plan(values, "mixed", 0.5, NEVER, 20)
    behind_forced = 1 + max(place for place, who in enumerate(told) if who in queries.FORCED)
    assert told[:behind_forced].count("raw") == 2 * 4, "raw npy only answers, twice for each plan, to be compared"
    assert told[behind_forced:].count("raw") == 2 + 20
    assert set(told[behind_forced:]) == {queries.AUTO, "raw"}
    assert set(found.forced) == set(queries.FORCED)


def test_what_is_measured_by_days_has_one_file_a_day(tmp_path):
    from bench.layouts import LAYOUTS, DayMarket
    from bench.lifecycle import without_syncs

    with without_syncs():
        market = DayMarket(str(tmp_path), 3_000)
        for name in ("point, hit, day files", "where volume > x, 1% match, no sidecars, day files"):
            LAYOUTS[name](market, 2).check()
    assert len(market.series[0].range().segments) == 121


@pytest.mark.parametrize("times", ["sessions", "bursts"])
def test_uneven_times_lie_far_from_a_line(tmp_path, times):
    import numpy as np

    from bench.data import Market
    from bench.layouts import LAYOUTS, UNEVEN, BurstMarket, SessionMarket
    from bench.lifecycle import without_syncs

    with without_syncs():
        market = Market(str(tmp_path), 1, 3_000)
        for name in UNEVEN:
            if name.endswith(times):
                LAYOUTS[name](market, 2).check()
    make = {"sessions": SessionMarket, "bursts": BurstMarket}[times]
    ts = make(str(tmp_path / "other"), 3_000).columns["SYM0USDT"]["ts"][:3_000]
    assert np.all(np.diff(ts) > 0)
    assert np.abs(ts - np.linspace(ts[0], ts[-1], ts.size)).max() > 30 * np.diff(ts).mean()


def test_a_float_column_has_its_sidecars_and_ranks_that_leave_nan_out(tmp_path):
    from bench.data import Market
    from bench.queries import Values
    from bench.signals import floats

    values = Values(Market(str(tmp_path), symbols=1, rows_per_month=100), floats)
    assert values.series.schema.value_indexes == values.series.schema.zone_maps == ("value",)
    assert 0 < sum(values.value != values.value) < 20
    assert values.at_rank(1) == max(value for value in values.value if value == value)


def test_bare_syncs_write_as_many_files_as_the_append(tmp_path):
    from bench.writes import BareSyncs

    BareSyncs(str(tmp_path), b"chunk", b"manifest", [b"zones", b"index"])()
    assert sorted(path.read_bytes() for path in (tmp_path / "chunks").iterdir()) == [b"chunk", b"index", b"zones"]


@pytest.mark.parametrize(
    ("options", "whole"), [([], True), (["--kernels", "loaded"], False), (["--rounds", "2"], False)]
)
def test_only_a_run_that_leaves_nothing_out_is_kept(options, whole, monkeypatch):
    from bench import run as command

    monkeypatch.setattr(sys, "argv", ["bench", *options])
    assert command.is_whole(command.parse_options()) is whole


@pytest.mark.slow
def test_every_workload_agrees_with_raw_npy():
    """Each asserts before it is timed that both sides give the same answer."""
    measured = run(
        "bench", "--size", "small", "--rounds", "2", "--only", " "
    )  # every name has a space; nothing is kept
    assert measured.returncode == 0, measured.stderr
    for workload in ("point, hit", "range 1,024 rows", "at_many", "append 64 rows", "initial write", "fresh process"):
        assert workload in measured.stdout
    for workload in (
        "a month less one minute: one row",
        "64 rows into 50 series",
        "merge of a month",
        "skip_identical",
        "merged replay, 24 series",
        "sequence scan",
        "coverage",
        "attach 10,000 series",
        "metrics detailed",
        "where value in 3 values",
        "Chosen plan at worst, kernels",
        "50% match, floats with NaN",
        "0.1% match, no sidecars",
        "range 64 rows, sum of close, day files",
        "50% match, no sidecars, day files",
        "append 64 rows with zone map and value index",
        "bridge, 1,000 bars",
        "batch mode",
    ):
        assert workload in measured.stdout


@pytest.mark.slow
def test_the_contest_runs_with_what_is_always_there():
    """The standard library's SQLite: every answer agrees, losses are printed, nothing is kept."""
    compared = run("bench", "--size", "small", "--peers", "sqlite", "--workloads", "storage")
    assert compared.returncode == 0, compared.stderr
    for title in ("# FastK beside its peers", "## Storage of 100,080 rows", "MB on disk", "Ahead of FastK"):
        assert title in compared.stdout
    assert "failed" not in compared.stdout
    assert "kept in" not in compared.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "option", "told"),
    [
        ("bench", ["--workloads", "reads,dreams"], "there are"),
        ("bench", ["--peers", "oracle"], "there are"),
        ("bench", ["--peers", "sqlite,"], "there are"),
        ("bench", ["--only", "dreams"], "no workload's name contains 'dreams'"),
        (
            "bench",
            ["--only", "", "--workloads", "opening", "--rounds", "1", "--size", "small"],
            "--only needs a part of a name",
        ),
        ("bench", ["--rounds", "0"], "--rounds must be 1 or more"),
        ("bench.scale", ["--axes", "dreams"], "there are"),
        ("bench.scale", ["--folder", "no/such/folder"], "--folder no/such/folder: there is no such folder"),
        ("bench.floors", ["--size", "small"], "unrecognized arguments"),
    ],
)
def test_what_is_not_there_is_told(module, option, told):
    refused = run(module, *option)
    assert refused.returncode != 0
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
def test_a_wrong_environment_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("FASTK_KERNELS", "foo")
    refused = run("bench", "--only", "point")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == ("python -m bench: FASTK_KERNELS='foo' is unknown: use one of eager, lazy, never\n")
