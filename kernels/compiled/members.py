"""Single values in the value indexes of many chunks: a table from the leading bits of a value to its entries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir
from numba import types

from ..codes import MOST_MEMBER_ROWS, MOST_MEMBERS, UNREACHED
from ..interface import Int64Array, MemberFinder, Uint32Array
from ..plain import members as plain
from .bits import either, fetch, workspace
from .compile import KernelByDtype, array_type, instruction, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Of each chunk: addresses of its values, ascending, of their rows, of the rows' ts and of the guide; the least and the
# greatest value; by how many bits a value's distance from the least is shifted to its slot of the guide; and how many
# rows there are.
_VALUES, _ROWS, _TS, _GUIDE, _LEAST, _GREATEST, _SHIFT, _LENGTH = range(8)
_FACTS = 8
# Where the parts of an answer begin, behind the ts.
_MEMBERS, _PLACES, _COUNTS = (MOST_MEMBER_ROWS * times for times in (1, 2, 3))
# A slot for 16 entries, but 16 KB at most: a slot of more entries is halved a few times more.
_MOST_SLOT_BITS, _ENTRY_BITS = 12, 4
_MOST_SHIFT = 63  # of a word; by more it is undefined


@instruction
def load(typing_context: Any, address: Any, place: Any, like: Any) -> Any:
    """The value at a place of an array at an address, of a scalar's type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.inttoptr(arguments[0], ir.PointerType(context.get_data_type(like)))
        return builder.load(builder.gep(start, [arguments[1]]))

    return like(types.uint64, types.int64, like), generate


@part
def _keep_different(work: Int64Array, count: int) -> int:
    """Leave out what is there before among the first words; gives how many are left."""
    different = 0
    for given in range(count):
        is_new = True
        for place in range(different):
            is_new &= work[place] != work[given]
        work[different] = either(is_new, work[given], work[different])
        different += is_new
    return different


@part
def _first_entry(stored: Any, entry: int, stop: int, member: int) -> int:
    """The first of some entries that is not less than a value, or the one behind them."""
    size = stop - entry
    while size > 0:
        half = size >> 1
        is_before = load(stored, entry + half, np.int64(0)) < member
        entry = either(is_before, entry + half + 1, entry)
        size = either(is_before, size - half - 1, half)
    return entry


@part
def _insert(answer: Int64Array, before: int, found: int, row: int, member: int) -> None:
    """Put a row in its place among those of its chunk, with its value."""
    while found > before and answer[_PLACES + found - 1] > row:
        answer[_PLACES + found] = answer[_PLACES + found - 1]
        answer[_MEMBERS + found] = answer[_MEMBERS + found - 1]
        found -= 1
    answer[_PLACES + found], answer[_MEMBERS + found] = row, member


# All slots are looked up first, and what they name is asked for: so the waits for memory overlap. Few rows are put in
# order by insertion.
def _find_members(
    tables: NDArray[np.uint64], count: int, one: int, two: int, three: int, four: int, answer: Int64Array
) -> Any:
    chunks, word, number = len(tables) // _FACTS, np.int64(0), np.uint32(0)
    # The members, and of each in each chunk where its slot begins and ends.
    work = workspace(MOST_MEMBERS * (1 + 2 * chunks), word)
    work[0], work[1], work[2], work[3] = one, two, three, four
    different = _keep_different(work, count)
    for chunk in range(chunks):
        fact, at = _FACTS * chunk, MOST_MEMBERS * (1 + 2 * chunk)
        least, greatest = np.int64(tables[fact + _LEAST]), np.int64(tables[fact + _GREATEST])
        answer[_COUNTS + chunk] = UNREACHED
        for place in range(different):
            member, start, stop = work[place], word, word
            if least <= member <= greatest:
                answer[_COUNTS + chunk] = 0
                slot = np.int64((np.uint64(member) - tables[fact + _LEAST]) >> tables[fact + _SHIFT])
                start = np.int64(load(tables[fact + _GUIDE], slot, number))
                stop = np.int64(load(tables[fact + _GUIDE], slot + 1, number))
                fetch(tables[fact + _VALUES] + np.uint64(8 * start))
                fetch(tables[fact + _ROWS] + np.uint64(4 * start))
            work[at + 2 * place], work[at + 2 * place + 1] = start, stop
    found = 0
    for chunk in range(chunks):
        fact, at, before = _FACTS * chunk, MOST_MEMBERS * (1 + 2 * chunk), found
        stored, rows = tables[fact + _VALUES], tables[fact + _ROWS]
        for place in range(different):
            member, stop = work[place], work[at + 2 * place + 1]
            entry = _first_entry(stored, work[at + 2 * place], stop, member)
            while entry < stop and load(stored, entry, word) == member:
                row: Any = np.int64(load(rows, entry, number))
                entry += 1
                if row >= np.int64(tables[fact + _LENGTH]):  # as an index may name that was not verified
                    continue
                if found == MOST_MEMBER_ROWS:
                    return -1
                fetch(tables[fact + _TS] + np.uint64(8 * row))
                _insert(answer, before, found, row, member)
                found += 1
        if found > before:
            answer[_COUNTS + chunk] = found - before
    first = 0
    for chunk in range(chunks):
        stop = first + either(answer[_COUNTS + chunk] > 0, answer[_COUNTS + chunk], 0)
        for place in range(first, stop):
            answer[place] = load(tables[_FACTS * chunk + _TS], answer[_PLACES + place], word)
        first = stop
    return found


def _find_types(value: types.Type) -> tuple[types.Type, ...]:
    return (array_type(types.uint64), *[types.int64] * (1 + MOST_MEMBERS), array_type(types.int64, readonly=False))


_FIND = KernelByDtype(_find_members, plain.find_members, _find_types, keeps_gil=True)


def member_finder(values: Sequence[Int64Array], rows: Sequence[Uint32Array], ts: Sequence[Int64Array]) -> MemberFinder:
    """Prepare the look for single values. Makes a guide of each index: 0.1 ms."""
    guides = [_guide(each) for each in values]
    facts = [
        [*[_address(each) for each in (present, places, times, guide)], least, greatest, shift, len(times)]
        for present, places, times, (guide, least, greatest, shift) in zip(values, rows, ts, guides, strict=True)
    ]
    find: Any = partial(_FIND[np.dtype(np.int64)], np.array(facts, np.uint64).ravel())
    find.packed = values, rows, ts, guides  # keeps the memory alive
    member_find: MemberFinder = find
    return member_find


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _guide(values: Int64Array) -> tuple[Uint32Array, int, int, int]:
    """The first entry of each slot, and where the last one ends; the least and greatest value; the shift to a slot."""
    least, greatest = int(values[0]), int(values[-1])
    bits = min(_MOST_SLOT_BITS, max(0, len(values).bit_length() - _ENTRY_BITS))
    shift = min(max(0, (greatest - least).bit_length() - bits), _MOST_SHIFT)
    slots = np.arange(1, ((greatest - least) >> shift) + 1, dtype=np.uint64)
    # Unsigned, because distances of two integers may be more than int64 holds: sums go round, and come out right.
    begins = ((slots << np.uint64(shift)) + np.uint64(least % 2**64)).view(np.int64)
    entries = np.concatenate([[0], values.searchsorted(begins), [len(values)]])
    return entries.astype(np.uint32), least % 2**64, greatest % 2**64, shift
