"""Merged replay, scans and coverage: python -m pytest bench/test_replay.py --benchmark-columns=min,median,rounds"""

from __future__ import annotations

from typing import Any

from bench.by_pytest import parametrize, run
from bench.data import Market
from bench.replay import REPLAYS


@parametrize(REPLAYS, ("baseline", "fastk-kernels"))
def test_replay(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, REPLAYS[name], market, contender, rounds=5)
