"""Rows that may satisfy several conditions, chunk by chunk, for callers that look at each row themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.engine.rows import filled_rows
from fastk.query.chunk_search import Task
from fastk.query.planner import COMPILED, NUMPY
from fastk.query.search import answer, miss_kernels
from fastk.query.selection import Selection
from fastk.query.values import value_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot
    from fastk.query.chunk_search import Answer
    from fastk.query.expressions import ScalarPredicateExpr

# One row in so many is worth gathering: of 2.6 M rows of two columns, a half took 55 ms, and views of all 11.
_FEW = 8


def candidates(
    snapshot: Snapshot, conditions: Sequence[tuple[int, ScalarPredicateExpr]], start: int, end: int
) -> Iterator[Rows]:
    """The rows between two times that satisfy all conditions on columns, and perhaps others.

    Where many rows of a chunk match, all between the times are given, as views: gathering costs more than looking at
    them. A chunk is mapped and searched when its rows are asked for, and kept mapped by them alone. Its conditions are
    tried in the order given, until one of them has no match.
    """
    tasks = _tasks(snapshot, conditions)
    for ref in snapshot.overlapping(start, end) if start <= end else ():
        chunk, low, high = snapshot.window(*ref, start, end)
        count, words = _common_answer(tasks, chunk, low, high)
        if words is not None and 0 < count < (high - low) // _FEW:
            selection = Selection(snapshot, tasks[0].tally)
            selection.add(ref, chunk, low, high, count, words)
            yield filled_rows(snapshot.settings, selection)
        elif count:
            yield snapshot.chunk_rows(chunk, low, high)
    for task in tasks:
        miss_kernels(task.tally)


def _tasks(snapshot: Snapshot, conditions: Sequence[tuple[int, ScalarPredicateExpr]]) -> list[Task]:
    if conditions:
        kernels.load_when_worth()
    costs, sidecars = COMPILED if kernels.loaded() else NUMPY, snapshot.chunks.sidecars
    return [
        Task(column, value_set(predicate, snapshot.settings, column), "auto", costs, sidecars)
        for column, predicate in conditions
    ]


def _common_answer(tasks: list[Task], chunk: MappedChunk, low: int, high: int) -> Answer:
    """How many of some rows of a chunk match every one of some conditions, and which."""
    words: NDArray[np.uint64] | None = None
    for task in tasks:
        matches, found = answer(task, chunk, low, high)
        if not matches:
            return 0, None
        if found is not None:
            words = found if words is None else words & found
    if words is None:
        return high - low, None
    return int(np.count_nonzero(np.unpackbits(words.view(np.uint8)))), words
