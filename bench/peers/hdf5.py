"""HDF5 by h5py: chunked datasets that can grow, uncompressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from bench.peers.base import ColumnHandles, Table, sync_file

CHUNK_ROWS = 16_384


class HDF5(ColumnHandles):
    """A group a table, a dataset a column; ``ts`` is read into memory once."""

    name: ClassVar[str] = "HDF5"
    packages: ClassVar[tuple[str, ...]] = ("h5py",)
    how: ClassVar[str] = f"h5py, uncompressed chunks of {CHUNK_ROWS:,} rows, a dataset a column, ts held in memory"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._file: Any = None

    def _open_file(self, mode: str) -> Any:
        import h5py

        return h5py.File(self.path("base.h5"), mode, libver="latest", rdcc_nbytes=64 << 20)

    def write(self, tables: Mapping[str, Table]) -> None:
        with self._open_file("w") as file:
            for table, columns in tables.items():
                group = file.create_group(table, track_order=True)
                for name, values in columns.items():
                    group.create_dataset(name, data=values, maxshape=(None,), chunks=(CHUNK_ROWS,))
        self._sync()

    def append(self, table: str, columns: Table) -> None:
        """In place, flushed and synced; a crash may tear the file."""
        if self._file is None or self._file.mode == "r":
            self.close()
            self._file = self._open_file("r+")
        for name, values in columns.items():
            dataset = self._file[table][name]
            rows = len(dataset)
            dataset.resize(rows + len(values), axis=0)
            dataset[rows:] = values
        self._file.flush()
        sync_file(self.path("base.h5"))

    def _sync(self) -> None:
        sync_file(self.path("base.h5"))
        sync_file(self.folder)

    def open(self) -> None:
        super().open()
        self._file = self._open_file("r")

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()
        self._file = None

    def _opened(self, table: str, name: str) -> Any:
        return self._file[table][name]

    def _stored_names(self, table: str) -> Sequence[str]:
        return list(self._file[table])

    def total(self, tables: Any, name: str) -> int:
        """Each column into the same memory: fresh memory costs page faults."""
        found = 0
        buffer = np.empty(0, np.int64)
        for table in tables:
            rows = self.count(table)
            buffer = buffer if len(buffer) == rows else np.empty(rows, np.int64)
            self._handle(table, name).read_direct(buffer)
            found += int(buffer.sum())
        return found
