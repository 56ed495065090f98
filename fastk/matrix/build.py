"""Filling matrices in memory: how much of it they take, on how many threads, and what is said on the way."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidInput
from fastk.matrix import parallel
from fastk.matrix.matrix import Coverage, FeatureMatrix
from fastk.matrix.plan import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.matrix.plan import Plan

    Progress = Callable[[int, int], None]

# Bytes of the matrix that one step of a thread fills; and the least rows of a step.
STEP_BYTES = 8 << 20
_LEAST_ROWS = 1_024
# Smaller matrices are not worth the question how much memory is free.
_WORTH_ASKING = 64 << 20


def build(
    plan: Plan, out: NDArray[Any] | None, *, threads: int, with_mask: bool, progress: Progress | None
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
    return FeatureMatrix(
        values=values,
        ts=plan.grid,
        labels=labels_of(plan),
        layout=plan.request.layout,
        time_unit=plan.unit,
        divisors=divisors_of(plan),
        coverage=coverage_of(plan, matched),
        mask=mask,
    )


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


def divisors_of(plan: Plan) -> list[int]:
    """By what the stored integers of each column are, or are to be, divided."""
    return [divisor for source in plan.sources for divisor in source.divisors]


def table_of(values: NDArray[Any], layout: str) -> NDArray[Any]:
    """Values of any layout as a view of rows x columns."""
    if layout == "FT":
        return values.T
    return values.reshape(values.shape[0], -1) if values.ndim == 3 else values


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    wanted = f"a writable, C-contiguous {dtype} array of shape {shape}"
    if not isinstance(out, np.ndarray):
        raise InvalidInput(f"out must be {wanted}, not {type(out).__name__}")
    if out.shape != shape or out.dtype != dtype:
        raise InvalidInput(f"out must be {wanted}, not {out.dtype} of shape {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise InvalidInput(f"out must be {wanted}; it has the shape, but is read-only or no contiguous whole")


def check_memory(plan: Plan, *, with_mask: bool, needs_values: bool) -> None:
    """Refuse a matrix that is larger than the memory which is free, before any of it is taken."""
    needed = needs_values * plan.nbytes + with_mask * plan.rows * plan.columns
    if needed < _WORTH_ASKING:
        return
    free = free_memory()
    if needed > free:
        raise InvalidInput(
            f"the matrix of {plan.rows:,} x {plan.columns:,} {plan.dtype} takes {needed / 1e9:,.1f} GB, and "
            f"{free / 1e9:,.1f} GB of memory are free: take a shorter range, fewer columns or float32, or write it to "
            f"disk block by block by store.save_feature_matrix(path, ...)"
        )


def free_memory() -> int:
    """Bytes that can be had without swapping, as far as the system tells."""
    try:
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):  # not Linux: all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def fill_all(
    plan: Plan,
    values: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    threads: int,
    progress: Progress | None = None,
    first: int = 0,
) -> list[int]:
    """Fill values with the grid rows from ``first`` on; gives for each timeline how many of them have a row of its own."""
    layout = plan.request.layout
    table = table_of(values, layout)
    target, marks = Target(table), None if mask is None else table_of(mask, layout)
    matched = [0] * len(plan.timelines)
    total, done, lock = table.shape[0], 0, threading.Lock()
    step = max(_LEAST_ROWS, STEP_BYTES // max(1, plan.columns * plan.dtype.itemsize))

    def fill(start: int) -> None:
        nonlocal done
        stop = min(start + step, total)
        part = None if marks is None else marks[start:stop]
        found = plan.fill(first + start, first + stop, target.part(start, stop), part)
        with lock:
            matched[:] = [before + more for before, more in zip(matched, found, strict=True)]
            done += stop - start
            if progress is not None:
                progress(done, total)

    parallel.each(fill, range(0, total, step), threads)
    return matched


def coverage_of(plan: Plan, matched: list[int]) -> list[Coverage]:
    """What the range holds of each series, in the order asked."""
    found = {}
    for timeline, count in zip(plan.timelines, matched, strict=True):
        first, last = timeline.span() or (None, None)
        for source, _ in timeline.members:
            found[source.key] = Coverage(source.key, timeline.rows - timeline.lookback, count, first, last)
    return [found[source.key] for source in plan.sources]
