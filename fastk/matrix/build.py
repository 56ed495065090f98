"""Filling matrices in memory: how much of it they take, on how many threads, and what is said on the way."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.errors import InvalidInput
from fastk.matrix import memory, parallel
from fastk.matrix.matrix import FeatureMatrix, MatrixCoverage
from fastk.matrix.plan import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike

    from numpy.typing import NDArray

    from fastk.matrix.dataset import Recipe
    from fastk.matrix.plan import Plan
    from fastk.matrix.timeline import Timeline

    Progress = Callable[[int, int], None]

# Bytes of the matrix that one step fills; and the least rows of one.
STEP_BYTES = 64 << 20
_LEAST_ROWS = 1_024
# Of the rows of a step, where several threads take them: one that waits for a busy core holds up the others by one part
# at most. With one part a thread, one matrix in twenty took 65 ms beside a busy program, with two 16 to 32, for the
# usual 10. Each part costs 0.1 ms: four took 8% more of the largest matrices on an idle machine.
_PARTS_A_THREAD = 2
_WAY_OUT = (
    "take a shorter range, fewer columns or float32, or write it to disk block by block by "
    "store.save_feature_matrix(path, ...)"
)


def build(
    plan: Plan,
    out: NDArray[Any] | None,
    *,
    threads: int,
    with_mask: bool,
    progress: Progress | None,
    recipe: Recipe | None = None,
) -> FeatureMatrix:
    """The matrix of a plan, in memory: new, or ``out``."""
    shape = shape_of(plan)
    if out is not None:
        _check_out(out, shape, plan.dtype)
    check_memory(plan, with_mask=with_mask, needs_values=out is None)
    plan.verify(threads)
    values = np.empty(shape, plan.dtype) if out is None else out
    mask = np.empty(shape, bool) if with_mask else None
    matched = fill_all(plan, values, mask, threads, progress)
    if out is not None:
        return described(plan, values, mask, matched)  # without the recipe: what comes to stand in out is the caller's
    values.flags.writeable = False
    return described(plan, values, mask, matched, recipe)


def described(
    plan: Plan,
    values: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    matched: dict[Timeline, int],
    recipe: Recipe | None = None,
) -> FeatureMatrix:
    """Values with all that is known of them."""
    return FeatureMatrix(
        values=values,
        ts=plan.grid,
        labels=labels_of(plan),
        layout=plan.request.layout,
        time_unit=plan.unit,
        divisors=[divisor for source in plan.sources for divisor in source.divisors],
        coverage=coverage_of(plan, matched),
        mask=mask,
        recipe=recipe,
    )


def save_built(
    plan: Plan, path: str | PathLike[str], *, threads: int, with_mask: bool, progress: Progress | None
) -> FeatureMatrix:
    """Write the matrix of a plan to disk, of which never more than a piece is in memory; gives it mapped.

    The mask is a file of its own, and is written in a second pass.
    """
    from fastk.matrix.saved import PIECE_BYTES, save_pieces

    shape, columns_first = shape_of(plan), plan.request.layout == "FT"
    plan.verify(threads)
    matched = dict.fromkeys(plan.timelines, 0)

    def pieces(of_mask: bool) -> Iterator[NDArray[Any]]:
        buffer, done = np.empty(0, plan.dtype), of_mask * plan.rows * plan.columns
        for part, first, rows in _parts(plan, PIECE_BYTES // (plan.dtype.itemsize + of_mask), columns_first):
            size = rows * part.columns
            buffer = buffer if buffer.size >= size else np.empty(size, plan.dtype)
            values = buffer[:size].reshape((part.columns, rows) if columns_first else (rows, *shape[1:]))
            mask = np.empty(values.shape, bool) if of_mask else None
            found = fill_all(part, values, mask, threads, first=first)
            if mask is None:
                for timeline, count in found.items():
                    matched[timeline] += count
            yield (values if mask is None else mask).reshape(-1).view(np.uint8)
            done += size
            if progress is not None:
                progress(done // plan.columns, plan.rows * (1 + with_mask))

    # Arrays of the shape that take no memory: what is written comes from the pieces.
    values, mask = (np.broadcast_to(np.zeros((), dtype), shape) for dtype in (plan.dtype, bool))
    return save_pieces(
        lambda: described(plan, values, mask if with_mask else None, matched),
        path,
        lambda: pieces(of_mask=False),
        lambda: pieces(of_mask=True),
    )


def _parts(plan: Plan, size: int, columns_first: bool) -> Iterator[tuple[Plan, int, int]]:
    """Parts of no more values than that, in the order in which they are written: columns, first row, rows."""
    together = max(1, size // plan.rows) if columns_first else plan.columns
    for column in range(0, plan.columns, together):
        part = plan.columns_between(column, min(column + together, plan.columns))
        step = max(1, size // part.columns)
        for first in range(0, plan.rows, step):
            yield part, first, min(step, plan.rows - first)


def shape_of(plan: Plan) -> tuple[int, ...]:
    """Shape of the values; InvalidInput if the columns are no product of symbols and features, and should be."""
    layout = plan.request.layout
    if layout == "TF":
        return plan.rows, plan.columns
    if layout == "FT":
        return plan.columns, plan.rows
    labels = labels_of(plan)
    symbols = list(dict.fromkeys(label.symbol for label in labels))
    features = [label[1:] for label in labels if label.symbol == symbols[0]]
    if [label.symbol for label in labels] != [symbol for symbol in symbols for _ in features] or [
        label[1:] for label in labels
    ] != features * len(symbols):
        raise InvalidInput(
            "layout='TSF' needs the same columns of every symbol, symbol after symbol: give symbols=[...] and "
            "features=[...], or take layout='TF'"
        )
    return plan.rows, len(symbols), len(features)


def labels_of(plan: Plan) -> list[Any]:
    """The label of each column."""
    return [label for source in plan.sources for label in source.labels]


def table_of(values: NDArray[Any], layout: str) -> NDArray[Any]:
    """Values of any layout as a view of rows x columns."""
    if layout == "FT":
        return values.T
    return values.reshape(values.shape[0], -1) if values.ndim == 3 else values


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    wanted = f"a writable, C-contiguous {dtype} array of shape {shape}"
    if type(out) not in (np.ndarray, np.memmap):  # what else is an array to numpy may do more than hold values
        raise InvalidInput(f"out must be {wanted}, not {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise InvalidInput(f"out must be {wanted}, not {out.dtype} of shape {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise InvalidInput(f"out must be {wanted}; it has the shape, but is read-only or no contiguous whole")


def check_memory(plan: Plan, *, with_mask: bool, needs_values: bool) -> None:
    """Refuse a matrix that is larger than the memory which is free, before any of it is taken."""
    needed = needs_values * plan.nbytes + with_mask * plan.rows * plan.columns
    memory.check(needed, f"the matrix of {plan.rows:,} x {plan.columns:,} {plan.dtype}", _WAY_OUT)


def fill_all(
    plan: Plan,
    values: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    threads: int,
    progress: Progress | None = None,
    first: int = 0,
) -> dict[Timeline, int]:
    """Fill values with the grid rows from ``first`` on; gives for each timeline how many of them have a row of its own.

    Column group after column group within so many rows as fill a step, and the rows of a group on all threads: so the
    threads meet in no page of the output, and few files are in use at a time.
    """
    table = table_of(values, plan.request.layout)
    filled = _Filled(plan, table, None if mask is None else table_of(mask, plan.request.layout), first, progress)
    step = max(_LEAST_ROWS, STEP_BYTES // max(1, plan.columns * plan.dtype.itemsize))
    parallel.each(
        filled.run,
        [task for start in range(0, len(table), step) for task in filled.tasks(start, step, threads)],
        threads,
    )
    return filled.matched


class _Task(NamedTuple):
    """Some rows of a group, one of ``parts`` that are done beside each other."""

    group: int
    start: int
    stop: int
    step: range
    parts: int


class _Filled:
    """What has been filled so far."""

    def __init__(
        self, plan: Plan, table: NDArray[Any], mask: NDArray[np.bool_] | None, first: int, progress: Progress | None
    ) -> None:
        self.matched = dict.fromkeys(plan.timelines, 0)
        self._plan = plan
        self._target = Target(table)
        self._mask = mask
        self._first = first
        self._progress = progress
        self._lock = threading.Lock()
        self._done = 0
        self._parts_done: dict[tuple[int, int], int] = {}

    def tasks(self, start: int, rows: int, threads: int) -> Iterator[_Task]:
        """All groups of some rows."""
        step = range(start, min(start + rows, len(self._target.table)))
        parts = _part_count(len(step), threads)
        cuts = [start + len(step) * part // parts for part in range(parts + 1)]
        for group in range(len(self._plan.groups)):
            for begin, end in pairwise(cuts):
                yield _Task(group, begin, end, step, parts)

    def run(self, task: _Task) -> None:
        """Fill one part."""
        group, first = self._plan.groups[task.group], self._first
        part = None if self._mask is None else self._mask[task.start : task.stop]
        target = self._target.part(task.start, task.stop)
        found = self._plan.fill_group(group, first + task.start, first + task.stop, target, part)
        with self._lock:
            self._count(task, found)
            key = task.step.start, task.group
            self._parts_done[key] = self._parts_done.get(key, 0) + 1
            last = self._parts_done[key] == task.parts
        if last and self._plan.is_large:
            for aligned in group:
                aligned.drop_pages(first + task.step.start, first + task.step.stop)

    def _count(self, task: _Task, found: list[int]) -> None:
        for aligned, count in zip(self._plan.groups[task.group], found, strict=True):
            if aligned.is_first:
                self.matched[aligned.timeline] += count
        self._done += (task.stop - task.start) * sum(len(aligned.columns) for aligned in self._plan.groups[task.group])
        if self._progress is not None:
            self._progress(self._done // self._plan.columns, len(self._target.table))


def _part_count(rows: int, threads: int) -> int:
    """Into how many parts the rows of a step are cut."""
    if threads == 1 or not kernels.loaded():  # numpy's calls took a fifth longer with four parts a thread
        return min(rows, threads)
    return min(rows, max(threads, min(threads * _PARTS_A_THREAD, rows // _LEAST_ROWS)))


def coverage_of(plan: Plan, matched: dict[Timeline, int]) -> list[MatrixCoverage]:
    """What the range holds of each series, in the order asked."""
    found = {}
    for timeline, count in matched.items():
        first, last = timeline.span() or (None, None)
        for source, _ in timeline.members:
            found[source.key] = MatrixCoverage(source.key, timeline.rows - timeline.lookback, count, first, last)
    return [found[source.key] for source in plan.sources]
