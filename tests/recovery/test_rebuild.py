"""Manifests from chunk files alone: all settings, all rows that were committed, and no others."""

import numpy as np
import pytest
from builders import DAY, FEBRUARY, JANUARY, MARCH, MINUTE, bars, joined
from recovery_stores import (
    KEY,
    ROWS,
    SIGNAL,
    TRADES,
    chunk_files,
    codes,
    columns,
    cut,
    flip,
    folder,
    make_store,
    manifest,
    mend,
    no_rows,
    quarantined,
    rebuild,
    settings_of,
    write_commit,
)

import fastk
from fastk.errors import InvalidData
from fastk.format import chunk_tables, names, retired
from fastk.format.manifest import parse_manifest
from fastk.io.disk import Disk
from fastk.recovery.repair import repair

OWN = fastk.Schema(
    "ticks",
    [("ts", "i8"), ("price", "u4", "price_scale"), ("size", "f4"), ("flag", "?"), ("label", "S3"), ("order", "u2")],
    unique_ts=False,
    sequence_field="order",
    partition="hour",
    zone_maps=["size"],
    value_indexes=["price", "flag"],
)


def stored(root, key=KEY):
    return parse_manifest(manifest(root, key).read_bytes(), "series.meta")


@pytest.fixture(params=["missing", "emptied", "flipped"])
def lose(request):
    """Ways to lose a manifest."""

    def lose_manifest(root, key=KEY):
        file = manifest(root, key)
        if request.param == "missing":
            file.unlink()
        elif request.param == "emptied":
            cut(file, 0)
        else:
            flip(file, 100)

    return lose_manifest


class TestSettings:
    @pytest.mark.parametrize("key", [KEY, SIGNAL, TRADES])
    def test_all_of_them_come_back(self, root, lose, key):
        rows, settings = columns(root, key), settings_of(root, key)
        lose(root, key)
        report = mend(root)
        assert report.rebuilt_manifest_paths == [str(manifest(root, key).relative_to(root))]
        assert settings_of(root, key).json == settings.json
        assert columns(root, key) == rows

    def test_those_of_a_schema_of_your_own(self, folder_in_memory):
        key = ("Ünïcode & more", "custom", "Ticks")
        with fastk.open(folder_in_memory) as store:
            series = store.register_series(key, OWN, timeframe_ms=5, time_unit="ns", scales={"price_scale": 1000})
            ts = np.datetime64("2024-02-01", "ns").astype(np.int64) + np.array([0, 0, 3_600 * 10**9])
            series.put(
                {
                    "ts": ts,
                    "price": [1, 2, 3],
                    "size": np.array([0.5, np.nan, -1], np.float32),
                    "flag": [True, False, True],
                    "label": np.array([b"abc", b"", b"d"]),
                    "order": [0, 1, 2],
                }
            )
            settings, rows = series.settings, series.range().to_numpy().tobytes()
        manifest(folder_in_memory, key).unlink()
        mend(folder_in_memory)
        with fastk.open(folder_in_memory) as store:
            series = store.series(key)
            assert series.settings == settings
            assert series.range().to_numpy().tobytes() == rows
            assert series.query_capabilities("price").has_vix
            assert store.register_series(key, OWN, timeframe_ms=5, time_unit="ns", scales={"price_scale": 1000})

    def test_a_series_without_rows_cannot_be_told_and_is_moved_aside(self, root):
        with fastk.open(root) as store:
            store.register_kline_series("XRPUSDT", "1m", MINUTE)
        key = ("XRPUSDT", "kline", "1m")
        flip(manifest(root, key), 90)
        content = manifest(root, key).read_bytes()
        report = repair(Disk(), str(root))
        assert "register it again" in report.unrepaired[0]
        assert [path.read_bytes() for path in root.glob(".fastk.quarantine/*/series.meta")] == [content]
        assert codes(root) == ["unregistered"]
        with fastk.open(root) as store:
            assert store.register_kline_series("XRPUSDT", "1m", MINUTE, price_scale=7).exists


class TestNumbers:
    def test_the_sequence_is_above_all_that_files_bear(self, root, lose):
        write_commit(root, 70, 3, {"2024-03": bars(MARCH, 2), "2024-04": bars(MARCH + 31 * DAY, 2)}, only=[0])
        lose(root)
        mend(root)
        assert stored(root).sequence == stored(root).content_sequence == 2 * names.REBUILD_STEP

    def test_numbers_of_files_in_quarantine_never_come_back(self, root):
        flip(write_commit(root, 70, 3, {"2024-03": bars(MARCH, 2)})[0], 100)
        write_commit(root, 80, 79, {"2024-04": bars(MARCH + 31 * DAY, 2)})
        manifest(root).unlink()
        mend(root)
        assert len(quarantined(root)) == 1
        for file in chunk_files(root)[2:]:
            file.unlink()
        manifest(root).unlink()
        mend(root)
        assert stored(root).sequence > 70

    def test_generations_and_kinds_are_those_of_before(self, root):
        with fastk.open(root) as store:
            store.series(KEY).put(bars(FEBRUARY + 60 * MINUTE, 5))
        before = stored(root).chunks
        rebuild(root)
        np.testing.assert_array_equal(stored(root).chunks, before)


class TestASoundSeries:
    @pytest.mark.parametrize("key", [KEY, SIGNAL, TRADES])
    def test_reads_as_before(self, root, key):
        rows, settings = columns(root, key), settings_of(root, key)
        report = rebuild(root, series=fastk.SeriesKey(*key))
        assert (report.rebuilt_manifests, report.lost_rows, report.quarantined_paths) == (1, [], [])
        assert (columns(root, key), settings_of(root, key).json) == (rows, settings.json)

    def test_all_series_at_once(self, root):
        assert rebuild(root).rebuilt_manifests == 3

    def test_a_dry_run_says_the_same_and_changes_nothing(self, root):
        before = manifest(root).read_bytes()
        planned = rebuild(root, dry_run=True)
        assert manifest(root).read_bytes() == before
        done = rebuild(root)
        assert planned.adopted_chunk_paths == done.adopted_chunk_paths

    def test_a_commit_that_was_never_published_stays_out(self, root):
        """The manifest is sound: it knows better than the files what readers saw."""
        rows = columns(root)
        (file,) = write_commit(root, 4, 3, {"2024-03": bars(MARCH, 5)})
        report = rebuild(root)
        assert columns(root) == rows
        assert report.orphaned_paths == [str(file.relative_to(root))]
        assert file.with_name(f"{file.name}.orphan").exists()

    def test_many_chunks_go_to_tables(self, folder_in_memory, monkeypatch):
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 4)
        monkeypatch.setattr(chunk_tables, "TABLE_MAX", 5)
        monkeypatch.setattr(retired, "INLINE_MAX", 0)
        with make_store(folder_in_memory / "store") as store:
            for minute in range(60, 80):
                store.series(KEY).append(bars(FEBRUARY + minute * MINUTE, 1))
        root = folder_in_memory / "store"
        rows = columns(root)
        flip(min(folder(root).glob("chunks.*.table")), 50)
        assert "corrupt_table" in codes(root)
        report = mend(root)
        assert (columns(root), report.lost_rows) == (rows, [])
        assert stored(root).leaves.size == 5
        assert stored(root).retired_table.size == 1


class TestCommitsThatWereNeverFinished:
    """The manifest is lost. What a commit was made upon was published; above that only the newest whole one can be."""

    @pytest.fixture(autouse=True)
    def _lost(self, root):
        self.settings = settings_of(root)
        self.before = columns(root)
        self.root = root

    def commit(self, sequence, base, parts, **options):
        return write_commit(self.root, sequence, base, parts, of=self.settings, **options)

    def rebuilt_rows(self):
        manifest(self.root).unlink()
        self.report = mend(self.root)
        return columns(self.root)

    def test_a_whole_one_on_top_was_perhaps_acknowledged_and_counts(self):
        self.commit(4, 3, {"2024-03": bars(MARCH, 5), "2024-04": bars(MARCH + 31 * DAY, 5)})
        assert len(self.rebuilt_rows()["ts"]) == ROWS + 60

    def test_one_with_a_part_missing_does_not(self):
        self.commit(4, 3, {"2024-03": bars(MARCH, 5), "2024-04": bars(MARCH + 31 * DAY, 5)}, only=[1])
        assert self.rebuilt_rows() == self.before
        assert [(lost.rows, lost.reason) for lost in self.report.lost_rows] == [(5, "leftover")]
        assert quarantined(self.root) == ["2024-04.merged.00000004-0001.chunk.orphan"]
        assert "if it was acknowledged, put its rows again" in self.report.unrepaired[0]

    @pytest.mark.parametrize(
        "damage", [lambda file: cut(file, 300), lambda file: flip(file, 50), lambda file: cut(file, 900)]
    )
    def test_one_with_a_torn_part_does_not(self, damage):
        first, _ = self.commit(4, 3, {"2024-03": bars(MARCH, 5), "2024-04": bars(MARCH + 31 * DAY, 5)})
        damage(first)
        assert self.rebuilt_rows() == self.before
        assert len(quarantined(self.root)) == len(self.report.lost_rows) == 2
        assert self.report.unrepaired
        with fastk.open(self.root) as store:
            store.gc(grace_seconds=0)
        assert len(quarantined(self.root)) == 2

    def test_of_two_whole_ones_the_newer_counts(self):
        self.commit(4, 3, {"2024-03": bars(MARCH, 5)})
        self.commit(5, 3, {"2024-04": bars(MARCH + 31 * DAY, 7)})
        assert len(self.rebuilt_rows()["ts"]) == ROWS + 57
        assert [path.rsplit("/")[-1] for path in self.report.orphaned_paths] == ["2024-03.merged.00000004-0000.chunk"]

    def test_one_that_another_was_made_upon_counts_even_with_a_part_missing(self):
        """A part of it was superseded and removed since."""
        self.commit(4, 3, {"2024-03": bars(MARCH, 5), "2024-04": bars(MARCH + 31 * DAY, 5)}, only=[0])
        self.commit(5, 4, {"2024-05": bars(MARCH + 61 * DAY, 5), "2024-06": bars(MARCH + 92 * DAY, 5)}, only=[0])
        assert len(self.rebuilt_rows()["ts"]) == ROWS + 55

    def test_files_that_were_set_aside_stay_there(self):
        (file,) = self.commit(4, 3, {"2024-03": bars(MARCH, 5)})
        file.rename(f"{file}.orphan")
        assert self.rebuilt_rows() == self.before

    def test_what_such_files_were_made_upon_was_published_all_the_same(self):
        (file,) = self.commit(5, 4, {"2024-04": bars(MARCH + 31 * DAY, 5)})
        file.rename(f"{file}.orphan")
        self.commit(4, 3, {"2024-03": bars(MARCH, 5), "2024-06": bars(MARCH + 92 * DAY, 5)}, only=[0])
        assert len(self.rebuilt_rows()["ts"]) == ROWS + 55


class TestRowsThatWereReplaced:
    @pytest.fixture(autouse=True)
    def _lost(self, root):
        self.old = chunk_files(root)[1]
        identity = stored(root).chunks["chunk_id"][1]
        self.superseded = [int(identity)]

    def lose_manifest(self, root):
        settings = settings_of(root)
        manifest(root).unlink()
        return settings

    def test_do_not_come_back(self, root):
        changed = {name: column + (name != "ts") for name, column in bars(FEBRUARY, 30).items()}
        write_commit(root, 4, 3, {"2024-02": changed}, superseded=self.superseded)
        self.lose_manifest(root)
        mend(root)
        found = columns(root)
        expected = joined(bars(JANUARY, ROWS), changed)
        assert found == {name: column.tolist() for name, column in expected.items()}
        (entry,) = stored(root).retired
        assert (entry["identity"], entry["retired_by"]) == (self.superseded[0], 4)
        assert self.old.exists()

    def test_deleted_ones_do_not_either(self, root):
        write_commit(root, 4, 3, {"2024-02": no_rows()}, superseded=self.superseded)
        self.lose_manifest(root)
        mend(root)
        assert len(columns(root)["ts"]) == ROWS
        empty = stored(root).retired[-1]
        assert empty["supersedes"] == 2
        assert empty["retired_by"] == stored(root).content_sequence, "it stays as a proof until rows change again"

    def test_a_delete_that_was_never_finished_deletes_nothing(self, root):
        (file,) = write_commit(root, 4, 3, {"2024-02": no_rows()}, superseded=self.superseded)
        cut(file, file.stat().st_size - 3)
        self.lose_manifest(root)
        mend(root)
        assert len(columns(root)["ts"]) == ROWS + 50

    def test_writers_remove_what_is_dead_when_its_time_has_come(self, root):
        write_commit(root, 4, 3, {"2024-02": bars(FEBRUARY, 30)}, superseded=self.superseded)
        self.lose_manifest(root)
        mend(root)
        with fastk.open(root, grace_seconds=0) as store:
            store.series(KEY).put(bars(MARCH, 3))
        assert not self.old.exists()


class TestForeignFiles:
    def test_chunks_of_another_series_are_left_alone(self, root):
        stranger = folder(root) / "chunks" / chunk_files(root, TRADES)[0].name
        stranger.write_bytes(chunk_files(root, TRADES)[0].read_bytes())
        rows = columns(root)
        manifest(root).unlink()
        mend(root)
        assert columns(root) == rows
        assert stranger.exists()

    def test_of_two_lives_of_a_series_the_one_with_more_files_counts(self, root):
        kept = [(file.name, file.read_bytes()) for file in chunk_files(root)[:1]]
        with fastk.open(root) as store:
            store.drop_series(KEY)
            series = store.register_kline_series("BTCUSDT", "1m", MINUTE, price_scale=5)
            for day in range(3):
                series.put(bars(MARCH + day * DAY, 2))
        for name, content in kept:
            (folder(root) / "chunks" / name).write_bytes(content)
        manifest(root).unlink()
        mend(root)
        assert settings_of(root).scales["price_scale"] == 5
        assert len(columns(root)["ts"]) == 6

    def test_a_folder_that_was_moved_by_hand_is_left_alone(self, root):
        target = root / "series/BTCUSDT/kline/5m"
        folder(root).rename(target)
        report = repair(Disk(), str(root))
        assert "move it back" in report.unrepaired[0]
        assert len(list(target.rglob("*.chunk"))) == 2
        assert not (root / ".fastk.quarantine").exists()

    def test_a_manifest_that_was_copied_here_makes_way(self, root):
        rows = columns(root)
        manifest(root).write_bytes(manifest(root, TRADES).read_bytes())
        mend(root)
        assert columns(root) == rows
        assert quarantined(root) == ["series.meta"]


class TestOldCopies:
    def test_a_manifest_from_a_backup_is_brought_up_to_date(self, root):
        old = manifest(root).read_bytes()
        with fastk.open(root) as store:
            for day in range(3):
                store.series(KEY).put(bars(MARCH + day * DAY, 2))
        rows = columns(root)
        manifest(root).write_bytes(old)
        report = mend(root)
        assert (columns(root), report.lost_rows) == (rows, [])


class TestTables:
    def test_what_a_lost_table_knew_of_lost_files_is_said(self, folder_in_memory, monkeypatch):
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 1)
        root = folder_in_memory / "store"
        make_store(root).close()
        (table,) = folder(root).glob("chunks.*.table")
        table.unlink()
        chunk_files(root)[0].unlink()
        report = mend(root)
        assert [each.rows for each in report.lost_rows] == [ROWS]

    def test_settings_survive_where_no_chunk_is_left(self, root):
        """The manifest is sound, so that it tells the settings; all rows are lost."""
        settings = settings_of(root)
        for file in chunk_files(root):
            file.unlink()
        report = mend(root)
        assert sum(each.rows for each in report.lost_rows) == ROWS + 50
        assert settings_of(root).json == settings.json
        assert columns(root)["ts"] == []


def test_readers_of_a_lost_manifest_are_told_what_to_do(root):
    flip(manifest(root), 100)
    with fastk.open(root, "r") as store, pytest.raises(InvalidData, match=r"series\.meta"):
        store.series(KEY).range()
