"""Writes and opening: python -m pytest bench/test_writes.py --benchmark-columns=min,median,rounds"""

from __future__ import annotations

from typing import Any

from bench.by_pytest import parametrize, run
from bench.data import Market
from bench.lifecycle import LIFECYCLE
from bench.writes import BULK_WRITES, OPENS, SMALL_WRITES


@parametrize(BULK_WRITES)
def test_bulk_write(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, BULK_WRITES[name], market, contender, rounds=5)


@parametrize(SMALL_WRITES)
def test_small_write(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, SMALL_WRITES[name], market, contender, rounds=20)


@parametrize(OPENS)
def test_open(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, OPENS[name], market, contender, rounds=20)


@parametrize(LIFECYCLE)
def test_small_pieces(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, LIFECYCLE[name], market, contender, rounds=10)
