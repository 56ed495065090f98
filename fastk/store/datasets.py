"""Versions of a store that never change: making one, and opening one by its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput, NotFound
from fastk.format import names

if TYPE_CHECKING:
    from fastk.engine.gate import WriteGate
    from fastk.io.disk import Disk
    from fastk.registry.digest import Progress
    from fastk.registry.opening import AnyRef, DigestPolicy
    from fastk.registry.registry import DatasetRegistry
    from fastk.registry.snapshots import SnapshotResult
    from fastk.store.store import FastKStore

    Path = str | os.PathLike[str]


class Datasets:
    """The method of :class:`fastk.FastKStore` that makes versions."""

    if TYPE_CHECKING:  # what the store itself offers
        root: str
        _disk: Disk
        _gate: WriteGate
        _lock_timeout: float

    def snapshot(
        self,
        dataset_id: str,
        version: str,
        base: Path,
        registry: DatasetRegistry | Path | None = None,
        *,
        source: str | None = None,
        market: str = "unspecified",
        status: str = "active",
        progress: Progress | None = None,
    ) -> SnapshotResult:
        """Make a version of all series as they are committed now, at ``base/datasets/ID/VERSION``, and register it.

        The version is a store of its own that nothing of FastK changes: later writes, merges, deletions and gc of this
        one do not reach it. Its files are second names of this store's (hard links), or copies where the file system
        has no links between the two. All series are of one moment. Every checksum is verified, and every series gets a
        digest of its rows. ``registry`` is an open one, or a path (default ``base/registry.sqlite``).

        ``source`` (default: this store's root), ``market`` and ``status`` go into the row. ``progress(done, total)`` is
        told bytes of files. InvalidInput if the version exists, InvalidData if a series is damaged, LockTimeout if a
        writer, or another snapshot to ``base``, does not end: then nothing was made. Cost: 20 us a chunk while writers
        wait, one pass over the files at the speed of SHA-256, and the syncs of five small files or folders a series.
        """
        from fastk.registry.registry import DatasetRegistry
        from fastk.registry.snapshots import Request, SnapshotMaker
        from fastk.registry.versions import versioned_dataset_root

        versioned_dataset_root(base, dataset_id, version)  # refuses what has no root
        absolute = os.path.abspath(base)
        self._gate.check_open()
        if not self._disk.exists(os.path.join(self.root, names.STORE_FILE)):
            raise NotFound(f"there is no store at {self.root} yet, so that there is nothing to make a version of")
        request = Request(absolute, dataset_id, version, source or self.root, market, status)
        maker = SnapshotMaker(self._disk, self.root, self._gate, self._lock_timeout)
        if isinstance(registry, DatasetRegistry):
            return maker.make(request, registry, progress)
        with DatasetRegistry.open(registry or os.path.join(absolute, names.REGISTRY_FILE)) as opened:
            return maker.make(request, opened, progress)


def open_dataset(
    ref: AnyRef,
    *,
    base: Path | None = None,
    registry: DatasetRegistry | Path | None = None,
    digest: DigestPolicy = "registered",
    **options: Any,
) -> FastKStore:
    """Open the store of a registered version, in mode ``"r"``; the options are those of :func:`fastk.open`.

    ``ref`` is a DatasetRef or a pair (dataset_id, version). ``registry`` is an open one, or a path; by default it is
    ``registry.sqlite`` below ``base``, or below the base of the reference's root. NotFound if the version is not
    registered or its root is gone, InvalidInput if the reference or ``base`` say another root than the registry.

    ``digest``: "registered" compares the digest that the version bears with the registered one, and reads no rows;
    "verify" reads them all and digests them anew; "ignore" compares nothing. What differs is InvalidData.
    """
    from fastk.io.disk import Disk
    from fastk.registry.opening import check_root, find_registered
    from fastk.store.store import FastKStore

    if options.pop("mode", "r") != "r":
        raise InvalidInput("a version never changes: open_dataset opens it in mode 'r', and in no other")
    record = find_registered(ref, base, registry)
    check_root(options.get("disk") or Disk(), record, digest)
    return FastKStore.open(record.fastk_root, "r", **options)
