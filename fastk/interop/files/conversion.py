"""Batches of a file become columns of a series; what does not fit is refused by row, column and value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.errors import InvalidInput
from fastk.interop.files import values
from fastk.interop.files.formats import pyarrow
from fastk.interop.files.moments import Moments, example
from fastk.interop.files.options import ROW
from fastk.schema.columns import exact_cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from fastk.interop.files.binding import Binding
    from fastk.interop.files.options import ReadOptions
    from fastk.schema.schema import Field, Schema
    from fastk.times import TimeUnit

    Columns = list[NDArray[Any]]
    Convert = Callable[[pa.Array], NDArray[Any]]

_NOT_EXACT = " has no exact "
_LARGEST = 10**values.MAX_EXPONENT
_DECIMALS = "more decimals than scale"
_ROUND = "round them (--round FIELD=DECIMALS, rounding=), or leave out what is no such value"


class BadValue(Exception):
    """A value cannot be stored: its row of the batch, and what is wrong with it."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row = row
        self.problem = problem


class Extreme(NamedTuple):
    """The value of a field farthest from 0, at the scale in force, and its row of the input."""

    value: int
    row: int


class Converter:
    """Turns batches into columns, and finds the scales that nobody gave.

    ``scales`` are those in force; those in ``found`` begin at 1 and grow by tens as the values need it.
    """

    def __init__(
        self,
        schema: Schema,
        unit: TimeUnit,
        scales: Mapping[str, int],
        found: Sequence[str],
        options: ReadOptions,
    ) -> None:
        self.schema = schema
        self.scales = {name: scales.get(name, 1) for name in schema.scale_names}
        self.found = tuple(found)
        self._options = options
        self._moments = Moments(options, unit)
        self._extremes: dict[str, Extreme] = {}
        for field in schema.fields:
            if field.scale in self.found and field.name in options.constants:
                self._start_at(field, options.constants[field.name])

    def _start_at(self, field: Field, text: str) -> None:
        """A scale at which a constant can be stored, if there is one: else it is refused where it is used."""
        name = str(field.scale)
        for scale in (10**exponent for exponent in range(values.MAX_EXPONENT + 1)):
            try:
                values.to_field(pyarrow().array([text]), field, scale)
            except (ValueError, pyarrow().ArrowException):
                continue
            self.scales[name] = max(self.scales[name], scale)
            return

    def convert(self, bindings: list[Binding], batch: Mapping[str, pa.Array], first_row: int) -> Columns:
        """The columns of a batch, in order of the fields; ``first_row`` is its first row in the input."""
        count = len(next(iter(batch.values())))
        columns: dict[str, NDArray[Any]] = {}
        for binding in bindings:
            if not self._is_found(binding):
                columns[binding.field.name] = self._fixed(binding, batch, first_row, count)
        for name in self.found:
            group = [binding for binding in bindings if self._is_found(binding) and binding.field.scale == name]
            columns |= self._find_scale(name, group, batch, first_row)
        return [columns[name] for name in self.schema.names]

    def _is_found(self, binding: Binding) -> bool:
        return bool(binding.sources) and binding.field.scale in self.found and not self._options.raw

    def _fixed(self, binding: Binding, batch: Mapping[str, pa.Array], first_row: int, count: int) -> NDArray[Any]:
        field = binding.field
        if binding.constant is not None:
            return self._constant(field, binding.constant, first_row, count)
        column = self._column(binding, batch)
        scale = self._scale(field)
        found: NDArray[Any] = _convert(binding, column, lambda part: self._to_field(binding, part, scale), scale)
        return found

    def _constant(self, field: Field, text: str, first_row: int, count: int) -> NDArray[Any]:
        if text == ROW and field.dtype.kind in "iu":
            return np.arange(first_row + 1, first_row + 1 + count).astype(field.dtype)
        try:
            return np.repeat(values.to_field(pyarrow().array([text]), field, self._scale(field)), count)
        except (ValueError, pyarrow().ArrowException) as error:
            raise InvalidInput(f"set {field.name}={text}: {_reason(error, field, self._scale(field))}") from None

    def _scale(self, field: Field) -> int:
        return 1 if field.scale is None else self.scales[field.scale]

    def _column(self, binding: Binding, batch: Mapping[str, pa.Array]) -> pa.Array:
        """The column of the file, several joined, words put in the place of others."""
        parts = [batch[name] for name in binding.sources]
        column = parts[0]
        if len(parts) > 1:
            texts = [
                _convert(binding, part, lambda each: values.plain(each).cast(pyarrow().string())) for part in parts
            ]
            column = pyarrow("pyarrow.compute").binary_join_element_wise(*texts, " ")
        words = self._options.values.get(binding.field.name)
        if words is not None:
            column = _convert(binding, column, lambda part: values.mapped(part, dict(words)))
        places = self._options.rounding.get(binding.field.name)
        if places is not None:
            column = _convert(binding, column, lambda part: values.rounded(part, places))
        return column

    def _to_field(self, binding: Binding, column: pa.Array, scale: int) -> NDArray[Any]:
        field = binding.field
        if field.name == "ts":
            return self._moments.ts(column)
        if field.name in self._options.time_fields or pyarrow().types.is_timestamp(column.type):
            return exact_cast(self._moments.other(column), field.dtype, "time")
        if binding.is_utf8 and field.dtype.kind == "S":
            column = values.as_utf8(column)
        if binding.stored_scale is None:
            return values.to_field(column, field, scale)
        stored = values.to_field(column, field, 1)
        return stored if self._options.raw else values.rescaled(stored, binding.stored_scale, scale, field.dtype)

    # Scales that are to be found

    def _find_scale(
        self, name: str, group: list[Binding], batch: Mapping[str, pa.Array], first_row: int
    ) -> dict[str, NDArray[Any]]:
        """The columns of one scale, at the smallest power of ten, from the one in force on, that suits them all."""
        columns = [self._column(binding, batch) for binding in group]
        scale = self.scales[name]
        while True:
            try:
                found = [self._to_field(binding, column, scale) for binding, column in zip(group, columns, strict=True)]
                break
            except (ValueError, pyarrow().ArrowException):
                if scale >= _LARGEST:
                    self._refuse_group(group, columns, self.scales[name])
                scale *= 10
        self._grow(name, scale, group, columns)
        for binding, column in zip(group, found, strict=True):
            self._look_for_extreme(binding.field.name, column, first_row)
        return {binding.field.name: column for binding, column in zip(group, found, strict=True)}

    def _refuse_group(self, group: list[Binding], columns: list[pa.Array], scale: int) -> None:
        """Name the first value that no scale suits, or the one with most decimals where others are too large for it."""
        for binding, column in zip(group, columns, strict=True):
            problem = self._first_problem(binding, column, scale)
            if problem is not None:
                raise problem
        raise BadValue(0, f"from this row on, no scale suits {', '.join(each.field.name for each in group)} together")

    def _first_problem(self, binding: Binding, column: pa.Array, scale: int) -> BadValue | None:
        """A value that no scale suits; or one of too many decimals for a scale at which all fit; None if some does."""
        found, first = None, scale
        while scale <= _LARGEST:
            bad = self._bad_at(binding, column, scale)
            if bad is None:
                return None
            if self._is_hopeless(binding, column.slice(bad.row, 1), first):
                last = self._bad_at(binding, column.slice(bad.row, 1), _LARGEST) or bad
                return BadValue(bad.row, _with_hint(last.problem))
            if found is not None and _DECIMALS not in bad.problem:
                return BadValue(found.row, f"{found.problem}, and at a larger one other values do not fit: {_ROUND}")
            found = bad
            scale *= 10
        return found

    def _is_hopeless(self, binding: Binding, value: pa.Array, scale: int) -> bool:
        """Whether no scale suits one value."""
        while scale <= _LARGEST:
            if self._bad_at(binding, value, scale) is None:
                return False
            scale *= 10
        return True

    def _bad_at(self, binding: Binding, column: pa.Array, scale: int) -> BadValue | None:
        try:
            _convert(binding, column, lambda part: self._to_field(binding, part, scale), scale)
        except BadValue as bad:
            return bad
        return None

    def _grow(self, name: str, scale: int, group: list[Binding], columns: list[pa.Array]) -> None:
        """Go to a larger scale, if all values before fit it as well."""
        factor = scale // self.scales[name]
        for binding in group:
            extreme = self._extremes.get(binding.field.name, Extreme(0, 0))
            grown = Extreme(extreme.value * factor, extreme.row)
            if not _fits(grown.value, binding.field):
                self._refuse_growth(binding, group, columns, scale, extreme)
            self._extremes[binding.field.name] = grown
        self.scales[name] = scale

    def _refuse_growth(
        self, binding: Binding, group: list[Binding], columns: list[pa.Array], scale: int, extreme: Extreme
    ) -> None:
        """Name the first value that needs the larger scale."""
        too_large = f"it needs scale {scale:,}, at which {binding.field.name} of row {extreme.row + 1:,} does not fit"
        for each, column in zip(group, columns, strict=True):
            bad = self._bad_at(each, column, self.scales[str(binding.field.scale)])
            if bad is not None:
                value = example(_shown(column[bad.row].as_py()))
                raise BadValue(bad.row, f"column {each.sources[0]!r}: {value}: {too_large}: {_ROUND}")
        raise BadValue(0, too_large)

    def _look_for_extreme(self, name: str, column: NDArray[Any], first_row: int) -> None:
        before = self._extremes.get(name, Extreme(0, 0))
        for row in {int(column.argmin()), int(column.argmax())} if column.size else ():
            if abs(int(column[row])) > abs(before.value):
                before = Extreme(int(column[row]), first_row + row)
        self._extremes[name] = before


def _with_hint(problem: str) -> str:
    return f"{problem}: {_ROUND}" if _DECIMALS in problem else problem


def _fits(value: int, field: Field) -> bool:
    info = np.iinfo(field.dtype)
    return int(info.min) <= value <= int(info.max)


def _convert(binding: Binding, column: pa.Array, convert: Callable[[pa.Array], Any], scale: int = 1) -> Any:
    """The converted column; BadValue naming the first row that is refused."""
    refusals = (ValueError, pyarrow().ArrowException)

    def refuses(low: int, high: int) -> bool:
        try:
            convert(column.slice(low, high - low))
        except refusals:
            return True
        return False

    try:
        return convert(column)
    except refusals as error:
        row = values.first_refused(refuses, len(column))
        problem: Exception = error
    try:
        convert(column.slice(row, 1))
    except refusals as error:
        problem = error
    shown = example(_shown(column[row].as_py()))
    raise BadValue(row, f"column {'+'.join(binding.sources)!r}: {shown}: {_reason(problem, binding.field, scale)}")


def _shown(value: Any) -> Any:
    """Bytes of a text file as the text that they are, where they are."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _reason(error: Exception, field: Field, scale: int) -> str:
    """Why a value is refused, in the words of a user of files."""
    text = " ".join(str(error).split())
    if "is not a valid decimal" in text or "Failed to parse" in text or "cannot be represented as decimal" in text:
        return f"it is no {'decimal number' if field.dtype.kind in 'iu' else field.dtype}"
    if "cause data loss" in text and field.name == "ts":
        return "it is finer than the series counts; nothing is rounded"
    if "cause data loss" in text:
        if field.scale is None:
            return f"it is no whole number, and {field.name} ({field.dtype}) has no scale"
        return f"it has {_DECIMALS} {scale:,} holds"
    if "does not fit in precision" in text:
        return "the number does not fit 64 bits at this scale"
    if "has more decimals" in text:
        return f"it has {_DECIMALS} {scale:,} holds"
    if "overflows int64" in text:
        return f"times scale {scale:,} it does not fit int64"
    if _NOT_EXACT in text:
        return f"it has no exact {field.dtype}; nothing is rounded or cut"
    return text.replace(" at row 0", "").removeprefix("value: ").removeprefix("time: ")
