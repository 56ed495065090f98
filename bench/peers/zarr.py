"""Zarr: an array a column, uncompressed chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bench.peers.base import ColumnHandles, Table, sync_tree

CHUNK_ROWS = 16_384


class Zarr(ColumnHandles):
    """Format 3 on the local disk; what it wrote is synced from outside."""

    name: ClassVar[str] = "Zarr"
    packages: ClassVar[tuple[str, ...]] = ("zarr",)
    how: ClassVar[str] = f"format 3, an array a column, uncompressed chunks of {CHUNK_ROWS:,} rows, ts held in memory"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._root: Any = None

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
        import zarr

        super().open()
        self._root = zarr.open_group(self.path("base.zarr"), mode="r")

    def close(self) -> None:
        super().close()
        self._root = None

    def _opened(self, table: str, name: str) -> Any:
        return self._root[f"{table}/{name}"]

    def _stored_names(self, table: str) -> Sequence[str]:
        names: Sequence[str] = self._root.attrs[table]
        return names
