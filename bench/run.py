"""The one command: run the workloads, print the tables, and keep them as markdown and JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from bench import table, threads
from bench.data import MONTHS, SYMBOLS, Market, temporary_market
from bench.layouts import LAYOUTS
from bench.lifecycle import LIFECYCLE
from bench.long_files import LONG_FILES
from bench.matrix import MATRICES, matrix_memory
from bench.measure import LOADED, NEVER, Result, Workload, measure
from bench.peers import registry
from bench.peers import table as peer_table
from bench.peers.contest import answer_groups, still_warm_files
from bench.peers.processes import answer_processes
from bench.peers.questions import GROUPS
from bench.peers.storage import compare_storage
from bench.peers.tables import SIZES, Tables
from bench.processes import PROCESSES, peak_memory
from bench.queries import QUERIES, PlanResult, measure_plans
from bench.reads import READS
from bench.replay import REPLAYS
from bench.sessions import SESSIONS
from bench.writes import BULK_WRITES, OPENS, SMALL_WRITES


class Section(NamedTuple):
    """Workloads beside raw npy that belong together, under a word of the command line; rounds in full and small."""

    word: str
    title: str
    workloads: dict[str, Callable[[Market, int], Workload]]
    rounds: int
    small_rounds: int


SECTIONS = [
    Section("reads", "Reads", READS, 300, 60),
    Section("predicates", "Queries", QUERIES, 60, 15),
    Section("long", "Long files", LONG_FILES, 21, 5),
    Section("layouts", "Other layouts", LAYOUTS, 31, 5),
    Section("replay", "Replay", REPLAYS, 11, 3),
    Section("matrices", "Matrices", MATRICES, 15, 7),
    Section("sessions", "Sessions", SESSIONS, 31, 7),
    Section("opening", "Opening", OPENS, 60, 15),
    Section("writes", "Appends and registration", SMALL_WRITES, 100, 25),
    Section("writes", "Bulk writes", BULK_WRITES, 11, 5),
    Section("pieces", "Written in small pieces", LIFECYCLE, 100, 15),
    Section("processes", "Processes", PROCESSES, 15, 9),
]
PLAN_ROUNDS, SMALL_PLAN_ROUNDS = 60, 15
SMALL_SYMBOLS = 2
WORDS = tuple(dict.fromkeys([*(each.word for each in SECTIONS), "plans", *GROUPS, "storage", "threads"]))
RESULTS_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
OWN_TITLE, PEERS_TITLE = "FastK beside raw npy", "FastK beside its peers"


def run() -> None:
    """Do what the command line says."""
    options = parse_options()
    modes = [NEVER, LOADED] if options.kernels == "both" else [options.kernels]
    begin = time.perf_counter()
    with temporary_market(SYMBOLS if options.size == "full" else SMALL_SYMBOLS) as market:
        results = {each.title: list(run_section(each, market, modes, options)) for each in SECTIONS}
        if not options.only and "processes" in options.workloads:
            results["Processes"] += [peak_memory(market, 3), matrix_memory(market, 3)]
        plans = run_plans(market, modes, options)
    with tempfile.TemporaryDirectory(prefix="fastk-bench-") as folder:
        contest, throughput = run_contest(folder, options), run_threads(folder, options)
    facts = machine_facts(options, time.perf_counter() - begin)
    results = {title: listed for title, listed in results.items() if listed}
    report = as_text(facts, results, plans, modes, contest, throughput)
    print(report)
    if is_whole(options):
        data = {
            "facts": facts,
            "sections": table.as_data(results),
            "plans": [table.plan_data(each) for each in plans],
            "peers": contest and peer_table.as_data(contest),
            "threads": [each._asdict() for each in throughput],
        }
        keep("latest" if options.size == "full" else "small", report, data)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="FastK beside memory-mapped .npy files, and beside other stores."
    )
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="small is a trial of some minutes")
    parser.add_argument(
        "--peers", default="all", metavar="LIST", help=f"of {', '.join(registry.PEERS)}; or none (default %(default)s)"
    )
    words = f"of {', '.join(WORDS)} (default %(default)s)"
    parser.add_argument("--workloads", default="all", metavar="LIST", help=words)
    parser.add_argument("--only", metavar="TEXT", help="workloads beside raw npy whose name contains this, no peers")
    parser.add_argument("--rounds", type=int, help="rounds of every workload beside raw npy")
    parser.add_argument("--kernels", choices=(NEVER, LOADED, "both"), default="both", help="(default %(default)s)")
    options = parser.parse_args()
    options.workloads = list(WORDS) if options.workloads == "all" else options.workloads.split(",")
    if unknown := set(options.workloads) - set(WORDS):
        parser.error(f"no workload is called {', '.join(sorted(unknown))}; there are {', '.join(WORDS)}")
    options.peers = registry.chosen(options.peers)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if options.only == "":
        parser.error("--only needs a part of a name; without it every workload runs")
    if options.only and not any(options.only in name for name in named_workloads(options)):
        parser.error(f"no workload's name contains {options.only!r}: they are those of bench/results/latest.md")
    return options


def named_workloads(options: argparse.Namespace) -> Iterator[str]:
    """The names that ``--only`` is looked for in."""
    for section in SECTIONS:
        if section.word in options.workloads:
            yield from section.workloads
    if "plans" in options.workloads:
        yield table.PLANS_TITLE


def is_whole(options: argparse.Namespace) -> bool:
    """Whether the results are worth keeping: no part was left out."""
    chosen = options.only, options.rounds, options.kernels, options.workloads, options.peers
    return chosen == (None, None, "both", list(WORDS), list(registry.PEERS))


# Running


def run_section(
    section: Section, market: Market, modes: Sequence[str], options: argparse.Namespace
) -> Iterator[Result]:
    """Measure the workloads of a section one after the other, and say so."""
    for name, build in section.workloads.items():
        if section.word not in options.workloads or (options.only and options.only not in name):
            continue
        print(f"  {name} ...", file=sys.stderr)
        rounds = options.rounds or (section.rounds if options.size == "full" else section.small_rounds)
        yield measure(build(market, rounds), modes)


def run_plans(market: Market, modes: Sequence[str], options: argparse.Namespace) -> list[PlanResult]:
    """Measure the matrix of plans, and say so."""
    if "plans" not in options.workloads or (options.only and options.only not in table.PLANS_TITLE):
        return []
    print(f"  {table.PLANS_TITLE.lower()} ...", file=sys.stderr)
    rounds = options.rounds or (PLAN_ROUNDS if options.size == "full" else SMALL_PLAN_ROUNDS)
    return list(measure_plans(market, rounds, modes))


def run_contest(folder: str, options: argparse.Namespace) -> peer_table.Contest | None:
    """FastK, raw npy and the peers that are installed."""
    groups = [word for word in GROUPS if word in options.workloads]
    if options.only or not (groups or {"storage", "processes"} & set(options.workloads)):
        return None
    present, absent = registry.installed(options.peers)
    words, tables = [*registry.ALWAYS, *present], Tables(SIZES[options.size])
    found = answer_groups(words, groups, tables, folder)
    if "storage" in options.workloads:
        found.update([compare_storage(words, tables, folder)])
    if "processes" in options.workloads:
        found.update(answer_processes(words, tables, folder))
    warm = still_warm_files(words, tables, folder) if "cold" in groups else {}
    return peer_table.Contest(tables.size.text, words, absent, found, warm)


def run_threads(folder: str, options: argparse.Namespace) -> list[threads.Throughput]:
    if options.only or "threads" not in options.workloads:
        return []
    return threads.measure_throughput(Tables(SIZES[options.size]), folder)


# The report


def machine_facts(options: argparse.Namespace, seconds: float) -> dict[str, str]:
    """On what was measured, and how."""
    packages = ("numpy", "numba", "crc32c", "fastk-engine")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    length = f"{'' if options.size == 'full' else 'small, '}{seconds:.0f} s"
    symbols = SYMBOLS if options.size == "full" else SMALL_SYMBOLS
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, load {os.getloadavg()[0]:.1f} at the end",
        "versions": f"Python {platform.python_version()}, {versions}",
        "data": f"{symbols} symbols x {len(MONTHS)} UTC months x 41,667 random minutes, int64 klines",
        "state": "files warm in the page cache, every checksum compared before (except where a workload opens)",
        "run": f"{time.strftime('%Y-%m-%d %H:%M')}, {length}; contenders take turns, and medians are compared",
    }


def processor() -> str:
    """Name of the processor."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def as_text(
    facts: dict[str, str],
    results: dict[str, list[Result]],
    plans: list[PlanResult],
    modes: Sequence[str],
    contest: peer_table.Contest | None,
    throughput: list[threads.Throughput],
) -> str:
    """The whole report, in parts whose titles are headings of the first level."""
    lines = [f"# {OWN_TITLE}", "", *(f"- {name}: {value}" for name, value in facts.items())]
    lines += table.as_lines(results, plans, modes) if results or plans else []
    if contest:
        lines += ["", f"# {PEERS_TITLE}", *peer_table.as_lines(contest)]
    if throughput:
        lines += ["", f"# {threads.TITLE}", *threads.as_lines(throughput)]
    return "\n".join([*lines, ""])


def keep(name: str, report: str, data: dict[str, Any]) -> None:
    """Write a report beside the benchmarks, as text and as data."""
    path = os.path.join(RESULTS_FOLDER, name)
    with open(f"{path}.md", "w") as file:
        file.write(report)
    with open(f"{path}.json", "w") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    print(f"kept in {os.path.relpath(path)}.md and .json", file=sys.stderr)
