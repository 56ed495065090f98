"""Bring the kept results into the documentation: ``python -m bench.docs``; ``--check`` only compares.

Each block stands between two markers, so that nobody edits a figure by hand: in the README a digest, in
docs/performance.md all tables. The plots are drawn as well, where matplotlib is installed (the bench extra).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
from typing import Any

from bench import floors, threads
from bench.measure import LOADED, NEVER
from bench.peers.table import digits
from bench.run import OWN_TITLE, PEERS_TITLE, RESULTS_FOLDER
from bench.table import aligned, figure

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
IMAGES = os.path.join(CHECKOUT, "docs", "images")
DIGEST = {
    "point, hit": "one row by its time",
    "range 16 rows, sum of close": "16 rows, then `rows.close.sum()`",
    "range 1,024 rows, sum of close": "1,024 rows, then the same",
    "range 1,024 rows, all six columns taken": "1,024 rows, all six columns",
    "range 4,096 rows across months, sum of close": "4,096 rows over two files",
    "latest 1,024, sum of close": "the latest 1,024 rows",
    "full series, sum of close over segments": "166,668 rows, summed",
    "at_many, 10,000 random timestamps, each": "one of 10,000 rows in a batch",
    "ranges, 1,000 of 64 rows, each": "one of 1,000 windows in a batch",
    "open and read 60 rows, 10,000 chunks": "open a store and read 60 rows",
    "append 64 rows, durable": "append 64 rows, durable (beside the bare syncs)",
    "initial write, durable": "write 1.33 M bars, durable",
    "fresh process to the first 1,024 rows": "a new process, to its first 1,024 rows",
}
PEER_DIGEST = {
    "point, hit": "one row by its time",
    "range 1,024 rows, sum of close": "1,024 rows, one column",
    "scan close of all symbols": "one column of everything",
    "value between, 0.1% match, random": "0.1% of rows by value",
    "feature matrix, 20 features of each symbol, one month": "feature matrix, one month",
    "cold: open, then 1,024 rows": "cold: open, then 1,024 rows",
    "append 64 rows, durable": "append 64 rows, durable",
    "initial write, durable": "initial write, durable",
    "MB on disk": "bytes on disk",
}


def main() -> int:
    """Write the blocks, or say whether they are as they should be."""
    parser = argparse.ArgumentParser(prog="python -m bench.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a page differs; change nothing")
    check = parser.parse_args().check
    stale = {page: text for page, text in pages().items() if text != read(page)}
    for page, text in stale.items():
        print(f"{page} {'differs from' if check else 'now shows'} bench/results")
        if not check:
            write(page, text)
    if not check:
        draw_plots()
    return int(check and bool(stale))


def draw_plots() -> None:
    """Those of the documentation, if they can be drawn here."""
    if importlib.util.find_spec("matplotlib") is None:
        print("the plots stay as they are: they need pip install 'fastk-engine[bench]'")
        return
    from bench.plots import draw

    for path in draw(kept("latest"), kept("scale"), IMAGES):
        print(f"{os.path.relpath(path, CHECKOUT)} is drawn")


def pages() -> dict[str, str]:
    """Each page as it should be."""
    report, scale, steps = parts("latest"), parts("scale"), parts("floors")
    blocks = {
        "README.md": {"speed": digest() + peer_digest()},
        "docs/performance.md": {
            "speed": report[OWN_TITLE],
            "peers": report[PEERS_TITLE],
            "threads": report[threads.TITLE],
            "scale": scale["Scale"],
            "floors": steps[floors.TITLE],
        },
    }
    return {page: filled(page, texts) for page, texts in blocks.items()}


def filled(page: str, texts: dict[str, str]) -> str:
    """A page with its blocks."""
    content = read(page)
    for marker, text in texts.items():
        block = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
        if not block.search(content):
            raise SystemExit(f"{page} lacks its markers <!-- {marker} --> and <!-- /{marker} -->")
        content = block.sub(lambda found, text=text: f"{found[1]}\n{text.strip()}\n\n{found[2]}", content)
    return content


def parts(name: str) -> dict[str, str]:
    """A report by its headings of the first level, the others one level down."""
    with open(os.path.join(RESULTS_FOLDER, f"{name}.md")) as file:
        report = file.read()
    found = re.split(r"^# (.+)\n", report, flags=re.MULTILINE)[1:]
    return {
        title: re.sub(r"^## ", "### ", text, flags=re.MULTILINE)
        for title, text in zip(found[::2], found[1::2], strict=True)
    }


def kept(name: str) -> Any:
    """What was measured."""
    with open(os.path.join(RESULTS_FOLDER, f"{name}.json")) as file:
        return json.load(file)


def digest() -> str:
    """The rows that a newcomer asks for."""
    found = kept("latest")
    results = {result["workload"]: result for listed in found["sections"].values() for result in listed}
    rows = [["", "raw `.npy`", "FastK, plain", "ratio", "FastK, kernels", "ratio"]]
    rows += [digest_row(label, results[name]) for name, label in DIGEST.items()]
    facts = found["facts"]
    note = f"Measured on {facts['processor']}, {facts['versions'].split(',')[0]}, warm; the median of each, in one run."
    note += " A ratio is to raw `.npy` in the same turns."
    return "\n".join(["", *aligned(rows), "", note, "", ""])


def digest_row(label: str, result: dict[str, Any]) -> list[str]:
    row = [label, figure(result["baseline_value"], result["unit"])]
    for mode in (NEVER, LOADED):
        if mode in result["fastk"]:
            row += [figure(result["fastk"][mode], result["unit"]), f"{result['ratio'][mode]:.2f}"]
        else:
            row += ["", ""]
    return row


def peer_digest() -> str:
    """Raw npy and other stores beside FastK, by ratios."""
    peers = kept("latest")["peers"]
    words = [word for word in peers["contestants"] if word != "fastk"]
    lines = {line["title"]: line for listed in peers["groups"].values() for line in listed}
    rows = [["", "FastK", *(peers["contestants"][word]["name"] for word in words)]]
    for title, label in PEER_DIGEST.items():
        line = lines[title]
        own = figure(line["times"]["fastk"], "MB" if "MB" in title else "us")
        ratios = (line["beside_fastk"].get(word) for word in words)
        rows.append([label, own, *("-" if ratio is None else f"{digits(ratio)} x" for ratio in ratios)])
    data = peers["data"].partition(";")[0]
    said = f"Raw npy and other stores on the same data ({data}), their time divided by FastK's: below 1 they are ahead."
    return "\n".join([said, "", *aligned(rows), ""])


def read(page: str) -> str:
    with open(os.path.join(CHECKOUT, page)) as file:
        return file.read()


def write(page: str, text: str) -> None:
    with open(os.path.join(CHECKOUT, page), "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main())
