"""`fastk warmup`: compile the kernels, or load them from the cache, and say what each took."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fastk import kernels
from fastk.errors import FastKError

if TYPE_CHECKING:
    import argparse

_MOST_PROCESSES = 8  # each takes some 200 MB
# Stops at the first kernel that cannot be kept: compiling it here would be in vain.
_HELPER = """
import json, sys, warnings
warnings.simplefilter("error", RuntimeWarning)
from fastk import kernels
print(json.dumps(kernels.call_share(int(sys.argv[1]), int(sys.argv[2]))))
"""


def run(options: argparse.Namespace) -> int:
    """Prints a line per kernel, and the time that all took."""
    begin = time.perf_counter()
    seconds = fill_cache(usable_processors())
    passed = time.perf_counter() - begin
    if options.json:
        print(json.dumps({"kernels": seconds, "seconds": passed}, indent=2))
        return 0
    width = max(map(len, seconds), default=0)
    for name, duration in seconds.items():
        print(f"{name:{width}}  {1e3 * duration:10,.1f} ms")
    print(f"{len(seconds)} kernels ready in {passed:.2f} s")
    return 0


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fill_cache(processes: int) -> dict[str, float]:
    """Have the kernels compiled by some processes, this one among them; gives the seconds that all spent on each.

    In the end this process calls every kernel: whatever a helper could not do is done here, and fails here if it does.
    FastKError where nothing can be compiled.
    """
    if os.environ.get("FASTK_KERNELS") == "never":
        raise FastKError("no kernel was compiled: FASTK_KERNELS=never keeps them away; run this without that variable")
    spent: Counter[str] = Counter()
    shares = min(processes, _MOST_PROCESSES)
    with ExitStack() as stack:
        helpers = []
        for share in range(1, shares):
            helpers.append(stack.enter_context(_helper(share, shares)))
            stack.callback(helpers[-1].kill)
        _load()
        spent.update(kernels.call_share(0, shares))
        for helper in helpers:
            answer = helper.communicate()[0]
            spent.update(json.loads(answer) if not helper.returncode else {})
    spent.update(kernels.warmup())
    return dict(spent)


def _load() -> None:
    """Bring the kernels in. What leaves other processes with numpy is an error here: the cache would stay empty."""
    try:
        importlib.import_module("fastk.kernels.compiled")
    except Exception as error:
        raise FastKError(
            f"no kernel was compiled, because they cannot be loaded: {error!r}; see that `import numba` works here, "
            f"and what the variables NUMBA_* say"
        ) from error
    if importlib.import_module("numba").config.DISABLE_JIT:
        raise FastKError(
            "no kernel was compiled: NUMBA_DISABLE_JIT keeps numba from it; run this without that variable"
        )
    kernels.load()


def _helper(share: int, shares: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", _HELPER, str(share), str(shares)]  # -P: nothing from the folder it runs in
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
