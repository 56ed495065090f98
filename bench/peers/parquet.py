"""Parquet by pyarrow and by polars: sorted row groups with statistics, light compression."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.peers.base import SCALE, ColumnFiles, Condition, Contestant, Int64, Table, numbered, sync_file

GROUP_ROWS = 16_384
_HOW = f"lz4, sorted row groups of {GROUP_ROWS:,} rows with statistics; an append is a new file"


class PyArrow(ColumnFiles):
    """Row groups are chosen by ``ts`` in memory, or by the statistics of ``value``; only needed columns are decoded."""

    name: ClassVar[str] = "Parquet, pyarrow"
    packages: ClassVar[tuple[str, ...]] = ("pyarrow",)
    how: ClassVar[str] = f"{_HOW}; files kept open and mapped, only the needed row groups and columns decoded"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._groups: dict[str, list[tuple[Any, int]]] = {}
        self._ends: dict[str, NDArray[np.int64]] = {}

    def write(self, tables: Mapping[str, Table]) -> None:
        for table, columns in tables.items():
            os.makedirs(self.path(table))
            self.append(table, columns)
        sync_file(self.folder)

    def append(self, table: str, columns: Table) -> None:
        """A new file, synced, then renamed."""
        import pyarrow

        _save(pyarrow.table(dict(columns)), next(numbered(self.path(table), ".parquet")))

    def merge(self, table: str) -> None:
        """All files of a table as one."""
        import pyarrow
        import pyarrow.parquet

        paths = _paths(self.path(table))
        whole = pyarrow.concat_tables([pyarrow.parquet.read_table(path) for path in paths])
        _save(whole, next(numbered(self.path(table), ".parquet")))
        for path in paths:
            os.remove(path)

    def _load(self, table: str) -> Int64:
        import pyarrow.parquet

        files = [pyarrow.parquet.ParquetFile(path, memory_map=True) for path in _paths(self.path(table))]
        self._groups[table] = [(file, group) for file in files for group in range(file.num_row_groups)]
        rows = [file.metadata.row_group(group).num_rows for file, group in self._groups[table]]
        self._ends[table] = np.cumsum(rows)
        return self._slice(table, "ts", 0, sum(rows))

    def count(self, table: str) -> int:
        """By the footers alone."""
        import pyarrow.parquet

        return sum(pyarrow.parquet.read_metadata(path).num_rows for path in _paths(self.path(table)))

    def close(self) -> None:
        super().close()
        self._groups = {}

    def _names(self, table: str) -> Sequence[str]:
        names: Sequence[str] = self._groups[table][0][0].schema_arrow.names
        return names

    def _decoded(self, table: str, names: Sequence[str], low: int, high: int) -> Sequence[Int64]:
        """Rows [low, high) of some columns."""
        ends = self._ends[table]
        first, last = int(ends.searchsorted(low, "right")), int(ends.searchsorted(high, "left"))
        last = min(last, len(ends) - 1)
        base = int(ends[first - 1]) if first else 0
        pieces = [_read(*group, names) for group in _runs(self._groups[table][first : last + 1])]
        joined = pieces[0] if len(pieces) == 1 else [np.concatenate(each) for each in zip(*pieces, strict=True)]
        return [values[low - base : high - base] for values in joined]

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        return self._decoded(table, [name], low, high)[0]

    def _row(self, table: str, row: int) -> Sequence[int]:
        return [int(each[0]) for each in self._decoded(table, self._names(table), row, row + 1)]

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        low, high = self._bounds(table, start, end)
        return self._decoded(table, self._names(table), low, high)

    def pieces(self, table: str, start: int, end: int) -> Iterable[Sequence[Int64]]:
        (low, high), rows = self._bounds(table, start, end), 8 * GROUP_ROWS
        for first in range(low, high, rows):
            yield self._decoded(table, self._names(table), first, min(first + rows, high))

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """Row groups whose statistics exclude a match are passed over."""
        times = self._times(table)
        found: list[tuple[Int64, Int64]] = []
        for (file, group), end in zip(self._groups[table], self._ends[table].tolist(), strict=True):
            described = file.metadata.row_group(group)
            statistics = described.column(1).statistics
            if condition.may_match(statistics.min, statistics.max):
                (values,) = _read(file, [group], ["value"])
                mask = condition.mask(values)
                found.append((times[end - described.num_rows : end][mask], values[mask]))
        if not found:
            return [times[:0], times[:0]]
        return [np.concatenate(each) for each in zip(*found, strict=True)]


def _runs(groups: Sequence[tuple[Any, int]]) -> Iterable[tuple[Any, list[int]]]:
    """Row groups of one file together."""
    by_file: dict[int, tuple[Any, list[int]]] = {}
    for file, group in groups:
        by_file.setdefault(id(file), (file, []))[1].append(group)
    return by_file.values()


def _read(file: Any, groups: list[int], names: Sequence[str]) -> list[Int64]:
    found = file.read_row_groups(groups, columns=list(names), use_threads=len(groups) * len(names) > 4)
    return [found.column(name).to_numpy() for name in names]


def _paths(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def _save(table: Any, path: str) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(
        table, f"{path}.tmp", row_group_size=GROUP_ROWS, compression="lz4", use_dictionary=False, write_page_index=True
    )
    sync_file(f"{path}.tmp")
    os.rename(f"{path}.tmp", path)
    sync_file(os.path.dirname(path))


class Polars(Contestant):
    """Lazy scans: predicates and projections are pushed down to row groups and columns."""

    name: ClassVar[str] = "Parquet, polars"
    packages: ClassVar[tuple[str, ...]] = ("polars",)
    how: ClassVar[str] = f"{_HOW}; lazy scans with pushed-down predicates, in-memory engine"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._scans: dict[str, Any] = {}

    def write(self, tables: Mapping[str, Table]) -> None:
        for table, columns in tables.items():
            os.makedirs(self.path(table))
            self.append(table, columns)
        sync_file(self.folder)

    def append(self, table: str, columns: Table) -> None:
        """A new file, synced, then renamed."""
        import polars

        self._save(polars.DataFrame(dict(columns)), next(numbered(self.path(table), ".parquet")))

    def _save(self, frame: Any, path: str) -> None:
        frame.write_parquet(f"{path}.tmp", compression="lz4", row_group_size=GROUP_ROWS, statistics=True)
        sync_file(f"{path}.tmp")
        os.rename(f"{path}.tmp", path)
        sync_file(os.path.dirname(path))

    def merge(self, table: str) -> None:
        """All files of a table as one."""
        import polars

        paths = _paths(self.path(table))
        self._save(polars.read_parquet(paths), next(numbered(self.path(table), ".parquet")))
        for path in paths:
            os.remove(path)

    def open(self) -> None:
        self._scans = {}

    def close(self) -> None:
        self._scans = {}

    def _scan(self, table: str) -> Any:
        import polars

        if table not in self._scans:
            self._scans[table] = polars.scan_parquet(_paths(self.path(table)), glob=False)
        return self._scans[table]

    def _window(self, table: str, start: int, end: int) -> Any:
        import polars

        return self._scan(table).filter(polars.col("ts").is_between(start, end))

    def count(self, table: str) -> int:
        import polars

        return int(self._scan(table).select(polars.len()).collect().item())

    def at(self, table: str, ts: int) -> Any:
        """The row with this ts, or None."""
        rows = self._window(table, ts, ts).collect().rows()
        return rows[0] if rows else None

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        return _numpy(self._window(table, start, end).select(name).collect())[0]

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        return _numpy(self._window(table, start, end).collect())

    def latest(self, table: str, name: str, count: int) -> Int64:
        return _numpy(self._scan(table).select(name).tail(count).collect())[0]

    def total(self, tables: Iterable[str], name: str) -> int:
        import polars

        sums = [self._scan(table).select(polars.col(name).sum()) for table in tables]
        return sum(int(each.item()) for each in polars.collect_all(sums))

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """By pushed-down predicates."""
        import polars

        return _numpy(self._scan(table).filter(_expression(polars.col("value"), condition)).collect())

    def matrix(self, tables: Sequence[str], names: Sequence[str], start: int, end: int) -> NDArray[np.float64]:
        """All tables at once, on all cores, side by side."""
        import polars

        lazy = [
            self._window(table, start, end).select((polars.col(names) / SCALE).name.prefix(table)) for table in tables
        ]
        frame = polars.concat(polars.collect_all(lazy), how="horizontal")
        values: NDArray[np.float64] = frame.to_numpy(order="c")
        return values

    def replay(self, tables: Sequence[str], name: str) -> Sequence[Int64]:
        """Sorted frames, merged by a stable sort."""
        import polars

        each = [
            self._scan(table).select(polars.lit(place, polars.Int64).alias("source"), "ts", name)
            for place, table in enumerate(tables)
        ]
        return _numpy(polars.concat(each).sort("ts", maintain_order=True).collect())


def _numpy(frame: Any) -> Sequence[Int64]:
    return [column.to_numpy() for column in frame.get_columns()]


def _expression(column: Any, condition: Condition) -> Any:
    match condition.operator, condition.values:
        case "between", (low, high):
            return column.is_between(low, high)
        case "in", members:
            return column.is_in(list(members))
        case _:
            return condition.mask(column)
