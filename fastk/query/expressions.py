"""The nine conditions on one column, and the original's older form of six of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from fastk.arrays import is_float, is_integer
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable


UNBOUNDED: Any = object()  # not None, which callers may hand in for a value


class Interval(NamedTuple):
    """Values from ``low`` to ``high``; an open end leaves its own value out."""

    low: Any = UNBOUNDED
    high: Any = UNBOUNDED
    open_low: bool = False
    open_high: bool = False


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

    @property
    def negated(self) -> bool:
        """Whether the rows outside of the intervals are the ones that match."""
        return False

    def intervals(self) -> list[Interval]:
        """The values that the condition speaks of, in any order; InvalidInput if they contradict each other."""
        raise AssertionError("each condition has its own")


@dataclass(frozen=True, slots=True)
class Eq(ScalarPredicateExpr):
    """Values equal to ``value``."""

    value: Any

    def intervals(self) -> list[Interval]:
        """The one value."""
        return [Interval(self.value, self.value)]


@dataclass(frozen=True, slots=True)
class Ne(ScalarPredicateExpr):
    """Values other than ``value``."""

    value: Any

    @property
    def negated(self) -> bool:
        """Always."""
        return True

    def intervals(self) -> list[Interval]:
        """The one value."""
        return [Interval(self.value, self.value)]


@dataclass(frozen=True, slots=True)
class Gt(ScalarPredicateExpr):
    """Values greater than ``value``."""

    value: Any

    def intervals(self) -> list[Interval]:
        """All values above."""
        return [Interval(low=self.value, open_low=True)]


@dataclass(frozen=True, slots=True)
class Gte(ScalarPredicateExpr):
    """Values of ``value`` or more."""

    value: Any

    def intervals(self) -> list[Interval]:
        """The value and all above."""
        return [Interval(low=self.value)]


@dataclass(frozen=True, slots=True)
class Lt(ScalarPredicateExpr):
    """Values less than ``value``."""

    value: Any

    def intervals(self) -> list[Interval]:
        """All values below."""
        return [Interval(high=self.value, open_high=True)]


@dataclass(frozen=True, slots=True)
class Lte(ScalarPredicateExpr):
    """Values of ``value`` or less."""

    value: Any

    def intervals(self) -> list[Interval]:
        """The value and all below."""
        return [Interval(high=self.value)]


@dataclass(frozen=True, slots=True)
class Between(ScalarPredicateExpr):
    """Values from ``min`` to ``max``, both counted unless ``inclusive`` is False."""

    min: Any
    max: Any
    inclusive: bool = True

    def intervals(self) -> list[Interval]:
        """The values between the bounds; InvalidInput if they are numbers and min > max."""
        if _is_number(self.min) and _is_number(self.max):  # times are compared when they have become numbers
            check_bounds(self.min, self.max)
        return [Interval(self.min, self.max, not self.inclusive, not self.inclusive)]


def check_bounds(low: Any, high: Any) -> None:
    """Refuse the bounds of Between if they are reversed."""
    if low > high:
        raise InvalidInput(f"Between needs min <= max, not {low!r} to {high!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, np.bool_)) or is_integer(value) or is_float(value)


class _Set(ScalarPredicateExpr):
    """A set of values, kept in the order given."""

    __slots__ = ()

    values: tuple[Any, ...]

    def intervals(self) -> list[Interval]:
        """Each value."""
        return [Interval(value, value) for value in self.values]


@dataclass(frozen=True, slots=True)
class InSet(_Set):
    """Values that are among ``values``; none if those are none."""

    values: tuple[Any, ...]

    def __init__(self, values: Iterable[Any]) -> None:
        object.__setattr__(self, "values", _as_tuple(values))


@dataclass(frozen=True, slots=True)
class NotInSet(_Set):
    """Values that are not among ``values``; all if those are none."""

    values: tuple[Any, ...]

    def __init__(self, values: Iterable[Any]) -> None:
        object.__setattr__(self, "values", _as_tuple(values))

    @property
    def negated(self) -> bool:
        """Always."""
        return True


for _form in (Eq, Ne, Gt, Gte, Lt, Lte, Between, InSet, NotInSet):
    setattr(ScalarPredicateExpr, _form.__name__, _form)


def _as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, np.ndarray):
        return tuple(values.ravel().tolist() if values.dtype.kind in "biuf" else values.ravel())
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise InvalidInput(f"a set of values is a list of them, not {values!r}")
    return tuple(values)


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
