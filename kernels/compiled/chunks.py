"""Matches of many small chunks by comparing all of their rows: one call for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..codes import ALL, NONE
from ..interface import Column, Int64Array, Uint8Array, Uint32Array
from ..plain import chunks as plain
from .bits import either, workspace
from .compile import KernelByDtype, array_type
from .indexed import array_at, write_rows
from .selection import clip_words, comparable, match


def _scan_chunks(
    addresses: Any,
    lengths: Int64Array,
    verdicts: Uint8Array,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    negated: bool,
    counts: Int64Array,
    out: Uint32Array,
) -> Any:
    widest = 0
    for chunk in range(len(counts)):
        width = ((ends[chunk] + 63) >> 6) - (begins[chunk] >> 6)
        widest = either(width > widest, width, widest)
    words = workspace(widest, np.uint64(0))
    position = 0
    for chunk in range(len(counts)):
        begin, end, before = begins[chunk], ends[chunk], position
        if begin < end and verdicts[chunk] == ALL:
            for row in range(begin, end):
                out[np.uint64(position)] = row
                position += 1
        elif begin < end and verdicts[chunk] != NONE:
            some = words[: ((end + 63) >> 6) - (begin >> 6)]
            base = begin - (begin & 63)
            match(array_at(addresses[chunk], lengths[chunk], lows), base, lows, highs, some)
            clip_words(some, begin, end, negated)
            position = write_rows(some, base, out, position)
        counts[chunk] = position - before
    return position


def _argument_types(value: types.Type) -> tuple[types.Type, ...]:
    int64s, values = array_type(types.int64), array_type(comparable(value))
    counts, out = array_type(types.int64, readonly=False), array_type(types.uint32, readonly=False)
    return (
        array_type(types.uint64), int64s, array_type(types.uint8), int64s, int64s, values, values, types.boolean,
        counts, out,
    )  # fmt: skip


_SCAN = KernelByDtype(_scan_chunks, plain.scan_chunks, _argument_types)


def scan_chunks(
    columns: Any,
    verdicts: Uint8Array,
    begins: Int64Array,
    ends: Int64Array,
    lows: Column,
    highs: Column,
    negated: bool,
    counts: Int64Array,
    out: Uint32Array,
) -> int:
    """Write the rows of each chunk that belong to a set, compared 64 at a time, or searched among many ranges."""
    count: int = _SCAN[lows.dtype](
        columns.addresses, columns.lengths, verdicts, begins, ends, lows, highs, negated, counts, out
    )
    return count
