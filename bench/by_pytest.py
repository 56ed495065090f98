"""The workloads as pytest-benchmark runs them: one group a workload, its contenders side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from bench.data import Market
from bench.measure import BASELINE, LOADED, NEVER, Workload, use_kernels

CONTENDERS = {"baseline": BASELINE, "fastk-numpy": NEVER, "fastk-kernels": LOADED}


def parametrize(names: Iterable[str], contenders: Iterable[str] = tuple(CONTENDERS)) -> Any:
    """A test for each contender of each workload; the contenders of one workload run one after the other."""
    cases = [pytest.param(name, who, id=f"{name}-{who}") for name in names for who in contenders]
    return pytest.mark.parametrize(("name", "contender"), cases)


def run(benchmark: Any, build: Callable[[Market, int], Workload], market: Market, contender: str, rounds: int) -> None:
    """Check the answers, then let pytest-benchmark time one contender; a round is one batch."""
    mode = CONTENDERS[contender]
    workload = build(market, rounds)
    use_kernels(workload.modes[0] if mode == BASELINE else mode)
    if mode == BASELINE and workload.baseline is None:
        pytest.skip("nothing stands beside it")
    workload.check()
    run, prepare = (
        (workload.baseline, workload.prepare_baseline) if mode == BASELINE else (workload.fastk, workload.prepare_fastk)
    )
    batches = itertools.cycle(workload.batches)
    benchmark.group = f"{workload.name} ({workload.calls:,} a round)"
    benchmark.pedantic(run, setup=lambda: ((prepare(next(batches)),), {}), rounds=rounds)
