"""Few matches among many chunks, from their value indexes: one call for all of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.np import arrayobj
from numba.np.numpy_support import as_dtype

from ..codes import EMPTY, MOST_RANGES, UNREACHED
from ..interface import Column, Finder, Int64Array, Picker, Uint32Array, Words
from ..plain import indexed as plain
from .bits import clear, either, fetch, fetch_value, lowest_bit, workspace
from .compile import KernelByDtype, array_type, instruction, part
from .selection import set_bits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ONE = np.uint64(1)
_BLOCK_SHIFT = 5
_WORD_SHIFT = np.uint64(6)
_LAST_BIT = np.uint64(63)
# In one call, which keeps the lock of the interpreter: 0.1 ms of searches, and some milliseconds of matches at most.
_MOST_SEARCHES = 1_024
# So many rows fit the nearest cache with what is taken of them.
_FEW_ROWS = 256
# The most ranges fit one call of these.
_FEW_CHUNKS = _MOST_SEARCHES // MOST_RANGES
_populate: Any = arrayobj.populate_array


class Chain(NamedTuple):
    """Arrays of one dtype by their addresses. `columns` keeps their memory alive."""

    columns: Sequence[Column]
    addresses: NDArray[np.uint64]
    lengths: Int64Array


def chain(columns: Sequence[Column]) -> Chain:
    """Pack arrays of one dtype for kernels. About half a microsecond each."""
    addresses = [column.__array_interface__["data"][0] for column in columns]
    return Chain(columns, np.array(addresses, np.uint64), np.array([len(column) for column in columns], np.int64))


@instruction
def array_at(typing_context: Any, address: Any, length: Any, like: Any) -> Any:
    """The read-only array of so many values at an address, of another's dtype. Compiled sooner than `carray`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.return_type
        item = context.get_data_type(kind.dtype)
        size = context.get_constant(types.intp, context.get_abi_sizeof(item))
        array = context.make_array(kind)(context, builder)
        start = builder.inttoptr(arguments[0], ir.PointerType(item))
        _populate(array, start, shape=[arguments[1]], strides=[size], itemsize=size, meminfo=None)
        return array._getvalue()

    return array_type(like.dtype)(types.uint64, types.intp, like), generate


@part
def _write_word(word: Any, base: Any, out: Uint32Array, position: int) -> int:
    while word:
        out[np.uint64(position)] = base + np.int64(lowest_bit(word))
        position += 1
        word &= word - _ONE
    return position


@part
def write_rows(words: Words, base: int, out: Uint32Array, position: int) -> int:
    """Write the rows whose bits are set, ascending; gives the position behind them."""
    for index in range(len(words)):
        position = _write_word(words[np.uint64(index)], base + 64 * index, out, position)
    return position


@part
def _set_few_bits(rows: Uint32Array, first: int, last: int, begin: int, end: int, words: Words, groups: Words) -> None:
    """Set the bits of the rows from entry `first` to `last` between `begin` and `end`, and of the words that have some.

    Of 42 rows among 41,667, clearing and looking at all words took half of finding and ordering them. Where most words
    have several, `set_bits` takes two thirds of the time that this does.
    """
    base = begin - (begin & 63)
    for entry in range(first, last):
        row = rows[np.uint64(entry)]
        if begin <= row < end:
            bit = np.uint64(row - base)
            word = bit >> _WORD_SHIFT
            words[word] |= _ONE << (bit & _LAST_BIT)
            groups[word >> _WORD_SHIFT] |= _ONE << (word & _LAST_BIT)


@part
def _take_few_rows(words: Words, groups: Words, base: int, out: Uint32Array, position: int) -> int:
    """Write the rows whose bits are set, ascending, and clear these; gives the position behind them.

    Only words whose own bit in `groups` is set are looked at.
    """
    for index in range(len(groups)):
        group = groups[np.uint64(index)]
        groups[np.uint64(index)] = 0
        while group:
            place = 64 * index + np.int64(lowest_bit(group))
            position = _write_word(words[np.uint64(place)], base + 64 * place, out, position)
            words[np.uint64(place)] = 0
            group &= group - _ONE
    return position


@part
def _find_entries(
    tables: NDArray[np.uint64],
    lengths: Int64Array,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    starts: Int64Array,
    stops: Int64Array,
    searched: Int64Array,
    counts: Int64Array,
) -> int:
    """Write the entries in each range to `starts` and `stops`, which are 0, and how many each chunk has to `counts`.

    Gives how many there are in all; `searched` has room for all chunks. All ranges are looked for in all chunks at the
    same time, a halving of each after the other, first among the last values of blocks: their loads overlap, and blocks
    are on their way before they are searched. Three values in four chunks whose data have left the caches of the core
    took 7.6 us one after the other, and take 1.8.
    """
    ranges, last, longest = len(lows), 0, 0
    for chunk in range(len(counts)):
        counts[chunk] = EMPTY
        if begins[chunk] < ends[chunk]:
            counts[chunk] = UNREACHED
            values = array_at(tables[chunk], lengths[chunk], lows)
            if len(values) and values[0] <= highs[ranges - 1] and lows[0] <= values[len(values) - 1]:
                searched[last] = chunk
                last += 1
                longest = either(len(values) > longest, len(values), longest)
    half, shift = 1, _BLOCK_SHIFT
    while half << shift < longest:
        half <<= 1
    while half:
        are_blocks_found = shift > 0 and half == 1
        for index in range(last):
            chunk = searched[index]
            final = (lengths[chunk] - 1) >> shift
            values = array_at(tables[chunk + either(shift > 0, len(lengths), 0)], final + 1, lows)
            for place in range(ranges):
                at = chunk * ranges + place
                # Behind the final value each counts as that one; a bound that went too far so is cut below.
                entry = (starts[at] >> shift) + half - 1
                entry = either(entry < final, entry, final)
                starts[at] += either(values[np.uint64(entry)] < lows[place], half << shift, 0)
                entry = (stops[at] >> shift) + half - 1
                entry = either(entry < final, entry, final)
                stops[at] += either(values[np.uint64(entry)] <= highs[place], half << shift, 0)
                if are_blocks_found:
                    fetch(tables[chunk] + np.uint64(starts[at] * lows.itemsize))
                    fetch(tables[chunk] + np.uint64(stops[at] * lows.itemsize))
        half >>= 1
        if are_blocks_found:
            half, shift = 1 << (_BLOCK_SHIFT - 1), 0
    total = 0
    for index in range(last):
        chunk = searched[index]
        length, count, is_reached = lengths[chunk], 0, False
        for at in range(chunk * ranges, (chunk + 1) * ranges):
            starts[at] = either(starts[at] < length, starts[at], length)
            stop = either(stops[at] < length, stops[at], length)
            is_reached |= starts[at] < length and stop > 0
            # Of values out of order, as an index that was not verified may have, it could be less.
            stops[at] = either(stop > starts[at], stop, starts[at])
            count += stops[at] - starts[at]
            fetch(tables[2 * len(lengths) + chunk] + np.uint64(4 * starts[at]))
        counts[chunk] = either(is_reached, count, UNREACHED)
        total += count
    return total


# `tables` has three addresses of each chunk, those of all chunks one after the other: of its values, ascending, of the
# last value of each of their blocks, and of the rows that the values are of. Blocks are four cache lines long at most.
# Behind them come the addresses of columns that the caller takes next, and of each of these the bytes from row to row.
def _find_indexed(
    tables: NDArray[np.uint64],
    lengths: Int64Array,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    counts: Int64Array,
    out: Uint32Array,
) -> Any:
    ranges = len(lows)
    ahead = (len(tables) - 3 * len(counts)) // (len(counts) + 1)
    starts = workspace(len(counts) * ranges, np.int64(0))
    stops = workspace(len(counts) * ranges, np.int64(0))
    searched = workspace(len(counts), np.int64(0))
    clear(starts)
    clear(stops)
    if _find_entries(tables, lengths, begins, ends, lows, highs, starts, stops, searched, counts) > len(out):
        return -1
    widest = 0
    for chunk in range(len(counts)):
        if counts[chunk] > 0:
            width = ((ends[chunk] + 63) >> 6) - (begins[chunk] >> 6)
            widest = either(width > widest, width, widest)
    # No bit is set in either before a chunk, nor behind it.
    words = workspace(widest, np.uint64(0))
    groups = workspace((widest + 63) >> 6, np.uint64(0))
    clear(words)
    clear(groups)
    position = 0
    for chunk in range(len(counts)):
        if counts[chunk] <= 0:
            continue
        begin, end = begins[chunk], ends[chunk]
        base, before = begin - (begin & 63), position
        rows = array_at(tables[2 * len(lengths) + chunk], lengths[chunk], out)
        part = words[: ((end + 63) >> 6) - (begin >> 6)]
        few = counts[chunk] < len(part)
        for at in range(chunk * ranges, (chunk + 1) * ranges):
            if few:
                _set_few_bits(rows, starts[at], stops[at], begin, end, part, groups)
            else:
                set_bits(rows, starts[at], stops[at], begin, end, part)
        if few:
            position = _take_few_rows(part, groups, base, out, position)
            for column in range(ahead if position <= _FEW_ROWS else 0):
                start, step = tables[(3 + column) * len(counts) + chunk], tables[(3 + ahead) * len(counts) + column]
                for place in range(before, position):
                    fetch_value(start + step * np.uint64(out[np.uint64(place)]))
        else:
            position = write_rows(part, base, out, position)
            clear(part)
        counts[chunk] = position - before
    return position


def _pick(addresses: NDArray[np.uint64], counts: Int64Array, rows: Uint32Array, out: Column) -> None:
    first = 0
    for chunk in range(len(counts)):
        if counts[chunk] <= 0:
            continue
        column = array_at(addresses[chunk], 1, out)
        for place in range(first, first + counts[chunk]):
            out[np.uint64(place)] = column[np.uint64(rows[np.uint64(place)])]
        first += counts[chunk]


def _find_types(value: types.Type) -> tuple[types.Type, ...]:
    addresses, int64s, values = array_type(types.uint64), array_type(types.int64), array_type(value)
    counts, out = array_type(types.int64, readonly=False), array_type(types.uint32, readonly=False)
    return addresses, int64s, int64s, int64s, values, values, counts, out


def _pick_types(value: types.Type) -> tuple[types.Type, ...]:
    # Values are only moved: dtypes of one size share a kernel.
    bits = from_dtype(np.dtype(f"u{as_dtype(value).itemsize}"))
    rows = array_type(types.uint32)
    return array_type(types.uint64), array_type(types.int64), rows, array_type(bits, readonly=False)


_FIND = KernelByDtype(_find_indexed, plain.find_indexed, _find_types, keeps_gil=True)
_PICK = KernelByDtype(_pick, plain.pick, _pick_types, keeps_gil=True)


def finder(values: Sequence[Column], rows: Sequence[Uint32Array], ahead: Sequence[Sequence[Column]] = ()) -> Finder:
    """Prepare the search of the chunks' value indexes, of which the last value of each block is read now."""
    packed = [chain(each) for each in (values, [_ends_of_blocks(each) for each in values], rows)]
    addresses = [each.addresses for each in (*packed, *map(chain, ahead))]
    tables = np.concatenate([*addresses, np.array([columns[0].strides[0] for columns in ahead], np.uint64)])
    find: Finder = _prepared(packed, _FIND[values[0].dtype], _find_in_parts, tables, packed[0].lengths)
    return find


def _ends_of_blocks(values: Column) -> Column:
    """The last value of each block."""
    block = 1 << _BLOCK_SHIFT
    last: Column = values[np.minimum(np.arange(block, len(values) + block, block), len(values)) - 1]
    return last


def picker(columns: Sequence[Column]) -> Picker:
    """Prepare what takes the values of such rows."""
    dtype = columns[0].dtype
    if dtype.kind == "S":
        return plain.picker(columns)
    packed = chain(columns)
    pick: Picker = _prepared([packed], _PICK[dtype], _pick_in_parts, packed.addresses)
    return pick


def _prepared(packed: list[Chain], kernel: Any, in_parts: Any, *known: Any) -> Any:
    """A kernel with its first arguments, called without a function of Python in between: that took 0.2 us.

    Where the chunks may be too many for one call, ``in_parts`` stands in between, and divides them.
    """
    few = len(packed[0].columns) <= _FEW_CHUNKS
    prepared: Any = partial(kernel, *known) if few else partial(in_parts, kernel, *known)
    prepared.packed = packed  # keeps the memory alive
    return prepared


def _find_in_parts(
    find: Any,
    tables: NDArray[np.uint64],
    lengths: Int64Array,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    counts: Int64Array,
    out: Uint32Array,
) -> int:
    step = max(1, _MOST_SEARCHES // len(lows))
    if len(counts) <= step:  # the slices below take a microsecond
        return int(find(tables, lengths, begins, ends, lows, highs, counts, out))
    count = 0
    for first in range(0, len(counts), step):
        some = slice(first, first + step)
        # Without the columns to ask ahead for: of so many chunks, not all rows are few.
        part = tables[: 3 * len(counts)].reshape(3, -1)[:, some].ravel()
        found = find(part, lengths[some], begins[some], ends[some], lows, highs, counts[some], out[count:])
        if found < 0:
            return -1
        count += found
    return count


def _pick_in_parts(
    pick: Any, addresses: NDArray[np.uint64], counts: Int64Array, rows: Uint32Array, out: Column
) -> None:
    if len(counts) <= _MOST_SEARCHES:
        pick(addresses, counts, rows, out)
        return
    place = 0
    for first in range(0, len(counts), _MOST_SEARCHES):
        some = slice(first, first + _MOST_SEARCHES)
        stop = place + int(np.maximum(counts[some], 0).sum())
        pick(addresses[some], counts[some], rows[place:stop], out[place:stop])
        place = stop
