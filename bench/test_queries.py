"""Queries beside raw npy: python -m pytest bench/test_queries.py --benchmark-columns=min,median,rounds

A round is one batch of conditions. ``python -m bench`` also measures every plan of a query, beside the chosen one.
"""

from __future__ import annotations

from typing import Any

from bench.by_pytest import parametrize, run
from bench.data import Market
from bench.queries import QUERIES


@parametrize(QUERIES)
def test_query(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, QUERIES[name], market, contender, rounds=50)
