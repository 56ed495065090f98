"""Few matches among many chunks, from their value indexes: one call for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.np import arrayobj
from numba.np.numpy_support import as_dtype

from ..codes import EMPTY, UNREACHED
from ..interface import Column, Int64Array, Uint32Array, Words
from ..plain import indexed as plain
from .bits import clear, either, lowest_bit, workspace
from .compile import KernelByDtype, array_type, instruction, part
from .selection import index_entries, set_bits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ONE = np.uint64(1)
_WORD_SHIFT = np.uint64(6)
_LAST_BIT = np.uint64(63)
# In one call, which keeps the lock of the interpreter: 0.1 ms of searches, and some milliseconds of matches at most.
_MOST_SEARCHES = 1_024
_populate: Any = arrayobj.populate_array


class Chain(NamedTuple):
    """Arrays of one dtype by their addresses. `columns` keeps their memory alive."""

    columns: Sequence[Column]
    addresses: NDArray[np.uint64]
    lengths: Int64Array


def chain(columns: Sequence[Column]) -> Any:
    """Pack arrays of one dtype for `find_indexed` and `pick`. About half a microsecond each."""
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


def _find_indexed(
    value_addresses: NDArray[np.uint64],
    lengths: Int64Array,
    row_addresses: NDArray[np.uint64],
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    counts: Int64Array,
    out: Uint32Array,
) -> Any:
    ranges = len(lows)
    starts = workspace(len(counts) * ranges, np.int64(0))
    stops = workspace(len(counts) * ranges, np.int64(0))
    total = 0
    widest = 0
    for chunk in range(len(counts)):
        if begins[chunk] >= ends[chunk]:
            counts[chunk] = EMPTY
            continue
        values = array_at(value_addresses[chunk], lengths[chunk], lows)
        first = chunk * ranges
        found, reached = index_entries(values, lows, highs, starts, stops, first)
        counts[chunk] = found if reached else UNREACHED
        total += found
        if found:
            width = ((ends[chunk] + 63) >> 6) - (begins[chunk] >> 6)
            widest = either(width > widest, width, widest)
    if total > len(out):
        return -1
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
        rows = array_at(row_addresses[chunk], lengths[chunk], out)
        part = words[: ((end + 63) >> 6) - (begin >> 6)]
        if counts[chunk] < len(part):
            for place in range(chunk * ranges, (chunk + 1) * ranges):
                _set_few_bits(rows, starts[place], stops[place], begin, end, part, groups)
            position = _take_few_rows(part, groups, base, out, position)
        else:
            for place in range(chunk * ranges, (chunk + 1) * ranges):
                set_bits(rows, starts[place], stops[place], begin, end, part)
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
    return addresses, int64s, addresses, int64s, int64s, values, values, counts, out


def _pick_types(value: types.Type) -> tuple[types.Type, ...]:
    # Values are only moved: dtypes of one size share a kernel.
    bits = from_dtype(np.dtype(f"u{as_dtype(value).itemsize}"))
    rows = array_type(types.uint32)
    return array_type(types.uint64), array_type(types.int64), rows, array_type(bits, readonly=False)


_FIND = KernelByDtype(_find_indexed, plain.find_indexed, _find_types, keeps_gil=True)
_PICK = KernelByDtype(_pick, plain.pick, _pick_types, keeps_gil=True)


def find_indexed(
    values: Any,
    rows: Any,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    counts: Int64Array,
    out: Uint32Array,
) -> int:
    """Write the rows whose values are in one of the ranges, chunk by chunk. No array of the interpreter is made."""
    find = _FIND[lows.dtype]
    if len(counts) * len(lows) <= _MOST_SEARCHES:  # the slices below take a microsecond
        count: int = find(values.addresses, values.lengths, rows.addresses, begins, ends, lows, highs, counts, out)
        return count
    step = max(1, _MOST_SEARCHES // len(lows))
    count = 0
    for first in range(0, len(counts), step):
        some = slice(first, first + step)
        found = find(
            values.addresses[some], values.lengths[some], rows.addresses[some], begins[some], ends[some], lows, highs,
            counts[some], out[count:],
        )  # fmt: skip
        if found < 0:
            return -1
        count += found
    return count


def pick(columns: Any, counts: Int64Array, rows: Uint32Array, out: Column) -> None:
    """Write the values of such rows."""
    if out.dtype.kind == "S":
        plain.pick(columns.columns, counts, rows, out)
    else:
        gather = _PICK[out.dtype]
        if len(counts) <= _MOST_SEARCHES:
            gather(columns.addresses, counts, rows, out)
            return
        place = 0
        for first in range(0, len(counts), _MOST_SEARCHES):
            some = slice(first, first + _MOST_SEARCHES)
            stop = place + int(np.maximum(counts[some], 0).sum())
            gather(columns.addresses[some], counts[some], rows[place:stop], out[place:stop])
            place = stop
