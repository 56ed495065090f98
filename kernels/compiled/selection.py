"""Which rows have a value in one of some ranges: pruning by zones, scans and value indexes."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.np.numpy_support import as_dtype

from ..codes import ALL, NONE, SOME
from ..interface import Column, Int64Array, Uint8Array, Uint32Array, Words
from ..plain import selection as plain
from .bits import clear, count_bits, either, workspace
from .compile import KernelByDtype, array_type, instruction, part
from .search import before, first_not_before

_EVERY_BIT = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_WORD_SHIFT = np.uint64(6)
_LAST_BIT = np.uint64(63)
# Ranges up to so many bytes are all compared with each row; among more, each row's is searched. Measured for int64:
# 0.09 ns a range and row, which grows with the size of a value; searching takes 6 ns for 64 ranges, 12 for 10,000.
_COMPARED_BYTES = 512
# Words between two ranges: their rows stay in the first-level cache.
_STRIDE = 64
# Entries for each range, from which on the next one is looked for among all: steps that double would be as many.
_FAR_APART = 64


def _belongs(builder: Any, value: Any, low: Any, high: Any) -> Any:
    """Whether low <= value <= high, for numbers or vectors, where low <= high; False for NaN.

    Integers are compared by their distance from `low`, which needs one comparison, and one kernel for either sign.
    """
    if isinstance(getattr(value.type, "element", value.type), ir.IntType):
        return builder.icmp_unsigned("<=", builder.sub(value, low), builder.sub(high, low))
    return builder.and_(builder.fcmp_ordered(">=", value, low), builder.fcmp_ordered("<=", value, high))


@instruction
def is_within(typing_context: Any, value: Any, low: Any, high: Any) -> Any:
    """Whether a number lies in a range."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _belongs(builder, *arguments)

    return types.boolean(value, value, value), generate


@instruction
def _are_within(typing_context: Any, column: Any, row: Any, low: Any, high: Any) -> Any:
    """Which of the 64 rows from `row` on lie in a range, as bits.

    LLVM cuts the vector of 64 to the processor's size. Measured on 166,668 int64, which the caches hold: 74 GB/s; a
    loop of Python over bits 62 (of int8: 65 and 9).
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        lanes = ir.VectorType(arguments[2].type, 64)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), lanes.as_pointer())
        low, high = (_in_all_lanes(builder, value, lanes) for value in arguments[2:])
        found = _belongs(builder, builder.load(address, align=1), low, high)
        return builder.bitcast(found, ir.IntType(64))

    return types.uint64(column, types.intp, column.dtype, column.dtype), generate


def _in_all_lanes(builder: Any, value: Any, lanes: Any) -> Any:
    index = ir.IntType(32)
    first = builder.insert_element(ir.Constant(lanes, ir.Undefined), value, index(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(index, lanes.count), None))


@part
def _first_from(values: Column, key: Any) -> int:
    """First entry that is not before key; branch-free binary search.

    Of ranges, which lie in the caches, `first_not_before` takes up to half more.
    """
    first = 0
    count = len(values)
    while count > 0:
        half = (count + 1) >> 1
        first += either(values[first + half - 1] < key, half, 0)
        count -= half
    return first


def _prune(
    minima: Column,
    maxima: Column,
    nan_flags: Uint8Array,
    lows: Column,
    highs: Column,
    negated: bool,
    verdicts: Uint8Array,
) -> Any:
    some = 0
    every = 0
    for block in range(len(minima)):
        verdict = NONE
        place = _first_from(highs, minima[block])
        # No comparison with NaN holds: a block of nothing else is out of every range.
        if place < len(lows) and lows[place] <= maxima[block]:
            inside = lows[place] <= minima[block] and maxima[block] <= highs[place] and nan_flags[block] == 0
            verdict = ALL if inside else SOME
        if negated:
            verdict = ALL - verdict
        verdicts[block] = verdict
        some += verdict == SOME
        every += verdict == ALL
    return some, every


@part
def _search(column: Column, first: int, rows: int, lows: Column, highs: Column, places: Int64Array) -> np.uint64:
    """Which of at most 64 rows from `first` on are in one of many ranges: searches in step, so that loads overlap.

    `places` holds the range that each has reached. Measured with 50 ranges: 4 to 5 ns a row; 20 one after the other.
    """
    clear(places)
    count = len(lows)
    while count > 1:
        half = count >> 1
        for lane in range(rows):
            place = places[lane] + half
            # Of a value before the first range it matters not where the search ends.
            before = is_within(column[np.uint64(first + lane)], lows[0], highs[np.uint64(place - 1)])
            places[lane] = either(before, places[lane], place)
        count -= half
    word = np.uint64(0)
    for lane in range(rows if count else 0):
        place = np.uint64(places[lane])
        word |= np.uint64(is_within(column[np.uint64(first + lane)], lows[place], highs[place])) << np.uint64(lane)
    return word


@part
def match(column: Column, row: int, lows: Column, highs: Column, words: Words) -> None:
    """Write which rows from `row` on are in one of the ranges; bits beyond the column are 0."""
    places = workspace(64, np.int64(0))
    whole = min(len(words), (len(column) - row) >> 6)
    compared = whole if lows.nbytes <= _COMPARED_BYTES else 0
    clear(words)
    for first in range(0, compared, _STRIDE):
        for place in range(len(lows)):
            low, high = lows[place], highs[place]
            for index in range(first, min(first + _STRIDE, compared)):
                words[np.uint64(index)] |= _are_within(column, row + 64 * index, low, high)
    for index in range(compared, len(words)):
        first = row + 64 * index
        if index == whole or _are_within(column, first, lows[0], highs[-1]):
            words[np.uint64(index)] = _search(column, first, min(64, len(column) - first), lows, highs, places)


@part
def clip_words(words: Words, start: int, stop: int, flipped: bool) -> Any:
    """Flip all bits or none, and clear those before `start` and from `stop` on; gives how many are set."""
    flip = either(flipped, _EVERY_BIT, np.uint64(0))
    for index in range(len(words)):
        words[index] ^= flip
    words[0] &= _EVERY_BIT << np.uint64(start & 63)
    words[-1] &= _EVERY_BIT >> np.uint64(-stop & 63)
    count = np.uint64(0)
    for index in range(len(words)):
        count += count_bits(words[index])
    return np.int64(count)


def _scan(
    column: Column,
    verdicts: Uint8Array,
    block_rows: int,
    start: int,
    stop: int,
    lows: Column,
    highs: Column,
    negated: bool,
    words: Words,
) -> Any:
    count = 0
    before = np.uint64(0)  # the bits of the word in which a run of blocks begins
    first = start
    while first < stop:
        block = first // block_rows
        verdict = verdicts[block]
        while block * block_rows < stop and verdicts[block] == verdict:
            block += 1
        end = min(block * block_rows, stop)
        run = words[(first >> 6) - (start >> 6) : ((end + 63) >> 6) - (start >> 6)]
        flipped = verdict == ALL
        if verdict == SOME:
            match(column, first - (first & 63), lows, highs, run)
            flipped = negated
        else:
            clear(run)
        count += clip_words(run, first, end, flipped)
        run[0] |= before
        before = run[-1] if end & 63 else np.uint64(0)
        first = end
    return count


@part
def _next_bound(values: Column, key: Any, inclusive: bool, bound: int) -> int:
    """First entry from `bound` on that is not before key, looked for in steps that double: it is thought to be near.

    Then by halving: with `first_not_before`, keys that stand close together take half more.
    """
    step = 1
    while bound + step < len(values) and before(values[np.uint64(bound + step)], key, inclusive):
        step <<= 1
    count = min(step, len(values) - bound)
    while count > 0:
        half = (count + 1) >> 1
        bound += half if before(values[np.uint64(bound + half - 1)], key, inclusive) else 0
        count -= half
    return bound


def _index_bounds(values: Column, lows: Column, highs: Column, starts: Int64Array, stops: Int64Array) -> Any:
    """The ranges are ascending: each is looked for from the one before on."""
    bound: Any = np.int64(0)
    far_apart = len(values) > _FAR_APART * len(lows)
    count = 0
    for place in range(len(lows)):
        if not far_apart:
            bound = _next_bound(values, lows[place], False, bound)
        else:
            bound = first_not_before(values, lows[place], False, bound, len(values) - bound)
        starts[np.uint64(place)] = bound
        bound = _next_bound(values, highs[place], True, bound)
        stops[np.uint64(place)] = bound
        count += bound - starts[np.uint64(place)]
    return count


@part
def set_bits(rows: Uint32Array, first: int, last: int, start: int, stop: int, words: Words) -> None:
    """Set the bits of the rows from entry `first` to `last`, as far as they lie between `start` and `stop`.

    Successive rows are often of one word, which is kept out of memory meanwhile (1.8 times as fast at 20 bits a word).
    """
    base = start - (start & 63)
    index = np.uint64(0)
    word = words[index]
    for entry in range(first, last):
        row = rows[np.uint64(entry)]
        if start <= row < stop:
            bit = np.uint64(row - base)
            if bit >> _WORD_SHIFT != index:
                words[index] = word
                index = bit >> _WORD_SHIFT
                word = words[index]
            word |= _ONE << (bit & _LAST_BIT)
    words[index] = word


def _mark(
    rows: Uint32Array, starts: Int64Array, stops: Int64Array, start: int, stop: int, negated: bool, words: Words
) -> Any:
    clear(words)
    for place in range(len(starts)):
        set_bits(rows, starts[place], stops[place], start, stop, words)
    return clip_words(words, start, stop, negated)


def comparable(value: types.Type) -> types.Type:
    """A type that compares alike: unsigned integers serve for signed ones."""
    return value if isinstance(value, types.Float) else from_dtype(np.dtype(f"u{as_dtype(value).itemsize}"))


def _prune_types(value: types.Type) -> tuple[types.Type, ...]:
    values, flags = array_type(value), array_type(types.uint8)
    return values, values, flags, values, values, types.boolean, array_type(types.uint8, readonly=False)


def _scan_types(value: types.Type) -> tuple[types.Type, ...]:
    values, row = array_type(comparable(value)), types.int64
    return values, array_type(types.uint8), row, row, row, values, values, types.boolean, _WORDS


def _index_bounds_types(value: types.Type) -> tuple[types.Type, ...]:
    values, bounds = array_type(value), array_type(types.int64, readonly=False)
    return values, values, values, bounds, bounds


def _mark_types(value: types.Type) -> tuple[types.Type, ...]:
    bounds = array_type(types.int64)
    return array_type(value), bounds, bounds, types.int64, types.int64, types.boolean, _WORDS


_WORDS = array_type(types.uint64, readonly=False)
_twins: Any = plain
_PRUNE: Any = KernelByDtype(_prune, _twins.prune, _prune_types)
_SCAN: Any = KernelByDtype(_scan, _twins.scan, _scan_types)
_INDEX_BOUNDS: Any = KernelByDtype(_index_bounds, _twins.index_bounds, _index_bounds_types)
_MARK: Any = KernelByDtype(_mark, _twins.mark, _mark_types)


def prune(
    minima: Column,
    maxima: Column,
    nan_flags: Uint8Array,
    lows: Column,
    highs: Column,
    negated: bool,
    verdicts: Uint8Array,
) -> tuple[int, int]:
    """Judge every block by its zone. One binary search a block."""
    counts: tuple[int, int] = _PRUNE[minima.dtype](minima, maxima, nan_flags, lows, highs, negated, verdicts)
    return counts


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
    """Set the bits of the rows that match. 64 rows at once for each range; a binary search a row for many ranges."""
    count: int = _SCAN[column.dtype](column, verdicts, block_rows, start, stop, lows, highs, negated, words)
    return count


def index_bounds(values: Column, lows: Column, highs: Column, starts: Int64Array, stops: Int64Array) -> int:
    """Write the entries of sorted `values` in each range. Two searches a range, each from the one before on."""
    count: int = _INDEX_BOUNDS[values.dtype](values, lows, highs, starts, stops)
    return count


def mark(
    rows: Uint32Array, starts: Int64Array, stops: Int64Array, start: int, stop: int, negated: bool, words: Words
) -> int:
    """Set (negated: clear) the bits of the rows that some entries of a value index name."""
    count: int = _MARK[rows.dtype](rows, starts, stops, start, stop, negated, words)
    return count
