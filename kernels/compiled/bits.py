"""Instructions for words of bits, and a choice without a jump."""

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


@instruction
def either(typing_context: Any, condition: Any, one: Any, other: Any) -> Any:
    """`one` if the condition holds, else `other`, of the type of `one`, without a jump.

    LLVM would jump where a loop waits for the choice, as searches do, and mispredict every other time. Measured with
    this mark and without: 13 ns and 100 a key of 10,000 in 41,667 times, 5 to 7 and 60 to 100 a row among 1,000 ranges.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        other = context.cast(builder, arguments[2], kinds[2], kinds[1])
        chosen = builder.select(arguments[0], arguments[1], other)
        chosen.set_metadata("unpredictable", builder.module.add_metadata([]))
        return chosen

    return one(condition, one, other), generate
