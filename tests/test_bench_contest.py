"""The contest of the benchmarks: wrong answers are found, absent peers are named, dropped files are cold."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.disks import FailingSystem

from bench import appending, data, floors, writes
from bench.data import Market
from bench.peers import registry
from bench.peers.base import Condition
from bench.peers.cold import drop, resident_share
from bench.peers.contest import answer, set_up
from bench.peers.npy import Npy
from bench.peers.processes import answer_processes
from bench.peers.questions import GROUPS, READS
from bench.peers.stage import Stage
from bench.peers.table import Contest, as_lines
from bench.peers.tables import SIZES, Size, Tables
from bench.scale import AXES, measure_axis
from fastk.io import disk, lock
from fastk.io.disk import Disk

CHECKOUT = Path(__file__).resolve().parent.parent
TINY = Size(symbols=2, rows_per_month=400, seconds=0.001, storage_rows=1_000, process_rounds=1)
VALUES = np.array([-3, 0, 0, 2, 5, 9])


class Liar(Npy):
    """Forgets the last row of every range."""

    def column(self, table, name, start, end):
        return super().column(table, name, start, end)[:-1]


@pytest.fixture(scope="module")
def tables():
    return Tables(TINY)


def stage_of(kind, tmp_path, tables):
    stage = Stage(kind, str(tmp_path / kind.__name__), tables)
    stage.fill(tables.bars)
    return stage


def test_who_answers_otherwise_is_not_timed(tmp_path, tables):
    stages = {"npy": stage_of(Npy, tmp_path, tables), "sqlite": stage_of(Liar, tmp_path, tables)}
    question = next(each for each in READS if each.method == "column")
    answered = answer(question, stages, tables)
    assert set(answered.times) == {"npy"}
    assert "is not" in answered.failures["sqlite"]
    report = "\n".join(as_lines(Contest("tiny", ["npy", "sqlite"], ["duckdb"], {"Reads": [answered]}, {})))
    assert "failed" in report
    assert f"- SQLite, {question.title}: AssertionError" in report
    assert "Absent, because not installed: DuckDB." in report


def test_a_library_that_fails_is_named_and_the_others_go_on(tmp_path, tables):
    class Broken(Npy):
        def latest(self, table, name, count):
            raise RuntimeError("not today")

    stages = {"npy": stage_of(Npy, tmp_path, tables), "zarr": stage_of(Broken, tmp_path, tables)}
    answered = answer(next(each for each in READS if each.method == "latest"), stages, tables)
    assert answered.failures == {"zarr": "RuntimeError: not today"}


def test_a_library_that_cannot_take_the_tables_is_named(tmp_path, tables, monkeypatch):
    def refuse(store, given):
        raise OSError("no room")

    monkeypatch.setattr(registry.contestant("sqlite"), "write", refuse)
    with set_up(["npy", "sqlite"], "bars", tables, str(tmp_path)) as (stages, unable):
        assert list(stages) == ["npy"]
        assert unable == {"sqlite": "OSError: no room"}
    assert not os.listdir(tmp_path)
    monkeypatch.setattr(Npy, "write", refuse)
    with pytest.raises(OSError, match="no room"), set_up(["npy"], "bars", tables, str(tmp_path)):
        pass


@pytest.mark.parametrize("peer", ["sqlite", "parquet-pyarrow", "parquet-polars", "ipc", "duckdb"])
@pytest.mark.parametrize(
    "group", [word for word in GROUPS if word != "cold"]
)  # which waits for the disk, again and again
@pytest.mark.slow
def test_peers_answer_as_raw_npy_does(group, peer, tmp_path, tables):
    """Those that the development environment has; the benchmarks do it for all that are installed."""
    words, absent = registry.installed(["npy", "fastk", peer])
    if absent:
        pytest.skip(f"{peer} is not installed")
    from bench.peers.contest import answer_groups

    for answers in answer_groups(words, [group], tables, str(tmp_path)).values():
        for each in answers:
            assert each.failures == {}
            assert "fastk" in each.times


@pytest.mark.slow
def test_whole_processes_answer_as_raw_npy_does(tables, tmp_path):
    lines = [
        line
        for listed in answer_processes(["npy", "fastk", "sqlite"], tables, str(tmp_path)).values()
        for line in listed
    ]
    assert len(lines) == 3
    for each in lines:
        assert each.failures == {}
        assert set(each.times) == {"npy", "fastk", "sqlite"}


def test_peers_are_chosen_by_the_beginning_of_their_names():
    assert registry.chosen("parquet,sqlite") == ["sqlite", "parquet-pyarrow", "parquet-polars"]
    assert registry.chosen("none") == []
    assert registry.chosen("all") == list(registry.PEERS)
    with pytest.raises(SystemExit, match="no peer is called 'oracle'; there are sqlite"):
        registry.chosen("sqlite,oracle")


def test_what_cannot_be_imported_is_absent(monkeypatch):
    monkeypatch.setattr(registry.contestant("duckdb"), "packages", ("no_such_package",))
    assert registry.installed(["sqlite", "duckdb"]) == (["sqlite"], ["duckdb"])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(">", (0,)), [2, 5, 9]),
        (Condition(">=", (5,)), [5, 9]),
        (Condition("between", (0, 2)), [0, 0, 2]),
        (Condition("==", (0,)), [0, 0]),
        (Condition("!=", (0,)), [-3, 2, 5, 9]),
        (Condition("in", (9, -3, 7)), [-3, 9]),
    ],
)
def test_conditions_mean_the_same_in_every_form(condition, expected):
    import sqlite3

    assert VALUES[condition.mask(VALUES)].tolist() == expected
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE x (value)")
    base.executemany("INSERT INTO x VALUES (?)", [(value,) for value in VALUES.tolist()])
    assert [row[0] for row in base.execute(f"SELECT value FROM x WHERE {condition.sql()}")] == expected
    base.close()
    blocks = [VALUES[first : first + 2] for first in (0, 2, 4)]
    passed_over = [block for block in blocks if not condition.may_match(int(block.min()), int(block.max()))]
    assert not any(condition.mask(block).any() for block in passed_over)


def test_dropped_files_are_not_in_memory(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(1 << 20))
    if resident_share(str(tmp_path)) is None:
        pytest.skip("this file system does not tell what is in memory")
    path.read_bytes()
    assert resident_share(str(tmp_path)) == 1.0
    drop(str(tmp_path))
    if resident_share(str(tmp_path)) == 1.0:
        pytest.skip("this file system keeps its files in memory")
    assert resident_share(str(tmp_path)) < 0.1


def test_one_contestant_in_a_process_imports_no_other(tmp_path, tables):
    store = Npy(str(tmp_path))
    store.write(tables.bars)
    code = "import sys; from bench.peers import process; process.main(); assert 'fastk' not in sys.modules"
    symbol, ts = next(iter(tables.bars)), tables.ts
    arguments = ["npy", str(tmp_path), "first", symbol, str(ts[0]), str(ts[9])]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == str(tables.bars[symbol]["close"][:10].sum())


def test_the_axes_of_growth_are_measured(tmp_path):
    for axis, sizes in (("chunks", (2, 5)), ("series", (2, 5)), ("rows", (2_000, 5_000))):
        costs = [cost for cost in AXES[axis].costs if cost.unit == "us"]
        quick = type(AXES[axis])(
            AXES[axis].title, axis, AXES[axis].build, [cost._replace(calls=1, rounds=1) for cost in costs]
        )
        found = measure_axis(quick, str(tmp_path / axis), sizes)
        assert [each.cost for each in found] == [cost.title for cost in costs]
        assert all(set(each.figures) == set(sizes) and min(each.figures.values()) > 0 for each in found)


def test_the_steps_of_an_operation_make_up_the_whole(tmp_path, monkeypatch):
    for module, name, small in ((floors, "ROUNDS", 3), (floors, "CALLS", 5), (appending, "TURNS", 5)):
        monkeypatch.setattr(module, name, small)
    tables = floors.measure_parts(Market(str(tmp_path), 1, 2_000))
    bricks = tables.pop("Bricks")
    assert all(part.microseconds > 0 for part in bricks)
    for parts in tables.values():
        assert parts[-1].name == "together"
        assert sum(part.microseconds for part in parts[:-1]) == pytest.approx(parts[-1].microseconds)


def test_the_straight_line_program_makes_the_calls_and_the_bytes_of_an_append(tmp_path, monkeypatch):
    market, systems = Market(str(tmp_path), 1, 2_000), (FailingSystem(), FailingSystem())
    appender, series = appending.new_appender(market, "appended", Disk())
    appender.put(appender.bars())
    root = str(tmp_path / "appended")
    line = appending.StraightLine(root, str(tmp_path / "copy"))
    appending.assert_same_bytes(appender, line, root)
    bars = appender.bars()
    for system, call, modules in zip(
        systems, (appender.put, line), ((disk, lock), (appending, writes, data)), strict=True
    ):
        with monkeypatch.context() as patch:
            for module in modules:
                patch.setattr(module, "os", system)
            call(bars)
    performed = [[call for call in system.calls if call not in ("writev", "lstat")] for system in systems]
    assert performed[0] == performed[1]
    assert len(series) == 4 * appending.APPENDED


@pytest.mark.slow
def test_first_uses_of_kernels_are_measured_without_and_with_code_that_was_kept(tmp_path, monkeypatch):
    few = floors.FIRST_USES.replace("in sample_calls()", "in list(sample_calls())[:3]")
    assert few != floors.FIRST_USES
    monkeypatch.setattr(floors, "FIRST_USES", few)
    monkeypatch.setattr(floors, "PROCESSES", 2)
    parts = floors.kernel_parts(str(tmp_path))
    assert [part.name.partition(":")[0] for part in parts] == ["a filled cache"] * 3 + ["an empty cache"] * 3
    assert all(part.microseconds > 0 for part in parts)
    assert any("all 3 kernels" in part.name for part in parts)
    assert os.listdir(tmp_path) == []


def test_the_slowest_first_use_is_that_of_the_greatest_median():
    times = [{"load": 9, "one": 5, "other": 3}, {"load": 7, "one": 1, "other": 3}, {"load": 8, "one": 1, "other": 4}]
    parts = floors.first_use_parts("a cache", [[floors.Part(*each) for each in spent.items()] for spent in times])
    assert [part.microseconds for part in parts] == [8, 4, 3]
    assert parts[-1].name.endswith("`other`")


def test_sizes_differ_in_data_and_patience():
    assert SIZES["small"].storage_rows < SIZES["full"].storage_rows
    assert SIZES["small"].seconds < SIZES["full"].seconds
