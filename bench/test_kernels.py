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


@with_twin(table=compiled.checksum.table_blocks, package_whole=crc32c_whole)
@pytest.mark.parametrize(
    ("size", "block_bytes"), [(4_096, 4_096), (32_768, 32_768), (8 * ROWS, 2_048), (8 * ROWS, 32_768)]
)
def test_crc32c_blocks(benchmark: Benchmark, kernels: Any, size: int, block_bytes: int) -> None:
    benchmark.group = f"crc32c_blocks: {size:,} bytes in blocks of {block_bytes:,}"
    data = read_only(RANDOM.integers(0, 256, size, dtype=np.uint8))
    benchmark(kernel(kernels, "crc32c_blocks"), data, block_bytes, np.empty(-(-size // block_bytes), dtype=np.uint32))
