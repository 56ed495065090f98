"""``python -m bench.floors``: what the bricks of a store cost here, and where the time of each small operation goes.

The bricks are what no Python program can go below: a call, a slice, a kernel, a page, a sync. The steps of an
operation are timed by doing it up to each of them, or by a clock around them; "the rest" is what remains of the whole.
What kernels cost before they are in use is timed in new processes, with nothing compiled and with everything.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from timeit import Timer
from typing import Any

import numpy as np

import fastk
from bench.appending import append_tables
from bench.bare import Least, least_lines, measure_bare
from bench.data import CLOSE, Market, temporary_market
from bench.measure import LOADED, Clock, Part, take_turns, use_kernels
from bench.processes import usual_environment
from bench.queries import Values
from bench.run import keep, processor
from bench.signals import mixed
from bench.table import aligned, figure
from bench.writes import FreshFolder
from fastk import kernels
from fastk.query.search import search
from fastk.query.values import value_set

ROUNDS = 41
CALLS = 1_000
PAGES = 4_096
PROCESSES = 7
TITLE = "Where the time goes"
Step = Callable[[], Any]


def main() -> None:
    """Measure, print, keep."""
    argparse.ArgumentParser(prog="python -m bench.floors", description=__doc__).parse_args()
    with temporary_market(1) as market:
        tables = measure_parts(market) | {"Kernels, first used in new processes": kernel_parts(market.folder)}
    with temporary_market() as market:
        least = list(measure_bare(market))
    facts = {
        "machine": f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "run": f"{time.strftime('%Y-%m-%d %H:%M')}; medians, kernels loaded, in tight loops with warm caches",
    }
    report = as_text(facts, tables, least)
    print(report)
    keep("floors", report, {"facts": facts, "tables": tables_as_data(tables), "least": [*map(Least._asdict, least)]})


def measure_parts(market: Market) -> dict[str, list[Part]]:
    """All tables."""
    use_kernels(LOADED)
    return {
        "Bricks": list(bricks(market)),
        "One row by its time": point_parts(market),
        "64 rows of a month, and the sum of one column": range_parts(market),
        "The latest 1,024 rows, and the sum of one column": latest_parts(market),
        f"0.1% of {market.rows:,} rows by value, ts and value taken": query_parts(market),
        **append_tables(market),
    }


def each(step: Step) -> float:
    """Microseconds of one call; the median of some rounds."""
    return statistics.median(Timer(step).repeat(ROUNDS, CALLS)) / CALLS * 1e6


# Bricks


def bricks(market: Market) -> Iterator[Part]:
    """What reads, queries and commits are made of."""
    column, ts = market.raw[0].columns[CLOSE], market.raw[0].ts[: market.rows_per_month]
    middle, bounds = int(ts[len(ts) // 2]), kernels.active.bounds
    yield Part("a call of a Python function that does nothing", each(lambda: None))
    yield Part("a slice of an array", each(lambda: column[:1_024]))
    yield Part(f"`numpy.searchsorted` in {len(ts):,} times", each(lambda: np.searchsorted(ts, middle)))
    yield Part("a kernel that finds both ends of a range there", each(lambda: bounds(ts, middle, middle)))
    yield Part("the sum of 64 values", each(column[:64].sum))
    yield Part("the sum of 1,024 values", each(column[:1_024].sum))
    yield Part("a page of fresh memory, first touched", first_touch(lambda: mmap.mmap(-1, PAGES * mmap.PAGESIZE)))
    with file_of_pages(market.folder) as descriptor:
        yield Part(
            "a page of a mapped file in the page cache, first touched",
            first_touch(lambda: mmap.mmap(descriptor, PAGES * mmap.PAGESIZE, access=mmap.ACCESS_READ)),
        )
    yield from disk_bricks(market.folder)


def first_touch(make: Callable[[], mmap.mmap]) -> float:
    """Microseconds a page of a new map. Private memory is written, because reading it may share one page of zeros."""
    found = []
    for _ in range(ROUNDS):
        with make() as mapped:
            pages = np.frombuffer(mapped, np.uint8)[:: mmap.PAGESIZE]
            begin = time.perf_counter()
            if pages.flags.writeable:
                pages[:] = 1
            else:
                pages.sum()
            found.append((time.perf_counter() - begin) / PAGES * 1e6)
            del pages
    return statistics.median(found)


@contextmanager
def file_of_pages(folder: str) -> Iterator[int]:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(PAGES * mmap.PAGESIZE))
        file.flush()
        yield file.fileno()


def disk_bricks(folder: str) -> Iterator[Part]:
    """Calls that a commit makes: of a new file of 4 KiB, and of its folder."""
    place = FreshFolder(folder, "bricks")()
    path, data = os.path.join(place, "new"), bytes(4_096)
    clock = Clock()
    for _ in range(ROUNDS):
        with clock.of("a new file of 4 KiB, written"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(descriptor, data)
        with clock.of("its sync"):
            os.fsync(descriptor)
        os.close(descriptor)
        with clock.of("its renaming"):
            os.rename(path, f"{path}-named")
        folder_descriptor = os.open(place, os.O_RDONLY)
        with clock.of("the sync of its folder"):
            os.fsync(folder_descriptor)
        os.close(folder_descriptor)
    yield from clock.parts()


# Reads: the same operation, done a step further each time


def in_steps(steps: dict[str, Step]) -> list[Part]:
    """Each step contains those before it, and they take turns: what it adds to them, and the whole."""
    timed = {name: partial(time_calls, Timer(step)) for name, step in steps.items()}
    until = {name: statistics.median(found) for name, found in take_turns(timed, range(ROUNDS)).items()}
    parts = [Part(name, until[name] - before) for name, before in zip(until, [0.0, *until.values()], strict=False)]
    return [*parts, Part("together", list(until.values())[-1])]


def time_calls(timer: Timer, turn: int) -> float:
    """Microseconds a call."""
    return timer.timeit(CALLS) / CALLS * 1e6


def point_parts(market: Market) -> list[Part]:
    series = market.series[0]
    snapshot, ts = series._reader.snapshot, int(market.raw[0].ts[market.rows_per_month // 2])
    chunk = snapshot.open_chunk(*snapshot.overlapping(ts, ts)[0])
    stored, find = chunk.dense_rows(0, 0, chunk.rows), kernels.active.find
    return in_steps(
        {
            "the kernel finds the row": lambda: find(stored, ts, chunk.ahead),
            "the record of its six values": lambda: chunk.at(ts),
            "the snapshot finds the chunk": lambda: snapshot.at(ts),
            "the face: times of any kind": lambda: series.at(ts),
        }
    )


def range_parts(market: Market) -> list[Part]:
    series, times = market.series[0], market.raw[0].ts
    middle = market.rows_per_month // 2
    start, end = int(times[middle]), int(times[middle + 63])
    snapshot = series._reader.snapshot
    chunk = snapshot.open_chunk(*snapshot.overlapping(start, end)[0])
    return in_steps(
        {
            "the kernel finds both ends": lambda: chunk.bounds(start, end),
            "the snapshot finds the chunk, the rows are made": lambda: snapshot.range(start, end),
            "the face: times of any kind": lambda: series.range(start, end),
            "a column is taken": lambda: series.range(start, end).close,
            "numpy sums it, for the caller": lambda: series.range(start, end).close.sum(),
        }
    )


def latest_parts(market: Market) -> list[Part]:
    series = market.series[0]
    return in_steps(
        {
            "the snapshot knows its last chunk, the rows are made": lambda: series.latest(1_024),
            "a column is taken": lambda: series.latest(1_024).close,
            "numpy sums it, for the caller": lambda: series.latest(1_024).close.sum(),
        }
    )


def query_parts(market: Market) -> list[Part]:
    """0.1% of the rows; a condition is made anew each time, as a caller does."""
    values = Values(market, mixed)
    snapshot, (first, last) = values.series._reader.snapshot, values.series.span
    low, high = values.at_rank(0.6), values.at_rank(0.601)

    def condition() -> Any:
        return fastk.Between(low, high)

    def normal() -> Any:
        return value_set(condition(), snapshot.settings, 1)

    def found() -> Any:
        return search(snapshot, 1, condition(), first, last)

    def whole() -> Any:
        return values.series.where("value", condition()).rows

    def columns() -> Any:
        rows = whole()
        return rows.ts, rows.value

    return in_steps(
        {
            "the condition is made": condition,
            "it becomes ranges of the column's dtype": normal,
            "the value indexes of all chunks are searched, the rows are put in order": found,
            "the face: the time range, the result": whole,
            "ts and value are gathered": columns,
        }
    )


# Kernels, before they are in use


FIRST_USES = """
import json, time
import fastk
from fastk import kernels
from fastk.kernels.samples import sample_calls
assert fastk.__file__.startswith({place!r}), fastk.__file__
names, times = ["load"], [time.perf_counter()]
active = kernels.load()
assert kernels.loaded()
times.append(time.perf_counter())
for name, arguments in sample_calls():
    getattr(active, name)(*arguments)
    names.append(name)
    times.append(time.perf_counter())
print(json.dumps([names, times]))
"""


def kernel_parts(folder: str) -> list[Part]:
    """The first process compiles; those after it take what it kept, and their medians count.

    They run a copy of the package that has no ``__pycache__``: code kept beside the sources would be taken.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = os.path.realpath(name)
        package = os.path.join(place, "fastk")
        shutil.copytree(os.path.dirname(fastk.__file__), package, ignore=shutil.ignore_patterns("__pycache__"))
        empty = first_use_parts("an empty cache", [first_uses(place)])
        filled = first_use_parts("a filled cache", [first_uses(place) for _ in range(PROCESSES)])
    return [*filled, *empty]


def first_uses(place: str) -> list[Part]:
    """What loading the kernels and the first call of each for each dtype take a new process.

    It runs the package that lies in a folder, and keeps its compiled code there.
    """
    environment = usual_environment() | {"NUMBA_CACHE_DIR": os.path.join(place, "cache")}
    command = [sys.executable, "-c", FIRST_USES.format(place=place)]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
    names, times = json.loads(done.stdout)
    spent = ((end - begin) * 1e6 for begin, end in pairwise(times))
    return [Part(*each) for each in zip(names, spent, strict=True)]


def first_use_parts(cache: str, processes: list[list[Part]]) -> list[Part]:
    """Loading, all first uses, and the slowest of them."""
    loading, *uses = (
        Part(same[0].name, statistics.median(part.microseconds for part in same))
        for same in zip(*processes, strict=True)
    )
    slowest = max(uses, key=lambda use: use.microseconds)
    return [
        Part(f"{cache}: numba imported, the kernels bound", loading.microseconds),
        Part(f"{cache}: the first use of all {len(uses)} kernels and dtypes", sum(use.microseconds for use in uses)),
        Part(f"{cache}: the slowest of them, `{slowest.name}`", slowest.microseconds),
    ]


# The report


def tables_as_data(tables: dict[str, list[Part]]) -> dict[str, dict[str, float]]:
    """Microseconds by table and step."""
    return {title: {part.name: part.microseconds for part in parts} for title, parts in tables.items()}


def as_text(facts: dict[str, str], tables: dict[str, list[Part]], least: list[Least]) -> str:
    """The report as markdown."""
    lines = [f"# {TITLE}", "", *(f"- {name}: {value}" for name, value in facts.items())]
    for title, parts in tables.items():
        rows = [["step", "takes"], *([part.name, figure(part.microseconds, "us")] for part in parts)]
        lines += ["", f"## {title}", "", *aligned(rows)]
    return "\n".join([*lines, "", "## Beside bare code", "", *least_lines(least), ""])


if __name__ == "__main__":
    main()
