"""Times of files become the integers of a series. Zone and unit are said, or stand in the file; nothing is guessed."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidInput
from fastk.interop.files import values
from fastk.interop.files.formats import pyarrow
from fastk.interop.files.options import EPOCH_UNITS
from fastk.schema.columns import exact_cast
from fastk.schema.scaling import encode
from fastk.times import TimeUnit, format_ts, to_ts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from fastk.interop.files.options import ReadOptions

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
# Epoch numbers of market data lie between these, in seconds: 1980 and 2100. Others are taken only if no other unit
# would put them there.
_EARLIEST, _LATEST = 315_532_800, 4_102_444_800
_FIRST_YEAR, _LAST_YEAR = (limit // 1000 for limit in TimeUnit.MILLISECONDS.limits)


class Moments:
    """How times of an input are read, for a series that counts in ``unit``."""

    def __init__(self, options: ReadOptions, unit: TimeUnit) -> None:
        self._options = options
        self._unit = unit
        self._zone = options.zone_info

    def ts(self, column: pa.Array) -> NDArray[np.int64]:
        """A column of times; ValueError for what is none, or has no zone or unit that is known."""
        return self._times(column, self._options.time_unit, is_ts=True)

    def other(self, column: pa.Array) -> NDArray[np.int64]:
        """A column beside ``ts`` that holds times: numbers count in the series' unit, where no other one is said."""
        return self._times(column, self._options.time_unit or "as stored", is_ts=False)

    def _times(self, column: pa.Array, number_unit: str | None, is_ts: bool) -> NDArray[np.int64]:
        types = pyarrow().types
        column = values.plain(column)
        if types.is_timestamp(column.type):
            return values.datetimes(self._with_zone(column), self._unit)
        if types.is_date(column.type):
            return values.datetimes(self._with_zone(column.cast(pyarrow().timestamp("ms"))), self._unit)
        if values.is_text(column.type) and not self._is_epoch_text(column, number_unit, is_ts):
            return self._from_text(column)
        return self._from_numbers(column, number_unit)

    def _is_epoch_text(self, column: pa.Array, number_unit: str | None, is_ts: bool) -> bool:
        if self._options.time_format is not None:
            return False
        if number_unit in EPOCH_UNITS and is_ts:
            return True
        return bool(len(column)) and _NUMBER.fullmatch(column[0].as_py()) is not None

    # Numbers

    def _from_numbers(self, column: pa.Array, number_unit: str | None) -> NDArray[np.int64]:
        types, kind = pyarrow().types, column.type
        if not (values.is_text(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
            raise InvalidInput(f"Arrow's type {kind} is no time")
        if number_unit is None:
            raise InvalidInput(_unit_needed(column))
        per_second = EPOCH_UNITS.get(number_unit, self._unit.per_second)
        factor, divisor = _ratio(self._unit.per_second, per_second)
        counts = _counts(column, factor)
        if number_unit in EPOCH_UNITS:
            self._check_century(counts, per_second * factor, number_unit)
        if divisor > 1:
            if (counts % divisor).any():
                raise InvalidInput(f"it is finer than {self._unit}; nothing is rounded")
            counts = counts // divisor
        return counts

    def _check_century(self, counts: NDArray[np.int64], per_second: int, number_unit: str) -> None:
        """Refuse epochs that another unit would put into this century, and those outside of the calendar."""
        for count in (int(counts.min()), int(counts.max())) if counts.size else ():
            seconds = count / per_second
            if _EARLIEST <= seconds < _LATEST:
                continue
            fitting = _fitting_unit(seconds * EPOCH_UNITS[number_unit])
            if fitting is not None:
                raise InvalidInput(
                    f"counted in {number_unit} it is {_words(seconds)}; counted in {fitting} it would be "
                    f"of this century: say --time-unit {fitting} (time_unit={fitting!r})"
                )
            if not _FIRST_YEAR <= count // per_second <= _LAST_YEAR:  # in whole numbers, for the end of 9999
                raise InvalidInput(f"counted in {number_unit} it lies outside the years 1 to 9999")

    # Text

    def _from_text(self, column: pa.Array) -> NDArray[np.int64]:
        if self._options.time_format is not None:
            return self._by_format(column, self._options.time_format)
        library = pyarrow()
        if not self._is_within_nanoseconds(column):
            return self._one_by_one(column)
        for zone in ("UTC", None):  # Arrow takes text of one kind: all with a zone, or all without
            try:
                parsed = column.cast(library.timestamp("ns", zone))
            except library.ArrowInvalid:
                continue
            return values.datetimes(self._with_zone(parsed), self._unit)
        return self._one_by_one(column)

    @staticmethod
    def _is_within_nanoseconds(column: pa.Array) -> bool:
        """Whether text begins with years that nanoseconds reach: some versions of Arrow wrap around at others."""
        ends = pyarrow("pyarrow.compute").min_max(column).as_py()
        return not len(column) or (ends["min"] >= "1678" and ends["max"] < "2262")

    def _one_by_one(self, column: pa.Array) -> NDArray[np.int64]:
        """Text that is not of one kind, or beyond the years that nanoseconds reach."""
        found = []
        for text in column.to_pylist():
            if not text:
                raise InvalidInput("the cell is empty")
            if _NUMBER.fullmatch(text):
                raise InvalidInput("a number among times of text")
            try:
                found.append(to_ts(text, self._unit, zoneless_is_utc=self._zone is UTC))
            except InvalidInput as error:
                raise InvalidInput(str(error).replace("or say zoneless='utc' if it is UTC", _ZONE_HINT)) from None
        return np.array(found, np.int64)

    def _by_format(self, column: pa.Array, form: str) -> NDArray[np.int64]:
        library, compute = pyarrow(), pyarrow("pyarrow.compute")
        if "%f" in form or "%z" in form:
            return self._by_format_slowly(column, form)
        try:
            parsed = compute.strptime(column, format=form, unit="s")
        except library.ArrowInvalid:
            raise InvalidInput(f"it is not of the form {form!r}") from None
        self._check_calendar(column, parsed, form)
        return values.datetimes(self._with_zone(parsed), self._unit)

    def _check_calendar(self, column: pa.Array, parsed: pa.Array, form: str) -> None:
        """Arrow takes the 31st of April for the first of May, and second 60 for the next minute: they are refused."""
        compute = pyarrow("pyarrow.compute")
        suspects = compute.or_(
            compute.less_equal(compute.day(parsed), 3), compute.match_substring_regex(column, "6[01]")
        )
        texts = column.filter(suspects)
        if not compute.strftime(parsed.filter(suspects), format=form).equals(texts):
            self._by_format_slowly(texts, form)

    def _by_format_slowly(self, column: pa.Array, form: str) -> NDArray[np.int64]:
        found = []
        for text in column.to_pylist():
            try:
                moment = datetime.strptime(text, form)
            except ValueError:
                raise InvalidInput(f"it is not of the form {form!r}") from None
            if moment.tzinfo is None:
                if self._zone is None:
                    raise _zone_needed()
                moment = self._localized(moment)
            found.append(to_ts(moment, self._unit))
        return np.array(found, np.int64)

    def _localized(self, moment: datetime) -> datetime:
        """A time of the zone; InvalidInput if the clock was changed then, so that it comes twice or never."""
        first, second = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if first.utcoffset() != second.utcoffset():
            raise InvalidInput(_changed_then(self._options.zone))
        return first

    def _with_zone(self, column: pa.Array) -> pa.Array:
        """Times without a zone as those of the zone that was said."""
        if column.type.tz is not None:
            return column
        if self._zone is None:
            raise _zone_needed()
        if self._zone is UTC:
            return column
        try:
            return pyarrow("pyarrow.compute").assume_timezone(column, self._options.zone)
        except pyarrow().ArrowInvalid:
            raise InvalidInput(_changed_then(self._options.zone)) from None


_ZONE_HINT = "or say which it is: --zone UTC, --zone Europe/Berlin (zone='UTC')"


def _zone_needed() -> InvalidInput:
    return InvalidInput(f"the time has no zone: {_ZONE_HINT.removeprefix('or ')}")


def _changed_then(zone: str | None) -> str:
    return f"the clock of {zone} was changed then: this time comes twice there, or never"


def _ratio(wanted: int, given: int) -> tuple[int, int]:
    return (wanted // given, 1) if wanted >= given else (1, given // wanted)


def _counts(column: pa.Array, factor: int) -> NDArray[np.int64]:
    if values.is_text(column.type):
        if not all(column[row].as_py() for row in (0, -1) if len(column)):
            raise InvalidInput("the cell is empty")
        return exact_cast(values.scaled_text(column, factor), np.dtype(np.int64), "time")
    types = pyarrow().types
    if types.is_decimal(column.type):
        return exact_cast(values.scaled_text(column.cast(pyarrow().string()), factor), np.dtype(np.int64), "time")
    whole = exact_cast(column.to_numpy(), np.dtype(np.int64), "time")
    return encode(whole, factor, "time")


def _unit_needed(column: pa.Array) -> str:
    if not len(column):
        return "times are numbers: say in which unit, --time-unit s, ms, us or ns"
    fitting = _fitting_unit(abs(float(column[0].as_py())))
    guess = "" if fitting is None else f" (counted in {fitting} it would be of this century)"
    return f"times are numbers: say in which unit, --time-unit s, ms, us or ns (time_unit=){guess}"


def _fitting_unit(count: float) -> str | None:
    """The unit of epoch numbers in which a count lies in this century, or near it."""
    return next((unit for unit, per in EPOCH_UNITS.items() if _EARLIEST <= count / per < _LATEST), None)


def _words(seconds: float) -> str:
    if not _FIRST_YEAR <= seconds <= _LAST_YEAR:
        return "outside the years 1 to 9999"
    return format_ts(int(seconds * 1000), TimeUnit.MILLISECONDS)


def example(value: Any) -> str:
    """A value for a message, short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
