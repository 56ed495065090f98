"""Matches of many chunks from their value indexes: compiled == numpy == every value compared with every range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_selection import assert_guards, belongs, both, guarded, pool_of, ranges_of

from fastk.kernels import compiled
from fastk.kernels.codes import EMPTY, UNREACHED
from fastk.kernels.samples import DTYPES, NUMBERS, read_only

every_number = pytest.mark.parametrize("dtype", NUMBERS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [*DTYPES, np.dtype("S3")], ids=str)
examples = settings(deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)


def index_of(column):
    """The value index of a column: its numbers in order, and their rows."""
    order = np.argsort(column, kind="stable")
    order = order[column[order] == column[order]]
    return read_only(column[order]), read_only(order.astype(np.uint32))


def random_chunks(random, dtype, count):
    """Columns of 1 to 300 rows, and a window in each; some windows are empty, some columns of one value."""
    columns = [random.choice(pool_of(dtype)[-random.integers(1, 60) :], random.integers(1, 300)) for _ in range(count)]
    windows = [np.sort(random.integers(0, len(column) + 1, 2)) for column in columns]
    begins, ends = np.array(windows, np.int64).reshape(-1, 2).T
    whole = random.random(count) < 0.3
    begins, ends = np.where(whole, 0, begins), np.where(whole, [len(column) for column in columns], ends)
    return columns, read_only(begins), read_only(ends)


def expected_count(column, begin, end, lows, highs):
    numbers = column[column == column]
    if begin >= end:
        return EMPTY
    if not numbers.size or not ((lows <= numbers.max()) & (highs >= numbers.min())).any():
        return UNREACHED
    return np.count_nonzero(belongs(column, lows, highs, False)[begin:end])


@pytest.mark.slow
@both
@every_number
@examples
@given(seed=SEEDS, count=st.integers(1, 5), ranges=st.integers(1, 12))
def test_rows_in_ranges_chunk_by_chunk(kernels, dtype, seed, count, ranges):
    random = np.random.default_rng(seed)
    columns, begins, ends = random_chunks(random, dtype, count)
    lows, highs = ranges_of(random, dtype, ranges)
    find = kernels.finder(*map(list, zip(*map(index_of, columns), strict=True)))
    out, whole = guarded(sum(map(len, columns)), np.uint32)
    counts, whole_counts = guarded(count, np.int64)
    found = find(begins, ends, lows, highs, counts, out)
    windows = list(zip(columns, begins, ends, strict=True))
    assert counts.tolist() == [expected_count(*window, lows, highs) for window in windows]
    named = [begin + np.flatnonzero(belongs(column, lows, highs, False)[begin:end]) for column, begin, end in windows]
    assert out[:found].tolist() == np.concatenate(named).tolist()
    assert_guards(whole)
    assert_guards(whole_counts)
    picked, whole = guarded(found, dtype)
    kernels.picker(columns)(read_only(counts), read_only(out[:found]), picked)
    np.testing.assert_array_equal(
        picked, np.concatenate([column[row] for column, row in zip(columns, named, strict=True)])
    )
    assert_guards(whole)


@both
@pytest.mark.parametrize("matches", [[1, 3, 0, 2], [40, 4_000, 39, 1_000], [0, 9_000, 0, 1]])
def test_few_and_many_rows_of_long_chunks_take_turns(kernels, matches):
    """Few are ordered another way, in memory that many leave behind."""
    random = np.random.default_rng(len(matches))
    columns = [random.permutation(10_000) + 10_000 * (count == 0) for count in matches]
    bounds = read_only(np.array([0])), read_only(np.array([7_000]))
    begins, ends = read_only(np.array([0, 63, 64, 4_999])), read_only(np.array([10_000, 9_999, 8_000, 9_000]))
    for column, count, begin, end in zip(columns, matches, begins, ends, strict=True):
        column[column >= count] += 10_000  # so many are below
        if count:
            column[[begin - 1, begin, end - 1, end % 10_000]] = 0  # and those at the borders, within and without
    find = kernels.finder(*map(list, zip(*map(index_of, columns), strict=True)))
    counts, (out, whole) = np.empty(4, np.int64), guarded(40_000, np.uint32)
    found = find(begins, ends, *bounds, counts, out)
    named = [
        begin + np.flatnonzero(column[begin:end] <= 7_000)
        for column, begin, end in zip(columns, begins, ends, strict=True)
    ]
    assert out[:found].tolist() == np.concatenate(named).tolist()
    assert np.maximum(counts, 0).tolist() == [len(each) for each in named]
    assert_guards(whole)


@both
@pytest.mark.parametrize("dtypes", [(), (np.int64, np.uint8), (np.float32,)], ids=str)
def test_chunks_of_different_lengths_are_searched_in_step(kernels, dtypes):
    """Around blocks of 32 entries and powers of them; values that lie before, among and behind the ranges.

    Whichever columns are asked for ahead.
    """
    lengths = [0, 1, 2, 31, 32, 33, 63, 64, 65, 1_023, 1_024, 1_025, 3_000]
    columns = [np.arange(length) * 3 + 100 * place for place, length in enumerate(lengths)]
    ahead = [[np.zeros(length, dtype) for length in lengths] for dtype in dtypes]
    find = kernels.finder(*map(list, zip(*map(index_of, columns), strict=True)), ahead)
    windows = read_only(np.zeros(len(lengths), np.int64)), read_only(np.array(lengths))
    for low, high in [(0, 0), (300, 300), (301, 302), (289, 420), (-9, 10**6), (1_297, 4_200), (10_200, 10_300)]:
        counts, out = np.empty(len(lengths), np.int64), np.empty(sum(lengths), np.uint32)
        found = find(*windows, read_only(np.array([low])), read_only(np.array([high])), counts, out)
        named = [np.flatnonzero((low <= column) & (column <= high)) for column in columns]
        assert np.maximum(counts, 0).tolist() == list(map(len, named))
        assert out[:found].tolist() == np.concatenate(named).tolist()


@pytest.mark.parametrize("seed", range(40))
def test_values_out_of_order_write_no_further_than_there_is_room(seed):
    """Such as an index may have that was not verified. What is found is then anything."""
    random = np.random.default_rng(seed)
    values = [read_only(random.integers(0, 1_000, 200)) for _ in range(6)]
    rows = [read_only(np.arange(200, dtype=np.uint32))] * 6
    windows = read_only(np.zeros(6, np.int64)), read_only(np.full(6, 200))
    (out, whole), (counts, whole_counts) = guarded(int(random.integers(1, 400)), np.uint32), guarded(6, np.int64)
    bounds = np.sort(random.integers(0, 1_000, 6))
    found = compiled.finder(values, rows)(*windows, read_only(bounds[::2]), read_only(bounds[1::2]), counts, out)
    assert -1 <= found <= len(out)
    assert_guards(whole)
    assert_guards(whole_counts)


@both
def test_more_entries_than_there_is_room_for(kernels):
    values, rows = index_of(np.array([5, 1, 5, 2, 5]))
    find = kernels.finder([values, values], [rows, rows])
    windows, five = (read_only(np.zeros(2, np.int64)), read_only(np.full(2, 5))), read_only(np.array([5]))
    counts = np.empty(2, np.int64)
    assert find(*windows, five, five, counts, np.empty(5, np.uint32)) == -1
    out, whole = guarded(6, np.uint32)
    assert find(*windows, five, five, counts, out) == 6
    assert out.tolist() == [0, 2, 4] * 2
    assert_guards(whole)


@both
def test_rows_beyond_the_window_are_passed_over_whatever_they_are(kernels):
    find = kernels.finder([read_only(np.zeros(4, np.int64))], [read_only(np.array([9, 2, 0, 7], np.uint32))])
    window, zero = (read_only(np.array([1])), read_only(np.array([3]))), read_only(np.array([0]))
    counts, out = np.empty(1, np.int64), np.empty(4, np.uint32)
    assert find(*window, zero, zero, counts, out) == 1
    assert out[0] == 2


@both
@every_dtype
def test_values_of_rows(kernels, dtype):
    columns = [read_only(np.array([each, each + 1, each + 2]).astype(dtype)) for each in (0, 3, 6)]
    out, whole = guarded(3, dtype)
    counts = read_only(np.array([2, EMPTY, 1]))
    kernels.picker(columns)(counts, read_only(np.array([0, 2, 1], np.uint32)), out)
    assert out.tolist() == [columns[0][0], columns[0][2], columns[2][1]]
    assert_guards(whole)
