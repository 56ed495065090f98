"""Columns of any dtypes by their addresses, and the instructions that read them for a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from ..interface import Column
from .bits import LINE, fetch_line
from .compile import instruction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# How a column is read: narrow integers as unsigned ones, whose sign bit two shifts spread (by 0 if they have none).
_BYTES, _WORDS, _HALVES, _INTS, _UNSIGNED, _SINGLES, _DOUBLES = range(7)
_ITEMS = (*map(ir.IntType, (8, 16, 32, 64, 64)), ir.FloatType(), ir.DoubleType())
_READINGS = {
    "?": (_BYTES, 0),
    "i1": (_BYTES, 56),
    "u1": (_BYTES, 0),
    "i2": (_WORDS, 48),
    "u2": (_WORDS, 0),
    "i4": (_HALVES, 32),
    "u4": (_HALVES, 0),
    "i8": (_INTS, 0),
    "u8": (_UNSIGNED, 0),
    "f4": (_SINGLES, 0),
    "f8": (_DOUBLES, 0),
}
# Rows that a matrix takes of a column at a time. Measured: 32 to 256 rows do alike.
TILE_ROWS = 64
_SHIFT_BITS = 6
_LARGEST_SHIFT = 63
_READING = {np.dtype(code): kind << _SHIFT_BITS | shift for code, (kind, shift) in _READINGS.items()}

_cgutils: Any = cgutils


class Bundle(NamedTuple):
    """Columns by their addresses: so one call reads any number of any dtypes. `columns` keeps their memory alive."""

    columns: Sequence[Column]
    addresses: NDArray[np.uint64]
    readings: NDArray[np.int64]


def bundle(columns: Sequence[Column]) -> Any:
    """Pack columns for `spread` and `gather`. About a microsecond a column."""
    addresses = [column.__array_interface__["data"][0] for column in columns]
    readings = [_READING[column.dtype] for column in columns]
    return Bundle(columns, np.array(addresses, np.uint64), np.array(readings, np.int64))


# The loops are made here, one for each kind of reading: written in Python they took a fifth of all compiling. Left to
# itself, LLVM writes out a loop's body many times, which took a sixth. Measured on tiles: runs are read at least as
# fast if it does so once, and rows if four times.


@instruction
def read_run(typing_context: Any, address: Any, reading: Any, first: Any, tile: Any) -> Any:
    """Fill a tile of int64 or float64 with the values of a column from a row on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, reading, first, values = arguments
        _fill(context, builder, address, reading, lambda place: builder.add(first, place), (tile, values), 1, first)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, types.int64, tile), generate


@instruction
def read_rows(typing_context: Any, address: Any, reading: Any, rows: Any, tile: Any) -> Any:
    """Fill a tile of int64 or float64 with the values of a column at some rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, reading, numbers, values = arguments
        start = context.make_array(rows)(context, builder, numbers).data

        def row(place: Any) -> Any:
            return builder.load(builder.gep(start, [place]))

        _fill(context, builder, address, reading, row, (tile, values), 4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.int64, rows, tile), generate


def _fill(
    context: Any,
    builder: Any,
    address: Any,
    reading: Any,
    row: Callable[[Any], Any],
    tile: tuple[types.Array, Any],
    repeats: int,
    first: Any = None,
) -> None:
    """Make a loop over the tile for each kind of reading; of a run from ``first`` on, ask for the next one, too."""
    target = context.make_array(tile[0])(context, builder, tile[1])
    wide = context.get_data_type(tile[0].dtype)
    (count,) = _cgutils.unpack_tuple(builder, target.shape)
    shift = builder.and_(reading, reading.type(_LARGEST_SHIFT))
    for kind in range(_SINGLES if isinstance(wide, ir.IntType) else len(_ITEMS)):
        chosen = builder.icmp_signed("==", builder.ashr(reading, reading.type(_SHIFT_BITS)), reading.type(kind))
        with builder.if_then(chosen):
            start = builder.inttoptr(address, _ITEMS[kind].as_pointer())
            with _cgutils.for_range(builder, count) as loop:
                value = _widened(builder, _read(builder, start, row(loop.index)), kind, shift, wide)
                builder.store(value, builder.gep(target.data, [loop.index]))
                body = builder.block
            body.terminator.set_metadata("llvm.loop", _repeated(builder.module, repeats))
            if first is not None:
                _fetch_next(builder, builder.gep(start, [builder.add(first, count)]), context)


def _fetch_next(builder: Any, start: Any, context: Any) -> None:
    """Ask for a tile's rows of a column: there are too many columns for the processor to see where each goes on.

    A matrix of 160 columns took three quarters of the time so.
    """
    address, number = builder.ptrtoint(start, ir.IntType(64)), ir.IntType(64)
    for offset in range(0, TILE_ROWS * context.get_abi_sizeof(start.type.pointee), LINE):
        fetch_line(builder, builder.add(address, number(offset)))


def _read(builder: Any, start: Any, place: Any) -> Any:
    value = builder.load(builder.gep(start, [place]))
    # Nothing that a kernel writes is what it reads: only so do the loops become vector instructions.
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value


def _widened(builder: Any, value: Any, kind: int, shift: Any, wide: Any) -> Any:
    """The value as int64 or float64."""
    if kind in (_BYTES, _WORDS, _HALVES):
        value = builder.ashr(builder.shl(builder.zext(value, shift.type), shift), shift)
    if value.type == wide:
        return value
    convert = {_UNSIGNED: builder.uitofp, _SINGLES: builder.fpext}.get(kind, builder.sitofp)
    return convert(value, wide)


def _repeated(module: Any, times: int) -> Any:
    """What tells LLVM how often to write out a loop's body."""
    count = module.add_metadata(["llvm.loop.unroll.count", ir.IntType(32)(times)])
    # Not by add_metadata: it gives equal ones once, and each loop needs its own.
    loop = ir.MDValue(module, (count,), name=str(len(module.metadata)))
    loop.operands = loop, count  # LLVM knows a loop by a node that names itself first
    return loop
