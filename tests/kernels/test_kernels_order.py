"""Order checks: compiled == numpy == a loop."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import read_only

LEAST, GREATEST = -(2**63), 2**63 - 1
INT64 = st.integers(-4, 4) | st.integers(LEAST, GREATEST) | st.sampled_from([LEAST, GREATEST])

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
strictness = pytest.mark.parametrize("strict", [False, True])


def expected_disorder(ts: list[int], strict: bool) -> int:
    pairs = enumerate(pairwise(ts), start=1)
    return next((row for row, (earlier, later) in pairs if later < earlier or (strict and later == earlier)), -1)


@both
@strictness
@settings(deadline=None, max_examples=60)
@given(ts=st.lists(INT64, max_size=40) | st.lists(INT64, max_size=40).map(sorted))
def test_first_disorder(kernels: Kernels, strict: bool, ts: list[int]) -> None:
    column = read_only(np.array(ts, dtype=np.int64))
    assert kernels.first_disorder(column, strict) == expected_disorder(ts, strict)


@both
@strictness
@pytest.mark.parametrize("rows", [4_096, 4_097, 4_098, 65_536, 65_537, 65_538])
def test_every_row_is_compared_with_the_one_before(kernels: Kernels, strict: bool, rows: int) -> None:
    assert kernels.first_disorder(read_only(np.arange(rows)), strict) == -1
    near_joints = {row + shift for row in (1, 4_096, 8_192, 65_536, rows) for shift in (-2, -1, 0, 1)}
    for row in sorted(row for row in near_joints if 0 < row < rows):
        for value, disorder in ((row - 1, row if strict else -1), (row - 2, row)):
            ts = np.arange(rows)
            ts[row] = value
            ts[-1] = rows if row < rows - 1 else ts[-1]
            assert kernels.first_disorder(read_only(ts), strict) == disorder


@both
def test_the_first_of_many_is_found(kernels: Kernels) -> None:
    assert kernels.first_disorder(read_only(np.arange(70_000)[::-1].copy()), False) == 1
    assert kernels.first_disorder(read_only(np.zeros(70_000, dtype=np.int64)), True) == 1
    assert kernels.first_disorder(read_only(np.zeros(70_000, dtype=np.int64)), False) == -1
