"""Arrow IPC: mapped files of record batches, their buffers as numpy views."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from bench.peers.base import ColumnFiles, Int64, Table, numbered, sync_file


class ArrowIPC(ColumnFiles):
    """A folder a table, a file a write: the format cannot append to a file."""

    name: ClassVar[str] = "Arrow IPC"
    packages: ClassVar[tuple[str, ...]] = ("pyarrow",)
    how: ClassVar[str] = "uncompressed, one batch a file, mapped, buffers as numpy views; an append is a new file"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._pieces: dict[str, dict[str, list[Int64]]] = {}
        self._ends: dict[str, list[int]] = {}

    def write(self, tables: Mapping[str, Table]) -> None:
        for table, columns in tables.items():
            os.makedirs(self.path(table))
            self.append(table, columns)
        sync_file(self.folder)

    def append(self, table: str, columns: Table) -> None:
        """A new file, synced, then renamed."""
        self._save(columns, next(numbered(self.path(table), ".arrow")))

    def _save(self, columns: Table, path: str) -> None:
        import pyarrow

        batch = pyarrow.record_batch(dict(columns))
        with pyarrow.OSFile(f"{path}.tmp", "wb") as sink, pyarrow.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        sync_file(f"{path}.tmp")
        os.rename(f"{path}.tmp", path)
        sync_file(os.path.dirname(path))

    def merge(self, table: str) -> None:
        """All files of a table as one."""
        paths = self._paths(table)
        pieces = [_batch(path) for path in paths]
        columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
        self._save(columns, next(numbered(self.path(table), ".arrow")))
        for path in paths:
            os.remove(path)

    def _paths(self, table: str) -> list[str]:
        return [os.path.join(self.path(table), name) for name in sorted(os.listdir(self.path(table)))]

    def _load(self, table: str) -> Int64:
        pieces = [_batch(path) for path in self._paths(table)]
        self._pieces[table] = {name: [piece[name] for piece in pieces] for name in pieces[0]}
        self._ends[table] = list(itertools.accumulate(len(piece["ts"]) for piece in pieces))
        times = self._pieces[table]["ts"]
        return times[0] if len(times) == 1 else np.concatenate(times)

    def close(self) -> None:
        super().close()
        self._pieces = {}

    def _names(self, table: str) -> Sequence[str]:
        return list(self._pieces[table])

    def _slice(self, table: str, name: str, low: int, high: int) -> Int64:
        pieces = self._pieces[table][name]
        if len(pieces) == 1:
            return pieces[0][low:high]
        return np.concatenate(list(_parts(pieces, self._ends[table], low, high)))


def _parts(pieces: list[Int64], ends: list[int], low: int, high: int) -> Any:
    for piece, end in zip(pieces, ends, strict=True):
        begin = end - len(piece)
        yield piece[max(low - begin, 0) : max(high - begin, 0)]


def _batch(path: str) -> dict[str, Int64]:
    import pyarrow

    batch = pyarrow.ipc.open_file(pyarrow.memory_map(path)).get_batch(0)
    return {name: batch.column(name).to_numpy(zero_copy_only=True) for name in batch.schema.names}
