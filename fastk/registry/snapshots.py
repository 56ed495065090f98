"""Making a version of a store: built under a temporary name, verified, synced, renamed, and then its row.

Order of effects, under a lock on ``base`` (one version is built at a time, so that a folder with a temporary name is
that of a builder which ended): under the store's lock, one moment for all series, every file gets a second name below
the temporary folder (its own manifests are written; what cannot be linked is copied after the lock). Everything there
is read, verified and digested; ``fastk.dataset`` is written; all is synced; the folder is renamed; the row commits. A
crash before the rename leaves a temporary folder, which the next builder removes; one right after it a whole version
without a row, which :meth:`fastk.DatasetRegistry.adopt` registers.
"""

from __future__ import annotations

import errno
import os
import os.path
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastk.engine.cache import MapCache
from fastk.engine.files import SeriesFiles, make_folders, remove_tree
from fastk.errors import InvalidData, InvalidInput, NotFound, SnapshotExpired
from fastk.format import names, sidecars, tables
from fastk.registry.digest import combined, digest_store, open_snapshots
from fastk.registry.records import DatasetManifestRecord, DatasetRef
from fastk.registry.registry import DatasetRegistry
from fastk.registry.versions import DatasetVersion, SeriesDigest, versioned_dataset_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.engine.gate import WriteGate
    from fastk.engine.snapshot import Snapshot
    from fastk.io.disk import Disk
    from fastk.registry.digest import Progress

# Another file system, one without links or at its limit of them, or a file of another owner.
_UNLINKABLE = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


@dataclass(frozen=True)
class SnapshotResult:
    """A version that was made.

    ``record`` is its row in the registry, ``series`` their digests. Of its files (chunks, sidecars, tables) ``linked``
    are shared with the live store and ``copied`` are not. ``removed_folders`` are what killed snapshots had left.
    """

    record: DatasetManifestRecord
    series: tuple[SeriesDigest, ...]
    linked: int
    copied: int
    seconds: float
    removed_folders: tuple[str, ...] = ()

    @property
    def ref(self) -> DatasetRef:
        """Names the version; :func:`fastk.open_dataset` opens it."""
        return self.record.ref

    @property
    def digest(self) -> str:
        """The digest of the whole: of the same series with the same rows always the same."""
        return self.record.checksum or ""


@dataclass(frozen=True)
class Request:
    """Which version shall be made, and what its row says besides."""

    base: str
    dataset_id: str
    version: str
    source: str
    market: str
    status: str

    @property
    def target(self) -> str:
        """Where the version will lie."""
        return str(versioned_dataset_root(self.base, self.dataset_id, self.version))

    def record(self, series: tuple[SeriesDigest, ...], span: tuple[int, int]) -> DatasetManifestRecord:
        """The row."""
        return DatasetManifestRecord(
            dataset_id=self.dataset_id,
            version=self.version,
            fastk_root=self.target,
            source=self.source,
            market=self.market,
            start_ts=span[0],
            end_ts=span[1],
            schema_version="fastk-3",
            checksum=combined(series),
            status=self.status,
        )


class SnapshotMaker:
    """Makes versions of one store."""

    def __init__(self, disk: Disk, root: str, gate: WriteGate, lock_timeout: float) -> None:
        self._disk = disk
        self._root = root
        self._gate = gate
        self._lock_timeout = lock_timeout

    def make(self, request: Request, registry: DatasetRegistry, progress: Progress | None) -> SnapshotResult:
        """Make and register a version, or an error and nothing."""
        begin = time.perf_counter()
        request.record((), (0, 0))  # refuses what the row may not say before anything is made
        registry.check_writable()
        self._check_new(request, registry)
        datasets = os.path.join(request.base, names.DATASETS_FOLDER)
        make_folders(self._disk, datasets)
        with _base_lock(self._disk, datasets, self._lock_timeout):
            self._check_new(request, registry)
            removed = tuple(remove_abandoned(self._disk, datasets))
            building = _Building(self._disk, datasets)
            try:
                version = self._build(building, request, progress)
                self._publish(building, request, registry, version)
            except BaseException:
                self._take_back(building, request, registry)
                raise
        seconds = time.perf_counter() - begin
        return SnapshotResult(version.record, version.series, building.linked, building.copied, seconds, removed)

    def _check_new(self, request: Request, registry: DatasetRegistry) -> None:
        name = f"{request.dataset_id}@{request.version}"
        if registry.get_dataset(request.dataset_id, request.version) is not None:
            raise InvalidInput(
                f"{name} is registered in {registry.path} already; a version never changes: choose another name"
            )
        if self._disk.exists(request.target):
            raise InvalidInput(
                f"{request.target} exists already, but {name} is not registered in {registry.path}: choose another "
                f"name, or register it as it is with `fastk registry adopt`"
            )

    def _build(self, building: _Building, request: Request, progress: Progress | None) -> DatasetVersion:
        with self._gate.hold():
            snapshots = open_snapshots(self._disk, self._root, MapCache(1))
            if not snapshots:
                raise NotFound(f"{self._root} has no series that a version could hold")
            building.take(self._disk.read(os.path.join(self._root, names.STORE_FILE)), names.STORE_FILE)
            for snapshot in snapshots:
                building.take_series(snapshot)
        building.copy_rest()
        series = tuple(digest_store(self._disk, building.root, progress))
        version = DatasetVersion(request.record(series, _span(snapshots)), series)
        building.take(version.encode(), names.DATASET_FILE)
        building.sync()
        return version

    def _take_back(self, building: _Building, request: Request, registry: DatasetRegistry) -> None:
        """Remove what was made, unless its row is there: an interruption may come behind the commit."""
        if building.target is None or registry.get_dataset(request.dataset_id, request.version) is None:
            building.remove()

    def _publish(
        self, building: _Building, request: Request, registry: DatasetRegistry, version: DatasetVersion
    ) -> None:
        with registry.new_dataset(version.record):
            building.rename(request.target)


class _Building:
    """A version on its way, below a temporary name. ``target`` is the name that it may have got since."""

    def __init__(self, disk: Disk, datasets: str) -> None:
        self._disk = disk
        self._datasets = datasets
        self.root = os.path.join(datasets, _temporary_name())
        self.target: str | None = None
        self._folders: list[str] = []
        self._unsynced: list[str] = []
        self._to_copy: list[tuple[str, str]] = []
        self.linked = self.copied = 0
        self._make(self.root)

    def _make(self, path: str) -> None:
        if self._disk.make_folder(path):
            self._folders.append(path)

    def take(self, content: bytes, name: str) -> None:
        """Write a file of the version's own."""
        path = os.path.join(self.root, name)
        self._disk.create(path, [content], sync=False)
        self._unsynced.append(path)

    def take_series(self, snapshot: Snapshot) -> None:
        """A manifest without retired files, and all files that it names."""
        manifest, source = snapshot.manifest, snapshot.chunks.files
        target = SeriesFiles(self.root, source.key)
        for folder in (*target.parents, target.folder, target.chunks):
            self._make(folder)
        partition = snapshot.settings.partition
        for item in snapshot.table:
            chunk = source.chunk(item, partition), target.chunk(item, partition)
            self._link(*chunk)
            self._link_sidecars(*chunk, int(item["sidecars"]))
        for table_id in manifest.leaves["table_id"].tolist():
            self._link(source.table("chunks", table_id), target.table("chunks", table_id))
        own = manifest._replace(retired=tables.NO_RETIRED, retired_table=tables.NO_LEAVES)
        self.take(own.encode(), os.path.relpath(target.manifest, self.root))

    def _link_sidecars(self, source: str, target: str, bits: int) -> None:
        for kind in sidecars.KINDS:
            if bits & kind.bit:
                with suppress(FileNotFoundError):  # no answer depends on them
                    self._link_one(source + kind.suffix, target + kind.suffix)

    def _link(self, source: str, target: str) -> None:
        try:
            self._link_one(source, target)
        except FileNotFoundError:
            raise InvalidData(
                f"{source} is missing, though the manifest names it; restore or repair the store first"
            ) from None

    def _link_one(self, source: str, target: str) -> None:
        try:
            self._disk.link(source, target)
            self.linked += 1
        except OSError as error:
            if error.errno not in _UNLINKABLE:
                raise
            self._to_copy.append((source, target))

    def copy_rest(self) -> None:
        """Copy what could not be linked. Writers go on meanwhile: the grace period keeps the files."""
        for source, target in self._to_copy:
            try:
                content = self._disk.map(source)
            except FileNotFoundError:
                raise SnapshotExpired(
                    f"{source} was removed before it could be copied: the grace period is too short for this; repeat"
                ) from None
            self._disk.create(target, [content], sync=False)
            self._unsynced.append(target)
            self.copied += 1

    def sync(self) -> None:
        """Make all files and names below the temporary name durable."""
        self._disk.sync_together(self._unsynced, self._folders)

    def rename(self, target: str) -> None:
        """Give the folder its name, durable."""
        parent = os.path.dirname(target)
        self._disk.make_folder(parent)
        self._disk.sync_folder(self._datasets)
        self.target = target
        self._disk.rename(self.root, target)
        self._disk.sync_folder(parent)
        self._disk.sync_folder(self._datasets)

    def remove(self) -> None:
        """Take back what was made, as far as the disk lets; the name goes first."""
        with suppress(OSError):
            if self.target is not None and not self._disk.exists(self.root):
                self._disk.rename(self.target, self.root)
            for path in self._unsynced:
                self._disk.remove(path)
            remove_tree(self._disk, self.root)
            if self.target is not None:
                self._disk.remove_folder(os.path.dirname(self.target))


def _temporary_name() -> str:
    return names.BUILDING_PREFIX + os.urandom(8).hex()


def _span(snapshots: list[Snapshot]) -> tuple[int, int]:
    """The first and the last ts of all series, in ms; zeros where there are no rows."""
    spans = [
        (*snapshot.span, snapshot.settings.time_unit.per_second // 1000) for snapshot in snapshots if snapshot.span
    ]
    if not spans:
        return 0, 0
    return min(start // unit for start, _, unit in spans), max(end // unit for _, end, unit in spans)


@contextmanager
def _base_lock(disk: Disk, datasets: str, timeout: float) -> Iterator[None]:
    lock = disk.lock(os.path.join(datasets, names.BUILDING_LOCK_FILE), timeout)
    try:
        yield
    finally:
        lock.release()


def temporary_folders(disk: Disk, datasets: str) -> list[str]:
    """The folders of versions that are being built, or whose builder ended."""
    return [os.path.join(datasets, name) for name in disk.list(datasets) if name.startswith(names.BUILDING_PREFIX)]


def remove_abandoned(disk: Disk, datasets: str) -> list[str]:
    """Remove what killed builders left; the base's lock is held. Returns the folders."""
    abandoned = temporary_folders(disk, datasets)
    for folder in abandoned:
        remove_tree(disk, folder)
    return abandoned
