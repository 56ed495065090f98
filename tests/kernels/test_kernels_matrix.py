"""Aligning times and filling matrices: compiled == numpy == loops of Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import DTYPES, MATRIX_DTYPES, read_only

LEAST, GREATEST = -(2**63), 2**63 - 1
FARTHEST = GREATEST - LEAST
INT64 = st.integers(-6, 6) | st.integers(LEAST, GREATEST) | st.sampled_from([LEAST, LEAST + 1, GREATEST])
SORTED = st.lists(INT64, max_size=60).map(sorted)
GRID = st.lists(INT64, max_size=60, unique=True).map(sorted)

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
examples = settings(deadline=None, max_examples=60)


def int64(values: Any) -> Any:
    return read_only(np.array(values, dtype=np.int64))


@both
@pytest.mark.parametrize("rows", [0, 1, 4_095, 4_096, 4_097, 9_000])
def test_equal_sees_a_difference_in_any_row(kernels: Kernels, rows: int) -> None:
    values = np.random.default_rng(rows).integers(LEAST, GREATEST, rows)
    assert kernels.equal(int64(values), int64(values))
    for row in {0, rows // 2, rows - 1} if rows else ():
        other = values.copy()
        other[row] ^= 1 << (row % 63)
        assert not kernels.equal(int64(values), int64(other))


@both
@examples
@given(one=SORTED, other=SORTED)
def test_unite_and_intersect_are_those_of_sets(kernels: Kernels, one: list[int], other: list[int]) -> None:
    out = np.empty(len(one) + len(other), np.int64)
    assert out[: kernels.unite(int64(one), int64(other), out)].tolist() == sorted({*one, *other})
    assert out[: kernels.intersect(int64(one), int64(other), out)].tolist() == sorted({*one} & {*other})


@both
@examples
@given(ts=SORTED, grid=GRID, reach=st.integers(0, 5) | st.integers(0, FARTHEST) | st.just(FARTHEST))
def test_align_takes_the_last_row_in_reach(kernels: Kernels, ts: list[int], grid: list[int], reach: int) -> None:
    expected = []
    for key in grid:
        before = [row for row, value in enumerate(ts) if value <= key]
        expected.append(7 + before[-1] if before and key - ts[before[-1]] <= reach else -1)
    rows = np.empty(len(grid), np.int64)
    assert kernels.align(int64(ts), int64(grid), 7, np.uint64(reach), rows) == sum(row >= 0 for row in expected)
    assert rows.tolist() == expected


@both
@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1_000])
def test_align_at_every_density(kernels: Kernels, step: int) -> None:
    ts, grid = int64(np.arange(5_000) * 3), int64(np.arange(-10, 16_000, step))
    rows = np.empty(grid.size, np.int64)
    kernels.align(ts, grid, 0, np.uint64(FARTHEST), rows)
    assert rows.tolist() == (np.searchsorted(ts, grid, "right") - 1).tolist()


@both
@examples
@given(
    rows=st.lists(st.integers(-1, 3), max_size=40),
    limit=st.integers(1, 5) | st.just(GREATEST),
    last=st.integers(-1, 9),
    age=st.integers(0, 6),
    cut=st.integers(0, 40),
)
def test_carry_forward_in_one_call_or_two(
    kernels: Kernels, rows: list[int], limit: int, last: int, age: int, cut: int
) -> None:
    expected, row_before, steps = [], last, age
    for row in rows:
        row_before, steps = (row, 0) if row >= 0 else (row_before, steps + 1)
        expected.append(row_before if row_before >= 0 and steps <= limit else -1)
    whole = np.array(rows, np.int64)
    assert kernels.carry_forward(limit, last, age, whole) == (row_before, steps)
    parts = np.array(rows, np.int64)
    kernels.carry_forward(limit, *kernels.carry_forward(limit, last, age, parts[:cut]), parts[cut:])
    assert whole.tolist() == parts.tolist() == expected


def columns_of(dtypes: list[np.dtype[Any]], rows: int, seed: int) -> list[Any]:
    """Values over the whole range of each dtype."""
    random = np.random.default_rng(seed)
    columns = []
    for dtype in dtypes:
        bits = random.integers(0, 256, rows * dtype.itemsize).astype(np.uint8)
        values = bits.view(dtype) if dtype.kind != "b" else bits % 2 == 1
        columns.append(read_only(values.astype(dtype)))
    return columns


def expected_value(value: Any, divisor: float, dtype: np.dtype[Any]) -> Any:
    with np.errstate(all="ignore"):
        if dtype.kind == "i":
            return np.int64(value)
        return (np.float64(value) if divisor == 1 else np.float64(value) / divisor).astype(dtype)


@both
@pytest.mark.parametrize("dtype", MATRIX_DTYPES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 150])
@pytest.mark.parametrize("by_rows", [True, False], ids=["TF", "FT"])
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast", "ignore:overflow encountered in cast")
def test_fills_of_every_dtype(kernels: Kernels, dtype: np.dtype[Any], count: int, by_rows: bool) -> None:
    sources = [each for each in DTYPES if dtype.kind == "f" or each.kind not in "f"]
    sources = [*sources, *sources]
    columns = columns_of(sources, 200, count)
    random = np.random.default_rng(count)
    divisors = np.ones(len(columns)) if dtype.kind == "i" else random.choice([1.0, 3.0, 10_000.0], len(columns))
    divisors = np.where([each.kind == "f" for each in sources], 1.0, divisors)
    # Two columns of the output belong to nobody, and places are in any order beside a run of neighbours.
    width = len(columns) + 2
    places = np.concatenate([np.arange(8), 8 + random.permutation(len(columns) - 8)])
    row_step, column_step = (width, 1) if by_rows else (1, count)
    rows = np.where(random.random(count) < 0.3, -1, 40 + np.sort(random.integers(0, 200, count)))
    fill = dtype.type(-7)
    spread, gathered = np.full(width * count, 99, dtype), np.full(width * count, 99, dtype)
    expected_spread, expected_gathered = spread.copy(), gathered.copy()
    for place, column, divisor in zip(places.tolist(), columns, divisors.tolist(), strict=True):
        for row in range(count):
            target = place * column_step + row * row_step
            expected_spread[target] = expected_value(column[20 + row], divisor, dtype)
            source = rows[row] - 40
            expected_gathered[target] = fill if rows[row] < 0 else expected_value(column[source], divisor, dtype)
    bundle, steps = kernels.bundle(columns), int64(places * column_step)
    kernels.spread(bundle, 20, count, read_only(divisors), steps, row_step, spread)
    kernels.gather(bundle, 40, rows, read_only(divisors), fill, steps, row_step, gathered)
    np.testing.assert_array_equal(spread, expected_spread)
    np.testing.assert_array_equal(gathered, expected_gathered)


@both
def test_gather_without_any_row_reads_nothing(kernels: Kernels) -> None:
    out = np.zeros(6)
    bundle = kernels.bundle([read_only(np.empty(0, np.int64)), read_only(np.empty(0, np.float32))])
    kernels.gather(bundle, 0, np.full(3, -1), read_only(np.ones(2)), np.nan, int64([0, 1]), 2, out)
    assert np.isnan(out).all()


@both
def test_floats_keep_every_bit(kernels: Kernels) -> None:
    bits = [0x7FF8000000000001, 0xFFF0000000000000, 0x8000000000000000, 1]
    column = read_only(np.array(bits, np.uint64).view(np.float64))
    out = np.zeros(4)
    kernels.spread(kernels.bundle([column]), 0, 4, read_only(np.ones(1)), int64([0]), 1, out)
    assert out.view(np.uint64).tolist() == bits
