"""The rows of a snapshot in pieces that fit in memory, without those of damaged chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.engine.original.mapped import OriginalMapped
from fastk.errors import InvalidData
from fastk.recovery.reports import LostRows
from fastk.store.series import DEFAULT_SCALAR_ZMAP_BLOCK_SIZE, MOST_ZONE_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot

MOST_ROWS = 1 << 20
_MOST_PIECES = 1_000  # chunks that stay mapped for a batch


class Piece(NamedTuple):
    """Rows of one chunk, of which the first is in partition ``first`` and the last in ``last``."""

    chunk: MappedChunk
    low: int
    high: int
    first: int
    last: int
    zone_rows: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.high - self.low


class Batch:
    """Consecutive rows, at most one piece of each partition, so that one append makes a chunk of each piece."""

    def __init__(self, snapshot: Snapshot, pieces: list[Piece]) -> None:
        self._snapshot = snapshot
        self._pieces = pieces
        self.rows = sum(piece.rows for piece in pieces)
        self.zone_rows = pieces[0].zone_rows
        self.nbytes = self.rows * row_bytes(snapshot)

    def columns(self) -> list[NDArray[Any]]:
        """All columns, contiguous, in memory of their own."""
        return [self.column(place) for place in range(len(self._snapshot.settings.schema.fields))]

    def column(self, place: int) -> NDArray[Any]:
        """One column, verified."""
        return np.concatenate([piece.chunk.column(place, piece.low, piece.high) for piece in self._pieces])


def row_bytes(snapshot: Snapshot) -> int:
    """Bytes of a row without padding."""
    return snapshot.settings.schema.dtype.itemsize


def batches_of(snapshot: Snapshot, lost: list[LostRows]) -> Iterator[Batch]:
    """All sound rows in order of time; what is wrong with the others is added to ``lost``."""
    waiting: list[Piece] = []
    for piece in _pieces(snapshot, lost):
        if waiting and not _goes_with(waiting, piece):
            yield Batch(snapshot, waiting)
            waiting = []
        waiting.append(piece)
    if waiting:
        yield Batch(snapshot, waiting)


def _goes_with(waiting: list[Piece], piece: Piece) -> bool:
    last = waiting[-1]
    rows = sum(each.rows for each in waiting) + piece.rows
    if len(waiting) == _MOST_PIECES or rows > MOST_ROWS:
        return False
    return piece.first > last.last and piece.zone_rows == last.zone_rows


def _pieces(snapshot: Snapshot, lost: list[LostRows]) -> Iterator[Piece]:
    settings = snapshot.settings
    for ref in snapshot.refs:
        try:
            chunk = snapshot.open_chunk(*ref)
            chunk.verify_all()
        except (InvalidData, OSError) as error:
            lost.append(_lost(snapshot, ref, error))
            continue
        zone_rows = _zone_rows(chunk)
        for low, high in _cuts(chunk):
            ends = chunk.column(0, low, high)[[0, -1]]
            first, last = settings.partition.ordinals(ends, settings.time_unit).tolist()
            yield Piece(chunk, low, high, first, last, zone_rows)


def _lost(snapshot: Snapshot, ref: ChunkRef, error: Exception) -> LostRows:
    item, files = ref.item, snapshot.chunks.files
    path = files.chunk_name(item, snapshot.settings.partition).path
    span = int(item["start_ts"]), int(item["end_ts"])
    return LostRows(str(snapshot.settings.key), *span, ref.rows, path, str(error))


def _zone_rows(chunk: MappedChunk) -> int:
    """The size of the blocks of the zone map that the chunk has."""
    found = chunk.zone_rows if isinstance(chunk, OriginalMapped) else 0
    return found if 0 < found <= MOST_ZONE_ROWS else DEFAULT_SCALAR_ZMAP_BLOCK_SIZE


def _cuts(chunk: MappedChunk) -> Iterator[tuple[int, int]]:
    """Parts of a chunk of about the most rows; rows of one ts stay together."""
    low = 0
    while low < chunk.rows:
        high = min(low + MOST_ROWS, chunk.rows)
        if high < chunk.rows:
            ts = int(chunk.column(0, high, high + 1)[0])
            first, behind = chunk.bounds(ts, ts)
            high = first if first > low else behind
        yield low, high
        low = high


def first_difference(batch: Batch, rows: Rows) -> str | None:
    """The first column and row in which rows differ from a batch, in words; None if they are the same."""
    for place, name in enumerate(rows.schema.names):
        expected, found = batch.column(place), rows.column(name)
        if not np.array_equal(expected, found):
            row = int((expected != found).argmax())
            return f"{name} of row {row:,} behind ts {int(batch.column(0)[0])} is {found[row]}, not {expected[row]}"
    return None
