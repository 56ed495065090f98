"""Raw npy: one memory-mapped .npy file a column, what a numpy user writes by hand. The measure of all ratios."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from bench.peers.base import ColumnHandles, Int64, Table, sync_file


class Npy(ColumnHandles):
    """No checksums, no metadata, no commits."""

    name: ClassVar[str] = "raw npy"
    how: ClassVar[str] = "one mapped .npy file a column, np.searchsorted, plain ndarray views"

    def write(self, tables: Mapping[str, Table]) -> None:
        for table, columns in tables.items():
            os.makedirs(self.path(table))
            for name, values in columns.items():
                with open(self._file(table, name), "wb") as file:
                    np.save(file, values)
                    file.flush()
                    os.fsync(file.fileno())
            with open(self._file(table, "names").removesuffix(".npy"), "w") as file:
                file.write(" ".join(columns))
            sync_file(self.path(table))
        sync_file(self.folder)

    def append(self, table: str, columns: Table) -> None:
        """In place: bytes at the end of each file, then the header's count of rows. A crash may tear it."""
        for name, values in columns.items():
            with open(self._file(table, name), "r+b") as file:
                major, _ = np.lib.format.read_magic(file)
                assert major == 1
                (rows,), _, _ = np.lib.format.read_array_header_1_0(file)
                file.seek(0, os.SEEK_END)
                file.write(values.tobytes())
                file.seek(0)
                header = {"descr": "<i8", "fortran_order": False, "shape": (rows + len(values),)}
                np.lib.format.write_array_header_1_0(file, header)
                file.flush()
                os.fsync(file.fileno())

    def _opened(self, table: str, name: str) -> Int64:
        return np.asarray(np.load(self._file(table, name), mmap_mode="r"))  # memmaps slice slowly

    def _stored_names(self, table: str) -> Sequence[str]:
        with open(self._file(table, "names").removesuffix(".npy")) as file:
            return file.read().split()

    def _file(self, table: str, name: str) -> str:
        return os.path.join(self.folder, table, f"{name}.npy")
