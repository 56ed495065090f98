"""The table of FastK beside raw npy: its sections as markdown that reads well as plain text, and as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.goals import GOALS, PLANS, original_ratio
from bench.measure import LOADED, NEVER, Result
from bench.queries import FORCED, PlanResult

PLANS_TITLE = "Plans of queries"
LABELS = {NEVER: "numpy", LOADED: "kernels"}
_ROUNDS_UP = 0.9995  # what three digits would show as 1,000


def as_lines(results: dict[str, list[Result]], plans: list[PlanResult], modes: Sequence[str]) -> list[str]:
    """All sections, and how many goals are met."""
    lines = ["", f"Columns: {explanation(modes)}"]
    for title, listed in results.items():
        lines += ["", f"## {title}", "", *table_lines(listed, modes)]
    for mode in modes if plans else ():
        lines += [
            "",
            f"## {PLANS_TITLE}, {LABELS[mode]}",
            "",
            *plan_lines([each for each in plans if each.mode == mode]),
        ]
    return [*lines, "", *summary(results, modes), *plan_summary(plans, modes)]


def explanation(modes: Sequence[str]) -> str:
    parts = {
        NEVER: "`numpy` is FastK without its compiled kernels (FASTK_KERNELS=never)",
        LOADED: "`kernels` is FastK with them loaded (`fastk.warmup()`, or once they are worth it)",
    }
    return "; ".join(parts[mode] for mode in modes) + (
        "; each takes turns with the baseline by itself, and a ratio is FastK's time divided by the baseline's in "
        "these turns (the figure shown is that beside `kernels`, where they took part); `original` is that ratio of "
        "the Rust engine, called from Rust, in an earlier run that had both."
    )


def table_lines(results: list[Result], modes: Sequence[str]) -> list[str]:
    """One section as an aligned markdown table."""
    header = ["workload", "baseline", ""]
    for mode in modes:
        header += [LABELS[mode], "ratio", "goal met"]
    return aligned([[*header, "goal", "original"], *(result_cells(result, modes) for result in results)])


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
        rows.append([each.values, f"{each.share:.2%}", *figures, f"{each.ratio:.2f}", f"{each.beside_raw:.2f}"])
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
    original = original_ratio(result.name)
    return [*cells, result.goal.text if result.goal else "-", f"{original:.2f}" if original else "-"]


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


def as_data(results: dict[str, list[Result]]) -> dict[str, list[dict[str, Any]]]:
    """Everything that was measured, for machines."""
    return {title: [result_data(result) for result in listed] for title, listed in results.items()}


def result_data(result: Result) -> dict[str, Any]:
    goal = GOALS.get(result.name)
    return {
        "original_ratio": original_ratio(result.name),
        "workload": result.name,
        "unit": result.unit,
        "baseline": result.baseline_name,
        "baseline_value": result.baseline,
        "baseline_values": result.baselines,
        "fastk": result.fastk,
        "ratio": {mode: result.ratio(mode) for mode in result.fastk},
        "percentiles_10_25_75_90": result.spread,
        "goal": goal
        and {"text": goal.text, "limit": {mode: result.limit(mode) for mode in result.fastk}, "reason": goal.reason},
        "met": {mode: (result.excess(mode) or 0.0) <= 1 for mode in result.fastk} if goal else None,
    }


def plan_data(result: PlanResult) -> dict[str, Any]:
    return {**result._asdict(), "ratio": result.ratio}
