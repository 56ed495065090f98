"""Readers of a snapshot from before merges and collections: the same rows, whatever became of the files."""

import pytest
from builders import FEBRUARY, JANUARY, bars
from lifecycle_calls import appended, chunk_files, pictured

import fastk
from fastk import SnapshotExpired
from fastk.format import chunk_tables


class TestReadersOfOldSnapshots:
    def test_views_and_later_reads_stay_right_after_a_merge_and_gc(self, store, klines):
        appended(klines)
        with fastk.open(store.root, "r") as reader:
            seen = reader.kline("BTC", "1m")
            rows = seen.range()
            close, first = rows.close.copy(), rows.segments[0].close
            klines.merge()
            store.gc(grace_seconds=0)
            assert len(chunk_files(store, klines)) == 2
            assert first.tolist() == close[:5].tolist()  # a view of a removed file
            seen._reader.snapshot.chunks.let_go()  # as if the budget of maps were spent
            assert seen.range().close.tolist() == close.tolist()
            assert seen.at(JANUARY).close == close[0]
            assert seen.latest(7).close.tolist() == close[-7:].tolist()
            assert len(seen.chunk_inventory()) == 8
            assert seen.refresh()
            assert len(seen.chunk_inventory()) == 2

    def test_a_reader_that_never_read_the_old_files_reads_the_merged_one(self, store, klines):
        appended(klines)
        expected = pictured(klines)
        with fastk.open(store.root, "r") as reader:
            seen = reader.kline("BTC", "1m")
            assert len(seen) == 40  # pinned, and no file of rows opened
            for _ in range(3):
                klines.merge()
                store.gc(grace_seconds=0)
            assert pictured(seen) == expected

    @pytest.mark.parametrize(
        "change",
        [
            lambda series: series.delete_range(FEBRUARY, None),
            lambda series: series.put(bars(JANUARY + 7, 1)),
            lambda series: series.replace_range(JANUARY, JANUARY, bars(count=1)),
        ],
        ids=["delete", "put", "replace"],
    )
    def test_a_snapshot_expires_only_when_rows_changed(self, store, klines, change):
        appended(klines)
        with fastk.open(store.root, "r") as reader:
            seen = reader.kline("BTC", "1m")
            assert len(seen) == 40
            klines.merge()
            store.gc(grace_seconds=0)
            assert len(seen.range().ts) == 40
            seen._reader.snapshot.chunks.let_go()
            change(klines)
            store.gc(grace_seconds=0)
            with pytest.raises(SnapshotExpired, match="call refresh"):
                _ = seen.range().ts
            seen.refresh()
            assert len(seen.range().ts) == len(klines)


class TestReadersOfOldChunkTables:
    """A reader that pinned a state has not read its chunk tables yet, and they are gone."""

    @pytest.fixture
    def tabled(self, store, klines, monkeypatch):
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 1)
        monkeypatch.setattr(chunk_tables, "TABLE_MAX", 3)
        appended(klines, puts=7)
        assert klines._reader.newest().manifest.leaves.size >= 4
        return klines

    @pytest.mark.parametrize("merges", [("2024-01",), ("2024-02",), (None,), ("2024-02", None, "2024-01")], ids=str)
    def test_it_reads_the_rows_of_now_as_long_as_they_are_the_same(self, store, tabled, merges):
        expected, times = pictured(tabled), tabled.range().ts
        with fastk.open(store.root, "r") as reader, fastk.open(store.root, "r") as by_queries:
            seen, asked = reader.kline("BTC", "1m"), by_queries.kline("BTC", "1m")
            assert len(seen) == len(asked) == 70  # pinned, and no table read
            for key in merges:
                tabled.merge(key)
                store.gc(grace_seconds=0)
            assert [seen.at(int(ts)).ts for ts in times] == times.tolist()
            assert pictured(seen) == expected
            assert [row.ts for row in seen.at_many(times[::3]).rows] == times[::3].tolist()
            assert sum(meta.count for meta in seen.chunk_inventory()) == 70
            assert asked.where("ts", fastk.Gte(int(times[40]))).rows.ts.tolist() == times[40:].tolist()
            assert seen.latest(50).ts.tolist() == times[-50:].tolist()

    def test_also_after_further_merges(self, store, tabled):
        expected = pictured(tabled)
        with fastk.open(store.root, "r") as reader:
            seen = reader.kline("BTC", "1m")
            assert len(seen) == 70
            tabled.merge("2024-01")
            store.gc(grace_seconds=0)
            assert seen.at(JANUARY).ts == JANUARY
            tabled.merge()
            store.gc(grace_seconds=0)
            seen._reader.snapshot.chunks.let_go()
            assert pictured(seen) == expected

    def test_it_expires_when_rows_changed(self, store, tabled):
        with fastk.open(store.root, "r") as reader:
            seen = reader.kline("BTC", "1m")
            assert len(seen) == 70
            tabled.merge()
            tabled.delete_range(JANUARY, JANUARY)
            store.gc(grace_seconds=0)
            with pytest.raises(SnapshotExpired, match="call refresh"):
                seen.range()
            seen.refresh()
            assert len(seen.range().ts) == 69
