"""What no state names is unmapped, so that removing its file frees the space at once."""

import gc
from pathlib import Path

import numpy as np
import pytest
from builders import HOUR, JANUARY, MINUTE, bars, use_kernels

import fastk
from fastk import Eq, Schema

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="the maps of a process are listed on Linux"
)
MINE = Schema("mine", [("ts", "i8"), ("value", "i8")], partition="hour", value_indexes=["value"], zone_maps=["value"])


def deleted_maps(root):
    """The removed files that this process has mapped."""
    gc.collect()
    with open("/proc/self/maps") as maps:
        return [line for line in maps if str(root) in line and "(deleted)" in line]


@pytest.fixture
def store(tmp_path):
    with fastk.open(tmp_path / "store", grace_seconds=0) as opened:
        yield opened


def replaced(series, times):
    """Put the same bar, with other values each time."""
    for value in range(1, times + 1):
        changed = {**bars(JANUARY, 1), "close": [value]}
        series.put(changed, on_conflict="replace")
        assert series.at(JANUARY).close == value


def test_a_writer_keeps_no_file_that_it_replaced(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(JANUARY, 500))
    replaced(series, 12)
    store.gc()
    assert deleted_maps(store.root) == []


@pytest.mark.slow
def test_a_reader_that_refreshes_keeps_none_either(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(JANUARY, 500))
    with fastk.open(store.root, "r") as reader:
        other = reader.kline("BTC", "1m")
        for value in range(8):
            assert other.range().close.size == 500
            replaced(series, value + 1)
            assert other.refresh()
            assert other.at(JANUARY).close == value + 1
        store.gc()
        assert deleted_maps(store.root) == []


@pytest.mark.slow
def test_neither_value_indexes_nor_queries_keep_them(store, monkeypatch):
    use_kernels(monkeypatch, "compiled")
    series = store.register_series(("X", "own", "mine"), MINE)
    ts = np.arange(3_000)
    for hour in range(3):
        series.put({"ts": hour * HOUR + ts, "value": ts * 7 % 3_000})
    for value in range(6):
        assert len(series.where("value", Eq(14)).rows) == 3
        series.put({"ts": [0], "value": [5_000 + value]}, on_conflict="replace")
    store.gc()
    assert deleted_maps(store.root) == []
    assert len(series.where("value", Eq(14)).rows) == 3


@pytest.mark.slow
def test_rows_that_a_caller_holds_stay_and_keep_theirs(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(JANUARY, 500))
    kept = series.range()
    before = kept.close.copy()
    replaced(series, 3)
    store.gc()
    assert len(deleted_maps(store.root)) == 1
    assert kept.close.tolist() == before.tolist()
    assert kept.volume.size == 500
    del kept
    assert deleted_maps(store.root) == []


def test_chunks_in_tables_are_told_from_those_that_moved_there(store, monkeypatch):
    """Chunks that stay while their table is written anew stay mapped, and those that were taken out do not."""
    from fastk.format import chunk_tables

    monkeypatch.setattr(chunk_tables, "INLINE_MAX", 2)
    monkeypatch.setattr(chunk_tables, "TABLE_MAX", 3)
    series = store.register_series(("X", "own", "mine"), MINE)
    for hour in range(8):
        series.append({"ts": hour * HOUR + np.arange(10), "value": np.arange(10)})
    with fastk.open(store.root, "r") as reader:
        other = reader.series(("X", "own", "mine"))
        assert other.range().value.sum() == 8 * 45
        mapped = set(other._reader.snapshot.mapped)
        series.put({"ts": [2 * HOUR], "value": [100]}, on_conflict="replace")
        series.append({"ts": [9 * HOUR], "value": [1]})
        assert other.refresh()
        assert len(mapped) == 8
        assert len(mapped & set(other._reader.snapshot.mapped)) == 7
        assert other.range().value.sum() == 8 * 45 + 101
