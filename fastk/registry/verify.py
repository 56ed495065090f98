"""Whether what the registry names is there and unchanged, and what lies beside it."""

from __future__ import annotations

import os.path
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fastk.errors import FastKError, InvalidData, LockTimeout, NotFound
from fastk.format import names
from fastk.io.disk import Disk
from fastk.registry.opening import check_root
from fastk.registry.snapshots import temporary_folders
from fastk.registry.versions import base_of, read_version

if TYPE_CHECKING:
    from fastk.registry.digest import Progress
    from fastk.registry.records import DatasetManifestRecord
    from fastk.registry.registry import DatasetRegistry

State = Literal["sound", "unchecked", "missing", "altered", "unreadable"]


@dataclass(frozen=True)
class DatasetCheck:
    """What was found at the root of one row.

    "sound": as registered. "unchecked": a store without a checksum, or nothing was read. "missing": there is no such
    folder. "altered": damaged, or other rows than registered. "unreadable": the system did not let us look.
    """

    dataset_id: str
    version: str
    fastk_root: str
    state: State
    detail: str = ""


@dataclass(frozen=True)
class RegistryReport:
    """All rows, and what no row names: whole versions below the bases, and folders that killed snapshots left."""

    datasets: tuple[DatasetCheck, ...]
    unregistered: tuple[str, ...]
    abandoned: tuple[str, ...]

    @property
    def wrong(self) -> tuple[DatasetCheck, ...]:
        """The versions that are not there, or not as they were registered."""
        return tuple(check for check in self.datasets if check.state not in ("sound", "unchecked"))

    @property
    def is_sound(self) -> bool:
        """Whether all registered versions are there and, where they were read, unchanged."""
        return not self.wrong


def verify_datasets(
    registry: DatasetRegistry,
    base: str | os.PathLike[str] | None = None,
    *,
    read: bool = True,
    progress: Progress | None = None,
    disk: Disk | None = None,
) -> RegistryReport:
    """Look at the root of every registered version, and digest its rows anew; nothing is changed.

    With ``read=False`` only the digest that a version bears is compared. Looks for unregistered versions and abandoned
    folders below ``base``, below the registry's folder and below the base of every registered version. Cost: one pass
    over all files; ``progress(done, total)`` is told bytes, version by version.
    """
    disk = disk or Disk()
    records = registry.list_datasets()
    checks = tuple(_check(disk, record, read, progress) for record in records)
    bases = {base_of(record.fastk_root) for record in records} | {os.path.dirname(registry.path)}
    bases |= set() if base is None else {os.path.abspath(base)}
    folders = sorted(os.path.join(each, names.DATASETS_FOLDER) for each in bases)
    known = {record.fastk_root for record in records}
    unregistered = (root for folder in folders for root in _versions(disk, folder) if root not in known)
    abandoned = (path for folder in folders for path in _abandoned(disk, folder))
    return RegistryReport(checks, tuple(unregistered), tuple(abandoned))


def _check(disk: Disk, record: DatasetManifestRecord, read: bool, progress: Progress | None) -> DatasetCheck:
    state, detail = _state(disk, record, read, progress)
    return DatasetCheck(record.dataset_id, record.version, record.fastk_root, state, detail)


def _state(disk: Disk, record: DatasetManifestRecord, read: bool, progress: Progress | None) -> tuple[State, str]:
    digest: Literal["verify", "registered"] = "verify" if read and record.checksum is not None else "registered"
    try:
        check_root(disk, record, digest, progress)
    except NotFound as error:
        return "missing", str(error)
    except InvalidData as error:
        return "altered", str(error)
    except (FastKError, OSError) as error:
        return "unreadable", str(error)
    return ("sound", "") if digest == "verify" else ("unchecked", "")


def _versions(disk: Disk, datasets: str) -> list[str]:
    """The roots of whole versions below a folder ``datasets``."""
    folders = (
        os.path.join(datasets, dataset_id, version)
        for dataset_id in disk.list(datasets)
        for version in disk.list(os.path.join(datasets, dataset_id))
        if not dataset_id.startswith(names.BUILDING_PREFIX)
    )
    return [folder for folder in folders if _is_version(disk, folder)]


def _is_version(disk: Disk, folder: str) -> bool:
    try:
        return read_version(disk, folder) is not None
    except (FastKError, OSError):
        return True


def _abandoned(disk: Disk, datasets: str) -> list[str]:
    """Folders with a temporary name, unless a snapshot is under way."""
    folders = temporary_folders(disk, datasets)
    if folders:
        try:
            disk.lock(os.path.join(datasets, names.BUILDING_LOCK_FILE), 0).release()
        except LockTimeout:
            return []
        except OSError:  # a medium where no lock can be taken has no builder either
            return folders
    return folders
