"""Columns of a series as columns of a file: exact, in natural units or as they are stored."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastk.errors import InvalidInput
from fastk.interop.files.formats import TEXT_FORMATS, FormatName, pyarrow
from fastk.interop.files.sources import SCALE, SETTINGS
from fastk.schema.scaling import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.schema.schema import Field
    from fastk.schema.settings import SeriesSettings

    Times = Literal["iso", "epoch", "typed"]

TIMES: tuple[Times, ...] = ("iso", "epoch", "typed")
_MOST_PLACES = 18


class Layout:
    """Which columns go into a file, and as what.

    Text gets decimals, typed files float64 for columns with a scale; ``raw`` gives the stored integers. ``ts`` is ISO
    text, a typed timestamp, or the stored integer ("epoch").
    """

    def __init__(
        self,
        settings: SeriesSettings,
        form: FormatName,
        *,
        columns: Sequence[str] | None,
        raw: bool,
        times: Times | None,
    ) -> None:
        self.settings = settings
        self.is_text = form in TEXT_FORMATS
        self.names = _checked_columns(settings, columns)
        self._raw = raw
        self._times = _checked_times(times, self.is_text)
        self._fields = [settings.schema.fields[settings.schema.position(name)] for name in self.names]
        self.schema = self._schema()

    def _schema(self) -> pa.Schema:
        whole = self.names == self.settings.schema.names
        metadata = {SETTINGS: self.settings.json} if whole and not self.is_text else None
        return pyarrow().schema([self._arrow_field(field) for field in self._fields], metadata=metadata)

    def _arrow_field(self, field: Field) -> pa.Field:
        marks = {SCALE: str(self._scale(field))} if self._raw and field.scale is not None and not self.is_text else None
        return pyarrow().field(field.name, self._type(field), metadata=marks)

    def _scale(self, field: Field) -> int:
        return self.settings.scale_of(field.name)

    def _is_natural(self, field: Field) -> bool:
        return not self._raw and field.scale is not None and (self._scale(field) > 1 or not self.is_text)

    def _type(self, field: Field) -> pa.DataType:
        library = pyarrow()
        if field.name == "ts" and self._times != "epoch":
            return library.timestamp(self.settings.time_unit.value, "UTC")
        if field.dtype.kind == "S":
            return library.string() if self.is_text else library.binary()
        if self._is_natural(field):
            return library.decimal128(38, _places(self._scale(field), field)) if self.is_text else library.float64()
        return library.from_numpy_dtype(field.dtype)

    def batch(self, rows: Rows) -> pa.RecordBatch:
        """Some rows."""
        arrays = [
            self._array(rows.column(field.name), field, kind)
            for field, kind in zip(self._fields, self.schema.types, strict=True)
        ]
        return pyarrow().RecordBatch.from_arrays(arrays, schema=self.schema)

    def _array(self, column: NDArray[Any], field: Field, kind: pa.DataType) -> pa.Array:
        library = pyarrow()
        if field.dtype.kind == "S":
            return self._text(column, field, kind)
        if self._is_natural(field):
            return self._decimals(column, field, kind) if self.is_text else self._floats(column, field)
        if field.dtype.kind == "b":
            return library.array(column, kind)
        return library.Array.from_buffers(kind, len(column), [None, library.py_buffer(np.ascontiguousarray(column))])

    def _text(self, column: NDArray[Any], field: Field, kind: pa.DataType) -> pa.Array:
        values = column.tolist()
        if not self.is_text:
            return pyarrow().array(values, kind)
        try:
            return pyarrow().array([value.decode() for value in values], kind)
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{self.settings.key} column {field.name!r}: {error.object!r} is not UTF-8, and has no place in a text "
                f"file: choose Parquet or Arrow"
            ) from None

    def _floats(self, column: NDArray[Any], field: Field) -> pa.Array:
        scale = self._scale(field)
        decoded = decode(column, scale)
        with np.errstate(invalid="ignore"):
            same = (np.rint(decoded * scale) == column) & (np.abs(decoded * scale) <= 2.0**53)
        if not same.all():
            raise InvalidInput(
                f"{self.settings.key} column {field.name!r}: {column[same.argmin()]} at scale {scale:,} has no float64 "
                f"that comes back as it: export stored integers (raw), or text"
            )
        return pyarrow().array(decoded)

    def _decimals(self, column: NDArray[Any], field: Field, kind: pa.DataType) -> pa.Array:
        """Stored integers as decimals: the same digits, and a point in them."""
        factor = 10**kind.scale // self._scale(field)
        if factor > 1:
            texts = [Decimal(f"{value * factor}e-{kind.scale}") for value in column.tolist()]
            return pyarrow().array(texts, kind)
        halves = np.empty((len(column), 2), np.int64)
        halves[:, 0] = column.astype(np.uint64).view(np.int64) if column.dtype.kind == "u" else column
        halves[:, 1] = 0 if column.dtype.kind == "u" else halves[:, 0] >> 63
        return pyarrow().Array.from_buffers(kind, len(column), [None, pyarrow().py_buffer(halves)])


def _places(scale: int, field: Field) -> int:
    """How many decimals show every multiple of 1 / scale."""
    for places in range(_MOST_PLACES + 1):
        if 10**places % scale == 0:
            return places
    raise InvalidInput(f"field {field.name!r}: 1/{scale:,} has no finite decimals: export stored integers (raw)")


def _checked_columns(settings: SeriesSettings, columns: Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return settings.schema.names
    if isinstance(columns, str) or not columns:
        raise InvalidInput(f"columns is a list of one name or more, not {columns!r}")
    for name in columns:
        settings.schema.position(name)
    if len(set(columns)) < len(columns):
        raise InvalidInput("columns names one of them twice")
    return tuple(columns)


def _checked_times(times: Times | None, is_text: bool) -> Times:
    if times is None:
        return "iso" if is_text else "typed"
    if times not in TIMES:
        raise InvalidInput(f"times={times!r} is unknown: give {', '.join(map(repr, TIMES))}")
    if times == "typed" and is_text:
        raise InvalidInput("a text file has no typed times: give 'iso' or 'epoch'")
    if times == "iso" and not is_text:
        raise InvalidInput("Parquet and Arrow have typed times, not ISO text: give 'typed' or 'epoch'")
    return times
