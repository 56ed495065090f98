"""Columns are the file's own bytes: shared with the map, read-only, and alive as long as anyone looks at them.

The budget of maps says what the store keeps mapped, never what a caller holds.
"""

import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.operations import JANUARY, KEY, bars, register

import fastk
from fastk.engine import pieces
from fastk.io import mapping

MONTHS = 8
needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts maps where the system lists them")


def all_bars() -> dict[str, np.ndarray]:
    return bars(*range(1, MONTHS + 1))


def mappings(root: Path) -> list[tuple[int, int]]:
    """First and last address of every chunk of a store that is mapped into this process."""
    spans = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(root) in line and ".chunk" in line:
            begin, end = line.split()[0].split("-")
            spans.append((int(begin, 16), int(end, 16)))
    return spans


def check(rows: Any, expected: dict[str, np.ndarray]) -> None:
    for name, column in expected.items():
        np.testing.assert_array_equal(rows.column(name), column)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with fastk.FastKStore.open(tmp_path / "root") as store:
        register(store).put(all_bars())
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Iterator[fastk.FastKStore]:
    with fastk.FastKStore.open(root) as store:
        yield store


class TestZeroCopy:
    def test_two_reads_share_their_memory(self, store: fastk.FastKStore) -> None:
        series = store.series(KEY)
        january = series.range("2024-01-01", "2024-01-31")
        part = series.range(int(JANUARY["ts"][1]), int(JANUARY["ts"][2]))
        for name in january.schema.names:
            assert np.shares_memory(january.column(name), part.column(name))
            assert np.shares_memory(january.column(name), january[1:].column(name))

    @needs_proc
    @pytest.mark.parametrize("name", fastk.KLINE.names)
    def test_a_column_lies_within_the_map(self, store: fastk.FastKStore, root: Path, name: str) -> None:
        rows = store.series(KEY).range("2024-01-01", "2024-01-31")
        column = rows.column(name)
        address = column.__array_interface__["data"][0]
        assert any(begin <= address and address + column.nbytes <= end for begin, end in mappings(root))

    @needs_proc
    def test_latest_and_segments_lie_within_the_map(self, store: fastk.FastKStore, root: Path) -> None:
        series = store.series(KEY)
        for rows in (series.latest(2), *series.range().segments):
            address = rows.close.__array_interface__["data"][0]
            assert any(begin <= address < end for begin, end in mappings(root))

    def test_a_column_cannot_be_written_or_made_writable(self, store: fastk.FastKStore) -> None:
        column = store.series(KEY).latest(2).close
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
        seen: Any = column
        while isinstance(seen, np.ndarray):
            assert not seen.flags.writeable
            with pytest.raises(ValueError, match="WRITEABLE"):
                seen.flags.writeable = True
            seen = seen.base
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(column).sort()
        with pytest.raises((TypeError, ValueError, BufferError)):
            memoryview(column)[0] = 1

    @pytest.mark.parametrize("huge", [pieces._HUGE, 0], ids=["few rows", "many rows"])
    def test_a_column_of_several_chunks_is_a_copy_made_once(
        self, store: fastk.FastKStore, monkeypatch: pytest.MonkeyPatch, huge: int
    ) -> None:
        monkeypatch.setattr(pieces, "_HUGE", huge)
        rows = store.series(KEY).range()
        np.testing.assert_array_equal(rows.close, np.concatenate([segment.close for segment in rows.segments]))
        assert rows.close is rows.close
        assert not rows.close.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            rows.close.flags.writeable = True
        assert not np.shares_memory(rows.close, rows.segments[0].close)

    def test_columns_are_aligned(self, store: fastk.FastKStore) -> None:
        for rows in store.series(KEY).range().segments:
            for name in rows.schema.names:
                assert rows.column(name).__array_interface__["data"][0] % 64 == 0
                assert rows.column(name).flags.aligned


READS = {
    "point": lambda series: series.at(int(JANUARY["ts"][1])),
    "latest": lambda series: series.latest(2),
    "within a chunk": lambda series: series.range(int(JANUARY["ts"][0]), int(JANUARY["ts"][1])),
    "a chunk": lambda series: series.range("2024-01-01", "2024-01-31"),
    "across chunks": lambda series: series.range(int(JANUARY["ts"][1]), int(bars(3)["ts"][1])),
    "chunks": lambda series: series.range(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_spares_its_chunks_from_the_next_sweep_of_the_budget(store: fastk.FastKStore, read: Any) -> None:
    series = store.series(KEY)
    assert read(series)
    mapped = series._reader.snapshot.mapped.values()
    for chunk in mapped:
        chunk.used = False
    read(series)
    assert all(chunk.used for chunk in mapped)


class TestLifetime:
    def test_rows_and_columns_outlive_the_store(self, root: Path) -> None:
        store = fastk.FastKStore.open(root)
        rows = store.series(KEY).range("2024-01-01", "2024-01-31")
        every = store.series(KEY).range()
        column = rows.close
        store.close()
        del store
        gc.collect()
        check(rows, JANUARY)
        check(every, all_bars())
        np.testing.assert_array_equal(column, JANUARY["close"])

    @pytest.mark.slow
    @pytest.mark.parametrize("max_maps", [1, 2, 3, 4])
    def test_rows_and_columns_outlive_eviction(self, root: Path, max_maps: int) -> None:
        with fastk.FastKStore.open(root, max_maps=max_maps) as store:
            series = store.series(KEY)
            held = [series.range(f"2024-{month:02d}-01", f"2024-{month:02d}-28") for month in range(1, MONTHS + 1)]
            held_columns = [rows.close for rows in held]
            check(series.range(), all_bars())
            gc.collect()
            for month, (rows, column) in enumerate(zip(held, held_columns, strict=True), 1):
                check(rows, bars(month))
                np.testing.assert_array_equal(column, bars(month)["close"])

    @pytest.mark.parametrize("max_maps", [1, 2, 3, 4, None])
    def test_rows_of_one_chunk_outlive_close(self, root: Path, max_maps: int | None) -> None:
        store = fastk.FastKStore.open(root, max_maps=max_maps)
        rows = store.series(KEY).latest(3)
        store.close()
        check(rows, bars(MONTHS))

    def test_rows_over_more_chunks_than_may_stay_mapped_need_the_store_open(self, root: Path) -> None:
        store = fastk.FastKStore.open(root, max_maps=1)
        rows = store.series(KEY).range()
        check(rows[:3], JANUARY)
        store.close()
        with pytest.raises(fastk.StoreClosed, match="closed"):
            rows.close  # noqa: B018

    def test_they_are_in_memory_once_all_columns_were_taken(self, root: Path) -> None:
        with fastk.FastKStore.open(root, max_maps=1) as store:
            rows = store.series(KEY).range()
            columns = [rows[name] for name in rows.schema.names]
        assert list(rows[4]) == [column[4] for column in columns]

    def test_rows_and_columns_outlive_their_files(self, store: fastk.FastKStore, root: Path) -> None:
        rows, every = store.series(KEY).latest(3), store.series(KEY).range()
        column = rows.close
        for path in root.rglob("*.chunk"):
            path.unlink()
        check(rows, bars(MONTHS))
        check(every, all_bars())
        np.testing.assert_array_equal(column, bars(MONTHS)["close"])

    @pytest.mark.parametrize("grace_seconds", [0, 3600])
    def test_rows_and_columns_outlive_their_series(self, root: Path, grace_seconds: float) -> None:
        with fastk.FastKStore.open(root, grace_seconds=grace_seconds) as store:
            rows, every = store.series(KEY).latest(3), store.series(KEY).range()
            column = rows.close
            store.drop_series(KEY)
            with pytest.raises(fastk.NotFound):
                store.series(KEY).range()
            check(rows, bars(MONTHS))
            check(every, all_bars())
            np.testing.assert_array_equal(column, bars(MONTHS)["close"])

    @pytest.mark.parametrize("max_maps", [1, 4])
    def test_rows_opened_as_they_are_used_outlive_their_series_for_the_grace_period(
        self, root: Path, max_maps: int
    ) -> None:
        with fastk.FastKStore.open(root, max_maps=max_maps) as store:
            rows = store.series(KEY).range()
            store.drop_series(KEY)
            check(rows, all_bars())

    def test_a_reader_goes_on_with_a_series_that_another_drops(self, root: Path) -> None:
        with fastk.FastKStore.open(root, "r", max_maps=2) as reader, fastk.FastKStore.open(root) as writer:
            series = reader.series(KEY)
            assert len(series) == MONTHS * 3
            writer.drop_series(KEY)
            check(series.range(), all_bars())
            check(series.latest(3), bars(MONTHS))
            reader.refresh()
            with pytest.raises(fastk.NotFound):
                reader.series(KEY).range()

    @pytest.mark.slow
    def test_the_end_of_the_process_is_quiet(self, root: Path) -> None:
        program = """
            import sys, fastk
            store = fastk.FastKStore.open(sys.argv[1])
            rows = store.kline("BTCUSDT", "1d").range()
            column = rows.segments[0].close
            cycle = [rows, column]
            cycle.append(cycle)
        """
        run(program, root)

    @needs_proc
    def test_a_map_goes_after_the_names_of_its_module(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Python clears these when it ends, and objects that others hold after them."""
        failures: list[Any] = []
        monkeypatch.setattr(sys, "unraisablehook", failures.append)
        with fastk.FastKStore.open(root) as store:
            column = store.series(KEY).range().segments[0].close
        assert len(mappings(root)) == 1
        with monkeypatch.context() as ended:
            ended.setattr(mapping, "c_library", None)
            del column
            gc.collect()
        assert (failures, mappings(root)) == ([], [])


@needs_proc
class TestBudget:
    @pytest.mark.parametrize("max_maps", [1, 2, 3, 4])
    def test_is_respected_while_reading(self, root: Path, max_maps: int) -> None:
        with fastk.FastKStore.open(root, max_maps=max_maps) as store:
            series = store.series(KEY)
            for month in range(1, MONTHS + 1):
                series.range(f"2024-{month:02d}-01", f"2024-{month:02d}-28").close.sum()
                assert len(mappings(root)) <= max_maps
            series.range().close.sum()
            assert len(mappings(root)) <= max_maps
            series.verify()
            series.at_many(all_bars()["ts"]).rows.close.sum()
            assert len(mappings(root)) <= max_maps

    def test_of_no_maps_or_fewer_is_refused_or_works(self, root: Path) -> None:
        for max_maps in (0, -1):
            try:
                store = fastk.FastKStore.open(root, max_maps=max_maps)
            except fastk.InvalidInput:
                continue
            with store:
                check(store.series(KEY).range(), all_bars())

    def test_rows_beyond_it_open_their_segments_one_after_the_other(self, root: Path) -> None:
        with fastk.FastKStore.open(root, max_maps=2) as store:
            rows = store.series(KEY).range()
            assert len(mappings(root)) <= 2
            segments = rows.segments
            assert len(segments) == MONTHS
            for month, segment in enumerate(segments, 1):
                check(segment, bars(month))
                del segment
                assert len(mappings(root)) <= 3

    @pytest.mark.slow
    def test_maps_go_with_the_last_view(self, root: Path) -> None:
        store = fastk.FastKStore.open(root)
        column = store.series(KEY).latest(2).close
        part = column[1:]
        store.close()
        gc.collect()
        assert len(mappings(root)) == 1
        del column
        assert len(mappings(root)) == 1
        del part
        gc.collect()
        assert not mappings(root)

    @pytest.mark.slow
    def test_closing_unmaps_what_nobody_looks_at(self, root: Path) -> None:
        with fastk.FastKStore.open(root) as store:
            store.series(KEY).range().close.sum()
            assert len(mappings(root)) == MONTHS
        gc.collect()
        assert not mappings(root)

    def test_maps_keep_no_descriptor(self, store: fastk.FastKStore) -> None:
        before = len(os.listdir("/proc/self/fd"))
        rows = store.series(KEY).range()
        assert rows.close.size == MONTHS * 3
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
def test_five_thousand_hourly_chunks_are_read_with_256_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # not what this is about, and 5,000 take their time
    hours, start = 5_000, 473_352 * 3_600_000
    with fastk.FastKStore.open(tmp_path / "root") as store:
        series = store.register_trade_series("BTCUSDT", "raw")
        ts = start + np.arange(hours * 2) * 1_800_000
        series.put(dict.fromkeys(series.schema.names[:5], ts) | dict.fromkeys(series.schema.names[5:], ts % 100))
    program = """
        import resource, sys
        import numpy as np, fastk
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        for max_maps in (None, 100):
            with fastk.FastKStore.open(sys.argv[1], "r", max_maps=max_maps) as store:
                series = store.trade("BTCUSDT", "raw")
                rows = series.range()
                assert len(rows.segments) == 5_000
                assert (rows.price == rows.ts).all() and (np.diff(rows.ts) == 1_800_000).all()
                keys = rows.ts[::7]
                assert (series.at_many(keys).rows.price == keys).all()
                held = [segment.price for segment in series.range().segments]
                assert sum(map(len, held)) == 10_000 and np.array_equal(np.concatenate(held), rows.ts)
                assert series.verify().chunks == 5_000
    """
    run(program, tmp_path / "root")


def run(program: str, root: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr
