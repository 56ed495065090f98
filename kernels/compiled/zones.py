"""Least and greatest values per block of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import from_dtype, types

from ..interface import Column, Uint8Array
from ..plain.zones import zones as plain_zones
from .compile import KernelByDtype, array_type, part

Extremes: TypeAlias = tuple[Any, Any]
"""Least and greatest value."""


@part
def _extremes(block: Column) -> Extremes:
    least = block[0]
    greatest = least
    for row in range(len(block)):
        value = block[row]
        least = value if value < least else least
        greatest = value if value > greatest else greatest
    return least, greatest


def _zones(column: Column, block_rows: int, minima: Column, maxima: Column, nan_flags: Uint8Array) -> None:
    for block in range(len(minima)):
        start = block * block_rows
        rows = column[start : min(start + block_rows, len(column))]
        minima[block], maxima[block] = _extremes(rows)
        nan_flags[block] = 0


def _float_zones(bits: np.dtype[Any]) -> Callable[..., None]:
    """Make the kernel for floats, which it takes as integers of their bits.

    Comparisons of floats do not become vector instructions, since NaN and the two zeros forbid to reorder them. Those
    of integers do, and a float's bits order as it does once the magnitudes of negative ones are inverted; NaN then lie
    beyond the infinities. Measured on blocks of 4,096 float64: 7,500 Mrow/s; as floats 1,700, in four lanes 2,700.
    """
    integer = bits.type
    magnitude = integer(np.iinfo(bits).max)
    infinity = np.array(np.inf, f"f{bits.itemsize}").view(bits)[()]
    negative_infinity = ~infinity
    least_of_all = ~magnitude

    @part
    def ordered(value: Any) -> Any:
        """Its own inverse."""
        return value if value >= 0 else integer(value ^ magnitude)

    @part
    def extremes(block: Column) -> Extremes:
        least = magnitude
        greatest = least_of_all
        for row in range(len(block)):
            key = ordered(block[row])
            least = key if key < least else least
            greatest = key if key > greatest else greatest
        return least, greatest

    @part
    def extremes_beside_nan(block: Column) -> Extremes:
        least = magnitude
        greatest = least_of_all
        for row in range(len(block)):
            key = ordered(block[row])
            low = key if key >= negative_infinity else magnitude
            high = key if key <= infinity else least_of_all
            least = low if low < least else least
            greatest = high if high > greatest else greatest
        if least > infinity:  # NaN alone: one of the block, whose bits reach the disk
            least = ordered(block[len(block) - 1])
            greatest = least
        return least, greatest

    def zones(column: Column, block_rows: int, minima: Column, maxima: Column, nan_flags: Uint8Array) -> None:
        for block in range(len(minima)):
            start = block * block_rows
            rows = column[start : min(start + block_rows, len(column))]
            least, greatest = extremes(rows)
            holds_nan = least < negative_infinity or greatest > infinity
            if holds_nan:
                least, greatest = extremes_beside_nan(rows)
            minima[block], maxima[block], nan_flags[block] = ordered(least), ordered(greatest), holds_nan

    return zones


def _types(value: types.Type) -> tuple[types.Type, ...]:
    out = array_type(value, readonly=False)
    return array_type(value), types.int64, out, out, array_type(types.uint8, readonly=False)


def _types_of_bits(value: types.Type) -> tuple[types.Type, ...]:
    return _types(from_dtype(_BITS[value]))


def _types_of_integers(value: types.Type) -> tuple[types.Type, ...]:
    return _types(types.uint8 if value == types.boolean else value)


_BITS: Any = {types.float32: np.dtype(np.int32), types.float64: np.dtype(np.int64)}
_INTEGERS = KernelByDtype(_zones, plain_zones, _types_of_integers)
_FLOATS = {bits.itemsize: KernelByDtype(_float_zones(bits), plain_zones, _types_of_bits) for bits in _BITS.values()}


def zones(column: Column, block_rows: int, minima: Column, maxima: Column, nan_flags: Uint8Array) -> None:
    """Write minimum, maximum and NaN flag (uint8) of every block of `block_rows` rows, the last one shorter."""
    dtype = column.dtype
    kernel = _FLOATS[dtype.itemsize][dtype] if dtype.kind == "f" else _INTEGERS[dtype]
    kernel(column, block_rows, minima, maxima, nan_flags)
