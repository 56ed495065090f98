"""Points in time: every accepted spelling becomes an integer in the series' unit, exactly or not at all.

A stored ``ts`` counts whole units (milliseconds unless the series says otherwise) since 1970-01-01T00:00:00 UTC.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.arrays import as_array, is_integer
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    TimeSpan = int | np.integer[Any] | np.timedelta64 | timedelta
    TimeLike = int | np.integer[Any] | np.datetime64 | datetime | str

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

# A year, a month, or a day with or without a time of day; a fraction belongs to seconds, a zone to a time of day.
_ISO = (
    r"(?P<partial>\d{4}(?:-\d{2})?)|(?P<date>\d{4}-\d{2}-\d{2}|\d{8})"
    r"(?:[T ](?P<clock>\d{2}(?::?\d{2})?|\d{2}:?\d{2}:?\d{2}(?P<fraction>[.,]\d+)?)"
    r"(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?)?"
)


class TimeUnit(StrEnum):
    """The unit in which a series counts time."""

    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def per_second(self) -> int:
        """Units in one second."""
        return _PER_SECOND[self]

    @property
    def dtype(self) -> np.dtype[np.datetime64]:
        """The numpy ``datetime64`` dtype whose integers are this unit's."""
        return _DTYPES[self]

    @property
    def limits(self) -> tuple[int, int]:
        """First and last ``ts`` that can be stored: years 1 to 9999, and within int64."""
        return _LIMITS[self]


_PER_SECOND = {TimeUnit.MILLISECONDS: 10**3, TimeUnit.MICROSECONDS: 10**6, TimeUnit.NANOSECONDS: 10**9}
_DTYPES = {unit: np.dtype(f"<M8[{unit.value}]") for unit in TimeUnit}
_LIMITS = {
    unit: (max(-62_135_596_800 * count, INT64_MIN + 1), min(253_402_300_800 * count - 1, INT64_MAX))
    for unit, count in _PER_SECOND.items()
}


def to_ts(value: TimeLike, unit: TimeUnit = TimeUnit.MILLISECONDS, *, zoneless_is_utc: bool = True) -> int:
    """Turn one point in time into an integer of ``unit``.

    Accepts an int (already in ``unit``), ``datetime64``, an aware ``datetime`` (pandas Timestamps included) or an
    ISO-8601 string. A date means its first instant. Zone-less values mean UTC if ``zoneless_is_utc``, and are
    refused otherwise. Raises :class:`InvalidInput` for anything else, and for a time finer than ``unit`` can hold.
    """
    if is_integer(value):
        return int(value)
    if isinstance(value, np.datetime64):
        return _from_datetime64(value, unit, zoneless_is_utc)
    if isinstance(value, datetime) and value == value:  # pandas' NaT is a datetime, and equals nothing
        return _from_datetime(value, unit, zoneless_is_utc)
    if isinstance(value, str):
        return _from_text(value, unit, zoneless_is_utc)
    raise _no_time(value, unit)


def _no_time(value: object, unit: TimeUnit) -> InvalidInput:
    hint = "; write a date as ISO text or datetime64" if isinstance(value, date) else ""
    return InvalidInput(
        f"{value!r} ({type(value).__name__}) is not a time: give an int in {unit}, datetime64, an aware datetime or an "
        f"ISO string{hint}"
    )


def to_ts_array(values: Any, unit: TimeUnit, *, zoneless_is_utc: bool = False) -> NDArray[np.int64]:
    """Turn a column of times into int64 of ``unit``, refusing what does not fit exactly.

    ``values`` is an integer array (already in ``unit``), a ``datetime64`` array, or a sequence of what :func:`to_ts`
    takes. ``datetime64`` has no zone and is refused unless ``zoneless_is_utc``.
    """
    array = as_array(values, "ts")
    if array.ndim != 1:
        raise InvalidInput(f"ts must be one-dimensional, not of shape {array.shape}")
    if array.dtype.kind == "M":
        return _from_datetime64_array(array, unit, zoneless_is_utc)
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and (not array.size or array.max() <= INT64_MAX)):
        return array.astype(np.int64, copy=False)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind in "OU":
        return _int64_array([to_ts(value, unit, zoneless_is_utc=zoneless_is_utc) for value in array], unit)
    raise InvalidInput(
        f"ts of dtype {array.dtype} are no times: give integers in {unit}, datetime64, aware datetimes or ISO strings "
        f"(floats lose precision and are refused)"
    )


def span_of(value: TimeSpan, unit: TimeUnit, what: str) -> int:
    """Turn a length of time into an integer of ``unit``: an int as it is, a timedelta exactly or not at all."""
    if is_integer(value):
        return int(value)
    if isinstance(value, (timedelta, np.timedelta64)):
        with suppress(TypeError, ValueError, OverflowError):
            given = np.timedelta64(value)
            span = given.astype(f"m8[{unit.value}]")
            if span == given and not np.isnat(span):
                return int(span.astype(np.int64))
    raise InvalidInput(
        f"{what} must be an int in {unit} or a timedelta that is a whole number of {unit}, not {value!r}"
    )


def check_storable(ts: NDArray[np.int64], unit: TimeUnit) -> None:
    """Refuse a sorted, non-empty ``ts`` column that leaves the years 1 to 9999. O(1)."""
    first, last = unit.limits
    for value in (int(ts[0]), int(ts[-1])):
        if not first <= value <= last:
            raise InvalidInput(
                f"ts {value} lies outside the years 1 to 9999 when counted in {unit}; is it given in another unit?"
            )


def format_ts(ts: int, unit: TimeUnit = TimeUnit.MILLISECONDS) -> str:
    """ISO-8601 text of a ``ts`` for messages and tables; the plain number if it leaves the calendar."""
    first, last = unit.limits
    if not first <= ts <= last:
        return str(ts)
    return f"{np.datetime64(ts, unit.value)}Z"


def _from_datetime64(value: np.datetime64, unit: TimeUnit, zoneless_is_utc: bool) -> int:
    if np.isnat(value):
        raise InvalidInput("NaT is not a time")
    return int(_from_datetime64_array(np.asarray([value]), unit, zoneless_is_utc)[0])


def _from_datetime64_array(array: NDArray[Any], unit: TimeUnit, zoneless_is_utc: bool) -> NDArray[np.int64]:
    if not zoneless_is_utc:
        raise InvalidInput("datetime64 carries no zone: say zoneless='utc' if these times are UTC")
    if np.isnat(array).any():
        raise InvalidInput(f"ts holds NaT at row {int(np.isnat(array).argmax())}")
    try:
        converted = array.astype(unit.dtype)
    except OverflowError:  # from numpy 2.5 on; before, such values do not come back equal
        raise InvalidInput(f"ts: a {array.dtype} among them is out of the range of {unit}") from None
    if not (converted.astype(array.dtype) == array).all():
        row = int((converted.astype(array.dtype) != array).argmax())
        raise InvalidInput(f"ts {array[row]} at row {row} is finer than {unit} or out of its range; nothing is rounded")
    return converted.view(np.int64)


def _from_datetime(value: datetime, unit: TimeUnit, zoneless_is_utc: bool) -> int:
    if value.tzinfo is None or value.utcoffset() is None:
        if not zoneless_is_utc:
            raise InvalidInput(f"{value!r} has no time zone: add one, or say zoneless='utc' if it is UTC")
        value = value.replace(tzinfo=UTC)
    delta = value - datetime(1970, 1, 1, tzinfo=UTC)
    # pandas keeps nanoseconds beside the microseconds of its datetime base class.
    nanosecond = int(getattr(value, "nanosecond", 0))
    microseconds = (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds
    return _exact(microseconds * 1000 + nanosecond, unit, value)


def _from_text(text: str, unit: TimeUnit, zoneless_is_utc: bool) -> int:
    found = re.fullmatch(_ISO, text, re.ASCII)
    if found is None:
        raise _no_time(text, unit)
    if not found["zone"] and not zoneless_is_utc:
        raise InvalidInput(f"{text!r} has no time zone: add Z or an offset, or say zoneless='utc' if it is UTC")
    day = found["date"] or found["partial"] + {4: "-01-01", 7: "-01"}[len(found["partial"])]
    fraction = found["fraction"] or ""
    clock = (found["clock"] or "00").removesuffix(fraction)
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{found['zone'] or 'Z'}")
    except ValueError:
        raise _no_time(text, unit) from None
    seconds = _from_datetime(moment, TimeUnit.NANOSECONDS, zoneless_is_utc=True)
    return _exact(seconds + _nanoseconds(fraction[1:], text), unit, text)


def _nanoseconds(digits: str, text: str) -> int:
    digits = digits.rstrip("0")
    if len(digits) > 9:
        raise InvalidInput(f"{text!r} is finer than a nanosecond; nothing is rounded")
    return int(digits.ljust(9, "0"))


def _exact(nanoseconds: int, unit: TimeUnit, original: object) -> int:
    ts, rest = divmod(nanoseconds, 10**9 // unit.per_second)
    if rest:
        raise InvalidInput(f"{original} is finer than {unit}; nothing is rounded")
    return ts


def _int64_array(values: list[int], unit: TimeUnit) -> NDArray[np.int64]:
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        raise InvalidInput(f"a ts does not fit int64 in {unit}") from None
