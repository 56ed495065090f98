"""Running predicates over the chunks of a snapshot: one over all of them, or several chunk by chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.engine.rows import FilledRows, Rows, rows_class
from fastk.kernels.interface import NONE, SOME
from fastk.query.chunk_search import ChunkSearch, Task
from fastk.query.planner import COMPILED, NUMPY
from fastk.query.selection import Selection
from fastk.query.values import value_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.query.chunk_search import Answer
    from fastk.query.expressions import ScalarPredicateExpr
    from fastk.query.planner import PlanName
    from fastk.query.stats import ScalarPredicateQueryStats


def search(
    snapshot: Snapshot, column: int, predicate: ScalarPredicateExpr, start: int, end: int, plan: PlanName = "auto"
) -> tuple[Selection, ScalarPredicateQueryStats]:
    """The rows with ``start <= ts <= end`` that satisfy a condition on a column, and what finding them took.

    None if start > end. Raises InvalidInput if the condition's values cannot be compared with the column's.
    """
    task = _task(snapshot, column, predicate, plan)
    selection = Selection(snapshot)
    for ref in snapshot.overlapping(start, end) if start <= end else ():
        chunk, low, high = _window(snapshot, ref, start, end)
        count, words = _answer(task, chunk, low, high)
        if count:
            selection.add(ref, chunk, low, high, count, words)
    return selection, task.tally.stats(selection.rows)


# One row in so many is worth gathering: of 2.6 M rows of two columns, a half took 55 ms, and views of all 11.
_FEW = 8


def candidates(
    snapshot: Snapshot, conditions: Sequence[tuple[int, ScalarPredicateExpr]], start: int, end: int
) -> Iterator[Rows]:
    """The rows between two times that satisfy all conditions on columns, and perhaps others, chunk by chunk.

    For callers that look at each row themselves: where many rows of a chunk match, all are given, as views, because
    gathering them would cost more than looking at the others. A chunk is mapped and searched when its rows are asked
    for, and kept mapped by them alone. Its conditions are tried in the order given, until one of them has no match.
    """
    tasks = [_task(snapshot, column, predicate, "auto") for column, predicate in conditions]
    for ref in snapshot.overlapping(start, end) if start <= end else ():
        chunk, low, high = _window(snapshot, ref, start, end)
        count, words = _common_answer(tasks, chunk, low, high)
        if words is not None and 0 < count < (high - low) // _FEW:
            selection = Selection(snapshot)
            selection.add(ref, chunk, low, high, count, words)
            rows: Rows = rows_class(FilledRows, snapshot.settings.schema)(snapshot.settings, selection)
            yield rows
        elif count:
            yield snapshot.chunk_rows(chunk, low, high)


def _task(snapshot: Snapshot, column: int, predicate: ScalarPredicateExpr, plan: PlanName) -> Task:
    values = value_set(predicate, snapshot.settings, column)
    kernels.load()
    return Task(column, values, plan, COMPILED if kernels.loaded() else NUMPY, snapshot.chunks.sidecars)


def _window(snapshot: Snapshot, ref: ChunkRef, start: int, end: int) -> tuple[MappedChunk, int, int]:
    """A chunk whose span touches the times, and which of its rows lie between them."""
    leaf, place = ref
    chunk = snapshot.open_chunk(leaf, place)
    low, high = 0, chunk.rows
    if leaf.starts[place] < start or leaf.ends[place] > end:
        # ``start`` and ``end`` may be any int; within the chunk's span they are of int64.
        low, high = chunk.bounds(max(start, leaf.starts[place]), min(end, leaf.ends[place]))
    return chunk, low, high


def _answer(task: Task, chunk: MappedChunk, low: int, high: int) -> Answer:
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


def _common_answer(tasks: list[Task], chunk: MappedChunk, low: int, high: int) -> Answer:
    """The same for rows that match every one of some conditions."""
    words: NDArray[np.uint64] | None = None
    for task in tasks:
        matches, found = _answer(task, chunk, low, high)
        if not matches:
            return 0, None
        if found is not None:
            words = found if words is None else words & found
    if words is None:
        return high - low, None
    return int(np.count_nonzero(np.unpackbits(words.view(np.uint8)))), words
