"""The planner: which step comes next in one chunk, by estimated cost. Pure: facts in, a step out.

The costs are estimates in nanoseconds. They were measured on one processor, and only their ratios matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
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


PROBE, PRUNE, MARK, SCAN = Step  # a name costs 30 ns, an attribute of an enumeration 120


@dataclass(slots=True)
class Facts:
    """What is known of a chunk so far; None for what is not."""

    rows: int
    """Rows within the window."""
    ranges: int
    """Ranges of matching values."""
    blocks: int = 0
    """Zones that pruning would look at; 0 if they cannot tell more than the chunk's least and greatest value."""
    indexed: int | None = None
    """Entries of the value index; None if there is none to use."""
    found: int | None = None
    """How many of them lie in the ranges; None before probing."""
    undecided: int | None = None
    """Rows that the zones leave undecided; None before pruning."""
    open_share: float = 0.0
    """The share of the zones that will presumably leave theirs undecided."""
    part: float = 1.0
    """The part of the chunk's span of values from the first of the ranges to the last."""
    near: float = 1.0
    """The share of the words of 64 rows that presumably have a value in that part."""


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Estimated costs in nanoseconds. Each is a key of :func:`index_capacity` by its identity."""

    call: float
    """Taking a step: a call of a kernel, and what leads to it."""
    read: float
    """Reading a row."""
    compare: float
    """Comparing it with one range, where there are few."""
    few: int
    """So many are few."""
    sift: float
    """Halving the ranges among which it is looked for, where there are more."""
    zone: float
    """Halving the ranges among which a zone is looked for."""
    run: float
    """Turning to another run of undecided blocks."""
    search: float
    """One step of a search in a value index."""
    leap: float
    """Another bound than that of the range before."""
    mark: float
    """Setting the bit of one row."""

    def scan(self, rows: int, ranges: int, near: float = 1.0) -> float:
        """Comparing rows: with each of a few ranges; among many, by binary search in words near them."""
        return self.call + rows * self.row(ranges, near)

    def row(self, ranges: int, near: float = 1.0) -> float:
        """Comparing one row; with all ranges as one before it is searched among them."""
        if ranges <= self.few:
            return self.read + self.compare * ranges
        return self.read + self.compare + self.sift * ranges.bit_length() * near

    def prune(self, blocks: int, ranges: int) -> float:
        """Judging blocks by their zones."""
        return self.call + blocks * self.zone * ranges.bit_length()

    def probe(self, entries: int, ranges: int, part: float = 1.0) -> float:
        """Finding both ends of each range in a value index, from one range to the next one."""
        between = part * entries / max(ranges, 1)
        moved = self.leap * min(1.0, 3 * between)  # with fewer entries than ranges, many bounds are those before
        return self.call + 2 * ranges * (moved + self.search * int(1 + between).bit_length())

    def take(self, entries: int) -> float:
        """Marking the rows of entries."""
        return self.call + entries * self.mark


COMPILED = Costs(call=4_000, read=0.11, compare=0.09, few=64, sift=0.9, zone=20, run=100, search=1.5, leap=14, mark=2.2)
NUMPY = Costs(call=8_000, read=0.2, compare=0.8, few=96, sift=7, zone=60, run=4_000, search=5, leap=30, mark=5)

# Where the chunk before was rightly compared whole, the next one is as well, unless that costs so many steps.
PATIENCE = 8
_MOST_NAMED_A_CHUNK = 1 << 16
# Pruning takes two steps: against a way that costs little more it would gain next to nothing.
_FEW_STEPS = 2.5


def rows_scanned_at_once(plan: PlanName, ranges: int, near: float, costs: Costs) -> float:
    """So few rows are compared without a look at sidecars: that costs no more than one further step."""
    if plan == "auto":
        return costs.call / costs.row(ranges, near)
    return math.inf if plan == "scan" else 0


def is_best_scanned(rows: int, inside: int, ranges: int, costs: Costs) -> bool:
    """Whether comparing all rows was cheaper than marking those that turned out to lie in the ranges."""
    return costs.scan(rows, ranges) < costs.take(inside)


@lru_cache(maxsize=256)
def index_capacity(rows: int, chunks: int, ranges: int, costs: Costs) -> int:
    """So many rows are taken from the value indexes of all chunks at once for no more than another way costs.

    Measured: a row costs half of marking it, as no chunk needs a step of its own. In long chunks steps do not matter,
    and zones may be the better way.
    """
    return min(int(2 * rows * costs.row(ranges) / costs.mark), chunks * _MOST_NAMED_A_CHUNK)


def may_prune(facts: Facts, costs: Costs) -> bool:
    """Whether zones may be better than what is known without them; otherwise they need not be looked up."""
    if facts.indexed is not None and not is_worth_pruning(_probing(facts, costs), costs):
        return False
    return is_worth_pruning(_comparing(facts, costs), costs)


def is_worth_pruning(cost: float, costs: Costs) -> bool:
    """Whether zones may be better than a way of this cost."""
    return cost > _FEW_STEPS * costs.call


def next_step(plan: PlanName, facts: Facts, costs: Costs) -> Step:
    """The step to take next; MARK and SCAN are the last ones.

    ``plan`` other than "auto" forces a way: "index" scans where there is no value index.
    """
    if plan == "auto":
        return _cheapest(facts, costs)
    if plan == "scan" or (plan == "index" and facts.indexed is None):
        return SCAN
    if plan == "zones":
        return PRUNE if facts.undecided is None else SCAN
    return PROBE if facts.found is None else MARK


def _cheapest(facts: Facts, costs: Costs) -> Step:
    """The first step of the cheapest way that is known: scan, mark, probe and mark, or prune and scan what is left."""
    found, undecided = facts.found, facts.undecided
    step, least = SCAN, _comparing(facts, costs)
    if facts.indexed is not None:
        lookup = costs.take(found) if found is not None else _probing(facts, costs)
        if lookup <= least:
            step, least = (PROBE if found is None else MARK), lookup
    prunable = undecided is None and facts.blocks and is_worth_pruning(least, costs)
    return PRUNE if prunable and _pruning(facts, costs) < least else step


def _comparing(facts: Facts, costs: Costs) -> float:
    """Comparing all rows, or those that zones left undecided: most of these lie near the ranges."""
    if facts.undecided is None:
        return costs.scan(facts.rows, facts.ranges, facts.near)
    return costs.scan(facts.undecided, facts.ranges)


def _probing(facts: Facts, costs: Costs) -> float:
    """Looking up how many rows match, and no row to mark."""
    assert facts.indexed is not None
    return costs.probe(facts.indexed, facts.ranges, facts.part) + costs.call


def _pruning(facts: Facts, costs: Costs) -> float:
    """Pruning, and comparing what will presumably be left: blocks apart from each other."""
    blocks, share = facts.blocks, facts.open_share
    left = costs.scan(int(share * facts.rows), facts.ranges) + costs.run * share * blocks
    return costs.prune(blocks, facts.ranges) + left


def checked_plan(plan: object) -> PlanName:
    """A plan's name; InvalidInput if it is none."""
    for name in PLAN_NAMES:
        if plan == name:
            return name
    raise InvalidInput(f"plan={plan!r} is unknown: give {', '.join(map(repr, PLAN_NAMES))}")
