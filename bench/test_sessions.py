"""Read sessions and metrics: python -m pytest bench/test_sessions.py --benchmark-columns=min,median,rounds"""

from __future__ import annotations

from typing import Any

from bench.by_pytest import parametrize, run
from bench.data import Market
from bench.sessions import SESSIONS


@parametrize(SESSIONS, ("baseline", "fastk-numpy"))
def test_sessions(benchmark: Any, market: Market, name: str, contender: str) -> None:
    run(benchmark, SESSIONS[name], market, contender, rounds=5)
