"""All files of an input, one after the other, as columns of a series. What is wrong names file and line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.errors import InvalidInput
from fastk.interop.files.binding import bind
from fastk.interop.files.conversion import BadValue
from fastk.interop.files.formats import kind_of, pyarrow
from fastk.interop.files.places import Places
from fastk.interop.files.sources import Source, Unreadable, open_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.interop.files.binding import Binding
    from fastk.interop.files.conversion import Converter
    from fastk.interop.files.options import ReadOptions

    Columns = list[NDArray[Any]]
    Progress = Callable[[str, int, int, int], None]
    """Told what is being done, rows so far, and done and total of it."""

MOST_PROBLEMS = 10


class Piece(NamedTuple):
    """Some rows in the order of the input, and the number of each in it."""

    columns: Columns
    arrivals: NDArray[np.int64]


class Reading:
    """One pass over the files. With ``tolerant`` bad rows are left out and noted, up to :data:`MOST_PROBLEMS`."""

    def __init__(
        self, paths: list[str], options: ReadOptions, converter: Converter, *, tolerant: bool, progress: Progress
    ) -> None:
        self.places = Places()
        self.problems: list[str] = []
        self.rows = 0
        self._paths = paths
        self._options = options
        self._converter = converter
        self._tolerant = tolerant
        self._progress = progress
        self._sizes = [os.path.getsize(path) for path in paths]
        self._bytes_before = 0

    def pieces(self) -> Iterator[Piece]:
        """The rows, batch by batch; InvalidInput for the first thing that is wrong, unless tolerant."""
        for path, size in zip(self._paths, self._sizes, strict=True):
            try:
                yield from self._pieces_of(path)
            except _TooMany:
                return
            self._bytes_before += size

    def _pieces_of(self, path: str) -> Iterator[Piece]:
        source = open_source(path, kind_of(path, self._options.file_format), self._options)
        bindings = bind(source, self._converter.schema, self._options)
        names = list(dict.fromkeys(name for binding in bindings for name in binding.sources))
        has_text = any(binding.field.dtype.kind == "S" for binding in bindings)
        first = self.rows
        self.places.enter(source, first)
        try:
            for batch in source.batches(names or source.names[:1], has_text, self._refuse_record):
                count = len(next(iter(batch.values())))
                piece = self._convert(bindings, batch, self._arrivals(source, first, self.rows - first, count))
                self.rows += count
                self._progress("reading", self.rows, self._bytes_before + source.position, sum(self._sizes))
                yield piece
        except Unreadable as error:
            where = path if self.rows == first else f"behind {self.places.of(self.rows - 1)}"
            raise InvalidInput(f"{where}: the file is damaged or cut off ({error})") from None
        self.rows += len(source.skipped)

    def _arrivals(self, source: Source, first: int, before: int, count: int) -> NDArray[np.int64]:
        """The numbers of rows in the input, those that the source passed over counted as well."""
        arrivals = np.arange(before, before + count)
        for record in source.skipped:
            arrivals[arrivals >= record - source.records_before] += 1
        return first + arrivals

    def _convert(self, bindings: list[Binding], batch: dict[str, Any], arrivals: NDArray[np.int64]) -> Piece:
        while True:
            try:
                first = int(arrivals[0]) if arrivals.size else 0
                return Piece(self._converter.convert(bindings, batch, first), arrivals)
            except BadValue as bad:
                self._note(f"{self.places.of(int(arrivals[bad.row]))}: {bad.problem}")
                keep = np.delete(np.arange(arrivals.size), bad.row)
                batch = {name: column.take(pyarrow().array(keep)) for name, column in batch.items()}
                arrivals = arrivals[keep]

    def _refuse_record(self, record: int, problem: str) -> None:
        self._note(f"{self.places.of_record(record)}: {problem}")

    def _note(self, problem: str) -> None:
        if not self._tolerant:
            raise InvalidInput(problem)
        self.problems.append(problem)
        if len(self.problems) == MOST_PROBLEMS:
            raise _TooMany


class _TooMany(Exception):
    """Enough is wrong to know that."""
