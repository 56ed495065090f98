"""``store.gc``: what is removed and what never is, after how long, and in which order."""

import os
import shutil
from pathlib import Path

import pytest
from builders import DAY, FEBRUARY, HOUR, JANUARY, MARCH, MINUTE, assert_rows, bars, contents, joined, temporary_folder
from lifecycle_calls import NO_TIERS, chunk_files, chunk_path, damage, folder_of, unchanged
from support.disks import ForbiddenDisk, Journal, RecordingDisk, UnlistedDisk

import fastk
from fastk import InvalidData, InvalidInput, LockTimeout, StoreClosed
from fastk.engine import writer
from fastk.io.disk import Disk, SyncFailed

LEFTOVER = "2024-01.delta.00000009-0000.chunk"


@pytest.fixture
def merged(klines, clock):
    """Two months, each merged from four chunks whose files wait for their removal."""
    for start in (JANUARY, FEBRUARY):
        for number in range(4):
            klines.append(bars(start + number * HOUR))
    klines.merge()
    return klines


@pytest.fixture
def clock(monkeypatch):
    """A wall clock that goes on by hand, in seconds."""

    class Clock:
        now = 1_800_000_000

        def __call__(self):
            return self.now * 1_000

    clock = Clock()
    monkeypatch.setattr(writer, "now_ms", clock)
    return clock


def names_in(report):
    return {Path(path).name for path in report.removed_paths}


def forget_the_last_commit(store, series, change):
    """Undo the publication of a commit: its files then lie there as those of a writer that was killed before."""
    manifest = folder_of(store, series) / "series.meta"
    before = manifest.read_bytes()
    change()
    manifest.write_bytes(before)


class TestRetiredFiles:
    def test_they_stay_for_the_grace_period(self, store, merged):
        check = unchanged(store)
        report = store.gc()
        check()
        assert (report.removed_files, report.retired_files, report.removed_paths) == (0, 8, [])

    def test_they_go_when_it_is_over(self, store, merged, clock):
        before = chunk_files(store, merged)
        clock.now += 3_601
        size = sum(os.path.getsize(folder_of(store, merged) / "chunks" / name) for name in before)
        report = store.gc()
        assert (report.dry_run, report.removed_files, report.retired_files, report.problems) == (False, 8, 0, [])
        assert len(chunk_files(store, merged)) == 2
        assert names_in(report) == before - chunk_files(store, merged)
        kept = sum(os.path.getsize(folder_of(store, merged) / "chunks" / name) for name in chunk_files(store, merged))
        assert report.removed_bytes == size - kept
        assert len(merged) == 40

    @pytest.mark.parametrize("grace", [0, 0.0, 10, 3_599])
    def test_the_grace_period_may_be_given(self, store, merged, clock, grace):
        clock.now += 3_600
        assert store.gc(grace_seconds=grace).removed_files == 8

    def test_a_longer_one_keeps_them(self, store, merged, clock):
        clock.now += 3_600
        assert store.gc(grace_seconds=7_200).removed_files == 0

    def test_it_is_the_store_s_where_none_is_given(self, store, merged, clock):
        clock.now += 100
        with fastk.open(store.root, grace_seconds=60) as impatient:
            assert impatient.gc().removed_files == 8

    def test_a_second_run_finds_nothing(self, store, merged):
        store.gc(grace_seconds=0)
        check = unchanged(store)
        report = store.gc(grace_seconds=0)
        check()
        assert (report.removed_files, report.removed_bytes, report.retired_files) == (0, 0, 0)

    def test_rows_and_commits_go_on_afterwards(self, store, merged):
        store.gc(grace_seconds=0)
        merged.put(bars(MARCH))
        merged.verify()
        with fastk.open(store.root, "r") as fresh:
            assert len(fresh.kline("BTC", "1m")) == 45

    def test_writers_collect_by_themselves(self, store, merged, clock):
        clock.now += 3_601
        merged.put(bars(MARCH))
        assert len(chunk_files(store, merged)) == 3

    @pytest.mark.slow
    def test_a_series_that_is_always_written_is_collected_all_the_time(self, store, clock):
        """Row by row, one a second: more is retired within the grace period than a manifest holds inline."""
        series = store.register_series(
            ("X", "own", "s"), fastk.Schema("s", [("ts", "i8"), ("x", "i8")], partition="year")
        )
        most = 0
        with fastk.open(store.root, grace_seconds=300) as writing:
            handle = writing.series(series.key)
            for number in range(1_500):
                clock.now += 1
                handle.put({"ts": [JANUARY + number], "x": [number]})
                if number % 100 == 99:
                    most = max(most, len(chunk_files(store, series)))
        assert most <= 2 * (300 + 256 + 20)


class TestFilesThatNothingNames:
    def test_a_killed_writer_s_chunk_is_set_aside_and_removed(self, store, klines):
        klines.put(bars())
        forget_the_last_commit(store, klines, lambda: klines.put(bars(FEBRUARY)))
        with fastk.open(store.root) as fresh:
            assert names_in(fresh.gc(grace_seconds=0)) == {"2024-02.00000003-0000.chunk.orphan"}
            assert chunk_files(store, klines) == {"2024-01.00000002-0000.chunk"}
            assert_rows(fresh.kline("BTC", "1m").range(), bars())

    def test_the_next_put_sets_it_aside_and_takes_another_number(self, store, klines):
        klines.put(bars())
        forget_the_last_commit(store, klines, lambda: klines.put(bars(FEBRUARY)))
        with fastk.open(store.root) as fresh:
            assert fresh.kline("BTC", "1m").put(bars(FEBRUARY)).sequence == 4
        assert chunk_files(store, klines) == {
            "2024-01.00000002-0000.chunk",
            "2024-02.00000003-0000.chunk.orphan",
            "2024-02.00000004-0000.chunk",
        }

    def test_torn_and_empty_leftovers(self, store, klines):
        klines.put(bars())
        folder = folder_of(store, klines) / "chunks"
        for name, data in ((LEFTOVER, b""), (f"{LEFTOVER}.zmap", b"x"), ("2024-02.00000007-0001.chunk", b"FKCHK003")):
            (folder / name).write_bytes(data)
        with fastk.open(store.root) as fresh:
            assert names_in(fresh.gc(grace_seconds=0)) == {f"{LEFTOVER}.orphan", "2024-02.00000007-0001.chunk.orphan"}
            assert chunk_files(store, klines) == {"2024-01.00000002-0000.chunk"}
            assert fresh.kline("BTC", "1m").put(bars(FEBRUARY)).sequence == 10

    def test_strays_of_old_commits_tables_and_temporary_manifests(self, store, merged):
        folder = folder_of(store, merged)
        strays = [
            folder / "chunks" / "2023-01.00000001-0000.chunk",
            folder / "chunks" / "2023-01.00000001-0000.chunk.vix",
            folder / "chunks.00000003-0000.table",
            folder / "retired.00000004-0000.table",
            folder / "series.meta.tmp",
        ]
        for path in strays:
            path.write_bytes(b"left behind")
        assert names_in(store.gc()) == {path.name for path in strays}
        assert not any(path.exists() for path in strays)
        assert len(merged) == 40

    def test_retired_files_whose_manifest_forgot_them(self, store, merged, clock):
        """As after a crash between a commit and the removal of what it let go of."""
        clock.now += 3_601
        retired = {path.name: path.read_bytes() for path in (folder_of(store, merged) / "chunks").iterdir()}
        store.gc()
        gone = retired.keys() - chunk_files(store, merged)
        for name in gone:
            (folder_of(store, merged) / "chunks" / name).write_bytes(retired[name])
        assert names_in(store.gc()) == gone
        assert len(merged) == 40


class TestForeignFiles:
    def test_files_of_other_programs_are_never_touched(self, store, merged):
        folder = folder_of(store, merged)
        foreign = [
            folder / "notes.txt",
            folder / "series.meta.bak",
            folder / "chunks" / "README",
            folder / "chunks" / "2024-01.chunk",
            folder / "chunks" / "2024-01.00000002-0000.chunk.bak",
            folder / "chunks" / "x.orphan",
            folder / "chunks" / ".hidden",
            Path(store.root) / "other" / "data.bin",
        ]
        for path in foreign:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"mine")
        store.gc(grace_seconds=0)
        assert all(path.read_bytes() == b"mine" for path in foreign)

    def test_they_survive_in_the_folder_of_a_dropped_series(self, store, merged):
        (folder_of(store, merged) / "notes.txt").write_bytes(b"mine")
        store.drop_series(merged.key)
        report = store.gc(grace_seconds=0)
        assert "notes.txt" not in names_in(report)
        (aside,) = (Path(store.root) / ".fastk.dropped").iterdir()
        assert [path.name for path in aside.rglob("*") if path.is_file()] == ["notes.txt"]


class TestDroppedSeries:
    def test_their_files_stay_for_the_grace_period(self, store, merged, clock):
        store.drop_series(merged.key)
        assert store.gc().removed_files == 0
        clock.now += 3_601
        report = store.gc()
        assert report.removed_files == 11  # ten chunks and the manifest
        assert all(path.startswith(".fastk.dropped/") for path in report.removed_paths)
        assert list((Path(store.root) / ".fastk.dropped").iterdir()) == []

    def test_a_dry_run_names_them(self, store, merged):
        store.drop_series(merged.key)
        check = unchanged(store)
        assert store.gc(dry_run=True, grace_seconds=0).removed_files == 11
        check()


class TestDryRun:
    def test_it_tells_what_a_run_then_removes(self, store, merged):
        (folder_of(store, merged) / "chunks" / "2023-01.00000001-0000.chunk").write_bytes(b"stray")
        check = unchanged(store)
        told = store.gc(dry_run=True, grace_seconds=0)
        check()
        done = store.gc(grace_seconds=0)
        assert told.dry_run
        assert not done.dry_run
        assert sorted(told.removed_paths) == sorted(done.removed_paths)
        assert (told.removed_files, told.removed_bytes) == (done.removed_files, done.removed_bytes)

    def test_it_touches_nothing_in_mode_r(self, store, merged):
        store.close()
        with fastk.open(store.root, "r", disk=ForbiddenDisk()) as reader:
            assert reader.gc(dry_run=True, grace_seconds=0).removed_files == 8

    def test_mode_r_removes_nothing(self, store, merged):
        check = unchanged(store)
        with fastk.open(store.root, "r") as reader, pytest.raises(InvalidInput, match="opened with mode='r'"):
            reader.gc()
        check()


class TestOrder:
    """A chunk that took others' place goes after them, or a rebuild from files would bring their rows back."""

    def order(self, prepare):
        """The names removed by a run of gc, and ``|`` for each sync of the chunk folder in between."""
        with temporary_folder() as folder:
            with fastk.open(folder, policy=NO_TIERS) as store:
                prepare(store, store.register_kline_series("BTC", "1m", MINUTE))
            journal = Journal(folder)
            with fastk.open(folder, disk=RecordingDisk(journal)) as store:
                store.gc(grace_seconds=0)
        steps = []
        for effect in journal.effects:
            if effect.kind == "sync_folder" and effect.path.endswith("chunks"):
                steps.append("|")
            elif effect.kind == "remove":
                steps.append(Path(effect.path).name)
        return steps

    def assert_waves(self, steps, before, after):
        """Every file of ``before`` is removed, and that durably, before any of ``after``."""
        last = max(place for place, name in enumerate(steps) if name in before)
        first = min(place for place, name in enumerate(steps) if name in after)
        assert last < first
        assert "|" in steps[last:first]

    def test_replaced_chunks_go_first(self):
        def prepare(store, series):
            series.put(joined(bars(JANUARY), bars(FEBRUARY)))
            series.put(joined(bars(JANUARY + 1, 2), bars(FEBRUARY + 1, 2)))  # rewrites both
            series.put(joined(bars(JANUARY + 2, 2), bars(FEBRUARY + 2, 2)))

        steps = self.order(prepare)
        first = {"2024-01.00000002-0000.chunk", "2024-02.00000002-0001.chunk"}
        second = {"2024-01.merged.00000003-0000.chunk", "2024-02.merged.00000003-0001.chunk"}
        assert set(steps) >= first | second
        self.assert_waves(steps, first, second)

    def test_strays_go_by_their_commits_whatever_their_names(self):
        """By name, the chunk of January that names February's as superseded would go before that one."""

        def prepare(store, series):
            series.put(joined(bars(JANUARY), bars(FEBRUARY)))
            series.put(joined(bars(JANUARY + 1, 2), bars(FEBRUARY + 1, 2)))
            series.delete_range()
            kept = folder_of(store, series)
            saved = {path.name: path.read_bytes() for path in (kept / "chunks").iterdir()}
            series.put(bars(MARCH))
            store.gc(grace_seconds=0)
            for name, data in saved.items():
                (kept / "chunks" / name).write_bytes(data)

        steps = self.order(prepare)
        first = {"2024-01.00000002-0000.chunk", "2024-02.00000002-0001.chunk"}
        second = {"2024-01.merged.00000003-0000.chunk", "2024-02.merged.00000003-0001.chunk"}
        self.assert_waves(steps, first, second)
        self.assert_waves(steps, second, {"2024-01.merged.00000004-0000.chunk"})

    def test_many_strays_of_one_commit_need_one_sync(self):
        def prepare(store, series):
            for number in range(50):
                path = folder_of(store, series) / "chunks" / f"2023-01.00000001-{number:04d}.chunk"
                path.write_bytes(b"stray")

        steps = self.order(prepare)
        assert (len(steps), steps.count("|")) == (51, 1)


class TestAnOldManifest:
    """A manifest from a copy that is older than the chunks: by it, their newest rows would count as leftovers."""

    @pytest.fixture
    def old(self, store, klines):
        klines.put(bars())
        manifest = folder_of(store, klines) / "series.meta"
        before = manifest.read_bytes()
        klines.put(bars(FEBRUARY))
        klines.put(bars(MARCH))
        manifest.write_bytes(before)
        return klines

    def test_it_is_refused_by_writers(self, store, old):
        check = unchanged(store)
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            for call in (lambda: series.put(bars(MARCH)), series.delete_range, lambda: series.append(bars(MARCH))):
                with pytest.raises(InvalidData, match="the manifest is an old copy") as refused:
                    call()
                assert "\n" not in str(refused.value)
        check()

    @pytest.mark.parametrize("mode", ["fresh", "dry", "same"])
    def test_gc_removes_nothing_by_it(self, store, old, mode):
        """Nor does a store object that has written before, and so knows what lies in the folder."""
        check = unchanged(store)
        if mode == "same":
            report = store.gc(grace_seconds=0)
        else:
            with fastk.open(store.root) as fresh:
                report = fresh.gc(grace_seconds=0, dry_run=mode == "dry")
        check()
        assert report.removed_files == 0
        assert len(report.problems) == 1
        assert "old copy" in report.problems[0]

    def test_it_may_still_be_read(self, store, old):
        with fastk.open(store.root, "r") as reader:
            assert_rows(reader.kline("BTC", "1m").range(), bars())


class TestProblems:
    def test_one_damaged_series_hides_no_other(self, store, merged):
        other = store.register_kline_series("ETH", "1m", MINUTE)
        (folder_of(store, other) / "series.meta").write_bytes(b"FKMET003 torn")
        report = store.gc(grace_seconds=0)
        assert report.removed_files == 8
        assert len(report.problems) == 1
        assert "ETH" in report.problems[0]

    def test_a_folder_that_cannot_be_listed_hides_no_other(self, store, merged):
        store.register_kline_series("ETH", "1m", MINUTE)
        with fastk.open(store.root, disk=UnlistedDisk("ETH")) as fresh:
            report = fresh.gc(grace_seconds=0)
        assert report.removed_files == 8
        (problem,) = report.problems
        assert "Permission denied" in problem

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_what_is_no_folder_of_dropped_series_is_one_of_them(self, store, merged, tmp_path, dry_run):
        """The series were collected before it was looked at: the report must tell of them."""
        (Path(store.root) / ".fastk.dropped").symlink_to(tmp_path)
        report = store.gc(grace_seconds=0, dry_run=dry_run)
        assert report.removed_files == 8
        (problem,) = report.problems
        assert ".fastk.dropped is a symbolic link" in problem

    def test_a_folder_under_a_name_of_ours_is_left_alone(self, store, merged):
        below = folder_of(store, merged)
        for path in (below / "chunks" / LEFTOVER, below / "chunks.00000099-0000.table"):
            path.mkdir()
            (path / "notes.txt").write_bytes(b"mine")
        with fastk.open(store.root) as fresh:
            fresh.kline("BTC", "1m").append(bars(MARCH))
            report = fresh.gc(grace_seconds=0)
        assert report.problems == []
        assert report.removed_files == 8

    def test_damaged_rows_are_no_problem(self, store, merged):
        damage(chunk_path(store, merged, 0))
        with fastk.open(store.root) as fresh:
            assert fresh.gc(grace_seconds=0).problems == []

    def test_a_lock_that_another_writer_holds_is_an_error(self, store, merged):
        with fastk.open(store.root, lock_timeout=0.05) as other, store.batch(), pytest.raises(LockTimeout):
            other.gc()

    def test_a_lock_that_is_forbidden_is_an_error(self, store, merged):
        class Forbidden(Disk):
            def lock(self, path, timeout):
                raise PermissionError(13, "Permission denied", path)

        with fastk.open(store.root, disk=Forbidden()) as other, pytest.raises(PermissionError, match="lock"):
            other.gc()

    def test_a_failed_sync_is_an_error_and_shuts_the_store(self, store, merged):
        class Broken(Disk):
            def sync_folder(self, path):
                raise SyncFailed(5, "no (sync failed)", path)

        with fastk.open(store.root, disk=Broken()) as broken:
            with pytest.raises(SyncFailed):
                broken.gc(grace_seconds=0)
            with pytest.raises(StoreClosed, match="an earlier sync failed"):
                broken.kline("BTC", "1m").put(bars(MARCH))

    def test_a_sync_that_fails_while_files_are_removed_shuts_the_store(self, store, klines):
        """Nothing is committed; what the medium holds of the folder is unknown from then on."""

        class Broken(Disk):
            removed = False

            def remove(self, path):
                self.removed = True
                super().remove(path)

            def sync_folder(self, path):
                if self.removed:
                    raise SyncFailed(5, "no (sync failed)", path)
                super().sync_folder(path)

        for number in range(3):
            klines.put(bars(JANUARY + number))
        with fastk.open(store.root, disk=Broken(), grace_seconds=0) as broken:
            series = broken.kline("BTC", "1m")
            with pytest.raises(SyncFailed):
                series.put(bars(MARCH))
            assert len(series) == 15
            with pytest.raises(StoreClosed, match="an earlier sync failed"):
                series.put(bars(MARCH + DAY))
        with fastk.open(store.root) as again:
            assert again.kline("BTC", "1m").put(bars(MARCH)).accepted == 5


class TestBadInput:
    @pytest.mark.parametrize("grace", [-1, float("nan"), float("inf"), 10**9, "0", True, [0]], ids=repr)
    def test_the_grace_period_is_a_number_of_seconds(self, store, merged, grace):
        check = unchanged(store)
        for dry_run in (True, False):
            with pytest.raises(InvalidInput, match="grace_seconds must be a number of seconds") as refused:
                store.gc(grace_seconds=grace, dry_run=dry_run)
            assert "\n" not in str(refused.value)
        check()

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_a_closed_store(self, store, klines, dry_run):
        store.close()
        with pytest.raises(StoreClosed, match="open it again"):
            store.gc(dry_run=dry_run)

    def test_an_empty_store_and_none(self):
        with temporary_folder() as folder, fastk.open(folder / "store") as store:
            assert store.gc(dry_run=True).removed_files == 0
            assert contents(folder) == {}
            assert store.gc().removed_files == 0
            shutil.rmtree(store.root)
