"""Running a predicate over the chunks of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk import kernels
from fastk.kernels.codes import NONE, SOME
from fastk.query.chunk_search import ChunkSearch, Task
from fastk.query.compared import compared_chunks
from fastk.query.indexed import indexed_chunks
from fastk.query.planner import COMPILED, NUMPY
from fastk.query.selection import Selection
from fastk.query.values import value_set

if TYPE_CHECKING:
    from typing import Protocol

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.rows import ColumnSource
    from fastk.engine.snapshot import Snapshot
    from fastk.query.chunk_search import Answer
    from fastk.query.expressions import ScalarPredicateExpr
    from fastk.query.indexed import IndexedChunks
    from fastk.query.planner import Costs, PlanName
    from fastk.query.stats import Tally
    from fastk.query.values import ValueSet

    class Found(ColumnSource, Protocol):
        """The rows that a query found, as a source of columns."""

        @property
        def tally(self) -> Tally:
            """What finding them took."""


_SAVED_A_CHUNK, _SAVED_A_ROW = 1e-5, 4e-9  # seconds, by the compiled kernels


def search(
    snapshot: Snapshot, column: int, predicate: ScalarPredicateExpr, start: int, end: int, plan: PlanName = "auto"
) -> Found:
    """The rows with ``start <= ts <= end`` that satisfy a condition on a column.

    No rows if start > end. Raises InvalidInput if the condition's values cannot be compared with the column's.
    """
    values = value_set(predicate, snapshot.settings, column)
    costs = COMPILED if kernels.load_when_worth() is not kernels.plain else NUMPY
    indexed, found = None, None
    if plan == "auto" and start <= end:
        indexed, found = _at_once(snapshot, column, values, start, end, costs)
    if found is None:
        task = Task(column, values, plan, costs, snapshot.chunks.sidecars, many=indexed is not None)
        found = _by_chunk(snapshot, task, start, end)
    if costs is NUMPY:
        miss_kernels(found.tally)
    return found


def _at_once(
    snapshot: Snapshot, column: int, values: ValueSet, start: int, end: int, costs: Costs
) -> tuple[IndexedChunks | None, Found | None]:
    """The chunks if all have an index worth asking, and the rows if one look into all chunks is the way to them."""
    indexed = indexed_chunks(snapshot, column, values, start, end)
    found: Found | None = None if indexed is None else indexed.find(values, start, end, costs)
    if found is None:
        compared = compared_chunks(snapshot, column, values, start, end)
        found = None if compared is None else compared.find(values, start, end)
    return indexed, found


def _by_chunk(snapshot: Snapshot, task: Task, start: int, end: int) -> Selection:
    selection = Selection(snapshot, task.tally)
    for ref in snapshot.overlapping(start, end) if start <= end else ():
        chunk, low, high = window(snapshot, ref, start, end)
        count, words = answer(task, chunk, low, high)
        if count:
            selection.add(ref, chunk, low, high, count, words)
    return selection


def miss_kernels(tally: Tally) -> None:
    """Count what was searched, for the next query: the last one of a script waits for no kernels."""
    kernels.miss(_SAVED_A_CHUNK * tally.chunks + _SAVED_A_ROW * tally.rows_checked)


def window(snapshot: Snapshot, ref: ChunkRef, start: int, end: int) -> tuple[MappedChunk, int, int]:
    """A chunk whose span touches the times, mapped, and which of its rows lie between them."""
    leaf, place = ref
    chunk = snapshot.open_chunk(leaf, place)
    low, high = 0, chunk.rows
    if leaf.starts[place] < start or leaf.ends[place] > end:
        # ``start`` and ``end`` may be any int; within the chunk's span they are of int64.
        low, high = chunk.bounds(max(start, leaf.starts[place]), min(end, leaf.ends[place]))
    return chunk, low, high


def answer(task: Task, chunk: MappedChunk, low: int, high: int) -> Answer:
    """How many of some rows of a chunk match, and which."""
    task.tally.chunks += 1
    verdict = SOME if low < high else NONE
    if verdict == SOME and task.uses_zones:
        verdict = task.values.judge(*task.sidecars.span(chunk, task.column))
        task.tally.zones_helped |= verdict != SOME
    if verdict == SOME:
        return ChunkSearch(task, chunk, low, high).run()
    task.tally.chunks_pruned += 1
    return (0 if verdict == NONE else high - low), None
