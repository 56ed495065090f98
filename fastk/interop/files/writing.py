"""Rows into a file, batch by batch; the file gets its name when it is whole."""

from __future__ import annotations

import csv
import io
import json
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.interop.files.formats import FileKind, delimiter_of, pyarrow
from fastk.interop.whole_file import checked_target, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from fastk.engine.rows import Rows
    from fastk.interop.files.layout import Layout

    Write = Callable[[pa.RecordBatch], None]


def write_file(path: str, kind: FileKind, layout: Layout, batches: Iterable[Rows], *, overwrite: bool) -> int:
    """Write rows into a new file; how many they were. InvalidInput if the file is there and is not to be replaced."""
    checked_target(path)
    if not overwrite and os.path.lexists(path):
        raise InvalidInput(f"{path} exists: name another file, or say overwrite")
    rows = 0
    with whole_file(path) as temporary, _WRITERS[kind.format](temporary, path, kind, layout) as write:
        for part in batches:
            write(layout.batch(part))
            rows += len(part)
    return rows


@contextmanager
def _text_sink(temporary: str, kind: FileKind) -> Iterator[Any]:
    library = pyarrow()
    with ExitStack() as stack:
        sink = stack.enter_context(library.OSFile(temporary, "wb"))
        if kind.compression is not None:
            sink = stack.enter_context(library.CompressedOutputStream(sink, kind.compression))
        yield sink


@contextmanager
def _csv(temporary: str, path: str, kind: FileKind, layout: Layout) -> Iterator[Write]:
    library = pyarrow("pyarrow.csv")
    delimiter = delimiter_of(path)
    header = io.StringIO()
    csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(layout.names)
    options = library.WriteOptions(include_header=False, delimiter=delimiter)
    with _text_sink(temporary, kind) as sink:
        sink.write(header.getvalue().encode())
        with library.CSVWriter(sink, layout.schema, write_options=options) as writer:
            yield writer.write_batch


@contextmanager
def _jsonl(temporary: str, path: str, kind: FileKind, layout: Layout) -> Iterator[Write]:
    compute = pyarrow("pyarrow.compute")
    starts = [f"{', ' if place else '{'}{json.dumps(name)}: " for place, name in enumerate(layout.names)]

    def write(batch: pa.RecordBatch) -> None:
        parts = [part for start, column in zip(starts, batch.columns, strict=True) for part in (start, _json(column))]
        lines = compute.binary_join_element_wise(*parts, "}\n", "").to_pylist()
        sink.write("".join(lines).encode())

    with _text_sink(temporary, kind) as sink:
        yield write


def _json(column: pa.Array) -> pa.Array:
    """Values as they stand in JSON. What is no finite number stands as text."""
    library, compute = pyarrow(), pyarrow("pyarrow.compute")
    types = library.types
    if types.is_string(column.type):
        return library.array([json.dumps(text) for text in column.to_pylist()], library.string())
    text = column.cast(library.string())
    if types.is_timestamp(column.type):
        return compute.binary_join_element_wise('"', text, '"', "")
    if types.is_floating(column.type):
        quoted = compute.binary_join_element_wise('"', text, '"', "")
        return compute.if_else(compute.is_finite(column), text, quoted)
    return text


@contextmanager
def _parquet(temporary: str, path: str, kind: FileKind, layout: Layout) -> Iterator[Write]:
    library = pyarrow("pyarrow.parquet")
    with library.ParquetWriter(temporary, layout.schema, compression="zstd", write_page_checksum=True) as writer:
        yield writer.write_batch


@contextmanager
def _arrow(temporary: str, path: str, kind: FileKind, layout: Layout) -> Iterator[Write]:
    ipc = pyarrow("pyarrow.ipc")
    options = ipc.IpcWriteOptions(compression="zstd")
    with pyarrow().OSFile(temporary, "wb") as sink, ipc.new_file(sink, layout.schema, options=options) as writer:
        yield writer.write_batch


_WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet, "arrow": _arrow}
