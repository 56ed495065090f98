"""Kernels: the one place where compiled code and numpy meet.

`active` is the implementation in force: numpy's twins until `load()` has brought in the compiled kernels. Hot code
calls `kernels.active.bounds(...)` and reads the attribute anew each time. Importing this package imports no numba.

The environment variable FASTK_KERNELS decides: `lazy` (the default) loads compiled kernels at `load()`, or once they
are worth it; `eager` at import; `never` not at all.
"""

from __future__ import annotations

import os
import time
import warnings
from _thread import allocate_lock  # what threading.Lock is, without a millisecond of that module
from operator import itemgetter
from typing import TYPE_CHECKING

from . import plain
from .plain.checksum import crc32c

if TYPE_CHECKING:
    from .interface import Kernels

__all__ = [
    "active",
    "call_share",
    "crc32c",
    "current",
    "load",
    "load_when_worth",
    "loaded",
    "miss",
    "warmup",
]

_POLICIES = ("eager", "lazy", "never")
_LOADING = 0.5  # seconds from a filled cache, 0.4 to 0.7

active: Kernels = plain
_lock = allocate_lock()
_failed = False
_missed = 0.0  # seconds that the kernels would have saved so far


def current() -> Kernels:
    """Give the implementation in force; never loads anything."""
    return active


def loaded() -> bool:
    """Tell whether the compiled kernels are in force."""
    return active is not plain


def load() -> Kernels:
    """Bring in the compiled kernels, unless FASTK_KERNELS=never, and give the implementation then in force.

    Takes about half a second of a process once. Where numba cannot be used, warns once and stays with numpy.
    """
    global active, _failed
    if active is not plain or _policy() == "never":
        return active
    with _lock:
        if active is not plain or _failed:
            return active
        try:
            from . import compiled
        except Exception as error:
            _failed = True
            problem = f"FastK's compiled kernels cannot be loaded, numpy serves instead: {error!r}"
        else:
            active = compiled
            return active
    warnings.warn(problem, RuntimeWarning, stacklevel=2)
    return active


def load_when_worth(saving: float = 0.0) -> Kernels:
    """Load the compiled kernels once what they would have saved adds up to what loading takes.

    `saving` estimates by how many seconds numpy takes longer for what comes now; `miss` takes what is known only behind
    it. So a short script does without, and a long one loses about half a second: a process spends about twice what the
    better choice would have cost at most (ski rental; Karlin, Manasse, Rudolph and Sleator, Competitive snoopy caching,
    1988).
    """
    global _missed
    if active is not plain:
        return active
    miss(saving)
    if _missed < _LOADING:
        return active
    _missed = 0.0  # where they are kept away, to ask for them each time would cost a microsecond
    return load()


def miss(saving: float) -> None:
    """Count what was done without the compiled kernels, which the next piece of work may then load."""
    global _missed
    if active is plain:
        _missed += saving


def warmup() -> dict[str, float]:
    """Load the kernels and call each once for every dtype it serves, which fills numba's cache on disk.

    Gives the seconds spent per kernel: half a minute in all the first time, some milliseconds from the cache. The
    command ``fastk warmup`` shares the first time among processes. Where the kernels are kept away or cannot be loaded,
    numpy is called and nothing is kept, which only the command takes for a failure.
    """
    return call_share(0, 1)


def call_share(share: int, shares: int) -> dict[str, float]:
    """Do the part of `warmup` that falls to one of some processes: the dtypes of each kernel go round among them."""
    from .samples import sample_calls

    kernels = load()
    seconds: dict[str, float] = {}
    for name, arguments in sorted(sample_calls(), key=itemgetter(0))[share::shares]:
        begin = time.perf_counter()
        getattr(kernels, name)(*arguments)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
    return seconds


def _policy() -> str:
    policy = os.environ.get("FASTK_KERNELS", "lazy")
    if policy not in _POLICIES:
        raise ValueError(f"FASTK_KERNELS={policy!r} is unknown: use one of {', '.join(_POLICIES)}")
    return policy


if _policy() == "eager":
    load()
