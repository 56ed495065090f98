"""The figures of docs/reliability.md: ``python -m tests.support.reliability`` runs the proofs and writes the tables.

With FASTK_TORTURE=1 in the long form, which is ``make torture``. Arguments go to pytest: then the tables of what was
tried are printed instead. A proof that fails leaves the page as it is.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))  # as pytest has it: what tests import and what this does are the same modules

from support.figures import TABLES, Table  # noqa: E402
from support.torture import TORTURE  # noqa: E402

PAGE = TESTS.parent / "docs" / "reliability.md"
PROOFS = ("proof", "test_crash_prefix.py", "test_io_failures.py", "test_model.py")
OPTIONS = ("-q", "-p", "no:benchmark", "-n", "auto", "--dist", "worksteal", "--durations", "10")


class Figures:
    """A plugin of pytest that adds up what the tests have noted."""

    def __init__(self) -> None:
        self.tables: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """All that a test has noted is known at its end."""
        self.passed += report.when == "call" and report.passed
        for name, noted in report.user_properties if report.when == "teardown" else ():
            if name == "figures":
                table, row, counts = noted  # type: ignore[misc]
                self.tables[table][row].update(counts)


def main(arguments: list[str]) -> int:
    """Run the proofs; the exit status is pytest's."""
    figures, start = Figures(), time.perf_counter()
    proofs = [str(TESTS / each) for each in PROOFS]
    status = int(pytest.main([*OPTIONS, *(arguments or proofs)], plugins=[figures]))
    if arguments:
        for name, found in figures.tables.items():
            print(name, *_lines(TABLES[name], found, only_found=True), sep="\n")
    elif status == 0:
        _write_page(figures, time.perf_counter() - start)
    return status


def _write_page(figures: Figures, seconds: float) -> None:
    text = PAGE.read_text()
    for name, table in TABLES.items():
        text = _replaced(text, name, "\n".join(_lines(table, figures.tables[name])))
    PAGE.write_text(_replaced(text, "run", _about_the_run(figures.passed, seconds)))
    print(f"{PAGE.name} shows the figures of this run")


def _about_the_run(passed: int, seconds: float) -> str:
    form = "the long form, `make torture`" if TORTURE else "the short form, as in `make test`"
    system = f"{platform.system()} on {platform.machine()}, Python {platform.python_version()}"
    return (
        f"The last run was in {form}: {passed:,} tests on {datetime.now(UTC):%Y-%m-%d}, {system}, "
        f"{os.cpu_count()} processors, {seconds / 60:.0f} minutes."
    )


def _replaced(text: str, name: str, content: str) -> str:
    block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    changed, count = block.subn(lambda found: f"{found[1]}{content}\n{found[2]}", text)
    assert count == 1, f"{PAGE} has no place for {name}"
    return changed


def _lines(table: Table, found: dict[str, Counter[str]], *, only_found: bool = False) -> Iterable[str]:
    unknown = set(found) - set(table.rows), {name for row in found.values() for name in row} - set(table.columns)
    assert not any(unknown), f"the table of {table.first} has no place for {unknown}"
    rows = {name: found.get(name, Counter()) for name in table.rows if name in found or not only_found}
    if table.has_sum:
        rows["**all**"] = sum(rows.values(), Counter())
    yield f"| {' | '.join((table.first, *table.columns))} |"
    yield "|---|" + "---:|" * len(table.columns)
    for name, counts in rows.items():
        yield f"| {' | '.join((name, *map(_cell, (counts[column] for column in table.columns))))} |"


def _cell(count: Any) -> str:
    return f"{count:,}" if count else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
