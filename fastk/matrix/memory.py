"""Whether what is asked for fits into memory: said before any of it is taken."""

from __future__ import annotations

import os

from fastk.errors import InvalidInput

# Less is not worth the question how much memory is free.
_WORTH_ASKING = 64 << 20


def check(needed: int, what: str, way_out: str, free: int | None = None) -> None:
    """Refuse what takes more bytes than are free, and name a way out.

    ``free`` is what was free before part of them was taken; without it, what is free now.
    """
    if needed < _WORTH_ASKING:
        return
    free = free_memory() if free is None else free
    if needed > free:
        raise InvalidInput(
            f"{what} takes {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB of memory are free: {way_out}"
        )


def free_memory() -> int:
    """Bytes that can be had without swapping, as far as the system tells."""
    try:
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):  # not Linux: all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
