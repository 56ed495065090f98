"""The three tables, and the statements for each: a record goes in and comes out again, typed and checked."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastk.errors import InvalidData, InvalidInput
from fastk.registry.records import DatasetManifestRecord, FactorRegistryRecord, FeatureRegistryRecord

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

Record = TypeVar("Record", DatasetManifestRecord, FeatureRegistryRecord, FactorRegistryRecord)

# What a released version has written stays as it is: later versions append steps.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE dataset_manifest (
            dataset_id TEXT NOT NULL,
            version TEXT NOT NULL,
            fastk_root TEXT NOT NULL,
            source TEXT NOT NULL,
            market TEXT NOT NULL,
            start_ts INTEGER NOT NULL,
            end_ts INTEGER NOT NULL,
            schema_version TEXT NOT NULL,
            checksum TEXT,
            status TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (dataset_id, version))""",
        """CREATE TABLE feature_registry (
            feature_id TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            input_dataset_id TEXT NOT NULL,
            input_dataset_version TEXT NOT NULL,
            fastk_series_key TEXT NOT NULL,
            config_hash TEXT NOT NULL,
            code_version TEXT,
            created_at INTEGER NOT NULL,
            status TEXT NOT NULL)""",
        """CREATE TABLE factor_registry (
            factor_id TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            version TEXT NOT NULL,
            input_dataset_id TEXT NOT NULL,
            input_dataset_version TEXT NOT NULL,
            fastk_series_key TEXT NOT NULL,
            config_hash TEXT NOT NULL,
            code_version TEXT,
            created_at INTEGER NOT NULL,
            status TEXT NOT NULL,
            input_feature_refs TEXT NOT NULL,
            formula TEXT,
            method TEXT)""",
        "CREATE INDEX feature_by_dataset ON feature_registry (input_dataset_id, input_dataset_version)",
        "CREATE INDEX factor_by_dataset ON factor_registry (input_dataset_id, input_dataset_version)",
    ),
)


@dataclass(frozen=True)
class Table(Generic[Record]):
    """A table whose columns are the fields of a record. ``keys`` are the first of them."""

    name: str
    record: type[Record]
    keys: int

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns, in the order of the record's fields."""
        return tuple(each.name for each in fields(self.record))

    @cached_property
    def _insert(self) -> str:
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({', '.join('?' * len(self.columns))})"

    def insert(self, connection: sqlite3.Connection, record: object) -> None:
        """Add a row; sqlite3.IntegrityError if there is one of this key."""
        connection.execute(self._insert, self._values(record))

    def upsert(self, connection: sqlite3.Connection, record: object) -> None:
        """Add a row, or bring the one of this key to these values."""
        key, rest = self.columns[: self.keys], self.columns[self.keys :]
        changes = ", ".join(f"{column}=excluded.{column}" for column in rest)
        connection.execute(
            f"{self._insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}", self._values(record)
        )

    def select(
        self, connection: sqlite3.Connection, where: dict[str, Any], *, order: str = "", limit: int = -1
    ) -> list[Record]:
        """The rows whose columns have these values, ordered by key."""
        conditions = " AND ".join(f"{column}=?" for column in where) or "TRUE"
        order = order or ", ".join(self.columns[: self.keys])
        statement = (
            f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE {conditions} ORDER BY {order} LIMIT {limit}"
        )
        return [self._record_of(row) for row in connection.execute(statement, tuple(where.values()))]

    def _values(self, record: object) -> list[Any]:
        if not isinstance(record, self.record):
            raise InvalidInput(f"{record!r} is no {self.record.__name__}")
        return [json.dumps(value) if isinstance(value, tuple) else value for value in astuple(record)]

    def _record_of(self, row: Sequence[Any]) -> Record:
        values = dict(zip(self.columns, row, strict=True))
        try:
            if "input_feature_refs" in values:
                values["input_feature_refs"] = json.loads(values["input_feature_refs"])
            return self.record(**values)
        except (ValueError, TypeError) as error:
            key = "@".join(map(str, row[: self.keys]))
            raise InvalidData(f"the row {key} of {self.name} is damaged ({error}); write it anew") from error


DATASETS = Table("dataset_manifest", DatasetManifestRecord, 2)
FEATURES = Table("feature_registry", FeatureRegistryRecord, 1)
FACTORS = Table("factor_registry", FactorRegistryRecord, 1)
