"""An older copy of a manifest is put back: what was merged, replaced or put since must not be taken for leftovers."""

import os

import pytest
from builders import DAY, FEBRUARY, HOUR, JANUARY, MARCH, MINUTE, bars, contents, joined
from recovery_stores import (
    BLOCK,
    KEY,
    chunk_files,
    codes,
    columns,
    flip_value,
    folder,
    january,
    manifest,
    mend,
    quarantined,
    verdicts,
    write_commit,
)

import fastk
from fastk.engine import writer
from fastk.io.disk import Disk
from fastk.recovery.listings import list_orphans
from fastk.recovery.repair import rebuild_manifests, repair

PARTS = 3


@pytest.fixture
def collected(folder_in_memory):
    """Three chunks, then one in their place, and they are gone; and then the manifest of before comes back."""
    root = folder_in_memory / "store"
    with fastk.open(root, policy=fastk.CompactionPolicy(tier_fanout=0)) as store:
        series = store.register_kline_series("BTCUSDT", "1m", MINUTE)
        for number in range(PARTS):
            series.append(bars(JANUARY + number * HOUR, 5))
        old = manifest(root).read_bytes()
        series.merge()
        store.gc(grace_seconds=0)
    before = columns(root)
    manifest(root).write_bytes(old)
    return root, before


class TestAfterAMergeAndACollection:
    def test_writers_and_collections_refuse(self, collected):
        root, _ = collected
        check = contents(root)
        with fastk.open(root) as store:
            for attempt in (lambda: store.series(KEY).put(bars(MARCH, 5)), store.series(KEY).merge):
                with pytest.raises(fastk.InvalidData):
                    attempt()
            with pytest.raises(fastk.InvalidData, match=r"these are gone: the manifest is an old copy. Rebuild it"):
                store.series(KEY).put(bars(MARCH, 5))
            for dry_run in (True, False):
                report = store.gc(grace_seconds=0, dry_run=dry_run)
                assert report.removed_paths == []
                assert "the manifest is an old copy" in report.problems[0]
        assert {path for path in contents(root) if path.endswith((".chunk", ".meta", ".orphan"))} == {
            path for path in check if path.endswith((".chunk", ".meta"))
        }

    def test_validate_says_so(self, collected):
        root, _ = collected
        assert codes(root) == ["stale_manifest", *["missing_file"] * PARTS]
        assert "took the place of chunks that it names, and these are gone" in verdicts(root)[0].detail

    def test_repair_goes_on_from_the_chunks(self, collected):
        root, before = collected
        report = mend(root)
        assert (report.lost_rows, report.rebuilt_manifests, columns(root)) == ([], 1, before)
        with fastk.open(root) as store:
            assert store.series(KEY).put(bars(MARCH, 5)).accepted == 5
            assert store.gc(grace_seconds=0).problems == []
        assert len(columns(root)["ts"]) == 5 * PARTS + 5

    def test_an_incomplete_commit_does_not_count_and_is_kept(self, folder_in_memory):
        """A part of it is gone as well: rows are lost, and what is left of it goes where nothing removes it."""
        root = folder_in_memory / "store"
        with fastk.open(root, policy=fastk.CompactionPolicy(tier_fanout=0)) as store:
            series = store.register_kline_series("BTCUSDT", "1m", MINUTE)
            for start in (JANUARY, FEBRUARY):
                for number in range(2):
                    series.append(bars(start + number * HOUR, 5))
            old = manifest(root).read_bytes()
            series.merge()
            store.gc(grace_seconds=0)
        manifest(root).write_bytes(old)
        first, second = chunk_files(root)
        second.unlink()
        with fastk.open(root) as store, pytest.raises(fastk.InvalidData, match="old copy"):
            store.series(KEY).put(bars(MARCH, 5))
        report = mend(root)
        assert sum(each.rows for each in report.lost_rows) == 20
        assert quarantined(root) == [f"{first.name}.orphan"]
        with fastk.open(root) as store:
            assert store.series(KEY).put(bars(MARCH, 5)).accepted == 5

    def test_a_killed_merge_does_not_look_like_that(self, folder_in_memory):
        """Its sources are there, so that it is what it is: a commit that nobody saw."""
        root = folder_in_memory / "store"
        with fastk.open(root) as store:
            series = store.register_kline_series("BTCUSDT", "1m", MINUTE)
            series.append(bars(JANUARY, 5))
            series.append(bars(JANUARY + HOUR, 5))
            old = manifest(root).read_bytes()
            series.merge()
        manifest(root).write_bytes(old)
        with fastk.open(root) as store:
            assert store.series(KEY).put(bars(MARCH, 5)).accepted == 5
        assert len(list_orphans(Disk(), str(root))) == 1
        assert columns(root)["ts"] == joined(bars(JANUARY, 5), bars(JANUARY + HOUR, 5), bars(MARCH, 5))["ts"].tolist()


class TestOneCommitOld:
    """Nothing tells a put that was acknowledged from one that was killed: it is said, and nothing goes at once."""

    @pytest.fixture
    def unnamed(self, root):
        old = manifest(root).read_bytes()
        with fastk.open(root) as store:
            store.series(KEY).append(bars(MARCH, 5))
        manifest(root).write_bytes(old)
        return root

    def test_validate_says_that_a_whole_commit_lies_beside_the_manifest(self, unnamed):
        (found,) = verdicts(unnamed)
        assert (found.code, found.severity, found.rows_at_risk) == ("unnamed_commit", "note", 5)
        assert (found.path, found.start_ts) == ("series/BTCUSDT/kline/1m/series.meta", MARCH)
        assert "commit 4" in found.detail
        assert "copy of the manifest" in found.detail

    @pytest.mark.parametrize("is_rebuild", [False, True])
    def test_a_repair_that_sets_it_aside_says_so(self, unnamed, is_rebuild):
        flip_value(january(unnamed), "close", 0)
        report = (rebuild_manifests if is_rebuild else repair)(Disk(), str(unnamed))
        (doubt,) = report.doubts
        assert "commit 4 lay whole beside the manifest and was set aside (5 rows)" in doubt
        assert len(report.orphaned_paths) == 1
        assert sum(lost.rows for lost in report.lost_rows) == BLOCK

    def test_a_torn_one_is_a_leftover_and_nothing_to_speak_of(self, root):
        write_commit(root, 4, 3, {"2024-03": bars(MARCH, 5), "2024-04": bars(MARCH + 31 * DAY, 5)}, only=[0])
        assert codes(root) == []

    def test_its_files_stay_for_the_grace_period_after_they_were_set_aside(self, unnamed, monkeypatch):
        with fastk.open(unnamed, grace_seconds=100) as store:
            assert not [path for path in store.gc(dry_run=True).removed_paths if path.endswith(".chunk")]
            assert store.series(KEY).append(bars(MARCH + DAY, 5)).accepted == 5
            (orphan,) = (folder(unnamed) / "chunks").glob("*.orphan")
            set_aside_at = os.stat(orphan).st_ctime_ns // 1_000_000
            for age, removed in ((99_999, 0), (100_000, 1)):
                monkeypatch.setattr(writer, "now_ms", lambda age=age: set_aside_at + age)
                assert store.gc(dry_run=True).removed_files == removed
                assert store.gc().removed_files == removed
        assert not orphan.exists()


class TestOrphans:
    def test_stay_while_chunks_are_missing_that_the_manifest_names(self, root):
        (file,) = write_commit(root, 9, 3, {"2024-03": bars(MARCH, 3)})
        orphan = file.rename(f"{file}.orphan")
        kept = chunk_files(root)[1].rename(root / "elsewhere")
        with fastk.open(root) as store:
            report = store.gc(grace_seconds=0)
            assert orphan.exists()
            assert "1 chunks are missing that the manifest names" in report.problems[0]
            kept.rename(folder(root) / "chunks" / "2024-02.00000003-0000.chunk")
            assert store.gc(grace_seconds=0).problems == []
        assert not orphan.exists()
