"""Handles that count: a class that takes the place of :class:`fastk.Series` while metrics are on, and gives it back.

The class of existing handles is changed, so that those which callers keep count as well, and plain ones hold not even
a branch. Methods of the store and its sessions are shadowed by counting ones in the same way.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from fastk.engine.results import MergeResult, PutResult
from fastk.engine.rows import Rows
from fastk.replay.coverage import Coverage
from fastk.replay.sequences import SequenceScanReport
from fastk.schema.records import Record
from fastk.store.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.session.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")

SHADOWED = ("feature_matrix", "save_feature_matrix", "replay_merged")


def _counted(method: Callable[P, T]) -> Callable[P, T]:
    """A method of handles that counts its calls, rows, bytes and time under its own name."""
    name = method.__name__

    @wraps(method)
    def counting(*arguments: P.args, **options: P.kwargs) -> T:
        series: Any = arguments[0]
        metrics = series._metrics
        begin = perf_counter_ns()
        try:
            result = method(*arguments, **options)
        except BaseException:
            metrics.record_error(name, perf_counter_ns() - begin)
            raise
        rows = rows_of(result)
        metrics.record(name, perf_counter_ns() - begin, rows, rows * _row_bytes(series) if rows else 0)
        return result

    return counting


class MeasuredSeries(Series):
    """A handle that counts. It has no place of its own in memory: the slots are those of :class:`fastk.Series`."""

    __slots__ = ()

    range = _counted(Series.range)
    at = _counted(Series.at)
    latest = _counted(Series.latest)
    at_many = _counted(Series.at_many)
    ranges = _counted(Series.ranges)
    where = _counted(Series.where)
    replay = _counted(Series.replay)
    scan_sequence = _counted(Series.scan_sequence)
    coverage = _counted(Series.coverage)
    put = _counted(Series.put)
    append = _counted(Series.append)
    delete_range = _counted(Series.delete_range)
    replace_range = _counted(Series.replace_range)
    merge = _counted(Series.merge)


def rows_of(result: Any) -> int:
    """How many rows a call was about: those it gave, wrote or scanned; of a replay, all that it goes through."""
    match result:
        case Rows():  # before all others, as most calls give rows
            return len(result)
        case None | MergeResult() | Coverage():
            return 0
        case Record():
            return 1
        case PutResult():
            return result.accepted + result.replaced + result.deleted
        case SequenceScanReport():
            return result.scanned_record_count
    return len(result.rows if hasattr(result, "rows") else result)  # batches and queries hold theirs


def _row_bytes(series: Series) -> int:
    return series.schema.dtype.itemsize


def swap(handle: Series, metrics: Metrics | None) -> None:
    """Let a handle count, or (None) let it be a plain one again."""
    if metrics is None:
        handle.__class__ = Series
    else:
        handle._metrics = metrics
        handle.__class__ = MeasuredSeries


def swap_methods(owner: Any, metrics: Metrics | None) -> None:
    """Shadow the methods of a store or session that read many series, or (None) take the shadows away."""
    for name in SHADOWED:
        owner.__dict__.pop(name, None)
        if metrics is not None:
            owner.__dict__[name] = _shadow(getattr(owner, name), metrics)


def _shadow(method: Callable[..., T], metrics: Metrics) -> Callable[..., T]:
    name = method.__name__

    @wraps(method)
    def counting(*arguments: Any, **options: Any) -> T:
        begin = perf_counter_ns()
        try:
            result = method(*arguments, **options)
        except BaseException:
            metrics.record_error(name, perf_counter_ns() - begin)
            raise
        rows, size = _extent(result)
        metrics.record(name, perf_counter_ns() - begin, rows, size)
        return result

    return counting


def _extent(result: Any) -> tuple[int, int]:
    """Rows and bytes of a matrix; events of a merged replay, whose bytes are those of what callers gather of it."""
    values = getattr(result, "values", None)
    return (len(result.ts), values.nbytes) if values is not None else (len(result), 0)


@contextmanager
def counted_block(metrics: Metrics | None, operation: str) -> Iterator[None]:
    """Count a block as one call, if metrics are on."""
    if metrics is None:
        yield
        return
    begin = perf_counter_ns()
    try:
        yield
    except BaseException:
        metrics.record_error(operation, perf_counter_ns() - begin)
        raise
    metrics.record(operation, perf_counter_ns() - begin, 0, 0)
