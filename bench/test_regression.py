"""The regression guard: ratios to raw npy, measured here and now, beside those that were kept.

``make guard``. Both contenders of a workload take turns in the same run, and only their ratio is compared with the one
in results/latest.json, so that a slow or busy machine does not matter; absolute times are never looked at. A ratio that
is too high is measured again: a disturbance goes away, a regression stays. The kept results are the saved baseline, so
that accepting a slower path is a change of that file, which a reviewer sees. Another kind of processor has other
ratios: keep results of your own there first, or give FASTK_BENCH_TOLERANCE more room.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from bench.data import Market
from bench.matrix import ALL_MONTHS, MATRICES, ONE_MONTH
from bench.measure import LOADED, NEVER, measure
from bench.queries import QUERIES
from bench.reads import READS
from bench.run import RESULTS_FOLDER

ROUNDS, LONG_ROUNDS = 60, 9
TRIES = 4
TOLERANCE = float(os.environ.get("FASTK_BENCH_TOLERANCE", "1.25"))
GUARDED = {**READS, **QUERIES, ONE_MONTH: MATRICES[ONE_MONTH], ALL_MONTHS: MATRICES[ALL_MONTHS]}


@pytest.fixture(scope="session")
def kept() -> dict[str, dict[str, float]]:
    """The ratio of each workload, by mode of the kernels."""
    with open(os.path.join(RESULTS_FOLDER, "latest.json")) as file:
        sections = json.load(file)["sections"]
    return {line["workload"]: line["ratio"] for listed in sections.values() for line in listed}


@pytest.mark.parametrize("mode", [NEVER, LOADED])
@pytest.mark.parametrize("name", GUARDED)
def test_no_workload_is_slower_beside_raw_npy_than_it_was(
    benchmark: Any, market: Market, kept: dict[str, dict[str, float]], name: str, mode: str
) -> None:
    assert name in kept, "it was not measured when the results were kept, so that nothing guards it"
    limit, least = kept[name][mode] * TOLERANCE, float("inf")
    workload = GUARDED[name](market, LONG_ROUNDS if name in MATRICES else ROUNDS)
    for _ in range(TRIES):
        result = measure(workload, [mode])
        least = min(least, result.ratio(mode) or 0.0)
        if least <= limit:
            break
    benchmark.extra_info.update(ratio=least, kept=kept[name][mode])
    benchmark.pedantic(workload.fastk, args=(workload.prepare_fastk(workload.batches[0]),), rounds=3)
    assert least <= limit, f"{least:.2f} times raw npy, {kept[name][mode]:.2f} when the results were kept"
