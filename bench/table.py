"""The one command: run every workload, print the table, and keep it as markdown and JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.data import MONTHS, SYMBOLS, Market, temporary_market
from bench.goals import GOALS, PLANS
from bench.lifecycle import LIFECYCLE
from bench.matrix import MATRICES, matrix_memory
from bench.measure import LOADED, NEVER, Result, Workload, measure
from bench.processes import PROCESSES, peak_memory
from bench.queries import FORCED, QUERIES, PlanResult, measure_plans
from bench.reads import READS
from bench.replay import REPLAYS
from bench.sessions import SESSIONS
from bench.writes import BULK_WRITES, OPENS, SMALL_WRITES

Section = tuple[str, dict[str, Callable[[Market, int], Workload]], int, int]

# Title, workloads, rounds, rounds with --quick.
SECTIONS: list[Section] = [
    ("Reads", READS, 300, 60),
    ("Queries", QUERIES, 100, 25),
    ("Replay", REPLAYS, 11, 3),
    ("Matrices", MATRICES, 15, 7),
    ("Sessions", SESSIONS, 31, 7),
    ("Opening", OPENS, 60, 15),
    ("Appends and registration", SMALL_WRITES, 100, 25),
    ("Bulk writes", BULK_WRITES, 11, 5),
    ("Written in small pieces", LIFECYCLE, 100, 15),
    ("Processes", PROCESSES, 15, 9),
]
PLANS_TITLE = "Plans of queries"
PLAN_ROUNDS, QUICK_PLAN_ROUNDS = 60, 15
RESULTS_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
_ROUNDS_UP = 0.9995  # what three digits would show as 1,000
LABELS = {NEVER: "numpy", LOADED: "kernels"}


def run() -> None:
    """Do what the command line says."""
    options = parse_options()
    modes = [NEVER, LOADED] if options.kernels == "both" else [options.kernels]
    begin = time.perf_counter()
    with temporary_market(options.symbols) as market:
        titles = [title for title, *_ in SECTIONS]
        results = {
            title: list(run_section(section, market, modes, options))
            for title, section in zip(titles, SECTIONS, strict=True)
        }
        if not options.only:
            results["Processes"] += [peak_memory(market, 3), matrix_memory(market, 3)]
        plans = [] if options.only and options.only not in PLANS_TITLE else run_plans(market, modes, options)
    facts = machine_facts(options, time.perf_counter() - begin)
    results = {title: listed for title, listed in results.items() if listed}
    report = as_text(facts, results, plans, modes)
    print(report)
    if not options.only:
        keep(
            options,
            report,
            {"facts": facts, "sections": as_data(results), "plans": [plan_data(each) for each in plans]},
        )


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="FastK beside memory-mapped .npy files.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; kept as results/quick.*")
    parser.add_argument("--symbols", type=int, default=SYMBOLS, help="how many symbols (default %(default)s)")
    parser.add_argument("--rounds", type=int, help="rounds of every workload, in place of each section's own")
    parser.add_argument("--kernels", choices=(NEVER, LOADED, "both"), default="both", help="(default %(default)s)")
    parser.add_argument("--only", metavar="TEXT", help="workloads whose name contains this; nothing is kept")
    return parser.parse_args()


def run_section(
    section: Section, market: Market, modes: Sequence[str], options: argparse.Namespace
) -> Iterator[Result]:
    """Measure the workloads of a section one after the other, and say so."""
    _, builds, rounds, quick_rounds = section
    for name, build in builds.items():
        if options.only and options.only not in name:
            continue
        print(f"  {name} ...", file=sys.stderr)
        yield measure(build(market, options.rounds or (quick_rounds if options.quick else rounds)), modes)


def run_plans(market: Market, modes: Sequence[str], options: argparse.Namespace) -> list[PlanResult]:
    """Measure the matrix of plans, and say so."""
    print(f"  {PLANS_TITLE.lower()} ...", file=sys.stderr)
    rounds = options.rounds or (QUICK_PLAN_ROUNDS if options.quick else PLAN_ROUNDS)
    return list(measure_plans(market, rounds, modes))


# Facts


def machine_facts(options: argparse.Namespace, seconds: float) -> dict[str, str]:
    """On what was measured, and how."""
    packages = ("numpy", "numba", "crc32c", "fastk-engine")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    length = f"{'quick, ' if options.quick else ''}{seconds:.0f} s"
    return {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f} at the end",
        "versions": f"Python {platform.python_version()}, {versions}",
        "data": f"{options.symbols} symbols x {len(MONTHS)} UTC months x 41,667 random minutes, int64 klines",
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


# Tables


def as_text(
    facts: dict[str, str], results: dict[str, list[Result]], plans: list[PlanResult], modes: Sequence[str]
) -> str:
    """The whole report as markdown that reads well as plain text."""
    lines = ["# FastK beside raw npy", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", f"Columns: {explanation(modes)}"]
    for title, listed in results.items():
        lines += ["", f"## {title}", "", *table_lines(listed, modes)]
    for mode in modes if plans else ():
        lines += [
            "",
            f"## {PLANS_TITLE}, {LABELS[mode]}",
            "",
            *plan_lines([each for each in plans if each.mode == mode]),
        ]
    lines += ["", *summary(results, modes), *plan_summary(plans, modes), ""]
    return "\n".join(lines)


def explanation(modes: Sequence[str]) -> str:
    parts = {
        NEVER: "`numpy` is FastK without its compiled kernels (plain reads never load them; batch calls do, "
        "unless FASTK_KERNELS=never as here)",
        LOADED: "`kernels` is FastK with them loaded (`fastk.warmup()`, or the first batch call)",
    }
    return "; ".join(parts[mode] for mode in modes) + "; a ratio is FastK's time divided by the baseline's."


def table_lines(results: list[Result], modes: Sequence[str]) -> list[str]:
    """One section as an aligned markdown table."""
    header = ["workload", "baseline", ""]
    for mode in modes:
        header += [LABELS[mode], "ratio", "goal met"]
    return aligned([[*header, "goal"], *(result_cells(result, modes) for result in results)])


def aligned(rows: list[list[str]]) -> list[str]:
    """A markdown table with a rule below its first row; all but the first two columns to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    rule = ["-" * (width - 1) + (":" if place > 1 else "-") for place, width in enumerate(widths)]
    return [line(row, widths) for row in (rows[0], rule, *rows[1:])]


def plan_lines(plans: list[PlanResult]) -> list[str]:
    """The matrix of plans in one mode."""
    rows = [["values", "matching", "raw npy", *FORCED, "chosen", "beside the best", "beside raw npy"]]
    for each in plans:
        times = (each.raw, *each.forced.values(), each.chosen)
        figures = [figure(time, "us") for time in times]
        rows.append([each.values, f"{each.share:.2%}", *figures, f"{each.ratio:.2f}", f"{each.chosen / each.raw:.2f}"])
    return aligned(rows)


def plan_summary(plans: list[PlanResult], modes: Sequence[str]) -> list[str]:
    """How far the chosen plan is from the best forced one, at worst."""
    lines = []
    for mode in modes if plans else ():
        worst = max((each for each in plans if each.mode == mode), key=lambda each: each.ratio)
        found = f"{worst.ratio:.2f} times the best forced one ({worst.values}, {worst.share:.2%})"
        met = "met" if worst.ratio <= PLANS.ratio else "NOT met"
        lines.append(f"Chosen plan at worst, {LABELS[mode]}: {found}; the goal of {PLANS.text} is {met}.")
    return lines


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if place < 2 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def result_cells(result: Result, modes: Sequence[str]) -> list[str]:
    cells = [result.name, result.baseline_name or "-", figure(result.baseline, result.unit)]
    for mode in modes:
        if mode not in result.fastk:
            cells += ["-", "-", "-"]
            continue
        ratio = result.ratio(mode)
        cells += [figure(result.fastk[mode], result.unit), f"{ratio:.2f}" if ratio else "-", verdict(result, mode)]
    return [*cells, result.goal.text if result.goal else "-"]


def figure(value: float | None, unit: str) -> str:
    """A figure with three digits and a unit that keeps it short."""
    if value is None:
        return "-"
    for name, size in (("ms", 1e3), ("s", 1e6)) if unit == "us" else ():
        if value >= size * _ROUNDS_UP:
            value_in, unit = value / size, name
            if value_in < 1e3 * _ROUNDS_UP:
                return f"{value_in:.3g} {unit}"
    return f"{value:.3g} {unit}" if value < 1e3 else f"{value:,.0f} {unit}"


def verdict(result: Result, mode: str) -> str:
    """Whether the goal is met, and if not, by how much it is missed."""
    excess = result.excess(mode)
    if excess is None:
        return "-"
    return "yes" if excess <= 1 else f"NO, {excess - 1:+.0%}"


def summary(results: dict[str, list[Result]], modes: Sequence[str]) -> list[str]:
    """How many goals are met in each mode."""
    lines = []
    for mode in modes:
        judged = [r for listed in results.values() for r in listed if r.goal and mode in r.fastk]
        met = sum((r.excess(mode) or 0) <= 1 for r in judged)
        lines.append(f"Goals met, {LABELS[mode]}: {met} of {len(judged)}.")
    return lines


# Files


def keep(options: argparse.Namespace, report: str, data: dict[str, Any]) -> None:
    """Write the report beside the benchmarks: ``latest``, or ``quick`` where rounds were few."""
    path = os.path.join(RESULTS_FOLDER, "quick" if options.quick or options.rounds else "latest")
    with open(f"{path}.md", "w") as file:
        file.write(report)
    with open(f"{path}.json", "w") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    print(f"kept in {os.path.relpath(path)}.md and .json", file=sys.stderr)


def as_data(results: dict[str, list[Result]]) -> dict[str, list[dict[str, Any]]]:
    """Everything that was measured, for machines."""
    return {title: [result_data(result) for result in listed] for title, listed in results.items()}


def result_data(result: Result) -> dict[str, Any]:
    goal = GOALS.get(result.name)
    return {
        "workload": result.name,
        "unit": result.unit,
        "baseline": result.baseline_name,
        "baseline_value": result.baseline,
        "fastk": result.fastk,
        "ratio": {mode: result.ratio(mode) for mode in result.fastk},
        "percentiles_10_25_75_90": result.spread,
        "goal": goal and {"text": goal.text, "limit": goal.limit(result.baseline or 0.0), "reason": goal.reason},
        "met": {mode: (result.excess(mode) or 0.0) <= 1 for mode in result.fastk} if goal else None,
    }


def plan_data(result: PlanResult) -> dict[str, Any]:
    return {**result._asdict(), "ratio": result.ratio}
