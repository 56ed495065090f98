"""What grows with a store, and what must not: each axis of growth, its sizes, and the costs that are measured on it.

Subjects of all sizes of an axis are built first; then every cost is measured on them by turns, so that one size does
not meet a busier machine than another. Building does not wait for the disk: its making is not measured.
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import fastk
from bench.data import MINUTE, SEED
from bench.lifecycle import without_syncs
from bench.measure import take_turns
from bench.processes import PRINT_PEAK, run_python
from bench.writes import HOUR_ROWS, HOURLY, bars_from

START = int(np.datetime64("2005-01-01", "ms").astype(np.int64))
PUT_CHUNKS = 2_500  # chunks in one put while building
HOT_CHUNKS = 8
SECOND = 1_000
VALUE = fastk.feature_series_key("SYM0USDT", "1s", "value")
ROWS_IN_A_PUT = 10_000_000
POINTS, RANGES = 100, 50


class Subject(NamedTuple):
    """A store of some size, open for reading; ``series`` is the one that is read."""

    root: str
    size: int
    store: Any
    series: Any


class Cost(NamedTuple):
    """One line: ``begin`` makes ready and gives what is called each round, which does the thing ``calls`` times.

    ``unit`` is us, or that of what the call returns. ``growth`` says how the cost should grow with the size.
    """

    title: str
    begin: Callable[[Subject], Callable[[int], Any]]
    calls: int = 1
    rounds: int = 15
    unit: str = "us"
    growth: str = ""


@dataclass(frozen=True)
class Axis:
    """Something that grows."""

    title: str
    unit: str
    build: Callable[[str, int], Subject]
    costs: Sequence[Cost]


class Grown(NamedTuple):
    """Medians of one cost by size."""

    axis: str
    cost: str
    unit: str
    expected: str
    figures: dict[int, float]

    @property
    def per_tenfold(self) -> float:
        """By how much the cost is multiplied where the size is ten times as large, between least and greatest."""
        least, greatest = min(self.figures), max(self.figures)
        if least == greatest:
            return 1.0
        return float((self.figures[greatest] / self.figures[least]) ** (1 / np.log10(greatest / least)))


def measure_axis(axis: Axis, folder: str, sizes: Sequence[int]) -> list[Grown]:
    """All costs of an axis at all sizes."""
    subjects = []
    for size in sizes:
        print(f"  building {size:,} {axis.unit} ...", file=sys.stderr)
        with without_syncs():
            subjects.append(axis.build(os.path.join(folder, f"{axis.unit}-{size}"), size))
    os.sync()
    return [measure_cost(axis, cost, subjects) for cost in axis.costs]


def measure_cost(axis: Axis, cost: Cost, subjects: Sequence[Subject]) -> Grown:
    print(f"  {axis.unit}: {cost.title} ...", file=sys.stderr)
    turns = {str(subject.size): partial(measured, cost, cost.begin(subject)) for subject in subjects}
    found = take_turns(turns, range(cost.rounds))
    return Grown(
        axis.title, cost.title, cost.unit, cost.growth, {int(n): statistics.median(f) for n, f in found.items()}
    )


def measured(cost: Cost, call: Callable[[int], Any], turn: int) -> float:
    """One figure: microseconds a call, or what the call returns."""
    gc.collect(0)
    begin = time.perf_counter()
    answer = call(turn)
    seconds = time.perf_counter() - begin
    return seconds / cost.calls * 1e6 if cost.unit == "us" else float(answer)


# Chunks: one series, a chunk an hour


def hourly(root: str, chunks: int) -> Subject:
    """A series of so many hours; each hour is a partition and a chunk of its own."""
    with fastk.open(root) as store:
        series = store.register_series(HOURLY, fastk.KLINE, timeframe_ms=MINUTE, partition="hour")
        for first in range(0, chunks, PUT_CHUNKS):
            count = min(PUT_CHUNKS, chunks - first) * HOUR_ROWS
            series.append(bars_from(START + first * HOUR_ROWS * MINUTE, count))
    store = fastk.open(root, "r")
    return Subject(root, chunks, store, store.series(HOURLY))


def hot_minutes(subject: Subject) -> list[int]:
    """Minutes of a few chunks that lie all over the series."""
    rng = np.random.default_rng(SEED)
    chunks = np.linspace(0, subject.size - 1, min(HOT_CHUNKS, subject.size)).astype(np.int64)
    minutes = rng.choice(chunks, POINTS) * HOUR_ROWS + rng.integers(0, HOUR_ROWS, POINTS)
    return [START + MINUTE * int(minute) for minute in minutes]


def hot_points(subject: Subject) -> Callable[[int], Any]:
    times, series = hot_minutes(subject), subject.series
    return lambda turn: [series.at(ts) for ts in times]


def hot_ranges(subject: Subject) -> Callable[[int], Any]:
    """30 rows within one chunk."""
    starts = [ts - ts % (HOUR_ROWS * MINUTE) for ts in hot_minutes(subject)][:RANGES]
    series, length = subject.series, 29 * MINUTE
    return lambda turn: [series.range(start, start + length).close.sum() for start in starts]


def joined_ranges(subject: Subject) -> Callable[[int], Any]:
    """Three chunks in one array."""
    series, length = subject.series, (3 * HOUR_ROWS - 1) * MINUTE
    starts = [ts - ts % (HOUR_ROWS * MINUTE) - HOUR_ROWS * MINUTE for ts in hot_minutes(subject)][:RANGES]
    return lambda turn: [series.range(start, start + length).close.sum() for start in starts]


def first_touches(subject: Subject) -> Callable[[int], Any]:
    """Points in chunks that were not mapped before, by a store object that is new in each round."""
    rng = np.random.default_rng(SEED + 1)

    def touch(turn: int) -> Any:
        minutes = rng.integers(0, subject.size * HOUR_ROWS, POINTS)
        series = fastk.open(subject.root, "r").series(HOURLY)
        return [series.at(START + MINUTE * int(minute)) for minute in minutes]

    return touch


def latest_rows(subject: Subject) -> Callable[[int], Any]:
    series = subject.series
    return lambda turn: [series.latest(HOUR_ROWS // 2).close.sum() for _ in range(RANGES)]


def attach(subject: Subject) -> Callable[[int], Any]:
    return lambda turn: len(fastk.open(subject.root, "r").series(HOURLY))


def append_hours(subject: Subject) -> Callable[[int], Any]:
    """An hour more, durable."""
    series = fastk.open(subject.root).series(HOURLY)
    end = START + subject.size * HOUR_ROWS * MINUTE
    return lambda turn: series.append(bars_from(end + (turn + 1) * HOUR_ROWS * MINUTE, HOUR_ROWS))


def chunk_inventory(subject: Subject) -> Callable[[int], Any]:
    return lambda turn: len(subject.series.chunk_inventory())


_TOUCHED = """
import numpy as np, fastk
series = fastk.open({root!r}, "r", max_maps={maps}).series({key!r})
for minute in np.random.default_rng(1).integers(0, {minutes}, {points}).tolist():
    series.at({start} + {step} * minute)
"""


_PRINT_MAPS = """
print(sum(".chunk" in line for line in open("/proc/self/maps")))
"""


def touching(points: int, maps: int | None, subject: Subject) -> str:
    """A program that reads so many random points, with a budget of maps."""
    facts = {"root": subject.root, "maps": maps, "key": HOURLY, "points": points, "start": START, "step": MINUTE}
    return _TOUCHED.format(**facts, minutes=subject.size * HOUR_ROWS)


def peak_megabytes(points: int, maps: int | None) -> Callable[[Subject], Callable[[int], Any]]:
    """Peak memory of such a process."""

    def begin(subject: Subject) -> Callable[[int], Any]:
        code = touching(points, maps, subject) + PRINT_PEAK
        return lambda turn: int(run_python(code)) / 1024

    return begin


def files_mapped(points: int, maps: int | None) -> Callable[[Subject], Callable[[int], Any]]:
    """How many chunk files such a process maps at its end."""

    def begin(subject: Subject) -> Callable[[int], Any]:
        code = touching(points, maps, subject) + _PRINT_MAPS
        return lambda turn: int(run_python(code))

    return begin


FLAT, LINEAR = "flat", "linear"
CHUNKS = Axis(
    "Chunks of one series, each a partition",
    "chunks",
    hourly,
    (
        Cost("point, its chunk mapped", hot_points, POINTS, 60, growth=FLAT),
        Cost("range of 30 rows, its chunk mapped", hot_ranges, RANGES, 60, growth=FLAT),
        Cost("range over three chunks, mapped", joined_ranges, RANGES, 60, growth=FLAT),
        Cost("latest 30 rows", latest_rows, RANGES, 60, growth=FLAT),
        Cost("open, then 100 points anywhere, each", first_touches, POINTS, growth="log"),
        Cost("open a store and pin the series", attach, growth="log"),
        Cost("append of an hour, durable", append_hours, growth="log"),
        Cost("inventory of all chunks", chunk_inventory, rounds=5, growth=LINEAR),
        Cost("peak memory, one point", peak_megabytes(1, None), rounds=3, unit="MB", growth=FLAT),
        Cost("peak memory, 20,000 points anywhere", peak_megabytes(20_000, None), rounds=3, unit="MB",
             growth="what is touched"),
        Cost("the same, at most 64 maps", peak_megabytes(20_000, 64), rounds=3, unit="MB", growth="what is touched"),
        Cost("files mapped after that", files_mapped(20_000, 64), rounds=1, unit="maps", growth="64 at most"),
    ),
)  # fmt: skip


# Series: many small ones


def many_series(root: str, count: int) -> Subject:
    """So many kline series of an hour each."""
    bars = bars_from(START, HOUR_ROWS)
    with fastk.open(root) as store:
        for place in range(count):
            store.register_kline_series(_symbol(place), "1m", MINUTE).put(bars)
    store = fastk.open(root, "r")
    return Subject(root, count, store, store.kline(_symbol(count // 2), "1m"))


def _symbol(place: int) -> str:
    return f"SYM{place:06}"


def middle_points(subject: Subject) -> Callable[[int], Any]:
    series = subject.series
    return lambda turn: [series.at(START + MINUTE * (minute % HOUR_ROWS)) for minute in range(POINTS)]


def open_and_point(subject: Subject) -> Callable[[int], Any]:
    return lambda turn: fastk.open(subject.root, "r").kline(_symbol(subject.size // 2), "1m").at(START)


def one_more_series(subject: Subject) -> Callable[[int], Any]:
    store = fastk.open(subject.root)
    return lambda turn: store.register_kline_series(f"NEW{turn:04}", "1m", MINUTE)


def list_series(subject: Subject) -> Callable[[int], Any]:
    return lambda turn: len(fastk.open(subject.root, "r").list_series())


def store_stats(subject: Subject) -> Callable[[int], Any]:
    return lambda turn: fastk.open(subject.root, "r").store_stats()


SERIES = Axis(
    "Series of one store",
    "series",
    many_series,
    (
        Cost("point in one of them, warm", middle_points, POINTS, 60, growth=FLAT),
        Cost("open the store and read one row", open_and_point, growth=FLAT),
        Cost("registration of one more, durable", one_more_series, growth=FLAT),
        Cost("listing", list_series, rounds=5, growth=LINEAR),
        Cost("statistics of the store", store_stats, rounds=5, growth=LINEAR),
    ),
)


# Rows: one scalar series, a value a second


def many_rows(root: str, rows: int) -> Subject:
    """So many seconds from 2005 on; a chunk a month, without sidecars."""
    with fastk.open(root) as store:
        series = store.register_scalar_series(VALUE, SECOND, zone_maps=(), value_indexes=())
        for first in range(0, rows, ROWS_IN_A_PUT):
            numbers = np.arange(first, min(first + ROWS_IN_A_PUT, rows), dtype=np.int64)
            series.put({"ts": START + SECOND * numbers, "value": numbers % 1_000_003})
    store = fastk.open(root, "r")
    return Subject(root, rows, store, store.series(VALUE))


def anywhere(subject: Subject, count: int) -> list[int]:
    """Seconds all over the series."""
    rng = np.random.default_rng(SEED + 2)
    return [START + SECOND * int(place) for place in rng.integers(0, subject.size - 1_024, count)]


def points_anywhere(subject: Subject) -> Callable[[int], Any]:
    times, series = anywhere(subject, POINTS), subject.series
    return lambda turn: [series.at(ts) for ts in times]


def ranges_anywhere(subject: Subject) -> Callable[[int], Any]:
    starts, series = anywhere(subject, RANGES), subject.series
    return lambda turn: [series.range(start, start + 1_023 * SECOND).value.sum() for start in starts]


def open_rows(subject: Subject) -> Callable[[int], Any]:
    return lambda turn: fastk.open(subject.root, "r").series(VALUE).latest(1_024).value.sum()


def scan_million(subject: Subject) -> Callable[[int], Any]:
    """A million rows in the middle, summed piece by piece."""
    middle, series = START + SECOND * (subject.size // 2 - min(subject.size, 10**6) // 2), subject.series
    return lambda turn: sum(piece.value.sum() for piece in series.range(middle, middle + (10**6 - 1) * SECOND).segments)


ROWS = Axis(
    "Rows of one series",
    "rows",
    many_rows,
    (
        Cost("point anywhere", points_anywhere, POINTS, 60, growth=FLAT),
        Cost("range of 1,024 rows anywhere", ranges_anywhere, RANGES, 60, growth=FLAT),
        Cost("open the store, then the latest 1,024 rows", open_rows, growth=FLAT),
        Cost("sum of a million rows in the middle", scan_million, growth=FLAT),
    ),
)
