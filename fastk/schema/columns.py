"""What callers hand in becomes columns: one contiguous array a field, of exactly the field's dtype, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from fastk.arrays import as_array, is_float, is_integer, read_only
from fastk.errors import InvalidInput
from fastk.schema.records import Record
from fastk.schema.scaling import encode
from fastk.times import to_ts_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.schema.schema import Field
    from fastk.schema.settings import SeriesSettings

    Columns = list[NDArray[Any]]

_FORMS = (
    "a mapping of columns, a structured array, a 2-D array in field order, rows of a store, a list of records, "
    "or a frame or table of pandas, polars or Arrow"
)
_FRAME_PROTOCOLS = ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__", "collect")


def to_columns(data: Any, settings: SeriesSettings, *, decoded: bool = False, zoneless_is_utc: bool = False) -> Columns:
    """Columns in schema order, equally long, C-contiguous, little-endian, read-only; order of ts is not looked at.

    Integers arrive raw, or in natural units with ``decoded``. Whatever would not be stored exactly (a fraction, NaN
    into integers, an overflow, a missing or unknown column) raises :class:`InvalidInput` naming column and row.
    """
    named = _by_name(data, settings)
    decoded = decoded and not _is_rows(data)  # rows of a store hold stored integers, whatever is said of other forms
    columns = []
    for field in settings.schema.fields:
        values = named[field.name]
        if not _is_as_stored(values, field, decoded):
            values = _to_column(values, field, settings, decoded, zoneless_is_utc)
        columns.append(read_only(values))
    if len(set(map(len, columns))) > 1:
        lengths = dict(zip(settings.schema.names, map(len, columns), strict=True))
        raise InvalidInput(f"the columns differ in length: {lengths}")
    return columns


def _by_name(data: Any, settings: SeriesSettings) -> Mapping[str, Any]:
    names = settings.schema.names
    if isinstance(data, np.ndarray) and data.dtype.names is None:
        if data.ndim != 2 or data.shape[1] != len(names):
            raise InvalidInput(
                f"an array of shape {data.shape} does not fit {settings.key}: give (rows, {len(names)}) "
                f"in the order {', '.join(names)}"
            )
        named_columns: dict[str, NDArray[Any]] = dict(zip(names, data.T, strict=True))
        if data.dtype.kind == "f":  # a table of floats has no other way to hold times; whole numbers are exact
            named_columns["ts"] = exact_cast(named_columns["ts"], np.dtype(np.int64), f"{settings.key} column 'ts'")
        return named_columns
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
    if isinstance(data, (dict, Mapping)):  # the first of them without the questions that an abstract class asks
        return data
    if _is_rows(data):
        return _from_rows(data, settings)
    if isinstance(data, (Sequence, Record)) and not isinstance(data, (str, bytes)):
        return _from_records([data] if isinstance(data, Record) else data, settings)
    raise InvalidInput(f"{type(data).__name__} cannot be written: give {_FORMS}")


def _is_rows(data: Any) -> bool:
    return hasattr(data, "settings") and hasattr(data, "column")


def is_frame(data: Any) -> bool:
    """Whether this is a frame or a table of another library, by the protocols that these share."""
    return (
        not isinstance(data, (np.ndarray, dict, list))
        and not _is_rows(data)
        and any(hasattr(data, protocol) for protocol in _FRAME_PROTOCOLS)
    )


def _from_rows(rows: Any, settings: SeriesSettings) -> Mapping[str, Any]:
    """Rows that a store handed out: raw integers, so that scales and time unit must agree."""
    source: SeriesSettings = rows.settings
    if source.schema.fields != settings.schema.fields:
        raise InvalidInput(
            f"rows of {source.key} ({', '.join(source.schema.names)}) do not fit {settings.key} "
            f"({', '.join(settings.schema.names)}): give a mapping of columns"
        )
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
            raise InvalidInput(
                f"row {row} has the fields {', '.join(map(str, fields))}; {settings.key} takes {', '.join(names)}"
            )
    return {name: [record[name] for record in records] for name in names}


def _to_column(
    values: Any, field: Field, settings: SeriesSettings, decoded: bool, zoneless_is_utc: bool
) -> NDArray[Any]:
    if field.name == "ts":
        return _to_ts(values, settings, zoneless_is_utc)
    what = f"{settings.key} column {field.name!r}"
    array = as_array(values, what)
    if array.ndim != 1:
        raise InvalidInput(f"{what} must be one-dimensional, not of shape {array.shape}")
    if field.scale is not None and decoded:
        array = encode(array, settings.scales[field.scale], what)
    elif field.scale is not None and settings.scales[field.scale] != 1 and _has_floats(array):
        raise InvalidInput(
            f"{what}: floats for a column of scale {settings.scales[field.scale]:,} are ambiguous; say decoded=True if "
            f"they are in natural units, or give the scaled integers as int64"
        )
    return exact_cast(array, field.dtype, what)


def _is_as_stored(values: Any, field: Field, decoded: bool) -> TypeGuard[NDArray[Any]]:
    """Whether a column is one already, as most are: nothing that follows would change or refuse it."""
    is_scaled = decoded and field.scale is not None
    return type(values) is np.ndarray and values.dtype == field.dtype and values.ndim == 1 and not is_scaled


def _to_ts(values: Any, settings: SeriesSettings, zoneless_is_utc: bool) -> NDArray[np.int64]:
    try:
        return to_ts_array(values, settings.time_unit, zoneless_is_utc=zoneless_is_utc)
    except InvalidInput as error:
        raise InvalidInput(f"{settings.key}: {error}") from None


def _has_floats(array: NDArray[Any]) -> bool:
    return array.size > 0 and (array.dtype.kind == "f" or (array.dtype.kind == "O" and any(map(is_float, array))))


def exact_cast(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """``array`` as ``dtype``; :class:`InvalidInput` naming the first row whose value would change."""
    if array.dtype == dtype:
        return array
    if array.size == 0:
        return np.empty(array.shape, dtype)
    if array.dtype.kind in "OSU":
        return _cast_objects(array, dtype, what)
    if array.dtype.kind not in "biuf" or dtype.kind == "S" or (array.dtype.kind == "b") != (dtype.kind == "b"):
        raise InvalidInput(f"{what} is of dtype {array.dtype}; it takes {dtype}")
    fits = _fits(array, dtype)
    if not fits.all():
        row = int(fits.argmin())
        raise InvalidInput(f"{what}: {array[row]} at row {row} has no exact {dtype}; nothing is rounded or truncated")
    return array.astype(dtype)


def _fits(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[np.bool_]:
    if np.can_cast(array.dtype, dtype, "safe") and not (array.dtype.kind in "iu" and dtype.kind == "f"):
        return np.ones(array.shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        fits = _fits_integer(array, dtype) if dtype.kind in "iu" else _fits_float(array, dtype)
    return np.asarray(fits, bool)


def _fits_integer(array: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    """Compared in the source's own type, where both limits are exact; for floats the upper one is an open bound."""
    info = np.iinfo(dtype)
    if array.dtype.kind == "f":
        wide = array.astype(np.promote_types(array.dtype, np.float64))
        return (wide >= float(info.min)) & (wide < float(info.max + 1)) & (np.floor(wide) == wide)
    limits = np.iinfo(array.dtype)
    return (array >= max(info.min, limits.min)) & (array <= min(info.max, limits.max))


def _fits_float(array: NDArray[Any], dtype: np.dtype[Any]) -> Any:
    """A value fits if it comes back; integers near their own limit would overflow on the way and are refused."""
    cast = array.astype(dtype)
    if array.dtype.kind == "f":
        return (cast.astype(array.dtype) == array) | np.isnan(array)
    return (np.abs(cast) < 2.0**63) & (cast.astype(array.dtype) == array)


def _cast_objects(array: NDArray[Any], dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Values one by one: python objects in a column are few, or worth the microsecond each."""
    cast = np.empty(array.size, dtype)
    for row, value in enumerate(array):
        exact = _exact_value(value, dtype)
        if exact is None:
            raise InvalidInput(f"{what}: {value!r} at row {row} has no exact {dtype}; nothing is rounded or truncated")
        cast[row] = exact
    return cast


def _exact_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """The value as numpy will store it without any change, or None."""
    if dtype.kind == "b":
        return bool(value) if isinstance(value, (bool, np.bool_)) else None
    if dtype.kind == "S":
        return _exact_text(value, dtype.itemsize)
    if not (is_integer(value) or is_float(value)):
        return None
    if dtype.kind == "f":
        return _exact_float(value, dtype)
    whole = np.isfinite(value) and int(value) == value if is_float(value) else True
    info = np.iinfo(dtype)
    return int(value) if whole and info.min <= int(value) <= info.max else None


def _exact_float(value: Any, dtype: np.dtype[Any]) -> Any:
    with np.errstate(over="ignore"):
        try:
            cast = dtype.type(value)
        except OverflowError:
            return None
    same = cast != cast if value != value else np.isfinite(cast) == np.isfinite(float(value)) and _same(cast, value)
    return cast if same else None


def _same(cast: Any, value: Any) -> bool:
    """Compared as python numbers: numpy would turn a large integer into a float first."""
    return bool(float(cast) == (int(value) if is_integer(value) else float(value)))


def _exact_text(value: Any, length: int) -> bytes | None:
    """Bytes, or text as UTF-8; trailing zero bytes would be lost in the file's fixed width."""
    try:
        raw = value.encode() if isinstance(value, str) else bytes(value) if isinstance(value, bytes) else None
    except UnicodeEncodeError:
        return None
    return raw if raw is not None and len(raw) <= length and not raw.endswith(b"\0") else None
