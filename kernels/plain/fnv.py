"""FNV-1a of 64 bits (Fowler, Noll and Vo), the checksum of the original's files.

Each byte is XORed into the hash, which is then multiplied by a prime: byte after byte, but there is a way around. An
XOR with a byte changes the low byte of the hash only, so that it adds a small number, and numbers times powers of the
prime are a sum. The low bytes themselves depend on low bytes alone, and bit k of each on bit k of the one before and on
lower bits: eight running XORs, one a bit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..interface import Uint8Array, Words

OFFSET = 0xCBF29CE484222325
"""The hash of no bytes."""
PRIME = 0x100000001B3
_MASK = (1 << 64) - 1
_LOW = np.uint8(PRIME & 0xFF)
_BLOCK = 1 << 14  # the working arrays of a block stay in the first caches


@cache
def _powers() -> Words:
    """The prime to the power of _BLOCK, _BLOCK - 1, ... 0."""
    powers = np.full(_BLOCK + 1, PRIME, np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)[::-1].copy()


def fnv1a(data: Uint8Array, value: int = OFFSET) -> int:
    """FNV-1a of uint8 `data`; `value` is the hash of what came before."""
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        mixed = _mixed_bytes(block, value & 0xFF)
        steps = mixed.astype(np.int64) - (mixed ^ block)
        powers = _powers()[_BLOCK - block.size :]
        added = int((steps.view(np.uint64) * powers[:-1]).sum())
        value = (value * int(powers[0]) + added) & _MASK
    return value


def _mixed_bytes(block: Uint8Array, low: int) -> NDArray[np.uint8]:
    """The low byte of the hash after each byte was XORed into it; `low` is that of the hash before the block."""
    rows = block.size
    padded = np.zeros(rows + -rows % 8, np.uint8)
    padded[:rows] = block
    padded[0] ^= low
    mixed, bit = np.zeros_like(padded), np.empty_like(padded)
    for place in range(8):
        np.multiply(mixed[:-1], _LOW, out=bit[1:])  # what lower bits carry into this one of the next byte
        bit[0] = 0
        bit ^= padded
        bit &= np.uint8(1 << place)
        _run(bit)
        mixed |= bit
    return mixed[:rows]


def _run(bits: NDArray[np.uint8]) -> None:
    """XOR each byte with all before it, in place: eight at a time in one word, then the words among each other."""
    words = bits.view("<u8")
    for shift in (8, 16, 32):
        words ^= words << np.uint64(shift)
    before = np.zeros(words.size, np.uint64)
    before[1:] = np.bitwise_xor.accumulate(bits[7::8])[:-1]
    words ^= before * np.uint64(0x0101010101010101)
