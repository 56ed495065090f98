"""Parts of several chunks: what joined rows consist of, and where their columns come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.rows import JoinedRows, Rows, rows_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot


class Pieces(Sequence[Rows]):
    """Consecutive parts of chunks: the segments of joined rows, and the source of their columns."""

    __slots__ = ("rows",)

    rows: int

    def _piece(self, index: int) -> tuple[MappedChunk, int, int]:
        """A chunk, the first row, and one past the last."""
        raise AssertionError("each form of pieces opens its own")

    def _make(self, chunk: MappedChunk, start: int, stop: int) -> Rows:
        """Rows of one chunk."""
        raise AssertionError("each form of pieces makes its own")

    def joined(self, column: int) -> NDArray[Any]:
        """One column of all pieces, in memory of its own, read-only."""
        raise AssertionError("each form of pieces joins its own")

    def cut(self, start: int, stop: int) -> Rows:
        """A contiguous part, as rows."""
        raise AssertionError("each form of pieces cuts its own")

    def __repr__(self) -> str:
        return f"<{len(self):,} segments of {self.rows:,} rows>"

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._make(*self._piece(index))

    def fill(self, column: int, out: NDArray[Any]) -> None:
        """Write one column of all pieces into a buffer, one after the other."""
        position = 0
        for index in range(len(self)):
            chunk, start, stop = self._piece(index)
            out[position : position + stop - start] = chunk.column(column, start, stop)
            position += stop - start

    def _cut_pieces(self, spans: Sequence[tuple[Any, int, int]], start: int, stop: int) -> list[tuple[Any, int, int]]:
        """The parts of ``spans`` (anything, first row, one past the last) that a contiguous part covers."""
        cut, position = [], 0
        for what, first, last in spans:
            low, high = max(start - position, 0), min(stop - position, last - first)
            if low < high:
                cut.append((what, first + low, first + high))
            position += last - first
        return cut


class PinnedPieces(Pieces):
    """Whole chunks, but for the rows before ``low`` in the first and from ``high`` on in the last; they stay mapped."""

    __slots__ = ("_chunks", "_high", "_low", "_make_rows")

    def __init__(
        self, make_rows: Callable[[MappedChunk, int, int], Rows], chunks: list[MappedChunk], low: int, high: int
    ) -> None:
        self._make_rows = make_rows
        self._chunks = chunks
        self._low = low
        self._high = high
        rows = high - low
        for chunk in chunks[:-1]:
            rows += chunk.rows
        self.rows = rows

    def __len__(self) -> int:
        return len(self._chunks)

    def __iter__(self) -> Iterator[Rows]:
        make, low, last = self._make_rows, self._low, self._chunks[-1]
        for chunk in self._chunks:
            yield make(chunk, low, self._high if chunk is last else chunk.rows)
            low = 0

    def _make(self, chunk: MappedChunk, start: int, stop: int) -> Rows:
        return self._make_rows(chunk, start, stop)

    def _piece(self, index: int) -> tuple[MappedChunk, int, int]:
        place = range(len(self._chunks))[index]
        chunk = self._chunks[place]
        low = self._low if place == 0 else 0
        return chunk, low, self._high if place == len(self._chunks) - 1 else chunk.rows

    def joined(self, column: int) -> NDArray[Any]:
        """One column of all pieces, in memory of its own, read-only."""
        chunks = self._chunks
        first = chunks[0].column(column, self._low, chunks[0].rows)
        last = chunks[-1].column(column, 0, self._high)
        between = [chunk.column(column, 0, chunk.rows) for chunk in chunks[1:-1]] if len(chunks) > 2 else ()
        joined = np.concatenate((first, *between, last))
        joined.setflags(write=False)
        return joined

    def cut(self, start: int, stop: int) -> Rows:
        """A contiguous part, as rows."""
        spans = [self._piece(place) for place in range(len(self))]
        cut = self._cut_pieces(spans, start, stop)
        if len(cut) < 2:
            return self._make(*(cut[0] if cut else (self._chunks[0], 0, 0)))
        pieces = PinnedPieces(self._make_rows, [chunk for chunk, _, _ in cut], cut[0][1], cut[-1][2])
        settings = self._chunks[0].settings
        rows: Rows = rows_class(JoinedRows, settings.schema)(settings, pieces)
        return rows


class LazyPieces(Pieces):
    """More chunks than may stay mapped: each is opened as it is used."""

    __slots__ = ("_pieces", "_snapshot")

    def __init__(self, snapshot: Snapshot, pieces: list[tuple[ChunkRef, int, int]]) -> None:
        self._snapshot = snapshot
        self._pieces = pieces
        self.rows = sum([stop - start for _, start, stop in pieces])

    def __len__(self) -> int:
        return len(self._pieces)

    def _make(self, chunk: MappedChunk, start: int, stop: int) -> Rows:
        return self._snapshot.chunk_rows(chunk, start, stop)

    def _piece(self, index: int) -> tuple[MappedChunk, int, int]:
        ref, start, stop = self._pieces[index]
        return self._snapshot.open_chunk(*ref), start, stop

    def joined(self, column: int) -> NDArray[Any]:
        """One column of all pieces, in memory of its own, read-only; no more than one chunk is held at a time."""
        joined = np.empty(self.rows, self._snapshot.settings.schema.fields[column].dtype)
        self.fill(column, joined)
        joined.flags.writeable = False
        return joined

    def cut(self, start: int, stop: int) -> Rows:
        """A contiguous part, as rows."""
        return self._snapshot.rows_of_pieces(self._cut_pieces(self._pieces, start, stop))
