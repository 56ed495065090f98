"""The mutations of a store as small stories: an old state, what is done to it, and how the day goes on.

Every story is told on one kline series of a handful of bars a month. ``picture`` is all that a user can see of a store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastk
from fastk.format import chunk_tables, retired
from fastk.io.disk import Disk

KEY = ("BTCUSDT", "kline", "1d")
NEIGHBOUR = ("ETHUSDT", "kline", "1d")
BARS_A_MONTH = 3
Picture = dict[tuple[str, str, str], Any] | None


def bars(*months: int, first_day: int = 0) -> dict[str, np.ndarray]:
    """Three bars of each month of 2024 (1 to 12), every value another one."""
    ts = np.concatenate(
        [
            np.datetime64(f"2024-{month:02d}-01", "ms").astype(np.int64) + (first_day + np.arange(3)) * 86_400_000
            for month in months
        ]
    )
    base = ts // 86_400_000 * 10
    return {"ts": ts} | {name: base + place for place, name in enumerate(("open", "high", "low", "close", "volume"))}


def register(store: fastk.FastKStore, key: tuple[str, str, str] = KEY) -> Any:
    return store.register_series(key, fastk.KLINE, timeframe_ms=86_400_000, scales={"price_scale": 100})


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


@dataclass(frozen=True)
class Operation:
    """``prepare`` makes the old state, ``perform`` is the mutation, ``rest`` are the puts that make the full series."""

    name: str
    prepare: Callable[[fastk.FastKStore], Any] | None
    perform: Callable[[fastk.FastKStore], Any]
    puts: tuple[dict[str, np.ndarray], ...]  # all batches of the full story, those of prepare and perform included
    grace_seconds: float = 3600.0
    inline_max: int = 256
    table_max: int = 4096
    retired_inline_max: int = 256

    def open(self, root: Path, disk: Disk | None = None, **options: Any) -> fastk.FastKStore:
        options.setdefault("lock_timeout", 0.2)
        return fastk.FastKStore.open(root, grace_seconds=self.grace_seconds, disk=disk, **options)

    def use_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", self.inline_max)
        monkeypatch.setattr(chunk_tables, "TABLE_MAX", self.table_max)
        monkeypatch.setattr(retired, "INLINE_MAX", self.retired_inline_max)

    def make_old_state(self, root: Path) -> Picture:
        if self.prepare is None:
            return None
        with self.open(root) as store:
            self.prepare(store)
        return picture(root)

    def go_on(self, root: Path, disk: Disk | None = None) -> None:
        """Whatever state the store is in: a writer comes, writes what is missing, and all of it reads back."""
        with self.open(root, disk) as store:
            series = register(store)
            stored = set(columns(series)["ts"])
            for batch in self.puts:
                if int(batch["ts"][-1]) not in stored:
                    series.put(batch)
            expected = {
                name: np.concatenate([batch[name] for batch in sorted(self.puts, key=lambda batch: batch["ts"][0])])
                for name in self.puts[0]
            }
            assert columns(series) == {name: column.tolist() for name, column in expected.items()}
            series.verify()
        seen = picture(root)
        assert seen is not None
        assert seen[KEY][1] == {name: column.tolist() for name, column in expected.items()}

    def __str__(self) -> str:
        return self.name


def _put(*batches: dict[str, np.ndarray]) -> Callable[[fastk.FastKStore], Any]:
    def put_all(store: fastk.FastKStore) -> None:
        series = register(store)
        for batch in batches:
            series.put(batch)

    return put_all


def _put_beside_neighbour(*batches: dict[str, np.ndarray]) -> Callable[[fastk.FastKStore], Any]:
    def put_all(store: fastk.FastKStore) -> None:
        register(store, NEIGHBOUR).put(bars(1, 2))
        _put(*batches)(store)

    return put_all


def _only_put(batch: dict[str, np.ndarray]) -> Callable[[fastk.FastKStore], Any]:
    return lambda store: store.series(KEY).put(batch)


JANUARY, FEBRUARY, REST_OF_FEBRUARY = bars(1), bars(2), bars(2, first_day=10)
SPRING, MAY, JUNE = bars(3, 4, 5), bars(5), bars(6)
ALONE = tuple(bars(month) for month in range(4, 9))

OPERATIONS = (
    Operation("init", None, lambda store: store.init(), (JANUARY,)),
    Operation("register", lambda store: store.init(), register, (JANUARY,)),
    Operation("register_in_a_missing_root", None, register, (JANUARY,)),
    Operation("put_one_partition", _put_beside_neighbour(JANUARY), _only_put(FEBRUARY), (JANUARY, FEBRUARY, SPRING)),
    Operation("first_put", register, _only_put(JANUARY), (JANUARY, FEBRUARY)),
    Operation("put_many_partitions", _put(JANUARY), _only_put(SPRING), (JANUARY, SPRING, JUNE)),
    Operation(
        "append_a_delta",
        _put(JANUARY, FEBRUARY),
        _only_put(REST_OF_FEBRUARY),
        (JANUARY, FEBRUARY, REST_OF_FEBRUARY, MAY),
    ),
    Operation(
        "spill_into_a_table",
        _put(*ALONE[:2]),
        _only_put(ALONE[2]),
        (*ALONE, JANUARY),
        inline_max=2,
        table_max=4,
    ),
    Operation(
        "replace_a_table",
        _put(*ALONE[:3]),
        _only_put(ALONE[3]),
        (*ALONE, JANUARY),
        inline_max=1,
        table_max=4,
    ),
    Operation(
        "put_before_the_tables",
        _put(*ALONE[:4]),
        _only_put(JANUARY),
        (*ALONE, JANUARY),
        inline_max=1,
        table_max=2,
    ),
    Operation(
        "expire_a_retired_table",
        _put(*ALONE[:4]),
        _only_put(ALONE[4]),
        (*ALONE, JANUARY),
        grace_seconds=0,
        inline_max=1,
        table_max=4,
    ),
    Operation(
        "spill_what_is_retired",
        _put(*ALONE[:3]),
        _only_put(ALONE[3]),
        (*ALONE, JANUARY),
        inline_max=1,
        table_max=4,
        retired_inline_max=0,
    ),
    Operation(
        "drop_series", _put_beside_neighbour(JANUARY, SPRING), lambda store: store.drop_series(KEY), (JANUARY, SPRING)
    ),
    Operation(
        "drop_series_and_purge",
        _put_beside_neighbour(JANUARY),
        lambda store: store.drop_series(KEY),
        (JANUARY,),
        grace_seconds=0,
    ),
)


def by_name(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)
