"""SQL over a store: each series a view of DuckDB, which pushes what columns and rows a query needs into its scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.interop.optional import need

if TYPE_CHECKING:
    import duckdb


def connect(
    store: Any,
    database: str = ":memory:",
    *,
    symbol: str = "*",
    category: str = "*",
    name: str = "*",
    decoded: bool = False,
    **options: Any,
) -> duckdb.DuckDBPyConnection:
    """A connection of DuckDB in which the series of a store are views, named as they print: ``"BTCUSDT/kline/1m"``.

    Patterns choose among the series as in ``store.list_series``; ``options`` go to ``duckdb.connect``. Queries see the
    snapshots of the store object; ``store.refresh()`` moves them. InvalidInput if two names differ in case alone, which
    DuckDB does not tell apart: :func:`register` those under other names.
    """
    entries = [entry for entry in store.list_series(symbol, category, name) if entry.problem is None]
    handles = [store.series((entry.symbol, entry.category, entry.name)) for entry in entries]
    _check_apart([str(handle.key) for handle in handles])
    connection: duckdb.DuckDBPyConnection = need("duckdb", "duckdb").connect(database, **options)
    for handle in handles:
        register(connection, handle, decoded=decoded)
    return connection


def register(
    connection: duckdb.DuckDBPyConnection, series: Any, name: str | None = None, *, decoded: bool = False
) -> None:
    """Make a series a view of a connection, by its key or another name; one that is there already is replaced."""
    need("duckdb", "duckdb")
    connection.register(str(series.key) if name is None else name, series.arrow_dataset(decoded=decoded))


def _check_apart(names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise InvalidInput(
                f"{other} and {name} differ in case alone, which DuckDB does not tell apart: leave one out by the "
                f"patterns, and give it another name by fastk.duckdb.register(connection, series, name)"
            )
