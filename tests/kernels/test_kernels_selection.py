"""Selections: compiled == numpy == every row compared with every range; and nothing is written beside the outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain
from fastk.kernels.codes import ALL, NONE, SOME
from fastk.kernels.compiled.compact import compact_by_bits
from fastk.kernels.compiled.compile import kernel
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import DTYPES, NUMBERS, ZONE_DTYPES, read_only

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
every_number = pytest.mark.parametrize("dtype", NUMBERS, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [*DTYPES, np.dtype("S3")], ids=str)
examples = settings(deadline=None, max_examples=60)
SEEDS = st.integers(0, 2**32 - 1)
GUARD = 3


def guarded(count: int, dtype: Any) -> tuple[Any, Any]:
    """An output of `count` items in the midst of an array of other bytes, and that array."""
    dtype = np.dtype(dtype)
    whole = np.full((count + 2 * GUARD) * dtype.itemsize, 0xA5, dtype=np.uint8).view(dtype)
    return whole[GUARD : GUARD + count], whole


def assert_guards(whole: Any) -> None:
    assert set(whole[:GUARD].tobytes() + whole[-GUARD:].tobytes()) == {0xA5}


def pool_of(dtype: Any) -> Any:
    """Values that meet in columns and ranges: neighbours, and all that is special."""
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        special = [math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, limits.smallest_subnormal, -limits.tiny]
        return np.array([*special, limits.max, limits.min, *range(-20, 100)], dtype=dtype)
    limits = np.iinfo(dtype)
    negative = range(-20, 0) if dtype.kind == "i" else ()
    return np.array([limits.min, limits.min + 1, limits.max - 1, limits.max, *negative, *range(100)], dtype=dtype)


def ranges_of(random: Any, dtype: Any, count: int) -> tuple[Any, Any]:
    """Up to `count` ranges that ascend, apart from each other: points, wider ones, and adjacent ones."""
    edges = pool_of(dtype)
    edges = np.unique(edges[edges == edges])
    count = min(count, len(edges))
    starts = np.sort(random.choice(len(edges), count, replace=False))
    widest = np.diff(np.append(starts, len(edges)))
    stops = starts + random.integers(0, np.minimum(widest, 3))
    return read_only(edges[starts]), read_only(edges[stops])


def belongs(column: Any, lows: Any, highs: Any, negated: bool) -> Any:
    found = (lows[:, None] <= column) & (column <= highs[:, None])
    return found.any(axis=0) != negated


def words_of(mask: Any, start: int, stop: int) -> Any:
    """The words of a selection; `mask` has an entry for each row of the column."""
    base = start - start % 64
    bits = np.zeros(-(-(stop - base) // 64) * 64, dtype=bool)
    bits[start - base : stop - base] = mask[start:stop]
    return read_only(np.packbits(bits, bitorder="little").view(np.uint64))


def selection_words(start: int, stop: int) -> tuple[Any, Any]:
    return guarded((stop + 63) // 64 - start // 64, np.uint64)


def assert_scan(
    kernels: Kernels, column: Any, verdicts: Any, block_rows: int, start: int, stop: int, ranges: Any, negated: bool
) -> None:
    words, whole = selection_words(start, stop)
    count = kernels.scan(
        read_only(column), read_only(verdicts), block_rows, start, stop, ranges[0], ranges[1], negated, words
    )
    verdict = np.repeat(verdicts, block_rows)[: len(column)]
    mask = np.where(verdict == SOME, belongs(column, *ranges, negated), verdict == ALL)
    assert words.tolist() == words_of(mask, start, stop).tolist()
    assert count == np.count_nonzero(mask[start:stop])
    assert type(count) is int
    assert_guards(whole)


@pytest.mark.slow
@both
@every_number
@examples
@given(
    seed=SEEDS,
    rows=st.integers(1, 700),
    block_rows=st.integers(1, 130) | st.integers(1, 5_000),
    count=st.integers(0, 6) | st.integers(0, 100),
    negated=st.booleans(),
    data=st.data(),
)
def test_scan(
    kernels: Kernels,
    dtype: Any,
    seed: int,
    rows: int,
    block_rows: int,
    count: int,
    negated: bool,
    data: st.DataObject,
) -> None:
    random = np.random.default_rng(seed)
    column = random.choice(pool_of(dtype), rows)
    verdicts = random.choice(np.array([NONE, SOME, SOME, ALL], dtype=np.uint8), -(-rows // block_rows))
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    assert_scan(kernels, column, verdicts, block_rows, start, stop, ranges_of(random, dtype, count), negated)


@both
@every_number
@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 100])
def test_scan_at_the_ends_of_words_and_strides(kernels: Kernels, dtype: Any, count: int) -> None:
    random = np.random.default_rng(count)
    ranges = ranges_of(random, dtype, count)
    for rows in (1, 63, 64, 65, 128, 4_095, 4_096, 4_161, 8_300):
        column = random.choice(pool_of(dtype), rows)
        for start, stop in {(0, rows), (rows // 3, rows), (0, rows - rows // 5), (rows - 1, rows)}:
            verdicts = np.full(-(-rows // 4_096), SOME, dtype=np.uint8)
            assert_scan(kernels, column, verdicts, 4_096, start, stop, ranges, bool(rows % 2))


@both
@pytest.mark.parametrize("code", ["i2", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("count", [64, 65, 128, 129, 256, 257, 1_000])
def test_scan_of_more_ranges_than_are_compared(kernels: Kernels, code: str, count: int) -> None:
    random = np.random.default_rng(count)
    lows = 2 * np.sort(random.choice(5_000, count, replace=False))
    ranges = read_only(lows.astype(code)), read_only((lows + random.integers(0, 2, count)).astype(code))
    column = random.integers(0, 10_100, 1_000).astype(code)
    if column.dtype.kind == "f":
        column[::7] = math.nan
    for negated in (False, True):
        assert_scan(kernels, column, np.array([SOME], dtype=np.uint8), 1_000, 3, 990, ranges, negated)


@both
@pytest.mark.parametrize("block_rows", [1, 7, 63, 64, 65, 256])
def test_scan_joins_runs_of_verdicts_at_any_row(kernels: Kernels, block_rows: int) -> None:
    random = np.random.default_rng(block_rows)
    column = random.integers(0, 10, 1_000)
    ranges = read_only(np.array([2, 7])), read_only(np.array([4, 7]))
    for verdicts in ([NONE], [ALL], [SOME], [SOME, NONE], [ALL, SOME], [ALL, NONE, SOME, SOME, ALL, ALL, NONE]):
        repeated = np.resize(np.array(verdicts, dtype=np.uint8), -(-1_000 // block_rows))
        for negated in (False, True):
            assert_scan(kernels, column, repeated, block_rows, 70, 961, ranges, negated)


@both
def test_scan_reads_no_blocks_that_zones_decide(kernels: Kernels) -> None:
    column = np.full(640, math.nan)
    verdicts = np.array([ALL, SOME, NONE, ALL, SOME], dtype=np.uint8)
    everything = read_only(np.array([-math.inf])), read_only(np.array([math.inf]))
    for negated in (False, True):
        assert_scan(kernels, column, verdicts, 128, 3, 637, everything, negated)


@both
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_zeros_of_both_signs_are_one_value(kernels: Kernels, dtype: str) -> None:
    column = np.array([0.0, -0.0, math.nan, 1.0] * 40, dtype=dtype)
    for zero in (0.0, -0.0):
        point = read_only(np.array([zero], dtype=dtype))
        assert_scan(kernels, column, np.array([SOME], dtype=np.uint8), 160, 0, 160, (point, point), False)


def expected_verdict(low: Any, high: Any, has_nan: bool, ranges: list[tuple[Any, Any]], negated: bool) -> int:
    if not any(lower <= high and low <= upper for lower, upper in ranges):
        return ALL if negated else NONE
    inside = not has_nan and any(lower <= low and high <= upper for lower, upper in ranges)
    return SOME if not inside else NONE if negated else ALL


@both
@pytest.mark.parametrize("dtype", ZONE_DTYPES, ids=str)
@examples
@given(
    seed=SEEDS,
    blocks=st.integers(0, 40),
    block_rows=st.integers(1, 5),
    count=st.integers(0, 50),
    negated=st.booleans(),
)
def test_prune(
    kernels: Kernels, dtype: Any, seed: int, blocks: int, block_rows: int, count: int, negated: bool
) -> None:
    random = np.random.default_rng(seed)
    column = random.choice(pool_of(dtype), blocks * block_rows)
    minima, maxima, flags = np.empty(blocks, dtype), np.empty(blocks, dtype), np.empty(blocks, np.uint8)
    plain.zones(read_only(column), block_rows, minima, maxima, flags)
    lows, highs = ranges_of(random, dtype, count)
    verdicts, whole = guarded(blocks, np.uint8)
    counts = kernels.prune(read_only(minima), read_only(maxima), read_only(flags), lows, highs, negated, verdicts)
    ranges = list(zip(lows.tolist(), highs.tolist(), strict=True))
    zones = zip(minima.tolist(), maxima.tolist(), flags.tolist(), strict=True)
    expected = [expected_verdict(*zone, ranges, negated) for zone in zones]
    assert verdicts.tolist() == expected
    assert counts == (expected.count(SOME), expected.count(ALL))
    assert_guards(whole)
    # What zones decide is what the rows say.
    rows = belongs(column, lows, highs, negated).reshape(blocks, block_rows)
    assert rows[verdicts == ALL].all()
    assert not rows[verdicts == NONE].any()


def index_of(column: Any) -> tuple[Any, Any]:
    """Values in ascending order without NaN, and the row of each."""
    order = np.argsort(column, kind="stable")
    order = order[: np.count_nonzero(column == column)]
    return read_only(column[order]), read_only(order.astype(np.uint32))


@pytest.mark.slow
@both
@every_number
@examples
@given(seed=SEEDS, rows=st.integers(0, 300), count=st.integers(0, 50))
def test_index_bounds(kernels: Kernels, dtype: Any, seed: int, rows: int, count: int) -> None:
    random = np.random.default_rng(seed)
    values, _ = index_of(random.choice(pool_of(dtype), rows))
    lows, highs = ranges_of(random, dtype, count)
    (starts, guarded_starts), (stops, guarded_stops) = guarded(len(lows), np.int64), guarded(len(lows), np.int64)
    found = kernels.index_bounds(values, lows, highs, starts, stops)
    expected = [np.count_nonzero(values < low) for low in lows], [np.count_nonzero(values <= high) for high in highs]
    assert (starts.tolist(), stops.tolist()) == expected
    assert found == np.count_nonzero(belongs(values, lows, highs, False))
    assert type(found) is int
    assert_guards(guarded_starts)
    assert_guards(guarded_stops)


@both
@pytest.mark.parametrize("low", [-20, -5, 0, 1, 4_321, 9_984, 9_989, 9_990, 9_991])
def test_few_ranges_are_looked_for_among_all_values(kernels: Kernels, low: int) -> None:
    values = read_only(np.arange(0, 10_000, 10))
    lows, highs = read_only(np.array([-30, low])), read_only(np.array([-25, low + 6]))
    starts, stops = np.empty(2, np.int64), np.empty(2, np.int64)
    found = kernels.index_bounds(values, lows, highs, starts, stops)
    assert starts.tolist() == [0, np.count_nonzero(values < low)]
    assert stops.tolist() == [0, np.count_nonzero(values <= low + 6)]
    assert found == stops[1] - starts[1]


@both
@examples
@given(
    seed=SEEDS,
    rows=st.integers(1, 700),
    distinct=st.integers(1, 200),
    count=st.integers(0, 50),
    negated=st.booleans(),
    data=st.data(),
)
def test_mark(
    kernels: Kernels, seed: int, rows: int, distinct: int, count: int, negated: bool, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    column = random.integers(0, distinct, rows)
    values, entries = index_of(column)
    lows, highs = ranges_of(random, column.dtype, count)
    starts, stops = np.empty(len(lows), np.int64), np.empty(len(lows), np.int64)
    plain.index_bounds(values, lows, highs, starts, stops)
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    words, whole = selection_words(start, stop)
    marked = kernels.mark(entries, read_only(starts), read_only(stops), start, stop, negated, words)
    mask = belongs(column, lows, highs, negated)
    assert words.tolist() == words_of(mask, start, stop).tolist()
    assert marked == np.count_nonzero(mask[start:stop])
    assert type(marked) is int
    assert_guards(whole)


def random_bytes(random: Any, dtype: Any, rows: int) -> Any:
    """A column of any bits, among them NaN of any payload; bools of 0 and 1."""
    column = random.integers(0, 2 if dtype.kind == "b" else 256, rows * dtype.itemsize, dtype=np.uint8)
    return read_only(column.view(dtype))


def assert_compact(compact: Any, column: Any, mask: Any, start: int, stop: int) -> None:
    words = words_of(mask, start, stop)
    expected = column[start:stop][mask[start:stop]]
    out, whole = guarded(len(expected), column.dtype)
    compact(column, words, start, out)
    assert out.tobytes() == expected.tobytes()
    assert_guards(whole)


def masks_of(random: Any, rows: int) -> list[Any]:
    """Selections of every density, even and in runs."""
    even = [random.random(rows) < density for density in (0, 0.02, 0.15, 0.4, 0.7, 0.98, 1)]
    return [*even, np.arange(rows) // 150 % 2 == 0]


@both
@every_dtype
def test_compact(kernels: Kernels, dtype: Any) -> None:
    for rows in (1, 63, 64, 65, 200, 641):
        random = np.random.default_rng(rows)
        column = random_bytes(random, dtype, rows)
        for mask in masks_of(random, rows):
            for start, stop in {(0, rows), (rows // 3, rows), (0, rows - rows // 5), (rows - 1, rows)}:
                assert_compact(kernels.compact, column, mask, start, stop)


@pytest.mark.slow
@both
@examples
@given(seed=SEEDS, rows=st.integers(1, 700), density=st.floats(0, 1), data=st.data())
def test_compact_of_any_rows(kernels: Kernels, seed: int, rows: int, density: float, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    mask = random.random(rows) < density
    for code in ("f8", "u4", "i1"):
        assert_compact(kernels.compact, random_bytes(random, np.dtype(code), rows), mask, start, stop)


def test_compact_without_the_instruction() -> None:
    random = np.random.default_rng(0)
    column = random_bytes(random, np.dtype("u8"), 641)
    for mask in masks_of(random, 641):
        assert_compact(kernel(compact_by_bits), column, mask, 70, 639)


def test_compiled_selections_take_writable_arrays_and_refuse_other_item_sizes() -> None:
    column, point, flags = np.arange(100), np.array([7]), np.array([SOME], dtype=np.uint8)
    words = np.empty(2, dtype=np.uint64)
    assert compiled.scan(column, flags, 4_096, 0, 100, point, point, False, words) == 1
    out = np.empty(1, dtype=np.int64)
    compiled.compact(column, words, 0, out)
    assert out.tolist() == [7]
    with pytest.raises(TypeError):
        compiled.scan(column, flags, 4_096, 0, 100, point.astype(np.int32), point, False, words)
    with pytest.raises(TypeError):
        compiled.compact(column, words, 0, out.astype(np.float32))
