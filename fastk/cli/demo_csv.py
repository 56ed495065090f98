"""Bars from a user's own file: which columns, which times, how many decimals. What had to be assumed is noted."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api import types

from fastk import InvalidInput
from fastk.cli.demo_data import FIELDS, Bars, make_bars

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIME_NAMES = (
    *("timestamp", "datetime", "date_time", "open_time", "opentime", "start_time", "ts", "unix", "epoch"),
    *("date", "time", "day", "t"),
)
NAMES = {
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "base_volume", "tick_volume", "v"),
}
# Epochs by magnitude: the name of the unit, the first value too large for it, and its microseconds.
EPOCHS = (("seconds", 10**11, 10**6), ("milliseconds", 10**14, 10**3), ("microseconds", 10**17, 1))
ZONE_AT_END = r":\d\d.*(?:Z|[+-]\d\d(?::?\d\d)?)$"


def read_bars(path: Path) -> Bars:
    """The bars of one file. The symbol is its name in upper case, as symbols usually are."""
    try:
        return _bars(path.stem.upper(), _table(path))
    except InvalidInput as fault:
        raise InvalidInput(f"{path}: {fault}") from fault


def _bars(symbol: str, table: pd.DataFrame) -> Bars:
    times, time_notes = _times(table)
    columns, column_notes = _numbers(table)
    return make_bars(symbol, times, columns, (*time_notes, *column_notes))


def _table(path: Path) -> pd.DataFrame:
    """The file as it stands, with plain column names."""
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Without it pandas 2 may be wrong in the last digit; pandas 3 never is, and warns of the word.
            exactly: dict[str, Any] = {"float_precision": "round_trip"} if pd.__version__.startswith("2.") else {}
            table: pd.DataFrame = pd.read_csv(file, index_col=False, low_memory=False, **exactly)
    except (ValueError, pd.errors.ParserWarning) as fault:
        raise InvalidInput(f"no readable CSV ({fault})") from fault
    if table.empty:
        raise InvalidInput("no rows below the first line")
    table.columns = pd.Index([_plain(name) for name in table.columns])
    if not table.columns.is_unique:
        raise InvalidInput(f"two columns are called {table.columns[table.columns.duplicated()][0]!r}")
    return table


def _plain(name: str) -> str:
    return name.strip(" <>").lower().replace(" ", "_")


def _find(table: pd.DataFrame, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in table.columns), None)


def _missing(table: pd.DataFrame, what: str) -> InvalidInput:
    found = ", ".join(str(name)[:40] for name in table.columns[:12])
    return InvalidInput(f"no column for {what}; the first line must name the columns, comma-separated (found: {found})")


def _numbers(table: pd.DataFrame) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Prices and volume, in the order of the fields."""
    columns, notes = {}, []
    for field in FIELDS:
        name = _find(table, NAMES[field])
        if name:
            columns[field] = _number(table, name)
        elif field == "volume":
            columns[field] = np.zeros(len(table))
            notes.append("no volume column: volume is stored as 0")
        else:
            raise _missing(table, field)
    return columns, notes


def _number(table: pd.DataFrame, name: str) -> NDArray[Any]:
    """One column as finite numbers."""
    values = pd.to_numeric(table[name], errors="coerce").to_numpy()
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InvalidInput(f"column {name!r} holds {_cell(table[name], bad[0])}, which is no number")
    return values


def _cell(column: pd.Series[Any], row: np.intp | int) -> str:
    value = column.iloc[int(row)]
    return f"{'nothing' if pd.isna(value) else repr(str(value))} in data row {int(row) + 1}"


def _times(table: pd.DataFrame) -> tuple[NDArray[np.int64], list[str]]:
    """Milliseconds since the epoch, UTC, and what was assumed."""
    column = _time_column(table)
    empty = np.flatnonzero(column.isna())
    if len(empty):
        raise InvalidInput(f"time column {column.name!r} holds {_cell(column, empty[0])}")
    if types.is_float_dtype(column) and bool((column % 1 == 0).all()):
        column = column.astype("int64")
    if types.is_integer_dtype(column) and not _is_date_number(column):
        return _from_epoch(column)
    return _from_text(column.astype(str))


def _time_column(table: pd.DataFrame) -> pd.Series[Any]:
    name = _find(table, TIME_NAMES)
    if name in ("date", "time") and {"date", "time"} <= set(table.columns):
        return (table["date"].astype(str) + " " + table["time"].astype(str)).rename("date time")
    if name:
        return table[name]
    first = table.iloc[:, 0]
    counts_rows = types.is_integer_dtype(first) and bool((first == np.arange(len(first))).all())
    if not str(first.name).startswith("unnamed:") or counts_rows:
        raise _missing(table, "the time")
    return first.rename("unnamed")


def _is_date_number(column: pd.Series[Any]) -> bool:
    """Whether the integers are dates such as 20130201; as epochs they would all lie in August 1970."""
    return bool(column.between(19_000_101, 21_001_231).all())


def _from_epoch(column: pd.Series[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """Epochs of one unit, told by their magnitude."""
    values = column.to_numpy(np.int64)
    largest = int(np.abs(values).max())
    for unit, limit, microseconds in EPOCHS:
        if largest < limit:
            times = (values * microseconds).view("datetime64[us]")
            return _milliseconds(column, times), [f"times are {unit} since 1970, UTC"]
    return _milliseconds(column, values.view("datetime64[ns]")), ["times are nanoseconds since 1970, UTC"]


def _from_text(column: pd.Series[str]) -> tuple[NDArray[np.int64], list[str]]:
    """ISO 8601 only: 01/02/2013 is January to some and February to others."""
    parsed = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    bad = np.flatnonzero(parsed.isna())
    if len(bad):
        raise InvalidInput(
            f"time column {column.name!r} holds {_cell(column, bad[0])}, which is no ISO 8601 time such as "
            f"2013-02-01 or 2013-02-01 09:30:00+00:00"
        )
    with_zone = column.str.contains(ZONE_AT_END)
    notes = [] if with_zone.all() else ["times carry no zone: they are taken as UTC"]
    return _milliseconds(column, parsed.dt.tz_localize(None).to_numpy()), notes


def _milliseconds(column: pd.Series[Any], times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    whole = times.astype("datetime64[ms]")
    finer = np.flatnonzero(whole != times)
    if len(finer):
        raise InvalidInput(f"time column {column.name!r} holds {_cell(column, finer[0])}, finer than a millisecond")
    return whole.astype(np.int64)
