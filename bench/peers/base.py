"""What every contestant is: a store of tables, in a folder of its own, that answers some of the questions.

A table is a mapping of equally long int64 columns whose first is ``ts``, ascending and unique. Bars have six columns,
scalars ``ts`` and ``value``, features ``ts`` and one column each. A contestant that lacks a method is not asked the
questions that need it. Nothing but numpy is imported here, so that a process of one contestant pays for that one only.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Table = Mapping[str, Int64]

BAR_FIELDS = ("ts", "open", "high", "low", "close", "volume")
SCALE = 10_000


class Condition(NamedTuple):
    """Which values are asked for: ``operator`` is one of ``> >= between == != in``."""

    operator: str
    values: tuple[int, ...]

    def sql(self) -> str:
        """The condition on a column ``value``, its bounds written out."""
        match self.operator, self.values:
            case "between", (low, high):
                return f"value BETWEEN {low} AND {high}"
            case "in", members:
                return f"value IN ({', '.join(map(str, members))})"
            case "==", (value,):
                return f"value = {value}"
            case operator, (value,):
                return f"value {operator} {value}"
        raise AssertionError(self)

    def mask(self, values: Any) -> Any:
        """Which of these values match, by numpy."""
        match self.operator, self.values:
            case ">", (bound,):
                return values > bound
            case ">=", (bound,):
                return values >= bound
            case "between", (low, high):
                return (values >= low) & (values <= high)
            case "==", (value,):
                return values == value
            case "!=", (value,):
                return values != value
            case "in", members:
                return np.isin(values, members)
        raise AssertionError(self)

    def may_match(self, low: int, high: int) -> bool:
        """Whether a block with this least and greatest value can hold a match."""
        match self.operator, self.values:
            case ">", (bound,):
                return high > bound
            case ">=", (bound,):
                return high >= bound
            case "between", (first, last):
                return high >= first and low <= last
            case "==", (value,):
                return low <= value <= high
            case "!=", (value,):
                return low != value or high != value
            case "in", members:
                return any(low <= value <= high for value in members)
        raise AssertionError(self)


class Contestant:
    """A store in a folder. ``packages`` must be importable; ``how`` says in a line how it is used.

    Writes are durable when they return. Reads come after :meth:`open`; what they hand out is numpy.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    how: ClassVar[str]

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    # Every contestant has these; some have append, merge, at, rows, where, matrix and replay as well.

    def write(self, tables: Mapping[str, Table]) -> None:
        """Store new tables in a folder that is empty."""
        raise NotImplementedError

    def open(self) -> None:
        """Make ready for reading."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of files and maps."""
        raise NotImplementedError

    def count(self, table: str) -> int:
        """Rows of a table."""
        raise NotImplementedError

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        """One column of the rows with start <= ts <= end."""
        raise NotImplementedError

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        """All columns of the same."""
        raise NotImplementedError

    def pieces(self, table: str, start: int, end: int) -> Iterable[Sequence[Int64]]:
        """All columns of the same, piece by piece as it suits who answers: here all at once."""
        return [self.rows(table, start, end)]

    def latest(self, table: str, name: str, count: int) -> Int64:
        """One column of the last rows."""
        raise NotImplementedError

    def total(self, tables: Iterable[str], name: str) -> int:
        """The sum of a column of all rows of some tables."""
        raise NotImplementedError


def can(contestant: Contestant | type[Contestant], method: str) -> bool:
    """Whether a contestant has a method of its own."""
    kind = contestant if isinstance(contestant, type) else type(contestant)
    return getattr(kind, method, None) is not getattr(Contestant, method, None)


class ColumnFiles(Contestant):
    """Contestants that search ``ts`` by numpy and slice columns by rows: npy, Arrow IPC, HDF5, Zarr, Lance, pyarrow.

    ``ts`` of a table is taken into memory (or mapped) when the table is first used, once for all later reads.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._ts: dict[str, Int64] = {}

    def _load(self, table: str) -> Int64:
        """Open a table; gives its ``ts``."""
        raise NotImplementedError

    def _names(self, table: str) -> Sequence[str]:
        """The columns of a table that is loaded."""
        raise NotImplementedError

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        """Rows [low, high) of a column of a table that is loaded."""
        raise NotImplementedError

    def _decoded(self, table: str, names: Sequence[str], low: int, high: int) -> Iterable[Int64]:
        """The same of some columns, for libraries that read several at once."""
        return (self._slice(table, name, low, high) for name in names)

    def _times(self, table: str) -> Int64:
        try:
            return self._ts[table]
        except KeyError:
            return self._ts.setdefault(table, self._load(table))

    def _bounds(self, table: str, start: int, end: int) -> tuple[int, int]:
        ts = self._times(table)
        return int(ts.searchsorted(start)), int(ts.searchsorted(end, side="right"))

    def _whole(self, table: str, name: str) -> Int64:
        return self._slice(table, name, 0, len(self._times(table)))

    def open(self) -> None:
        self._ts = {}

    def close(self) -> None:
        self._ts = {}

    def count(self, table: str) -> int:
        return len(self._times(table))

    def at(self, table: str, ts: int) -> Sequence[int] | None:
        """The values of the row with this ts, or None."""
        times = self._times(table)
        row = int(times.searchsorted(ts))
        if row == len(times) or times[row] != ts:
            return None
        return self._row(table, row)

    def _row(self, table: str, row: int) -> Sequence[int]:
        return [int(self._slice(table, name, row, row + 1)[0]) for name in self._names(table)]

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        return self._slice(table, name, *self._bounds(table, start, end))

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        low, high = self._bounds(table, start, end)
        return [self._slice(table, name, low, high) for name in self._names(table)]

    def latest(self, table: str, name: str, count: int) -> Int64:
        rows = len(self._times(table))
        return self._slice(table, name, max(rows - count, 0), rows)

    def total(self, tables: Iterable[str], name: str) -> int:
        return sum(int(self._whole(table, name).sum()) for table in tables)

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """``ts`` and ``value`` of the rows whose value matches."""
        ts, values = self._times(table), self._whole(table, "value")
        mask = condition.mask(values)
        return [ts[mask], values[mask]]

    def matrix(self, tables: Sequence[str], names: Sequence[str], start: int, end: int) -> NDArray[np.float64]:
        """Columns of tables with the same ts side by side, each value divided by SCALE; row by row in memory."""
        bounds = {table: self._bounds(table, start, end) for table in tables}
        low, high = bounds[tables[0]]
        columns = (values for table in tables for values in self._decoded(table, names, *bounds[table]))
        return filled_matrix(high - low, len(tables) * len(names), columns)

    def replay(self, tables: Sequence[str], name: str) -> Sequence[Int64]:
        """``source`` (place of the table), ``ts`` and a column of all tables, merged by ts and then by source."""
        return merged_by_sort([self._times(table) for table in tables], [self._whole(table, name) for table in tables])


class ColumnHandles(ColumnFiles):
    """Those that open each column by itself, when it is first asked for: npy, HDF5, Zarr."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._handles: dict[tuple[str, str], Any] = {}
        self._named: dict[str, Sequence[str]] = {}

    def _opened(self, table: str, name: str) -> Any:
        """A column as its library has it."""
        raise NotImplementedError

    def _stored_names(self, table: str) -> Sequence[str]:
        """The columns of a table, from its files."""
        raise NotImplementedError

    def _handle(self, table: str, name: str) -> Any:
        if (table, name) not in self._handles:
            self._handles[table, name] = self._opened(table, name)
        return self._handles[table, name]

    def _load(self, table: str) -> Int64:
        times: Int64 = self._opened(table, "ts")[:]
        self._handles[table, "ts"] = times
        return times

    def _names(self, table: str) -> Sequence[str]:
        if table not in self._named:
            self._named[table] = self._stored_names(table)
        return self._named[table]

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        column = self._handles.get((table, name))
        values: Int64 = (self._handle(table, name) if column is None else column)[low:high]
        return values

    def count(self, table: str) -> int:
        return int(self._handle(table, "ts").shape[0])

    def open(self) -> None:
        super().open()
        self._handles, self._named = {}, {}

    def close(self) -> None:
        super().close()
        self._handles, self._named = {}, {}


def filled_matrix(rows: int, width: int, columns: Iterable[Int64]) -> NDArray[np.float64]:
    """A matrix made once, each column divided into its place."""
    out = np.empty((rows, width))
    for place, values in enumerate(columns):
        np.divide(values, SCALE, out=out[:, place])
    return out


def merged_by_sort(ts: Sequence[Int64], values: Sequence[Int64]) -> Sequence[Int64]:
    """Tables in one order by a stable sort of all ts, which finds the sorted runs."""
    joined = np.concatenate(ts)
    source = np.repeat(np.arange(len(ts)), [len(each) for each in ts])
    order = joined.argsort(kind="stable")
    return [source[order], joined[order], np.concatenate(values)[order]]


# Files


def sync_file(path: str) -> None:
    """Make a file's bytes, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_below(folder: str) -> Iterator[str]:
    """Paths of all files."""
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names)


def sync_tree(folder: str, known: frozenset[str] | set[str] = frozenset()) -> set[str]:
    """Make durable what a library wrote without a sync of its own; ``known`` files are left out. Gives all files."""
    found = set(files_below(folder))
    fresh = found - known
    for path in fresh:
        sync_file(path)
    for parent in {os.path.dirname(path) for path in fresh}:
        sync_file(parent)
    return found


def numbered(folder: str, ending: str) -> Iterator[str]:
    """Paths for new files in a folder, in ascending order behind those that are there."""
    first = len(os.listdir(folder)) if os.path.isdir(folder) else 0
    return (os.path.join(folder, f"{number:06}{ending}") for number in itertools.count(first))
