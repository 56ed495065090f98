"""Threads share one store object: every read is one committed state, whatever others do to it meanwhile.

Values are functions of ts, so that a row from the wrong place is known at sight. Where a race must be hit and not
hoped for, the disk's double calls back in the very moment.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.disks import HookedDisk

import fastk

KEY = ("BTCUSDT", "trade", "raw")
SCHEMA = fastk.Schema("tick", [("ts", "i8"), ("price", "i8"), ("size", "f4")], partition="hour")
INDEXED = ("BTCUSDT", "trade", "indexed")
BOTH: dict[str, Any] = {"zone_maps": ["price"], "value_indexes": ["price"]}
HOUR = 3_600_000
START = 473_352 * HOUR  # 2024-01-01
ROWS_AN_HOUR = 50


def hours(first: int, count: int = 1, *, factor: int = 7) -> dict[str, np.ndarray]:
    """Rows of some hours; ``factor`` tells one series of the same shape from another."""
    ts = START + np.arange(first * ROWS_AN_HOUR, (first + count) * ROWS_AN_HOUR) * (HOUR // ROWS_AN_HOUR)
    return {"ts": ts, "price": ts * factor, "size": (ts % 1_000_003).astype(np.float32)}


def check(rows: Any, factor: int = 7) -> None:
    """Every column belongs to the ts beside it, and no row is missing in between."""
    ts = rows.ts
    assert (np.diff(ts) == HOUR // ROWS_AN_HOUR).all()
    assert (rows.price == ts * factor).all()
    assert (rows.column("size") == (ts % 1_000_003).astype(np.float32)).all()


def together(*works: Callable[[], None]) -> None:
    """Run each in a thread of its own from one start; the first error of any is raised."""
    errors: list[BaseException] = []
    start = threading.Barrier(len(works))

    def guarded(work: Callable[[], None]) -> None:
        try:
            start.wait()
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.fixture
def disk() -> HookedDisk:
    return HookedDisk()


@pytest.fixture
def store(tmp_path: Path, disk: HookedDisk) -> Iterator[fastk.FastKStore]:
    with fastk.FastKStore.open(tmp_path / "root", disk=disk, max_maps=4) as store:
        store.register_series(KEY, SCHEMA)
        yield store


@pytest.mark.slow
def test_eight_readers_and_a_writer_see_committed_states_only(store: fastk.FastKStore) -> None:
    series = store.series(KEY)
    series.put(hours(0, 20))
    done = threading.Event()

    def write() -> None:
        try:
            for hour in range(20, 60):
                series.put(hours(hour))
        finally:
            done.set()

    def read(seed: int) -> Callable[[], None]:
        def work() -> None:
            chance, least = np.random.default_rng(seed), 0
            for _ in range(10_000):
                if done.is_set():
                    break
                rows = len(series)
                assert rows % ROWS_AN_HOUR == 0
                assert rows >= least
                least = rows
                low, high = np.sort(chance.integers(0, rows, 2))
                begin, end = (START + int(row) * (HOUR // ROWS_AN_HOUR) for row in (low, high))
                found = series.range(begin, end)
                assert len(found) == high - low + 1
                assert (int(found.ts[0]), int(found.ts[-1])) == (begin, end)
                check(found)
                check(series.latest(int(chance.integers(1, 200))))
                keys = np.sort(chance.integers(0, rows, 20)) * (HOUR // ROWS_AN_HOUR) + START
                matches = series.at_many(keys)
                assert matches.found.all()
                assert (matches.rows.ts == keys).all()
                assert (matches.rows.price == keys * 7).all()
                for part in series.ranges(keys[:3], keys[:3] + HOUR):
                    check(part)
                assert series.at(begin).price == begin * 7

        return work

    together(write, *(read(seed) for seed in range(8)))
    assert len(series) == 60 * ROWS_AN_HOUR
    check(series.range())
    series.verify()


@pytest.mark.slow
def test_first_touch_by_many_threads_at_once(store: fastk.FastKStore) -> None:
    store.series(KEY).put(hours(0, 30))
    for _ in range(8):
        with fastk.FastKStore.open(store.root, "r", max_maps=3) as fresh:
            together(
                *[lambda: check(fresh.series(KEY).range())] * 4, *[lambda: check(fresh.series(KEY).latest(60))] * 4
            )


def test_writers_of_one_store_object_take_turns(store: fastk.FastKStore) -> None:
    keys = [("BTCUSDT", "trade", f"channel {number}") for number in range(4)]

    def write(key: tuple[str, str, str]) -> Callable[[], None]:
        def work() -> None:
            series = store.register_series(key, SCHEMA)
            for hour in range(5):
                series.put(hours(hour))

        return work

    together(*(write(key) for key in keys))
    for key in keys:
        check(store.series(key).range())
        assert len(store.series(key)) == 5 * ROWS_AN_HOUR


def test_writers_of_one_series_lose_nothing(store: fastk.FastKStore) -> None:
    def write(first: int) -> Callable[[], None]:
        return lambda: [store.series(KEY).put(hours(hour)) for hour in range(first, 20, 2)]  # type: ignore[return-value]

    together(write(0), write(1))
    assert len(store.series(KEY)) == 20 * ROWS_AN_HOUR
    check(store.series(KEY).range())


def test_queries_of_one_store_object_agree(store: fastk.FastKStore) -> None:
    """Chunks, zone maps and value indexes are loaded and let go by all of them at once."""
    store.register_series(INDEXED, fastk.Schema("tick", SCHEMA.fields, partition="hour", **BOTH)).put(hours(0, 12))
    bound = int(hours(0, 12)["price"][333])
    with fastk.FastKStore.open(store.root, "r", max_maps=3) as shared:
        series = shared.series(INDEXED)

        def ask(plan: Any, condition: Any, rows: int) -> Callable[[], None]:
            def work() -> None:
                for _ in range(4):
                    found = series.where("price", condition, plan=plan).rows
                    assert len(found) == rows
                    assert (found.ts * 7 == found.price).all()
                    assert (found.column("size") == (found.ts % 1_000_003).astype(np.float32)).all()

            return work

        plans = ("auto", "scan", "zones", "index")
        conditions = ((fastk.Eq(bound), 1), (fastk.Gt(bound), 12 * ROWS_AN_HOUR - 334))
        together(*(ask(plan, *each) for plan in plans for each in conditions))


class TestAnswersKeepTheirSnapshot:
    """What was answered stays the answer, though its columns are fetched later and the series has moved on."""

    @pytest.fixture
    def series(self, store: fastk.FastKStore) -> Any:
        series = store.series(KEY)
        series.put(hours(10, 10))
        return series

    def test_rows_of_many_chunks(self, series: Any) -> None:
        rows = series.range()
        series.put(hours(0, 5))
        assert len(rows) == 10 * ROWS_AN_HOUR
        check(rows)

    def test_many_points(self, series: Any) -> None:
        keys = hours(10, 10)["ts"][::17]
        matches = series.at_many(keys)
        series.put(hours(0, 5))
        assert (matches.rows.ts == keys).all()
        assert (matches.rows.price == keys * 7).all()

    def test_many_ranges(self, series: Any) -> None:
        starts = hours(10, 9)["ts"][::40]
        answer = series.ranges(starts, starts + HOUR)
        series.put(hours(0, 5))
        for start, rows in zip(starts, answer, strict=True):
            assert int(rows.ts[0]) == start
            check(rows)

    def test_while_a_batch_is_being_searched(self, series: Any, disk: HookedDisk) -> None:
        """A writer commits earlier rows between the moment when chunks are chosen and that when they are opened."""
        keys = hours(10, 10)["ts"][::17]
        with fastk.FastKStore.open(disk_root(series), disk=disk) as fresh:
            again = fresh.series(KEY)
            assert len(again) == 10 * ROWS_AN_HOUR

            def write_once(method: str, path: str) -> None:
                if method == "map":
                    disk.hook = lambda method, path: None
                    again.put(hours(0, 5))

            disk.hook = write_once
            matches = again.at_many(keys)
            assert matches.found.all()
            assert (matches.rows.ts == keys).all()
            assert (matches.rows.price == keys * 7).all()


def disk_root(series: Any) -> str:
    return str(Path(series._reader.files.folder).parents[3])


class TestDroppedAndRegisteredAgain:
    """A new series of the same name has chunks of the same names, and must never answer for the old one."""

    def replace_by_another(self, store: fastk.FastKStore) -> None:
        store.drop_series(KEY)
        store.register_series(KEY, SCHEMA).put(hours(0, 10, factor=9))

    @pytest.fixture
    def reader(self, store: fastk.FastKStore) -> Iterator[fastk.FastKStore]:
        store.series(KEY).put(hours(0, 10))
        with fastk.FastKStore.open(store.root, "r", max_maps=16) as reader:
            yield reader

    def test_rows_handed_out_stay_what_they_were(self, store: fastk.FastKStore, reader: fastk.FastKStore) -> None:
        series = reader.series(KEY)
        rows = series.range()  # so many chunks, compared with the budget, that they are opened when they are used
        self.replace_by_another(store)
        reader.refresh()
        check(series.range(), factor=9)
        check(rows, factor=7)

    @pytest.mark.parametrize("max_maps", [1, 16])
    def test_rows_handed_out_by_the_store_that_drops_stay_too(self, store: fastk.FastKStore, max_maps: int) -> None:
        with fastk.FastKStore.open(store.root, max_maps=max_maps) as dropping:
            series = dropping.series(KEY)
            series.put(hours(0, 10))
            rows = series.range()
            self.replace_by_another(dropping)
            check(series.range(), factor=9)
            check(rows, factor=7)

    def test_points_handed_out_stay_what_they_were(self, store: fastk.FastKStore, reader: fastk.FastKStore) -> None:
        series, keys = reader.series(KEY), hours(0, 10)["ts"][::7]
        matches = series.at_many(keys)
        self.replace_by_another(store)
        reader.refresh()
        check(series.range(), factor=9)
        assert (matches.rows.price == keys * 7).all()

    def test_a_map_under_way_is_not_taken_for_the_new_series(self, store: fastk.FastKStore, disk: HookedDisk) -> None:
        store.series(KEY).put(hours(0, 10))
        mine = HookedDisk()
        with fastk.FastKStore.open(store.root, "r", disk=mine) as reader:
            series = reader.series(KEY)
            assert len(series) == 10 * ROWS_AN_HOUR

            def replace_once(method: str, path: str) -> None:
                if method == "map":
                    mine.hook = lambda method, path: None
                    self.replace_by_another(store)
                    reader.refresh()

            mine.hook = replace_once
            check(series.range(START, START + HOUR - 1), factor=7)
            check(series.range(START, START + HOUR - 1), factor=9)
            check(series.range(), factor=9)


class TestOwnWrites:
    def test_are_not_undone_by_a_refresh_that_began_before(self, store: fastk.FastKStore, disk: HookedDisk) -> None:
        """A refresh reads the manifest, a put commits the next one, the refresh must not go back to what it read."""
        series = store.series(KEY)
        series.put(hours(0))
        with fastk.FastKStore.open(store.root) as other:
            other.series(KEY).put(hours(1))
        writer = threading.Thread(target=lambda: series.put(hours(2)))

        def write_meanwhile(method: str, path: str) -> None:
            if method == "read" and threading.current_thread() is not writer:
                disk.hook = lambda method, path: None
                writer.start()
                writer.join(timeout=0.2)  # if the refresh keeps it waiting, all is well too

        disk.hook = write_meanwhile
        store.refresh()
        writer.join()
        assert len(series) == 3 * ROWS_AN_HOUR
        check(series.range())
