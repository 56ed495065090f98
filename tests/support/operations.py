"""The mutations of a store as small stories: an old state, what is done to it, and how the day goes on.

Every story is told on kline series of a handful of bars a month. ``picture`` is all that a user can see of a store. The
stories have a clock of their own: files are retired and over at the same moments in every run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastk
import fastk.engine.writer
from fastk import CompactionPolicy
from fastk.format import chunk_tables, retired
from fastk.io.disk import Disk

from .disks import Journal, Killed, RecordingDisk, read_image
from .rebuild import Key, Rows, rebuilt

KEY = ("BTCUSDT", "kline", "1d")
NEIGHBOUR = ("ETHUSDT", "kline", "1d")
THIRD = ("SOLUSDT", "kline", "1d")
NO_TIERS = CompactionPolicy(tier_fanout=0)
MORNING = 1_735_689_600_000  # in ms: when a story begins; what it tells happens a minute later
Picture = dict[Key, Any] | None


class Clock:
    """The time of all stories, in ms."""

    now = MORNING

    def set(self, seconds: float) -> None:
        """Move to a time of the day."""
        self.now = MORNING + int(seconds * 1000)


clock = Clock()


def days(month: int, *numbers: int, other: int = 0) -> dict[str, np.ndarray]:
    """Bars of some days of a month of 2024; another value of ``other`` makes other bars of the same days."""
    ts = np.datetime64(f"2024-{month:02d}-01", "ms").astype(np.int64) + (np.array(numbers) - 1) * 86_400_000
    base = ts // 86_400_000 * 10 + other * 1_000_000
    return {"ts": ts} | {name: base + place for place, name in enumerate(("open", "high", "low", "close", "volume"))}


def bars(*months: int, first_day: int = 0) -> dict[str, np.ndarray]:
    """Three bars of each month of 2024 (1 to 12), every value another one."""
    return joined(*(days(month, *(first_day + day for day in (1, 2, 3))) for month in months))


def joined(*batches: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns one after the other."""
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def register(store: fastk.FastKStore, key: Key = KEY) -> Any:
    """One of the three series; the third has sidecars."""
    indexed = ["close"] if key == THIRD else []
    return store.register_series(
        key,
        fastk.KLINE,
        timeframe_ms=86_400_000,
        scales={"price_scale": 100},
        zone_maps=indexed,
        value_indexes=indexed,
    )


def columns(series: Any) -> dict[str, list[int]]:
    rows = series.range()
    return {name: rows.column(name).tolist() for name in rows.schema.names}


def picture(root: Path, disk: Disk | None = None) -> Picture:
    """Everything that a reader sees, checked for consistency; None where there is no store."""
    try:
        store = fastk.FastKStore.open(root, "r", disk=disk)
    except fastk.NotFound:
        return None
    with store:
        seen = {}
        for entry in store.list_series():
            assert entry.problem is None, entry.problem
            series = store.series((entry.symbol, entry.category, entry.name))
            report = series.verify()
            stored = columns(series)
            assert entry.record_count == len(series) == len(stored["ts"])
            assert report.chunks == entry.chunk_count == len(series.chunk_inventory())
            assert stored["ts"] == sorted(set(stored["ts"]))
            assert columns_of_latest(series) == stored
            settings = series.settings
            shape = (settings.schema, dict(settings.scales), settings.timeframe_ms, settings.time_unit)
            seen[tuple(series.key)] = (shape, stored)
        return seen


def columns_of_latest(series: Any) -> dict[str, list[int]]:
    rows = series.latest(len(series))
    return {name: rows.column(name).tolist() for name in rows.schema.names}


def rows_by_series(seen: Picture) -> dict[Key, Rows]:
    """The rows of a picture; series without rows, which no chunk file tells of, are left out."""
    return {key: stored for key, (_, stored) in (seen or {}).items() if stored["ts"]}


def is_between(seen: Picture, *states: Picture) -> bool:
    """Whether each series is in its state of one of these pictures."""
    if seen is None:
        return None in states
    every = [state or {} for state in states]
    return all(any(seen.get(key) == state.get(key) for state in every) for key in set(seen).union(*every))


def without(rows: dict[Key, Rows], ts: np.ndarray) -> dict[Key, Rows]:
    """The same, less the rows of some times."""
    left = {}
    for key, columns in rows.items():
        places = [place for place, each in enumerate(columns["ts"]) if each not in ts]
        if places:
            left[key] = {name: [column[place] for place in places] for name, column in columns.items()}
    return left


@dataclass(frozen=True)
class Operation:
    """``prepare`` makes the old state, ``perform`` is the mutation. What is half done of it may be performed again."""

    name: str
    prepare: Callable[[fastk.FastKStore], Any] | None
    perform: Callable[[fastk.FastKStore], Any]
    grace_seconds: float = 3600.0
    policy: CompactionPolicy | None = None
    inline_max: int = 256
    table_max: int = 4096
    retired_inline_max: int = 256

    def open(self, root: Path, disk: Disk | None = None, **options: Any) -> fastk.FastKStore:
        options = {"lock_timeout": 0.2, "grace_seconds": self.grace_seconds, "policy": self.policy} | options
        return fastk.FastKStore.open(root, disk=disk, **options)

    def use_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The limits of tables and the clock of this story; and no waiting for the real medium."""
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", self.inline_max)
        monkeypatch.setattr(chunk_tables, "TABLE_MAX", self.table_max)
        monkeypatch.setattr(retired, "INLINE_MAX", self.retired_inline_max)
        monkeypatch.setattr(fastk.engine.writer, "now_ms", lambda: clock.now)

    @contextmanager
    def limits(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            self.use_limits(patch)
            patch.setattr(os, "fsync", lambda descriptor: None)
            yield

    def make_old_state(self, root: Path) -> Picture:
        if self.prepare is None:
            return None
        clock.set(0)
        with self.open(root, grace_seconds=10**6) as store:
            self.prepare(store)
        clock.set(60)
        return picture(root)

    def go_on(self, root: Path, seen: Picture, new: Picture, disk: Disk | None = None) -> Picture:
        """In whatever state a store was seen: a writer does what is not done, puts rows among and behind, collects."""
        with self.open(root, disk) as store:
            return self.go_on_with(store, seen, new)

    def go_on_with(self, store: fastk.FastKStore, seen: Picture, new: Picture) -> Picture:
        """The same with a store object that is open."""
        wanted = rows_by_series(new)
        if without(rows_by_series(seen), LATER["ts"]) != wanted:
            self.perform(store)
        if not store.series(KEY).exists:
            register(store)
        store.series(KEY).put(LATER, on_conflict="replace")
        assert without(rebuilt(read_image(Path(store.root).parent)), LATER["ts"]) == wanted
        assert store.gc().problems == []
        after = picture(Path(store.root))
        assert without(rows_by_series(after), LATER["ts"]) == wanted
        assert set(LATER["ts"].tolist()) <= set(rows_by_series(after)[KEY]["ts"])
        return after

    def __str__(self) -> str:
        return self.name


def _put(*batches: dict[str, np.ndarray], **options: Any) -> Callable[[fastk.FastKStore], Any]:
    def put_all(store: fastk.FastKStore) -> None:
        series = register(store)
        for batch in batches:
            series.put(batch, **options)

    return put_all


def _put_beside_neighbour(*batches: dict[str, np.ndarray]) -> Callable[[fastk.FastKStore], Any]:
    def put_all(store: fastk.FastKStore) -> None:
        register(store, NEIGHBOUR).put(bars(1, 2))
        _put(*batches)(store)

    return put_all


def _only_put(batch: dict[str, np.ndarray], **options: Any) -> Callable[[fastk.FastKStore], Any]:
    return lambda store: store.series(KEY).put(batch, **options)


def _replaced(*months: int, times: int = 2) -> Callable[[fastk.FastKStore], Any]:
    """Some months, and a chain of commits each of which replaces all of them."""

    def replace_again_and_again(store: fastk.FastKStore) -> None:
        register(store).put(bars(*months))
        for other in range(1, times + 1):
            series_of(store).put(
                joined(*(days(month, 1, 2, 3, other=other) for month in months)), on_conflict="replace"
            )

    return replace_again_and_again


def series_of(store: fastk.FastKStore) -> Any:
    return store.series(KEY)


def _put_and_deleted(*months: int, last: int | None = None) -> Callable[[fastk.FastKStore], Any]:
    """Month after month put and deleted again, which leaves chunks without rows; the last one only put."""

    def put_and_delete(store: fastk.FastKStore) -> None:
        register(store)
        for month in months:
            series_of(store).put(bars(month))
            series_of(store).delete_range()
        if last is not None:
            series_of(store).put(bars(last))

    return put_and_delete


def _part_of_a_put_deleted(store: fastk.FastKStore) -> None:
    """Only the chunk without rows says that the put was finished: one of its files will go."""
    _put(JANUARY, bars(2, 3))(store)
    series_of(store).delete_range("2024-02-01", "2024-02-28")


def _three_series(store: fastk.FastKStore) -> None:
    for key in (KEY, NEIGHBOUR, THIRD):
        register(store, key).put(bars(1, 2, 3))


def _three_replaced_series(store: fastk.FastKStore) -> None:
    _three_series(store)
    _batch(store)
    with store.batch():
        for key in (KEY, NEIGHBOUR, THIRD):
            store.series(key).put(joined(days(1, 1, 2, other=7), days(3, 1, other=7)), on_conflict="replace")


def _batch(store: fastk.FastKStore) -> None:
    """Rows replaced, put and deleted, in several series and partitions; the same when it is done twice."""
    with store.batch():
        store.series(KEY).put(joined(days(1, 2, other=1), days(2, 5), days(3, 1, other=1)), on_conflict="replace")
        store.series(KEY).put(days(5, 1, 2), on_conflict="replace")
        store.series(NEIGHBOUR).delete_range("2024-01-02", "2024-02-02")
        store.series(THIRD).put(days(2, 7, 8), on_conflict="replace")
        store.series(THIRD).delete_range(None, "2024-01-31")


def _killed_writers(store: fastk.FastKStore) -> None:
    """Writers that were killed, one after the other; those before the last put their leftovers aside."""
    _replaced(1, 3)(store)
    for stop_after in (6, 12, 9, 3):
        disk = RecordingDisk(Journal(Path(store.root).parent), stop_after=stop_after)
        writer = fastk.FastKStore.open(store.root, disk=disk, policy=NO_TIERS)
        with suppress(Killed):
            writer.series(KEY).put(bars(4, 5, 6), on_conflict="replace")


def _lose_the_table_of_retired_files(store: fastk.FastKStore) -> None:
    """What it named then has no place in the store; some of that is named by a chunk that was replaced later."""
    _replaced(1, 3, times=3)(store)
    sorted(Path(store.root).rglob("retired.*.table"))[-1].unlink()
    series_of(store).put(joined(days(1, 1, 2, 3, other=9), days(3, 1, 2, 3, other=9)), on_conflict="replace")


def _collect(store: fastk.FastKStore, **options: Any) -> None:
    """Collect; what a report calls a problem is an error here, as it is for whoever reads it."""
    for problem in store.gc(**options).problems:
        raise fastk.FastKError(problem)


def _collect_twice(store: fastk.FastKStore) -> None:
    """At first the eldest files only, then all."""
    clock.set(110)
    _collect(store, grace_seconds=100)
    clock.set(200)
    _collect(store, grace_seconds=100)


def _replaced_at(*seconds: float) -> Callable[[fastk.FastKStore], Any]:
    def replace_at_times(store: fastk.FastKStore) -> None:
        register(store).put(bars(1))
        for other, second in enumerate(seconds, 1):
            clock.set(second)
            series_of(store).put(days(1, 1, 2, 3, other=other), on_conflict="replace")

    return replace_at_times


JANUARY, FEBRUARY, REST_OF_FEBRUARY = bars(1), bars(2), bars(2, first_day=10)
SPRING, MAY = bars(3, 4, 5), bars(5)
ODD_DAYS = joined(*(days(month, 1, 3, 5, 7) for month in (1, 2, 3)))
LATER = joined(days(1, 20), days(12, 30))
ALONE = tuple(bars(month) for month in range(4, 9))

OPERATIONS = (
    Operation("init", None, lambda store: store.init()),
    Operation("register", lambda store: store.init(), register),
    Operation("register_in_a_missing_root", None, register),
    Operation("put_one_partition", _put_beside_neighbour(JANUARY), _only_put(FEBRUARY)),
    Operation("first_put", register, _only_put(JANUARY)),
    Operation("put_many_partitions", _put(JANUARY), _only_put(SPRING)),
    Operation("append_a_delta", _put(JANUARY, FEBRUARY), _only_put(REST_OF_FEBRUARY)),
    Operation("spill_into_a_table", _put(*ALONE[:2]), _only_put(ALONE[2]), inline_max=2, table_max=4),
    Operation("replace_a_table", _put(*ALONE[:3]), _only_put(ALONE[3]), inline_max=1, table_max=4),
    Operation("put_before_the_tables", _put(*ALONE[:4]), _only_put(JANUARY), inline_max=1, table_max=2),
    Operation(
        "expire_a_retired_table", _put(*ALONE[:4]), _only_put(ALONE[4]), grace_seconds=0, inline_max=1, table_max=4
    ),
    Operation(
        "spill_what_is_retired",
        _put(*ALONE[:3]),
        _only_put(ALONE[3]),
        inline_max=1,
        table_max=4,
        retired_inline_max=0,
    ),
    Operation("put_among_stored_rows", _put(ODD_DAYS), _only_put(days(2, 2, 4))),
    Operation(
        "put_among_the_rows_of_many_partitions",
        _put(ODD_DAYS),
        _only_put(joined(*(days(month, 2, 4) for month in (1, 2, 3, 4)))),
    ),
    Operation(
        "replace_rows_of_many_partitions",
        _put(ODD_DAYS, REST_OF_FEBRUARY),
        _only_put(joined(days(1, 3, other=1), days(2, 11, other=1), days(3, 1, 5, other=1)), on_conflict="replace"),
    ),
    Operation(
        "put_that_merges_tiers",
        _put(days(1, 1), days(1, 2, 3), days(1, 4)),
        _only_put(days(1, 5)),
        policy=CompactionPolicy(tier_fanout=2),
    ),
    Operation("put_that_begins_a_month", _put(days(1, 1), days(1, 2, 3), days(1, 4)), _only_put(days(2, 5))),
    Operation(
        "put_that_merges_as_advised",
        _put(JANUARY, days(1, 10)),
        _only_put(days(1, 11)),
        policy=CompactionPolicy(auto_merge=True, delta_chunk_threshold=2, tier_fanout=0),
    ),
    Operation(
        "delete_within_a_chunk", _put(ODD_DAYS), lambda store: series_of(store).delete_range("2024-02-02", "2024-02-06")
    ),
    Operation(
        "delete_whole_chunks", _put(ODD_DAYS), lambda store: series_of(store).delete_range("2024-02-01", "2024-03-31")
    ),
    Operation("delete_everything", _put_beside_neighbour(ODD_DAYS), lambda store: series_of(store).delete_range()),
    Operation(
        "delete_everything_again",
        _put_and_deleted(1, 2, last=3),
        lambda store: series_of(store).delete_range(),
        grace_seconds=0,
    ),
    Operation(
        "replace_range",
        _put(ODD_DAYS),
        lambda store: series_of(store).replace_range(
            "2024-01-05", "2024-02-05", joined(days(1, 6), days(2, 2, 3, other=1))
        ),
    ),
    Operation(
        "merge_one_partition",
        _put(JANUARY, days(1, 10), days(1, 11), FEBRUARY, REST_OF_FEBRUARY),
        lambda store: series_of(store).merge("2024-01"),
        policy=NO_TIERS,
    ),
    Operation(
        "merge_many_partitions",
        _put(JANUARY, days(1, 10), FEBRUARY, REST_OF_FEBRUARY, MAY),
        lambda store: series_of(store).merge(),
        policy=NO_TIERS,
    ),
    Operation("put_that_removes_a_chain", _replaced(1, 3), _only_put(MAY), grace_seconds=0),
    Operation(
        "replace_and_remove_a_chain",
        _replaced(1, 3),
        _only_put(joined(days(1, 1, 2, 3, other=9), days(3, 1, other=9)), on_conflict="replace"),
        grace_seconds=0,
    ),
    Operation("remove_chunks_without_rows", _put_and_deleted(1, 2, 3), _only_put(MAY), grace_seconds=0),
    Operation("gc_of_a_chain", _replaced(1, 3, times=3), _collect, grace_seconds=0),
    Operation("gc_of_chunks_without_rows", _put_and_deleted(1, 2, 3), _collect, grace_seconds=0),
    Operation(
        "gc_of_a_retired_table",
        _replaced(1, 3, times=3),
        _collect,
        grace_seconds=0,
        retired_inline_max=1,
    ),
    Operation("gc_of_a_deleted_part_of_the_last_put", _part_of_a_put_deleted, _collect, grace_seconds=0),
    Operation("gc_step_by_step", _replaced_at(5, 50, 58), _collect_twice),
    Operation("gc_after_the_clock_was_set_back", _replaced_at(50, 5), _collect_twice),
    Operation("gc_of_leftovers", _killed_writers, _collect, grace_seconds=0),
    Operation(
        "gc_of_files_without_a_place",
        _lose_the_table_of_retired_files,
        lambda store: _collect(store, grace_seconds=0),
        retired_inline_max=1,
    ),
    Operation("batch", _three_series, _batch),
    Operation("batch_that_removes_chains", _three_replaced_series, _batch, grace_seconds=0),
    Operation("drop_series", _put_beside_neighbour(JANUARY, SPRING), lambda store: store.drop_series(KEY)),
    Operation(
        "drop_series_and_purge",
        _put_beside_neighbour(JANUARY),
        lambda store: store.drop_series(KEY),
        grace_seconds=0,
    ),
)


def by_name(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)
