"""Whether what is asked for fits into memory: said before any of it is taken."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

# Less is not worth the question how much memory is free.
_WORTH_ASKING = 64 << 20

_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


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
    """Bytes that can be had without swapping, as far as the system tells: it, and the container that this runs in."""
    return min([_free_of_system(), *_free_in_groups()])


def _free_of_system() -> int:
    try:
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):  # not Linux: all there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class _Files(NamedTuple):
    """The files of a control group, and how its statistics name what can be let go."""

    limit: str
    used: str
    cache: tuple[str, str]


_VERSION_1 = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_VERSION_2 = _Files("memory.max", "memory.current", ("inactive_file", "active_file"))


def _free_in_groups() -> Iterator[int]:
    """What is left of the limit of each control group that this process is in, the groups around it included."""
    with suppress(OSError):
        for line in _OWN_GROUPS.read_text().splitlines():
            _, controller, path = line.split(":", 2)
            if controller in ("", "memory"):
                folder = _GROUPS / controller / path.lstrip("/")
                while folder.is_relative_to(_GROUPS):
                    yield from _free_in(folder, _VERSION_1 if controller else _VERSION_2)
                    folder = folder.parent


def _free_in(folder: Path, files: _Files) -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):  # no such group here, or none with a limit
        limit, used = (int((folder / name).read_text()) for name in files[:2])
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        yield max(0, limit - used + sum(int(statistics[name]) for name in files.cache))
