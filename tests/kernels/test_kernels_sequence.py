"""Breaks in sequences: compiled == numpy == python's own integers, for every integer dtype and at its ends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import INTEGERS, read_only

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
every_integer = pytest.mark.parametrize("dtype", INTEGERS, ids=str)
UNTOUCHED = -77


def expected_breaks(values: list[int]) -> list[list[int]]:
    """Rows of gaps, duplicates and violations."""
    steps = [(row, later - earlier) for row, (earlier, later) in enumerate(pairwise(values), 1)]
    gaps, duplicates = [row for row, step in steps if step > 1], [row for row, step in steps if step == 0]
    return [gaps, duplicates, [row for row, step in steps if step < 0]]


def found_breaks(kernels: Kernels, values: Any, room: int) -> tuple[list[int], list[list[int]]]:
    counts = np.full(3, UNTOUCHED)
    lists = np.full((3, room), UNTOUCHED)
    kernels.sequence_breaks(read_only(values), counts, *lists)
    assert all((rows[count:] == UNTOUCHED).all() for rows, count in zip(lists, counts.tolist(), strict=True))
    return counts.tolist(), [rows[:count].tolist() for rows, count in zip(lists, counts.tolist(), strict=True)]


def assert_breaks(kernels: Kernels, values: Any, room: int) -> None:
    expected = expected_breaks(values.tolist())
    assert found_breaks(kernels, values, room) == ([len(rows) for rows in expected], [rows[:room] for rows in expected])


@pytest.mark.slow
@both
@every_integer
@settings(deadline=None, max_examples=60)
@given(data=st.data(), room=st.integers(0, 6))
def test_every_break_is_found_and_the_first_are_listed(kernels: Kernels, dtype: Any, data: Any, room: int) -> None:
    least, greatest = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    ends = [least, least + 1, greatest - 1, greatest]
    value = st.integers(max(least, 1), 6) | st.integers(least, greatest) | st.sampled_from(ends)
    assert_breaks(kernels, np.array(data.draw(st.lists(value, max_size=20)), dtype), room)


@both
@every_integer
def test_the_widest_steps_of_a_dtype_are_gaps(kernels: Kernels, dtype: Any) -> None:
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = np.array([least, greatest, least, greatest - 1, greatest, greatest, least, least + 1, least + 3], dtype)
    assert_breaks(kernels, values, 9)


@both
@pytest.mark.parametrize("row", [1, 2, 4_095, 4_096, 4_097, 8_192, 8_193, 9_999])
def test_a_break_is_found_at_every_place(kernels: Kernels, row: int) -> None:
    for shift in (1, -1, -2):
        values = np.arange(10_000)
        values[row:] += shift
        assert_breaks(kernels, values, 3)


@both
@every_integer
def test_from_the_greatest_value_to_the_least_is_a_violation(kernels: Kernels, dtype: Any) -> None:
    """The difference of the two wraps around to 1."""
    limits = np.iinfo(dtype)
    assert_breaks(kernels, np.array([limits.max - 1, limits.max, limits.min, limits.min + 1], dtype), 2)
