"""CRC-32C (Castagnoli) of many blocks in one call."""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import config as numba_config
from numba import types

from ..interface import Uint8Array, Uint32Array
from ..plain import checksum as plain
from .compile import instruction, kernel, part

_ALL = np.uint64(0xFFFFFFFF)
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed


def has_instructions() -> bool:
    """Tell whether numba compiles for a processor with the crc32 and the carry-less multiplication instruction."""
    config: Any = numba_config
    if config.DISABLE_JIT or config.CPU_NAME or config.CPU_FEATURES:
        return False
    features = llvmlite.binding.get_host_cpu_features()
    return bool(features.get("sse4.2") and features.get("pclmul"))


def _tables() -> Uint32Array:
    """Tables of slicing-by-8 (Kounavis and Berry 2005): [k][b] is the CRC of byte b followed by k zero bytes."""
    tables = np.zeros((8, 256), dtype=np.uint32)
    rest = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        rest = np.where(rest & 1, (rest >> 1) ^ _POLYNOMIAL, rest >> 1).astype(np.uint32)
    tables[0] = rest
    for zeros in range(1, 8):
        rest = (rest >> 8) ^ tables[0][rest & 0xFF]
        tables[zeros] = rest
    return tables


_TABLES = _tables()


@instruction
def _load_word(typing_context: Any, data: Any, position: Any) -> Any:
    """Eight bytes of a uint8 array from `position` on, at any address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        word = ir.IntType(64)
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), word.as_pointer())
        return builder.load(address, align=1)

    return types.uint64(data, types.intp), generate


@instruction
def _crc_word(typing_context: Any, crc: Any, word: Any) -> Any:
    """CRC register after eight more bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        instruction = builder.module.declare_intrinsic(
            "llvm.x86.sse42.crc32.64.64", (), ir.FunctionType(word, [word, word])
        )
        return builder.call(instruction, arguments)

    return types.uint64(types.uint64, types.uint64), generate


@instruction
def _crc_byte(typing_context: Any, crc: Any, byte: Any) -> Any:
    """CRC register after one more byte."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        register, byte = ir.IntType(32), ir.IntType(8)
        instruction = builder.module.declare_intrinsic(
            "llvm.x86.sse42.crc32.32.8", (), ir.FunctionType(register, [register, byte])
        )
        crc = builder.call(instruction, [builder.trunc(arguments[0], register), arguments[1]])
        return builder.zext(crc, ir.IntType(64))

    return types.uint64(types.uint64, types.uint8), generate


@instruction
def _multiply(typing_context: Any, left: Any, right: Any) -> Any:
    """Carry-less product of two 32-bit polynomials."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word, byte, index = ir.IntType(64), ir.IntType(8), ir.IntType(32)
        pair = ir.VectorType(word, 2)
        instruction = builder.module.declare_intrinsic(
            "llvm.x86.pclmulqdq", (), ir.FunctionType(pair, [pair, pair, byte])
        )
        operands = [builder.insert_element(pair(None), value, index(0)) for value in arguments]
        return builder.extract_element(builder.call(instruction, [*operands, byte(0)]), index(0))

    return types.uint64(types.uint64, types.uint64), generate


@part
def _shift_factor(words: int) -> np.uint64:
    """Factor that moves a CRC register over `words` zero words, x^(64 * words - 33); meaningless for no words.

    The crc32 instruction reduces a product of registers a, b to a * b * x^33 modulo the polynomial. So the factors of m
    and n words multiply to that of m + n, and that of one word is x^31, 1 in reversed bits. Square and multiply.
    """
    factor = np.uint64(1)
    bit = 1
    while bit * 2 <= words:
        bit *= 2
    while bit > 1:
        bit >>= 1
        factor = _crc_word(np.uint64(0), _multiply(factor, factor))
        if words & bit:
            factor = _crc_word(np.uint64(0), factor)
    return factor


@part
def _shift(crc: np.uint64, factor: np.uint64) -> np.uint64:
    moved: np.uint64 = _crc_word(np.uint64(0), _multiply(crc, factor))
    return moved


@part
def _instruction_crc(data: Uint8Array, start: int, stop: int, lane_words: int, factor: np.uint64) -> np.uint64:
    """CRC-32C of data[start:stop], of it three lanes of `lane_words` words side by side.

    The instruction takes three cycles, and the processor starts one in each.
    """
    lane = lane_words * 8
    crc = _ALL
    if lane_words:
        second = np.uint64(0)
        third = np.uint64(0)
        for position in range(start, start + lane, 8):
            crc = _crc_word(crc, _load_word(data, position))
            second = _crc_word(second, _load_word(data, position + lane))
            third = _crc_word(third, _load_word(data, position + 2 * lane))
        crc = _shift(_shift(crc, factor) ^ second, factor) ^ third
    position = start + 3 * lane
    while position + 8 <= stop:
        crc = _crc_word(crc, _load_word(data, position))
        position += 8
    while position < stop:
        crc = _crc_byte(crc, data[position])
        position += 1
    return crc ^ _ALL


@kernel
def instruction_blocks(data: Uint8Array, block_bytes: int, out: Uint32Array) -> None:
    """Write the CRC-32C of each block of `block_bytes` bytes of uint8 `data` to uint32 `out`, by instruction.

    Three lanes a block, joined by carry-less multiplication (Gopal et al., Intel 2011).
    """
    lane_words = -1
    factor = np.uint64(0)
    for block in range(len(out)):
        start = block * block_bytes
        stop = min(start + block_bytes, len(data))
        if (stop - start) // 24 != lane_words:
            lane_words = (stop - start) // 24
            factor = _shift_factor(lane_words)
        out[block] = _instruction_crc(data, start, stop, lane_words, factor)


@part
def _table_crc(data: Uint8Array, start: int, stop: int) -> np.uint32:
    crc = np.uint32(0xFFFFFFFF)
    position = start
    while position + 8 <= stop:
        low = crc ^ (
            np.uint32(data[position])
            | np.uint32(data[position + 1]) << np.uint32(8)
            | np.uint32(data[position + 2]) << np.uint32(16)
            | np.uint32(data[position + 3]) << np.uint32(24)
        )
        crc = np.uint32(
            _TABLES[7, low & np.uint32(0xFF)]
            ^ _TABLES[6, (low >> np.uint32(8)) & np.uint32(0xFF)]
            ^ _TABLES[5, (low >> np.uint32(16)) & np.uint32(0xFF)]
            ^ _TABLES[4, low >> np.uint32(24)]
            ^ _TABLES[3, data[position + 4]]
            ^ _TABLES[2, data[position + 5]]
            ^ _TABLES[1, data[position + 6]]
            ^ _TABLES[0, data[position + 7]]
        )
        position += 8
    while position < stop:
        crc = np.uint32(_TABLES[0, (crc ^ data[position]) & np.uint32(0xFF)] ^ (crc >> np.uint32(8)))
        position += 1
    return crc ^ np.uint32(0xFFFFFFFF)


@kernel
def table_blocks(data: Uint8Array, block_bytes: int, out: Uint32Array) -> None:
    """Write the CRC-32C of each block of `block_bytes` bytes of uint8 `data` to uint32 `out`, by tables."""
    for block in range(len(out)):
        start = block * block_bytes
        out[block] = _table_crc(data, start, min(start + block_bytes, len(data)))


if has_instructions():
    crc32c_blocks = instruction_blocks
elif plain.package.hardware_based:
    # The package knows an instruction of this processor (ARM's) and beats tables tenfold.
    crc32c_blocks = plain.crc32c_blocks
else:
    crc32c_blocks = table_blocks
