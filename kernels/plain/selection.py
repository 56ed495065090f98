"""Which rows have a value in one of some ranges: pruning by zones, scans, value indexes, and the bits they give."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..codes import ALL, NONE, SOME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..interface import Column, Int64Array, Uint8Array, Uint32Array, Words

# Up to so many ranges are all compared with each row (0.2 to 0.8 ns each); among more, its is searched (45 to 120 ns).
_COMPARED_RANGES = 96
# What a run of blocks costs by itself, in rows compared.
_RUN_ROWS = 4_096


def prune(
    minima: Column,
    maxima: Column,
    nan_flags: Uint8Array,
    lows: Column,
    highs: Column,
    negated: bool,
    verdicts: Uint8Array,
) -> tuple[int, int]:
    """Judge every block by its zone. One binary search a block, and a dozen passes over arrays of a block each."""
    first = highs.searchsorted(minima)  # the only range that can hold the least value; NaN lie behind all
    reachable = first < len(lows)
    low, high = _at(lows, first, reachable), _at(highs, first, reachable)
    some = reachable & (low <= maxima)
    every = some & (low <= minima) & (maxima <= high) & ~nan_flags.view(bool)
    verdicts[:] = np.where(every, NONE if negated else ALL, np.where(some, SOME, ALL if negated else NONE))
    return int((verdicts == SOME).sum()), int((verdicts == ALL).sum())


def _at(values: Column, places: NDArray[np.intp], valid: NDArray[np.bool_]) -> Column:
    """values[places], anything where a place is not valid."""
    return values[np.where(valid, places, 0)] if len(values) else np.zeros(len(places), values.dtype)


def scan(
    column: Column,
    verdicts: Uint8Array,
    block_rows: int,
    start: int,
    stop: int,
    lows: Column,
    highs: Column,
    negated: bool,
    words: Words,
) -> int:
    """Set the bits of the rows that match. A few bools a row of temporaries.

    Blocks of one verdict that stand together go at once; where that would be too many runs, all rows are compared.
    """
    base = start - start % 64
    first, last = start // block_rows, (stop - 1) // block_rows + 1
    if start == base and last - first == 1 and verdicts[first] == SOME:  # what follows takes twice a small chunk's time
        matches = are_within(column[start:stop], lows, highs)
        return _pack(~matches if negated else matches, words)
    mask = np.zeros(len(words) * 64, dtype=bool)
    runs = np.flatnonzero(verdicts[first + 1 : last] != verdicts[first : last - 1]) + first + 1  # np.diff takes 6 us
    if len(runs) * _RUN_ROWS > stop - start:
        verdict = verdicts[first:last].repeat(block_rows)[start - first * block_rows :][: stop - start]
        matches = (are_within(column[start:stop], lows, highs) != negated) & (verdict == SOME)
        mask[start - base : stop - base] = matches | (verdict == ALL)
        return _pack(mask, words)
    for low, high in zip([first, *runs.tolist()], [*runs.tolist(), last], strict=True):
        begin, end = max(low * block_rows, start), min(high * block_rows, stop)
        if verdicts[low] == SOME:
            np.not_equal(are_within(column[begin:end], lows, highs), negated, out=mask[begin - base : end - base])
        else:
            mask[begin - base : end - base] = verdicts[low] == ALL
    return _pack(mask, words)


def are_within(column: Column, lows: Any, highs: Any) -> NDArray[np.bool_]:
    """Whether each value lies in one of the ranges; NaN never does. Up to 96 may be lists of numbers."""
    if len(lows) == 0:
        return np.zeros(len(column), bool)
    if len(lows) == 1:
        return _lies_in(column, lows[0], highs[0])
    if len(lows) <= _COMPARED_RANGES:
        matches = _lies_in(column, lows[0], highs[0])
        for place in range(1, len(lows)):
            matches |= _lies_in(column, lows[place], highs[place])
        return matches
    matches = _lies_in(column, lows[0], highs[-1])
    near = np.flatnonzero(matches)
    candidates = column[near]
    matches[near] = lows[highs.searchsorted(candidates)] <= candidates
    return matches


def _lies_in(column: Column, low: Any, high: Any) -> NDArray[np.bool_]:
    matches: NDArray[np.bool_]
    if low == high:
        matches = column == low
        return matches
    least, greatest = _limits(column.dtype)
    if low == least:
        matches = column <= high  # NaN is not even at most inf
        return matches
    matches = column >= low
    if high != greatest:
        matches &= column <= high
    return matches


@cache
def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the greatest number of a dtype; of floats the infinities."""
    if dtype.kind == "f":
        return -np.inf, np.inf
    if dtype.kind == "b":
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _pack(mask: NDArray[np.bool_], words: Words) -> int:
    """Set the bits of a mask from the first row of the words on, clear those behind it; gives how many are set."""
    packed, target = np.packbits(mask, bitorder="little"), words.view(np.uint8)
    target[: packed.size] = packed
    target[packed.size :] = 0
    return int(np.count_nonzero(mask))


def index_bounds(values: Column, lows: Column, highs: Column, starts: Int64Array, stops: Int64Array) -> int:
    """Write the entries of sorted `values` in each range. Two binary searches a range."""
    starts[:] = values.searchsorted(lows)
    stops[:] = values.searchsorted(highs, "right")
    return int((stops - starts).sum())


def mark(
    rows: Uint32Array, starts: Int64Array, stops: Int64Array, start: int, stop: int, negated: bool, words: Words
) -> int:
    """Set (negated: clear) the bits of the rows that some entries of a value index name. One bool a row."""
    mask = np.zeros(len(words) * 64, dtype=bool)
    base = start - start % 64
    mask[start - base : stop - base] = negated
    named = _named(rows, starts, stops)
    mask[named[(start <= named) & (named < stop)] - np.uint32(base)] = not negated
    return _pack(mask, words)


def _named(rows: Uint32Array, starts: Int64Array, stops: Int64Array) -> Uint32Array:
    """The rows of all ranges of entries, one after the other. A loop over ranges takes 4 us each."""
    if len(starts) == 1:
        return rows[starts[0] : stops[0]]
    counts = stops - starts
    places = (stops - counts.cumsum()).repeat(counts) + np.arange(counts.sum())
    named: Uint32Array = rows[places]
    return named


def compact(column: Column, words: Words, start: int, out: Column) -> None:
    """Write the values of the rows whose bit is set, in order. Any dtype; one bool a row of temporaries."""
    base = start - start % 64
    mask = np.unpackbits(words.view(np.uint8), count=min(len(words) * 64, len(column) - base), bitorder="little")
    # In place of np.compress, which takes up to four times as long where most rows are selected. Methods: numpy's
    # functions of the same names take a microsecond more each.
    column[base:].take(mask.view(bool).nonzero()[0], out=out, mode="clip")
