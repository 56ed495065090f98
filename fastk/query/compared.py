"""Many small chunks, of which all rows are compared at once: what a chunk costs by itself would be most of a query.

The span of each chunk's values decides first; only chunks that it leaves undecided are compared, or verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.engine.rows import rows_class
from fastk.format.chunk import zone_dtype
from fastk.kernels.codes import NONE, SOME
from fastk.query.at_once import ChunksAtOnce, RowsAtOnce, opened
from fastk.query.planner import NUMPY
from fastk.query.stats import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.snapshot import Snapshot
    from fastk.query.at_once import Int64
    from fastk.query.values import ValueSet

# On average. Comparing so many takes 0.3 us, and up to 3 where all match; a chunk searched by itself takes 8.
_MOST_ROWS_A_CHUNK = 2_048
_FEWEST_CHUNKS = 3
# In all: a query takes four bytes of room for each, of which it touches those of rows that match.
_MOST_ROWS = 1 << 21
# Open for one in the window: what lies around it costs some 20 ns a chunk.
_MOST_OPEN = 256
# Of the chunks numpy must have to compare one in so many: the rest it takes sooner one by one, as views.
_FEWEST_COMPARED = 8
# Of a chunk that numpy may search among many ranges: 70 ns each, and an index may know the few that match.
_MOST_ROWS_SEARCHED = 1_024


class ComparedRows(RowsAtOnce):
    """Rows that were compared, or taken because their chunk's span decided."""

    __slots__ = ("_compared", "_decided")

    def __init__(
        self, chunks: ComparedChunks, counts: Int64, places: NDArray[np.uint32], span: tuple[int, int],
        compared: Int64, decided: int,
    ) -> None:  # fmt: skip
        super().__init__(chunks, counts, places, span)
        self._compared = compared
        self._decided = decided

    @property
    def _tally(self) -> Tally:
        touched = self._span[1] - self._span[0]
        return Tally(
            chunks=touched,
            chunks_pruned=touched - len(self._compared),
            rows_checked=int(self._compared.sum()),
            zones_helped=self._decided > 0,
            fallback_scan=len(self._compared) > 0,
        )


class ComparedChunks(ChunksAtOnce):
    """Chunks whose values of one column are compared together."""

    def __init__(self, snapshot: Snapshot, refs: Sequence[ChunkRef], column: int) -> None:
        super().__init__(snapshot, refs)
        self._column = column
        self._found: type[ComparedRows] = rows_class(ComparedRows, snapshot.settings.schema)
        columns = [_as_numbers(chunk.columns[column]) for chunk in self._chunks]
        self._values = self.kernels.chain(columns)
        spans = [snapshot.chunks.sidecars.span(chunk, column) for chunk in self._chunks]
        least, greatest, has_nan = zip(*spans, strict=True)
        wide = zone_dtype(columns[0].dtype)
        self._least, self._greatest = np.array(least, wide), np.array(greatest, wide)
        self._has_nan = np.array(has_nan, np.uint8)

    def find(self, values: ValueSet, start: int, end: int) -> ComparedRows | None:
        """The matching rows of a window; None where they are found sooner chunk by chunk.

        That is where few of the open chunks touch the window; in numpy also where most of them match whole or not, or
        where each is much to search among many ranges.
        """
        first, stop, low_rows, high_rows, rows = self.window(start, end)
        if len(low_rows) > _MOST_OPEN * (stop - first):
            return None
        searched_by_numpy = self.kernels is kernels.plain and values.ranges > NUMPY.few
        if searched_by_numpy and rows > _MOST_ROWS_SEARCHED * (stop - first):
            return None
        verdicts, counts = np.empty(len(low_rows), np.uint8), np.empty(len(low_rows), np.int64)
        self.kernels.prune(self._least, self._greatest, self._has_nan, *values.wide, values.negated, verdicts)
        sizes = high_rows - low_rows
        undecided = (verdicts == SOME) & (sizes > 0)
        if self.kernels is kernels.plain and _FEWEST_COMPARED * np.count_nonzero(undecided) < stop - first:
            return None
        if self._column not in self.verified:
            self._verify_windows(undecided, low_rows, high_rows)
        places = np.empty(int(sizes[verdicts != NONE].sum()), np.uint32)
        found = self.kernels.scan_chunks(
            self._values, verdicts, low_rows, high_rows, *values.arrays, values.negated, counts, places
        )
        decided = int(np.count_nonzero(sizes) - np.count_nonzero(undecided))
        kept = places[:found]
        if 2 * found < len(places):
            kept = kept.copy()  # a view keeps all of the room
        return self._found(self, counts, kept, (first, stop), sizes[undecided], decided)

    def _verify_windows(self, undecided: NDArray[np.bool_], low_rows: Int64, high_rows: Int64) -> None:
        """Verify the rows that will be compared."""
        for place, chunk in self.unverified(self._column, undecided):
            chunk.dense_rows(self._column, int(low_rows[place]), int(high_rows[place]))


def _as_numbers(column: NDArray[Any]) -> NDArray[Any]:
    return column.view(np.uint8) if column.dtype.kind == "b" else column


def compared_chunks(snapshot: Snapshot, column: int, start: int, end: int) -> ComparedChunks | None:
    """The chunks that touch a window, to be compared at once.

    None if they are few, or too many to stay mapped, or large.
    """
    return opened(snapshot, column, start, end, _open, at_once=False)


def _open(snapshot: Snapshot, column: int, refs: list[ChunkRef]) -> ComparedChunks | None:
    most = min(_MOST_ROWS_A_CHUNK * len(refs), _MOST_ROWS)
    if len(refs) < _FEWEST_CHUNKS or sum(ref.rows for ref in refs) > most:
        return None
    if not all(snapshot.open_chunk(*ref).columns[column].flags.c_contiguous for ref in refs):
        return None  # of rows as the original wrote them, columns are made when they are read
    return ComparedChunks(snapshot, refs, column)
