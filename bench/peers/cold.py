"""Files that the system's page cache no longer holds: truly cold, as far as this machine can make them."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from bench.peers.base import files_below


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
    """How much of the files below a folder is in memory; None where the system does not tell. Reads nothing itself."""
    pages = [pages_in_memory(path) for path in files_below(folder) if os.path.getsize(path)]
    if any(each is None for each in pages):
        return None
    held = np.concatenate([np.empty(0, bool), *(each for each in pages if each is not None)])
    return float(held.mean()) if held.size else 0.0


def pages_in_memory(path: str) -> NDArray[np.bool_] | None:
    """Which pages of a file are in memory (mincore)."""
    mincore = getattr(ctypes.CDLL(None), "mincore", None)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = np.frombuffer(mapped, np.uint8)
        found = np.empty(-(-view.size // mmap.PAGESIZE), np.uint8)
        address, size = ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(view.size)
        del view
        if mincore is None or mincore(address, size, ctypes.c_void_p(found.ctypes.data)):
            return None
    return (found & 1).astype(bool)
