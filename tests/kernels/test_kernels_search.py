"""Searches and the copies that follow them: compiled == numpy == bisect and slices."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import DTYPES, read_only

LEAST, GREATEST = -(2**63), 2**63 - 1
INT64 = st.integers(-4, 4) | st.integers(LEAST, GREATEST) | st.sampled_from([LEAST, LEAST + 1, GREATEST - 1, GREATEST])
COLUMN_DTYPES = [*DTYPES, np.dtype("S1"), np.dtype("S7")]

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
examples = settings(deadline=None, max_examples=60)


def int64(values: Any) -> Any:
    return read_only(np.array(values, dtype=np.int64))


def expected_bounds(ts: list[int], start: int, end: int) -> tuple[int, int]:
    lo = bisect_left(ts, start)
    return lo, max(lo, bisect_right(ts, end))


@both
@examples
@given(ts=st.lists(INT64, max_size=80).map(sorted), start=INT64, end=INT64)
def test_bounds(kernels: Kernels, ts: list[int], start: int, end: int) -> None:
    assert kernels.bounds(int64(ts), start, end) == expected_bounds(ts, start, end)


@both
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 31, 32, 33, 34, 160, 161, 700, 5_000])
def test_bounds_at_every_distance(kernels: Kernels, rows: int) -> None:
    values = np.sort(np.random.default_rng(rows).integers(0, max(1, rows // 2), rows))
    ts, oracle = int64(values), values.tolist()
    for start in sorted({-1, 0, 1, rows // 9, rows // 4}):
        for end in sorted({-1, 0, start - 1, start, start + 1, start + 15, start + 65, rows // 3, rows}):
            lo, hi = kernels.bounds(ts, start, end)
            assert (lo, hi) == expected_bounds(oracle, start, end)
            assert type(lo) is type(hi) is int


def times_of(shape: str, rows: int) -> Any:
    """Sorted times: near the line from the first to the last, or anywhere beside it."""
    random = np.random.default_rng(rows)
    match shape:
        case "grid":
            return np.arange(rows) * 60_000
        case "gaps":
            return np.sort(random.choice(rows + rows // 14, rows, replace=False)) * 60_000
        case "bursts":
            return np.cumsum(np.where(random.random(rows) < 0.02, random.pareto(1.1, rows) * 1e5, 0).astype(np.int64))
        case "two days of a year":
            return np.sort(
                np.where(random.random(rows) < 0.5, 0, 31_000_000_000) + random.integers(0, 86_400_000, rows)
            )
        case "far apart":
            return np.sort(random.integers(LEAST, GREATEST, rows))
        case "close together":  # a float does not tell them apart
            return np.sort(GREATEST - random.integers(0, 9, rows))
    raise AssertionError(shape)


SHAPES = ["grid", "gaps", "bursts", "two days of a year", "far apart", "close together"]


@both
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1_023, 1_024, 1_025, 1_152, 10_000])
def test_long_columns_of_any_shape(kernels: Kernels, shape: str, rows: int) -> None:
    """There compiled searches guess where a time lies."""
    ts, random = read_only(times_of(shape, rows)), np.random.default_rng(0)
    oracle, stored = ts.tolist(), random.choice(ts, 60).tolist()
    keys = [oracle[0], oracle[1], oracle[-2], oracle[-1], LEAST, GREATEST, *stored]
    keys += [min(max(key + step, LEAST), GREATEST) for key in stored[:30] for step in (-1, 1)]
    for key in keys:
        row = bisect_left(oracle, key)
        is_stored = row < rows and oracle[row] == key
        assert kernels.find(ts, key, ts.reshape(-1, 1)) == (row if is_stored else -1)
        behind = [oracle[min(row + further, rows - 1)] for further in (0, 1, 31, 32, 33, 129, 1_000, rows)]
        for end in (key, *behind, GREATEST):
            assert kernels.bounds(ts, key, end) == expected_bounds(oracle, key, end)


@pytest.mark.parametrize("seed", range(40))
def test_times_out_of_order_are_searched_within_their_column(seed: int) -> None:
    """Such as a damaged column may have that is not verified. What is found is then anything."""
    random = np.random.default_rng(seed)
    ts = read_only(random.integers(LEAST, GREATEST, 5_000))
    for key in random.choice(ts, 30).tolist():
        assert -1 <= compiled.find(ts, key, ts.reshape(-1, 1)) < 5_000
        assert all(0 <= bound <= 5_000 for bound in compiled.bounds(ts, key, min(key + 1_000, GREATEST)))


@both
@examples
@given(ts=st.lists(INT64, max_size=80).map(sorted), key=INT64, columns=st.integers(0, 3))
def test_find(kernels: Kernels, ts: list[int], key: int, columns: int) -> None:
    table = np.empty((len(ts), columns), np.int64)
    assert kernels.find(int64(ts), key, read_only(table)) == (ts.index(key) if key in ts else -1)


@both
def test_bounds_of_equal_ts_and_of_crossed_ends(kernels: Kernels) -> None:
    ts = int64([7] * 1_000)
    assert kernels.bounds(ts, 7, 7) == (0, 1_000)
    assert kernels.bounds(ts, LEAST, GREATEST) == (0, 1_000)
    assert kernels.bounds(ts, 8, 6) == (1_000, 1_000)
    assert kernels.bounds(ts, 7, 6) == (0, 0)
    assert kernels.bounds(int64([]), 0, 0) == (0, 0)


def test_compiled_bounds_takes_writable_arrays_and_numpy_integers() -> None:
    ts = np.arange(100, dtype=np.int64)
    assert compiled.bounds(ts, np.int64(3), np.int64(5)) == (3, 6)
    assert compiled.bounds(ts[10:20], 12, 13) == (2, 4)


def test_compiled_bounds_refuses_what_is_not_its_own() -> None:
    ts = np.arange(100, dtype=np.int64)
    with pytest.raises(TypeError):
        compiled.bounds([1, 2, 3], 1, 2)
    with pytest.raises(TypeError):
        compiled.bounds(ts.astype(np.int32), 1, 2)
    with pytest.raises(OverflowError):
        compiled.bounds(ts, 1, 2**63)


@both
@examples
@given(ts=st.lists(INT64, max_size=80).map(sorted), keys=st.lists(INT64, max_size=80))
def test_batch_bounds(kernels: Kernels, ts: list[int], keys: list[int]) -> None:
    out = np.empty(len(keys), dtype=np.int64)
    kernels.lower_bounds(int64(ts), int64(keys), out)
    assert out.tolist() == [bisect_left(ts, key) for key in keys]
    kernels.upper_bounds(int64(ts), int64(keys), out)
    assert out.tolist() == [bisect_right(ts, key) for key in keys]


@both
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 1_000])
def test_batch_bounds_around_their_blocks(kernels: Kernels, count: int) -> None:
    for rows in (0, 1, 2, 1_023, 1_024, 1_025):
        random = np.random.default_rng(rows + count)
        ts = np.sort(random.integers(0, 600, rows))
        shuffled = random.integers(-3, 603, count)
        for keys in (shuffled, np.sort(shuffled)):
            out = np.full(count, -1, dtype=np.int64)
            kernels.lower_bounds(read_only(ts), read_only(keys), out)
            assert out.tolist() == np.searchsorted(ts, keys, "left").tolist()
            kernels.upper_bounds(read_only(ts), read_only(keys), out)
            assert out.tolist() == np.searchsorted(ts, keys, "right").tolist()


def column_of(dtype: np.dtype[Any], rows: int, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).integers(0, 2 if dtype.kind == "b" else 100, rows)
    return read_only(values.astype(dtype))


@both
@pytest.mark.parametrize("dtype", COLUMN_DTYPES, ids=str)
def test_take(kernels: Kernels, dtype: np.dtype[Any]) -> None:
    column = column_of(dtype, 40)
    for count in (0, 1, 50):
        random = np.random.default_rng(count)
        rows, targets = int64(random.integers(0, 40, count)), int64(random.permutation(60)[:count])
        out, expected = column_of(dtype, 60, 1).copy(), column_of(dtype, 60, 1).copy()
        for row, target in zip(rows.tolist(), targets.tolist(), strict=True):
            expected[target] = column[row]
        kernels.take(column, rows, targets, out)
        assert out.tobytes() == expected.tobytes()


def test_compiled_copies_take_writable_arrays_and_refuse_other_item_sizes() -> None:
    rows, out = np.arange(4), np.zeros(4)
    compiled.take(np.arange(4.0), rows, rows, out)
    assert out.tolist() == [0, 1, 2, 3]
    compiled.copy_ranges(np.arange(9.0), rows[:1], rows[3:], rows[1:2], out)
    assert out.tolist() == [0, 0, 1, 2]
    with pytest.raises(TypeError):
        compiled.take(np.arange(4.0), rows.astype(np.int32), rows, out)
    with pytest.raises(TypeError):
        compiled.take(np.arange(4.0), rows, rows, out.astype(np.float32))


@pytest.mark.parametrize("name", ["take", "copy_ranges"])
def test_copies_keep_every_bit_of_a_float(name: str) -> None:
    bits = [0x7FF8000000000001, 0xFFF0000000000000, 0x8000000000000000, 1]
    column = read_only(np.array(bits, dtype=np.uint64).view(np.float64))
    for kernels in (plain, compiled):
        out = np.zeros(4)
        if name == "take":
            kernels.take(column, int64(range(4)), int64(range(4)), out)
        else:
            kernels.copy_ranges(column, int64([0]), int64([4]), int64([0]), out)
        assert out.view(np.uint64).tolist() == bits


@both
@pytest.mark.parametrize("dtype", COLUMN_DTYPES, ids=str)
@pytest.mark.parametrize(("longest", "count"), [(0, 9), (3, 0), (3, 9), (300, 1), (300, 9)])
def test_copy_ranges(kernels: Kernels, dtype: np.dtype[Any], longest: int, count: int) -> None:
    random = np.random.default_rng(longest)
    column = column_of(dtype, 400)
    lengths = random.integers(0, longest + 1, count)
    los = random.integers(0, 400 - lengths + 1)
    order = random.permutation(count)
    offsets = np.empty(count, dtype=np.int64)
    offsets[order] = np.cumsum(lengths[order]) - lengths[order] + 2
    rows = int(lengths.sum()) + 5
    out, expected = column_of(dtype, rows, 1).copy(), column_of(dtype, rows, 1).copy()
    for lo, length, offset in zip(los.tolist(), lengths.tolist(), offsets.tolist(), strict=True):
        expected[offset : offset + length] = column[lo : lo + length]
    kernels.copy_ranges(column, int64(los), int64(los + lengths), int64(offsets), out)
    assert out.tobytes() == expected.tobytes()


@both
@examples
@given(ts=st.lists(INT64, max_size=80).map(sorted), keys=st.lists(INT64, max_size=150))
def test_the_first_row_of_each_key(kernels: Kernels, ts: list[int], keys: list[int]) -> None:
    out = np.full(len(keys) + 1, 99)
    kernels.find_many(int64(ts), int64(keys), out[:-1])
    assert out.tolist() == [*(ts.index(key) if key in ts else -1 for key in keys), 99]


@both
@examples
@given(groups=st.lists(st.integers(0, 9), max_size=80), more=st.sampled_from([1, 5, 70_000]))
def test_items_by_their_group_in_their_order(kernels: Kernels, groups: list[int], more: int) -> None:
    out = np.full(len(groups) + 1, 99)
    kernels.group_order(int64(groups), max(groups, default=0) + more, out[:-1])
    assert out.tolist() == [*sorted(range(len(groups)), key=groups.__getitem__), 99]
