"""`fastk bench`: percentiles of each read of a store, as a table with a chart, or as JSON."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from fastk import FastKStore, kernels
from fastk.cli.failures import printable
from fastk.store.latency import latency_profile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from fastk.store.latency import LatencyProfile, OperationLatency

MINUTE = 60_000
CHART_WIDTH = 44
MARKS, PLAIN_MARKS = ("●", "━", "─"), ("o", "=", "-")  # the median; up to p95; up to p99
SYMBOLS, ROWS = 4, 130_000


def run(options: argparse.Namespace) -> int:
    """Measure and show."""
    kernels.load()  # a process that stays has them sooner or later
    with _root(options.store) as root:
        profile = latency_profile(root, series=options.series, seconds=options.seconds, seed=options.seed)
    if options.json:
        print(json.dumps(asdict(profile), indent=1))
    else:
        print(*_lines(profile, made=options.store is None), sep="\n")
    return 0


@contextlib.contextmanager
def _root(given: str | None) -> Iterator[str]:
    """The store of the caller; or one that is made for the measurement and then removed."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="fastk-bench-") as folder:
        _make_store(folder)
        yield folder


def _make_store(folder: str) -> None:
    """Bars of some symbols over three months, every tenth minute or so missing; the same every time."""
    rng = np.random.default_rng(0)
    first = int(np.datetime64("2024-01-01", "ms").astype(np.int64))
    with FastKStore.open(folder) as store:
        for place in range(SYMBOLS):
            ts = first + MINUTE * np.flatnonzero(rng.random(ROWS) < 0.9)
            close = 5_000_000 + rng.integers(-50, 51, ts.size).cumsum()
            bars = {"ts": ts, "open": close - 3, "high": close + 40, "low": close - 40, "close": close}
            series = store.register_kline_series(f"SYM{place}USDT", "1m", MINUTE)
            series.put({**bars, "volume": rng.integers(0, 10**9, ts.size)})


def _lines(profile: LatencyProfile, *, made: bool) -> Iterator[str]:
    where = "a store made for this, and removed" if made else printable(profile.root)
    yield f"{where}: {len(profile.sampled)} of {profile.series_count} series, {profile.rows:,} rows"
    yield f"{printable(', '.join(profile.sampled))}"
    yield from (f"skipped {printable(each)}" for each in profile.skipped)
    yield ""
    yield from _chart(profile.operations)
    median, most, tail = _marks()
    yield ""
    yield f"{median} median, {most} to the 95th, {tail} to the 99th of 100; a logarithmic scale."
    yield "Warm or not, as the page cache is; kernels are loaded, unless FASTK_KERNELS=never."


def _chart(operations: Sequence[OperationLatency]) -> Iterator[str]:
    """A line an operation: its figures, and where they lie on a common scale."""
    low = math.floor(math.log10(min(each.p50 for each in operations)))
    high = max(math.ceil(math.log10(max(each.p99 for each in operations))), low + 1)
    widest = max(len(each.operation) for each in operations)
    yield f"{'':{widest}}  {'rows':>9}  {'p50':>9}  {'p95':>9}  {'p99':>9}  {_scale(low, high)}".rstrip()
    for each in operations:
        figures = "  ".join(f"{_time(figure):>9}" for figure in (each.p50, each.p95, each.p99))
        yield f"{each.operation:{widest}}  {each.rows:9,}  {figures}  {_bar(each, low, high)}".rstrip()


def _scale(low: int, high: int) -> str:
    """The powers of ten, each at its place."""
    text = ""
    for power in range(low, high):
        text = f"{text:{_place(10.0**power, low, high)}}|{_time(10.0**power)}"
    return text


def _bar(each: OperationLatency, low: int, high: int) -> str:
    median, most, tail = _marks()
    first, second, third = (_place(figure, low, high) for figure in (each.p50, each.p95, each.p99))
    return " " * first + median + most * (second - first) + tail * (third - second)


def _place(figure: float, low: int, high: int) -> int:
    return round((math.log10(figure) - low) / (high - low) * CHART_WIDTH)


def _marks() -> tuple[str, str, str]:
    """Those that the terminal can show."""
    try:
        "".join(MARKS).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN_MARKS
    return MARKS


def _time(microseconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1e6), ("ms", 1e3), ("us", 1.0)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds * 1e3:.3g} ns"
