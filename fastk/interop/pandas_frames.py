"""Rows as frames of pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.interop.arrow import Layout
from fastk.interop.optional import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.times import TimeUnit


def to_pandas(rows: Rows, columns: Sequence[str] | None, decoded: bool, index: bool, copy: bool) -> pd.DataFrame:
    """Rows as a frame, ``ts`` in UTC as its index or as a column."""
    pandas = need("pandas", "pandas")
    layout = Layout(rows.settings, columns, decoded)
    unit = rows.settings.time_unit
    frame = {
        name: _times(pandas, _values(rows, layout, name, copy), unit)
        if name == "ts"
        else _values(rows, layout, name, copy)
        for name in layout.names
        if not (index and name == "ts")
    }
    times = _times(pandas, _values(rows, layout, "ts", copy), unit) if index else None
    made: pd.DataFrame = pandas.DataFrame(frame, index=times, columns=list(frame), copy=False)
    return made


def times_index(ts: NDArray[np.int64], unit: TimeUnit) -> pd.DatetimeIndex:
    """Times as an index in UTC over the same memory."""
    made: pd.DatetimeIndex = _times(need("pandas", "pandas"), ts, unit)
    return made


def _times(pandas: Any, ts: NDArray[np.int64], unit: TimeUnit) -> Any:
    return pandas.DatetimeIndex(ts, dtype=pandas.DatetimeTZDtype(unit.value, "UTC"), copy=False, name="ts")


def _values(rows: Rows, layout: Layout, name: str, copy: bool) -> NDArray[Any]:
    """One column: read-only as the file is, or in writable memory of its own."""
    if layout.is_decoded(name):
        return layout.column(rows, name)
    dtype = rows.schema.fields[rows.schema.position(name)].dtype
    if dtype.kind == "S":
        return rows.column(name).astype(object)
    return rows.column(name, out=np.empty(len(rows), dtype)) if copy else rows.column(name)
