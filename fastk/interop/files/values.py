"""Columns of files become columns of a series, exactly, or are refused. Decimal text never becomes a binary float.

Every function here takes a whole column and raises ValueError if any value of it does not fit; which one that is,
:func:`first_refused` finds afterwards.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidInput
from fastk.interop.files.formats import pyarrow
from fastk.schema.columns import exact_cast
from fastk.schema.scaling import encode
from fastk.times import TimeUnit, to_ts_array

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from fastk.schema.schema import Field

MAX_EXPONENT = 18
_PLACES = {10**places: places for places in range(MAX_EXPONENT + 1)}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_LONGEST_FAST = 38  # digits of decimal128


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text, or bytes that may be some."""
    types = pyarrow().types
    checks = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_large_binary)
    return any(check(kind) for check in (*checks, types.is_binary_view, types.is_fixed_size_binary))


def plain(column: pa.Array) -> pa.Array:
    """Without dictionaries; text as UTF-8 that is checked, blanks around it cut off. ValueError for missing values."""
    library, compute = pyarrow(), pyarrow("pyarrow.compute")
    if library.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        raise InvalidInput("the value is missing")
    if not is_text(column.type):
        return column
    return compute.utf8_trim(as_utf8(column), " \t")


def text(column: pa.Array) -> pa.Array:
    """Any values as text."""
    return plain(column).cast(pyarrow().string())


def as_utf8(column: pa.Array) -> pa.Array:
    """Text as Arrow's strings."""
    try:
        return column.cast(pyarrow().string())
    except pyarrow().ArrowInvalid:
        raise InvalidInput("the text is not UTF-8") from None


def mapped(column: pa.Array, words: dict[str, str]) -> pa.Array:
    """Each word of a column as what it stands for; InvalidInput for others. Truth values are ``true`` and ``false``."""
    library = pyarrow()
    encoded = plain(column).cast(library.string()).dictionary_encode()
    lowered = {"true": "True", "false": "False"} if library.types.is_boolean(column.type) else {}
    found = []
    for word in encoded.dictionary.to_pylist():
        key = word if word in words else lowered.get(word, word)
        if key not in words:
            raise InvalidInput(f"{word!r} is none of {', '.join(map(repr, words))}")
        found.append(words[key])
    return library.array(found, library.string()).take(encoded.indices)


def to_field(column: pa.Array, field: Field, scale: int) -> NDArray[Any]:
    """Values in natural units as what the field stores."""
    if field.dtype.kind == "S":
        return _to_bytes(column, field.dtype)
    column = plain(column)
    if is_text(column.type):
        if _has_empty(column):
            raise InvalidInput("the cell is empty")
        return _from_text(column, field.dtype, scale)
    return _from_typed(column, field.dtype, scale)


def _has_empty(column: pa.Array) -> bool:
    return bool(len(column)) and pyarrow("pyarrow.compute").min(_lengths(column)).as_py() == 0


def _lengths(column: pa.Array) -> Any:
    return pyarrow("pyarrow.compute").binary_length(column)


def _to_bytes(column: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    library = pyarrow()
    if library.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        raise InvalidInput("the value is missing")
    if not is_text(column.type):
        raise InvalidInput(f"Arrow's {column.type} is no text")
    values = column.to_pylist()
    return exact_cast(_objects(values), dtype, "text")


def _objects(values: list[Any]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _from_text(column: pa.Array, dtype: np.dtype[Any], scale: int) -> NDArray[Any]:
    library = pyarrow()
    if dtype.kind == "b":
        return np.asarray(column.cast(library.bool_()).to_numpy(zero_copy_only=False), bool)
    if dtype.kind == "f":
        kind = library.float32() if dtype.itemsize == 4 else library.float64()
        return np.asarray(column.cast(kind).to_numpy())
    return exact_cast(scaled_text(column, scale), dtype, "number")


def scaled_text(column: pa.Array, scale: int) -> NDArray[Any]:
    """Decimal text times a scale as integers: int64, or uint64 where they need it; ValueError if any is no integer."""
    places = _PLACES.get(scale)
    if places is None or not _is_fast(column):
        return _scaled_slowly(column, scale)
    return _integers_of(column.cast(pyarrow().decimal128(38, places)))


def _is_fast(column: pa.Array) -> bool:
    """Arrow wraps around where an exponent is large, so that only plain digits are left to it."""
    compute = pyarrow("pyarrow.compute")
    if not len(column):
        return True
    short = compute.max(_lengths(column)).as_py() <= _LONGEST_FAST
    return short and not compute.any(compute.match_substring(column, "e", ignore_case=True)).as_py()


def _integers_of(decimals: pa.Array) -> NDArray[Any]:
    """The digits of decimals as 64-bit integers, where they fit."""
    halves: NDArray[np.int64] = np.frombuffer(decimals.buffers()[1], np.int64).reshape(-1, 2)
    halves = halves[decimals.offset : decimals.offset + len(decimals)]
    low, high = halves[:, 0].copy(), halves[:, 1]
    if (high == low >> 63).all():
        return low
    if (high == 0).all():
        return low.view(np.uint64)
    raise InvalidInput("the number does not fit 64 bits at this scale")


def _scaled_slowly(column: pa.Array, scale: int) -> NDArray[Any]:
    values = [_scaled(text, scale) for text in column.to_pylist()]
    try:
        return np.array(values, np.uint64 if values and max(values) >= 2**63 else np.int64)
    except OverflowError:
        raise InvalidInput(f"the number does not fit 64 bits at scale {scale:,}") from None


def _scaled(text: str, scale: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidInput("it is no decimal number")
    number = Decimal(text)
    if number and not -400 < number.adjusted() < 400:
        raise InvalidInput("the number does not fit 64 bits")
    numerator, denominator = number.as_integer_ratio()
    scaled, rest = divmod(numerator * scale, denominator)
    if rest:
        raise InvalidInput(f"it has more decimals than scale {scale:,} holds")
    return scaled


def _from_typed(column: pa.Array, dtype: np.dtype[Any], scale: int) -> NDArray[Any]:
    library = pyarrow()
    types, kind = library.types, column.type
    if types.is_boolean(kind):
        return exact_cast(np.asarray(column.to_numpy(zero_copy_only=False), bool), dtype, "value")
    if types.is_decimal(kind):
        if dtype.kind == "f":
            return exact_cast(np.asarray(column.cast(library.float64()).to_numpy()), dtype, "value")
        return exact_cast(scaled_text(column.cast(library.string()), scale), dtype, "value")
    if types.is_float16(kind):
        column = column.cast(library.float32())
    elif not (types.is_integer(kind) or types.is_floating(kind)):
        raise InvalidInput(f"Arrow's type {kind} is no number")
    values = column.to_numpy()
    return exact_cast(values if scale == 1 else encode(values, scale), dtype, "value")


def rounded(column: pa.Array, places: int) -> pa.Array:
    """Numbers to so many decimals, half to even: decimals as they are, floats by their shortest text."""
    library = pyarrow()
    column = plain(column)
    if library.types.is_integer(column.type):
        return column
    digits = column.cast(library.string())
    if _is_fast(digits):
        try:
            fine = digits.cast(library.decimal128(38, MAX_EXPONENT))
            return pyarrow("pyarrow.compute").round(fine, places, "half_to_even")
        except library.ArrowInvalid:  # more decimals than that, or no number
            pass
    return library.array([_rounded(each, places) for each in digits.to_pylist()], library.string())


def _rounded(digits: str, places: int) -> str:
    if not _NUMBER.fullmatch(digits):
        raise InvalidInput("it is no decimal number")
    with localcontext(prec=1000):
        return str(Decimal(digits).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN))


def rescaled(values: NDArray[Any], scale: int, wanted: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Integers stored at one scale as those of another that mean the same; InvalidInput if there are none."""
    if scale == wanted:
        return exact_cast(values, dtype, "value")
    products = [value * wanted for value in values.tolist()]
    if any(product % scale for product in products):
        raise InvalidInput(f"at scale {scale:,} it has more decimals than scale {wanted:,} holds")
    quotients = _objects([product // scale for product in products])
    return exact_cast(quotients, dtype, "value")


def datetimes(column: pa.Array, unit: TimeUnit) -> NDArray[np.int64]:
    """Arrow's timestamps, taken as UTC, in the unit of a series."""
    counts = column.cast(pyarrow().int64()).to_numpy()
    return to_ts_array(counts.view(f"M8[{column.type.unit}]"), unit, zoneless_is_utc=True)


def first_refused(refuses: Callable[[int, int], bool], count: int) -> int:
    """The first of ``count`` rows at fault, if ``refuses(low, high)`` tells whether one of low .. high - 1 is."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if refuses(low, middle + 1):
            high = middle
        else:
            low = middle + 1
    return low
