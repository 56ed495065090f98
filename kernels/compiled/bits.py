"""Instructions for words of bits.

A change here reaches no kernel that the cache holds: those of other files know the time of their own file only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from .compile import instruction


@instruction
def count_bits(typing_context: Any, word: Any) -> Any:
    """How many bits of a uint64 are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@instruction
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """Place of the lowest bit that is set in a uint64 other than 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint64(types.uint64), generate
