"""The blocks of one chunk: which of them are as their checksums say, and the rows of those."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.format.chunk import column_offsets
from fastk.recovery.reading import read_stretch
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

    ``sound`` says which verify; blocks that a torn file does not hold do not, nor those of which the medium has lost
    bytes. Costs one pass over the file. OSError if no block can be read, or one for another reason than a bad medium.
    Bytes are read and not mapped, because a map would end the process where there are none.
    """

    def __init__(self, disk: Disk, path: str, head: ChunkHead) -> None:
        self._header, self._schema = head.header, head.settings.schema
        self._disk, self._path = disk, path
        self._offsets, _ = column_offsets(self._schema, self._header.rows, self._header.length)
        self.sound: NDArray[np.bool_] = np.zeros(self._header.crcs.shape, bool)
        self._unreadable = np.zeros_like(self.sound)
        self._errors: list[OSError] = []
        self._was_read = False
        self._others: dict[int, _Other] = {}
        for place in range(len(self._schema.fields)):
            self._compare(place)
        if self._errors and not self._was_read:
            raise self._errors[0]

    @property
    def are_sound(self) -> bool:
        """Whether all verify."""
        return bool(self.sound.all())

    def _itemsize(self, place: int) -> int:
        return self._schema.fields[place].dtype.itemsize

    def _width(self, place: int) -> int:
        """Bytes of a block of a column."""
        return self._header.block_rows * self._itemsize(place)

    def _length(self, place: int) -> int:
        """Bytes of a column."""
        return self._header.rows * self._itemsize(place)

    def _compare(self, place: int) -> None:
        """Compare a column with its CRCs; blocks that the file does not hold whole keep the verdict that they have.

        Many at once, and one by one where these cannot be read.
        """
        first, count = 0, len(self._header.first_ts)
        while first < count:
            first = self._compare_on(place, first)
            stop = min(first + _piece_bytes(self._width(place)) // self._width(place), count)
            for block in range(first, stop):
                self._compare_one(place, block)
            first = stop

    def _compare_on(self, place: int, first: int) -> int:
        """Compare from a block on, as far as the bytes can be read; how far."""
        start, width = first * self._width(place), self._width(place)
        length = self._length(place) - start
        try:
            for piece in self._disk.pieces(self._path, self._offsets[place] + start, length, _piece_bytes(width)):
                self._judge(place, first, piece)
                first += -(-piece.size // width)
        except OSError:
            return first
        return len(self._header.first_ts)

    def _compare_one(self, place: int, block: int) -> None:
        try:
            self._judge(place, block, self._stretch(place, Run(block, block + 1)))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._errors.append(error)
            self._unreadable[place, block] = True

    def _judge(self, place: int, first: int, content: NDArray[np.uint8]) -> None:
        """Compare neighbouring blocks, the first of which is ``first``, with their CRCs."""
        found = np.empty(-(-content.size // self._width(place)), np.uint32)
        kernels.active.crc32c_blocks(content, self._width(place), found)
        self.sound[place, first : first + found.size] = found == self._header.crcs[place, first : first + found.size]
        self._was_read |= found.size > 0

    def _stretch(self, place: int, run: Run) -> NDArray[np.uint8]:
        """The bytes of some blocks of a column; less where the file is torn."""
        width = self._width(place)
        start, stop = run.first * width, min(run.stop * width, self._length(place))
        return read_stretch(self._disk, self._path, self._offsets[place] + start, stop - start)

    def complete(self, column_of: Callable[[int], NDArray[np.uint8]]) -> None:
        """Take damaged blocks from elsewhere, as far as those verify. ``column_of`` gives the bytes of a column there.

        Those may be fewer than the chunk's: they are tried as its first rows, and as its last.
        """
        for place in np.flatnonzero(~self.sound.all(axis=1)).tolist():
            column, width, length = column_of(place), self._width(place), self._length(place)
            other = _Other(np.zeros(length, np.uint8), np.zeros_like(self.sound[place]))
            for start in sorted({0, length - column.size}):
                candidate = np.zeros(length, np.uint8)
                candidate[start : start + column.size] = column
                found = np.zeros_like(self._header.crcs[place])
                kernels.active.crc32c_blocks(candidate, width, found)
                counts = (found == self._header.crcs[place]) & ~self.sound[place]
                for run in runs_of(counts):
                    stretch = slice(run.first * width, run.stop * width)
                    other.column[stretch] = candidate[stretch]
                other.counts[:] |= counts
                self.sound[place] |= counts
            self._others[place] = other

    def column_bytes(self, place: int) -> NDArray[np.uint8]:
        """The bytes of a column as the file holds them, sound or not; zeros where it is torn or cannot be read."""
        column, width = np.zeros(self._length(place), np.uint8), self._width(place)
        for run in runs_of(~self._unreadable[place]):
            found = self._stretch(place, run)
            column[run.first * width : run.first * width + found.size] = found
        return column

    # What is damaged

    def damage(self) -> list[tuple[Problem, Span]]:
        """Each run of damaged blocks of a column, and the rows that it holds."""
        found = []
        for place, damaged in enumerate(~self.sound):
            unreadable = damaged & self._unreadable[place]
            found += [self._damage(place, run) for run in runs_of(damaged & ~unreadable)]
            found += [self._damage(place, run, self._errors[0]) for run in runs_of(unreadable)]
        return found

    def _damage(self, place: int, run: Run, error: OSError | None = None) -> tuple[Problem, Span]:
        field, span = self._schema.fields[place], self._span(run)
        first = run.first * self._header.block_rows
        code, what, why = Code.CORRUPT_BLOCK, "is damaged", "the checksums differ"
        if error is not None:
            code, what, why = Code.UNREADABLE_BLOCK, "cannot be read", error.strerror or str(error)
        detail = (
            f"column {field.name!r} {what} in rows {first:,} to {first + span.rows - 1:,} of "
            f"{self._header.rows:,} (blocks {run.first} to {run.stop - 1}): {why}"
        )
        return Problem(code, detail, self._offsets[place] + run.first * self._width(place)), span

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
        return int(read_stretch(self._disk, self._path, self._offsets[0] + 8 * row, 8).view(np.int64)[0])

    # What is not

    def sound_rows(self) -> list[NDArray[Any]]:
        """The rows whose blocks of all columns verify, column by column, copied together."""
        kept = np.flatnonzero(self._kept).tolist()
        return [self._rows(place, kept) for place in range(len(self.sound))]

    def _rows(self, place: int, kept: list[int]) -> NDArray[Any]:
        width, own, other = self._width(place), self.column_bytes(place), self._others.get(place)
        parts = [np.empty(0, np.uint8)]
        for block in kept:
            column = own if other is None or not other.counts[block] else other.column
            parts.append(column[block * width : (block + 1) * width])
        return np.concatenate(parts).view(self._schema.fields[place].dtype)


def _piece_bytes(width: int) -> int:
    """Whole blocks of a column, about a MiB of them: what stays in the processor's cache."""
    return width * max(1, _PIECE_BYTES // width)


def runs_of(flags: NDArray[np.bool_]) -> list[Run]:
    """The runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [Run(first, stop) for first, stop in edges.reshape(-1, 2).tolist()]
