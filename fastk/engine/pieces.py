"""Parts of several chunks: what joined rows consist of, and where their columns come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.rows import JoinedRows, Rows, rows_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.settings import SeriesSettings


class Pieces(Sequence[Rows]):
    """Consecutive chunks, without the rows before ``low`` in the first and from ``high`` on in the last.

    They are the segments of joined rows, and the source of their columns.
    """

    __slots__ = ("_high", "_low", "_make_rows", "rows")

    def __init__(self, make_rows: Callable[[MappedChunk, int, int], Rows], low: int, high: int, rows: int) -> None:
        self._make_rows = make_rows
        self._low = low
        self._high = high
        self.rows = rows

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
        return self._make_rows(*self._piece(range(len(self))[index]))

    def __iter__(self) -> Iterator[Rows]:
        make, low, left = self._make_rows, self._low, len(self)
        for chunk in self._opened():
            left -= 1
            yield make(chunk, low, chunk.rows if left else self._high)
            low = 0

    def _opened(self) -> Iterable[MappedChunk]:
        """All chunks, mapped one after the other."""
        return (self._chunk(place) for place in range(len(self)))

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

    def cut(self, start: int, stop: int) -> Rows:
        """A contiguous part that is not empty, as rows."""
        first, low = self._locate(start)
        last, high = self._locate(stop - 1)
        return self._between(first, last, low, high + 1)

    def _locate(self, row: int) -> tuple[int, int]:
        """The chunk that holds a row, and its row there."""
        row += self._low
        for place in range(len(self)):
            rows = self._rows_of(place)
            if row < rows:
                break
            row -= rows
        return place, row

    def _rows_of(self, place: int) -> int:
        """Rows of a whole chunk."""
        raise AssertionError("each form of pieces knows its own")


class PinnedPieces(Pieces):
    """Chunks that stay mapped while the rows live."""

    __slots__ = ("_chunks",)

    def __init__(
        self,
        make_rows: Callable[[MappedChunk, int, int], Rows],
        chunks: list[MappedChunk],
        low: int,
        high: int,
        rows: int,
    ) -> None:
        self._make_rows = make_rows  # without super(): a tenth of a microsecond of each look at segments
        self._low = low
        self._high = high
        self.rows = rows
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def _chunk(self, place: int) -> MappedChunk:
        return self._chunks[place]

    def _opened(self) -> Iterable[MappedChunk]:
        return self._chunks

    def _rows_of(self, place: int) -> int:
        return self._chunks[place].rows

    def _between(self, first: int, last: int, low: int, high: int) -> Rows:
        if first == last:
            return self._make_rows(self._chunks[first], low, high)
        chunks = self._chunks[first : last + 1]
        rows: Rows = rows_class(PinnedRows, chunks[0].settings.schema)(self._make_rows, chunks, low, high)
        return rows


class PinnedRows(JoinedRows):
    """Rows of several chunks that stay mapped while the rows live: a few words, no copy before a column is taken."""

    __slots__ = ("_chunks", "_count", "_high", "_low", "_make_rows")

    def __init__(
        self, make_rows: Callable[[MappedChunk, int, int], Rows], chunks: list[MappedChunk], low: int, high: int
    ) -> None:
        count = high - low
        for chunk in chunks[:-1]:
            count += chunk.rows
        self._make_rows = make_rows
        self._chunks = chunks
        self._low = low
        self._high = high
        self._count = count
        self._kept = {}

    def __len__(self) -> int:
        return self._count

    @property
    def settings(self) -> SeriesSettings:  # type: ignore[override]
        """Name, schema, units and scales of the series."""
        return self._chunks[0].settings

    @property
    def segments(self) -> PinnedPieces:
        """The zero-copy pieces, one a chunk."""
        return PinnedPieces(self._make_rows, self._chunks, self._low, self._high, self._count)

    _source = segments

    def _assemble(self, index: int) -> NDArray[Any]:
        chunks, low, high = self._chunks, self._low, self._high
        # MappedChunk.column written out for the two ends: 0.2 us of 2.
        head, tail = chunks[0].clean[index], chunks[-1].clean[index]
        if head is None:
            head = chunks[0].ensure_verified(index, low, chunks[0].rows)
        if tail is None:
            tail = chunks[-1].ensure_verified(index, 0, high)
        between = [_whole(chunk, index) for chunk in chunks[1:-1]] if len(chunks) > 2 else ()
        joined = np.concatenate((head[low:], *between, tail[:high]))
        joined.setflags(write=False)  # before other threads can find it
        self._kept[index] = joined
        return joined


class LazyPieces(Pieces):
    """More chunks than may stay mapped: each is opened as it is used."""

    __slots__ = ("_refs", "_snapshot")

    def __init__(self, snapshot: Snapshot, refs: list[ChunkRef], low: int, high: int) -> None:
        super().__init__(snapshot.chunk_rows, low, high, sum([ref.rows for ref in refs[:-1]]) - low + high)
        self._snapshot = snapshot
        self._refs = refs

    def __len__(self) -> int:
        return len(self._refs)

    def _chunk(self, place: int) -> MappedChunk:
        return self._snapshot.open_chunk(*self._refs[place])

    def _rows_of(self, place: int) -> int:
        return self._refs[place].rows

    def _between(self, first: int, last: int, low: int, high: int) -> Rows:
        return self._snapshot.rows_between(self._refs[first : last + 1], low, high)


def _whole(chunk: MappedChunk, column: int) -> NDArray[Any]:
    """A whole column, verified."""
    clean = chunk.clean[column]
    return chunk.ensure_verified(column, 0, chunk.rows) if clean is None else clean
