"""The registry: which datasets, features and factors there are, by explicit version.

Deterministic work names a (dataset_id, version). What resolves the latest one is for people at a prompt.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from fastk.errors import InvalidInput, NotFound
from fastk.io.disk import Disk
from fastk.registry.database import Database, checked_timeout
from fastk.registry.records import (
    DatasetManifestRecord,
    DatasetRef,
    FactorRegistryRecord,
    FeatureRegistryRecord,
    checked_text,
)
from fastk.registry.tables import DATASETS, FACTORS, FEATURES, MIGRATIONS, Record, Table
from fastk.registry.versions import read_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_LATEST = "created_at DESC, version DESC"


class DatasetRegistry:
    """A SQLite file with three tables. Safe to share between threads and processes, and to keep over a fork.

    Each method is one transaction, durable on return; a few tens of microseconds, or a sync where it writes.
    LockTimeout when another process writes for longer than the timeout, InvalidData for a file that is no registry,
    NotFound once the file was removed or replaced, InvalidInput for writes in mode ``"r"``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], mode: Literal["rw", "r"] = "rw", *, timeout: float = 10.0
    ) -> DatasetRegistry:
        """Open the registry at a path, and create it (with its folder) unless it is there.

        In mode ``"r"`` nothing is created or changed: a missing file is NotFound. ``timeout``: seconds to wait for
        another writer.
        """
        if mode not in ("rw", "r"):
            raise InvalidInput(f"mode={mode!r} is unknown: give 'rw' or 'r'")
        absolute = os.path.abspath(checked_text("path", path))
        seconds = checked_timeout(timeout)
        if os.path.isdir(absolute):
            raise InvalidInput(f"{absolute} is a folder; a registry is a file, such as {absolute}/registry.sqlite")
        if mode == "rw":
            os.makedirs(os.path.dirname(absolute), exist_ok=True)
        return cls(Database(absolute, mode, seconds, MIGRATIONS, DATASETS.name))

    @classmethod
    def in_memory(cls) -> DatasetRegistry:
        """A registry that goes with this object; a forked child has a copy of its own."""
        return cls(Database(None, "rw", 0.0, MIGRATIONS, DATASETS.name))

    @property
    def path(self) -> str:
        """The file; ``:memory:`` where there is none."""
        return self._database.path

    def close(self) -> None:
        """Close the file in all threads; further use raises StoreClosed."""
        self._database.close()

    def check_writable(self) -> None:
        """Errors unless a row could be written now: InvalidInput in mode ``"r"``, OSError for a read-only file."""
        with self._database.transaction():
            pass

    def __enter__(self) -> DatasetRegistry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DatasetRegistry {self.path!r}>"

    # Datasets

    def upsert_dataset(self, record: DatasetManifestRecord) -> None:
        """Add a version of a dataset, or change the row that it has."""
        self._upsert(DATASETS, record)

    def get_dataset(self, dataset_id: str, version: str) -> DatasetManifestRecord | None:
        """The row of a version; None if there is none."""
        return self._get(DATASETS, dataset_id=dataset_id, version=version)

    def get_latest_dataset(self, dataset_id: str) -> DatasetManifestRecord | None:
        """The version that was created last (of several, the last by name). For interactive use only.

        What it answers changes when somebody registers a version: programs whose results are to be repeated name one.
        """
        where = {"dataset_id": checked_text("dataset_id", dataset_id)}
        with self._database.connection() as connection:
            return next(iter(DATASETS.select(connection, where, order=_LATEST, limit=1)), None)

    def list_datasets(self, dataset_id: str | None = None) -> list[DatasetManifestRecord]:
        """All versions of all datasets, or of one, ordered by (dataset_id, version)."""
        return self._list(DATASETS, **({} if dataset_id is None else {"dataset_id": dataset_id}))

    def dataset_ref(self, dataset_id: str, version: str) -> DatasetRef:
        """A reference to a registered version; NotFound if there is none."""
        found = self.get_dataset(dataset_id, version)
        if found is None:
            raise NotFound(f"dataset not found: {dataset_id}@{version}")
        return found.ref

    def resolve_fastk_root(self, dataset_id: str, version: str) -> str:
        """The root of a registered version, as it was registered; whether it exists is looked at when it is opened."""
        return self.dataset_ref(dataset_id, version).fastk_root

    def resolve_dataset_ref(self, ref: DatasetRef) -> str:
        """The root of a reference; InvalidInput if the registry has another one for this version."""
        if not isinstance(ref, DatasetRef):
            raise InvalidInput(f"{ref!r} is no DatasetRef")
        root = self.resolve_fastk_root(ref.dataset_id, ref.version)
        if root != ref.fastk_root:
            raise InvalidInput(f"{ref} is registered with the root {root}, not {ref.fastk_root}")
        return root

    def resolve_latest_fastk_root(self, dataset_id: str) -> str:
        """The root of :meth:`get_latest_dataset`. For interactive use only: programs name a version."""
        found = self.get_latest_dataset(dataset_id)
        if found is None:
            raise NotFound(f"dataset not found: {dataset_id}")
        return found.fastk_root

    @contextmanager
    def new_dataset(self, record: DatasetManifestRecord) -> Iterator[None]:
        """Add a version that must be new, with what the block does: the row is there once the block has succeeded.

        Other writers wait for the block. InvalidInput if the version is registered already.
        """
        with self._database.transaction() as connection:
            try:
                DATASETS.insert(connection, record)
            except sqlite3.IntegrityError:
                raise InvalidInput(
                    f"{record.ref} is registered in {self.path} already; a version never changes: choose another name"
                ) from None
            yield

    def adopt(self, root: str | os.PathLike[str]) -> DatasetManifestRecord:
        """Register the version that lies at a root, by what it says of itself; returns its row.

        For one whose registration a crash prevented, and for one that was moved or copied: its row gets this root.
        InvalidInput if the root is no version, or the version is registered with other content.
        """
        absolute = os.path.abspath(checked_text("root", root))
        found = read_version(Disk(), absolute)
        if found is None:
            raise InvalidInput(f"{absolute} is no version of a dataset; make one with store.snapshot()")
        record = replace(found.record, fastk_root=absolute)
        with self._database.transaction() as connection:
            stored = DATASETS.select(connection, {"dataset_id": record.dataset_id, "version": record.version})
            if stored and stored[0].checksum != record.checksum:
                raise InvalidInput(
                    f"{record.ref} is registered with the checksum {stored[0].checksum}, but {absolute} bears "
                    f"{record.checksum}"
                )
            DATASETS.upsert(connection, record)
        return record

    # Features

    def upsert_feature(self, record: FeatureRegistryRecord) -> None:
        """Add a feature, or change the row that it has."""
        self._upsert(FEATURES, record)

    def get_feature(self, feature_id: str) -> FeatureRegistryRecord | None:
        """The row of a feature; None if there is none."""
        return self._get(FEATURES, feature_id=feature_id)

    def list_features(self) -> list[FeatureRegistryRecord]:
        """All features, ordered by feature_id."""
        return self._list(FEATURES)

    def list_features_for_dataset(self, dataset_id: str, version: str) -> list[FeatureRegistryRecord]:
        """The features that were calculated from a version of a dataset, ordered by feature_id."""
        return self._list(FEATURES, input_dataset_id=dataset_id, input_dataset_version=version)

    # Factors

    def upsert_factor(self, record: FactorRegistryRecord) -> None:
        """Add a factor, or change the row that it has."""
        self._upsert(FACTORS, record)

    def get_factor(self, factor_id: str) -> FactorRegistryRecord | None:
        """The row of a factor; None if there is none."""
        return self._get(FACTORS, factor_id=factor_id)

    def list_factors(self) -> list[FactorRegistryRecord]:
        """All factors, ordered by factor_id."""
        return self._list(FACTORS)

    def list_factors_for_dataset(self, dataset_id: str, version: str) -> list[FactorRegistryRecord]:
        """The factors that were calculated from a version of a dataset, ordered by factor_id."""
        return self._list(FACTORS, input_dataset_id=dataset_id, input_dataset_version=version)

    # Any table

    def _upsert(self, table: Table[Any], record: object) -> None:
        with self._database.transaction() as connection:
            table.upsert(connection, record)

    def _get(self, table: Table[Record], **key: Any) -> Record | None:
        return next(iter(self._list(table, **key)), None)

    def _list(self, table: Table[Record], **where: Any) -> list[Record]:
        checked = {name: checked_text(name, value) for name, value in where.items()}
        with self._database.connection() as connection:
            return table.select(connection, checked)
