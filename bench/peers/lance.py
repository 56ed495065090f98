"""Lance by pylance: a dataset a table, rows taken by their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from bench.peers.base import ColumnFiles, Condition, Int64, Table, files_below, sync_tree

FEW_ROWS = 4_096  # up to here `take` is faster than a scan


class Lance(ColumnFiles):
    """``ts`` is read into memory once; values have a B-tree index; what it wrote is synced from outside."""

    name: ClassVar[str] = "Lance"
    packages: ClassVar[tuple[str, ...]] = ("lance",)
    how: ClassVar[str] = "pylance, a dataset a symbol, take by row with ts held in memory, B-tree index on value"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._sets: dict[str, Any] = {}

    def write(self, tables: Mapping[str, Table]) -> None:
        import lance
        import pyarrow

        for table, columns in tables.items():
            written = lance.write_dataset(pyarrow.table(dict(columns)), self.path(table))
            if "value" in columns:
                written.create_scalar_index("value", "BTREE")
        sync_tree(self.folder)

    def append(self, table: str, columns: Table) -> None:
        """A new fragment, which is synced."""
        import lance
        import pyarrow

        known = set(files_below(self.path(table)))
        lance.write_dataset(pyarrow.table(dict(columns)), self.path(table), mode="append")
        sync_tree(self.path(table), known)

    def merge(self, table: str) -> None:
        """Its own compaction of fragments."""
        import lance

        known = set(files_below(self.path(table)))
        lance.dataset(self.path(table)).optimize.compact_files()
        sync_tree(self.path(table), known)

    def open(self) -> None:
        super().open()
        self._sets = {}

    def close(self) -> None:
        super().close()
        self._sets = {}

    def count(self, table: str) -> int:
        import lance

        return int(lance.dataset(self.path(table)).count_rows())

    def _load(self, table: str) -> Int64:
        import lance

        self._sets[table] = lance.dataset(self.path(table))
        times: Int64 = self._sets[table].to_table(columns=["ts"])["ts"].to_numpy()
        return times

    def _names(self, table: str) -> Sequence[str]:
        names: Sequence[str] = self._sets[table].schema.names
        return names

    def _decoded(self, table: str, names: Sequence[str], low: int, high: int) -> Sequence[Int64]:
        dataset = self._sets[table]
        if high - low <= FEW_ROWS:
            found = dataset.take(np.arange(low, high), columns=list(names))
        elif high - low == len(self._ts.get(table, ())):
            found = dataset.to_table(columns=list(names))
        else:
            found = dataset.to_table(columns=list(names), offset=low, limit=high - low)
        return [found[name].to_numpy() for name in names]

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        return self._decoded(table, [name], low, high)[0]

    def _row(self, table: str, row: int) -> Sequence[int]:
        return [int(each[0]) for each in self._decoded(table, self._names(table), row, row + 1)]

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        low, high = self._bounds(table, start, end)
        return self._decoded(table, self._names(table), low, high)

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """By the index, in the order of rows."""
        self._times(table)
        found = self._sets[table].to_table(columns=["ts", "value"], filter=condition.sql())
        return [found["ts"].to_numpy(), found["value"].to_numpy()]
