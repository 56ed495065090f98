"""A store, or some of its series, as a store that the original opens."""

from __future__ import annotations

import os
import os.path
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.engine.files import remove_tree
from fastk.engine.original.mapped import SAVED_A_BYTE
from fastk.errors import InvalidData, InvalidInput, NotFound
from fastk.format import names
from fastk.interop.original import ExportedSeries, check_exportable, write_series
from fastk.store.building import alone, check_free, publish
from fastk.store.store import FastKStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk

    Path = str | os.PathLike[str]
    Progress = Callable[[int, int], None]

EXPORTING_SUFFIX = ".exporting"
_MAPS = 16
_BATCH_ROWS = 1 << 20


@dataclass(frozen=True, slots=True)
class OriginalExport:
    """What was written to the target."""

    target: str
    series: tuple[ExportedSeries, ...]

    @property
    def rows(self) -> int:
        """Rows of all series."""
        return sum(each.rows for each in self.series)


def export_original(
    source: Path,
    target: Path,
    *,
    symbol: str = "*",
    category: str = "*",
    name: str = "*",
    progress: Progress | None = None,
    disk: Disk | None = None,
) -> OriginalExport:
    """Write the series of a store whose names match the shell patterns as a store of the original, version 2.

    Partitions that were written by plain puts become, byte for byte, the chunk files that the original makes of the
    same puts: names, ids, generations, headers. Where chunks were merged or rewritten, and in months of scalars with
    several puts, one sealed chunk is written a partition. All rows are read back and compared before the target gets
    its name. ``progress(done, total)`` is told bytes of rows.

    InvalidInput, before anything is written, for what the original cannot hold: records of own schemas, times in us or
    ns, other ``unique_ts`` or partitions than its own, a ``value_scale``, names that lead out of their folder; and if
    the target is not empty. NotFound if no series matches. InvalidData if a series is damaged.

    Cost: two passes over the rows. Memory: about 100 MB; of a month of scalars all of it, three times.
    """
    root, final = (os.path.abspath(os.fspath(path)) for path in (source, target))
    with FastKStore.open(root, "r", max_maps=_MAPS, disk=disk) as store:
        snapshots = _snapshots(store, symbol, category, name)
        check_exportable(snapshots)
        check_free(store._disk, final)
        return _Export(store._disk, snapshots, final, progress).run()


def _snapshots(store: FastKStore, symbol: str, category: str, name: str) -> list[Snapshot]:
    if store.is_original:
        raise InvalidInput(f"{store.root} is a store of the original already: copy the folder")
    entries = store.list_series(symbol, category, name)
    damaged = [entry.problem for entry in entries if entry.problem is not None]
    if damaged:
        raise InvalidData(str(damaged[0]))
    if not entries:
        raise NotFound(f"{store.root} has no series {symbol}/{category}/{name}")
    return [store.series((entry.symbol, entry.category, entry.name))._reader.snapshot for entry in entries]


class _Export:
    def __init__(self, disk: Disk, snapshots: list[Snapshot], target: str, progress: Progress | None) -> None:
        self._disk = disk
        self._snapshots = snapshots
        self._target = target
        self._progress = progress
        self._done = 0
        self._total = 2 * sum(snapshot.rows * _row_bytes(snapshot) for snapshot in snapshots)

    def run(self) -> OriginalExport:
        """Write and compare all, and give it its name."""
        kernels.load_when_worth(SAVED_A_BYTE * self._total)
        building = self._target + EXPORTING_SUFFIX
        with alone(self._disk, building):
            _clear(self._disk, building)
            series = os.path.join(building, names.SERIES_FOLDER)
            self._disk.make_folder(series)
            written = [self._write(snapshot, building) for snapshot in self._snapshots]
            self._compare(building)
            self._disk.sync_folder(building)
        publish(self._disk, building, self._target)
        return OriginalExport(self._target, tuple(written))

    def _write(self, snapshot: Snapshot, building: str) -> ExportedSeries:
        size = _row_bytes(snapshot)
        return write_series(self._disk, snapshot, building, lambda rows: self._tell(rows * size))

    def _compare(self, building: str) -> None:
        """Read back what was written; InvalidData if it is not what is stored."""
        with FastKStore.open(building, "r", max_maps=_MAPS, disk=self._disk) as copy:
            for snapshot in self._snapshots:
                self._compare_series(snapshot, copy)

    def _compare_series(self, snapshot: Snapshot, copy: FastKStore) -> None:
        from fastk.replay.cursor import ReplayCursor, ReplayOptions

        options = ReplayOptions(batch_rows=_BATCH_ROWS)
        read = copy.series(snapshot.settings.key)._reader.snapshot
        for mine, theirs in zip(ReplayCursor(snapshot, options), ReplayCursor(read, options), strict=True):
            for name in mine.schema.names:
                if not np.array_equal(mine.column(name), theirs.column(name)):
                    raise InvalidData(f"{snapshot.settings.key}: {name} was read back otherwise than it was written")
            self._tell(len(mine) * _row_bytes(snapshot))

    def _tell(self, size: int) -> None:
        self._done += size
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _row_bytes(snapshot: Snapshot) -> int:
    return snapshot.settings.schema.dtype.itemsize


def _clear(disk: Disk, building: str) -> None:
    """Remove what a killed export left."""
    for name in disk.list(building):
        if name != names.BUILDING_LOCK_FILE:
            path = os.path.join(building, name)
            if disk.is_folder(path):
                remove_tree(disk, path)
            else:
                disk.remove(path)
