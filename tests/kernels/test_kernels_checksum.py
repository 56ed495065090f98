"""CRC-32C: every variant == the crc32c package == a bit-by-bit loop, and the package's extension is loaded alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk import kernels
from fastk.kernels import compiled, plain
from fastk.kernels.compiled import checksum as compiled_checksum
from fastk.kernels.plain import checksum as plain_checksum

ROOT = Path(kernels.__file__).parents[2]
VARIANTS = [
    pytest.param(plain.crc32c_blocks, id="plain"),
    pytest.param(compiled.crc32c_blocks, id="compiled"),
    pytest.param(compiled_checksum.table_blocks, id="table"),
    pytest.param(
        compiled_checksum.instruction_blocks,
        id="instruction",
        marks=pytest.mark.skipif(not compiled_checksum.has_instructions(), reason="a processor without crc32"),
    ),
]
every_variant = pytest.mark.parametrize("crc32c_blocks", VARIANTS)


def slow_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def block_crcs(crc32c_blocks: Any, data: bytes, block_bytes: int, offset: int = 0) -> list[int]:
    """CRCs of data's blocks, from an address `offset` bytes off a multiple of 64."""
    home = np.empty(len(data) + 128, dtype=np.uint8)
    start = -home.ctypes.data % 64 + offset
    home[start : start + len(data)] = np.frombuffer(data, dtype=np.uint8)
    home.flags.writeable = False
    out = np.zeros(-(-len(data) // block_bytes), dtype=np.uint32)
    crc32c_blocks(home[start : start + len(data)], block_bytes, out)
    return out.tolist()


@every_variant
@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=300), block_bytes=st.integers(1, 120), offset=st.integers(0, 9))
def test_blocks(crc32c_blocks: Any, data: bytes, block_bytes: int, offset: int) -> None:
    blocks = [data[start : start + block_bytes] for start in range(0, len(data), block_bytes)]
    assert block_crcs(crc32c_blocks, data, block_bytes, offset) == [slow_crc32c(block) for block in blocks]


@every_variant
def test_one_block_of_any_length(crc32c_blocks: Any) -> None:
    for length in (*range(1, 100), 191, 192, 193, 4_095, 4_096, 4_097, 32_768, 100_003):
        data = np.random.default_rng(length).bytes(length)
        assert block_crcs(crc32c_blocks, data, length, offset=length % 8) == [kernels.crc32c(data)]


@every_variant
@pytest.mark.parametrize("block_bytes", [1, 7, 24, 100, 600])
def test_a_last_block_of_any_length(crc32c_blocks: Any, block_bytes: int) -> None:
    for length in range(block_bytes, 3 * block_bytes + 1):
        data = np.random.default_rng(length).bytes(length)
        blocks = [data[start : start + block_bytes] for start in range(0, length, block_bytes)]
        assert block_crcs(crc32c_blocks, data, block_bytes) == [kernels.crc32c(block) for block in blocks]


@every_variant
def test_known_values(crc32c_blocks: Any) -> None:
    assert block_crcs(crc32c_blocks, b"123456789", 9) == [0xE3069283]
    assert block_crcs(crc32c_blocks, bytes(32), 32) == [0x8A9136AA]  # RFC 3720, B.4
    assert block_crcs(crc32c_blocks, b"\xff" * 32, 32) == [0x62A8AB43]
    assert block_crcs(crc32c_blocks, b"", 32) == []


@every_variant
def test_a_flipped_bit_changes_its_block_only(crc32c_blocks: Any) -> None:
    data = bytearray(np.random.default_rng(0).bytes(5_000))
    before = block_crcs(crc32c_blocks, bytes(data), 1_000)
    for position in (0, 999, 2_500, 4_999):
        data[position] ^= 1
        after = block_crcs(crc32c_blocks, bytes(data), 1_000)
        assert [block for block in range(5) if before[block] != after[block]] == [position // 1_000]
        data[position] ^= 1


def test_crc32c_takes_buffers_and_goes_on() -> None:
    data = b"123456789"
    for buffer in (data, bytearray(data), memoryview(data), np.frombuffer(data, dtype=np.uint8)):
        assert kernels.crc32c(buffer) == 0xE3069283
    assert kernels.crc32c(data[4:], kernels.crc32c(data[:4])) == 0xE3069283
    assert kernels.crc32c(b"") == 0
    assert kernels.crc32c(np.arange(6, dtype=np.int64).reshape(2, 3)) == kernels.crc32c(np.arange(6).tobytes())


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_extension_is_loaded_alone() -> None:
    # numpy first: what it imports by itself is not the loader's doing.
    code = (
        "import sys, numpy; before = set(sys.modules); import fastk.kernels; print(sorted(set(sys.modules) - before))"
    )
    added = run(code)
    assert "importlib.metadata" not in added
    assert "'crc32c'" not in added


@pytest.mark.slow
def test_the_package_can_be_imported_besides() -> None:
    code = "from fastk import kernels; import crc32c; print(kernels.crc32c(b'abc') == crc32c.crc32c(b'abc'))"
    assert run(code) == "True"
    code = "import crc32c; from fastk import kernels; print(kernels.crc32c is crc32c.crc32c)"
    assert run(code) == "True"


@pytest.mark.parametrize("trouble", [ImportError("none"), AttributeError("moved"), OSError("unreadable")])
def test_the_package_serves_where_its_extension_cannot(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    def fail() -> None:
        raise trouble

    monkeypatch.setattr(plain_checksum, "_extension", fail)
    monkeypatch.delitem(sys.modules, "crc32c", raising=False)
    package = plain_checksum.load_package()
    assert package.__name__ == "crc32c"
    assert package.crc32c(b"123456789") == 0xE3069283
