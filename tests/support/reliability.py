"""The figures of docs/reliability.md: ``python -m tests.support.reliability`` tries all stories and writes the table.

With FASTK_TORTURE=1 in the long form. Names of stories try these alone and print the table instead.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .crashes import Effort, Story, Tally, killed_writers, power_cuts
from .failures import FailingStory, Failures
from .operations import OPERATIONS, Operation

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reliability.md"
BLOCK = re.compile(r"(<!-- crashes -->\n).*?(<!-- /crashes -->)", re.DOTALL)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
STATES = ("old", "new", "in part", "unchanged")
HEAD = ("story", "power cuts", "disks", *STATES, *STATES, "killed writers", "disks", "failed calls", "interrupts")


def main(names: list[str]) -> None:
    """Try the stories; a law that does not hold ends this with what had happened before."""
    unknown = set(names) - set(map(str, OPERATIONS))
    if unknown:
        sys.exit(f"there is no story {', '.join(sorted(unknown))}; there are {', '.join(map(str, OPERATIONS))}")
    wanted = [operation for operation in OPERATIONS if not names or str(operation) in names]
    table = "\n".join(_table([_row(operation, Effort.wanted()) for operation in wanted]))
    if names:
        print(table)
    else:
        PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}{table}\n{found[2]}", PAGE.read_text()))
        print(f"{PAGE.name} shows {len(wanted)} stories")


def _row(operation: Operation, effort: Effort) -> list[int | str]:
    print(operation, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, operation.limits():
        story = Story(operation, Path(folder))
        cuts, kills = power_cuts(story, effort), killed_writers(story, effort)
        failing = FailingStory(story)
        failed = _sound(operation, failing.fail(each=effort.each_fault))
        interrupts = [
            _sound(operation, each) for each in (failing.interrupt(each=effort.each_fault), failing.interrupt_effects())
        ]
    return [
        operation.name.replace("_", " "),
        *_counts(cuts),
        kills.points,
        kills.images,
        failed.calls,
        sum(each.calls for each in interrupts),
    ]


def _counts(tally: Tally) -> list[int]:
    found = [counter[state] for counter in (tally.outcomes, tally.rebuilt) for state in STATES]
    return [tally.points, tally.images, *found]


def _sound(operation: Operation, found: Failures) -> Failures:
    if found.problems:
        raise AssertionError("\n".join([str(operation), *found.problems]))
    return found


def _table(rows: list[list[int | str]]) -> Iterable[str]:
    sums = [sum(int(row[place]) for row in rows) for place in range(1, len(HEAD))]
    yield f"| {' | '.join(HEAD)} |"
    yield "|---|" + "---:|" * (len(HEAD) - 1)
    for row in [*rows, ["**all**", *sums]]:
        yield f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in row)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
