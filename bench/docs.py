"""Bring the kept results into the documentation: ``python -m bench.docs``; ``--check`` only compares.

The tables stand between two markers, in the README a digest and in docs/performance.md all of them, so that nobody
edits a figure by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from typing import Any

from bench.measure import LOADED, NEVER
from bench.table import RESULTS_FOLDER, aligned, figure

CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BLOCK = re.compile(r"(<!-- speed -->\n).*?(<!-- /speed -->)", re.DOTALL)
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


def main() -> int:
    """Write the tables, or say whether they are as they should be."""
    parser = argparse.ArgumentParser(prog="python -m bench.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a page differs; change nothing")
    check = parser.parse_args().check
    stale = {page: text for page, text in pages().items() if text != read(page)}
    for page, text in stale.items():
        print(f"{page} {'differs from' if check else 'now shows'} bench/results/latest")
        if not check:
            with open(os.path.join(CHECKOUT, page), "w") as file:
                file.write(text)
    return int(check and bool(stale))


def pages() -> dict[str, str]:
    """Each page as it should be."""
    blocks = {"README.md": digest(), "docs/performance.md": full_tables()}
    if any(not BLOCK.search(read(page)) for page in blocks):
        raise SystemExit("a page lacks its markers <!-- speed --> and <!-- /speed -->")
    return {page: BLOCK.sub(lambda found, block=block: found[1] + block + found[2], read(page))
            for page, block in blocks.items()}  # fmt: skip


def digest() -> str:
    """The rows that a newcomer asks for."""
    with open(os.path.join(RESULTS_FOLDER, "latest.json")) as file:
        kept = json.load(file)
    results = {result["workload"]: result for listed in kept["sections"].values() for result in listed}
    rows = [["", "raw `.npy`", "FastK, plain", "ratio", "FastK, kernels", "ratio"]]
    rows += [digest_row(label, results[name]) for name, label in DIGEST.items()]
    facts = kept["facts"]
    note = f"Measured on {facts['processor']}, {facts['versions'].split(',')[0]}, warm; the median of each, in one run."
    return "\n".join(["", *aligned(rows), "", note, "", ""])


def digest_row(label: str, result: dict[str, Any]) -> list[str]:
    row = [label, figure(result["baseline_value"], result["unit"])]
    for mode in (NEVER, LOADED):
        if mode in result["fastk"]:
            row += [figure(result["fastk"][mode], result["unit"]), f"{result['ratio'][mode]:.2f}"]
        else:
            row += ["", ""]
    return row


def full_tables() -> str:
    """The report as it is, its headings one level down."""
    with open(os.path.join(RESULTS_FOLDER, "latest.md")) as file:
        report = file.read()
    return re.sub(r"^## ", "### ", report.partition("\n")[2], flags=re.MULTILINE) + "\n"


def read(page: str) -> str:
    with open(os.path.join(CHECKOUT, page)) as file:
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
