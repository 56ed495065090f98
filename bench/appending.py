"""Where an append of some rows spends its time: beside its bare syncs and its bare system calls, and step by step.

The steps are told by the disk: a stopwatch in its place knows when each call begins and ends, and what lies between two
calls is the program. They are timed within whole appends, with their syncs and without any: behind a wait for the disk
the processor's caches are cold.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any
from unittest import mock

import fastk
from bench.data import MINUTE, TIMEFRAME, Market
from bench.measure import Clock, Part
from bench.writes import APPENDED, Appender, BareSyncs, FreshFolder, read_bytes
from fastk.format import names
from fastk.io.disk import Disk

CALLS = {
    "exists": "the lock, taken",
    "lock": "the lock, taken",
    "read": "the newest manifest, read",
    "create": "the chunk, written",
    "replace_unnamed": "the manifest, written",
    "sync_file": "syncs of two files and two folders",
    "sync_folder": "syncs of two files and two folders",
    "rename": "the manifest, named",
}
BEFORE = {
    "exists": "the caller's columns, checked",
    "read": "the folders, looked at for links",
    "create": "the rows, planned; the chunk: zones, checksums, header",
    "replace_unnamed": "the tables and the manifest, made",
}
JANUARY = 1_704_067_200_000
BETWEEN = "between these calls"
BEHIND = "the next snapshot; the lock, given back"
TURNS = 400
"""Appends of a table."""


class Stopwatch(Disk):
    """The real disk, which writes down each call that an append makes of it: its name, begin and end."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, float, float]] = []
        for name in CALLS:
            setattr(self, name, partial(self._timed, name, getattr(self, name)))

    def _timed(self, name: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        result = method(*arguments, **options)
        self.calls.append((name, begin, time.perf_counter()))
        return result

    def steps(self, begin: float, end: float) -> dict[str, float]:
        """Seconds of each step of an append that took place between two times, in order."""
        spent: dict[str, float] = {}
        for name, start, stop in self.calls:
            before = BEFORE.get(name, BETWEEN)
            spent[before] = spent.get(before, 0.0) + start - begin
            spent[CALLS[name]] = spent.get(CALLS[name], 0.0) + stop - start
            begin = stop
        spent[BEHIND] = end - begin
        return spent


class BareCalls:
    """The system calls of an append without the append: as many, of as many bytes, in the same order."""

    def __init__(self, root: str, chunk: bytes, manifest: bytes) -> None:
        self._lock, self._dataset = os.path.join(root, names.LOCK_FILE), os.path.join(root, names.DATASET_FILE)
        self._holder = bytes(320)
        parts = (root, names.SERIES_FOLDER, "SYM0USDT", "kline", TIMEFRAME, names.CHUNKS_FOLDER)
        _, *self._folders = accumulate(parts, os.path.join)
        self._manifest = os.path.join(self._folders[-2], names.MANIFEST_FILE)
        self._commit = BareSyncs(self._folders[-2], chunk, manifest)
        self._commit()

    def __call__(self) -> None:
        import fcntl

        os.path.lexists(self._dataset)
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pread(lock, len(self._holder), 0)
        os.pwrite(lock, self._holder, 0)
        for folder in self._folders:
            os.lstat(folder)
        manifest = os.open(self._manifest, os.O_RDONLY)
        os.read(manifest, os.fstat(manifest).st_size + 1)
        os.close(manifest)
        self._commit()
        os.pwrite(lock, self._holder, 0)
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def leave_unsynced(descriptor: int) -> None:
    """Sync nothing."""


def append_tables(market: Market) -> dict[str, list[Part]]:
    """An append beside what lies below it, and its steps."""
    beside, steps = beside_bare_calls(market), steps_of_appends(market)
    with mock.patch("os.fsync", leave_unsynced):
        without_syncs = steps_of_appends(market)
    return {
        f"{APPENDED} rows appended, durable": beside,
        "The steps of such an append": steps,
        "The steps, the syncs left out": without_syncs,
    }


def new_appender(market: Market, name: str, disk: Disk) -> tuple[Appender, Any]:
    """An appender to an empty series of a new store, and the series; its folder has been listed."""
    store = fastk.FastKStore.open(FreshFolder(market.folder, name)(), disk=disk)
    series = store.register_kline_series("SYM0USDT", TIMEFRAME, MINUTE)
    appender = Appender(series, JANUARY, APPENDED)
    appender.put(appender.bars())
    return appender, series


def beside_bare_calls(market: Market) -> list[Part]:
    """The append, its bare syncs and its bare system calls take turns."""
    appender, series = new_appender(market, "appended-beside-calls", Disk())
    snapshot = series._reader.snapshot
    files = snapshot.chunks.files
    written = read_bytes(files.chunk(snapshot.table[0], snapshot.settings.partition)), read_bytes(files.manifest)
    calls = BareCalls(FreshFolder(market.folder, "bare-calls")(), *written)
    syncs = BareSyncs(FreshFolder(market.folder, "bare-syncs")(), *written)
    clock = Clock()
    for _ in range(TURNS):
        bars = appender.bars()
        with clock.of("append"):
            appender.put(bars)
        with clock.of("calls"):
            calls()
        with clock.of("syncs"):
            syncs()
    append, every_call, bare = (part.microseconds for part in clock.parts())
    return [
        Part("the bare syncs of its files and folders", bare),
        Part("its other system calls, in bare Python", every_call - bare),
        Part("the program around them", append - every_call),
        Part("together", append),
    ]


def steps_of_appends(market: Market) -> list[Part]:
    """The steps of the appends of middling duration: their means, so that they make up the whole."""
    watch, found = Stopwatch(), []
    appender, _ = new_appender(market, "appended-in-steps", watch)
    for _ in range(TURNS):
        bars = appender.bars()
        watch.calls.clear()
        begin = time.perf_counter()
        appender.put(bars)
        found.append(watch.steps(begin, time.perf_counter()))
    return mean_parts(middling(found))


def middling(found: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """Those that are neither among the quickest quarter nor among the slowest, nor did more than the others."""
    alike = sorted((each for each in found if len(each) == len(found[0])), key=lambda each: sum(each.values()))
    return alike[len(alike) // 4 : len(alike) - len(alike) // 4]


def mean_parts(found: Sequence[dict[str, float]]) -> list[Part]:
    """The mean of each step in microseconds, and of the whole."""
    parts = [Part(name, sum(each[name] for each in found) / len(found) * 1e6) for name in found[0]]
    return [*parts, Part("together", sum(part.microseconds for part in parts))]
