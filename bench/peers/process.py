"""``python -m bench.peers.process WORD FOLDER QUESTION ...``: one contestant in a process of its own.

Prints the answer, and the peak of this process's memory in KiB. Nothing but this contestant's library is imported.
"""

from __future__ import annotations

import sys
from typing import Any

from bench.peers.registry import contestant


def main() -> None:
    """Open, ask, print."""
    word, folder, question, *arguments = sys.argv[1:]
    store = contestant(word)(folder)
    store.open()
    print(ANSWERS[question](store, arguments), peak_kib())


def first_rows(store: Any, arguments: list[str]) -> int:
    """TABLE START END: the sum of close of a range."""
    table, start, end = arguments
    return int(store.column(table, "close", int(start), int(end)).sum())


def full_series(store: Any, arguments: list[str]) -> int:
    """TABLE: all columns of all rows as arrays; the sum of close."""
    found = store.rows(arguments[0], 0, 7 * 10**12)
    return int(found[4].sum())


def matrix(store: Any, arguments: list[str]) -> float:
    """START END NAMES TABLE...: the last value of a feature matrix."""
    start, end, names, *tables = arguments
    return float(store.matrix(tables, names.split(","), int(start), int(end))[-1, -1])


ANSWERS = {"first": first_rows, "full": full_series, "matrix": matrix}


def peak_kib() -> int:
    """The high-water mark of this program alone: ru_maxrss would count the parent's memory at the time of its fork."""
    try:
        with open("/proc/self/status") as file:
            return int(next(line.split()[1] for line in file if line.startswith("VmHWM")))
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)


if __name__ == "__main__":
    main()
