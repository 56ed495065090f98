"""The workloads by pytest-benchmark, each with its contenders side by side: to profile one, or to compare two states.

    python -m pytest bench/test_workloads.py -k "latest" --benchmark-columns=min,median,rounds

A round is one batch. ``python -m bench`` runs the same workloads by turns, and its ratios are steadier.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from bench.data import Market
from bench.measure import BASELINE, LOADED, NEVER, use_kernels
from bench.run import SECTIONS, Section

CONTENDERS = {"baseline": BASELINE, "fastk-numpy": NEVER, "fastk-kernels": LOADED}
MOST_ROUNDS = 50


def cases() -> Iterator[Any]:
    """A contender of a workload; those of one workload run one after the other."""
    for section in SECTIONS:
        for name, (who, mode) in itertools.product(section.workloads, CONTENDERS.items()):
            yield pytest.param(section, name, mode, id=f"{name}-{who}")


@pytest.mark.parametrize(("section", "name", "mode"), list(cases()))
def test_workload(benchmark: Any, market: Market, section: Section, name: str, mode: str) -> None:
    workload = section.workloads[name](market, min(section.rounds, MOST_ROUNDS))
    if mode not in workload.modes and (mode != BASELINE or workload.baseline is None):
        pytest.skip("it has no such contender")
    use_kernels(workload.modes[0] if mode == BASELINE else mode)
    workload.check()
    run, prepare = (
        (workload.baseline, workload.prepare_baseline) if mode == BASELINE else (workload.fastk, workload.prepare_fastk)
    )
    batches = itertools.cycle(workload.batches)
    benchmark.group = f"{workload.name} ({workload.calls:,} a round)"
    benchmark.pedantic(run, setup=lambda: ((prepare(next(batches)),), {}), rounds=len(workload.batches))
