"""Where in the input a row stands: a file, and a line of it, found again when somebody has to be told."""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.interop.files.formats import FileKind, pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.interop.files.sources import Source

_LONGEST_CELL = 1 << 24


class _File(NamedTuple):
    path: str
    kind: FileKind
    first: int  # number of its first row in the whole input
    lines_before: int  # lines that are passed over
    records_before: int  # records before its first row, such as the header
    delimiter: str


class Places:
    """The files of an input, in order, and how many rows came before each."""

    def __init__(self) -> None:
        self._files: list[_File] = []

    def enter(self, source: Source, first: int) -> None:
        """A file begins with row ``first`` of the input."""
        skipped = source.options.skip_lines
        self._files.append(_File(source.path, source.kind, first, skipped, source.records_before, source.delimiter))

    def as_json(self) -> list[list[Any]]:
        """Plain values for :meth:`from_json`."""
        return [[each.path, *each.kind, *each[2:]] for each in self._files]

    @classmethod
    def from_json(cls, stored: list[list[Any]]) -> Places:
        """The files of an input that was read before."""
        places = cls()
        places._files = [_File(path, FileKind(kind, compression), *rest) for path, kind, compression, *rest in stored]
        return places

    def of(self, row: int) -> str:
        """Where row ``row`` of the input stands, in words."""
        file = self._files[bisect_right(self._files, row, key=lambda each: each.first) - 1]
        return self._describe(file, row - file.first)

    def of_record(self, record: int) -> str:
        """Where a record (row or header, counted from 0) of the file that was entered last stands."""
        file = self._files[-1]
        return self._describe(file, record - file.records_before)

    def _describe(self, file: _File, row: int) -> str:
        if file.kind.format in ("parquet", "arrow"):
            return f"{file.path}, row {row + 1:,}"
        line = _line_of(file, row + file.records_before)
        return f"{file.path}, line {line:,}" if line else f"{file.path}, data row {row + 1:,}"


def _line_of(file: _File, record: int) -> int | None:
    """The line on which a record begins, counted from 1. Cost: all lines before it are read once more."""
    try:
        with pyarrow().input_stream(file.path, compression=file.kind.compression) as stream:
            lines = io.TextIOWrapper(stream, "utf-8", "replace", newline="")
            for _ in range(file.lines_before):
                lines.readline()
            starts = _csv_starts(lines, file.delimiter) if file.kind.format == "csv" else _line_starts(lines)
            for number, start in enumerate(starts):
                if number == record:
                    return file.lines_before + start
    except (OSError, csv.Error):
        pass
    return None


def _csv_starts(lines: io.TextIOWrapper, delimiter: str) -> Iterator[int]:
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        reader, before = csv.reader(lines, delimiter=delimiter), 0
        for record in reader:
            if record:
                yield before + 1
            before = reader.line_num
    finally:
        csv.field_size_limit(limit)


def _line_starts(lines: io.TextIOWrapper) -> Iterator[int]:
    return (number for number, line in enumerate(lines, 1) if line.strip())
