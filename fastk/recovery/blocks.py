"""The blocks of one chunk: which of them are as their checksums say, and the rows of those."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels
from fastk.format.chunk import column_offsets
from fastk.recovery.verdicts import Code, Problem, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.io.disk import Disk
    from fastk.recovery.chunk_file import ChunkHead


class Run(NamedTuple):
    """Neighbouring blocks from ``first`` up to ``stop``, which is not among them."""

    first: int
    stop: int


class Blocks:
    """Every (column, block) of a chunk whose header is sound, compared with its CRC.

    ``sound`` says which verify; blocks that a torn file does not hold do not. Costs one pass over the file, and one
    kernel call a column. OSError if the medium does not give the bytes.
    """

    def __init__(self, disk: Disk, path: str, head: ChunkHead) -> None:
        disk.read_through(path)
        self._header, self._schema = head.header, head.settings.schema
        self._data = disk.map(path)
        self._offsets, _ = column_offsets(self._schema, self._header.rows, self._header.length)
        self.sound = np.zeros(self._header.crcs.shape, bool)
        for place in range(len(self._schema.fields)):
            self._compare(place)

    @property
    def are_sound(self) -> bool:
        """Whether all verify."""
        return bool(self.sound.all())

    def _width(self, place: int) -> int:
        """Bytes of a block of a column."""
        return self._header.block_rows * self._schema.fields[place].dtype.itemsize

    def _column(self, place: int) -> NDArray[np.uint8]:
        """The bytes that the file holds of a column."""
        start = self._offsets[place]
        return self._data[start : start + self._header.rows * self._schema.fields[place].dtype.itemsize]

    def _compare(self, place: int) -> None:
        raw, width = self._column(place), self._width(place)
        complete = raw.size == self._header.rows * self._schema.fields[place].dtype.itemsize
        count = len(self._header.first_ts) if complete else raw.size // width
        found = np.empty(count, np.uint32)
        if count:
            kernels.active.crc32c_blocks(raw[: count * width], width, found)
        self.sound[place, :count] = found == self._header.crcs[place, :count]

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
            return Span(start, int(self._column(0)[8 * (stop - 1) : 8 * stop].view(np.int64)[0]), rows)
        return Span(start, int(header.first_ts[run.stop]) - self._schema.unique_ts, rows)

    # What is not

    def sound_rows(self) -> list[NDArray[Any]]:
        """The rows whose blocks of all columns verify, column by column, copied together."""
        kept = runs_of(self._kept)
        return [self._rows(place, kept) for place in range(len(self.sound))]

    def _rows(self, place: int, kept: list[Run]) -> NDArray[Any]:
        raw, width = self._column(place), self._width(place)
        parts = [raw[run.first * width : run.stop * width] for run in kept]
        return np.concatenate([np.empty(0, np.uint8), *parts]).view(self._schema.fields[place].dtype)


def runs_of(flags: NDArray[np.bool_]) -> list[Run]:
    """The runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    return [Run(first, stop) for first, stop in edges.reshape(-1, 2).tolist()]
