"""DuckDB: one database file, a table a symbol in order of ts, prepared statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.peers.base import Condition, Contestant, Int64, Table, filled_matrix

GROUP_ROWS = 16_384  # its default is 122,880: points, ranges and predicates took 1.2 to 1.3 times as long


class DuckDB(Contestant):
    """Rows are stored in order of ts, so that its own min-max indexes skip row groups; no index slows the writes."""

    name: ClassVar[str] = "DuckDB"
    packages: ClassVar[tuple[str, ...]] = ("duckdb",)
    how: ClassVar[str] = (
        f"a table a symbol, stored in order of ts (min-max indexes), row groups of {GROUP_ROWS:,} rows, "
        "prepared statements, fetchnumpy"
    )

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._base: Any = None
        self._prepared: dict[str, str] = {}

    def _connect(self) -> Any:
        if self._base is None:
            import duckdb

            self._base = duckdb.connect()
            self._base.execute(f"ATTACH '{self.path('base.duckdb')}' AS base (ROW_GROUP_SIZE {GROUP_ROWS}); USE base")
            self._prepared = {}
        return self._base

    def write(self, tables: Mapping[str, Table]) -> None:
        base = self._connect()
        base.execute("BEGIN")
        for table, columns in tables.items():
            given = {name: np.ascontiguousarray(values) for name, values in columns.items()}  # found by name below
            base.register("given", given)
            base.execute(f'CREATE TABLE "{table}" AS SELECT * FROM given')
            base.unregister("given")
        base.execute("COMMIT")
        base.execute("CHECKPOINT")

    def append(self, table: str, columns: Table) -> None:
        """One transaction."""
        base = self._connect()
        base.register("given", dict(columns))
        base.execute(f'INSERT INTO "{table}" SELECT * FROM given')
        base.unregister("given")

    def open(self) -> None:
        self._connect()

    def close(self) -> None:
        if self._base is not None:
            self._base.close()
        self._base = None

    def _ask(self, query: str, *values: int) -> Any:
        """A query with ``?`` for integers, prepared at its first use."""
        if query not in self._prepared:
            name = f"prepared_{len(self._prepared)}"
            self._base.execute(f"PREPARE {name} AS {query}")
            self._prepared[query] = name
        given = f"({', '.join(map(str, values))})" if values else ""
        return self._base.execute(f"EXECUTE {self._prepared[query]}{given}")

    def count(self, table: str) -> int:
        return int(self._ask(f'SELECT count(*) FROM "{table}"').fetchone()[0])

    def at(self, table: str, ts: int) -> Any:
        """The row with this ts, or None."""
        return self._ask(f'SELECT * FROM "{table}" WHERE ts = ?', ts).fetchone()

    def column(self, table: str, name: str, start: int, end: int) -> Int64:
        (values,) = _arrays(self._ask(f'SELECT "{name}" FROM "{table}" WHERE ts BETWEEN ? AND ?', start, end))
        return values

    def rows(self, table: str, start: int, end: int) -> Sequence[Int64]:
        return _arrays(self._ask(f'SELECT * FROM "{table}" WHERE ts BETWEEN ? AND ?', start, end))

    def latest(self, table: str, name: str, count: int) -> Int64:
        found = self._ask(f'SELECT "{name}" FROM "{table}" WHERE rowid >= ?', max(self.count(table) - count, 0))
        return _arrays(found)[0]

    def total(self, tables: Iterable[str], name: str) -> int:
        return sum(int(self._ask(f'SELECT sum("{name}") FROM "{table}"').fetchone()[0]) for table in tables)

    def where(self, table: str, condition: Condition) -> Sequence[Int64]:
        """By its own scan; insertion order is kept."""
        return _arrays(self._base.execute(f'SELECT ts, value FROM "{table}" WHERE {condition.sql()}'))

    def matrix(self, tables: Sequence[str], names: Sequence[str], start: int, end: int) -> NDArray[np.float64]:
        """Table after table, column by column."""
        blocks = [self.rows(table, start, end)[1:] for table in tables]
        return filled_matrix(len(blocks[0][0]), len(tables) * len(names), (each for block in blocks for each in block))

    def replay(self, tables: Sequence[str], name: str) -> Sequence[Int64]:
        """A union in one order."""
        each = (f'SELECT {place} AS source, ts, "{name}" FROM "{table}"' for place, table in enumerate(tables))
        return _arrays(self._base.execute(f"{' UNION ALL '.join(each)} ORDER BY ts, source"))


def _arrays(answer: Any) -> Sequence[Int64]:
    return list(answer.fetchnumpy().values())
