"""Reads beside raw npy: python -m pytest bench/test_reads.py --benchmark-columns=min,median,rounds

A round is one batch of queries. ``python -m bench`` runs the same workloads by turns, and its ratios are steadier.
"""

from __future__ import annotations

from typing import Any

from bench.by_pytest import parametrize, run
from bench.data import Market
from bench.reads import READS


@parametrize(READS)
def test_read(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, READS[name], market, contender, rounds=50)
