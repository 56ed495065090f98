"""Conditions in normal form: closed ranges of the column's dtype, ascending and apart, and whether others match."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.arrays import is_float, is_integer
from fastk.errors import InvalidInput
from fastk.format.chunk import zone_dtype
from fastk.kernels.interface import ALL, NONE, SOME
from fastk.times import INT64_MAX, INT64_MIN, to_ts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.query.expressions import Interval, ScalarPredicateExpr
    from fastk.schema.settings import SeriesSettings
    from fastk.times import TimeUnit

    Pair = tuple[Any, Any]

_BOOL_VIEW = np.dtype(np.uint8)


class ValueSet:
    """Which values of a column match: those in the ranges lows[i] to highs[i], or with ``negated`` all others.

    ``lows`` and ``highs`` have the column's dtype (bool as uint8), ``wide`` are the same in that of its zones.
    """

    def __init__(self, ranges: Sequence[Pair], dtype: np.dtype[Any], *, negated: bool) -> None:
        self.negated = negated
        self.ranges = len(ranges)
        self._lows = [low for low, _ in ranges]
        self._highs = [high for _, high in ranges]
        self._dtype = dtype
        self.lows, self.highs = self._bounds(dtype)

    @cached_property
    def wide(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """``lows`` and ``highs`` in the dtype of zones."""
        return self._bounds(zone_dtype(self._dtype))

    def _bounds(self, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        bounds = np.array((self._lows, self._highs), dtype)
        bounds.setflags(write=False)
        return bounds[0], bounds[1]

    def judge(self, least: Any, greatest: Any, has_nan: bool) -> int:
        """Whether NONE, SOME or ALL values match of a column that lies between two of its values, NaN aside."""
        place = bisect_left(self._highs, least)
        if place == self.ranges or self._lows[place] > greatest:
            return ALL if self.negated else NONE
        if self._lows[place] <= least and greatest <= self._highs[place] and not has_nan:
            return NONE if self.negated else ALL
        return SOME


def value_set(predicate: ScalarPredicateExpr, settings: SeriesSettings, column: int) -> ValueSet:
    """Normalise a condition on a column; InvalidInput if its values cannot be compared with the column's.

    Integers compare exactly, also with narrower columns. Floats become the column's dtype first, as in numpy.
    """
    field = settings.schema.fields[column]
    try:
        intervals = predicate.intervals()
        if column == 0:
            intervals = [_of_times(interval, settings.time_unit) for interval in intervals]
        return _normalised(intervals, field.dtype, negated=predicate.negated)
    except InvalidInput as error:
        raise InvalidInput(f"{settings.key}: column {field.name!r}: {error}") from None


def _of_times(interval: Interval, unit: TimeUnit) -> Interval:
    low, high = (None if bound is None else to_ts(bound, unit) for bound in interval[:2])
    return interval._replace(low=low, high=high)


def _normalised(intervals: list[Interval], dtype: np.dtype[Any], *, negated: bool) -> ValueSet:
    if dtype.kind == "f":
        return ValueSet(_float_ranges(intervals, dtype), dtype, negated=negated)
    if dtype.kind == "b":
        return ValueSet(_integer_ranges([_of_bools(each) for each in intervals], 0, 1), _BOOL_VIEW, negated=negated)
    if dtype.kind == "S":
        raise InvalidInput("text is stored but not searched; take the column and compare it in numpy")
    return ValueSet(_integer_ranges(intervals, *_integer_limits(dtype)), dtype, negated=negated)


@cache
def _integer_limits(dtype: np.dtype[Any]) -> Pair:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _of_bools(interval: Interval) -> Interval:
    low, high = (int(bound) if isinstance(bound, (bool, np.bool_)) else bound for bound in interval[:2])
    return interval._replace(low=low, high=high)


def _integer_ranges(intervals: list[Interval], least: int, greatest: int) -> list[Pair]:
    ranges = []
    for low, high, open_low, open_high in intervals:
        first = least if low is None else max(_integer(low, greatest) + open_low, least)
        last = greatest if high is None else min(_integer(high, greatest) - open_high, greatest)
        if first <= last:
            ranges.append((first, last))
    return _merged(ranges, 1)


def _integer(value: Any, greatest: int) -> int:
    if not is_integer(value):
        raise InvalidInput(f"integers are compared with integers, not with {value!r}")
    if not INT64_MIN <= value <= max(greatest, INT64_MAX):
        raise InvalidInput(f"{value} is not among the integers from {INT64_MIN} to {max(greatest, INT64_MAX)}")
    return int(value)


def _float_ranges(intervals: list[Interval], dtype: np.dtype[Any]) -> list[Pair]:
    ranges = []
    infinity = dtype.type(np.inf)
    for low, high, open_low, open_high in intervals:
        first = -infinity if low is None else _float(low, dtype)
        last = infinity if high is None else _float(high, dtype)
        if (open_low and first == infinity) or (open_high and last == -infinity):
            continue
        first = np.nextafter(first, infinity) if open_low else first
        last = np.nextafter(last, -infinity) if open_high else last
        if first <= last:
            ranges.append((first.item(), last.item()))
    return _merged(ranges, 0)


def _float(value: Any, dtype: np.dtype[Any]) -> Any:
    if not is_float(value) and not is_integer(value):
        raise InvalidInput(f"floats are compared with numbers, not with {value!r}")
    try:
        with np.errstate(over="ignore"):
            number = dtype.type(value)
    except OverflowError:
        number = dtype.type(np.inf)
    if np.isnan(number):
        raise InvalidInput("NaN is equal to nothing and has no place in an order; Ne(x) finds it, among all others")
    if np.isinf(number) and not (is_float(value) and np.isinf(value)):
        raise InvalidInput(f"{value!r} does not fit {dtype}")
    return number


def _merged(ranges: list[Pair], step: int) -> list[Pair]:
    """The ranges in ascending order; those that overlap, or are no more than ``step`` apart, become one."""
    if len(ranges) < 2:
        return ranges
    merged: list[Pair] = []
    for low, high in sorted(ranges):
        if merged and low - step <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged
