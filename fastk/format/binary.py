"""Small helpers that the parsers of chunk, manifest and table share."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.errors import InvalidData, UnsupportedVersion

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 3
CRC_BYTES = 4


def padding(length: int, alignment: int) -> int:
    """Zero bytes that are missing to the next multiple of ``alignment``."""
    return -length % alignment


def sealed(body: bytes) -> bytes:
    """``body`` followed by its CRC-32C."""
    return body + struct.pack("<I", kernels.crc32c(body))


def check_magic(data: bytes, magic: bytes, path: str) -> None:
    """Tell foreign files and other versions apart. All magics end in the three digits of the format's version."""
    if data[:8] == magic:
        return
    if len(data) >= 8 and data[:5] == magic[:5] and data[5:8].isdigit():
        raise UnsupportedVersion(
            f"{path} is of format {int(data[5:8])}; this library reads format {VERSION}: "
            f"use a version of fastk that reads it"
        )
    raise InvalidData(
        f"{path} is damaged or foreign: it starts with {data[:8]!r}, not {magic!r}; restore it from a copy"
    )


def check_version(version: int, path: str) -> None:
    """Refuse a verified head that bears another version than its magic."""
    if version != VERSION:
        raise UnsupportedVersion(
            f"{path} is of format {version}; this library reads format {VERSION}: use a version of fastk that reads it"
        )


def is_sealed(data: bytes) -> bool:
    """Whether ``data`` ends in the CRC-32C of all before."""
    return kernels.crc32c(data[:-CRC_BYTES]) == int.from_bytes(data[-CRC_BYTES:], "little")


def check_seal(data: bytes, path: str, what: str) -> None:
    """Raise InvalidData unless ``data`` ends in the CRC-32C of all before."""
    stored = int.from_bytes(data[-CRC_BYTES:], "little")
    found = kernels.crc32c(data[:-CRC_BYTES])
    if stored != found:
        raise InvalidData(
            f"{path}: the checksum of its {what} is {found:08x}, but {stored:08x} was stored: the file is "
            f"damaged; restore it from a copy"
        )


def take_array(data: Any, dtype: np.dtype[Any], count: int, offset: int) -> tuple[NDArray[Any], int]:
    """``count`` read-only items at ``offset``, and the offset behind them; ValueError if the data are too short."""
    end = offset + count * dtype.itemsize
    if end > len(data):
        raise ValueError(f"{count:,} items of {dtype.itemsize} bytes reach beyond the end")
    return np.frombuffer(data, dtype, count, offset), end
