"""Least and greatest values per block of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import types
from numba.extending import overload, register_jitable
from numba.np.numpy_support import as_dtype

from ..interface import Column, Uint8Array
from .compile import kernel, part

Extremes: TypeAlias = tuple[Any, Any, bool]
"""Least value, greatest value, and whether the block holds a NaN."""


@part
def _integer_extremes(block: Column) -> Extremes:
    least = block[0]
    greatest = least
    for row in range(len(block)):
        value = block[row]
        least = value if value < least else least
        greatest = value if value > greatest else greatest
    return least, greatest, False


@part
def _extremes_beside_nan(block: Column) -> Extremes:
    first = 0
    while first < len(block) - 1 and np.isnan(block[first]):
        first += 1
    # A comparison with NaN is false, so that NaN further on change nothing.
    least, greatest, _ = _integer_extremes(block[first:])
    return least, greatest, True


def _float_extremes(dtype: np.dtype[Any]) -> Callable[[Column], Extremes]:
    """Make the search for float32 or float64.

    Comparisons of floats do not become vector instructions, since NaN and the two zeros forbid to reorder them. Those
    of integers do, and a float's bits order as it does once the magnitudes of negative ones are inverted; NaN then lie
    beyond the infinities. Measured on blocks of 4,096 float64: 7,500 Mrow/s; as floats 1,700, in four lanes 2,700.
    """
    value_type = dtype.type
    bits_type = np.dtype(f"i{dtype.itemsize}").type
    magnitude = bits_type(np.iinfo(bits_type).max)
    lowest_bits = ~magnitude
    infinity = value_type(np.inf).view(bits_type)
    negative_infinity = ~infinity

    @register_jitable  # type: ignore[untyped-decorator, unused-ignore]
    def ordered(bits: Any) -> Any:
        return bits if bits >= 0 else bits_type(bits ^ magnitude)

    def extremes(block: Column) -> Extremes:
        least = magnitude
        greatest = lowest_bits
        bits = block.view(bits_type)
        for row in range(len(bits)):
            key = ordered(bits[row])
            least = key if key < least else least
            greatest = key if key > greatest else greatest
        if least < negative_infinity or greatest > infinity:
            return _extremes_beside_nan(block)
        # The ordering is its own inverse.
        return bits_type(ordered(least)).view(value_type), bits_type(ordered(greatest)).view(value_type), False

    return extremes


def _extremes(block: Column) -> Extremes:
    least, greatest = np.nanmin(block), np.nanmax(block)
    return least, greatest, bool(np.isnan(block).any())


@overload(_extremes, strict=False)
def _extremes_by_dtype(block: types.Array) -> Callable[[Column], Extremes]:
    if isinstance(block.dtype, types.Float):
        return _float_extremes(as_dtype(block.dtype))
    return lambda block: _integer_extremes(block)


@kernel
def zones(column: Column, block_rows: int, minima: Column, maxima: Column, nan_flags: Uint8Array) -> None:
    """Write minimum, maximum and NaN flag (uint8) of every block of `block_rows` rows, the last one shorter."""
    for block in range(len(minima)):
        start = block * block_rows
        rows = column[start : min(start + block_rows, len(column))]
        minima[block], maxima[block], nan_flags[block] = _extremes(rows)
