"""What of a condition of polars the planner of queries can use: never less than all rows that meet it.

An expression of polars is opaque but for two public things: ``meta.pop`` gives its operands, and ``meta.eq`` compares
it with another. So an operation is recognised by doing it again to the operands. Whatever is not recognised is left to
polars, and so are all exact comparisons: bounds become the next whole values of a column, outwards.
"""

from __future__ import annotations

import operator
from fractions import Fraction
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastk.interop.polars_frames import polars
from fastk.query.expressions import UNBOUNDED, Between, InSet, Interval, ScalarPredicateExpr
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from fastk.schema.schema import Field
    from fastk.schema.settings import SeriesSettings

    Round = Callable[[Fraction], int]

_LOW = (operator.gt, operator.ge, operator.eq)
_HIGH = (operator.lt, operator.le, operator.eq)
_COMPARISONS = (operator.gt, operator.ge, operator.lt, operator.le, operator.eq)
_MIRRORED = {operator.gt: operator.lt, operator.ge: operator.le, operator.lt: operator.gt, operator.le: operator.ge}
_CLOSED: tuple[Literal["both", "left", "right", "none"], ...] = ("both", "left", "right", "none")


class Bounds(NamedTuple):
    """The least and greatest stored value that can meet a condition on a column."""

    low: Any
    high: Any


class NotBelow(ScalarPredicateExpr):
    """Values of ``low`` or more, and NaN, which polars puts above all numbers."""

    __slots__ = ("low",)

    negated = True  # said of the values that do not match

    def __init__(self, low: float) -> None:
        self.low = low

    def intervals(self) -> list[Interval]:
        """All values below."""
        return [(UNBOUNDED, self.low, False, True)]


class Demand:
    """Which rows of a series can meet some conditions: a window of time, and bounds or sets of values of columns."""

    def __init__(self, settings: SeriesSettings, decoded: bool) -> None:
        self._settings = settings
        self._decoded = decoded
        self._bounds: dict[int, Bounds] = {}
        self._sets: dict[int, InSet] = {}

    def add(self, expression: pl.Expr) -> None:
        """Take in what can be understood of a condition that all rows must meet."""
        operands = expression.meta.pop()[::-1]
        if len(operands) == 2 and (operands[0] & operands[1]).meta.eq(expression):
            self.add(operands[0])
            self.add(operands[1])
        elif len(operands) == 2:
            self._add_comparison(expression, *operands)
        elif len(operands) == 3:
            self._add_between(expression, *operands)

    @property
    def window(self) -> Bounds:
        """First and last ts."""
        return self._bounds.get(0, self._limits(0))

    @property
    def is_impossible(self) -> bool:
        """Whether no row can meet all conditions."""
        reversed_bounds = (bounds.low > bounds.high for bounds in self._bounds.values())
        return any(reversed_bounds) or any(not allowed.values for allowed in self._sets.values())

    def conditions(self) -> list[tuple[int, ScalarPredicateExpr]]:
        """The same for the planner, sets first: they tend to leave fewer rows."""
        bounds = [(place, _predicate(bounds)) for place, bounds in self._bounds.items() if place]
        return [*self._sets.items(), *bounds]

    def _add_comparison(self, expression: pl.Expr, left: pl.Expr, right: pl.Expr) -> None:
        for compare in _COMPARISONS:
            if compare(left, right).meta.eq(expression):
                if not left.meta.is_column():
                    left, right, compare = right, left, _MIRRORED.get(compare, compare)
                self._narrow(left, right if compare in _LOW else None, right if compare in _HIGH else None)
                return
        if left.is_in(right).meta.eq(expression):
            self._add_set(left, right)

    def _add_between(self, expression: pl.Expr, column: pl.Expr, low: pl.Expr, high: pl.Expr) -> None:
        if any(column.is_between(low, high, closed=closed).meta.eq(expression) for closed in _CLOSED):
            self._narrow(column, low, high)

    def _narrow(self, column: pl.Expr, low: pl.Expr | None, high: pl.Expr | None) -> None:
        """Take in bounds, if they are constant, of a column, if it is one."""
        place = self._place(column)
        if place is not None:
            lows, highs = self._stored(place, _scalar(low), floor), self._stored(place, _scalar(high), ceil)
            self._narrow_to(place, lows[0] if lows else None, highs[0] if highs else None)

    def _narrow_to(self, place: int, low: Any, high: Any) -> None:
        known = self._bounds.get(place, self._limits(place))
        self._bounds[place] = Bounds(
            known.low if low is None else max(known.low, low), known.high if high is None else min(known.high, high)
        )

    def _add_set(self, column: pl.Expr, literal: pl.Expr) -> None:
        """Take in a list of values: their span, and themselves where the column stores each of them as it is."""
        place, members = self._place(column), _members(literal)
        if place is None or members is None:
            return
        lows, highs = (self._stored(place, members, rounded) for rounded in (floor, ceil))
        if lows is None or highs is None:
            return
        if lows:
            self._narrow_to(place, min(lows), max(highs))
        if lows == highs:
            limits = self._limits(place)
            self._sets.setdefault(place, InSet([low for low in lows if limits.low <= low <= limits.high]))

    def _place(self, column: pl.Expr) -> int | None:
        """Where a column stands in the schema, if it is one that has an order."""
        if not column.meta.is_column():
            return None
        schema = self._settings.schema
        place = schema.position(column.meta.output_name())
        return place if schema.fields[place].dtype.kind in "iuf" else None

    def _limits(self, place: int) -> Bounds:
        dtype = self._settings.schema.fields[place].dtype
        if dtype.kind == "f":
            return Bounds(-inf, inf)
        return Bounds(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))

    def _stored(self, place: int, values: pl.Series | None, rounded: Round) -> list[Any] | None:
        """Values as the column stores them, or the next ones in a direction; None if there is no saying for all."""
        if values is None or values.null_count():
            return None
        field = self._settings.schema.fields[place]
        if place == 0:
            return _times(values, self._settings.time_unit, rounded)
        if values.dtype.is_float() and not values.is_finite().all():
            return None
        if self._decoded and field.scale is not None:
            return _encoded(values, self._settings.scales[field.scale], rounded) if values.dtype.is_numeric() else None
        if field.dtype.kind == "f":
            return _floats(values, field, rounded) if values.dtype.is_numeric() else None
        return values.to_list() if values.dtype.is_integer() else None


def _predicate(bounds: Bounds) -> ScalarPredicateExpr:
    return NotBelow(bounds.low) if bounds.high == inf else Between(*bounds)


def _constant(expression: pl.Expr) -> pl.Series | None:
    """The values of an expression of literals alone; None for any other."""
    if not _is_constant(expression):
        return None
    try:
        values: pl.Series = polars().select(expression).to_series()
    except polars().exceptions.PolarsError:  # polars will say so itself, of the whole query
        return None
    return values


def _is_constant(expression: pl.Expr) -> bool:
    operands = expression.meta.pop()
    return all(map(_is_constant, operands)) if operands else expression.meta.is_literal()


def _scalar(expression: pl.Expr | None) -> pl.Series | None:
    """The one value of a constant expression."""
    values = None if expression is None else _constant(expression)
    return values if values is not None and len(values) == 1 else None


def _members(expression: pl.Expr) -> pl.Series | None:
    """The values of a constant list."""
    values = _constant(expression)
    return values.explode() if values is not None and values.dtype.is_nested() else values


def _times(values: pl.Series, unit: TimeUnit, rounded: Round) -> list[int] | None:
    """Times of any unit in that of the series. polars itself refuses those without a zone."""
    if not isinstance(values.dtype, polars().Datetime) or values.dtype.time_zone is None:
        return None
    factor = Fraction(unit.per_second, TimeUnit(values.dtype.time_unit).per_second)
    return [rounded(factor * value) for value in values.to_physical().to_list()]


def _encoded(values: pl.Series, scale: int, rounded: Round) -> list[int]:
    """Natural units as stored integers. Decoding rounds, by less than a part in 2**50; so does a comparison."""
    exact = [Fraction(value) * scale for value in values.to_list()]
    outwards = -1 if rounded is floor else 1
    return [rounded(value + outwards * abs(value) / 2**50) for value in exact]


def _floats(values: pl.Series, field: Field, rounded: Round) -> list[float]:
    """Numbers as floats of the column, one further out: they may be of another width."""
    with np.errstate(over="ignore"):
        cast = np.array([field.dtype.type(value) for value in values.to_list()], field.dtype)
        further: list[float] = np.nextafter(cast, field.dtype.type(-inf if rounded is floor else inf)).tolist()
    return further
