"""What stands in a matrix where a series has no row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastk.arrays import is_float, is_integer
from fastk.errors import InvalidInput
from fastk.times import INT64_MAX, INT64_MIN

NAN = float("nan")
DTYPES = ("float64", "float32", "int64")


@dataclass(frozen=True)
class ForwardFill:
    """Carry the value before on, at most ``limit`` grid rows far (None: without end); then comes ``otherwise``."""

    limit: int | None = None
    otherwise: float = NAN


def ffill(limit: int | None = None, otherwise: float = NAN) -> ForwardFill:
    """The fill that carries the value of the grid row before on, for at most ``limit`` rows.

    ``otherwise`` stands where there is none to carry. Only rows of the matrix are carried: nothing from before its
    start, which is what ``align="asof"`` looks back to.
    """
    if limit is not None and (not is_integer(limit) or limit < 1):
        raise InvalidInput(f"ffill takes a limit of 1 row or more, or None, not {limit!r}")
    return ForwardFill(None if limit is None else int(limit), otherwise)


class Filling(NamedTuple):
    """A fill in normal form: rows to carry a value (0: none), and the constant otherwise."""

    limit: int
    value: float


def checked_fill(fill: Any, dtype: np.dtype[Any], *, may_have_gaps: bool) -> Filling:
    """The normal form of ``fill``; InvalidInput if the dtype of the matrix cannot hold its constant."""
    carried = isinstance(fill, ForwardFill)
    limit = (INT64_MAX if fill.limit is None else min(fill.limit, INT64_MAX)) if carried else 0
    value = fill.otherwise if carried else fill
    if not (is_integer(value) or is_float(value)):
        raise InvalidInput(f"fill={fill!r} is unknown: give a number, NaN, or fastk.ffill(limit)")
    return Filling(limit, _checked_integer(value, may_have_gaps) if dtype.kind == "i" else _checked_float(value, dtype))


def _checked_integer(value: Any, may_have_gaps: bool) -> int:
    if is_integer(value) and INT64_MIN <= value <= INT64_MAX:
        return int(value)
    if value != value and not may_have_gaps:
        return 0
    raise InvalidInput(
        f"a matrix of int64 has no place for fill={value!r}: give an integer, as fill=0 or "
        f"fill=fastk.ffill(otherwise=0), or take grid='intersection', which has no gaps"
    )


def _checked_float(value: Any, dtype: np.dtype[Any]) -> float:
    try:
        number = float(value)
        with np.errstate(over="raise"):
            dtype.type(number)
    except (OverflowError, FloatingPointError):
        raise InvalidInput(
            f"a matrix of {dtype} has no place for fill={value!r}: give a number within {dtype}"
        ) from None
    return number


def checked_dtype(dtype: Any) -> np.dtype[Any]:
    """One of the dtypes that a matrix has."""
    checked: np.dtype[Any] | None
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    if checked is None or checked.name not in DTYPES or not checked.isnative:
        raise InvalidInput(f"dtype={dtype!r} is none of a matrix: give {', '.join(map(repr, DTYPES))}")
    return checked
