"""Rows on their way into a series: kept in files in the order in which they came, and read in order of ts.

A folder holds one file a column, without header, and ``input.json``, which is written last and says that the others are
whole. A *run* is a stretch of rows that ascend: the files of a sorted input are one run, and are read as they lie; of
another, the runs are merged. So memory holds a batch, and the disk each row once, whatever the input's order is.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.arrays import read_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from fastk.schema.schema import Schema

    Columns = list[NDArray[Any]]
    Int64 = NDArray[np.int64]

_INPUT_FILE, _PROGRESS_FILE = "input.json", "progress.json"
_SAVED_A_ROW = 1e-7  # seconds, by the compiled merge
_RUN_ROWS = 1 << 19
"""Rows that are sorted at once, where they do not ascend."""


class Batch(NamedTuple):
    """Rows in order of ts, and the number of each in the input."""

    columns: Columns
    arrivals: Int64


class SpillWriter:
    """Takes the rows of an input, batch by batch."""

    def __init__(self, folder: str, schema: Schema) -> None:
        os.makedirs(folder)
        self.out_of_order = 0
        self._folder = folder
        self._schema = schema
        paths = [_column_file(folder, place) for place in range(len(schema.fields) + 1)]
        self._files = [open(path, "wb") for path in paths]  # noqa: SIM115 - closed by close()
        self._held: list[Columns] = []
        self._held_rows = 0
        self._runs: list[int] = []  # where each begins
        self._rows = 0
        self._last_ts: int | None = None
        self._last_arrived: int | None = None
        self._scales: list[tuple[int, dict[str, int]]] = []

    def append(self, columns: Columns, arrivals: Int64, scales: Mapping[str, int]) -> None:
        """Rows that came next, at these scales."""
        if not arrivals.size:
            return
        self._count_disorder(columns[0])
        if not self._scales or self._scales[-1][1] != scales:
            self._flush()
            self._scales.append((self._rows, dict(scales)))
        self._held.append([*columns, arrivals])
        self._held_rows += arrivals.size
        if self._held_rows >= _RUN_ROWS:
            self._flush()

    def _count_disorder(self, ts: Int64) -> None:
        before = self._last_arrived
        self.out_of_order += int((ts[1:] < ts[:-1]).sum()) + (before is not None and int(ts[0]) < before)
        self._last_arrived = int(ts[-1])

    def _flush(self) -> None:
        if not self._held:
            return
        columns = [np.concatenate(parts) for parts in zip(*self._held, strict=True)]
        self._held, self._held_rows = [], 0
        ts = columns[0]
        if (ts[1:] < ts[:-1]).any():
            order = np.argsort(ts, kind="stable")
            columns = [column[order] for column in columns]
        if self._last_ts is None or int(columns[0][0]) < self._last_ts:
            self._runs.append(self._rows)
        for file, column in zip(self._files, columns, strict=True):
            column.tofile(file)
        self._rows += ts.size
        self._last_ts = int(columns[0][-1])

    def finish(self, about: Mapping[str, Any]) -> None:
        """All rows came. ``about`` is kept beside them."""
        self._flush()
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        self.close()
        whole = {"rows": self._rows, "runs": self._runs, "scales": self._scales, "out_of_order": self.out_of_order}
        _replace(os.path.join(self._folder, _INPUT_FILE), {**whole, "about": dict(about)})

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()


class Spill:
    """Rows of an input that is read whole."""

    def __init__(self, folder: str, schema: Schema) -> None:
        with open(os.path.join(folder, _INPUT_FILE), encoding="utf-8") as file:
            whole = json.load(file)
        self.rows: int = whole["rows"]
        self.out_of_order: int = whole["out_of_order"]
        self.about: dict[str, Any] = whole["about"]
        self.scales: dict[str, int] = whole["scales"][-1][1] if whole["scales"] else {}
        self._folder = folder
        self._schema = schema
        self._runs: list[int] = whole["runs"]
        self._grown: list[tuple[int, dict[str, int]]] = whole["scales"]
        self._dtypes = [*(field.dtype for field in schema.fields), np.dtype(np.int64)]

    def batches(self, batch_rows: int) -> Iterator[Batch]:
        """The rows in order of ts; of equal ts, in the order of the input, or by sequence where the input had no order.

        Equal ts are all in one batch: it has about ``batch_rows`` rows, or more where more share a ts.
        """
        held, last_ts = np.empty(0, np.int64), 0
        for places, ts in self._ordered(batch_rows):
            same = int(np.searchsorted(ts, last_ts, "right")) if held.size else 0
            held = np.concatenate([held, places[:same]])
            if same < places.size:
                if held.size:
                    yield self._batch(held)
                held, last_ts = places[same:], int(ts[-1])
        if held.size:
            yield self._batch(held)

    def _ordered(self, size: int) -> Iterator[tuple[Int64, Int64]]:
        """Places of rows in order of ts, and their ts."""
        if len(self._runs) > 1:
            yield from self._merged(size)
            return
        for low in range(0, self.rows, size):
            places = np.arange(low, min(low + size, self.rows))
            yield places, self._column(0)[low : low + size]

    def _merged(self, size: int) -> Iterator[tuple[Int64, Int64]]:
        kernels.load_when_worth(_SAVED_A_ROW * self.rows)
        count = len(self._runs)
        positions = np.array(self._runs, np.int64)
        stops = np.append(positions[1:], self.rows)
        final, shifts = np.ones(count, np.uint8), np.zeros(count, np.int64)
        labels = read_only(np.arange(count, dtype=np.uint32))
        left = self.rows
        while left:
            part = min(size, left)
            which, places, ts = np.empty(part, np.uint32), np.empty(part, np.int64), np.empty(part, np.int64)
            inputs = read_only(self._column(0)), stops, final, labels, shifts, positions
            found = kernels.active.merge(*inputs, which, places, ts)
            left -= found
            yield places[:found], ts[:found]

    def _column(self, place: int) -> NDArray[Any]:
        """A column, mapped anew each time: pages of another map do not count as this process's memory."""
        if not self.rows:
            return np.empty(0, self._dtypes[place])
        mapped = np.memmap(_column_file(self._folder, place), self._dtypes[place], "r", shape=(self.rows,))
        return mapped.view(np.ndarray)

    def _batch(self, places: Int64) -> Batch:
        rows: Any = places
        if int(places[-1]) - int(places[0]) == places.size - 1 and len(self._runs) == 1:
            rows = slice(int(places[0]), int(places[-1]) + 1)
        columns = [np.array(self._column(place)[rows]) for place in range(len(self._dtypes))]
        for index, field in enumerate(self._schema.fields):
            if field.scale is not None:
                columns[index] = self._at_final_scale(columns[index], field.scale, places)
        *columns, arrivals = columns
        return self._by_sequence(Batch(columns, arrivals))

    def _at_final_scale(self, column: NDArray[Any], scale: str, places: Int64) -> NDArray[Any]:
        """Rows that came before a scale grew, as those that came after."""
        steps = [values[scale] for _, values in self._grown]
        if len(set(steps)) == 1:
            return column
        begins = np.array([begin for begin, _ in self._grown])
        wide = np.dtype("u8" if column.dtype.kind == "u" else "i8")
        factors = np.array([self.scales[scale] // step for step in steps], wide)
        grown = column.astype(wide) * factors[np.searchsorted(begins, places, "right") - 1]
        return grown.astype(column.dtype)

    def _by_sequence(self, batch: Batch) -> Batch:
        name = self._schema.sequence_field
        if not self.out_of_order or self._schema.unique_ts or name is None:
            return batch
        order = np.lexsort((batch.columns[self._schema.position(name)], batch.columns[0]))
        return Batch([column[order] for column in batch.columns], batch.arrivals[order])

    # How far they are stored

    @property
    def rows_stored(self) -> int:
        """How many rows are known to be stored."""
        try:
            with open(os.path.join(self._folder, _PROGRESS_FILE), encoding="utf-8") as file:
                return int(json.load(file)["rows"])
        except (FileNotFoundError, ValueError, KeyError):  # not there, or torn when the power went: what is put again
            return 0  # is found to be stored

    def note_stored(self, rows: int) -> None:
        """The first ``rows`` rows, in order of ts, are stored."""
        _replace(os.path.join(self._folder, _PROGRESS_FILE), {"rows": rows})


def is_whole(folder: str) -> bool:
    """Whether the rows of a whole input lie there."""
    return os.path.exists(os.path.join(folder, _INPUT_FILE))


def remove(folder: str) -> None:
    """Remove a folder of rows, if it is there: first what says that it is whole."""
    if os.path.isdir(folder):
        if is_whole(folder):
            os.remove(os.path.join(folder, _INPUT_FILE))
        shutil.rmtree(folder)


def _column_file(folder: str, place: int) -> str:
    return os.path.join(folder, f"{place}.column")


def _replace(path: str, value: Mapping[str, Any]) -> None:
    temporary = f"{path}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(value, file)
    os.replace(temporary, path)
