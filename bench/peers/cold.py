"""Files that the system's page cache no longer holds: truly cold, as far as this machine can make them."""

from __future__ import annotations

import gc
import os

from bench.peers.base import files_below

SAMPLES = 64  # pages of each file that are looked at


def drop(folder: str) -> None:
    """Let the system forget the pages of all files below a folder (posix_fadvise, DONTNEED), dirty ones written first.

    Pages that a process still maps stay: close everything before. A disk or a host below may hold copies of its own.
    """
    gc.collect()
    for path in files_below(folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def resident_share(folder: str) -> float | None:
    """How much of the files below a folder is in memory, by samples; None where the file system does not tell."""
    seen = held = 0
    for path in files_below(folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(descriptor).st_size
            for offset in range(0, size, max(size // SAMPLES, 4096)):
                seen += 1
                held += _is_resident(descriptor, offset)
        except OSError:
            return None
        finally:
            os.close(descriptor)
    return held / seen if seen else 0.0


def _is_resident(descriptor: int, offset: int) -> bool:
    try:
        return bool(os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT))
    except BlockingIOError:
        return False
