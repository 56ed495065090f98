"""Digests of what a store holds, not of how: rows give the same digest in whatever chunks and partitions they lie.

Of a series: SHA-256 of the digests of its head and of each column. The head is what gives the rows their meaning (key,
fields, scales, units) as canonical JSON; a column's digest is over its bytes in row order. So one pass over the chunks,
in order of time, with one hash a column is enough. Of a store: SHA-256 of its series' digests in order of their keys.

SHA-256, because processors have instructions for it: three times as fast as BLAKE2b where this was measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import os.path
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from fastk.engine.cache import MapCache
from fastk.engine.files import SeriesFiles, series_folders
from fastk.engine.reader import SeriesReader
from fastk.errors import FastKError, NotFound
from fastk.format import names
from fastk.registry.versions import SeriesDigest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk
    from fastk.schema.settings import SeriesSettings

    Progress = Callable[[int, int], None]

_PREFIX = "sha256:"
_MAPS = 256  # chunks that stay mapped meanwhile
_STORAGE_ONLY = ("series_id", "created_at", "partition", "zone_maps", "value_indexes")


def digest_store(disk: Disk, root: str, progress: Progress | None = None) -> list[SeriesDigest]:
    """Verify every checksum of the series below a root, and digest them; sorted by key.

    InvalidData at the first damage. ``progress(done, total)`` is told bytes of files, by any thread. Cost: one pass
    over the files at the speed of SHA-256, series on all processors; at most 256 chunks are mapped.
    """
    snapshots = open_snapshots(disk, root, MapCache(_MAPS))
    counter = _Counter(sum(int(snapshot.table["file_length"].sum()) for snapshot in snapshots), progress)
    with ThreadPoolExecutor(max(1, min(len(snapshots), os.cpu_count() or 1))) as threads:
        try:
            return list(threads.map(lambda snapshot: _digest_series(snapshot, counter), snapshots))
        finally:
            counter.stopped = True


def open_snapshots(disk: Disk, root: str, maps: MapCache) -> list[Snapshot]:
    """The newest committed state of each series below a root, sorted by key."""
    dropped = os.path.join(root, names.DROPPED_FOLDER)
    snapshots = []
    for key, _ in sorted(series_folders(disk, root)):
        try:
            snapshots.append(SeriesReader(disk, SeriesFiles(root, key), dropped, maps, "touch").snapshot)
        except NotFound:  # its registration was never finished
            continue
    return snapshots


def combined(series: Iterable[SeriesDigest]) -> str:
    """The digest of a store from those of its series, which are sorted by key."""
    return _text(hashlib.sha256(b"".join(bytes.fromhex(each.digest.removeprefix(_PREFIX)) for each in series)))


def _digest_series(snapshot: Snapshot, counter: _Counter) -> SeriesDigest:
    columns = [hashlib.sha256() for _ in snapshot.settings.schema.fields]
    rows = 0
    for chunk in snapshot.all_chunks():
        chunk.verify_all()
        for digest, column in zip(columns, chunk.columns, strict=True):
            digest.update(column.data)
        rows += chunk.rows
        counter.add(chunk.header.file_length)
    head = hashlib.sha256(_head(snapshot.settings, rows))
    whole = hashlib.sha256(b"".join(each.digest() for each in (head, *columns)))
    return SeriesDigest(*snapshot.settings.key, rows, _text(whole))


def _head(settings: SeriesSettings, rows: int) -> bytes:
    """The settings that give rows their meaning, without those that only say how they are stored."""
    meaning = json.loads(settings.json)
    for name in _STORAGE_ONLY:
        del meaning[name]
    return json.dumps(meaning | {"rows": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _text(digest: hashlib._Hash) -> str:
    return _PREFIX + digest.hexdigest()


class _Counter:
    """Sums up bytes of several threads. Once ``stopped``, because one of them failed, the others end."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.stopped = False
        self._done, self._total = 0, total
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        if self.stopped:
            raise FastKError("stopped")
        with self._lock:
            self._done += size
            if self._progress is not None:
                self._progress(self._done, self._total)
