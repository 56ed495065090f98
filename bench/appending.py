"""Where an append of some rows spends its time: beside what lies below it, and step by step.

Below it lie its bare syncs, its bare system calls, and a straight-line program that makes the same bytes by them.

The steps are told by the disk: a stopwatch in its place knows when each call begins and ends, and what lies between two
calls is the program. They are timed within whole appends, with their syncs and without any: behind a wait for the disk
the processor's caches are cold.
"""

from __future__ import annotations

import os
import shutil
import statistics
import struct
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any
from unittest import mock

import numpy as np

import fastk
from bench.data import MINUTE, TIMEFRAME, Columns, Market, sync_folder
from bench.measure import Part, Run, take_turns
from bench.writes import APPENDED, Appender, BareSyncs, FreshFolder, read_bytes
from fastk.format import names
from fastk.io.disk import Disk
from fastk.io.mapping import c_library
from fastk.kernels import crc32c

CALLS = {
    "exists": "the lock, taken",
    "lock": "the lock, taken",
    "read": "the newest manifest, read",
    "create": "the chunk, written",
    "replace_unnamed": "the manifest, written",
    "sync_together": "syncs of two files and two folders",
    "rename": "the manifest, named",
}
BEFORE = {
    "exists": "the caller's columns, checked",
    "read": "the folders, looked at for links",
    "create": "the rows, planned; the chunk: zones, checksums, header",
    "replace_unnamed": "the tables and the manifest, made",
    "sync_together": "the next snapshot, made",
}
CHUNK, ITEM = struct.Struct("<8sIIQQQQIIIIqQqqIIII"), struct.Struct("<QqqQQqIIBBBB4x")
MANIFEST = struct.Struct("<8sIIQQqQIIIII4x")
SYNC_FILE_RANGE_WRITE = 2
JANUARY = 1_704_067_200_000
BETWEEN = "between these calls"
BEHIND = "the snapshot, pinned; the lock, given back"
TURNS = 240
"""Appends of a table; with more of them, one would write a chunk table as well."""


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


class StraightLine:
    """The least that a Python program does for an append to a series of bars, whose last chunk is of the same month.

    It makes the bytes that FastK makes, by the same system calls in the same order. It takes the rows as they are,
    makes no object but bytes, keeps no snapshot, and knows of its series what lies in a copy of the store. With
    ``makes_bytes=False`` it writes the bytes of its first call again: what is left are the calls.
    """

    def __init__(self, root: str, copy: str, *, makes_bytes: bool = True) -> None:
        shutil.copytree(root, copy)
        self.lock, self.dataset = os.path.join(copy, names.LOCK_FILE), os.path.join(copy, names.DATASET_FILE)
        parts = (copy, names.SERIES_FOLDER, "SYM0USDT", "kline", TIMEFRAME, names.CHUNKS_FOLDER)
        _, *self.folders = accumulate(parts, os.path.join)
        *_, self.folder, self.chunks = self.folders
        self.manifest, self.temporary = (
            f"{self.folder}/{names.MANIFEST_FILE}",
            f"{self.folder}/{names.MANIFEST_TEMPORARY}",
        )
        self.committed = read_bytes(self.manifest)
        _, _, size, self.sequence, *_, self.series_id, _, _, _, _, _ = MANIFEST.unpack_from(self.committed)
        self.settings = self.committed[MANIFEST.size : MANIFEST.size + size]
        self.inline = self.committed[MANIFEST.size + size + -size % 8 : -4]
        self.partition, _, self.generation = struct.unpack_from("<qII", self.inline, len(self.inline) - 24)
        self.makes_bytes = makes_bytes
        self.made: tuple[bytes, bytes] | None = None

    def __call__(self, columns: Columns) -> None:
        import fcntl

        os.path.lexists(self.dataset)
        lock = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pread(lock, 320, 0)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        holder = f"crashes 0\npid {os.getpid()} since {since}: {' '.join(sys.argv)[:200]}"
        os.pwrite(lock, holder.encode().ljust(319) + b"\n", 0)
        for folder in self.folders:
            os.lstat(folder)
        file = os.open(self.manifest, os.O_RDONLY)
        found = os.read(file, os.fstat(file).st_size + 1)
        os.close(file)
        if found != self.committed or int.from_bytes(found[-4:], "little") != crc32c(found[:-4]):
            raise AssertionError("somebody else wrote")
        self.sequence += 1
        chunk, manifest = self.made if self.made and not self.makes_bytes else self.make(columns)
        files = (
            write(f"{self.chunks}/2024-01.delta.{self.sequence:08d}-0000.chunk", os.O_EXCL, chunk),
            write(self.temporary, os.O_TRUNC, manifest),
        )
        sync_together(files, self.chunks)
        os.replace(self.temporary, self.manifest)
        sync_folder(self.folder)
        self.committed, self.made = manifest, (chunk, manifest)
        os.pwrite(lock, b"crashes 0\n".ljust(319) + b"\n", 0)
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)

    def make(self, columns: Columns) -> tuple[bytes, bytes]:
        """The bytes of the chunk and of the manifest; six columns of 64 int64 need no padding."""
        ts, settings, size = columns["ts"], self.settings, len(self.settings)
        table = np.array(list(columns.values()))
        body, width, rows = table.tobytes(), ts.nbytes, len(ts)
        crcs = [crc32c(body[start : start + width]) for start in range(0, len(body), width)]
        zones = np.minimum.reduce(table, 1).tobytes() + np.maximum.reduce(table, 1).tobytes()
        index = zones + struct.pack("<6I6x", *crcs)
        first, last = int(ts[0]), int(ts[-1])
        self.generation += 1
        length = CHUNK.size + size + -size % 8 + 8 + len(index) + 4
        gap = -length % 64
        whole = length + gap + len(body) + 16
        identity = (self.sequence << 20, self.sequence - 1, 0, 1, self.generation, 1, self.partition)
        head = CHUNK.pack(
            b"FKCHK003", 3, length + gap, whole, self.series_id, *identity, rows, first, last, 4096, 6, size, 0
        )
        header = head + settings + bytes(-size % 8) + ts[:1].tobytes() + index + bytes(gap)
        crc = crc32c(header)
        chunk = header + struct.pack("<I", crc) + body + struct.pack("<II8s", crc, 3, b"FKEND003")
        item = (self.sequence << 20, first, last, rows, whole, self.partition, crc, self.generation, 1, 1, 0, 0)
        self.inline += ITEM.pack(*item)
        count, now = len(self.inline) // ITEM.size, time.time_ns() // 1_000_000
        numbers = (self.sequence, self.sequence, now, self.series_id, ITEM.size, 0, 0, count, 0)
        content = MANIFEST.pack(b"FKMET003", 3, size, *numbers) + settings + bytes(-size % 8) + self.inline
        return chunk, content + struct.pack("<I", crc32c(content))


def write(path: str, how: int, data: bytes) -> int:
    """Write a file, and give its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
    os.writev(descriptor, [data])
    return descriptor


class SyncsTogether(BareSyncs):
    """Bare syncs in FastK's order."""

    def sync(self, files: Sequence[int], folder: str) -> None:
        """Sync open files and their folder."""
        sync_together(files, folder)


def sync_together(files: Sequence[int], folder: str) -> None:
    """As FastK does: all files begin to be written out, then the folder is synced, then they are; they are closed."""
    for file in files:
        if sys.platform == "linux":
            c_library().sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE)
    sync_folder(folder)
    for file in files:
        os.fsync(file)
        os.close(file)


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
    """The append, its bare syncs, its bare system calls and the straight-line program take turns."""
    appender, series = new_appender(market, "appended-beside-calls", Disk())
    appender.put(appender.bars())  # behind the first chunk of the month, as all that are timed
    snapshot = series._reader.snapshot
    files = snapshot.chunks.files
    written = read_bytes(files.chunk(snapshot.table[1], snapshot.settings.partition)), read_bytes(files.manifest)
    syncs = BareSyncs(FreshFolder(market.folder, "bare-syncs")(), *written)
    ordered = SyncsTogether(FreshFolder(market.folder, "bare-syncs-together")(), *written)
    root = os.path.join(market.folder, "appended-beside-calls")
    line = StraightLine(root, os.path.join(market.folder, "straight-line"))
    calls = StraightLine(root, os.path.join(market.folder, "bare-calls"), makes_bytes=False)
    assert_same_bytes(appender, line, root)
    contenders: dict[str, Run] = {
        "append": appender.put,
        "line": line,
        "calls": calls,
        "ordered": ordered,
        "syncs": syncs,
    }
    turns = take_turns(
        {name: partial(seconds, run) for name, run in contenders.items()}, [appender.bars() for _ in range(TURNS)]
    )
    append, straight, every_call, together, bare = (statistics.median(found) * 1e6 for found in turns.values())
    return [
        Part("the bare syncs of its files and folders, one after the other", bare),
        Part("what FastK's order of them saves", together - bare),
        Part("its other system calls, in bare Python", every_call - together),
        Part("its bytes, made by a straight-line program", straight - every_call),
        Part("what FastK does beyond that", append - straight),
        Part("together", append),
    ]


def seconds(run: Run, bars: Columns) -> float:
    begin = time.perf_counter()
    run(bars)
    return time.perf_counter() - begin


def assert_same_bytes(appender: Appender, line: StraightLine, root: str) -> None:
    """After one append of the same rows at the same time, both folders hold the same files with the same bytes."""
    bars, now = appender.bars(), time.time_ns()
    with mock.patch("time.time_ns", return_value=now):
        appender.put(bars)
        line(bars)
    assert content(os.path.dirname(line.lock)) == content(root)


def content(root: str) -> dict[str, bytes]:
    """The bytes of all files in a folder, by their path in it."""
    paths = (os.path.join(place, name) for place, _, found in os.walk(root) for name in found)
    return {os.path.relpath(path, root): read_bytes(path) for path in paths}


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
