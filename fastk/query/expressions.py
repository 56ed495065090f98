"""The nine conditions on one column, and the original's older form of six of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastk.arrays import as_array, is_float, is_integer, read_only
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# A value takes 2 us by itself, and any array of a few 25.
_MANY = 12
UNBOUNDED: Any = object()
"""No bound. None would be mistaken for the value of a caller, which is refused like all that is no number."""

Interval = tuple[Any, Any, bool, bool]
"""Values from the first to the second; either may be UNBOUNDED. An open end, told by its flag, leaves its value out."""
IntegerRanges = tuple[list[int], list[int]]
"""Lows and highs of closed ranges, ascending and apart; the same list, which nobody changes, of single values."""


class ScalarPredicateExpr:
    """A condition on the values of one column; its nine forms are ``ScalarPredicateExpr.Gt(5)`` or ``fastk.Gt(5)``.

    Values are numbers of the column's kind (times for ``ts``). NaN in a column satisfies Ne and NotInSet only.
    """

    __slots__ = ()

    Eq: ClassVar[type[Eq]]
    Ne: ClassVar[type[Ne]]
    Gt: ClassVar[type[Gt]]
    Gte: ClassVar[type[Gte]]
    Lt: ClassVar[type[Lt]]
    Lte: ClassVar[type[Lte]]
    Between: ClassVar[type[Between]]
    InSet: ClassVar[type[InSet]]
    NotInSet: ClassVar[type[NotInSet]]

    negated: ClassVar[bool] = False
    """Whether the rows outside of the intervals are the ones that match."""
    numbers: NDArray[Any] | None = None
    """The values of a large set as one array; None for all else."""

    def check(self) -> None:
        """InvalidInput if the condition contradicts itself, as far as that shows without a column."""

    def intervals(self) -> list[Interval]:
        """The values that the condition speaks of, in any order."""
        raise AssertionError("each condition has its own")

    def integers(self) -> IntegerRanges | None:
        """The same as closed ranges, ascending and apart, where all are integers of Python: in two thirds of the time.

        None for all others.
        """
        return None


def _point(value: Any) -> IntegerRanges | None:
    if type(value) is not int:
        return None
    point = [value]
    return point, point


@dataclass(frozen=True, slots=True)
class Eq(ScalarPredicateExpr):
    """Values equal to ``value``."""

    value: Any

    def intervals(self) -> list[Interval]:
        """The one value."""
        return [(self.value, self.value, False, False)]

    def integers(self) -> IntegerRanges | None:
        """The one value."""
        return _point(self.value)


@dataclass(frozen=True, slots=True)
class Ne(ScalarPredicateExpr):
    """Values other than ``value``."""

    value: Any

    negated: ClassVar[bool] = True

    def intervals(self) -> list[Interval]:
        """The one value."""
        return [(self.value, self.value, False, False)]

    def integers(self) -> IntegerRanges | None:
        """The one value."""
        return _point(self.value)


@dataclass(frozen=True, slots=True)
class Gt(ScalarPredicateExpr):
    """Values greater than ``value``."""

    value: Any

    def intervals(self) -> list[Interval]:
        """All values above."""
        return [(self.value, UNBOUNDED, True, False)]


@dataclass(frozen=True, slots=True)
class Gte(ScalarPredicateExpr):
    """Values of ``value`` or more."""

    value: Any

    def intervals(self) -> list[Interval]:
        """The value and all above."""
        return [(self.value, UNBOUNDED, False, False)]


@dataclass(frozen=True, slots=True)
class Lt(ScalarPredicateExpr):
    """Values less than ``value``."""

    value: Any

    def intervals(self) -> list[Interval]:
        """All values below."""
        return [(UNBOUNDED, self.value, False, True)]


@dataclass(frozen=True, slots=True)
class Lte(ScalarPredicateExpr):
    """Values of ``value`` or less."""

    value: Any

    def intervals(self) -> list[Interval]:
        """The value and all below."""
        return [(UNBOUNDED, self.value, False, False)]


@dataclass(frozen=True, slots=True)
class Between(ScalarPredicateExpr):
    """Values from ``min`` to ``max``, both counted unless ``inclusive`` is False."""

    min: Any
    max: Any
    inclusive: bool = True

    def check(self) -> None:
        """InvalidInput if min > max, where both are numbers; times compare as what the column makes of them."""
        least, greatest = self.min, self.max
        are_numbers = type(least) is type(greatest) is int or (_is_number(least) and _is_number(greatest))
        if are_numbers and least > greatest:
            raise reversed_bounds(least, greatest)

    def intervals(self) -> list[Interval]:
        """The values between the bounds."""
        return [(self.min, self.max, not self.inclusive, not self.inclusive)]

    def integers(self) -> IntegerRanges | None:
        """The two bounds."""
        least, greatest = self.min, self.max
        return ([least], [greatest]) if type(least) is type(greatest) is int and self.inclusive else None


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, np.bool_)) or is_integer(value) or is_float(value)


def reversed_bounds(least: object, greatest: object) -> InvalidInput:
    """The refusal of Between with such bounds."""
    return InvalidInput(f"Between needs min <= max, not {least!r} to {greatest!r}")


@dataclass(frozen=True, slots=True, init=False)
class ValuesOf(ScalarPredicateExpr):
    """A set of values, kept in the order given. ``numbers`` are the same as an array: many values of one type."""

    values: tuple[Any, ...]
    numbers: NDArray[Any] | None = field(init=False, compare=False, repr=False)

    def __init__(self, values: Iterable[Any]) -> None:
        kept = _as_tuple(values)
        given = values if type(values) is np.ndarray else kept
        object.__setattr__(self, "values", kept)
        object.__setattr__(self, "numbers", None if len(kept) < _MANY else _as_numbers(given))

    def intervals(self) -> list[Interval]:
        """Each value."""
        return [(value, value, False, False) for value in self.values]

    def integers(self) -> IntegerRanges | None:
        """Runs of neighbours."""
        if set(map(type, self.values)) != {int}:
            return None
        members = set(self.values)
        points = sorted(members)
        if members.isdisjoint([point + 1 for point in points]):
            return points, points
        lows = [point for point in points if point - 1 not in members]
        return lows, [point for point in points if point + 1 not in members]


@dataclass(frozen=True, slots=True, init=False)
class InSet(ValuesOf):
    """Values that are among ``values``; none if those are none."""


@dataclass(frozen=True, slots=True, init=False)
class NotInSet(ValuesOf):
    """Values that are not among ``values``; all if those are none."""

    negated: ClassVar[bool] = True


for _form in (Eq, Ne, Gt, Gte, Lt, Lte, Between, InSet, NotInSet):
    setattr(ScalarPredicateExpr, _form.__name__, _form)


def _as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, np.ndarray):
        return tuple(values.ravel().tolist() if values.dtype.kind in "biuf" else values.ravel())
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidInput(f"a set of values is a list of them, not {values!r}")
    return tuple(values)


def _as_numbers(values: Any) -> NDArray[Any] | None:
    """The values as an array of integers or floats, if they are such exactly. A copy: the caller may change his."""
    array = as_array(values, "the set")
    return read_only(array.flatten()) if array.dtype.kind in "iuf" else None


class CompareOp(Enum):
    """The comparisons of the older form."""

    EQ = "Eq"
    NE = "Ne"
    GT = "Gt"
    GTE = "Gte"
    LT = "Lt"
    LTE = "Lte"
    BETWEEN = "Between"


@dataclass(frozen=True, slots=True)
class ScalarPredicate:
    """The older form of a condition: ``value2`` is the upper bound of BETWEEN, which counts both bounds."""

    op: CompareOp
    value: Any
    value2: Any = None

    def expression(self) -> ScalarPredicateExpr:
        """The same condition in the newer form; InvalidInput if a bound is missing or too much."""
        try:
            op = CompareOp(self.op)
        except ValueError:
            raise InvalidInput(f"op={self.op!r} is no CompareOp") from None
        if (op is CompareOp.BETWEEN) != (self.value2 is not None):
            raise InvalidInput(f"value2 is the upper bound of BETWEEN and of nothing else; {self!r}")
        if op is CompareOp.BETWEEN:
            return Between(self.value, self.value2)
        forms: dict[CompareOp, Any] = {each: getattr(ScalarPredicateExpr, each.value) for each in CompareOp}
        expression: ScalarPredicateExpr = forms[op](self.value)
        return expression
