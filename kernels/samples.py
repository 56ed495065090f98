"""Sample arguments for every kernel and dtype, in the form that callers use: read-only inputs, writable outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .interface import Column

DTYPES = tuple(np.dtype(code) for code in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"))
"""The dtypes that the compiled `take`, `copy_ranges`, `zones` and `compact` serve."""
NUMBERS = DTYPES[1:]
"""The dtypes that the compiled `scan` and `index_bounds` serve."""
ZONE_DTYPES = tuple(np.dtype(code) for code in ("i8", "u8", "f8"))
"""The dtypes that the compiled `prune` serves."""
INTEGERS = tuple(dtype for dtype in NUMBERS if dtype.kind in "iu")
"""The dtypes that the compiled `sequence_breaks` serves."""
LABELS = tuple(np.dtype(code) for code in ("u2", "u4"))
"""The dtypes of labels that the compiled `merge` serves."""

WHOLE = DTYPES[:-2]
MATRIX_DTYPES = tuple(np.dtype(code) for code in ("f8", "f4", "i8"))
"""The dtypes of matrices."""


def read_only(array: Column) -> Column:
    """Give a read-only view: the form in which kernels expect their inputs (a writable one compiles a second time)."""
    view = array.view()
    view.flags.writeable = False
    return view


def sample_calls() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Give (kernel's name, arguments) for every kernel and dtype."""
    ts = read_only(np.arange(4, dtype=np.int64))
    out = np.empty(4, dtype=np.int64)
    yield "bounds", (ts, 1, 2)
    yield "find", (ts, 1, ts.reshape(-1, 1))
    yield "find_many", (ts, ts, out)
    yield "lower_bounds", (ts, ts, out)
    yield "upper_bounds", (ts, ts, out)
    yield "group_order", (ts, 4, out)
    yield "first_disorder", (ts, True)
    yield "crc32c_blocks", (ts.view(np.uint8), 16, np.empty(2, dtype=np.uint32))
    yield "fnv1a", (ts.view(np.uint8),)
    for dtype in DTYPES:
        column = read_only(np.ones(4, dtype=dtype))
        target = np.empty(4, dtype=dtype)
        yield "take", (column, ts, ts, target)
        yield "copy_ranges", (column, ts[:1], ts[1:2], ts[:1], target)
        yield "zones", (column, 2, target[:2], target[2:], np.empty(2, dtype=np.uint8))
        yield "compact", (column, read_only(np.ones(1, dtype=np.uint64)), 0, target[:1])
    yield from _selections(ts, out)
    yield from _replays(ts, out)
    yield from _matrices(ts, out)


def _selections(bounds: Column, out: Column) -> Iterator[tuple[str, tuple[Any, ...]]]:
    flags = read_only(np.ones(2, dtype=np.uint8))
    words = np.empty(1, dtype=np.uint64)
    for dtype in NUMBERS:
        column = read_only(np.ones(4, dtype=dtype))
        yield "scan", (column, flags, 2, 0, 4, column[:1], column[:1], False, words)
        yield "index_bounds", (column, column[:1], column[:1], out[:1], out[1:2])
    for dtype in ZONE_DTYPES:
        zones = read_only(np.ones(2, dtype=dtype))
        yield "prune", (zones, zones, flags, zones[:1], zones[:1], False, np.empty(2, dtype=np.uint8))
    rows = read_only(np.arange(4, dtype=np.uint32))
    yield "mark", (rows, bounds[:1], bounds[1:2], 0, 4, False, words)
    yield from _many_chunks(rows, bounds)


def _many_chunks(rows: Column, bounds: Column) -> Iterator[tuple[str, tuple[Any, ...]]]:
    from . import active  # here, because what they take is what the kernels in force have packed

    counts, found = np.ones(1, dtype=np.int64), np.empty(4, dtype=np.uint32)
    flags = read_only(np.ones(1, dtype=np.uint8))
    for dtype in DTYPES:
        column = read_only(np.ones(4, dtype=dtype))
        columns = active.chain([column])
        yield "chain", ([column],)
        yield "picker", ([column],)
        if dtype in NUMBERS:
            window = bounds[:1], bounds[3:4]
            yield "scan_chunks", (columns, flags, *window, column[:1], column[:1], False, counts.copy(), found)
            yield "finder", ([column], [rows])
    yield "member_finder", ([bounds], [rows], [bounds])


def _replays(ts: Column, out: Column) -> Iterator[tuple[str, tuple[Any, ...]]]:
    from . import active  # as above

    final = read_only(np.ones(1, dtype=np.uint8))
    for dtype in LABELS:
        label = read_only(np.zeros(1, dtype=dtype))
        runs = (read_only(np.array([4])), final, label, read_only(np.zeros(1, dtype=np.int64)))
        yield "merge", (ts, *runs, np.zeros(1, dtype=np.int64), np.empty(4, dtype=dtype), out, out.copy())
        for kind in DTYPES:
            column = read_only(np.ones(1, dtype=kind))
            yield "interleave", (active.chain([column]), label, np.empty(1, dtype=kind))
    for dtype in INTEGERS:
        rows = [np.empty(1, dtype=np.int64) for _ in range(3)]
        yield "sequence_breaks", (read_only(np.ones(4, dtype=dtype)), np.empty(3, dtype=np.int64), *rows)


def _matrices(ts: Column, out: Column) -> Iterator[tuple[str, tuple[Any, ...]]]:
    yield "equal", (ts, ts)
    yield "unite", (ts, ts, np.empty(8, dtype=np.int64))
    yield "intersect", (ts, ts, out)
    yield "align", (ts, ts, 0, np.uint64(0), out)
    yield "carry_forward", (1, -1, 0, out)
    columns = [read_only(np.ones(4, dtype=dtype)) for dtype in WHOLE]
    yield "bundle", (columns,)
    # Here, because what they take is what the kernels in force have packed.
    from . import active

    bundle, divisors = active.bundle(columns), read_only(np.ones(len(columns)))
    places = read_only(np.arange(len(columns), dtype=np.int64))
    for dtype in MATRIX_DTYPES:
        target = np.empty(4 * len(columns), dtype=dtype)
        yield "spread", (bundle, 0, 4, divisors, places, len(columns), target)
        yield "gather", (bundle, 0, ts, divisors, dtype.type(0), places, len(columns), target)
