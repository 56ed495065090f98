"""ArcticDB on LMDB: data frames by symbol, with ts as their index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.peers.base import Condition, Contestant, Int64, Table, filled_matrix, merged_by_sort

_NS = 1_000_000  # in a millisecond


class ArcticDB(Contestant):
    """Its own back end for a local disk; versions are pruned."""

    name: ClassVar[str] = "ArcticDB"
    packages: ClassVar[tuple[str, ...]] = ("arcticdb",)
    how: ClassVar[str] = "LMDB back end, a symbol a table, ts as DatetimeIndex, date_range and columns pushed down"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._arctic: Any = None
        self._library: Any = None

    def _connect(self) -> Any:
        if self._library is None:
            import arcticdb
            from arcticdb.config import set_log_level

            set_log_level("ERROR")
            self._arctic = arcticdb.Arctic(f"lmdb://{self.path('base')}?map_size=16GB")
            self._library = self._arctic.get_library("bench", create_if_missing=True)
        return self._library

    def write(self, tables: Mapping[str, Table]) -> None:
        library = self._connect()
        for table, columns in tables.items():
            library.write(table, _frame(columns))

    def append(self, table: str, columns: Table) -> None:
        """A new version of the symbol; the one before is pruned."""
        self._connect().append(table, _frame(columns), prune_previous_versions=True)

    def merge(self, table: str) -> None:
        """Its own compaction."""
        self._connect().compact_data(table, prune_previous_versions=True)

    def open(self) -> None:
        self._connect()

    def close(self) -> None:
        self._library = self._arctic = None

    def count(self, table: str) -> int:
        return int(self._library.get_description(table).row_count)

    def _read(self, table: str, start: int, end: int, columns: list[str] | None = None) -> Any:
        return self._library.read(table, date_range=(_time(start), _time(end)), columns=columns).data

    def at(self, table: str, ts: int) -> Any:
        """The row with this ts, or None."""
        frame = self._read(table, ts, ts)
        return None if frame.empty else (ts, *frame.iloc[0].tolist())

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        values: Int64 = self._read(table, start, end, [name])[name].to_numpy()
        return values

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        return _arrays(self._read(table, start, end))

    def latest(self, table: str, name: str, count: int) -> Int64:
        values: Int64 = self._library.tail(table, count, columns=[name]).data[name].to_numpy()
        return values

    def total(self, tables: Iterable[str], name: str) -> int:
        from arcticdb import ReadRequest

        found = self._library.read_batch([ReadRequest(table, columns=[name]) for table in tables])
        return sum(int(each.data[name].to_numpy().sum()) for each in found)

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """By its query builder."""
        from arcticdb import QueryBuilder

        query = QueryBuilder()
        query = query[_expression(query["value"], condition)]
        return _arrays(self._library.read(table, query_builder=query).data)

    def matrix(self, tables: Sequence[str], names: Sequence[str], start: int, end: int) -> NDArray[np.float64]:
        """All symbols in one batch."""
        from arcticdb import ReadRequest

        span = (_time(start), _time(end))
        found = self._library.read_batch([ReadRequest(table, date_range=span, columns=list(names)) for table in tables])
        frames = [each.data for each in found]
        columns = (frame[name].to_numpy() for frame in frames for name in names)
        return filled_matrix(len(frames[0]), len(tables) * len(names), columns)

    def replay(self, tables: Sequence[str], name: str) -> Sequence[Int64]:
        """All symbols in one batch, then a stable sort."""
        from arcticdb import ReadRequest

        found = self._library.read_batch([ReadRequest(table, columns=[name]) for table in tables])
        ts, values = zip(*(_arrays(each.data) for each in found), strict=True)
        return merged_by_sort(ts, values)


def _time(ts: int) -> Any:
    import pandas

    return pandas.Timestamp(ts * _NS)


def _frame(columns: Table) -> Any:
    import pandas

    index = pandas.DatetimeIndex((columns["ts"] * _NS).view("M8[ns]"), name="ts")
    return pandas.DataFrame({name: values for name, values in columns.items() if name != "ts"}, index=index)


def _arrays(frame: Any) -> Sequence[Int64]:
    ts = frame.index.to_numpy().view(np.int64) // _NS
    return [ts, *(frame[name].to_numpy() for name in frame.columns)]


def _expression(column: Any, condition: Condition) -> Any:
    match condition.operator, condition.values:
        case "between", (low, high):
            return (column >= low) & (column <= high)
        case "in", members:
            return column.isin(list(members))
        case _:
            return condition.mask(column)
