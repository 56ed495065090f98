"""The values of selected rows."""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config as numba_config
from numba import from_dtype, types
from numba.np.numpy_support import as_dtype

from ..interface import Column, Words
from ..plain import selection as plain
from .bits import count_bits, lowest_bit
from .compile import KernelByDtype, array_type, instruction, part

_ONE = np.uint64(1)
_EVERY_BIT = np.uint64(0xFFFFFFFFFFFFFFFF)
_WORD_ROWS = np.uint64(64)
_VECTOR_BYTES = 64
# Words of more bits are packed.
_FEW_BITS = np.uint64(10)


def has_instruction() -> bool:
    """Tell whether numba compiles for a processor that packs the selected values of a vector, bytes too."""
    config: Any = numba_config
    if config.CPU_NAME or config.CPU_FEATURES:
        return False
    return bool(llvmlite.binding.get_host_cpu_features().get("avx512vbmi2"))


@instruction
def _pack(typing_context: Any, column: Any, row: Any, bits: Any, out: Any, target: Any) -> Any:
    """Write the selected of as many rows as a vector holds from `row` on, and anything behind them: a whole vector.

    Packing into a register and storing that: the form of the instruction that writes to memory is far slower on Zen 4.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = column.dtype.bitwidth // 8
        lanes = ir.VectorType(ir.IntType(8 * size), _VECTOR_BYTES // size)
        mask = ir.VectorType(ir.IntType(1), lanes.count)
        source, target = (
            builder.bitcast(
                builder.gep(context.make_array(kind)(context, builder, array).data, [place]), lanes.as_pointer()
            )
            for kind, array, place in ((column, *arguments[:2]), (out, *arguments[3:]))
        )
        bits = arguments[2] if lanes.count == 64 else builder.trunc(arguments[2], ir.IntType(lanes.count))
        compress = builder.module.declare_intrinsic(
            f"llvm.x86.avx512.mask.compress.v{lanes.count}i{8 * size}", (), ir.FunctionType(lanes, [lanes, lanes, mask])
        )
        packed = builder.call(compress, [builder.load(source, align=1), lanes(None), builder.bitcast(bits, mask)])
        builder.store(packed, target, align=1)
        return context.get_dummy_value()

    return types.void(column, types.uint64, types.uint64, out, types.uint64), generate


@part
def _pack_word(column: Column, row: np.uint64, word: np.uint64, out: Column, target: np.uint64) -> None:
    """Write the selected of 64 rows by whole vectors, up to 64 values."""
    lanes = np.uint64(_VECTOR_BYTES // column.itemsize)
    for lane in range(np.uint64(0), _WORD_ROWS, lanes):
        bits = (word >> lane) & (_EVERY_BIT >> (_WORD_ROWS - lanes))
        _pack(column, row + lane, bits, out, target)
        target += count_bits(bits)


@part
def _copy_bits(column: Column, row: np.uint64, word: np.uint64, out: Column, target: np.uint64) -> None:
    """Write the selected of 64 rows one after the other.

    Moving all rows, each to where the next selected one belongs, was tried instead: no branch fails, but it gains
    nothing below 60 bits a word.
    """
    while word:
        out[target] = column[row + lowest_bit(word)]
        target += _ONE
        word &= word - _ONE


def compact_by_instruction(column: Column, words: Words, start: int, out: Column) -> None:
    """Compact by a processor's instruction. Measured on int64 from a third of the rows on: 1.5 to 2 times as fast."""
    row = np.uint64(start - start % 64)
    target = np.uint64(0)
    for word in words:
        count = count_bits(word)
        if count > _FEW_BITS and row + _WORD_ROWS <= len(column) and target + _WORD_ROWS <= len(out):
            _pack_word(column, row, word, out, target)
        else:
            _copy_bits(column, row, word, out, target)
        target += count
        row += _WORD_ROWS


def compact_by_bits(column: Column, words: Words, start: int, out: Column) -> None:
    """Compact on any processor."""
    row = np.uint64(start - start % 64)
    target = np.uint64(0)
    for word in words:
        if word == _EVERY_BIT:
            for lane in range(_WORD_ROWS):
                out[target + lane] = column[row + lane]
        else:
            _copy_bits(column, row, word, out, target)
        target += count_bits(word)
        row += _WORD_ROWS


def _types(value: types.Type) -> tuple[types.Type, ...]:
    # Values are only moved: dtypes of one size share a kernel.
    bits = from_dtype(np.dtype(f"u{as_dtype(value).itemsize}"))
    return array_type(bits), array_type(types.uint64), types.int64, array_type(bits, readonly=False)


_COMPACT = KernelByDtype(compact_by_instruction if has_instruction() else compact_by_bits, plain.compact, _types)


def compact(column: Column, words: Words, start: int, out: Column) -> None:
    """Write the values of the rows whose bit is set, in order. S<n> go by numpy."""
    _COMPACT[column.dtype](column, words, start, out)
