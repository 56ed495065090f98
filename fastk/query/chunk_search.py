"""The steps that find the matching rows of one chunk."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.kernels.codes import SOME
from fastk.query.planner import (
    MARK,
    PATIENCE,
    PROBE,
    PRUNE,
    Facts,
    is_best_scanned,
    is_worth_pruning,
    may_prune,
    next_step,
    rows_scanned_at_once,
)
from fastk.query.stats import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.sidecars import SeriesSidecars
    from fastk.format.sidecars import ValueIndex, Zones
    from fastk.query.planner import Costs, PlanName
    from fastk.query.values import ValueSet

    Answer = tuple[int, NDArray[np.uint64] | None]  # how many rows match, and which; None stands for all of the window

# To look where so many ranges lie costs more than it can save.
_FEW_RANGES = 8
_UNDECIDED = np.full(1, SOME, np.uint8)


class Task:
    """What is the same for all chunks of a query, the counts of what it does, and what the next chunk may be like.

    ``many`` tells that more rows match than value indexes should name, so that looking at one chunk's gains little.
    ``scans`` tells that the last chunk was compared whole, and that this was the best way.
    """

    def __init__(
        self,
        column: int,
        values: ValueSet,
        plan: PlanName,
        costs: Costs,
        sidecars: SeriesSidecars,
        *,
        many: bool = False,
    ) -> None:
        self.column = column
        self.values = values
        self.plan: PlanName = plan
        self.costs = costs
        self.sidecars = sidecars
        self.tally = Tally()
        self.many = self.scans = many
        self.uses_zones = plan in ("auto", "zones")
        self.uses_index = plan in ("auto", "index")
        self.narrows = self.uses_zones and values.ranges > _FEW_RANGES

    def places(self, ranges: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Memory for where each range starts and stops in one value index; the same for all chunks."""
        starts, stops = self._places
        return starts[:ranges], stops[:ranges]

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.empty(self.values.ranges, np.int64), np.empty(self.values.ranges, np.int64)


class ChunkSearch:
    """The search of one chunk, among the rows from ``low`` to ``high``, of which there are some."""

    __slots__ = (
        "_chunk",
        "_high",
        "_index",
        "_judged",
        "_low",
        "_part",
        "_places",
        "_rows",
        "_task",
        "_values",
        "_zones",
    )

    def __init__(self, task: Task, chunk: MappedChunk, low: int, high: int) -> None:
        self._task = task
        self._chunk = chunk
        self._low = low
        self._high = high
        self._rows = high - low
        self._values = task.values
        self._part = 1.0
        if task.narrows:
            least, greatest, _ = task.sidecars.span(chunk, task.column)
            self._values = task.values.within(least, greatest)
            self._part = self._values.part(least, greatest)
        self._zones: Zones | None = None
        self._index: ValueIndex | None = None
        self._judged: _Judged | None = None

    def run(self) -> Answer:
        """Take the steps that the planner names, until one gives the answer."""
        task, facts, answer = self._task, self._facts(), None
        while answer is None:
            step = next_step(task.plan, facts, task.costs)
            if step is PROBE:
                answer = self._probe(facts)
            elif step is PRUNE:
                answer = self._prune(facts)
            elif step is MARK:
                answer = self._mark()
            else:
                answer = self._scan()
        return answer

    def _facts(self) -> Facts:
        """What the planner wants to know at first. Sidecars are opened where they may be of use."""
        task, part = self._task, self._part
        facts = Facts(self._rows, self._values.ranges, part=part, near=min(1.0, 64 * part))
        at_once = rows_scanned_at_once(task.plan, facts.ranges, facts.near, task.costs)
        if self._rows <= at_once * (PATIENCE if task.scans else 1):
            return facts
        task.scans = False
        if task.uses_index:
            index = self._index = task.sidecars.value_index(self._chunk, task.column)
            facts.indexed = None if index is None else len(index.values)
        if task.uses_zones and (task.plan == "zones" or may_prune(facts, task.costs)):
            self._add_zones(facts)
        return facts

    def _add_zones(self, facts: Facts) -> None:
        task, chunk = self._task, self._chunk
        zones = self._zones = task.sidecars.zones(chunk, task.column)
        if len(zones.minima) > 1:
            facts.blocks = (self._high - 1) // zones.block_rows - self._low // zones.block_rows + 1
            spread = task.sidecars.spread(chunk, task.column)
            facts.open_share = min(1.0, spread * facts.ranges, facts.part + spread)
            facts.near = min(facts.near, facts.part + spread)

    def _words(self) -> NDArray[np.uint64]:
        """Memory for the bits of the window's rows."""
        return np.empty((self._high + 63 >> 6) - (self._low >> 6), np.uint64)

    def _probe(self, facts: Facts) -> Answer | None:
        """Ask the value index how many entries match; the answer, if none do."""
        assert self._index is not None
        task, values = self._task, self._values
        self._places = task.places(values.ranges)
        found = kernels.active.index_bounds(self._index.values, *values.arrays, *self._places)
        if found:
            facts.found = found
            if task.uses_zones and self._zones is None and is_worth_pruning(task.costs.take(found), task.costs):
                self._add_zones(facts)
            return None
        task.tally.index_helped = True
        return (self._rows if values.negated else 0), None

    def _mark(self) -> Answer:
        """Take the rows from the value index."""
        assert self._index is not None
        task, words, negated = self._task, self._words(), self._values.negated
        count = kernels.active.mark(self._index.rows, *self._places, self._low, self._high, negated, words)
        task.tally.index_helped = True
        task.tally.rows_checked += self._rows - count if negated else count
        return count, words

    def _prune(self, facts: Facts) -> Answer | None:
        """Judge the blocks by their zones; the answer, if nothing is left to compare."""
        assert self._zones is not None
        judged = self._judged = _judge(self._zones, self._values, self._low, self._high)
        if judged.undecided:
            facts.undecided = judged.undecided
            return None
        self._task.tally.chunks_pruned += 1
        if 0 < judged.every < judged.blocks:
            return self._scan()
        judged.count_in(self._task.tally)
        return (self._rows if judged.every else 0), None

    def _scan(self) -> Answer:
        """Compare the rows of undecided blocks."""
        task, chunk, words, judged = self._task, self._chunk, self._words(), self._judged
        if judged is None:
            verdicts, block_rows, compared = _UNDECIDED, chunk.rows, self._rows
        else:
            verdicts, block_rows, compared = judged.verdicts, judged.block_rows, judged.undecided
            judged.count_in(task.tally)
        column = chunk.dense[task.column]
        if column is None:
            column = self._verified(verdicts, block_rows)
        if column.dtype.kind == "b":
            column = column.view(np.uint8)
        values = self._values
        task.tally.rows_checked += compared
        task.tally.fallback_scan |= compared == self._rows
        count = kernels.active.scan(
            column, verdicts, block_rows, self._low, self._high, *values.arrays, values.negated, words
        )
        if judged is None:
            inside = compared - count if values.negated else count
            task.scans = task.many or is_best_scanned(compared, inside, values.ranges, task.costs)
        return count, words

    def _verified(self, verdicts: NDArray[np.uint8], block_rows: int) -> NDArray[Any]:
        """The column, contiguous, verified where it is compared."""
        if verdicts is _UNDECIDED:
            return self._chunk.ensure_dense(self._task.column, self._low, self._high)
        first, last = self._low // block_rows, (self._high - 1) // block_rows + 1
        starts = (np.flatnonzero(verdicts[first:last] == SOME) + first) * block_rows
        return self._chunk.ensure_runs_verified(
            self._task.column, np.maximum(starts, self._low), np.minimum(starts + block_rows, self._high)
        )


class _Judged(NamedTuple):
    """What zones say of the blocks of a window: how many hold only matching rows, how many rows are left open."""

    verdicts: NDArray[np.uint8]
    block_rows: int
    blocks: int
    some: int
    every: int
    undecided: int

    def count_in(self, tally: Tally) -> None:
        """Count the blocks, where the answer comes from them."""
        tally.blocks_considered += self.blocks
        tally.blocks_pruned += self.blocks - self.some
        tally.zones_helped |= self.some < self.blocks


def _judge(zones: Zones, values: ValueSet, low: int, high: int) -> _Judged:
    size = zones.block_rows
    first, last = low // size, (high - 1) // size + 1
    verdicts = np.empty(last, np.uint8)
    some, every = kernels.active.prune(
        zones.minima[first:last],
        zones.maxima[first:last],
        zones.nan_flags[first:last],
        *values.wide,
        values.negated,
        verdicts[first:],
    )
    undecided = some * size
    if verdicts[first] == SOME:
        undecided -= low - first * size
    if verdicts[last - 1] == SOME:
        undecided -= last * size - high
    return _Judged(verdicts, size, last - first, some, every, undecided)
