"""A store of the original becomes one of this format: all rows, all settings, or a report that says what is missing."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from builders import DAY, FEBRUARY, HOUR, JANUARY, MINUTE, contents
from original_calls import (
    BBO,
    BOOK,
    GOLDEN,
    KLINE,
    SCALAR,
    TRADE,
    as_columns,
    assert_holds,
    bars,
    deltas,
    expected_rows,
    fill,
    rows_of,
    trades,
    values,
)
from support.original import OriginalSeries

import fastk
from fastk import FastKStore, InvalidInput, LockTimeout, NotFound
from fastk.cli.main import main
from fastk.io.disk import Disk
from fastk.store import migration_batches


def assert_migrated(target, rows):
    with FastKStore.open(target, "r") as store:
        assert {(each.symbol, each.category, each.name) for each in store.list_series()} == set(rows)
        for key, expected in rows.items():
            assert_holds(store.series(key), expected)
        store.validate_store()


def test_all_rows_and_settings_come_along(folder):
    rows = fill(folder / "old")
    before = contents(folder / "old")
    seen = []
    report = fastk.migrate(folder / "old", folder / "new", progress=lambda done, total: seen.append((done, total)))
    assert (report.is_complete, report.is_new, report.rows) == (True, True, sum(map(len, rows.values())))
    assert_migrated(folder / "new", rows)
    assert contents(folder / "old") == before
    assert sorted(os.listdir(folder)) == ["new", "old"]
    assert seen[0][0] == 0
    assert seen[-1][0] == seen[-1][1] > 0
    with FastKStore.open(folder / "new") as store:
        assert dict(store.series(KLINE).settings.scales) == {"price_scale": 100, "volume_scale": 1_000}
        assert dict(store.series(TRADE).settings.scales) == {"price_scale": 10, "volume_scale": 1}
        assert store.series(SCALAR).settings.timeframe_ms == MINUTE
        partitions = {key: store.series(key).settings.partition for key in rows}
        assert partitions == {KLINE: "month", SCALAR: "month", TRADE: "hour", BBO: "day", BOOK: "day"}
        assert [each.last_row for each in store.series(SCALAR).zone_map("value")][3] == 99
        series = store.series(KLINE)
        series.put(as_columns(bars(FEBRUARY + DAY, 3), series.schema))


def chunks_of(series):
    return [(each.partition_key, each.start_ts, each.count) for each in series.chunk_inventory()]


def test_each_chunk_becomes_a_chunk(root, folder):
    fastk.migrate(root, folder / "new")
    with FastKStore.open(root, "r") as old, FastKStore.open(folder / "new", "r") as new:
        for key in (KLINE, SCALAR, TRADE, BBO, BOOK):
            before, after = (chunks_of(store.series(key)) for store in (old, new))
            assert before == after


def test_the_oldest_stores(folder):
    series = OriginalSeries(folder / "old", "kline", KLINE)
    series.put(bars(JANUARY, 300), version=1)
    series.save()
    series.save_manifest(series.json_manifest())
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", {KLINE: bars(JANUARY, 300)})


def test_the_store_that_the_original_wrote(golden, folder):
    report = fastk.migrate(golden / "store", folder / "new")
    assert report.is_complete
    assert_migrated(folder / "new", {key: expected_rows(golden, file) for key, file in GOLDEN.items()})


@pytest.mark.parametrize("most_rows", [1, 7, 64])
def test_any_size_of_batches(folder, most_rows, monkeypatch):
    monkeypatch.setattr(migration_batches, "MOST_ROWS", most_rows)
    series = OriginalSeries(folder / "old", "trade", TRADE)
    series.put(trades(JANUARY, 100))
    series.put(trades(JANUARY + HOUR, 10))
    series.put(trades(JANUARY + 2 * HOUR, 3))
    book = OriginalSeries(folder / "old", "book_delta", BOOK)
    book.put(deltas(JANUARY, 60))
    for each in (series, book):
        each.save()
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", {TRADE: rows_of(series), BOOK: rows_of(book)})


def test_a_dry_run_verifies_and_writes_nothing(root, folder):
    before = contents(folder)
    report = fastk.migrate(root, folder / "new", dry_run=True)
    assert (report.dry_run, report.is_complete, report.is_new, report.rows) == (True, True, False, 5_901)
    damage(root)
    report = fastk.migrate(root, folder / "new", dry_run=True)
    assert [(each.name, each.migrated_rows, each.rows) for each in report.series if not each.is_complete] == [
        ("1m", 351, 651)
    ]
    restore(root, before)
    assert contents(folder) == before


# Damage


def damage(root):
    chunk = root / "series/BTCUSDT/kline/1m/chunks/2024-01.chunk"
    data = bytearray(chunk.read_bytes())
    data[200] ^= 1
    chunk.write_bytes(data)


def restore(root, before):
    name = "series/BTCUSDT/kline/1m/chunks/2024-01.chunk"
    (root / name).write_bytes(before[f"{root.name}/{name}"])


def test_a_damaged_chunk_is_left_out_and_named(folder):
    rows = fill(folder / "old")
    damage(folder / "old")
    report = fastk.migrate(folder / "old", folder / "new")
    assert not report.is_complete
    (found,) = [each for each in report.series if not each.is_complete]
    (lost,) = found.lost
    assert (lost.path, lost.rows, lost.start_ts) == ("chunks/2024-01.chunk", 300, JANUARY)
    assert lost.end_ts == JANUARY + 299 * MINUTE
    assert "checksum" in lost.reason
    assert_migrated(folder / "new", rows | {KLINE: rows[KLINE][300:]})


def test_a_series_without_a_sound_manifest_keeps_no_other_from_coming(folder):
    rows = fill(folder / "old")
    (folder / "old/series/BTCUSDT/kline/1m/series.meta").unlink()
    meta = folder / "old/series/XBTUSD/book_delta/bitmex/series.meta"
    meta.write_bytes(meta.read_bytes()[:-1])
    report = fastk.migrate(folder / "old", folder / "new")
    assert {each.category for each in report.series if each.problem} == {"kline", "book_delta"}
    assert len(report.problems) == 2
    del rows[KLINE], rows[BOOK]
    assert_migrated(folder / "new", rows)


def test_what_format_3_cannot_hold_is_reported(folder):
    rows = fill(folder / "old")
    late = OriginalSeries(folder / "old", "kline", ("A" * 200 + "ä" * 20, "kline", "1m"))
    late.put(bars(JANUARY, 3))
    late.save()
    report = fastk.migrate(folder / "old", folder / "new")
    assert [each.problem for each in report.series if each.problem and "bytes as a folder name" in each.problem]
    assert_migrated(folder / "new", rows)


def test_nothing_is_named_where_nothing_could_be_migrated(folder):
    fill(folder / "old")
    for meta in list((folder / "old").rglob("series.meta")):
        if meta.parent.name != "1m":
            shutil.rmtree(meta.parent)
    (folder / "old/series/BTCUSDT/kline/1m/series.meta").write_bytes(b"FKMETA02")
    report = fastk.migrate(folder / "old", folder / "new")
    assert not report.is_complete
    assert not (folder / "new").exists()


def test_files_that_were_never_committed_are_named(root, folder):
    stray = root / "series/BTCUSDT/kline/1m/chunks/2024-03.chunk"
    shutil.copy(stray.parent / "2024-01.chunk", stray)
    report = fastk.migrate(root, folder / "new")
    assert report.is_complete
    assert report.unnamed_files == ["series/BTCUSDT/kline/1m/chunks/2024-03.chunk"]


# Again


def test_a_second_migration_compares_and_writes_nothing(root, folder):
    fastk.migrate(root, folder / "new")
    before = contents(folder)
    report = fastk.migrate(root, folder / "new")
    assert (report.is_complete, report.is_new, report.rows) == (True, False, 5_901)
    assert contents(folder) == before


def test_a_target_that_was_changed_since_is_refused(root, folder):
    fastk.migrate(root, folder / "new")
    with FastKStore.open(folder / "new") as store:
        store.series(KLINE).delete_range(JANUARY, JANUARY)
    with pytest.raises(InvalidInput, match="not what this migration would make"):
        fastk.migrate(root, folder / "new")


class Killed(BaseException):
    """The end of a process, as far as one process can play it."""


@pytest.mark.parametrize("steps", [1, 3, 5, 9, 13, 15])
def test_a_migration_that_ended_goes_on(folder, steps, monkeypatch):
    monkeypatch.setattr(migration_batches, "MOST_ROWS", 400)
    rows = fill(folder / "old")
    left = [steps]

    def stop(done, total):
        left[0] -= 1
        if not left[0]:
            raise Killed

    with pytest.raises(Killed):
        fastk.migrate(folder / "old", folder / "new", progress=stop)
    assert not (folder / "new").exists()
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", rows)
    assert sorted(os.listdir(folder)) == ["new", "old"]


def test_what_is_half_made_is_not_believed(folder):
    """Whatever lies in the temporary folder is compared before it counts."""
    rows = fill(folder / "old")
    with FastKStore.open(folder / "new.migrating") as store:
        for key, change in ((KLINE, bars(JANUARY + MINUTE, 300)), (SCALAR, values(JANUARY, 699))):
            schema = fastk.KLINE if key == KLINE else fastk.SCALAR
            scales = {"price_scale": 100, "volume_scale": 1_000} if key == KLINE else {}
            series = store.register_series(key, schema, timeframe_ms=MINUTE, scales=scales)
            series.put(as_columns(change, schema))
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", rows)


def test_what_another_source_left_there_is_gone(folder):
    rows = fill(folder / "old")
    with FastKStore.open(folder / "new.migrating") as store:
        store.register_kline_series("OTHER", "1m", MINUTE)
        store.register_series(KLINE, fastk.KLINE, timeframe_ms=MINUTE, scales={"price_scale": 7})
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", rows)


def test_a_source_that_was_mended_meanwhile(folder):
    rows = fill(folder / "old")
    before = contents(folder)
    damage(folder / "old")
    with pytest.raises(Killed):
        fastk.migrate(folder / "old", folder / "new", progress=die_near_the_end)
    restore(folder / "old", before)
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", rows)


def die_near_the_end(done, total):
    if done > total * 0.7:
        raise Killed


SCRIPT = "import sys, fastk; fastk.migrate(sys.argv[1], sys.argv[2])"


@pytest.mark.slow
def test_killed_processes_leave_what_the_next_one_finishes(folder):
    rows = fill(folder / "old")
    for wait in (0.2, 0.35, 0.5, 0.65):
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder / "old"), str(folder / "new")])
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert fastk.migrate(folder / "old", folder / "new").is_complete
    assert_migrated(folder / "new", rows)


def test_one_migration_at_a_time(root, folder):
    def again(done, total):
        with pytest.raises(LockTimeout, match="another process is making"):
            fastk.migrate(root, folder / "new")

    assert fastk.migrate(root, folder / "new", progress=again).is_complete


class FullDisk(Disk):
    """No room for chunks of the target."""

    def create(self, path, buffers, *, sync=True):
        if path.endswith(".chunk"):
            raise OSError(28, "No space left on device", path)
        super().create(path, buffers, sync=sync)


def test_a_full_disk_is_no_damage_of_the_source(root, folder):
    with pytest.raises(OSError, match="No space left"):
        fastk.migrate(root, folder / "new", disk=FullDisk())
    assert not (folder / "new").exists()
    assert fastk.migrate(root, folder / "new").is_complete


# What is refused


def test_sources_and_targets_that_do_not_do(root, folder):
    with pytest.raises(NotFound):
        fastk.migrate(folder / "nowhere", folder / "new")
    for target in (root, root / "new", folder):
        with pytest.raises(InvalidInput, match="beside the source"):
            fastk.migrate(root, target)
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    with pytest.raises(InvalidInput, match="not empty"):
        fastk.migrate(root, folder / "full")
    with pytest.raises(InvalidInput, match="there is no folder"):
        fastk.migrate(root, folder / "missing" / "new")
    (folder / "empty").mkdir()
    assert fastk.migrate(root, folder / "empty").is_complete
    with pytest.raises(InvalidInput, match="nothing to migrate"):
        fastk.migrate(folder / "empty", folder / "new")


# The command


def test_the_command_reports_and_fails_where_rows_are_lost(root, folder, capsys):
    assert main(["migrate", str(root), str(folder / "dry"), "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["is_complete"] is True
    assert main(["migrate", str(root), str(folder / "one")]) == 0
    capsys.readouterr()
    damage(root)
    assert main(["migrate", str(root), str(folder / "two"), "--json"]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    lost = [each["lost"][0] for each in report["series"] if each["lost"]]
    assert (lost[0]["rows"], lost[0]["path"]) == (300, "chunks/2024-01.chunk")
    assert err.startswith("fastk: BTCUSDT/kline/1m: 300 rows of chunks/2024-01.chunk are lost")
    assert err.count("\n") == 1


def test_the_command_shows_a_table_on_a_terminal(root, folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["migrate", str(root), str(folder / "new")]) == 0
    out = capsys.readouterr().out
    assert "BTCUSDT/kline/1m" in out
    assert "651 of 651 rows" in out
    assert "5,901 rows of 5 series are in" in out
