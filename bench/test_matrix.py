"""Matrices beside raw npy: python -m pytest bench/test_matrix.py --benchmark-columns=min,median,rounds"""

from __future__ import annotations

from typing import Any

from bench.by_pytest import parametrize, run
from bench.data import Market
from bench.matrix import MATRICES, matrix_memory


@parametrize(MATRICES)
def test_matrix(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, MATRICES[name], market, contender, rounds=9)


def test_peak_memory(benchmark: Any, market: Market) -> None:
    """The time is of no interest here; the figures of memory are in the extra information."""
    result = benchmark.pedantic(matrix_memory, args=(market, 3), rounds=1)
    benchmark.extra_info.update(raw_npy_mb=result.baseline, fastk_mb=result.fastk["loaded"])
