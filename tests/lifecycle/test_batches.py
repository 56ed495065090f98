"""``with store.batch()``: many changes, one commit a series, as few syncs as that needs; nothing if the block fails."""

import threading
from contextlib import suppress

import pytest
from builders import (
    DAY,
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    MINUTE,
    assert_rows,
    bars,
    contents,
    joined,
    part,
    temporary_folder,
)
from lifecycle_calls import NO_TIERS, chunk_path, damage, folder_of, spans, unchanged
from support.disks import Journal, RecordingDisk

import fastk
from fastk import Conflict, InvalidData, InvalidInput, LockTimeout, NotFound, StoreClosed
from fastk.io.disk import Disk, SyncFailed

SYMBOLS = [f"S{number}" for number in range(8)]


def in_a_thread(call):
    """Call it in another thread; the error that it raised, if any."""
    errors = []

    def run():
        try:
            call()
        except fastk.FastKError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return errors


class Stop(Exception):
    """What a block of the tests fails with."""


@pytest.fixture
def many(store):
    """Eight series of bars without rows."""
    return [store.register_kline_series(symbol, "1m", MINUTE) for symbol in SYMBOLS]


class TestOneCommitASeries:
    def test_any_number_of_puts_of_any_number_of_series(self, store, many):
        with store.batch():
            for number in range(10):
                for series in many[:3]:
                    series.put(bars(JANUARY + number * HOUR))
        assert [series.sequence for series in many[:4]] == [2, 2, 2, 1]
        for series in many[:3]:
            assert_rows(series.range(), joined(*[bars(JANUARY + number * HOUR) for number in range(10)]))
            assert spans(series) == [50]

    def test_any_number_of_partitions(self, store, klines):
        with store.batch():
            for start in (MARCH, JANUARY, FEBRUARY):
                klines.put(bars(start))
                klines.append(bars(start + DAY))
        assert (klines.sequence, spans(klines)) == (2, [10, 10, 10])

    def test_each_change_stands_upon_those_before_it(self, store, klines):
        with store.batch():
            klines.put(bars(count=10))
            with pytest.raises(Conflict):
                klines.put(bars(count=1))
            assert klines.put(bars(count=12), on_conflict="skip_identical").identical == 10
            assert klines.delete_range(JANUARY, JANUARY + 3 * MINUTE).deleted == 4
            assert klines.put(part(bars(), 1, 2)).accepted == 1
            assert klines.replace_range(JANUARY, JANUARY + MINUTE, bars(count=1)).deleted == 1
            with pytest.raises(InvalidInput, match="overlap"):
                klines.append(bars(JANUARY + 5 * MINUTE, 1))
        assert_rows(klines.range(), joined(part(bars(), 0, 1), part(bars(count=12), 4, 12)))
        klines.verify()

    def test_what_was_put_and_deleted_again_is_no_commit(self, store, klines):
        klines.put(bars())
        check = unchanged(store)
        with store.batch():
            klines.put(bars(FEBRUARY))
            klines.delete_range(FEBRUARY, None)
        check()

    def test_merging_takes_part(self, store, klines):
        for number in range(4):
            klines.append(bars(JANUARY + number * HOUR))
        with store.batch():
            assert klines.merge().merged == 4
            klines.append(bars(JANUARY + DAY))
            assert klines.merge().merged == 2
        assert (klines.sequence, spans(klines)) == (6, [25])

    def test_a_partition_that_the_batch_begins_can_be_merged_in_it(self, store, klines):
        klines.put(bars(JANUARY))
        with store.batch():
            klines.put(bars(FEBRUARY + HOUR))
            klines.append(bars(FEBRUARY + DAY, 2))
            klines.merge("2024-02")
        assert spans(klines) == [5, 7]

    def test_many_appends_are_held_as_few_pieces(self, store, klines):
        """Each change looks at all pieces of its partitions: one for each append would make that quadratic."""
        with store.batch():
            for number in range(100):
                klines.append(bars(JANUARY + number * MINUTE, 1))
            (edit,) = store._writer._batch.values()
            (partition,) = edit._partitions.values()
            assert len(partition.pieces) <= 7
        assert spans(klines) == [100]

    def test_an_empty_batch_changes_nothing(self, store, klines):
        check = unchanged(store)
        with store.batch():
            pass
        check()

    def test_results_tell_the_state_before_the_commit(self, store, klines):
        with store.batch():
            result = klines.put(bars())
        assert (result.accepted, result.chunks, result.sequence) == (5, 0, 1)

    def test_registering_takes_effect_at_once(self, store):
        with store.batch():
            series = store.register_kline_series("NEW", "1m", MINUTE)
            with fastk.open(store.root, "r") as reader:
                assert len(reader.kline("NEW", "1m")) == 0
            series.put(bars())
        assert len(series) == 5

    def test_a_batch_makes_a_store_of_an_empty_folder(self):
        with temporary_folder() as folder, fastk.open(folder / "new") as store:
            with store.batch():
                store.register_kline_series("BTC", "1m", MINUTE).put(bars())
            assert len(store.kline("BTC", "1m")) == 5


class TestFailure:
    def test_a_block_that_raises_leaves_everything_as_it_was(self, store, many):
        many[0].put(bars())
        check = unchanged(store)

        def block():
            with store.batch():
                many[0].delete_range()
                many[1].put(bars())
                raise Stop

        with pytest.raises(Stop):
            block()
        check()
        assert (len(many[0]), len(many[1])) == (5, 0)
        many[1].put(bars(), on_conflict="error")  # nothing of it stayed in memory either

    @pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_an_interrupt_is_a_failure(self, store, klines, stop):
        check = unchanged(store)

        def block():
            with store.batch():
                klines.put(bars())
                raise stop

        with pytest.raises(stop):
            block()
        check()

    def test_a_change_that_is_refused_leaves_the_others_of_the_batch(self, store, klines):
        klines.put(bars())
        with store.batch():
            klines.put(bars(FEBRUARY))
            with pytest.raises(Conflict):
                klines.put(joined(part(bars(), 4, 5), bars(FEBRUARY + HOUR), bars(MARCH)))
        assert_rows(klines.range(), joined(bars(), bars(FEBRUARY)))

    def test_a_change_that_meets_damage_leaves_the_others_of_the_batch(self, store, klines):
        klines.put(joined(bars(), bars(FEBRUARY)))
        damage(chunk_path(store, klines, 1))
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            with fresh.batch():
                series.put(bars(MARCH))
                with pytest.raises(InvalidData, match="damaged"):
                    series.delete_range(JANUARY, FEBRUARY)
            assert (len(series), spans(series)) == (15, [5, 5, 5])

    def test_a_store_that_the_block_closed_commits_nothing(self, store, klines):
        check = unchanged(store)

        def block():
            with store.batch():
                klines.put(bars())
                store.close()

        with pytest.raises(StoreClosed, match="closed"):
            block()
        check()

    def test_a_failed_sync_within_the_block_lets_nothing_be_committed(self):
        """Also where the block caught it: what the medium holds is unknown from then on."""

        class Broken(Disk):
            broken = False

            def sync_folder(self, path):
                if self.broken:
                    raise SyncFailed(5, "no (sync failed)", path)
                super().sync_folder(path)

        disk = Broken()
        with temporary_folder() as folder, fastk.open(folder / "store", disk=disk) as store:
            series = store.register_kline_series("BTC", "1m", MINUTE)
            manifest = folder_of(store, series) / "series.meta"
            before = manifest.read_bytes()

            def block():
                with store.batch():
                    series.put(bars())
                    disk.broken = True
                    with pytest.raises(SyncFailed):
                        store.register_kline_series("ETH", "1m", MINUTE)
                    disk.broken = False

            with pytest.raises(StoreClosed, match="an earlier sync failed"):
                block()
            assert manifest.read_bytes() == before


class TestNesting:
    def test_the_outermost_commits(self, store, many):
        with store.batch():
            with store.batch():
                many[0].put(bars())
            assert len(many[0]) == 0
            many[1].put(bars())
        assert [series.sequence for series in many[:2]] == [2, 2]

    def test_a_failure_of_the_inner_one_spoils_both_also_where_it_is_caught(self, store, many):
        """Its changes are among those of the other: what cannot be taken back must not be committed."""

        def inner():
            with store.batch():
                many[0].put(bars())
                raise Stop

        def outer():
            with store.batch():
                many[1].put(bars())
                with suppress(Stop):
                    inner()

        with pytest.raises(InvalidInput, match="a batch within this one failed"):
            outer()
        assert [len(series) for series in many[:2]] == [0, 0]
        with store.batch(), store.batch():
            many[0].put(bars())
        assert len(many[0]) == 5

    def test_a_batch_after_a_batch(self, store, klines):
        for start in (JANUARY, FEBRUARY):
            with store.batch():
                klines.put(bars(start))
        assert (len(klines), klines.sequence) == (10, 3)


class TestWhoSeesWhat:
    def test_reads_see_the_committed_state(self, store, klines):
        klines.put(bars())
        with store.batch():
            klines.put(bars(FEBRUARY))
            klines.delete_range(JANUARY, JANUARY)
            assert len(klines) == 5
            assert klines.at(JANUARY) is not None
            assert klines.where("close", fastk.Gt(0)).rows.ts[0] == JANUARY
            assert not klines.refresh()
        assert len(klines) == 9

    def test_another_thread_waits_for_the_end(self, store, klines):
        done = []

        def put():
            done.append(klines.put(bars(FEBRUARY)).sequence)

        thread = threading.Thread(target=put)
        with store.batch():
            thread.start()
            klines.put(bars())
            seen = list(done)
        thread.join()
        assert (seen, done, len(klines)) == ([], [3], 10)

    def test_another_thread_does_not_wait_for_ever(self):
        with temporary_folder() as folder, fastk.open(folder / "store", lock_timeout=0.05) as store:
            klines, refused = store.register_kline_series("BTC", "1m", MINUTE), []

            def put():
                with pytest.raises(LockTimeout, match="another thread"):
                    klines.put(bars())
                refused.append(True)

            with store.batch():
                thread = threading.Thread(target=put)
                thread.start()
                thread.join()
            assert refused == [True]
            assert len(klines) == 0

    def test_another_store_object_waits_as_another_process_would(self, store, klines):
        with store.batch(), fastk.open(store.root, lock_timeout=0.05) as other, pytest.raises(LockTimeout):
            other.kline("BTC", "1m").put(bars())

    def test_it_ends_in_the_thread_in_which_it_began(self, store, klines):
        """Elsewhere it is refused in words, writes nothing, and keeps nobody out afterwards."""
        batch = store.batch()

        def begin():
            batch.__enter__()
            klines.append(bars())

        in_a_thread(begin)
        check = unchanged(store)
        with pytest.raises(InvalidInput, match=r"must end in the thread in which it began. Nothing of it was written"):
            batch.__exit__(None, None, None)
        check()
        in_a_thread(lambda: klines.append(bars()))
        assert len(klines) == 5

    def test_one_within_another_spoils_it_when_it_ends_elsewhere(self, store, klines):
        outer, inner = store.batch(), store.batch()
        outer.__enter__()
        inner.__enter__()
        klines.append(bars())
        (refused,) = in_a_thread(lambda: inner.__exit__(None, None, None))
        assert "in the thread in which it began" in str(refused)
        with pytest.raises(InvalidInput, match="a batch within this one failed"):
            outer.__exit__(None, None, None)
        assert len(klines) == 0

    def test_other_threads_read_on(self, store, klines):
        klines.put(bars())
        lengths = []
        with store.batch():
            klines.put(bars(FEBRUARY))
            thread = threading.Thread(target=lambda: lengths.append(len(klines.range().ts)))
            thread.start()
            thread.join()
        assert lengths == [5]


class TestDropping:
    def test_changes_of_a_series_go_with_it(self, store, many):
        with store.batch():
            many[0].put(bars())
            many[1].put(bars())
            store.drop_series(many[0].key)
            with pytest.raises(NotFound):
                many[0].put(bars())
        assert not many[0].exists
        assert len(many[1]) == 5

    def test_a_series_that_is_registered_anew_takes_new_rows(self, store, many):
        many[0].put(bars())
        with store.batch():
            many[0].put(bars(FEBRUARY))
            store.drop_series(many[0].key)
            store.register_kline_series(SYMBOLS[0], "1m", MINUTE)
            many[0].put(bars(MARCH))
        assert_rows(many[0].range(), bars(MARCH))

    def test_a_drop_that_fails_leaves_the_changes(self):
        class Stubborn(Disk):
            def rename(self, source, target):
                if ".fastk.dropped" in target:
                    raise PermissionError(13, "Permission denied", source)
                super().rename(source, target)

        with temporary_folder() as folder, fastk.open(folder / "store", disk=Stubborn()) as store:
            series = store.register_kline_series("BTC", "1m", MINUTE)
            with store.batch():
                series.put(bars())
                with pytest.raises(PermissionError):
                    store.drop_series(series.key)
            assert len(series) == 5


class TestSyncs:
    """What was done at the seam to the disk, on a store of registered series."""

    @pytest.fixture
    def recorded(self, monkeypatch):
        with temporary_folder() as folder:
            with fastk.open(folder) as store:
                for symbol in SYMBOLS:
                    store.register_kline_series(symbol, "1m", MINUTE)
            journal = Journal(folder)
            with fastk.open(folder, disk=RecordingDisk(journal), policy=NO_TIERS) as store:
                store.gc()  # a store object looks once at what other writers left of a series
                journal.effects.clear()
                yield store, journal

    @staticmethod
    def syncs(journal):
        return [effect for effect in journal.effects if effect.kind in ("sync", "sync_folder")]

    def test_four_a_series_however_many_puts(self, recorded):
        """The chunk, its folder, the manifest, its folder: without any of them a crash could lose what was told."""
        store, journal = recorded
        with store.batch():
            for number in range(20):
                for symbol in SYMBOLS:
                    store.kline(symbol, "1m").put(bars(JANUARY + number * HOUR))
        assert len(self.syncs(journal)) == 4 * len(SYMBOLS)

    def test_one_more_for_each_further_partition(self, recorded):
        store, journal = recorded
        with store.batch():
            for start in (JANUARY, FEBRUARY, MARCH):
                store.kline(SYMBOLS[0], "1m").put(bars(start))
                store.kline(SYMBOLS[0], "1m").put(bars(start + DAY))
        assert len(self.syncs(journal)) == 4 + 2

    def test_none_for_series_that_did_not_change(self, recorded):
        store, journal = recorded
        store.kline(SYMBOLS[0], "1m").put(bars())
        journal.effects.clear()
        with store.batch():
            store.kline(SYMBOLS[0], "1m").put(bars(), on_conflict="skip_identical")
            store.kline(SYMBOLS[1], "1m").put(bars(count=0))
            store.kline(SYMBOLS[2], "1m").delete_range()
        assert [effect.kind for effect in journal.effects] == []

    def test_every_step_is_taken_for_all_series_before_the_next(self, recorded):
        """All files are written before any is synced, and all are durable before the first manifest is renamed."""
        store, journal = recorded
        with store.batch():
            for symbol in SYMBOLS:
                store.kline(symbol, "1m").put(bars())
        kinds = [effect.kind for effect in journal.effects]
        chunks = [effect.kind for effect in journal.effects if effect.path.endswith(".chunk")]
        assert chunks.index("sync") > max(place for place, kind in enumerate(chunks) if kind == "write")
        manifests = [effect for effect in journal.effects if effect.path.endswith("series.meta.tmp")]
        renames = [place for place, effect in enumerate(manifests) if effect.kind == "rename"]
        assert renames == list(range(len(manifests) - len(SYMBOLS), len(manifests)))
        assert kinds.count("rename") == len(SYMBOLS)

    def test_a_put_alone_syncs_as_often(self, recorded):
        store, journal = recorded
        store.kline(SYMBOLS[0], "1m").put(bars())
        assert [str(effect).rpartition("/")[2] for effect in self.syncs(journal)] == [
            "chunks",
            "2024-01.00000002-0000.chunk",
            "series.meta.tmp",
            "1m",
        ]


class TestADiskThatFails:
    def put_all(self, store):
        with store.batch():
            for symbol in SYMBOLS:
                store.kline(symbol, "1m").put(bars(FEBRUARY), on_conflict="skip_identical")

    def test_series_that_were_published_stay_and_the_others_do_not(self):
        """Atomic is a series, not the batch: what failed can be repeated."""

        class Failing(Disk):
            renames = 0

            def rename(self, source, target):
                if target.endswith("series.meta"):
                    self.renames += 1
                    if self.renames == 3:
                        raise OSError(28, "No space left on device", target)
                super().rename(source, target)

        with temporary_folder() as folder:
            with fastk.open(folder) as store:
                for symbol in SYMBOLS:
                    store.register_kline_series(symbol, "1m", MINUTE).put(bars())
            before = contents(folder)
            with fastk.open(folder, disk=Failing()) as store:
                with pytest.raises(OSError, match="No space left"):
                    self.put_all(store)
                lengths = [entry.record_count for entry in store.list_series()]
                assert lengths == [10, 10, 5, 5, 5, 5, 5, 5]
                gone = [path for path in contents(folder) if path not in before]
                assert all(path.startswith(("series/S0/", "series/S1/")) for path in gone)
                self.put_all(store)
                store.refresh()
                assert [len(store.kline(symbol, "1m")) for symbol in SYMBOLS] == [10] * 8


class TestBadInput:
    def test_a_store_that_is_open_for_reading(self, store, klines):
        reader = fastk.open(store.root, "r")
        with pytest.raises(InvalidInput, match="opened with mode='r'"), reader.batch():
            pass

    def test_a_closed_store(self, store):
        store.close()
        with pytest.raises(StoreClosed, match="open it again"), store.batch():
            pass

    def test_gc_is_no_part_of_a_batch(self, store, klines):
        with store.batch():
            klines.put(bars())
            with pytest.raises(InvalidInput, match="gc commits at once"):
                store.gc()
            assert store.gc(dry_run=True).problems == []
        assert len(klines) == 5

    @pytest.mark.parametrize("mend", ["repair_store", "rebuild_manifests"])
    def test_a_repair_is_no_part_of_a_batch(self, store, klines, mend):
        """It would replace the manifest that the batch was planned upon."""
        klines.put(bars())
        with store.batch():
            klines.put(bars(FEBRUARY))
            with pytest.raises(InvalidInput, match="a repair commits at once"):
                getattr(store, mend)()
            store.repair_store_dry_run()
        assert len(klines) == 10
        assert getattr(store, mend)().lost_rows == []
        assert len(klines) == 10
