"""How long reads of a store take, here and now: percentiles of each operation, over series sampled from it.

Nothing is written. Operations are measured one call at a time by the clock of the process, new arguments in each call,
so that a percentile is what a caller of this store meets, page faults and first verifications included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.errors import FastKError, InvalidInput, NotFound
from fastk.query.expressions import Gte
from fastk.store.store import FastKStore

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.store.series import Series

Call = Callable[[], object]

BATCH = 1_000
MOST_CALLS = 5_000
LEAST_CALLS = 5
_WARM_CALLS = 3
_SAMPLED_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class OperationLatency:
    """Microseconds of one operation: percentiles over ``calls``, and the rows that a call reads in the median."""

    operation: str
    calls: int
    rows: int
    p50: float
    p95: float
    p99: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """What :func:`latency_profile` found. ``skipped`` names unreadable series among those drawn, and why."""

    root: str
    series_count: int
    sampled: tuple[str, ...]
    skipped: tuple[str, ...]
    rows: int
    operations: tuple[OperationLatency, ...]


def latency_profile(
    root: str | os.PathLike[str], *, series: int = 8, seconds: float = 0.5, seed: int = 0
) -> LatencyProfile:
    """Measure the reads of a store, without writing to it.

    ``series``: how many are sampled, drawn by ``seed`` among those that have rows. ``seconds``: how long each operation
    is measured, for at least 5 and at most 5,000 calls. NotFound where there is no store, or none of its series has
    rows. Cost: about 11 times ``seconds``, and more where one scan of a series takes longer; and a listing.
    """
    if type(series) is not int or series < 1:
        raise InvalidInput(f"series must be an int of 1 or more, not {series!r}")
    if not 0 < seconds < 3_600:
        raise InvalidInput(f"seconds must be between 0 and 3,600, not {seconds!r}")
    if type(seed) is not int or seed < 0:
        raise InvalidInput(f"seed must be an int of 0 or more, not {seed!r}")
    with FastKStore.open(root, "r") as store:
        entries = store.list_series()
        rng = np.random.default_rng(seed)
        found, skipped = _sample(store, entries, series, rng)
        if not found:
            raise NotFound(f"no readable series of {store.root} has rows; there is nothing to measure")
        operations = tuple(_measure(each, store.root, found, skipped, rng, seconds) for each in _OPERATIONS)
        return LatencyProfile(
            root=store.root,
            series_count=len(entries),
            sampled=tuple(str(each.key) for each in found),
            skipped=tuple(skipped),
            rows=sum(map(len, found)),
            operations=operations,
        )


def _sample(
    store: FastKStore, entries: Sequence[Any], wanted: int, rng: np.random.Generator
) -> tuple[list[Series], list[str]]:
    """Series that can be read, drawn without repetition; and those that cannot."""
    found: list[Series] = []
    skipped: list[str] = []
    for place in rng.permutation(len(entries)).tolist():
        if len(found) == wanted:
            break
        entry = entries[place]
        series = store.series((entry.symbol, entry.category, entry.name))
        try:
            if len(series):
                _some_window(series, rng, 1)
                found.append(series)
        except FastKError as error:
            skipped.append(f"{series.key}: {error}")
    return found, skipped


def _measure(
    operation: _Operation,
    root: str,
    found: list[Series],
    skipped: list[str],
    rng: np.random.Generator,
    seconds: float,
) -> OperationLatency:
    """One operation on the series by turns, until the time is over. One that turns out to be damaged leaves them."""
    times: list[int] = []
    rows: list[int] = []
    warm = _WARM_CALLS if operation.is_warm else 0
    end = time.perf_counter() + seconds
    for turn in count():
        series = found[turn % len(found)]
        try:
            elapsed, read = _timed(operation, operation.make(root, series, rng))
        except FastKError as error:
            found.remove(series)
            skipped.append(f"{series.key}: {error}")
            if not found:
                raise
            continue
        times.append(elapsed)
        rows.append(read)
        if len(times) == MOST_CALLS + warm or (len(times) >= LEAST_CALLS + warm and time.perf_counter() > end):
            break
    return _percentiles(operation, np.array(times[warm:]) / 1e3 / operation.items, int(np.median(rows)))


def _timed(operation: _Operation, call: Call) -> tuple[int, int]:
    """Nanoseconds of a call, and the rows that it read."""
    begin = time.perf_counter_ns()
    answer = call()
    elapsed = time.perf_counter_ns() - begin
    return elapsed, operation.rows(answer)


def _percentiles(operation: _Operation, figures: NDArray[np.float64], rows: int) -> OperationLatency:
    p50, p95, p99 = np.percentile(figures, (50, 95, 99)).tolist()
    return OperationLatency(
        operation.title, figures.size, rows, p50, p95, p99, float(figures.min()), float(figures.max())
    )


# The operations


class _Operation(NamedTuple):
    """``make`` gives the next call on a series; ``rows`` how many rows its answer stands for."""

    title: str
    make: Callable[[str, Series, np.random.Generator], Call]
    rows: Callable[[Any], int] = int
    items: int = 1
    is_warm: bool = True


def _some_piece(series: Series, rng: np.random.Generator) -> Any:
    """The rows of a random chunk."""
    segments = series.range().segments
    return segments[int(rng.integers(len(segments)))]


def _some_window(series: Series, rng: np.random.Generator, rows: int) -> tuple[int, int]:
    """First and last ts of so many rows of a chunk, or of all that it has."""
    ts = _some_piece(series, rng).ts
    first = int(rng.integers(max(len(ts) - rows, 0) + 1))
    return int(ts[first]), int(ts[min(first + rows, len(ts)) - 1])


def _column(series: Series) -> str:
    """The column that a caller looks at: close of bars, value of scalars, otherwise the last that is a number."""
    numbers = [field.name for field in series.schema.fields if field.dtype.kind in "iuf" and field.name != "ts"]
    return next((name for name in ("close", "value") if name in numbers), numbers[-1] if numbers else "ts")


def _open(root: str, series: Series, rng: np.random.Generator) -> Call:
    key = series.key
    return lambda: len(FastKStore.open(root, "r").series(key))


def _open_and_read(root: str, series: Series, rng: np.random.Generator) -> Call:
    key, column, (start, end) = series.key, _column(series), _some_window(series, rng, 256)
    return lambda: len(FastKStore.open(root, "r").series(key).range(start, end)[column])


def _stored_point(root: str, series: Series, rng: np.random.Generator) -> Call:
    return partial(series.at, _some_window(series, rng, 1)[0])


def _missing_point(root: str, series: Series, rng: np.random.Generator) -> Call:
    """A time unit behind a row, where bars have no row, and trades seldom."""
    return partial(series.at, _some_window(series, rng, 1)[0] + 1)


def _range(rows: int) -> Callable[[str, Series, np.random.Generator], Call]:
    def make(root: str, series: Series, rng: np.random.Generator) -> Call:
        column, (start, end) = _column(series), _some_window(series, rng, rows)
        return lambda: len(series.range(start, end)[column])

    return make


def _latest(root: str, series: Series, rng: np.random.Generator) -> Call:
    column = _column(series)
    return lambda: len(series.latest(256)[column])


def _many(root: str, series: Series, rng: np.random.Generator) -> Call:
    ts = _some_piece(series, rng).ts
    return partial(series.at_many, ts[rng.integers(len(ts), size=BATCH)])


def _predicate(root: str, series: Series, rng: np.random.Generator) -> Call:
    """The highest 1% of values, as a sample tells it."""
    column = _column(series)
    values: NDArray[Any] = _some_piece(series, rng)[column][:_SAMPLED_VALUES]
    numbers = np.sort(values[values == values])  # NaN has no place in an order
    bound = numbers[-1 - len(numbers) // 100].item() if len(numbers) else 0
    return lambda: series.where(column, Gte(bound)).rows.ts


def _scan(root: str, series: Series, rng: np.random.Generator) -> Call:
    column = _column(series)

    def scan() -> int:
        for piece in series.range().segments:
            piece[column].sum()
        return len(series)

    return scan


def _found(row: Any) -> int:
    return int(row is not None)


_OPERATIONS = (
    _Operation("open", _open, lambda rows: 0, is_warm=False),
    _Operation("open, then 256 rows", _open_and_read, is_warm=False),
    _Operation("point", _stored_point, _found),
    _Operation("point, missing", _missing_point, _found),
    *(_Operation(f"range of {rows:,}", _range(rows)) for rows in (16, 256, 4_096)),
    _Operation("latest 256", _latest),
    _Operation("at_many, each", _many, lambda found: BATCH, items=BATCH),
    _Operation("predicate, top 1%", _predicate, len),
    _Operation("full scan, one column", _scan),
)
