"""SQLite of the standard library, tuned: clustered by ts, mapped, a WAL that is synced at each commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.peers.base import Condition, Contestant, Int64, Table, filled_matrix

_TUNING = """
PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA mmap_size=17179869184;
PRAGMA cache_size=-262144; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=4000;
"""
_BLOCK_ROWS = 100_000  # as Python's integers at a time


class SQLite(Contestant):
    """``ts`` is the integer primary key, so that rows lie in its order; ``value`` has a covering index."""

    name: ClassVar[str] = "SQLite"
    how: ClassVar[str] = (
        "a table a symbol, ts INTEGER PRIMARY KEY (the rows' own order), covering index (value, ts) for scalars; "
        "WAL, synchronous=FULL, mmap, cached statements"
    )

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._base: Any = None

    def _connect(self) -> Any:
        if self._base is None:
            self._base = sqlite3.connect(self.path("base.sqlite"), isolation_level=None, cached_statements=1_000)
            self._base.executescript(_TUNING)
        return self._base

    def write(self, tables: Mapping[str, Table]) -> None:
        base = self._connect()
        base.execute("BEGIN")
        for table, columns in tables.items():
            fields = ", ".join(f'"{name}" INTEGER NOT NULL' for name in list(columns)[1:])
            base.execute(f'CREATE TABLE "{table}" (ts INTEGER PRIMARY KEY, {fields})')
            self._insert(table, columns)
            if "value" in columns:
                base.execute(f'CREATE INDEX "{table} by value" ON "{table}" (value, ts)')
        base.execute("COMMIT")
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        base.execute("ANALYZE")

    def append(self, table: str, columns: Table) -> None:
        """One transaction."""
        base = self._connect()
        base.execute("BEGIN")
        self._insert(table, columns)
        base.execute("COMMIT")

    def _insert(self, table: str, columns: Table) -> None:
        marks = ", ".join("?" * len(columns))
        for first in range(0, len(columns["ts"]), _BLOCK_ROWS):
            block = (values[first : first + _BLOCK_ROWS].tolist() for values in columns.values())
            self._base.executemany(f'INSERT INTO "{table}" VALUES ({marks})', zip(*block, strict=True))

    def open(self) -> None:
        self._connect()

    def close(self) -> None:
        if self._base is not None:
            self._base.close()
        self._base = None

    def count(self, table: str) -> int:
        return int(self._base.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])

    def at(self, table: str, ts: int) -> Any:
        """The row with this ts, or None."""
        return self._base.execute(f'SELECT * FROM "{table}" WHERE ts = ?', (ts,)).fetchone()

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        query = f'SELECT "{name}" FROM "{table}" WHERE ts BETWEEN ? AND ? ORDER BY ts'
        return _values(self._base.execute(query, (start, end)))

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        query = f'SELECT * FROM "{table}" WHERE ts BETWEEN ? AND ? ORDER BY ts'
        cursor = self._base.execute(query, (start, end))
        return list(_values(cursor).reshape(-1, len(cursor.description)).T)

    def latest(self, table: str, name: str, count: int) -> Int64:
        query = f'SELECT "{name}" FROM "{table}" ORDER BY ts DESC LIMIT ?'
        return _values(self._base.execute(query, (count,)))[::-1]

    def total(self, tables: Iterable[str], name: str) -> int:
        return sum(self._base.execute(f'SELECT sum("{name}") FROM "{table}"').fetchone()[0] for table in tables)

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """By the covering index where the planner takes it, in order of ts."""
        query = f'SELECT ts, value FROM "{table}" WHERE {condition.sql()} ORDER BY ts'
        return list(_values(self._base.execute(query)).reshape(-1, 2).T)

    def matrix(self, tables: Sequence[str], names: Sequence[str], start: int, end: int) -> NDArray[np.float64]:
        """Table after table, its rows as they come."""
        blocks = [self.rows(table, start, end)[1:] for table in tables]
        return filled_matrix(len(blocks[0][0]), len(tables) * len(names), chain.from_iterable(blocks))

    def replay(self, tables: Sequence[str], name: str) -> Sequence[Int64]:
        """A union in one order."""
        each = (f'SELECT {place} AS source, ts, "{name}" FROM "{table}"' for place, table in enumerate(tables))
        cursor = self._base.execute(f"{' UNION ALL '.join(each)} ORDER BY ts, source")
        return list(_values(cursor).reshape(-1, 3).T)


def _values(cursor: Any) -> Int64:
    """All values of all rows one after the other, without a list of them."""
    return np.fromiter(chain.from_iterable(cursor), np.int64)
