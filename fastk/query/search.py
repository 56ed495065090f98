"""Running a predicate over the chunks of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk import kernels
from fastk.engine.rows import filled_rows
from fastk.kernels.codes import NONE, SOME
from fastk.query.chunk_search import ChunkSearch, Task
from fastk.query.compared import compared_chunks
from fastk.query.few_rows import search_few
from fastk.query.indexed import indexed_chunks
from fastk.query.planner import COMPILED, NUMPY, rows_scanned_at_once
from fastk.query.selection import Selection
from fastk.query.values import value_set
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from typing import Protocol

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot
    from fastk.query.at_once import RowsAtOnce
    from fastk.query.chunk_search import Answer
    from fastk.query.compared import ComparedRows
    from fastk.query.expressions import ScalarPredicateExpr
    from fastk.query.planner import PlanName
    from fastk.query.stats import Tally
    from fastk.query.values import ValueSet

    class Found(Protocol):
        """What knows how rows were found: the rows themselves, or their source.

        The name begins with an underscore, as no property of rows that is a column does.
        """

        @property
        def _tally(self) -> Tally: ...


# What a short window has: numpy takes up to 2 us for each range in each chunk, other ways 10 more to begin with, or 40
# without kernels.
_FEW_CHUNKS, _FEW_SEARCHES_BY_NUMPY = 2, 16
_FEW_RANGES = 4
_SAVED_A_SEARCH = 1.5e-6  # seconds, by the compiled kernels in short windows of more chunks than two
_SAVED_A_CHUNK, _SAVED_A_ROW = 1e-5, 4e-9  # seconds, by the compiled kernels


def search(
    snapshot: Snapshot, column: int, predicate: ScalarPredicateExpr, start: int, end: int, plan: PlanName = "auto"
) -> tuple[Rows, Found]:
    """The rows with ``start <= ts <= end`` that satisfy a condition on a column, and what counted the steps to them.

    No rows if start > end. Raises InvalidInput if the condition's values cannot be compared with the column's.
    """
    values = value_set(predicate, snapshot.settings, column)
    # Whether all rows of a series are few is not asked: it would cost a microsecond of each query without a window.
    if plan == "auto" and (start > INT64_MIN or end < INT64_MAX) and values.ranges <= _FEW_RANGES:
        few = _few_rows(snapshot, column, values, start, end)
        if few is not None:
            return few
    numpy_serves = kernels.load_when_worth() is kernels.plain
    costs = NUMPY if numpy_serves else COMPILED
    indexed = None
    at_once: RowsAtOnce | None = None
    if plan == "auto" and start <= end:
        indexed = indexed_chunks(snapshot, column, values, start, end)
        at_once = None if indexed is None else indexed.find(values, start, end, costs)
        if at_once is None:
            at_once = _compared(snapshot, column, values, start, end)
    if at_once is None:
        task = Task(column, values, plan, costs, snapshot.chunks.sidecars, many=indexed is not None)
        result = _by_chunk(snapshot, task, start, end)
    else:
        result = at_once, at_once
    if numpy_serves:
        miss_kernels(result[1]._tally)
    return result


def _few_rows(snapshot: Snapshot, column: int, values: ValueSet, start: int, end: int) -> tuple[Rows, Found] | None:
    """The matching rows of a window that has few, in few chunks; None for any other."""
    most = rows_scanned_at_once("auto", values.ranges, 1.0, NUMPY)
    windows = snapshot.few_between(start, end, _few_chunks(snapshot, column, values.ranges), most)
    if not windows or sum([high - low for _, low, high in windows]) > most:
        return None
    few = search_few(snapshot, column, values, windows)
    if len(windows) > _FEW_CHUNKS:
        kernels.miss(_SAVED_A_SEARCH * values.ranges * len(windows))
    return few, few


def _few_chunks(snapshot: Snapshot, column: int, ranges: int) -> int:
    """In up to how many chunks numpy compares all rows sooner than any other way finds those that match."""
    if kernels.load_when_worth() is kernels.plain:
        return _FEW_SEARCHES_BY_NUMPY // max(1, ranges)
    schema = snapshot.settings.schema
    return _FEW_CHUNKS + (ranges == 1 and schema.names[column] not in schema.value_indexes)


def _compared(snapshot: Snapshot, column: int, values: ValueSet, start: int, end: int) -> ComparedRows | None:
    """The rows by comparing many small chunks together; None where that is not the way to them."""
    compared = compared_chunks(snapshot, column, start, end)
    return None if compared is None else compared.find(values, start, end)


def _by_chunk(snapshot: Snapshot, task: Task, start: int, end: int) -> tuple[Rows, Found]:
    """The rows chunk by chunk."""
    selection = Selection(snapshot, task.tally)
    for ref in snapshot.overlapping(start, end) if start <= end else ():
        chunk, low, high = snapshot.window(*ref, start, end)
        count, words = answer(task, chunk, low, high)
        if count:
            selection.add(ref, chunk, low, high, count, words)
    return filled_rows(snapshot.settings, selection) if selection.rows else snapshot.no_rows, selection


def miss_kernels(tally: Tally) -> None:
    """Count what was searched, for the next query: the last one of a script waits for no kernels."""
    kernels.miss(_SAVED_A_CHUNK * tally.chunks + _SAVED_A_ROW * tally.rows_checked)


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
