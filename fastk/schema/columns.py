"""What callers hand in becomes columns: one contiguous array a field, of exactly the field's dtype, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidInput
from fastk.schema.records import Record
from fastk.schema.scaling import encode
from fastk.times import to_ts_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.schema.schema import Field
    from fastk.schema.settings import SeriesSettings

    Columns = list[NDArray[Any]]

_FORMS = "a mapping of columns, a structured array, a 2-D array in field order, rows of a store, or a list of records"


def to_columns(data: Any, settings: SeriesSettings, *, decoded: bool = False, zoneless_is_utc: bool = False) -> Columns:
    """Columns in schema order, equally long, C-contiguous, little-endian, read-only; order of ts is not looked at.

    Integers arrive raw, or in natural units with ``decoded``. Whatever would not be stored exactly (a fraction, NaN
    into integers, an overflow, a missing or unknown column) raises :class:`InvalidInput` naming column and row.
    """
    named = _by_name(data, settings)
    columns = [
        _to_column(named[field.name], field, settings, decoded, zoneless_is_utc) for field in settings.schema.fields
    ]
    lengths = {name: len(column) for name, column in zip(settings.schema.names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(f"the columns differ in length: {lengths}")
    return [read_only(column) for column in columns]


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only, C-contiguous view or copy. Kernels are compiled for such inputs alone."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _by_name(data: Any, settings: SeriesSettings) -> Mapping[str, Any]:
    names = settings.schema.names
    if isinstance(data, np.ndarray) and data.dtype.names is None:
        if data.ndim != 2 or data.shape[1] != len(names):
            raise InvalidInput(
                f"an array of shape {data.shape} does not fit {settings.key}: give (rows, {len(names)}) "
                f"in the order {', '.join(names)}"
            )
        return dict(zip(names, data.T, strict=True))
    named = _as_mapping(data, settings)
    missing = [name for name in names if name not in named]
    unknown = [name for name in named if name not in names]
    if missing or unknown:
        raise InvalidInput(
            f"{settings.key} takes the columns {', '.join(names)}; missing: {', '.join(missing) or '-'}; "
            f"unknown: {', '.join(map(str, unknown)) or '-'}"
        )
    return named


def _as_mapping(data: Any, settings: SeriesSettings) -> Mapping[str, Any]:
    if isinstance(data, np.ndarray):
        return {name: data[name] for name in data.dtype.names or ()}
    if isinstance(data, Mapping):
        return data
    if hasattr(data, "settings") and hasattr(data, "column"):
        return _from_rows(data, settings)
    if isinstance(data, (Sequence, Record)) and not isinstance(data, (str, bytes)):
        return _from_records([data] if isinstance(data, Record) else data, settings)
    raise InvalidInput(f"{type(data).__name__} cannot be written: give {_FORMS}")


def _from_rows(rows: Any, settings: SeriesSettings) -> Mapping[str, Any]:
    """Rows that a store handed out: raw integers, so that scales and time unit must agree."""
    source: SeriesSettings = rows.settings
    if dict(source.scales) != dict(settings.scales) or source.time_unit != settings.time_unit:
        raise InvalidInput(
            f"rows of {source.key} have scales {dict(source.scales)} in {source.time_unit}, but "
            f"{settings.key} has {dict(settings.scales)} in {settings.time_unit}: decode them first"
        )
    return {name: rows.column(name) for name in source.schema.names}


def _from_records(records: Sequence[Any], settings: SeriesSettings) -> Mapping[str, Any]:
    names = settings.schema.names
    for row, record in enumerate(records):
        if isinstance(record, Record):
            fields: Any = record._names
        elif isinstance(record, Mapping):
            fields = record.keys()
        else:
            raise InvalidInput(f"row {row} is {type(record).__name__}, not a record or a mapping: give {_FORMS}")
        if set(fields) != set(names):
            raise InvalidInput(f"row {row} has the fields {', '.join(fields)}; {settings.key} takes {', '.join(names)}")
    return {name: _object_array([record[name] for record in records]) for name in names}


def _object_array(values: list[Any]) -> NDArray[Any]:
    """An array that keeps python integers exact (np.array would turn a mix with floats into floats)."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _to_column(
    values: Any, field: Field, settings: SeriesSettings, decoded: bool, zoneless_is_utc: bool
) -> NDArray[Any]:
    if field.name == "ts":
        return np.ascontiguousarray(to_ts_array(values, settings.time_unit, zoneless_is_utc=zoneless_is_utc))
    what = f"{settings.key} column {field.name!r}"
    array = _as_array(values, what)
    if array.ndim != 1:
        raise InvalidInput(f"{what} must be one-dimensional, not of shape {array.shape}")
    if field.scale is not None and decoded:
        array = encode(array, settings.scales[field.scale], what)
    elif field.scale is not None and array.dtype.kind == "f" and settings.scales[field.scale] != 1:
        raise InvalidInput(
            f"{what}: floats for a column of scale {settings.scales[field.scale]:,} are ambiguous; say "
            f"decoded=True if they are in natural units, or give the scaled integers as int64"
        )
    return np.ascontiguousarray(exact_cast(array, field.dtype, what))


def _as_array(values: Any, what: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidInput(f"{what} is no column: {error}") from None
    if array.size == 0 and array.dtype == np.float64:
        return array.astype(np.int64)
    return array


def exact_cast(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """``array`` as ``dtype``; :class:`InvalidInput` naming the first row whose value would change."""
    if array.dtype == dtype:
        return array
    if array.dtype.kind == "O":
        array = _from_objects(array, dtype, what)
    if dtype.kind == "S" or array.dtype.kind in "SU":
        return _cast_text(array, dtype, what)
    if array.dtype.kind not in "biuf" or (array.dtype.kind == "b") != (dtype.kind == "b"):
        raise InvalidInput(f"{what} is of dtype {array.dtype}; it takes {dtype}")
    if np.can_cast(array.dtype, dtype, "safe") and not (array.dtype.kind in "iu" and dtype.kind == "f"):
        return array.astype(dtype)
    fits = _fits(array, dtype)
    if not fits.all():
        row = int(fits.argmin())
        raise InvalidInput(f"{what}: {array[row]} at row {row} has no exact {dtype}; nothing is rounded or truncated")
    return array.astype(dtype)


def _fits(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore", invalid="ignore"):
        fits = _fits_integer(array, dtype) if dtype.kind in "iu" else _fits_float(array, dtype)
    return np.asarray(fits, bool)


def _fits_integer(array: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    """Compared in the source's own type: both limits are exact there, the upper one as an open bound for floats."""
    info = np.iinfo(dtype)
    if array.dtype.kind == "f":
        return (array >= float(info.min)) & (array < float(info.max + 1)) & (np.floor(array) == array)
    limits = np.iinfo(array.dtype)
    return (array >= max(info.min, limits.min)) & (array <= min(info.max, limits.max))


def _fits_float(array: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    """A value fits if it comes back; integers near their own limit would overflow on the way and are refused."""
    cast = array.astype(dtype)
    if array.dtype.kind == "f":
        return (cast.astype(array.dtype) == array) | np.isnan(array)
    return (np.abs(cast) < 2.0**63) & (cast.astype(array.dtype) == array)


def _from_objects(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Python values as the narrowest array that holds them all exactly."""
    values = array.tolist()
    kinds = {type(value) for value in values}
    if kinds <= {bool} or (kinds <= {bytes, str} and dtype.kind == "S"):
        return np.array(values, dtype=bool if kinds <= {bool} else None)
    if bool not in kinds and all(issubclass(kind, (int, np.integer)) for kind in kinds):
        target: Any = np.uint64 if dtype == np.uint64 else np.int64
        try:
            return np.array(values, dtype=target)
        except OverflowError:
            raise InvalidInput(f"{what}: a value does not fit {np.dtype(target)}") from None
    if bool not in kinds and all(issubclass(kind, (int, float, np.number)) for kind in kinds):
        return _from_mixed_numbers(values, what)
    row, value = next(
        (row, value) for row, value in enumerate(values) if not isinstance(value, (int, float, np.number))
    )
    raise InvalidInput(f"{what}: {value!r} at row {row} is no {dtype}")


def _from_mixed_numbers(values: list[Any], what: str) -> NDArray[Any]:
    for row, value in enumerate(values):
        if isinstance(value, int) and abs(value) > 2**53:
            raise InvalidInput(f"{what}: {value} at row {row} stands among floats and is too large for one")
    return np.array(values, np.float64)


def _cast_text(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    if dtype.kind != "S" or array.dtype.kind not in "SU":
        raise InvalidInput(f"{what} is of dtype {array.dtype}; it takes {dtype}")
    try:
        encoded = np.char.encode(array, "utf-8") if array.dtype.kind == "U" else array
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{what}: {error}") from None
    if encoded.dtype.itemsize > dtype.itemsize and (np.char.str_len(encoded) > dtype.itemsize).any():
        row = int((np.char.str_len(encoded) > dtype.itemsize).argmax())
        raise InvalidInput(f"{what}: {array[row]!r} at row {row} is longer than {dtype.itemsize} bytes")
    return encoded.astype(dtype)
