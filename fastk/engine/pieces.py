"""Parts of several chunks: what joined rows consist of, and where their columns come from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.rows import ChunkRows, JoinedRows, Rows, rows_class, rows_of_chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.settings import SeriesSettings

# Twice the rows of 4 MB, from which on numpy asks for huge pages: in bytes, columns of 10 MB took twice the time.
_HUGE = 1 << 20


class Pieces(Sequence[Rows]):
    """Consecutive chunks, without the rows before ``low`` in the first and from ``high`` on in the last.

    They are the segments of joined rows, and the source of their columns.
    """

    __slots__ = ("_form", "_high", "_low")

    def __init__(self, form: type[ChunkRows], low: int, high: int) -> None:
        self._form = form
        self._low = low
        self._high = high

    @property
    def rows(self) -> int:
        """Rows of all pieces."""
        raise AssertionError("each form of pieces counts its own")

    def _chunk(self, place: int) -> MappedChunk:
        """The chunk at a place, mapped."""
        raise AssertionError("each form of pieces opens its own")

    def _between(self, first: int, last: int, low: int, high: int) -> Rows:
        """The rows from ``low`` of one chunk to ``high`` of another."""
        raise AssertionError("each form of pieces cuts its own")

    def __repr__(self) -> str:
        return f"<{len(self):,} segments of {self.rows:,} rows>"

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return rows_of_chunk(self._form, *self._piece(range(len(self))[index]))

    def _piece(self, place: int) -> tuple[MappedChunk, int, int]:
        chunk = self._chunk(place)
        return chunk, self._low if place == 0 else 0, self._high if place == len(self) - 1 else chunk.rows

    def fill(self, column: int, out: NDArray[Any]) -> None:
        """Write one column of all pieces into a buffer, one after the other."""
        position = 0
        for place in range(len(self)):
            chunk, start, stop = self._piece(place)
            out[position : position + stop - start] = chunk.column(column, start, stop)
            position += stop - start

    def record(self, row: int) -> Any:
        """One row, from the chunk that holds it."""
        place, row = self._locate(row)
        return self._chunk(place).row(row)

    def cut(self, start: int, stop: int) -> Rows:
        """A contiguous part that is not empty, as rows."""
        first, low = self._locate(start)
        last, high = self._locate(stop - 1)
        return self._between(first, last, low, high + 1)

    def _locate(self, row: int) -> tuple[int, int]:
        """The chunk that holds a row, and its row there."""
        row += self._low
        begins = self._begins()
        place = bisect_right(begins, row) - 1
        return place, row - begins[place]

    def _begins(self) -> list[int]:
        """Where each chunk begins, counted from the beginning of the first."""
        raise AssertionError("each form of pieces counts its own")


class PinnedPieces(Pieces):
    """Chunks that stay mapped while the rows live."""

    __slots__ = ("_borders", "_chunks")

    def __init__(self, form: type[ChunkRows], chunks: list[MappedChunk], low: int, high: int) -> None:
        self._form = form  # without super(): a tenth of a microsecond of each look at segments
        self._low = low
        self._high = high
        self._chunks = chunks
        self._borders: list[int] = []  # until someone asks; it is never that

    @property
    def rows(self) -> int:
        """Rows of all pieces."""
        return self._begins()[-1] - self._low + self._high

    def __len__(self) -> int:
        return len(self._chunks)

    def _chunk(self, place: int) -> MappedChunk:
        return self._chunks[place]

    def __iter__(self) -> Iterator[Rows]:
        form, low, last = self._form, self._low, self._chunks[-1]
        for chunk in self._chunks:  # rows_of_chunk written out
            piece = form()
            piece._chunk, piece._start, piece._stop = chunk, low, self._high if chunk is last else chunk.rows
            yield piece
            low = 0

    def _begins(self) -> list[int]:
        if not self._borders:
            self._borders = list(accumulate([chunk.rows for chunk in self._chunks[:-1]], initial=0))
        return self._borders

    def _between(self, first: int, last: int, low: int, high: int) -> Rows:
        if first == last:
            return rows_of_chunk(self._form, self._chunks[first], low, high)
        chunks = self._chunks[first : last + 1]
        rows: Rows = rows_class(PinnedRows, chunks[0].settings.schema)(self._form, chunks, low, high)
        return rows


class PinnedRows(JoinedRows):
    """Rows of several chunks that stay mapped while the rows live: a few words, no copy before a column is taken."""

    __slots__ = ("_chunks", "_form", "_high", "_low", "_pieces")

    def __init__(self, form: type[ChunkRows], chunks: list[MappedChunk], low: int, high: int) -> None:
        self._form = form
        self._chunks = chunks
        self._low = low
        self._high = high
        self._pieces: PinnedPieces | None = None
        self._kept = {}

    def __len__(self) -> int:
        return self.segments.rows

    @property
    def settings(self) -> SeriesSettings:  # type: ignore[override]
        """Name, schema, units and scales of the series."""
        return self._chunks[0].settings

    @property
    def segments(self) -> PinnedPieces:
        """The zero-copy pieces, one a chunk."""
        if self._pieces is None:
            self._pieces = PinnedPieces(self._form, self._chunks, self._low, self._high)
        return self._pieces

    _source = segments

    def _assemble(self, index: int) -> NDArray[Any]:
        first, *between, last = self._chunks
        is_huge = (first.rows + last.rows) * len(self._chunks) > _HUGE  # to count them takes 5% of a small read
        if is_huge or first.dense is not first.clean:  # a layout of rows, whose columns are strided
            return super()._assemble(index)
        # MappedChunk.column written out: 0.2 us of 2.
        head, tail = first.clean[index], last.clean[index]
        if head is None:
            head = first.ensure_verified(index, self._low, first.rows)
        if tail is None:
            tail = last.ensure_verified(index, 0, self._high)
        parts: list[Any] = [head[self._low :]]
        for chunk in between:
            column = chunk.clean[index]
            parts.append(chunk.ensure_verified(index, 0, chunk.rows) if column is None else column)
        parts.append(tail[: self._high])
        # Of 2,000 rows half of the time of np.concatenate, of 4,000 two thirds; read-only before other threads find it.
        joined = self._kept[index] = np.frombuffer(b"".join(parts), head.dtype)
        return joined


class LazyPieces(Pieces):
    """More chunks than may stay mapped: each is opened as it is used."""

    __slots__ = ("_borders", "_refs", "_snapshot")

    def __init__(self, snapshot: Snapshot, refs: list[ChunkRef], low: int, high: int) -> None:
        super().__init__(snapshot.form, low, high)
        self._snapshot = snapshot
        self._refs = refs
        self._borders = list(accumulate([ref.rows for ref in refs[:-1]], initial=0))

    @property
    def rows(self) -> int:
        """Rows of all pieces."""
        return self._borders[-1] - self._low + self._high

    def __len__(self) -> int:
        return len(self._refs)

    def _chunk(self, place: int) -> MappedChunk:
        return self._snapshot.open_chunk(*self._refs[place])

    def _begins(self) -> list[int]:
        return self._borders

    def _between(self, first: int, last: int, low: int, high: int) -> Rows:
        return self._snapshot.rows_between(self._refs[first : last + 1], low, high)
