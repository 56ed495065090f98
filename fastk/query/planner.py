"""The planner: which step comes next in one chunk, by estimated cost. Pure: facts in, a step out.

The costs are estimates in nanoseconds. They were measured on one processor, and only their ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from fastk.errors import InvalidInput

PlanName = Literal["auto", "scan", "zones", "index"]
PLAN_NAMES: tuple[PlanName, ...] = ("auto", "scan", "zones", "index")


class Step(Enum):
    """What can be done with a chunk."""

    PROBE = "look up in the value index how many rows match"
    PRUNE = "let the zones decide about blocks"
    MARK = "take the rows from the value index"
    SCAN = "compare the values of the undecided blocks"


@dataclass(slots=True)
class Facts:
    """What is known of a chunk so far; None for what is not."""

    rows: int
    """Rows within the window."""
    ranges: int
    """Ranges of matching values."""
    blocks: int
    """Zones that pruning would look at; 0 if they cannot tell more than the chunk's least and greatest value."""
    indexed: int | None = None
    """Entries of the value index; None if there is none to use."""
    found: int | None = None
    """How many of them lie in the ranges; None before probing."""
    undecided: int | None = None
    """Rows that the zones leave undecided; None before pruning."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Estimated costs in nanoseconds."""

    call: float
    """Calling a kernel."""
    compare: float
    """Comparing a row with one range."""
    search: float
    """One step of a binary search."""
    mark: float
    """Setting the bit of one row."""

    def scan(self, rows: int, ranges: int) -> float:
        """Comparing rows: with each of a few ranges, or by binary search among many."""
        return self.call + rows * min(self.compare * ranges, self.compare + self.search * ranges.bit_length())

    def prune(self, blocks: int, ranges: int) -> float:
        """Judging blocks by their zones."""
        return self.call + blocks * self.search * (1 + ranges.bit_length())

    def probe(self, entries: int, ranges: int) -> float:
        """Finding both ends of each range in a value index."""
        return self.call + 2 * ranges * self.search * entries.bit_length()

    def take(self, entries: int) -> float:
        """Marking the rows of entries."""
        return self.call + entries * self.mark


COMPILED = Costs(call=400, compare=0.4, search=3, mark=1)
NUMPY = Costs(call=3000, compare=1, search=10, mark=8)


def next_step(plan: PlanName, facts: Facts, costs: Costs) -> Step:
    """The step to take next; MARK and SCAN are the last ones.

    ``plan`` other than "auto" forces a way: "index" scans where there is no value index.
    """
    if plan == "scan" or (plan == "index" and facts.indexed is None):
        return Step.SCAN
    if plan == "zones":
        return Step.PRUNE if facts.undecided is None else Step.SCAN
    if plan == "index":
        return Step.PROBE if facts.found is None else Step.MARK
    return _cheapest(facts, costs)


def _cheapest(facts: Facts, costs: Costs) -> Step:
    """Probe and prune, the cheaper first and each only while it may pay; then the cheaper of mark and scan."""
    ranges, undecided, found = facts.ranges, facts.undecided, facts.found
    left = costs.scan(facts.rows if undecided is None else undecided, ranges)
    if found is not None:
        lookup, step = costs.take(found), Step.MARK
    elif facts.indexed is not None:
        lookup, step = costs.probe(facts.indexed, ranges), Step.PROBE
    else:
        lookup, step = left, Step.SCAN
    best = min(lookup, left)
    if undecided is None and facts.blocks and costs.prune(facts.blocks, ranges) < best:
        return Step.PRUNE
    return step if lookup <= left else Step.SCAN


def checked_plan(plan: object) -> PlanName:
    """A plan's name; InvalidInput if it is none."""
    for name in PLAN_NAMES:
        if plan == name:
            return name
    raise InvalidInput(f"plan={plan!r} is unknown: give {', '.join(map(repr, PLAN_NAMES))}")
