"""The figures in the documentation are those that the benchmark kept, and its workloads give right answers."""

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
@pytest.mark.parametrize("option", [["--workloads", "reads,dreams"], ["--peers", "oracle"]])
def test_what_is_not_there_is_told(option):
    refused = run("bench", *option)
    assert refused.returncode != 0
    assert "there are" in refused.stderr
