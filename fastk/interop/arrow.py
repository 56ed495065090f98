"""Rows as Arrow data: the mapped columns themselves, wherever Arrow lays them out as the files do.

A buffer of Arrow refers to the numpy view that it was made of, and that to the map: the file stays mapped until the
last array over it is gone, whatever becomes of rows and store.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.pieces import LazyPieces
from fastk.errors import InvalidInput
from fastk.interop.optional import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa
    import pyarrow.dataset as ds
    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.schema import Field
    from fastk.schema.settings import SeriesSettings

BATCH_ROWS = 65_536
_JOINED_ROWS = 16_384  # a batch takes 200 us with polars; to copy six columns of so many rows, 100
SCALE = b"fastk.scale"
"""Key in the metadata of a field of stored integers: the divisor that turns them into natural units."""


def pyarrow() -> Any:
    """The library."""
    return need("pyarrow", "arrow")


class Layout:
    """Which columns of a series are handed out, and in which form: stored values, or natural units if ``decoded``."""

    def __init__(self, settings: SeriesSettings, columns: Iterable[str] | None = None, decoded: bool = False) -> None:
        self.settings = settings
        self.names = checked_columns(settings, columns)
        self.decoded = decoded

    def is_decoded(self, name: str) -> bool:
        """Whether a column is divided by its scale on the way."""
        schema = self.settings.schema
        return self.decoded and schema.fields[schema.position(name)].scale is not None

    def column(self, rows: Rows, name: str) -> NDArray[Any]:
        """One column of some rows of the series: a view where nothing is divided or joined."""
        return rows.decoded(name) if self.is_decoded(name) else rows.column(name)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns as Arrow types them."""
        return pyarrow().schema([self._field(name) for name in self.names])

    def _field(self, name: str) -> pa.Field:
        pa = pyarrow()
        field = self.settings.schema.fields[self.settings.schema.position(name)]
        if self.is_decoded(name):
            return pa.field(name, pa.float64())
        metadata = None if field.scale is None else {SCALE: str(self.settings.scale_of(name))}
        return pa.field(name, self._type(field), metadata=metadata)

    def _type(self, field: Field) -> pa.DataType:
        pa = pyarrow()
        if field.name == "ts":
            return pa.timestamp(self.settings.time_unit.value, "UTC")
        return pa.binary() if field.dtype.kind == "S" else pa.from_numpy_dtype(field.dtype)

    @cached_property
    def _kinds(self) -> list[tuple[str, pa.DataType]]:
        return list(zip(self.names, self.schema.types, strict=True))  # pyarrow takes 10 us to tell them, a batch 30

    def batch(self, *pieces: Rows) -> pa.RecordBatch:
        """Some rows of the series as one batch; without a copy if they are one piece, whose columns are arrays."""
        arrays = []
        for name, kind in self._kinds:
            columns = [self.column(rows, name) for rows in pieces]
            arrays.append(arrow_array(columns[0] if len(columns) == 1 else np.concatenate(columns), kind))
        return pyarrow().RecordBatch.from_arrays(arrays, schema=self.schema)

    def batches(self, rows: Rows) -> Iterator[pa.RecordBatch]:
        """The same in batches: one a chunk, as views; or joined ones, where there are more chunks than stay mapped."""
        return map(self.batch, _pieces(rows))

    def table(self, rows: Rows) -> pa.Table:
        """The same pieces as a table: for many chunks in half of the time of a table of batches."""
        arrays: list[list[pa.Array]] = [[] for _ in self.names]
        for piece in _pieces(rows):
            for column, (name, kind) in zip(arrays, self._kinds, strict=True):
                column.append(arrow_array(self.column(piece, name), kind))
        columns = [pyarrow().chunked_array(*each) for each in zip(arrays, self.schema.types, strict=True)]
        return pyarrow().Table.from_arrays(columns, schema=self.schema)

    def reader(self, batches: Iterable[pa.RecordBatch]) -> pa.RecordBatchReader:
        """Batches of this layout as a stream."""
        return pyarrow().RecordBatchReader.from_batches(self.schema, batches)


def _pieces(rows: Rows) -> Iterable[Rows]:
    if isinstance(rows.segments, LazyPieces):
        return (rows[low : low + BATCH_ROWS] for low in range(0, len(rows), BATCH_ROWS))
    return rows.segments


def checked_columns(settings: SeriesSettings, columns: Iterable[str] | None) -> tuple[str, ...]:
    """The names of columns of a series, in the order asked for; InvalidInput for unknown or repeated ones."""
    if columns is None:
        return settings.schema.names
    if isinstance(columns, str):
        raise InvalidInput(f"columns is a list of names, not {columns!r}")
    names = tuple(columns)
    for name in names:
        settings.schema.position(name)
    if len(set(names)) < len(names):
        raise InvalidInput(f"columns names {next(name for name in names if names.count(name) > 1)!r} twice")
    return names


def together(pieces: Iterable[Rows], most_rows: int, most_pieces: int) -> Iterator[list[Rows]]:
    """Large pieces one by one, small neighbours in groups: who takes batches has a price for each."""
    most_rows = min(most_rows, _JOINED_ROWS)
    group: list[Rows] = []
    held = 0
    for each in pieces:
        if group and (held + len(each) > most_rows or len(group) == most_pieces):
            yield group
            group, held = [], 0
        group.append(each)
        held += len(each)
    if group:
        yield group


def arrow_array(column: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """A column as an array of Arrow over the same memory, which it keeps; bits, text and strided columns are copied."""
    import pyarrow as pa  # whence the kind: need() would take a third of this

    if column.dtype.kind == "b":  # bits of Arrow: laid out otherwise
        return pa.array(column, kind)
    if column.dtype.kind == "S":  # by way of Python: pyarrow cuts numpy's bytes at their first zero
        return pa.array(column.tolist(), kind)
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])


def dataset(snapshot: Callable[[], Snapshot], decoded: bool) -> ds.Dataset:
    """A series as a dataset."""
    need("pyarrow.dataset", "arrow")
    from fastk.interop.arrow_dataset import SeriesDataset

    return SeriesDataset(snapshot, decoded)


def to_arrow(rows: Rows, columns: Sequence[str] | None, decoded: bool) -> pa.Table:
    """Rows as a table."""
    return Layout(rows.settings, columns, decoded).table(rows)


def stream(rows: Rows, requested_schema: Any) -> Any:
    """Rows as a capsule of Arrow's C stream; chunks are mapped as the consumer takes batches."""
    layout = Layout(rows.settings)
    return layout.reader(layout.batches(rows)).__arrow_c_stream__(requested_schema)
