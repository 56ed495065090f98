"""Zones: compiled == numpy == a loop, in numbers (either zero may stand for the other)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fastk.kernels import compiled, plain
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import DTYPES, read_only

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
floats = pytest.mark.parametrize("dtype", [np.dtype("f4"), np.dtype("f8")], ids=str)


def zones_of(kernels: Kernels, column: Any, block_rows: int) -> list[tuple[Any, Any, int]]:
    blocks = -(-len(column) // block_rows)
    minima, maxima = np.empty(blocks, dtype=column.dtype), np.empty(blocks, dtype=column.dtype)
    nan_flags = np.full(blocks, 7, dtype=np.uint8)
    kernels.zones(read_only(column), block_rows, minima, maxima, nan_flags)
    return list(zip(minima.tolist(), maxima.tolist(), nan_flags.tolist(), strict=True))


def expected_zones(column: Any, block_rows: int) -> list[tuple[Any, Any, int]]:
    zones = []
    for start in range(0, len(column), block_rows):
        values = column[start : start + block_rows].tolist()
        numbers = [value for value in values if value == value] or [math.nan]
        zones.append((min(numbers), max(numbers), int(any(value != value for value in values))))
    return zones


def assert_zones(kernels: Kernels, column: Any, block_rows: int) -> None:
    for actual, expected in zip(zones_of(kernels, column, block_rows), expected_zones(column, block_rows), strict=True):
        assert actual == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


@pytest.mark.slow
@both
@every_dtype
@settings(deadline=None, max_examples=25)
@given(data=st.data(), block_rows=st.integers(1, 12))
def test_zones(kernels: Kernels, dtype: np.dtype[Any], data: st.DataObject, block_rows: int) -> None:
    column = data.draw(arrays.arrays(dtype, st.integers(0, 40)))
    assert_zones(kernels, column, block_rows)


@both
@every_dtype
@pytest.mark.parametrize("block_rows", [7, 64, 5_000])
def test_extremes_at_any_place_of_a_block(kernels: Kernels, dtype: np.dtype[Any], block_rows: int) -> None:
    limits = (False, True) if dtype.kind == "b" else (-math.inf, math.inf)
    if dtype.kind in "iu":
        limits = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for rows in (1, 2, 63, 65, 300):
        for place in sorted({0, rows // 3, rows // 2, rows - 1}):
            for limit in limits:
                column = np.ones(rows, dtype=dtype)
                column[place] = limit
                assert_zones(kernels, column, block_rows)


@both
@floats
@pytest.mark.parametrize("rows", [1, 2, 5, 64, 300])
def test_nan_is_skipped_wherever_it_stands(kernels: Kernels, dtype: np.dtype[Any], rows: int) -> None:
    for place in sorted({0, rows // 2, rows - 1}):
        for nan in (math.nan, -math.nan):
            column = np.linspace(-3, 5, rows).astype(dtype)
            column[place] = nan
            assert_zones(kernels, column, 64)


@both
@floats
def test_blocks_of_nan_alone_have_nan_zones(kernels: Kernels, dtype: np.dtype[Any]) -> None:
    column = np.full(30, math.nan, dtype=dtype)
    column[10:20] = [math.inf, -math.inf] * 5
    first, second, third = zones_of(kernels, column, 10)
    assert second == (-math.inf, math.inf, 0)
    for block in (first, third):
        assert math.isnan(block[0])
        assert math.isnan(block[1])
        assert block[2] == 1


@both
@floats
def test_zeros_of_both_signs_are_equal(kernels: Kernels, dtype: np.dtype[Any]) -> None:
    assert zones_of(kernels, np.array([0.0, -0.0, 0.0], dtype=dtype), 3) == [(0, 0, 0)]
    assert zones_of(kernels, np.array([-0.0, 5e-45], dtype=dtype), 3)[0][0] == 0


@both
@floats
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_zones_of_any_bits(kernels: Kernels, dtype: np.dtype[Any], data: st.DataObject) -> None:
    bits = data.draw(arrays.arrays(f"u{dtype.itemsize}", st.integers(1, 20)))
    assert_zones(kernels, bits.view(dtype), 6)


@both
@floats
@pytest.mark.parametrize("place", range(3))
def test_a_signalling_nan_hides_no_value(kernels: Kernels, dtype: np.dtype[Any], place: int) -> None:
    column = np.array([-5, 7, 6], dtype)
    column.view(f"u{dtype.itemsize}")[place] = np.array(math.inf, dtype).view(f"u{dtype.itemsize}") + 1
    assert_zones(kernels, column, 3)


@both
@every_dtype
def test_no_rows_no_zones(kernels: Kernels, dtype: np.dtype[Any]) -> None:
    assert zones_of(kernels, np.empty(0, dtype=dtype), 4) == []


@both
@floats
def test_the_zone_of_nan_alone_is_one_of_them_bit_by_bit(kernels: Kernels, dtype: np.dtype[Any]) -> None:
    """Zones are written to the disk, and the same rows make the same file."""
    column = np.full(20, math.nan, dtype=dtype)
    minima, maxima = np.empty(2, dtype), np.empty(2, dtype)
    kernels.zones(read_only(column), 10, minima, maxima, np.empty(2, dtype=np.uint8))
    assert {minima.tobytes(), maxima.tobytes()} == {column[:2].tobytes()}


@both
@floats
def test_no_zone_is_a_signalling_nan(kernels: Kernels, dtype: np.dtype[Any]) -> None:
    """Spans are made of zones by fmin, behind which a signalling NaN hides values."""
    column = np.full(4, math.inf, dtype)
    column.view(f"u{dtype.itemsize}")[:] += 1
    minima, maxima = np.empty(2, dtype), np.empty(2, dtype)
    kernels.zones(read_only(column), 2, minima, maxima, np.empty(2, dtype=np.uint8))
    assert np.fmin.reduce(np.append(minima, 1)) == np.fmax.reduce(np.append(maxima, 1)) == 1
