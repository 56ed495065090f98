"""Arrays of what callers hand in, without numpy's guesses: a mix of values keeps each of them exactly."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def as_array(values: Any, what: str) -> NDArray[Any]:
    """``values`` as an array: itself, numbers of one python type as theirs, any other sequence as objects.

    ``np.asarray`` would round large integers among floats, turn truth values into numbers, and numbers into text.
    """
    # Who made a masked array has imported numpy.ma; to ask for it before would, and take 10 to 20 ms of a process.
    if "numpy.ma" in sys.modules and isinstance(values, np.ma.MaskedArray):
        if np.ma.getmaskarray(values).any():
            row = int(np.ma.getmaskarray(values).ravel().argmax())
            raise InvalidInput(f"{what}: the value at row {row} is masked; leave such rows out")
        return np.asarray(values)
    if isinstance(values, (list, tuple)):
        return _from_sequence(values)
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} is no column: {error}") from None


def _from_sequence(values: Sequence[Any]) -> NDArray[Any]:
    kinds = set(map(type, values))
    if kinds == {int}:
        try:
            return np.array(values, np.int64)
        except OverflowError:
            return as_objects(values)
    if kinds <= {float} or (len(kinds) == 1 and _is_of_numpy(next(iter(kinds)))):
        return np.array(values)
    return as_objects(values)


def _is_of_numpy(kind: type) -> bool:
    return issubclass(kind, (np.number, np.datetime64)) and not issubclass(kind, np.timedelta64)


def as_objects(values: Sequence[Any]) -> NDArray[Any]:
    """A one-dimensional array of python objects, whatever they are."""
    array = np.empty(len(values), object)
    for row, value in enumerate(values):  # one by one: a slice assignment would spread nested lists out
        array[row] = value
    return array


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only, C-contiguous view or copy. Kernels are compiled for such inputs alone."""
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view


def is_integer(value: object) -> TypeGuard[int | np.integer[Any]]:
    """A python or numpy integer. Truth values are none, nor are spans of time, which numpy counts among them."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))


def is_float(value: object) -> bool:
    """A python or numpy float."""
    return isinstance(value, (float, np.floating))


def row_count(count: Any) -> int:
    """A number of rows of any integer type, as an int; InvalidInput for anything else, and below 0."""
    if is_integer(count) and count >= 0:
        return int(count)
    raise InvalidInput(f"latest takes a number of rows of 0 or more, not {count!r}")
