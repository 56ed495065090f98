"""The storage comparison: many rows of one symbol written at once, what they take on disk, and reading them."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from bench.data import SEED
from bench.measure import LOADED, take_turns, use_kernels
from bench.peers.base import Contestant, Table, files_below
from bench.peers.contest import Answered
from bench.peers.registry import contestant
from bench.peers.tables import Tables, long_bars

RANGES, RANGE_ROWS = 100, 1_024
WRITES, WHOLE_ROUNDS, RANGE_ROUNDS = 3, 2, 7
BYTES = "MB on disk"

Span = tuple[str, int, int]  # table, first and last ts
Sums = Callable[[Contestant, Sequence[Span]], list[int]]


def compare_storage(words: Sequence[str], tables: Tables, folder: str) -> tuple[str, list[Answered]]:
    """A title that says how many rows, and its lines; one of them is MB on disk."""
    use_kernels(LOADED)
    rows = tables.size.storage_rows
    bars = long_bars(rows)
    print(f"  storage: {rows:,} rows ...", file=sys.stderr)
    for word in words:
        empty(word, folder).write(long_bars(1_000))  # so that no import is in the times
    stores: dict[str, Contestant] = {}
    written = take_turns({word: partial(timed_write, stores, word, folder, bars) for word in words}, range(WRITES))
    medians = {word: float(np.median(times)) for word, times in written.items()}
    sizes = {word: disk_bytes(store.folder) / 1e6 for word, store in stores.items()}
    lines = [Answered("write, durable", in_us(medians), WRITES), Answered(BYTES, sizes, 1)]
    lines += read_lines(stores, bars)
    shutil.rmtree(os.path.join(folder, "storage"))
    return f"Storage of {rows:,} rows", lines


def empty(word: str, folder: str) -> Contestant:
    path = os.path.join(folder, "storage", word)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return contestant(word)(path)


def timed_write(stores: dict[str, Contestant], word: str, folder: str, bars: dict[str, Table], turn: Any) -> float:
    """Seconds of one write into an empty folder; the disk's queue is empty before."""
    if word in stores:
        stores.pop(word).close()
    store = stores[word] = empty(word, folder)
    os.sync()
    return seconds(lambda: store.write(bars))


def read_lines(stores: dict[str, Contestant], bars: dict[str, Table]) -> list[Answered]:
    """All rows, and some ranges of them, by turns."""
    (symbol, columns), rng = next(iter(bars.items())), np.random.default_rng(SEED)
    ts = columns["ts"]
    firsts = rng.integers(0, ts.size - RANGE_ROWS, RANGES)
    spans = [(symbol, int(ts[first]), int(ts[first + RANGE_ROWS - 1])) for first in firsts]
    whole = [(symbol, int(ts[0]), int(ts[-1]))]
    for store in stores.values():
        store.close()
        store.open()
    lines = [
        read_line("read all rows, all columns as arrays", stores, whole, sums_of, WHOLE_ROUNDS),
        read_line("read all rows, all columns in pieces", stores, whole, sums_of_pieces, WHOLE_ROUNDS),
        read_line(f"{RANGES} ranges of {RANGE_ROWS:,} rows, all columns", stores, spans, sums_of, RANGE_ROUNDS),
    ]
    for store in stores.values():
        store.close()
    return lines


def read_line(title: str, stores: dict[str, Contestant], spans: Sequence[Span], sums: Sums, rounds: int) -> Answered:
    """All columns of some spans, summed; the sums of all contestants must be the same."""
    asked = {word: partial(timed_sums, store, spans, sums) for word, store in stores.items()}
    found = take_turns(asked, range(rounds))
    expected = next(iter(found.values()))[0][1]
    failures = {word: "its sums differ" for word, turns in found.items() if any(each != expected for _, each in turns)}
    times = {word: float(np.median([time for time, _ in turns])) for word, turns in found.items()}
    sound = {word: each for word, each in times.items() if word not in failures}
    return Answered(title, in_us(sound), rounds, {}, failures)


def timed_sums(store: Contestant, spans: Sequence[Span], sums: Sums, turn: Any) -> tuple[float, list[int]]:
    """Seconds, and the sum of each column of each span."""
    found: list[int] = []
    return seconds(lambda: found.extend(sums(store, spans))), found


def sums_of(store: Contestant, spans: Sequence[Span]) -> list[int]:
    return [int(values.sum()) for span in spans for values in store.rows(*span)]


def sums_of_pieces(store: Contestant, spans: Sequence[Span]) -> list[int]:
    found: list[int] = []
    for span in spans:
        sums = [[values.sum() for values in piece] for piece in store.pieces(*span)]
        found += map(int, np.sum(sums, axis=0))  # which wraps around as the sum of all does: times are many
    return found


def seconds(call: Callable[[], Any]) -> float:
    gc.collect()
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def in_us(times: dict[str, float]) -> dict[str, float]:
    return {word: each * 1e6 for word, each in times.items()}


def disk_bytes(folder: str) -> int:
    """What the files take: holes count nothing."""
    return sum(os.stat(path).st_blocks * 512 for path in files_below(folder))
