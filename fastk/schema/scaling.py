"""Natural units and stored integers: exact in both directions, or refused.

A stored integer ``k`` with scale ``s`` means ``k / s``. Decoding divides (``x * (1 / s)`` differs from ``x / s`` in
about a third of all integers); encoding takes the nearest integer and accepts it only if it decodes to the same value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.arrays import as_array, is_float, is_integer
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_INT64_LIMIT = float(2**63)
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MAX_DECIMAL_PLACES = 15


def decode(values: ArrayLike, scale: int) -> NDArray[np.float64]:
    """Natural units of stored integers: ``values / scale`` as float64, shape kept."""
    return np.divide(values, scale, dtype=np.float64)


def encode(values: ArrayLike, scale: int, what: str = "value") -> NDArray[np.int64]:
    """Stored integers of natural units (floats, integers or Decimals), shape kept.

    Raises :class:`InvalidInput` naming the first row that no int64 at this scale represents exactly.
    """
    array = as_array(values, what)
    if array.dtype.kind == "O":
        return _encode_objects(array, scale, what)
    if array.dtype.kind in "iu":
        return _encode_integers(array, scale, what)
    if array.dtype.kind != "f":
        raise InvalidInput(f"{what} of dtype {array.dtype} are no numbers in natural units")
    return _encode_floats(array.astype(np.float64, copy=False), scale, what)


def find_scale(*columns: ArrayLike) -> int:
    """The smallest power of ten at which every value of the given columns is stored exactly.

    Raises :class:`InvalidInput` if 15 decimal places do not suffice or a value is not finite.
    """
    for scale in (int(10**places) for places in range(MAX_DECIMAL_PLACES + 1)):
        if all(_representable(column, scale) for column in columns):
            return scale
    raise InvalidInput(_why_no_scale(columns))


def _why_no_scale(columns: tuple[ArrayLike, ...]) -> str:
    for array in (as_array(column, "value") for column in columns):
        if array.dtype.kind not in "iuf":
            encode(array, 10**MAX_DECIMAL_PLACES)
        if array.dtype.kind == "f":
            hopeless = ~np.any([_nearest(array, 10**places)[1] for places in range(MAX_DECIMAL_PLACES + 1)], axis=0)
            if hopeless.any():
                row = int(hopeless.argmax())
                return (
                    f"no power of ten makes {array.ravel()[row]} (row {row}) an exact int64: it is not finite, or has "
                    f"too many digits; round the column to the decimals that it really has"
                )
    return (
        f"no power of ten up to 10**{MAX_DECIMAL_PLACES} suits all values at once: some are large, others have many "
        f"decimals; round them to fewer"
    )


def _representable(array: ArrayLike, scale: int) -> bool:
    try:
        encode(array, scale)
    except InvalidInput:
        return False
    return True


def _encode_floats(array: NDArray[np.float64], scale: int, what: str) -> NDArray[np.int64]:
    nearest, fits = _nearest(array, scale)
    if not fits.all():
        _refuse(array, fits, scale, what)
    return nearest.astype(np.int64)


def _nearest(array: NDArray[np.float64], scale: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The nearest stored numbers, still as floats, and which of them decode to the very value."""
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = np.rint(array * scale)
        return nearest, (np.abs(nearest) < _INT64_LIMIT) & (nearest / scale == array)


def _encode_integers(array: NDArray[Any], scale: int, what: str) -> NDArray[np.int64]:
    fits = (array <= INT64_MAX // scale) & (array >= -(-INT64_MIN // scale))
    if not fits.all():
        _refuse(array, fits, scale, what)
    return array.astype(np.int64) * np.int64(scale)


def _encode_objects(array: NDArray[Any], scale: int, what: str) -> NDArray[np.int64]:
    encoded = [_encode_object(value, scale, what, row) for row, value in enumerate(array.ravel().tolist())]
    return np.array(encoded, np.int64).reshape(array.shape)


def _encode_object(value: Any, scale: int, what: str, row: int) -> int:
    scaled = None
    if is_integer(value):
        scaled = int(value) * scale
    elif is_float(value):
        nearest, fits = _nearest(np.array([value], np.float64), scale)
        scaled = int(nearest[0]) if fits[0] else None
    else:
        scaled = _scaled_decimal(value, scale)
    if scaled is None or not -(2**63) <= scaled < 2**63:
        raise InvalidInput(f"{what}: {value!r} at row {row} has no exact int64 at scale {scale:,}; nothing is rounded")
    return scaled


def _scaled_decimal(value: Any, scale: int) -> int | None:
    """A finite Decimal times the scale, if that is an integer; None for anything else."""
    from decimal import Decimal  # here, because it is 1 ms of a process that reads

    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    numerator, denominator = value.as_integer_ratio()
    scaled, rest = divmod(numerator * scale, denominator)
    return None if rest else scaled


def _refuse(array: NDArray[Any], fits: NDArray[np.bool_], scale: int, what: str) -> None:
    row = int(np.argmin(fits.ravel()))
    value = array.ravel()[row]
    if array.dtype.kind == "f" and not np.isfinite(value):
        raise InvalidInput(f"{what}: {value} at row {row} cannot be stored as an integer; leave such rows out")
    if abs(float(value)) * scale >= _INT64_LIMIT:
        raise InvalidInput(f"{what}: {value} at row {row} times scale {scale:,} overflows int64; use a smaller scale")
    raise InvalidInput(
        f"{what}: {value} at row {row} has more decimals than scale {scale:,} holds; register the "
        f"series with a larger scale (fastk.find_scale(values) finds it) or round first"
    )
