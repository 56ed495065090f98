"""What every range read returns: rows as columns, zero-copy within a chunk, joined per column on first use otherwise.

``Rows`` is the face; its forms differ only in where the columns come from. Each schema gets subclasses with a property
a field, made once, so that ``rows.close`` costs one python call and one slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import FastKError, InvalidInput
from fastk.times import format_ts

if TYPE_CHECKING:
    from typing import Protocol

    import pandas
    import polars
    import pyarrow
    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.pieces import Pieces
    from fastk.schema.schema import Schema
    from fastk.schema.settings import SeriesSettings

    class ColumnSource(Protocol):
        """Whatever can write a column of known length into a buffer."""

        @property
        def rows(self) -> int:
            """How many there are."""

        def fill(self, index: int, out: NDArray[Any]) -> None:
            """Write the column at ``index`` of the schema."""


_SHOWN = 50  # characters of the name of a class in an error


class Rows:
    """Some rows of one series in ascending order of ts.

    ``rows.ts``, ``rows["close"]`` and ``rows.column("close")`` are 1-D arrays of the field's dtype; those that lie in
    one chunk are read-only views of the mapped file. ``rows[3]`` is a record, ``rows[2:5]`` rows again. Fields whose
    names are also methods are reachable as ``rows["segments"]``. A column is verified when it is first taken, and
    taking a damaged one raises InvalidData; the others stay usable.
    """

    __slots__ = ("__weakref__",)

    settings: SeriesSettings

    if TYPE_CHECKING:  # the fields of a schema, which a type checker does not know

        def __getattr__(self, name: str) -> Any: ...

    def __len__(self) -> int:
        raise AssertionError("each form of rows counts its own")

    def _take(self, index: int) -> NDArray[Any]:
        """The column at a place of the schema."""
        raise AssertionError("each form of rows has its own columns")

    def _fill(self, index: int, out: NDArray[Any]) -> None:
        """Write the column into a buffer."""
        out[:] = self._take(index)

    def _cut(self, start: int, stop: int) -> Rows:
        """A contiguous part."""
        raise AssertionError("each form of rows cuts its own")

    def _record(self, row: int) -> Any:
        schema = self.schema
        return schema.record_class(*[self._take(index)[row].item() for index in range(len(schema.fields))])

    @property
    def schema(self) -> Schema:
        """The record type; ``rows.schema.names`` are the columns."""
        return self.settings.schema

    @property
    def segments(self) -> Sequence[Rows]:
        """The zero-copy pieces, one a chunk, each of them rows; opened as they are asked for."""
        return (self,) if len(self) else ()

    def column(self, name: str, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """One column; with ``out`` (1-D, writable, same length and dtype) copied there, and ``out`` returned."""
        index = self.schema.position(name)
        if out is None:
            return self._take(index)
        _check_buffer(out, len(self), self.schema.fields[index].dtype)
        if out.flags.c_contiguous:
            self._fill(index, out)
        else:  # kernels write contiguous memory only
            out[:] = self._take(index)
        return out

    def decoded(self, name: str) -> NDArray[np.float64]:
        """One column in natural units: float64, divided by the series' scale (1 for fields without one). A copy.

        InvalidInput for text.
        """
        if self.column(name).dtype.kind == "S":
            raise InvalidInput(
                f"column {name!r} of {self.settings.key} is text, and has no natural units: read it as it is"
            )
        from fastk.schema.scaling import decode

        return decode(self.column(name), self.settings.scale_of(name))

    def to_numpy(self) -> NDArray[np.void]:
        """All columns as one packed structured array, a copy."""
        table = np.empty(len(self), self.schema.dtype)
        for name in self.schema.names:
            table[name] = self.column(name)
        return table

    # Other libraries, each found when it is asked for

    def to_pandas(
        self, columns: Sequence[str] | None = None, *, decoded: bool = False, index: bool = True, copy: bool = True
    ) -> pandas.DataFrame:
        """The rows, or some columns, as a frame of pandas; ``ts`` in UTC as its index, or as a column.

        ``decoded`` gives natural units (float64) for columns with a scale. ``copy=False`` gives read-only views of the
        columns, where nothing is decoded or text.
        """
        from fastk.interop.pandas_frames import to_pandas

        return to_pandas(self, columns, decoded, index, copy)

    def to_polars(self, columns: Sequence[str] | None = None, *, decoded: bool = False) -> polars.DataFrame:
        """The rows, or some columns, as a frame of polars over the same memory; a piece for each chunk."""
        from fastk.interop.polars_frames import to_polars

        return to_polars(self, columns, decoded)

    def to_arrow(self, columns: Sequence[str] | None = None, *, decoded: bool = False) -> pyarrow.Table:
        """The rows, or some columns, as a table of Arrow over the same memory; a batch for each chunk."""
        from fastk.interop.arrow import to_arrow

        return to_arrow(self, columns, decoded)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The rows as a stream of Arrow's C interface, as other libraries read it: ``polars.DataFrame(rows)``."""
        from fastk.interop.arrow import stream

        return stream(self, requested_schema)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._take(self.settings.schema.position(key))
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                raise InvalidInput(f"rows are cut without a step, not {key!r}; index the columns instead")
            return self._cut(start, max(start, stop))
        return self._record(_checked_row(key, len(self)))

    def __iter__(self) -> Iterator[Any]:
        record = self.schema.record_class
        for piece in self.segments:
            columns = (piece.column(name).tolist() for name in self.schema.names)
            yield from map(record, *columns)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("rows are columns on disk and become one array only by copying")
        table = self.to_numpy()
        return table if dtype is None else table.astype(dtype)

    def __reduce__(self) -> Any:
        raise TypeError("rows are views of mapped files and are not pickled; pickle rows.to_numpy() or single columns")

    def __repr__(self) -> str:
        count, span = len(self), ""
        try:
            if count:
                ends = [int(self._cut(row, row + 1).column("ts")[0]) for row in (0, count - 1)]
                span = f", {' to '.join(format_ts(ts, self.settings.time_unit) for ts in ends)}"
        except FastKError:  # damaged, expired or closed: a representation must not fail
            span = ", ts unreadable"
        return f"<{count:,} rows of {self.settings.key}{span}>"

    def _repr_html_(self) -> str:
        from fastk.interop.notebook import rows_html

        return rows_html(self)


class ChunkRows(Rows):
    """Rows of one chunk: three words, no search, no copy. Holding them keeps the chunk mapped.

    :func:`rows_of_chunk` makes them. Hot reads do the same by themselves: an ``__init__`` takes half of the time.
    """

    __slots__ = ("_chunk", "_start", "_stop")

    _chunk: MappedChunk
    _start: int
    _stop: int

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def settings(self) -> SeriesSettings:  # type: ignore[override]
        """Name, schema, units and scales of the series."""
        return self._chunk.settings

    def _take(self, index: int) -> NDArray[Any]:
        return self._chunk.column(index, self._start, self._stop)

    def _cut(self, start: int, stop: int) -> Rows:
        return rows_of_chunk(type(self), self._chunk, self._start + start, self._start + stop)

    def _record(self, row: int) -> Any:
        return self._chunk.row(self._start + row)


def rows_of_chunk(form: type[ChunkRows], chunk: MappedChunk, start: int, stop: int) -> Rows:
    """Rows ``start`` to ``stop`` of a chunk, in the form that its schema has."""
    rows = form()
    rows._chunk, rows._start, rows._stop = chunk, start, stop
    return rows


class ArrayRows(Rows):
    """Rows held in memory: the result of gathering, or no rows at all."""

    __slots__ = ("_columns", "settings")

    def __init__(self, settings: SeriesSettings, columns: Sequence[NDArray[Any]]) -> None:
        self.settings = settings
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    def _take(self, index: int) -> NDArray[Any]:
        return self._columns[index]

    def _cut(self, start: int, stop: int) -> Rows:
        return type(self)(self.settings, [column[start:stop] for column in self._columns])


class FilledRows(Rows):
    """Rows whose columns are assembled when first taken, and kept."""

    __slots__ = ("_kept", "_source", "settings")

    def __init__(self, settings: SeriesSettings, source: ColumnSource) -> None:
        self.settings = settings
        self._source = source
        self._kept: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        return self._source.rows

    def _fill(self, index: int, out: NDArray[Any]) -> None:
        self._source.fill(index, out)

    def _take(self, index: int) -> NDArray[Any]:
        kept = self._kept.get(index)
        return self._assemble(index) if kept is None else kept

    def _assemble(self, index: int) -> NDArray[Any]:
        """The column in memory of its own, read-only; kept."""
        source = self._source
        column = np.empty(source.rows, self.settings.schema.fields[index].dtype)
        source.fill(index, column)
        return self._keep(index, column)

    def _keep(self, index: int, column: NDArray[Any]) -> NDArray[Any]:
        """Make a column read-only, and keep it."""
        column.setflags(write=False)
        kept = self._kept[index] = column[:]  # which, other than its owner, cannot be made writable
        return kept

    def _cut(self, start: int, stop: int) -> Rows:
        rows: Rows = rows_class(PartOfRows, self.schema)(self, start, stop)
        return rows


class PartOfRows(Rows):
    """A contiguous part of assembled rows: views of their columns."""

    __slots__ = ("_start", "_stop", "_whole")

    def __init__(self, whole: Rows, start: int, stop: int) -> None:
        self._whole = whole
        self._start = start
        self._stop = stop

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def settings(self) -> SeriesSettings:  # type: ignore[override]
        """Name, schema, units and scales of the series."""
        return self._whole.settings

    def _take(self, index: int) -> NDArray[Any]:
        return self._whole._take(index)[self._start : self._stop]

    def _cut(self, start: int, stop: int) -> Rows:
        return type(self)(self._whole, self._start + start, self._start + stop)


class JoinedRows(FilledRows):
    """Rows of several chunks."""

    __slots__ = ()

    _source: Pieces

    @property
    def segments(self) -> Sequence[Rows]:
        """The zero-copy pieces, one a chunk; each is mapped when it is asked for."""
        return self._source

    def _cut(self, start: int, stop: int) -> Rows:
        return self._source.cut(start, stop) if start < stop else super()._cut(start, stop)

    def _record(self, row: int) -> Any:
        all_are_kept = len(self._kept) == len(self.schema.fields)
        return super()._record(row) if all_are_kept else self._source.record(row)


def filled_rows(settings: SeriesSettings, source: ColumnSource) -> Rows:
    """Rows whose columns a source writes."""
    rows: Rows = rows_class(FilledRows, settings.schema)(settings, source)
    return rows


@cache
def rows_class(form: type[Any], schema: Schema) -> type[Any]:
    """A form of rows (a subclass of Rows) with a property for each field of the schema.

    Its name tells the columns, because Python's error of an unknown attribute tells the name. A ``__getattr__`` for
    that would make each look at any attribute several times as dear: a column took half more.
    """
    make = _column_property
    if form is ChunkRows:
        make = _chunk_property
    elif issubclass(form, FilledRows):
        make = _filled_property
    properties = {name: make(index) for index, name in enumerate(schema.names) if _may_be_attribute(form, name)}
    return type(_named_after(schema), (form,), {"__slots__": (), "__doc__": form.__doc__, **properties})


def _named_after(schema: Schema) -> str:
    """A schema and its columns, as many as Python shows of the name of a class in an error."""
    name = f"rows of {schema.name}: {', '.join(schema.names)}"
    if len(name) <= _SHOWN:
        return name
    begin = name[: _SHOWN - len(", ...")]
    return f"{begin.rpartition(',')[0] or begin}, ..."


def _may_be_attribute(form: type[Any], name: str) -> bool:
    return not name.startswith("_") and not hasattr(form, name)


def _column_property(index: int) -> property:
    return property(lambda rows: rows._take(index))


def _chunk_property(index: int) -> property:
    """``_take`` of ChunkRows written out: it halves the cost of a column of a fully verified chunk."""

    def take(rows: ChunkRows) -> NDArray[Any]:
        chunk = rows._chunk
        column = chunk.clean[index]
        if column is None:
            column = chunk.ensure_verified(index, rows._start, rows._stop)
        return column[rows._start : rows._stop]

    return property(take)


def _filled_property(index: int) -> property:
    """``_take`` of FilledRows written out."""

    def take(rows: FilledRows) -> NDArray[Any]:
        kept = rows._kept.get(index)
        return rows._assemble(index) if kept is None else kept

    return property(take)


def _checked_row(key: Any, length: int) -> int:
    try:
        row = key.__index__()
    except (AttributeError, TypeError):
        raise InvalidInput(f"rows are indexed by a column's name, a row number or a slice, not {key!r}") from None
    if not -length <= row < length:
        raise IndexError(f"row {row} of {length:,}")
    return int(row % length)


def _check_buffer(out: Any, rows: int, dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray) or out.shape != (rows,) or out.dtype != dtype or not out.flags.writeable:
        found = f"{out.dtype} {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise InvalidInput(f"out must be a writable {dtype} array of shape ({rows},), not {found}")
