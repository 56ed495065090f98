"""FastK: compiled kernels loaded, checksums compared on first touch, every commit durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import fastk
from bench.peers.base import BAR_FIELDS, SCALE, Condition, Contestant, Int64, Table

TIMEFRAME, MINUTE = "1m", 60_000


class FastK(Contestant):
    """Bars are kline series, scalars scalar series with zone maps and value indexes; features one series each."""

    name: ClassVar[str] = "FastK"
    how: ClassVar[str] = "kline and scalar series, kernels loaded, checksums compared on first touch"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._store: Any = None
        self._series: dict[str, Any] = {}

    @property
    def _root(self) -> str:
        return self.path("store")

    def write(self, tables: Mapping[str, Table]) -> None:
        with fastk.open(self._root) as store:
            for table, columns in tables.items():
                if tuple(columns) == BAR_FIELDS:
                    store.register_kline_series(table, TIMEFRAME, MINUTE).put(columns)
                elif tuple(columns) == ("ts", "value"):
                    store.register_scalar_series(_scalar_key(table), MINUTE).put(columns)
                else:
                    _put_features(store, table, columns)

    def append(self, table: str, columns: Table) -> None:
        """One durable commit."""
        if self._store is None or self._store.mode == "r":
            self._store = fastk.open(self._root)
        self._store.kline(table, TIMEFRAME).append(columns)

    def merge(self, table: str) -> None:
        """All pieces of a month in one file."""
        self._store.kline(table, TIMEFRAME).merge()

    def open(self) -> None:
        self._store = fastk.open(self._root, "r")
        self._series = {}

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, self._series = None, {}

    def count(self, table: str) -> int:
        return len(self._handle(table))

    def at(self, table: str, ts: int) -> Any:
        """The record with this ts, or None."""
        return self._handle(table).at(ts)

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        found: Int64 = self._handle(table).range(start, end)[name]
        return found

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        found = self._handle(table).range(start, end)
        return [found[name] for name in found.schema.names]

    def pieces(self, table: str, start: int, end: int) -> Iterable[Sequence[Int64]]:
        for piece in self._handle(table).range(start, end).segments:
            yield [piece[name] for name in piece.schema.names]

    def latest(self, table: str, name: str, count: int) -> Int64:
        found: Int64 = self._handle(table).latest(count)[name]
        return found

    def total(self, tables: Iterable[str], name: str) -> int:
        return sum(int(piece[name].sum()) for table in tables for piece in self._handle(table).range().segments)

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """By zone map, value index or scan, whichever is cheapest."""
        rows = self._handle(table).where("value", _expression(condition)).rows
        return [rows.ts, rows.value]

    def matrix(self, tables: Sequence[str], names: Sequence[str], start: int, end: int) -> NDArray[np.float64]:
        """Columns of many series side by side."""
        keys = [fastk.feature_series_key(table, TIMEFRAME, name) for table in tables for name in names]
        values: NDArray[np.float64] = self._store.feature_matrix(keys, start=start, end=end).values
        return values

    def replay(self, tables: Sequence[str], name: str) -> Sequence[Int64]:
        """Events in one order, all in one batch."""
        replay = fastk.merged_replay([self._handle(table) for table in tables])
        batch = replay.next_batch(len(replay))
        return [batch.source, batch.ts, batch.column(name)]

    def _handle(self, table: str) -> Any:
        try:
            return self._series[table]
        except KeyError:
            series = self._store.kline(table, TIMEFRAME)
            return self._series.setdefault(table, series if series.exists else self._store.scalar(_scalar_key(table)))


def _scalar_key(table: str) -> fastk.ScalarSeriesKey:
    return fastk.feature_series_key(table, TIMEFRAME, "value")


def _put_features(store: fastk.FastKStore, table: str, columns: Table) -> None:
    with store.batch():
        for name in list(columns)[1:]:
            key = fastk.feature_series_key(table, TIMEFRAME, name)
            series = store.register_scalar_series(key, MINUTE, value_scale=SCALE)
            series.put({"ts": columns["ts"], "value": columns[name]})


def _expression(condition: Condition) -> Any:
    match condition.operator, condition.values:
        case "between", (low, high):
            return fastk.Between(low, high)
        case "in", members:
            return fastk.InSet(list(members))
        case operator, (value,):
            kinds = {">": fastk.Gt, ">=": fastk.Gte, "==": fastk.Eq, "!=": fastk.Ne}
            return kinds[operator](value)
    raise AssertionError(condition)
