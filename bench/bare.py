"""The least that bare code needs for the goals that are hard to meet: the floor beneath FastK's own steps.

Each function here answers one workload of the suite from the files that FastK wrote, by the same kernels, with what it
needs found beforehand: no checksums, no snapshot that may change, no check of what the caller gave, and no rows as
objects, but for queries, which have the library's names. It takes turns with the baseline on the same batches; then
FastK does, by itself, because both read the same files.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from bench.data import CLOSE, Market
from bench.goals import GOALS
from bench.lifecycle import FEBRUARY, MINUTES, READS_OF_MINUTES, START, written
from bench.measure import LOADED, Workload, measure, use_kernels
from bench.queries import QUERIES, Values
from bench.reads import LATEST, READS
from bench.signals import mixed
from bench.table import aligned, figure
from fastk import Between, kernels
from fastk.kernels.codes import MOST_MEMBER_ROWS
from fastk.times import INT64_MAX, INT64_MIN

ROUNDS = 101
_CAPACITY, _WORD = 256, np.dtype(np.int64)
IN_PROGRESS = "a month less one minute", MINUTES["a month less one minute"]
Answer = Callable[[Any], Any]


class Least(NamedTuple):
    """Medians of one workload, in microseconds a call: bare code and FastK, and the baseline in turns with each."""

    name: str
    raw_beside_bare: float
    bare: float
    raw_beside_fastk: float
    fastk: float


def measure_bare(market: Market) -> Iterator[Least]:
    """Each of the workloads, whose answers are compared first."""
    use_kernels(LOADED)
    for name, (build, make_bare) in {**_READS, **_QUERIES}.items():
        workload, bare = build(market, ROUNDS), make_bare(market)
        expected = workload.proofs[1] if name in _QUERIES and workload.proofs else workload.baseline
        beside = Workload(name, bare, workload.baseline, workload.batches, workload.calls, proofs=(bare, expected))
        yield Least(name, *_medians(beside), *_medians(workload))


def _medians(workload: Workload) -> tuple[float, float]:
    result = measure(workload, [LOADED])
    return result.baselines[LOADED], result.fastk[LOADED]


def least_lines(found: list[Least]) -> list[str]:
    """The table: ratios are to the baseline before them, which is raw npy, or the month merged."""
    rows = [["workload", "goal", "baseline", "bare code", "ratio", "baseline", "FastK", "ratio"]]
    for each in found:
        pairs = (each.raw_beside_bare, each.bare), (each.raw_beside_fastk, each.fastk)
        cells = [(figure(raw, "us"), figure(time, "us"), f"{time / raw:.3g}") for raw, time in pairs]
        rows.append([each.name, GOALS[each.name].text, *cells[0], *cells[1]])
    return aligned(rows)


class _Files(NamedTuple):
    """The files of one series: their last ts; of each its ts, its close, and its rows as a table."""

    ends: list[int]
    ts: list[Any]
    close: list[Any]
    tables: list[Any]


def _files(series: Any) -> _Files:
    chunks = list(series._reader.snapshot.all_chunks())
    ts = [chunk.dense_rows(0, 0, chunk.rows) for chunk in chunks]
    close = [chunk.dense_rows(CLOSE, 0, chunk.rows) for chunk in chunks]
    return _Files([int(each[-1]) for each in ts], ts, close, [chunk.table for chunk in chunks])


def bare_points(market: Market) -> Answer:
    """Which file, which row, and its six values as a list: no record around them."""
    files, find = [_files(series) for series in market.series], kernels.active.find

    def at(place: int, ts: int) -> list[int] | None:
        ends, stored, _, tables = files[place]
        file = bisect_left(ends, ts)
        row = find(stored[file], ts, tables[file])
        values: list[int] | None = None if row < 0 else tables[file][row].tolist()
        return values

    return lambda batch: [at(place, ts) for place, ts in batch]


def bare_ranges(market: Market) -> Answer:
    """Both files, a bound in each, one column joined, and its sum."""
    files, bounds = [_files(series) for series in market.series], kernels.active.bounds

    def total(place: int, start: int, end: int) -> Any:
        ends, stored, close, _ = files[place]
        first, last = bisect_left(ends, start), bisect_left(ends, end)
        low, high = bounds(stored[first], start, INT64_MAX)[0], bounds(stored[last], INT64_MIN, end)[1]
        return np.concatenate((close[first][low:], close[last][:high])).sum()

    return lambda batch: [total(place, start, end) for place, start, end in batch]


def bare_minutes(market: Market) -> Answer:
    """The files of a month in progress, their pieces as one column, and its sum."""
    ends, _, close, _ = _files(written(market, *IN_PROGRESS))

    def total(start: int, end: int) -> int:
        pieces = close[bisect_left(ends, start) : bisect_left(ends, end)]
        return int(np.frombuffer(b"".join(pieces), np.int64).sum())

    return lambda batch: [total(START, FEBRUARY - 1) for _ in batch]


def bare_latest(market: Market) -> Answer:
    """A slice of the last file, and its sum."""
    last = [_files(series).close[-1] for series in market.series]

    def total(place: int, count: int) -> Any:
        column = last[place]
        return column[len(column) - count :].sum()

    return lambda batch: [total(place, LATEST) for (place,) in batch]


def bare_scan(market: Market) -> Answer:
    """The sums of the pieces, which lie there."""
    pieces = [_files(series).close for series in market.series]
    return lambda batch: [sum([piece.sum() for piece in close]) for close in pieces]


class _Rows:
    """Rows that were found: their columns, read-only."""

    __slots__ = ("ts", "value")

    def __init__(self, ts: Any, value: Any) -> None:
        self.ts, self.value = ts, value

    def __getitem__(self, name: Any) -> Any:
        return self.value if name == "value" else self.ts


class _Queried:
    """A series of which two things are asked by the library's names: a range of values, or three of them."""

    __slots__ = ("between", "members", "words")

    def __init__(self, between: Callable[[Any, Any, Any], int], members: Callable[..., int], chunks: int) -> None:
        self.between = between
        self.members = members
        self.words = 3 * MOST_MEMBER_ROWS + chunks

    def where(self, column: str, condition: Any, *, plan: str = "auto") -> _Rows:
        """The rows by one kernel, which searches the indexes and takes both columns. All is as expected."""
        if type(condition) is Between:
            out, room = np.empty(2 * _CAPACITY, _WORD), _CAPACITY
            count = self.between(np.array([condition.min], _WORD), np.array([condition.max], _WORD), out)
        else:
            out, room = np.empty(self.words, _WORD), MOST_MEMBER_ROWS
            count = self.members(3, *condition.values, 0, out)
        assert count >= 0, condition
        out.setflags(write=False)
        return _Rows(out[:count], out[room : room + count])


def bare_query(market: Market) -> Answer:
    """One kernel for all of it, and around that the least: a method, a condition as an object, rows as an object."""
    series = Values(market, mixed).series
    snapshot = series._reader.snapshot
    chunks = list(snapshot.all_chunks())
    indexes = [snapshot.chunks.sidecars.value_index(chunk, 1) for chunk in chunks]
    columns = [[chunk.dense_rows(place, 0, chunk.rows) for chunk in chunks] for place in (0, 1)]
    packed = (
        [index.values for index in indexes if index is not None],
        [index.rows for index in indexes if index is not None],
    )
    find, members = kernels.active.finder(*packed, columns), kernels.active.member_finder(*packed, columns[0])
    ts, value = (kernels.active.picker(each) for each in columns)
    rows = np.array([chunk.rows for chunk in chunks])
    between = _searching_and_taking(*find.args, np.array(ts.args[0]), np.array(value.args[0]), rows)
    queried = _Queried(between, members, len(chunks))
    memory = find, ts, value  # which keep alive what is pointed to

    def each(condition: Any, keep: Any = memory) -> list[Any]:
        rows = queried.where("value", condition, plan="auto")
        return [rows.ts, rows["value"]]

    return lambda batch: [each(condition) for condition in batch]


def _searching_and_taking(tables: Any, lengths: Any, ts: Any, value: Any, ends: Any) -> Any:
    """FastK's search of value indexes and its taking of columns as one kernel, in which all but the range is fixed."""
    import numba

    from fastk.kernels.compiled import indexed

    find, pick, capacity = numba.njit(indexed._find_indexed), numba.njit(indexed._pick), _CAPACITY
    tables, lengths, begins = np.array(tables), np.array(lengths), np.zeros_like(ends)

    def answer(lows: Any, highs: Any, out: Any) -> Any:
        counts, places = np.empty(len(begins), np.int64), np.empty(capacity, np.uint32)
        count = find(tables, lengths, begins, ends, lows, highs, counts, places)
        if count > 0:
            pick(ts, counts, places[:count], out[:count])
            pick(value, counts, places[:count], out[capacity : capacity + count])
        return count

    compiled = numba.njit(answer)
    compiled(np.zeros(1, np.int64), np.zeros(1, np.int64), np.empty(2 * capacity, np.int64))
    return compiled.overloads[compiled.signatures[0]].entry_point


_READS: dict[str, Any] = {
    name: ({**READS, **READS_OF_MINUTES}[name], bare)
    for name, bare in {
        "point, hit": bare_points,
        "range 4,096 rows across months, sum of close": bare_ranges,
        f"latest {LATEST:,}, sum of close": bare_latest,
        "scan close of all symbols": bare_scan,
        f"{IN_PROGRESS[0]}: all, sum of close": bare_minutes,
    }.items()
}
_QUERIES: dict[str, Any] = {
    name: (QUERIES[name], bare_query) for name in ("where value between, 0.1% match", "where value in 3 values")
}
