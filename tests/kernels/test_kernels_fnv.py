"""FNV-1a of 64 bits: both variants == a loop over bytes, whatever came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain

every_variant = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
EMPTY = 0xCBF29CE484222325


def slow_fnv1a(data: bytes, value: int = EMPTY) -> int:
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def as_array(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8)


@every_variant
@settings(deadline=None, max_examples=80)
@given(data=st.binary(max_size=60), value=st.integers(0, 2**64 - 1))
def test_any_bytes_behind_any_others(kernels: Any, data: bytes, value: int) -> None:
    assert kernels.fnv1a(as_array(data), value) == slow_fnv1a(data, value)


@every_variant
def test_lengths_around_the_borders_of_blocks(kernels: Any) -> None:
    for length in (0, 1, 7, 8, 9, 16_383, 16_384, 16_385, 40_001):
        data = np.random.default_rng(length).bytes(length)
        assert kernels.fnv1a(as_array(data)) == slow_fnv1a(data)


@every_variant
def test_known_values(kernels: Any) -> None:
    assert kernels.fnv1a(as_array(b"")) == EMPTY
    assert kernels.fnv1a(as_array(b"a")) == 0xAF63DC4C8601EC8C  # draft-eastlake-fnv, test vectors
    assert kernels.fnv1a(as_array(b"foobar")) == 0x85944171F73967E8


@every_variant
def test_it_goes_on_from_what_came_before(kernels: Any) -> None:
    data = np.random.default_rng(0).bytes(50_000)
    assert kernels.fnv1a(as_array(data[20_001:]), kernels.fnv1a(as_array(data[:20_001]))) == slow_fnv1a(data)
