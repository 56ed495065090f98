"""What the tests of matrices share: stores of small features, and the model that says what a matrix must hold."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builders import JANUARY, MINUTE

import fastk
from fastk.matrix.fill import ForwardFill

NAN = float("nan")


def put_feature(store, symbol, minutes, values=None, *, scale=1, name="f"):
    """A scalar series with values at some minutes of January."""
    key = fastk.feature_series_key(symbol, "1m", name)
    series = store.register_scalar_series(key, MINUTE, value_scale=scale)
    ts = JANUARY + np.array(minutes, np.int64) * MINUTE
    if ts.size:
        series.put({"ts": ts, "value": np.arange(ts.size) if values is None else np.array(values, np.int64)})
    return key


def minutes(*numbers):
    """Those minutes of January, as ts."""
    return [JANUARY + number * MINUTE for number in numbers]


@dataclass
class Modelled:
    """One column as plain python: (ts, value) in order of time, and what integers are divided by."""

    rows: list[tuple[int, Any]] = field(default_factory=list)
    divisor: int = 1


def model_grid(grid, columns, start, end):
    """The grid of a name, from sets of times."""
    sets = [{ts for ts, _ in column.rows if start <= ts <= end} for column in columns]
    if grid == "first":
        return sorted(sets[0])
    return sorted(set.union(*sets) if grid == "union" else set.intersection(*sets))


def model_matrix(columns, grid, start, end, *, reach=0, fill=NAN, dtype="float64"):
    """Values and validity (rows x columns): each row looked up for itself."""
    shape = len(grid), len(columns)
    values, valid = np.empty(shape, dtype), np.zeros(shape, bool)
    carried = fill if isinstance(fill, ForwardFill) else None
    constant = carried.otherwise if carried else fill
    for place, column in enumerate(columns):
        known = [(ts, value) for ts, value in column.rows if ts <= end and (reach or ts >= start)]
        found = [looked_up(known, ts, reach) for ts in grid]
        for row in range(len(grid)):
            back = 0
            while carried and row > back and found[row - back] is None and back != carried.limit:
                back += 1
            value = found[row - back]
            valid[row, place] = value is not None
            values[row, place] = constant if value is None else decoded(value[0], column.divisor, dtype)
    return values, valid


def looked_up(known, ts, reach):
    """The last value at or before a time, no farther than ``reach`` behind."""
    before = [(at, value) for at, value in known if at <= ts]
    return (before[-1][1],) if before and ts - before[-1][0] <= reach else None


def decoded(value, divisor, dtype):
    if dtype == "int64":
        return int(value)
    return np.dtype(dtype).type(np.float64(value) / divisor)
