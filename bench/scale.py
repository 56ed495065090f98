"""``python -m bench.scale``: how each cost grows with chunks, series and rows; a report, and a plot for the docs.

The billion rows are real where the disk has room for them twice; otherwise the report says which size was left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from bench.growth import CHUNKS, LINEAR, ROWS, SERIES, Axis, Grown, measure_axis
from bench.measure import LOADED, use_kernels
from bench.run import keep, processor
from bench.table import aligned, figure

SIZES = {
    "small": {"chunks": (10, 100, 1_000), "series": (10, 100, 1_000), "rows": (10**6, 10**7)},
    "full": {
        "chunks": (10, 100, 1_000, 10_000, 100_000),
        "series": (10, 100, 1_000, 10_000),
        "rows": (10**6, 10**7, 10**8, 10**9),
    },
}
BYTES_OF_A_ROW = 16
AXES = {axis.unit: axis for axis in (CHUNKS, SERIES, ROWS)}
FLAT_WITHIN = 1.3


def main() -> None:
    """Build, measure, print, keep."""
    options = parse_options()
    use_kernels(LOADED)
    begin = time.perf_counter()
    found: list[Grown] = []
    notes: list[str] = []
    for unit in options.axes.split(","):
        with tempfile.TemporaryDirectory(prefix="fastk-scale-", dir=options.folder) as folder:
            sizes, note = fitting(unit, SIZES[options.size][unit], folder)
            notes += note
            found += measure_axis(AXES[unit], folder, sizes)
    facts = {
        "machine": f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
        "run": f"{time.strftime('%Y-%m-%d %H:%M')}, {options.size}, {time.perf_counter() - begin:.0f} s",
        "state": "files in the page cache, kernels loaded; sizes take turns, and medians are compared",
    }
    report = as_text(facts, found, notes)
    print(report)
    if set(options.axes.split(",")) == set(AXES):
        data = {"facts": facts, "notes": notes, "costs": [as_data(each) for each in found]}
        keep("scale" if options.size == "full" else "scale-small", report, data)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="(default %(default)s)")
    parser.add_argument("--axes", default=",".join(AXES), help="what grows (default %(default)s)")
    parser.add_argument("--folder", help="where the stores are built (default: the system's temporary folder)")
    options = parser.parse_args()
    if unknown := set(options.axes.split(",")) - set(AXES):
        parser.error(f"nothing that grows is called {', '.join(sorted(unknown))}; there are {', '.join(AXES)}")
    if options.folder is not None and not os.path.isdir(options.folder):
        parser.error(f"--folder {options.folder}: there is no such folder")
    return options


def fitting(unit: str, sizes: Sequence[int], folder: str) -> tuple[list[int], list[str]]:
    """The sizes that the disk has room for, and what is said of the others."""
    if unit != ROWS.unit:
        return list(sizes), []
    free = shutil.disk_usage(folder).free
    fit = [size for size in sizes if 2 * size * BYTES_OF_A_ROW < free]
    left = [size for size in sizes if size not in fit]
    return fit, [f"{size:,} rows were left out: the disk has {free / 1e9:.0f} GB free" for size in left]


def as_text(facts: dict[str, str], found: Sequence[Grown], notes: Sequence[str]) -> str:
    """The report as markdown."""
    lines = ["# Scale", "", *(f"- {name}: {value}" for name, value in facts.items()), *(f"- {note}" for note in notes)]
    for axis in AXES.values():
        costs = [each for each in found if each.axis == axis.title]
        lines += ["", f"## {axis.title}", "", *table_lines(axis, costs)] if costs else []
    return "\n".join([*lines, "", *verdicts(found), ""])


def table_lines(axis: Axis, costs: Sequence[Grown]) -> list[str]:
    """One axis: a line a cost, a column a size."""
    sizes = list(costs[0].figures)
    rows = [["", "should be", *(f"{size:,}" for size in sizes), "tenfold costs"]]
    for each in costs:
        figures = (figure(each.figures[size], each.unit) for size in sizes)
        rows.append([each.cost, each.expected, *figures, f"{each.per_tenfold:.2f} x"])
    return aligned(rows)


def verdicts(found: Sequence[Grown]) -> list[str]:
    """Whether what should be flat is: the greatest size beside the least."""
    flat = {f"{each.cost} ({each.axis.lower()})": spread(each) for each in found if each.expected == "flat"}
    over = [f"- {name}: {ratio:.2f}" for name, ratio in flat.items() if ratio > FLAT_WITHIN]
    said = (
        f"Flat within {FLAT_WITHIN} from the least to the greatest size: {len(flat) - len(over)} of {len(flat)} costs."
    )
    return [said, *linear_verdicts(found), *(["", "Not so:", "", *over] if over else [])]


def linear_verdicts(found: Sequence[Grown]) -> list[str]:
    """Whether what should be linear is: the last step's factor beside that of the size."""
    steep = [f"{each.cost} ({steepness(each):.2f})" for each in found if each.expected == LINEAR]
    return ["", f"Growth of the last step beside that of the size, 1 if linear: {', '.join(steep)}."] if steep else []


def steepness(each: Grown) -> float:
    *_, before, last = sorted(each.figures)
    return each.figures[last] / each.figures[before] / (last / before)


def spread(each: Grown) -> float:
    return each.figures[max(each.figures)] / each.figures[min(each.figures)]


def as_data(each: Grown) -> dict[str, Any]:
    return {**each._asdict(), "per_tenfold": each.per_tenfold}


if __name__ == "__main__":
    main()
