"""Each kernel beside its numpy twin and the usual alternatives.

python -m pytest bench/test_kernels.py --benchmark-group-by=group --benchmark-columns=min,median,ops
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastk.kernels import compiled, crc32c, plain
from fastk.kernels.codes import SOME
from fastk.kernels.samples import read_only

ROWS = 41_667  # about a month of minutes: one chunk of a kline series
RANDOM = np.random.default_rng(7)
TS = read_only(1_700_000_000_000 + 60_000 * np.arange(ROWS, dtype=np.int64))
CALLS = 1_000

Benchmark = Callable[..., Any]


def with_twin(**alternatives: Any) -> Any:
    """Parametrize by implementation: the kernel's modules, and named functions beside them."""
    cases = {"compiled": compiled, "plain": plain} | alternatives
    return pytest.mark.parametrize("kernels", cases.values(), ids=cases.keys())


def kernel(kernels: Any, name: str) -> Any:
    return getattr(kernels, name, kernels)


def bisect_bounds(ts: Any, start: int, end: int) -> tuple[int, int]:
    values = memoryview(ts)
    return bisect_left(values, start), bisect_right(values, end)


def searchsorted_bounds(ts: Any, start: int, end: int) -> tuple[int, int]:
    return ts.searchsorted(start), ts.searchsorted(end, "right")


@with_twin(bisect=bisect_bounds, searchsorted=searchsorted_bounds)
@pytest.mark.parametrize("span", [16, 1_024, 30_000])
def test_bounds(benchmark: Benchmark, kernels: Any, span: int) -> None:
    """A thousand calls: the figures read as nanoseconds a call where they say microseconds."""
    benchmark.group = f"bounds: 1,000 ranges of {span:,} of {ROWS:,} rows"
    ranges = [(int(TS[lo]), int(TS[lo + span - 1])) for lo in RANDOM.integers(0, ROWS - span, CALLS)]
    bounds = kernel(kernels, "bounds")

    def search() -> None:
        for start, end in ranges:
            bounds(TS, start, end)

    benchmark(search)


@with_twin()
@pytest.mark.parametrize("order", ["random", "sorted"])
@pytest.mark.parametrize("count", [16, 1_000, 100_000])
def test_lower_bounds(benchmark: Benchmark, kernels: Any, count: int, order: str) -> None:
    benchmark.group = f"lower_bounds: {count:,} {order} keys in {ROWS:,} rows"
    keys = RANDOM.choice(TS, count)
    if order == "sorted":
        keys.sort()
    benchmark(kernel(kernels, "lower_bounds"), TS, read_only(keys), np.empty(count, dtype=np.int64))


def numpy_take(column: Any, rows: Any, targets: Any, out: Any) -> None:
    """The gather alone: np.take cannot scatter."""
    column.take(rows, out=out, mode="clip")


@with_twin(gather_only=numpy_take)
@pytest.mark.parametrize("count", [16, 1_000, ROWS])
def test_take(benchmark: Benchmark, kernels: Any, count: int) -> None:
    benchmark.group = f"take: {count:,} of {ROWS:,} float64"
    column = read_only(RANDOM.random(ROWS))
    rows, targets = read_only(RANDOM.integers(0, ROWS, count)), read_only(RANDOM.permutation(count))
    benchmark(kernel(kernels, "take"), column, rows, targets, np.empty(count))


def slices(column: Any, los: Any, his: Any, offsets: Any, out: Any) -> None:
    for lo, hi, offset in zip(los.tolist(), his.tolist(), offsets.tolist(), strict=True):
        out[offset : offset + hi - lo] = column[lo:hi]


@with_twin(slices=slices)
@pytest.mark.parametrize("length", [4, 64, 1_024])
def test_copy_ranges(benchmark: Benchmark, kernels: Any, length: int) -> None:
    benchmark.group = f"copy_ranges: 1,000 ranges of {length:,} float64"
    column = read_only(RANDOM.random(ROWS))
    los = RANDOM.integers(0, ROWS - length, CALLS)
    offsets = read_only(length * np.arange(CALLS))
    out = np.empty(CALLS * length)
    benchmark(kernel(kernels, "copy_ranges"), column, read_only(los), read_only(los + length), offsets, out)


def compare_all(ts: Any, strict: bool) -> int:
    return -1 if (ts[1:] > ts[:-1]).all() else 0


@with_twin(compare_all=compare_all)
@pytest.mark.parametrize("rows", [1_000, ROWS, 10_000_000])
def test_first_disorder(benchmark: Benchmark, kernels: Any, rows: int) -> None:
    benchmark.group = f"first_disorder: {rows:,} ordered rows"
    assert benchmark(kernel(kernels, "first_disorder"), read_only(np.arange(rows)), True) == -1


@with_twin()
@pytest.mark.parametrize("dtype", ["int64", "int32", "float64", "float64 with NaN"])
@pytest.mark.parametrize(("rows", "block_rows"), [(1_000, 256), (ROWS, 256), (ROWS, 4_096)])
def test_zones(benchmark: Benchmark, kernels: Any, rows: int, block_rows: int, dtype: str) -> None:
    benchmark.group = f"zones: {rows:,} {dtype} in blocks of {block_rows:,}"
    column = RANDOM.integers(0, 100_000, rows).astype(dtype.split()[0])
    if "NaN" in dtype:
        column[::1_000] = np.nan
    blocks = -(-rows // block_rows)
    outputs = np.empty(blocks, column.dtype), np.empty(blocks, column.dtype), np.empty(blocks, np.uint8)
    benchmark(kernel(kernels, "zones"), read_only(column), block_rows, *outputs)


def crc32c_whole(data: Any, block_bytes: int, out: Any) -> None:
    """The package over all bytes at once: what separate CRCs a block cost over one."""
    crc32c(data)


def fnv1a_byte_by_byte(data: Any) -> int:
    value = 0xCBF29CE484222325
    for byte in data.tobytes():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


@with_twin(loop=fnv1a_byte_by_byte)
@pytest.mark.parametrize("size", [4_096, 262_144])
def test_fnv1a(benchmark: Benchmark, kernels: Any, size: int) -> None:
    benchmark.group = f"fnv1a: {size:,} bytes"
    benchmark(kernel(kernels, "fnv1a"), read_only(RANDOM.integers(0, 256, size, dtype=np.uint8)))


@with_twin(table=compiled.checksum.table_blocks, package_whole=crc32c_whole)
@pytest.mark.parametrize(
    ("size", "block_bytes"), [(4_096, 4_096), (32_768, 32_768), (8 * ROWS, 2_048), (8 * ROWS, 32_768)]
)
def test_crc32c_blocks(benchmark: Benchmark, kernels: Any, size: int, block_bytes: int) -> None:
    benchmark.group = f"crc32c_blocks: {size:,} bytes in blocks of {block_bytes:,}"
    data = read_only(RANDOM.integers(0, 256, size, dtype=np.uint8))
    benchmark(kernel(kernels, "crc32c_blocks"), data, block_bytes, np.empty(-(-size // block_bytes), dtype=np.uint32))


def zones_of(rows: int, block_rows: int) -> tuple[Any, Any, Any]:
    """Zones of a random walk."""
    column = read_only(RANDOM.integers(-10, 11, rows).cumsum())
    blocks = -(-rows // block_rows)
    zones = np.empty(blocks, np.int64), np.empty(blocks, np.int64), np.empty(blocks, np.uint8)
    compiled.zones(column, block_rows, *zones)
    return read_only(zones[0]), read_only(zones[1]), read_only(zones[2])


@with_twin()
@pytest.mark.parametrize("ranges", [1, 50])
@pytest.mark.parametrize("block_rows", [4_096, 256])
def test_prune(benchmark: Benchmark, kernels: Any, block_rows: int, ranges: int) -> None:
    rows = 4 * ROWS
    benchmark.group = f"prune: {rows:,} rows in blocks of {block_rows:,} by {ranges} ranges"
    minima, maxima, flags = zones_of(rows, block_rows)
    lows = read_only(np.linspace(minima.min(), maxima.max(), ranges + 2).astype(np.int64)[1:-1])
    verdicts = np.empty(len(minima), dtype=np.uint8)
    benchmark(kernel(kernels, "prune"), minima, maxima, flags, lows, read_only(lows + 5), False, verdicts)


def numpy_rows(
    column: Any, verdicts: Any, block_rows: int, start: int, stop: int, lows: Any, highs: Any, negated: bool, words: Any
) -> Any:
    """The row numbers, by the comparison that one would write."""
    if len(lows) > 1:
        return np.flatnonzero(np.isin(column, lows))
    if lows[0] < highs[0]:
        return np.flatnonzero(column >= lows[0])
    return np.flatnonzero(column != lows[0] if negated else column == lows[0])


# What is looked for among values below 1,000, and below 3.
SETS = {
    "above, 1 %": (1_000, [990], [2**63 - 1], False),
    "equal, 33 %": (3, [1], [1], False),
    "unequal, 67 %": (3, [1], [1], True),
    "3 values": (1_000, [10, 500, 900], [10, 500, 900], False),
    "50 values": (1_000, list(range(0, 1_000, 20)), list(range(0, 1_000, 20)), False),
    "100 values": (1_000, list(range(0, 1_000, 10)), list(range(0, 1_000, 10)), False),
}


@with_twin(flatnonzero=numpy_rows)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("rows", [ROWS, 4 * ROWS])
def test_scan(benchmark: Benchmark, kernels: Any, rows: int, name: str) -> None:
    benchmark.group = f"scan: {name} of {rows:,} int64"
    values, lows, highs, negated = SETS[name]
    column = read_only(RANDOM.integers(0, values, rows))
    verdicts = read_only(np.full(-(-rows // 4_096), SOME, dtype=np.uint8))
    ranges = read_only(np.array(lows)), read_only(np.array(highs))
    words = np.empty(-(-rows // 64), dtype=np.uint64)
    benchmark(kernel(kernels, "scan"), column, verdicts, 4_096, 0, rows, *ranges, negated, words)


@with_twin()
@pytest.mark.parametrize("ranges", [1, 50])
def test_index_bounds(benchmark: Benchmark, kernels: Any, ranges: int) -> None:
    benchmark.group = f"index_bounds: {ranges} ranges in {ROWS:,} int64"
    values = read_only(np.sort(RANDOM.integers(0, 10_000, ROWS)))
    lows = read_only(np.linspace(0, 10_000, ranges + 2).astype(np.int64)[1:-1])
    starts, stops = np.empty(ranges, dtype=np.int64), np.empty(ranges, dtype=np.int64)
    benchmark(kernel(kernels, "index_bounds"), values, lows, read_only(lows + 5), starts, stops)


@with_twin()
@pytest.mark.parametrize("distinct", [3, 100, 5_000])
def test_mark(benchmark: Benchmark, kernels: Any, distinct: int) -> None:
    benchmark.group = f"mark: one value of {distinct:,} in {ROWS:,} rows"
    column = RANDOM.integers(0, distinct, ROWS)
    rows = read_only(np.argsort(column, kind="stable").astype(np.uint32))
    starts = read_only(np.zeros(1, dtype=np.int64))
    stops = read_only(np.array([np.count_nonzero(column == 0)]))
    words = np.empty(-(-ROWS // 64), dtype=np.uint64)
    benchmark(kernel(kernels, "mark"), rows, starts, stops, 0, ROWS, False, words)


def fancy_index(column: Any, mask: Any) -> Any:
    return column[np.flatnonzero(mask)]


@with_twin(flatnonzero=fancy_index)
@pytest.mark.parametrize("percent", [0.1, 1, 33, 66, 100])
@pytest.mark.parametrize("rows", [ROWS, 4 * ROWS])
def test_compact(benchmark: Benchmark, kernels: Any, rows: int, percent: float) -> None:
    benchmark.group = f"compact: {percent} % of {rows:,} int64"
    column = read_only(RANDOM.integers(0, 1_000, rows))
    mask = np.zeros(-(-rows // 64) * 64, dtype=bool)
    mask[:rows] = RANDOM.random(rows) < percent / 100
    words = read_only(np.packbits(mask, bitorder="little").view(np.uint64))
    out = np.empty(np.count_nonzero(mask), dtype=np.int64)
    arguments = (column, mask) if kernels is fancy_index else (column, words, 0, out)
    benchmark(kernel(kernels, "compact"), *arguments)
