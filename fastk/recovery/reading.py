"""Reading from a medium that may be failing. An error is not believed at once: cables, drivers and networks make some.

What fails once is read again; what fails each time is the caller's to judge.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.io.disk import Disk

Found = TypeVar("Found")
_MORE_ATTEMPTS = 2
_PIECE_BYTES = 1 << 18


def patiently(read: Callable[[], Found]) -> Found:
    """What ``read`` gives; after an error of the system twice more, at once. OSError if it fails each time."""
    for _ in range(_MORE_ATTEMPTS):
        with suppress(OSError):
            return read()
    return read()


def read_stretch(disk: Disk, path: str, offset: int, length: int) -> NDArray[np.uint8]:
    """Some bytes of a file, patiently; less where the file ends before."""
    found = np.empty(length, np.uint8)

    def read() -> int:
        size = 0
        for piece in disk.pieces(path, offset, length, _PIECE_BYTES):
            found[size : size + piece.size] = piece
            size += piece.size
        return size

    return found[: patiently(read)]


def read_through(disk: Disk, path: str, offset: int, length: int) -> None:
    """Read some bytes once, patiently, so that a failing medium is an error here and not a SIGBUS of a map."""

    def read() -> None:
        for _ in disk.pieces(path, offset, length, _PIECE_BYTES):
            pass

    patiently(read)


def other_than_before(path: str) -> OSError:
    """The error for a file that gave more, or fewer, sound bytes when it was looked at first."""
    words = "it gives other bytes than a moment ago; its medium may be failing: copy the file away and repair again"
    return OSError(errno.EIO, words, path)
