"""`fastk warmup`: compile the kernels, or load them from the cache, and say what each took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import fastk

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Prints a line per kernel, and the sum."""
    seconds = fastk.warmup()
    if options.json:
        print(json.dumps({"kernels": seconds, "seconds": sum(seconds.values())}, indent=2))
        return 0
    width = max(map(len, seconds), default=0)
    for name, duration in seconds.items():
        print(f"{name:{width}}  {1e3 * duration:10,.1f} ms")
    print(f"{len(seconds)} kernels ready in {sum(seconds.values()):.2f} s")
    return 0
