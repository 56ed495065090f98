"""Prewarming: every chunk of the attached series mapped, verified and in memory before the first read.

Columns are read whole, by kernels and numpy calls that let other threads run; chunks are shared out among threads, of
which a cold disk profits most.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastk import kernels
from fastk.arrays import is_integer
from fastk.errors import InvalidInput
from fastk.session.reports import PrewarmReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import Leaf
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot

    Progress = Callable[[int, int], None]

_PAGE = 4096
_MOST_THREADS = 16


class _Task(NamedTuple):
    """One chunk to warm up."""

    snapshot: Snapshot
    leaf: Leaf
    place: int
    size: int


def prewarm(snapshots: Sequence[Snapshot], progress: Progress | None, threads: int | None) -> PrewarmReport:
    """Map, verify and fault in every chunk of some snapshots, load their sidecars, and load the kernels.

    InvalidData at the first damage: what was warmed up before stays so. ``progress(done, total)`` is called with bytes,
    in the caller's thread. Cost: one pass over the files, at the speed of the disk or of memory.
    """
    begin = time.perf_counter()
    count = _checked_threads(threads)
    kernels.load()
    tasks = list(_tasks(snapshots))
    total, done, sidecars = sum(task.size for task in tasks), 0, 0
    if progress is not None:
        progress(0, total)
    pool = ThreadPoolExecutor(count, thread_name_prefix="fastk-prewarm")
    try:
        for task, found in zip(tasks, pool.map(_warm, tasks), strict=True):
            done, sidecars = done + task.size, sidecars + found
            if progress is not None:
                progress(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    mapped = sum(task.leaf.ids[task.place] in task.snapshot.mapped for task in tasks)
    return PrewarmReport(len(snapshots), len(tasks), mapped, sidecars, total, time.perf_counter() - begin)


def _checked_threads(threads: object) -> int:
    if threads is None:
        return min(os.cpu_count() or 1, _MOST_THREADS)
    if is_integer(threads) and 1 <= threads <= 256:
        return int(threads)
    raise InvalidInput(f"threads must be an int from 1 to 256, not {threads!r}")


def _tasks(snapshots: Sequence[Snapshot]) -> Iterator[_Task]:
    for snapshot in snapshots:
        for leaf in snapshot.leaves():
            for place, size in enumerate(leaf.table["file_length"].tolist()):
                yield _Task(snapshot, leaf, place, size)


def _warm(task: _Task) -> int:
    """Warm one chunk up; how many sidecars it has that can be used."""
    chunk = task.snapshot.open_chunk(task.leaf, task.place)
    chunk.verify_all()
    for column in chunk.columns:
        _touch(column)
    return _load_sidecars(task.snapshot, chunk)


def _touch(column: NDArray[np.generic]) -> None:
    """Read a byte of every page: what was verified by an earlier map is not in this one's tables yet."""
    if column.size:
        np.bitwise_or.reduce(np.ascontiguousarray(column).view(np.uint8)[::_PAGE])


def _load_sidecars(snapshot: Snapshot, chunk: MappedChunk) -> int:
    """Load the sidecars of a chunk; how many of them can be used."""
    schema, sidecars = snapshot.settings.schema, snapshot.chunks.sidecars
    zones = [sidecars.zones(chunk, schema.position(name)) for name in schema.zone_maps]
    indexes = [sidecars.value_index(chunk, schema.position(name)) for name in schema.value_indexes]
    finer = any(each.block_rows < chunk.header.block_rows for each in zones)
    return finer + any(index is not None for index in indexes)
