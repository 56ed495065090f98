"""Frames and tables of other libraries as columns that a series can take, or a refusal: nothing is guessed.

What a column holds is checked where all columns are, in :mod:`fastk.schema.columns`. Here they become arrays without
any loss on the way: missing values are refused rather than turned into numbers, and times keep their unit and zone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.arrays import as_objects
from fastk.errors import InvalidInput
from fastk.interop.arrow import SCALE, pyarrow
from fastk.times import to_ts_array

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from fastk.schema.settings import SeriesSettings

    Columns = dict[str, NDArray[Any]]


def frame_columns(data: Any, settings: SeriesSettings, *, decoded: bool, zoneless_is_utc: bool) -> Columns:
    """The columns of a frame by name, ``ts`` in the unit of the series; InvalidInput for missing values.

    Times without a zone are refused unless ``zoneless_is_utc``; text is left to whoever reads it as times.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        columns = _from_pandas(data, settings)
    else:
        columns = _from_table(_as_table(data, settings), settings, decoded)
    if "ts" in columns:
        columns["ts"] = _ts(columns["ts"], settings, zoneless_is_utc)
    return {name: column.values for name, column in columns.items()}


class _Column(NamedTuple):
    """Values, and whether times among them are known to be in UTC."""

    values: NDArray[Any]
    is_utc: bool = False


def _ts(column: _Column, settings: SeriesSettings, zoneless_is_utc: bool) -> _Column:
    if column.values.dtype.kind != "M":
        return column
    try:
        return _Column(to_ts_array(column.values, settings.time_unit, zoneless_is_utc=column.is_utc or zoneless_is_utc))
    except InvalidInput as error:
        raise InvalidInput(f"{settings.key}: {error}") from None


def _distinct(names: list[Any], settings: SeriesSettings) -> list[Any]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"{settings.key}: the frame has two columns {twice!r}")
    return names


def _missing(what: str, row: int) -> InvalidInput:
    return InvalidInput(f"{what}: the value at row {row} is missing; leave such rows out, or fill them first")


# Arrow


def _as_table(data: Any, settings: SeriesSettings) -> pa.Table:
    """Whatever has columns as a table of Arrow, over the same memory where it can be; a stream is read to its end."""
    library = pyarrow()
    if hasattr(data, "collect"):
        raise InvalidInput(f"{settings.key}: a {type(data).__name__} has no rows yet: give its collect()")
    try:
        opened = _opened(data, library)
    except (TypeError, library.ArrowInvalid, library.ArrowNotImplementedError) as error:
        raise InvalidInput(f"{settings.key}: {type(data).__name__} is no table with columns: {error}") from None
    return opened.read_all() if isinstance(opened, library.RecordBatchReader) else opened


def _opened(data: Any, library: Any) -> Any:
    """A table, or a reader of one of which nothing is read yet."""
    if isinstance(data, (library.Table, library.RecordBatchReader)):
        return data
    if hasattr(data, "__arrow_c_stream__"):
        return library.RecordBatchReader.from_stream(data)
    if hasattr(data, "__arrow_c_array__"):
        return library.table(data)
    from pyarrow.interchange import from_dataframe

    return from_dataframe(data)


def _from_table(table: pa.Table, settings: SeriesSettings, decoded: bool) -> dict[Any, _Column]:
    for field in () if decoded else table.schema:
        _check_scale(field, settings)
    names = _distinct(table.column_names, settings)
    return {
        name: _from_arrow(column, f"{settings.key} column {name!r}")
        for name, column in zip(names, table.columns, strict=True)
    }


def _check_scale(field: pa.Field, settings: SeriesSettings) -> None:
    """Stored integers that another series handed out mean something else where the scale differs."""
    scale = (field.metadata or {}).get(SCALE, b"")
    if scale.isdigit() and field.name in settings.schema.names and int(scale) != settings.scale_of(field.name):
        raise InvalidInput(
            f"{settings.key} column {field.name!r} has scale {settings.scale_of(field.name):,}, and these integers are "
            f"of a series of scale {int(scale):,}: take them decoded, and put them with decoded=True"
        )


def _from_arrow(column: pa.ChunkedArray, what: str) -> _Column:
    library = pyarrow()
    types = library.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if column.null_count:
        raise _missing(what, int(column.is_null().to_numpy().argmax()))
    if types.is_timestamp(kind):
        return _Column(column.cast(library.int64()).to_numpy().view(f"M8[{kind.unit}]"), kind.tz is not None)
    if any(check(kind) for check in (types.is_date, types.is_boolean, types.is_integer, types.is_floating)):
        return _Column(column.to_numpy())
    if types.is_decimal(kind) or _is_text(kind):
        return _Column(as_objects(column.to_pylist()))
    if types.is_null(kind):
        return _Column(np.empty(0, np.int64))
    raise InvalidInput(f"{what} is of Arrow's type {kind}, which cannot be stored")


def _is_text(kind: pa.DataType) -> bool:
    types = pyarrow().types
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    raw = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(check(kind) for check in (*texts, *raw))


# pandas: column by column, because Arrow would take NaN for missing, and may not be installed


def _from_pandas(frame: pd.DataFrame, settings: SeriesSettings) -> dict[Any, _Column]:
    frame = _with_index(frame, settings)
    names = _distinct(list(frame.columns), settings)
    return {name: _from_series(frame[name], f"{settings.key} column {name!r}") for name in names}


def _with_index(frame: pd.DataFrame, settings: SeriesSettings) -> pd.DataFrame:
    """The frame with its index as columns: one of times is ``ts``, one with a name is a column, others are numbers."""
    import pandas

    index = frame.index
    if isinstance(index, pandas.DatetimeIndex) and "ts" not in frame.columns:
        return frame.reset_index(names="ts")
    clash = [name for name in index.names if name in frame.columns]
    if clash:
        raise InvalidInput(f"{settings.key}: {clash[0]!r} names both a column and the index of the frame")
    return frame if index.names == [None] else frame.reset_index()


def _from_series(column: pd.Series[Any], what: str) -> _Column:
    import pandas

    dtype: Any = column.dtype
    if isinstance(dtype, pandas.ArrowDtype):
        return _from_arrow(column.array.__arrow_array__(), what)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufM":  # whoever takes the values looks for NaN and NaT
        return _Column(column.to_numpy())
    missing = column.isna().to_numpy()
    if missing.any():
        raise _missing(what, int(missing.argmax()))
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return _Column(column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(), is_utc=True)
    plain = getattr(dtype, "numpy_dtype", None)  # of numbers that may be missing
    if isinstance(plain, np.dtype) and plain.kind in "biuf":
        return _Column(column.to_numpy(dtype=plain))
    return _Column(as_objects(column.tolist()))
