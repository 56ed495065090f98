"""Zarr: an array a column, uncompressed chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bench.peers.base import ColumnFiles, Int64, Table, sync_tree

CHUNK_ROWS = 16_384


class Zarr(ColumnFiles):
    """Format 3 on the local disk; what it wrote is synced from outside."""

    name: ClassVar[str] = "Zarr"
    packages: ClassVar[tuple[str, ...]] = ("zarr",)
    how: ClassVar[str] = f"format 3, an array a column, uncompressed chunks of {CHUNK_ROWS:,} rows, ts held in memory"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._arrays: dict[str, dict[str, Any]] = {}

    def write(self, tables: Mapping[str, Table]) -> None:
        import zarr

        root = zarr.create_group(self.path("base.zarr"), attributes={t: list(columns) for t, columns in tables.items()})
        for table, columns in tables.items():
            group = root.create_group(table)
            for name, values in columns.items():
                group.create_array(name, data=values, chunks=(min(CHUNK_ROWS, len(values)),), compressors=None)
        sync_tree(self.folder)

    def append(self, table: str, columns: Table) -> None:
        """The last chunk of each array is written anew; the files of the table are synced."""
        import zarr

        group = zarr.open_group(self.path("base.zarr"), mode="r+")[table]
        for name, values in columns.items():
            group[name].append(values)
        sync_tree(self.path(f"base.zarr/{table}"))

    def open(self) -> None:
        super().open()
        self._arrays = {}

    def close(self) -> None:
        super().close()
        self._arrays = {}

    def _load(self, table: str) -> Int64:
        import zarr

        root = zarr.open_group(self.path("base.zarr"), mode="r")
        self._arrays[table] = {name: root[f"{table}/{name}"] for name in root.attrs[table]}
        times: Int64 = self._arrays[table]["ts"][:]
        return times

    def _names(self, table: str) -> Sequence[str]:
        return list(self._arrays[table])

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        if name == "ts":
            return self._ts[table][low:high]
        values: Int64 = self._arrays[table][name][low:high]
        return values
