"""What whole processes cost: imports, the way from a fresh process to the first rows, and peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.data import CLOSE, NAMES, TIMEFRAME, Market
from bench.measure import Result, Workload

FIRST_ROWS = 1_024

_MAP_RAW = """
import numpy as np
columns = [np.asarray(np.load(f"{folder}/{{name}}.npy", mmap_mode="r")) for name in {names}]
low, high = np.searchsorted(columns[0], {start}), np.searchsorted(columns[0], {end}, side="right")
close = [column[low:high] for column in columns][{close}]
print(int(close.sum()))
"""
_OPEN_STORE = """
import fastk
rows = fastk.open("{root}", "r").kline("{symbol}", "{timeframe}").range({start}, {end})
print(int({answer}))
"""
_SUM, _SUM_OF_SEGMENTS = "rows.close.sum()", "sum(piece.close.sum() for piece in rows.segments)"
# The high-water mark of this program alone: ru_maxrss would count the parent's memory at the time of its fork.
_PRINT_PEAK = """
try:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
except OSError:
    import resource, sys
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""

Build = Callable[[Market, int], Workload]


def run_python(code: str) -> str:
    """Output of a fresh process, with FastK's usual policy for kernels."""
    environment = {name: value for name, value in os.environ.items() if name != "FASTK_KERNELS"}
    finished = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return finished.stdout


def raw_code(market: Market, start: int, end: int) -> str:
    """A program that sums close by mapped .npy files."""
    folder = os.path.join(market.raw_root, market.symbols[0])
    assert market.raw
    return _MAP_RAW.format(folder=folder, names=NAMES, start=start, end=end, close=CLOSE)


def fastk_code(market: Market, start: int, end: int, answer: str = _SUM) -> str:
    """A program that sums close by FastK."""
    assert market.store
    values = {"root": market.root, "symbol": market.symbols[0], "timeframe": TIMEFRAME}
    return _OPEN_STORE.format(**values, start=start, end=end, answer=answer)


def first_span(market: Market, rows: int) -> tuple[int, int]:
    """First and last ts of the first rows of a series."""
    ts = market.columns[market.symbols[0]]["ts"]
    return int(ts[0]), int(ts[rows - 1])


def programs(name: str, fastk: str, baseline: str, baseline_name: str, rounds: int, same: bool = True) -> Workload:
    """Two programs, each in a fresh process."""
    return Workload(
        name,
        lambda batch: run_python(fastk),
        lambda batch: run_python(baseline),
        range(rounds),
        baseline_name=baseline_name,
        same=assert_equal if same else lambda found, expected: None,
        modes=("never",),
    )


def assert_equal(found: Any, expected: Any) -> None:
    assert found == expected, f"{found} is not {expected}"


def import_time(market: Market, rounds: int) -> Workload:
    return programs("import fastk", "import fastk", "import numpy", "import numpy", rounds)


def import_store(market: Market, rounds: int) -> Workload:
    return programs(
        "import fastk and its store", "import fastk; fastk.FastKStore", "import numpy", "import numpy", rounds
    )


def cold_start(market: Market, rounds: int) -> Workload:
    span = first_span(market, FIRST_ROWS)
    name = "fresh process to the first 1,024 rows"
    return programs(name, fastk_code(market, *span), raw_code(market, *span), "raw npy", rounds)


def cold_start_beside_numpy(market: Market, rounds: int) -> Workload:
    code = fastk_code(market, *first_span(market, FIRST_ROWS))
    name = "fresh process to the first 1,024 rows, beside bare numpy"
    return programs(name, code, "import numpy", "import numpy", rounds, same=False)


PROCESSES: dict[str, Build] = {
    "import fastk": import_time,
    "import fastk and its store": import_store,
    "fresh process to the first 1,024 rows": cold_start,
    "fresh process to the first 1,024 rows, beside bare numpy": cold_start_beside_numpy,
}


def peak_memory(market: Market, rounds: int) -> Result:
    """Peak memory in MB of processes that sum the close of a full series."""
    span = first_span(market, market.rows)
    raw = raw_code(market, *span) + _PRINT_PEAK
    fastk = fastk_code(market, *span, answer=_SUM_OF_SEGMENTS) + _PRINT_PEAK
    outputs = {
        name: [run_python(code).split() for _ in range(rounds)] for name, code in (("raw", raw), ("fastk", fastk))
    }
    assert outputs["raw"][0][0] == outputs["fastk"][0][0]
    peaks = {name: statistics.median(int(peak) / 1024 for _, peak in found) for name, found in outputs.items()}
    return Result("peak memory, full series", "raw npy", peaks["raw"], {"never": peaks["fastk"]}, unit="MB")
