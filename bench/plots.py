"""The plots of the documentation, drawn from the kept results by ``python -m bench.docs`` (the bench extra)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

FASTK_COLOR, OTHER_COLOR, GRID_COLOR = "#0b6e4f", "#9aa5b1", "#dde2e7"
PLOTTED = {
    "point, hit": "one row by its time",
    "range 64 rows, sum of close": "64 rows",
    "range 1,024 rows, sum of close": "1,024 rows",
    "range 16,384 rows, sum of close": "16,384 rows",
    "latest 1,024, sum of close": "the latest 1,024 rows",
    "scan close of all symbols": "one column of everything",
    "value between, 0.1% match, random": "0.1% of rows by value",
    "value == x, a third matches": "a third of rows by value",
    "feature matrix, 20 features of each symbol, one month": "feature matrix",
    "merged replay of all symbols: source, ts, close": "merged replay",
    "cold: open, then 1,024 rows": "cold: open, 1,024 rows",
    "append 64 rows, durable": "append 64 rows, durable",
    "initial write, durable": "initial write, durable",
    "a new process, to its first 1,024 rows": "a new process",
}
MARKERS = "osD^vP*Xhd<>"


def draw(results: Mapping[str, Any], scale: Mapping[str, Any] | None, folder: str) -> list[str]:
    """Write the plots as SVG; gives their paths."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "fastk", "font.size": 9, "axes.spines.top": False,
         "axes.spines.right": False, "axes.edgecolor": OTHER_COLOR, "axes.axisbelow": True}
    )  # fmt: skip
    os.makedirs(folder, exist_ok=True)
    drawn = {}
    if results.get("peers"):
        drawn["peers.svg"] = peers_plot(results["peers"])
    if results.get("threads"):
        drawn["threads.svg"] = threads_plot(results["threads"])
    if scale:
        drawn["scale.svg"] = scale_plot(scale["costs"])
    for name, plot in drawn.items():
        plot.savefig(os.path.join(folder, name), bbox_inches="tight", metadata={"Date": None})
    return [os.path.join(folder, name) for name in drawn]


def peers_plot(peers: Mapping[str, Any]) -> Any:
    """A line a question, a mark a contestant: times beside FastK's, which is 1."""
    from matplotlib import pyplot

    lines = {line["title"]: line["beside_fastk"] for listed in peers["groups"].values() for line in listed}
    titles = [title for title in PLOTTED if title in lines][::-1]
    plot, axes = pyplot.subplots(figsize=(8, 0.34 * len(titles) + 1.4))
    words = [word for word in peers["contestants"] if word != "fastk"]
    colors = pyplot.colormaps["tab10"].colors
    for place, word in enumerate(words):
        points = [(lines[title][word], row) for row, title in enumerate(titles) if word in lines[title]]
        color, name = colors[place % len(colors)], peers["contestants"][word]["name"]
        axes.plot(*zip(*points, strict=True), MARKERS[place], color=color, label=name, markersize=5, alpha=0.9)
    axes.axvline(1, color=FASTK_COLOR, linewidth=2, label="FastK")
    axes.set_xscale("log")
    axes.set_yticks(range(len(titles)), [PLOTTED[title] for title in titles])
    axes.set_xlabel("time beside FastK's (right of the line: FastK is faster)")
    axes.grid(axis="both", color=GRID_COLOR, linewidth=0.7)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return plot


def scale_plot(costs: Sequence[Mapping[str, Any]]) -> Any:
    """A panel an axis of growth; each cost divided by its figure at the least size."""
    from matplotlib import pyplot

    titles = list(dict.fromkeys(cost["axis"] for cost in costs))
    plot, panels = pyplot.subplots(1, len(titles), figsize=(4.6 * len(titles), 3.6), squeeze=False)
    for axes, title in zip(panels[0], titles, strict=True):
        for place, cost in enumerate(each for each in costs if each["axis"] == title and each["unit"] != "maps"):
            figures = {int(size): value for size, value in cost["figures"].items()}
            first = figures[min(figures)]
            beside = [value / first for value in figures.values()]
            axes.plot(list(figures), beside, marker=MARKERS[place % len(MARKERS)], markersize=4, label=cost["cost"])
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(title, fontsize=10)
        axes.set_ylabel("cost beside that of the least size")
        axes.grid(color=GRID_COLOR, linewidth=0.7)
        axes.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    plot.tight_layout()
    return plot


def threads_plot(found: Sequence[Mapping[str, Any]]) -> Any:
    """A panel a question: throughput by workers, threads and processes, beside one thread."""
    from matplotlib import pyplot

    questions = list(dict.fromkeys(each["question"] for each in found))
    plot, panels = pyplot.subplots(1, len(questions), figsize=(2.5 * len(questions), 2.8), sharey=True, squeeze=False)
    for axes, question in zip(panels[0], questions, strict=True):
        for contender, color in (("fastk", FASTK_COLOR), ("npy", OTHER_COLOR)):
            for kind, style in (("threads", "-o"), ("processes", "--s")):
                rates = {
                    each["workers"]: each["rate"]
                    for each in found
                    if (each["question"], each["contender"], each["kind"]) == (question, contender, kind)
                }
                name = {"fastk": "FastK", "npy": "raw npy"}[contender]
                beside = [rate / rates[1] for rate in rates.values()]
                axes.plot(list(rates), beside, style, color=color, markersize=4, label=f"{name}, {kind}")
        axes.set_title(question.replace(", ", ",\n", 1), fontsize=8)
        axes.set_xticks([1, 2, 4])
        axes.set_xlabel("workers")
        axes.grid(color=GRID_COLOR, linewidth=0.7)
    panels[0][0].set_ylabel("throughput beside one")
    panels[0][-1].legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    plot.tight_layout()
    return plot
