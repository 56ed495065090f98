"""HDF5 by h5py: chunked datasets that can grow, uncompressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from bench.peers.base import ColumnFiles, Int64, Table, sync_file

CHUNK_ROWS = 16_384


class HDF5(ColumnFiles):
    """A group a table, a dataset a column; ``ts`` is read into memory once."""

    name: ClassVar[str] = "HDF5"
    packages: ClassVar[tuple[str, ...]] = ("h5py",)
    how: ClassVar[str] = f"h5py, uncompressed chunks of {CHUNK_ROWS:,} rows, a dataset a column, ts held in memory"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._file: Any = None
        self._sets: dict[str, dict[str, Any]] = {}

    def _opened(self, mode: str) -> Any:
        import h5py

        return h5py.File(self.path("base.h5"), mode, libver="latest", rdcc_nbytes=64 << 20)

    def write(self, tables: Mapping[str, Table]) -> None:
        with self._opened("w") as file:
            for table, columns in tables.items():
                group = file.create_group(table, track_order=True)
                for name, values in columns.items():
                    group.create_dataset(name, data=values, maxshape=(None,), chunks=(CHUNK_ROWS,))
        self._sync()

    def append(self, table: str, columns: Table) -> None:
        """In place, flushed and synced; a crash may tear the file."""
        if self._file is None or self._file.mode == "r":
            self.close()
            self._file = self._opened("r+")
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
        self._file = self._opened("r")

    def close(self) -> None:
        super().close()
        self._sets = {}
        if self._file is not None:
            self._file.close()
        self._file = None

    def _load(self, table: str) -> Int64:
        self._sets[table] = dict(self._file[table].items())
        times: Int64 = self._sets[table]["ts"][:]
        return times

    def _names(self, table: str) -> Sequence[str]:
        return list(self._sets[table])

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        if name == "ts":
            return self._ts[table][low:high]
        values: Int64 = self._sets[table][name][low:high]
        return values

    def total(self, tables: Any, name: str) -> int:
        """Each column into the same memory: fresh memory costs page faults."""
        found = 0
        buffer = np.empty(0, np.int64)
        for table in tables:
            rows = len(self._times(table))
            buffer = buffer if len(buffer) == rows else np.empty(rows, np.int64)
            self._sets[table][name].read_direct(buffer)
            found += int(buffer.sum())
        return found
