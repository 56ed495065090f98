"""A repair as a whole: nothing is deleted, nothing is done twice, a dry run touches nothing, writers are kept out."""

import errno
import shutil
import threading

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MARCH, MINUTE, bars, contents
from recovery_stores import (
    KEY,
    TRADES,
    as_newer_format,
    chunk_files,
    codes,
    cut,
    flip,
    flip_value,
    folder,
    january,
    manifest,
    mend,
    quarantined,
    sidecar,
    write_commit,
)
from support.disks import ForbiddenDisk

import fastk
from fastk.io.disk import Disk, SyncFailed
from fastk.io.lock import FileLock
from fastk.recovery.repair import rebuild_manifests, repair
from fastk.recovery.reports import RecoveryReport


def damage_everything(root):
    """Something of each kind: a torn chunk, damaged blocks, a lost manifest, a sidecar, leftovers, the store file."""
    flip_value(january(root), "close", 5_000)
    write_commit(root, 9, 3, {"2024-03": bars(MARCH, 3)})
    (folder(root) / "series.meta.tmp").write_bytes(b"torn")
    flip(manifest(root, TRADES), 99)
    sidecar(root, ".vix").write_bytes(b"torn")
    (root / "fastk.store").write_text("?")


def test_a_sound_store_stays_as_it_is(root):
    before = contents(root)
    assert repair(Disk(), str(root)) == RecoveryReport()
    assert contents(root) == before


def test_everything_at_once(root):
    damage_everything(root)
    report = mend(root)
    assert (report.rebuilt_manifests, report.restored_store_file, report.salvaged_rows) == (1, True, 5_904)
    assert report.removed_temp_paths == ["series/BTCUSDT/kline/1m/series.meta.tmp"]
    assert len(report.orphaned_paths) == 1
    assert len(report.quarantined_paths) == 4
    assert quarantined(root) == sorted(
        ["fastk.store", "series.meta", *(f"2024-01.00000002-0000.chunk{end}" for end in ("", ".zmap", ".vix"))]
    )


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_lost_folder_of_chunks_costs_its_rows_and_no_more(root, rebuild):
    shutil.rmtree(folder(root) / "chunks")
    if rebuild:
        manifest(root, TRADES).unlink()  # of a later series, which must have its turn
    report = mend(root)
    assert [(lost.series, lost.rows) for lost in report.lost_rows] == [
        ("BTCUSDT/kline/1m", 10_000),
        ("BTCUSDT/kline/1m", 50),
    ]
    with fastk.open(root) as store:
        assert store.series(KEY).put(bars(JANUARY)).accepted == 5
        assert len(store.series(TRADES)) == 400


def test_a_second_repair_changes_nothing(root):
    damage_everything(root)
    mend(root)
    before = contents(root)
    repair(Disk(), str(root))
    assert contents(root) == before


def test_nothing_is_deleted_but_temporary_files(root):
    damage_everything(root)
    replaced = (None, b"torn", manifest(root).read_bytes())  # a sound manifest gives way to the next one
    before = {content for content in contents(root).values() if content not in replaced}
    mend(root)
    assert before <= set(contents(root).values())


def test_a_dry_run_touches_nothing_and_takes_no_lock(root):
    damage_everything(root)
    before = contents(root)
    holder = FileLock(str(root / ".fastk.write.lock"), 0)
    planned = repair(ForbiddenDisk(), str(root), dry_run=True)
    holder.release()
    assert contents(root) == before
    done = repair(Disk(), str(root))
    planned.dry_run = False
    assert planned == done


def test_only_our_own_temporary_files_are_removed(root):
    for name in ("notes.tmp", "chunks/x.tmp", "series.meta.tmp.tmp"):
        (folder(root) / name).write_text("mine")
    (folder(root) / "series.meta.tmp").touch()
    (root / "fastk.store.tmp").touch()
    report = mend(root)
    assert sorted(report.removed_temp_paths) == ["fastk.store.tmp", "series/BTCUSDT/kline/1m/series.meta.tmp"]
    assert len(list(folder(root).rglob("*.tmp"))) == 3


def test_another_writer_is_waited_for_and_then_named(root):
    flip(manifest(root), 99)
    holder = FileLock(str(root / ".fastk.write.lock"), 0)
    with pytest.raises(fastk.LockTimeout, match="another writer"):
        repair(_Impatient(), str(root))
    holder.release()
    assert codes(root) == ["corrupt_manifest"]
    mend(root)


class _Impatient(Disk):
    def lock(self, path, timeout):
        return super().lock(path, 0)


def test_a_missing_store_file_comes_back(root):
    (root / "fastk.store").unlink()
    with pytest.raises(fastk.InvalidData):
        fastk.open(root)
    assert mend(root).restored_store_file
    fastk.open(root).close()


class TestNewerFormats:
    """They are never touched, whatever else is wrong."""

    @pytest.mark.parametrize("name", ["manifest", "chunk"])
    def test_a_series_with_such_a_file_is_left_alone(self, root, name):
        file = manifest(root) if name == "manifest" else chunk_files(root)[1]
        as_newer_format(file)
        flip_value(january(root), "close", 1)
        before = contents(folder(root))
        report = repair(Disk(), str(root))
        assert contents(folder(root)) == before
        assert "format 4" in report.unrepaired[0]

    def test_a_store_of_such_a_format_is_refused(self, root):
        (root / "fastk.store").write_text('{"format": "fastk", "version": 4}\n')
        before = contents(root)
        for refused in (repair, rebuild_manifests):
            with pytest.raises(fastk.UnsupportedVersion, match="format 4"):
                refused(Disk(), str(root))
        assert contents(root) == before


class TestFailures:
    def test_one_series_that_cannot_be_told_hides_no_other(self, root):
        """Something that nobody thought of."""
        flip(manifest(root, TRADES), 99)

        class Odd(Disk):
            def entries(self, path):
                if path.endswith("kline/1m"):
                    raise RuntimeError("unheard of")
                return super().entries(path)

        report = repair(Odd(), str(root))
        assert "unheard of" in report.unrepaired[0]
        assert report.rebuilt_manifests == 1

    def test_a_file_that_may_not_be_read_is_not_taken_for_damaged(self, root):
        class Locked(Disk):
            def pieces(self, path, offset, length, size):
                if "2024-01.00000002" in path and "kline" in path:
                    raise PermissionError(errno.EACCES, "Permission denied", path)
                return super().pieces(path, offset, length, size)

        before = contents(root)
        report = repair(Locked(), str(root))
        assert "Permission denied" in report.unrepaired[0]
        assert contents(root) == before

    @pytest.mark.parametrize("call", ["create", "replace_unnamed", "rename", "sync_file", "sync_folder"])
    def test_a_failing_disk_leaves_the_old_state_and_another_repair_succeeds(self, root, call):
        flip_value(january(root), "close", 5_000)

        class Full(Disk):
            def __getattribute__(self, name):
                if name == call:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return super().__getattribute__(name)

        with pytest.raises(OSError, match="No space left"):
            repair(Full(), str(root))
        assert codes(root, thorough=True)[0] == "corrupt_block"
        mend(root)

    def test_a_failed_sync_shuts_the_store_object(self, root):
        class Unsure(Disk):
            def sync_folder(self, path):
                raise SyncFailed(errno.EIO, "sync failed", path)

        flip(manifest(root), 99)
        with fastk.open(root, disk=Unsure()) as store:
            with pytest.raises(SyncFailed):
                store.repair_store()
            with pytest.raises(fastk.StoreClosed):
                store.series(TRADES).put([])
        mend(root)


class TestByAStoreObject:
    def test_its_series_read_the_mended_state(self, root):
        with fastk.open(root) as store:
            series = store.series(KEY)
            before = series.range().ts.tolist()
            cut(manifest(root), 10)
            assert store.repair_store().rebuilt_manifests == 1
            assert series.range().ts.tolist() == before
            assert series.put(bars(FEBRUARY + 60 * MINUTE, 1)).accepted == 1

    def test_blocks_that_were_verified_before_are_compared_again(self, root):
        with fastk.open(root) as store:
            series = store.series(KEY)
            assert series.range().close.size
            flip_value(january(root), "close", 0)
            assert store.repair_store().salvaged_rows == 5_904
            assert series.range().ts[0] == JANUARY + 4_096 * MINUTE

    def test_a_store_opened_for_reading_plans_only(self, root):
        cut(manifest(root), 10)
        with fastk.open(root, "r") as store:
            assert store.repair_store_dry_run().rebuilt_manifests == 1
            with pytest.raises(fastk.InvalidInput, match="mode='r'"):
                store.repair_store()

    def test_a_new_store_has_nothing_to_repair(self, folder_in_memory):
        with fastk.open(folder_in_memory / "new") as store:
            assert store.repair_store().changes_nothing
            assert store.validate_manifest_vs_fs() == store.scrub_store() == store.list_orphans() == []
            assert store.health_summary().series_count == 0
            assert store.validate_store() is None

    def test_readers_in_other_objects_go_on_with_what_they_have(self, root):
        with fastk.open(root, "r") as other:
            rows = other.series(KEY).range()
            flip(manifest(root), 99)
            mend(root)
            assert len(rows.close) == 10_050
            assert other.series(KEY).refresh()
            assert len(other.series(KEY)) == 10_050


@pytest.mark.slow
def test_validation_beside_a_writer_sees_no_damage(root):
    """A commit between two looks must not be taken for a missing file or an old manifest."""

    def write():
        with fastk.open(root) as store:
            for minute in range(100, 130):
                store.series(KEY).put(bars(FEBRUARY + minute * MINUTE, 1))

    thread = threading.Thread(target=write)
    thread.start()
    while thread.is_alive():
        assert codes(root, thorough=True) in ([], ["unnamed_commit"])  # between its chunks and its manifest
    thread.join()
    assert codes(root) == []


def test_a_version_of_a_dataset_is_not_repaired(tmp_path):
    """It never changes, also where it is damaged: its digest would not be its own any more."""
    with fastk.open(tmp_path / "store") as store:
        series = store.register_kline_series("A", "1m", 60_000)
        series.put({name: [1] for name in series.schema.names})
        store.snapshot("bars", "v1", tmp_path / "base")
    (chunk,) = tmp_path.joinpath("base").rglob("*.chunk")
    chunk.unlink()
    for mending in (repair, rebuild_manifests):
        with pytest.raises(fastk.InvalidInput, match="is a version of a dataset, and never changes"):
            mending(Disk(), str(chunk.parents[5]))


def test_replaced_rows_do_not_come_back_after_the_chunk_that_replaced_them_was_damaged(tmp_path):
    """The repair takes the damaged chunk away, and with it what told a rebuild from files that the old one is dead."""
    root = tmp_path / "root"
    with fastk.open(root) as store:
        series = store.register_kline_series("A", "1m", MINUTE)
        series.put(bars(JANUARY, 100))
        series.put({**bars(JANUARY, 100), "open": np.full(100, 7)}, on_conflict="replace")
    (chunk,) = root.rglob("*00000003-0000.chunk")
    chunk.write_bytes(chunk.read_bytes()[:70] + b"X" + chunk.read_bytes()[71:])
    with fastk.open(root) as store:
        assert sum(lost.rows for lost in store.repair_store().lost_rows) == 100
    (manifest_file,) = root.rglob("series.meta")
    manifest_file.unlink()
    with fastk.open(root) as store:
        store.repair_store()
        assert len(store.kline("A", "1m")) == 0
