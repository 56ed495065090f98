"""What whole processes cost: imports, the way from a fresh process to the first rows, and peak memory."""

from __future__ import annotations

import atexit
import json
import os
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.data import CLOSE, NAMES, TIMEFRAME, Market
from bench.measure import Result, Workload
from fastk.bridge.answers import Answer, Rows

FIRST_ROWS = 1_024
BRIDGE_ROWS = 1_000
BATCH_CALLS = 25
BRIDGE = os.path.join(sysconfig.get_path("scripts"), "fastk_bridge")

_MAP_RAW = """
import numpy as np
columns = [np.asarray(np.load(f"{folder}/{{name}}.npy", mmap_mode="r")) for name in {names}]
low, high = np.searchsorted(columns[0], {start}), np.searchsorted(columns[0], {end}, side="right")
close = [column[low:high] for column in columns][{close}]
print(int(close.sum()))
"""
_OPEN_STORE = """
import fastk
series = fastk.open("{root}", "r").kline("{symbol}", "{timeframe}")
rows = series.range({start}, {end})
print(int({answer}))
"""
_SUM, _SUM_OF_SEGMENTS = "rows.close.sum()", "sum(piece.close.sum() for piece in rows.segments)"
_SUM_OF_POINTS = "series.at_many(rows.ts)[0].close.sum()"
# The high-water mark of this program alone: ru_maxrss would count the parent's memory at the time of its fork.
PRINT_PEAK = """
try:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
except OSError:
    import resource, sys
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""

Build = Callable[[Market, int], Workload]


def run_python(code: str) -> str:
    """Output of a fresh process of Python."""
    return run_program(sys.executable, "-c", code)


def run_program(*command: str) -> str:
    """Output of a fresh process."""
    return subprocess.run(command, env=usual_environment(), capture_output=True, text=True, check=True).stdout


def usual_environment() -> dict[str, str]:
    """The variables of a process with FastK's usual policy for kernels."""
    return {name: value for name, value in os.environ.items() if name != "FASTK_KERNELS"}


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


def cold_batch(market: Market, rounds: int) -> Workload:
    """The same rows by a batch call, which is too little to load the kernels for."""
    span = first_span(market, FIRST_ROWS)
    name = "fresh process to the first batch of 1,024 points"
    return programs(name, fastk_code(market, *span, _SUM_OF_POINTS), raw_code(market, *span), "raw npy", rounds)


def cold_start_beside_numpy(market: Market, rounds: int) -> Workload:
    code = fastk_code(market, *first_span(market, FIRST_ROWS))
    name = "fresh process to the first 1,024 rows, beside bare numpy"
    return programs(name, code, "import numpy", "import numpy", rounds, same=False)


# The bridge


def read_bars(market: Market, rows: int) -> dict[str, Any]:
    """The options of a command that reads the first bars of a series."""
    start, end = first_span(market, rows)
    assert market.store
    series = {"root": market.root, "symbol": market.symbols[0], "timeframe": TIMEFRAME}
    return {**series, "start_ts": start, "end_ts": end}


def raw_bars(market: Market, rows: int) -> list[list[int]]:
    """The same bars, as the benchmark made them."""
    return [column[:rows].tolist() for column in market.columns[market.symbols[0]].values()]


def bars_of(answer: str | bytes) -> list[list[int]]:
    """The columns of the bars that the bridge answers with."""
    records = json.loads(answer)["records"]
    return [[record[name] for record in records] for name in NAMES]


def bridge_read(rows: int | None, market: Market, rounds: int) -> Workload:
    """A process that reads bars, a month of them if it is not said how many; beside one that imports numpy."""
    rows = rows or market.rows_per_month
    options = [f"--{name.replace('_', '-')}={value}" for name, value in read_bars(market, rows).items()]
    command = BRIDGE, "read-kline-range", *options
    return Workload(
        f"bridge, {rows:,} bars",
        lambda batch: run_program(*command),
        lambda batch: run_python("import numpy"),
        range(rounds),
        baseline_name="import numpy",
        proofs=(lambda batch: bars_of(run_program(*command)), lambda batch: raw_bars(market, rows)),
        modes=("never",),
    )


def bridge_help(market: Market, rounds: int) -> Workload:
    """The usage of the bridge, beside a process of Python that does nothing; both have nothing on stdout."""
    return Workload(
        "bridge, --help",
        lambda batch: run_program(BRIDGE, "--help"),
        lambda batch: run_python("pass"),
        range(rounds),
        baseline_name="python -c pass",
        modes=("never",),
    )


class BatchBridge:
    """A bridge in batch mode that is kept until this process ends."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (BRIDGE, "batch"), env=usual_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        atexit.register(self._process.communicate)

    def ask(self, command: dict[str, Any], times: int = 1) -> bytes:
        """The last answer to a command that is repeated, each time behind the answer to the one before."""
        assert self._process.stdin
        assert self._process.stdout
        line, answer = json.dumps(command).encode() + b"\n", b""
        for _ in range(times):
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        return answer


def batch_read(market: Market, rounds: int) -> Workload:
    """Bars by a bridge that is kept, beside the encoding of the same bars alone."""
    bridge, command = BatchBridge(), {"command": "read-kline-range", **read_bars(market, BRIDGE_ROWS)}
    columns = {name: column[:BRIDGE_ROWS] for name, column in market.columns[market.symbols[0]].items()}

    def encode(batch: Any) -> bytes:
        return [
            b"".join(Answer({"symbol": market.symbols[0]}, Rows("records", columns)).pieces())
            for _ in range(BATCH_CALLS)
        ][-1]

    return Workload(
        f"bridge in batch mode, {BRIDGE_ROWS:,} bars, each",
        lambda batch: bridge.ask(command, BATCH_CALLS),
        encode,
        range(rounds),
        BATCH_CALLS,
        baseline_name="encoding alone",
        same=lambda found, expected: assert_equal(bars_of(found), bars_of(expected)),
        modes=("never",),
    )


def batch_inventory(market: Market, rounds: int) -> Workload:
    """A command without rows by a bridge that is kept."""
    bridge = BatchBridge()
    series = {"root": market.root, "symbol": market.symbols[0], "timeframe": TIMEFRAME}
    command = {"command": "kline-inventory", **series}
    assert market.store
    assert b'"exists":true' in bridge.ask(command)
    return Workload(
        "bridge in batch mode, an inventory, each",
        lambda batch: bridge.ask(command, BATCH_CALLS),
        None,
        range(rounds),
        BATCH_CALLS,
        modes=("never",),
    )


PROCESSES: dict[str, Build] = {
    "import fastk": import_time,
    "import fastk and its store": import_store,
    "fresh process to the first 1,024 rows": cold_start,
    "fresh process to the first batch of 1,024 points": cold_batch,
    "fresh process to the first 1,024 rows, beside bare numpy": cold_start_beside_numpy,
    "bridge, 1,000 bars": partial(bridge_read, BRIDGE_ROWS),
    "bridge, 41,667 bars": partial(bridge_read, None),
    "bridge, --help": bridge_help,
    "bridge in batch mode, 1,000 bars, each": batch_read,
    "bridge in batch mode, an inventory, each": batch_inventory,
}


def peak_memory(market: Market, rounds: int) -> Result:
    """Peak memory in MB of processes that sum the close of a full series."""
    span = first_span(market, market.rows)
    raw = raw_code(market, *span) + PRINT_PEAK
    fastk = fastk_code(market, *span, answer=_SUM_OF_SEGMENTS) + PRINT_PEAK
    outputs = {
        name: [run_python(code).split() for _ in range(rounds)] for name, code in (("raw", raw), ("fastk", fastk))
    }
    assert outputs["raw"][0][0] == outputs["fastk"][0][0]
    peaks = {name: statistics.median(int(peak) / 1024 for _, peak in found) for name, found in outputs.items()}
    return Result("peak memory, full series", "raw npy", {"never": peaks["raw"]}, {"never": peaks["fastk"]}, unit="MB")
