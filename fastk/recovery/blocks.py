"""The blocks of one chunk: which of them are as their checksums say, and the rows of those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.format.chunk import column_offsets
from fastk.recovery.verdicts import Code, Problem, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fastk.io.disk import Disk
    from fastk.recovery.chunk_file import ChunkHead


_PIECE_BYTES = 1 << 20


class Run(NamedTuple):
    """Neighbouring blocks from ``first`` up to ``stop``, which is not among them."""

    first: int
    stop: int


class _Other(NamedTuple):
    """The bytes of a column from elsewhere, and which of its blocks count instead of the file's."""

    column: NDArray[np.uint8]
    counts: NDArray[np.bool_]


class Blocks:
    """Every (column, block) of a chunk whose header is sound, compared with its CRC.

    ``sound`` says which verify; blocks that a torn file does not hold do not. Costs one pass over the file. OSError if
    the medium does not give the bytes: they are read and not mapped, because a map would end the process then.
    """

    def __init__(self, disk: Disk, path: str, head: ChunkHead) -> None:
        self._header, self._schema = head.header, head.settings.schema
        self._disk, self._path = disk, path
        self._offsets, _ = column_offsets(self._schema, self._header.rows, self._header.length)
        self.sound = np.zeros(self._header.crcs.shape, bool)
        self._others: dict[int, _Other] = {}
        for place in range(len(self._schema.fields)):
            self._compare(place)

    @property
    def are_sound(self) -> bool:
        """Whether all verify."""
        return bool(self.sound.all())

    def _itemsize(self, place: int) -> int:
        return self._schema.fields[place].dtype.itemsize

    def _width(self, place: int) -> int:
        """Bytes of a block of a column."""
        return self._header.block_rows * self._itemsize(place)

    def _compare(self, place: int) -> None:
        """Compare a column with its CRCs; blocks that the file does not hold whole keep the verdict that they have."""
        width, expected = self._width(place), self._header.crcs[place]
        length = self._header.rows * self._schema.fields[place].dtype.itemsize
        first = 0
        for piece in self._disk.pieces(self._path, self._offsets[place], length, _piece_bytes(width)):
            count = -(-piece.size // width)
            found = np.empty(count, np.uint32)
            kernels.active.crc32c_blocks(piece, width, found)
            self.sound[place, first : first + count] = found == expected[first : first + count]
            first += count

    def complete(self, column_of: Callable[[int], NDArray[np.uint8]]) -> None:
        """Take damaged blocks from elsewhere, as far as those verify. ``column_of`` gives the bytes of all rows."""
        for place in np.flatnonzero(~self.sound.all(axis=1)).tolist():
            column, width = column_of(place), self._width(place)
            found = np.zeros_like(self._header.crcs[place])
            kernels.active.crc32c_blocks(column, width, found)
            counts = (found == self._header.crcs[place]) & ~self.sound[place]
            self._others[place] = _Other(column, counts)
            self.sound[place] |= counts

    def column_bytes(self, place: int) -> NDArray[np.uint8]:
        """The bytes of a column as the file holds them, sound or not; zeros where it is torn."""
        start, size = self._offsets[place], self._header.rows * self._itemsize(place)
        found = self._disk.map(self._path)[start : start + size]
        return found if found.size == size else np.concatenate([found, np.zeros(size - found.size, np.uint8)])

    # What is damaged

    def damage(self) -> list[tuple[Problem, Span]]:
        """Each run of damaged blocks of a column, and the rows that it holds."""
        return [self._damage(place, run) for place in range(len(self.sound)) for run in runs_of(~self.sound[place])]

    def _damage(self, place: int, run: Run) -> tuple[Problem, Span]:
        field, span = self._schema.fields[place], self._span(run)
        first = run.first * self._header.block_rows
        detail = (
            f"column {field.name!r} is damaged in rows {first:,} to {first + span.rows - 1:,} of "
            f"{self._header.rows:,} (blocks {run.first} to {run.stop - 1}): the checksums differ"
        )
        return Problem(Code.CORRUPT_BLOCK, detail, self._offsets[place] + run.first * self._width(place)), span

    @property
    def _kept(self) -> NDArray[np.bool_]:
        """Which blocks of rows verify in all columns."""
        kept: NDArray[np.bool_] = np.logical_and.reduce(self.sound, axis=0)
        return kept

    def lost(self) -> list[Span]:
        """The rows of blocks that are damaged in any column."""
        return [self._span(run) for run in runs_of(~self._kept)]

    def _span(self, run: Run) -> Span:
        """The rows of some blocks. The last ts is exact where its block verifies, else bounded by the block index."""
        header = self._header
        stop = min(run.stop * header.block_rows, header.rows)
        rows, start = stop - run.first * header.block_rows, int(header.first_ts[run.first])
        if stop == header.rows:
            return Span(start, header.end_ts, rows)
        if self.sound[0, run.stop - 1]:
            return Span(start, self._ts(stop - 1), rows)
        return Span(start, int(header.first_ts[run.stop]) - self._schema.unique_ts, rows)

    def _ts(self, row: int) -> int:
        other = self._others.get(0)
        if other is not None and other.counts[row // self._header.block_rows]:
            return int(other.column[8 * row : 8 * row + 8].view(np.int64)[0])
        (piece,) = self._disk.pieces(self._path, self._offsets[0] + 8 * row, 8, 8)
        return int(piece.view(np.int64)[0])

    # What is not

    def sound_rows(self) -> list[NDArray[Any]]:
        """The rows whose blocks of all columns verify, column by column, copied together."""
        kept = np.flatnonzero(self._kept).tolist()
        data = self._disk.map(self._path)
        return [self._rows(data, place, kept) for place in range(len(self.sound))]

    def _rows(self, data: NDArray[np.uint8], place: int, kept: list[int]) -> NDArray[Any]:
        width, size = self._width(place), self._header.rows * self._itemsize(place)
        own, other = data[self._offsets[place] :], self._others.get(place)
        parts = [np.empty(0, np.uint8)]
        for block in kept:
            column = own if other is None or not other.counts[block] else other.column
            parts.append(column[block * width : min((block + 1) * width, size)])
        return np.concatenate(parts).view(self._schema.fields[place].dtype)


def _piece_bytes(width: int) -> int:
    """Whole blocks of a column, about a MiB of them: what stays in the processor's cache."""
    return width * max(1, _PIECE_BYTES // width)


def runs_of(flags: NDArray[np.bool_]) -> list[Run]:
    """The runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [Run(first, stop) for first, stop in edges.reshape(-1, 2).tolist()]
