"""The planner: which step comes next in one chunk, by estimated cost. Pure: facts in, a step out.

The costs are estimates in nanoseconds. They were measured on one processor, and only their ratios matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from fastk.errors import InvalidInput

PlanName = Literal["auto", "scan", "zones", "index"]
PLAN_NAMES: tuple[PlanName, ...] = ("auto", "scan", "zones", "index")


class Step(Enum):
    """What can be done with a chunk."""

    PROBE = "look up in the value index how many rows match"
    ASSESS = "see how many zones there are, and how much they may decide"
    PRUNE = "let the zones decide about blocks"
    MARK = "take the rows from the value index"
    SCAN = "compare the values of the undecided blocks"


PROBE, ASSESS, PRUNE, MARK, SCAN = Step  # a name costs 30 ns, an attribute of an enumeration 120


@dataclass(slots=True)
class Facts:
    """What is known of a chunk so far; None for what is not."""

    rows: int
    """Rows within the window."""
    indexed: int | None = None
    """Entries of the value index; None if there is none to use."""
    found: int | None = None
    """How many of them lie in the ranges; None before probing."""
    blocks: int | None = None
    """Zones that pruning would look at; 0 if they cannot tell more than the chunk's least and greatest value."""
    open_share: float = 1.0
    """The share of them that will presumably be left undecided."""
    undecided: int | None = None
    """Rows that the zones leave undecided; None before pruning."""


class Prices(NamedTuple):
    """Estimated costs in nanoseconds of the steps for one condition."""

    call: float
    """Taking a step."""
    row: float
    """Comparing a row with all ranges."""
    block: float
    """Judging a block by its zone."""
    run: float
    """Comparing a block that stands alone, beyond its rows."""
    level: float
    """Going down a level of the value index, for both ends of all ranges."""
    entry: float
    """Marking the row of an entry."""


class Costs(NamedTuple):
    """Estimated costs in nanoseconds of what steps consist of."""

    call: float
    """Taking a step: a call of a kernel, and what leads to it."""
    read: float
    """Reading a row."""
    compare: float
    """Comparing it with one range."""
    sift: float
    """Halving the ranges among which a row is looked for."""
    zone: float
    """Halving the ranges among which a zone is looked for."""
    run: float
    """Turning to another run of blocks."""
    search: float
    """One step of a binary search in a value index."""
    mark: float
    """Setting the bit of one row."""

    def prices(self, ranges: int) -> Prices:
        """The costs for a condition of so many ranges: a few are all compared with a row, among more it is searched."""
        halvings = ranges.bit_length()
        row = self.read + min(self.compare * ranges, self.sift * halvings)
        return Prices(self.call, row, self.zone * halvings, self.run, 2 * ranges * self.search, self.mark)


COMPILED = Costs(call=4_000, read=0.11, compare=0.09, sift=6, zone=20, run=100, search=10, mark=2.2)
NUMPY = Costs(call=8_000, read=0.2, compare=0.8, sift=7, zone=60, run=4_000, search=20, mark=5)

# Where the chunk before was scanned and rightly so, the next one is as well, unless that costs so many steps.
_PATIENCE = 8


def is_scanned_at_once(plan: PlanName, rows: int, prices: Prices, *, again: bool) -> bool:
    """Whether comparing costs so little that sidecars need not be opened; ``again``: as in the chunk before."""
    steps = _PATIENCE if again else 1
    return plan == "scan" or (plan == "auto" and prices.row * rows <= prices.call * steps)


def is_best_scanned(rows: int, inside: int, prices: Prices) -> bool:
    """Whether comparing all rows was cheaper than marking those that turned out to lie in the ranges."""
    return prices.row * rows < prices.entry * inside


def next_step(plan: PlanName, facts: Facts, prices: Prices) -> Step:
    """The step to take next; MARK and SCAN are the last ones.

    ``plan`` other than "auto" forces a way: "index" scans where there is no value index.
    """
    if plan == "auto":
        return _cheapest(facts, prices)
    if plan == "scan" or (plan == "index" and facts.indexed is None):
        return SCAN
    if plan == "zones":
        return ASSESS if facts.blocks is None else PRUNE if facts.undecided is None else SCAN
    return PROBE if facts.found is None else MARK


def _cheapest(facts: Facts, prices: Prices) -> Step:
    """Probe if that may pay; then the cheapest of mark, scan, and prune with a scan of what is left."""
    call, row, found = prices.call, prices.row, facts.found
    step, least = SCAN, call + row * (facts.rows if facts.undecided is None else facts.undecided)
    if found is not None:
        mark = call + prices.entry * found
        if mark < least:
            step, least = MARK, mark
    elif facts.indexed is not None and 2 * call + prices.level * facts.indexed.bit_length() < least:
        return PROBE
    if facts.undecided is not None or least <= 2 * call:
        return step
    if facts.blocks is None:
        return ASSESS
    blocks, share = facts.blocks, facts.open_share
    prune = 2 * call + prices.block * blocks + prices.run * blocks * share + row * facts.rows * share
    return PRUNE if blocks and prune < least else step


def checked_plan(plan: object) -> PlanName:
    """A plan's name; InvalidInput if it is none."""
    for name in PLAN_NAMES:
        if plan == name:
            return name
    raise InvalidInput(f"plan={plan!r} is unknown: give {', '.join(map(repr, PLAN_NAMES))}")
