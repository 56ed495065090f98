"""How a matrix is filled: from which rows of which columns each of its rows comes. Any part can be filled by itself."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.errors import InvalidInput
from fastk.io.mapping import drop_pages
from fastk.matrix import grid as grids
from fastk.matrix import parallel
from fastk.matrix.fill import Filling, checked_fill
from fastk.matrix.request import Request, checked_reach, flat_divisors, sources_of
from fastk.matrix.timeline import Timeline, Window, timelines_of
from fastk.times import INT64_MAX, INT64_MIN, to_ts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.matrix.request import Source
    from fastk.matrix.same_times import SameTimes

    Int64 = NDArray[np.int64]

# Where more than this is read, pages of files leave the process's memory again as soon as they are used.
RESIDENT_BYTES = 64 << 20
# Rows looked at in one step on the way back to a value that is carried on.
_STEP_BACK = 4_096


class Target:
    """Where values go: ``table`` is a view (rows x columns) of contiguous memory, whichever of the two lies closer.

    Element (row, column) is ``flat[row * row_step + column * column_step]``.
    """

    __slots__ = ("column_step", "flat", "row_step", "table")

    def __init__(self, table: NDArray[Any]) -> None:
        self.table = table
        self.row_step, self.column_step = (step // table.itemsize for step in table.strides)
        self.flat = (table if table.flags.c_contiguous else table.T).reshape(-1)

    def part(self, start: int, stop: int) -> Target:
        """Some of its rows."""
        part = object.__new__(Target)
        part.table = self.table[start:stop]
        part.row_step, part.column_step = self.row_step, self.column_step
        part.flat = self.flat[start * self.row_step :]
        return part


class Aligned:
    """One timeline beside the grid."""

    def __init__(self, timeline: Timeline, grid: Int64, reach: int, divisors: NDArray[np.float64]) -> None:
        self.timeline = timeline
        self.grid = grid
        self.reach = reach
        self.places = read_only(np.array([place for source, _ in timeline.members for place in _places(source)]))
        self.divisors = read_only(divisors[self.places])
        firsts = [timeline.first_of(piece) for piece in range(len(timeline.pieces))]
        # The grid rows of piece k begin at starts[k]: those before have no row, or one of a piece before.
        self.starts: list[int] = np.searchsorted(grid, np.array(firsts, np.int64)).tolist()
        self.is_grid = self._is_grid()
        self.bundles: dict[int, Any] = {}

    def _is_grid(self) -> bool:
        """Whether the times are those of the grid, so that nothing need be searched."""
        timeline = self.timeline
        return (
            timeline.rows == self.grid.size
            and not timeline.lookback
            and all(
                kernels.active.equal(timeline.ts(piece), self.grid[base : base + timeline.pieces[piece].rows])
                for piece, base in enumerate(timeline.bases[:-1])
            )
        )

    def rows_of(self, start: int, stop: int) -> tuple[Int64, int]:
        """For grid rows ``start`` to ``stop`` the rows of the timeline, -1 where there is none; and how many there are."""
        rows, found = np.empty(stop - start, np.int64), 0
        piece = max(0, bisect_right(self.starts, start) - 1)
        before = self.starts[piece] if self.starts else stop
        rows[: max(0, min(before, stop) - start)] = -1
        while piece < len(self.starts) and self.starts[piece] < stop:
            first = max(start, self.starts[piece])
            last = min(stop, self.starts[piece + 1]) if piece + 1 < len(self.starts) else stop
            if first < last:
                part = rows[first - start : last - start]
                base = self.timeline.bases[piece]
                ts, grid = self.timeline.ts(piece), self.grid[first:last]
                found += kernels.active.align(ts, grid, base, self.reach, part)
            piece += 1
        return rows, found

    def state_before(self, start: int, limit: int) -> tuple[int, int]:
        """The row that could be carried on to grid row ``start``, and how many grid rows without one came after it."""
        stop, age = start, 0
        while stop > 0 and age < limit:
            rows, found = self.rows_of(max(0, stop - _STEP_BACK), stop)
            if found:
                last = int(np.flatnonzero(rows >= 0)[-1])
                return int(rows[last]), age + rows.size - 1 - last
            age += rows.size
            stop -= rows.size
        return -1, age

    def bundle(self, piece: int) -> Any:
        """The columns of a piece, verified and packed for the kernels."""
        bundle = self.bundles.get(piece)
        if bundle is None:
            _, low, high = self.timeline.pieces[piece]
            columns = [chunk.ensure_verified(field, low, high) for chunk, field in self.timeline.columns(piece)]
            bundle = kernels.active.bundle(columns)
        return bundle


def _places(source: Source) -> range:
    return range(source.first, source.first + len(source.fields))


class Plan:
    """All that decides a matrix, over pinned snapshots. Filling changes nothing, and threads may share a plan."""

    def __init__(self, request: Request, snapshots: Sequence[Snapshot], known: SameTimes, threads: int) -> None:
        kernels.load()
        self.request = request
        self.sources = sources_of(request, snapshots)
        self.unit = snapshots[0].settings.time_unit
        self.dtype = request.dtype
        reach = checked_reach(request.align, request.tolerance, self.unit)
        self.filling = self._filling()
        window, given = self._window(reach)
        self.timelines = timelines_of(self.sources, window, known, threads)
        self.grid = self._grid(window, given)
        divisors = flat_divisors(request, self.sources)
        self.aligned = [Aligned(timeline, self.grid, reach, divisors) for timeline in self.timelines]
        self.columns = int(divisors.size)
        self.is_large = self._input_bytes() > RESIDENT_BYTES

    def _filling(self) -> Filling:
        without_gaps = isinstance(self.request.grid, str) and self.request.grid == "intersection"
        return checked_fill(self.request.fill, self.dtype, may_have_gaps=not without_gaps)

    def _window(self, reach: int) -> tuple[Window, Int64 | None]:
        """What is read, and the grid if it is an array."""
        start, end = (
            open_end if time is None else to_ts(time, self.unit)
            for time, open_end in ((self.request.start, INT64_MIN), (self.request.end, INT64_MAX))
        )
        if start > end:
            raise InvalidInput(f"the matrix's start {start} lies after its end {end}")
        grids.is_named(self.request.grid)
        start, end = max(start, INT64_MIN), min(end, INT64_MAX)
        given = grids.given_grid(self.request.grid, self.unit, start, end)
        if given is not None and given.size:
            start, end = int(given[0]), int(given[-1])
        return Window(start, end, looks_back=reach > 0), given

    def _grid(self, window: Window, given: Int64 | None) -> Int64:
        if given is not None:
            return given
        if grids.is_named(self.request.grid):
            return grids.named_grid(self.request.grid, self.timelines)
        return grids.step_grid(self.request.grid, self.unit, window.start, window.end, self.timelines)

    def _input_bytes(self) -> int:
        return sum(
            timeline.rows * source.snapshot.settings.schema.fields[field].dtype.itemsize
            for timeline in self.timelines
            for source, _ in timeline.members
            for field in source.fields
        )

    @property
    def rows(self) -> int:
        """Rows of the matrix."""
        return int(self.grid.size)

    @property
    def nbytes(self) -> int:
        """Bytes of its values."""
        return self.rows * self.columns * self.dtype.itemsize

    def verify(self, threads: int) -> None:
        """Verify all that the matrix will be filled from; InvalidData before anything is written.

        Packs the columns for the kernels, too, unless there are more chunks than may stay mapped.
        """
        chunks = sum(len(timeline.pieces) * len(timeline.members) for timeline in self.timelines)
        keep = chunks <= self.sources[0].snapshot.most_pinned_chunks
        for aligned in self.aligned:
            for piece in range(len(aligned.timeline.pieces)):
                self._verify_piece(aligned, piece, keep, threads)

    def _verify_piece(self, aligned: Aligned, piece: int, keep: bool, threads: int) -> None:
        _, low, high = aligned.timeline.pieces[piece]
        found = list(aligned.timeline.columns(piece))
        unclean = [(chunk, field) for chunk, field in found if chunk.clean[field] is None]

        def verify(column: tuple[MappedChunk, int]) -> None:
            chunk, field = column
            verified = chunk.ensure_verified(field, low, high)
            if self.is_large:
                drop_pages(verified[low:high])

        parallel.each(verify, unclean, threads)
        columns = [chunk.columns[field] for chunk, field in found]
        self._check_unsigned(columns, found)
        if keep:
            aligned.bundles[piece] = kernels.active.bundle(columns)

    def _check_unsigned(self, columns: list[NDArray[Any]], found: list[tuple[MappedChunk, int]]) -> None:
        """Refuse uint64 values that a matrix of int64 cannot hold; the zones in the headers know the greatest."""
        if self.dtype.kind != "i":
            return
        for column, (chunk, field) in zip(columns, found, strict=True):
            if column.dtype == np.uint64 and column.size and int(chunk.header.maxima[field].max()) > INT64_MAX:
                name = chunk.settings.schema.names[field]
                raise InvalidInput(f"{chunk.settings.key}: {name!r} has values beyond int64; take dtype='float64'")

    def fill(self, start: int, stop: int, target: Target, mask: NDArray[np.bool_] | None = None) -> list[int]:
        """Write grid rows ``start`` to ``stop`` to rows 0 on of a target; gives for each timeline how many are its own."""
        return [self._fill_timeline(aligned, start, stop, target, mask) for aligned in self.aligned]

    def _fill_timeline(self, aligned: Aligned, start: int, stop: int, target: Target, mask: NDArray[np.bool_] | None) -> int:
        if aligned.is_grid:
            self._spread(aligned, start, stop, target)
            if mask is not None:
                mask[: stop - start, aligned.places] = True
            return stop - start
        rows, found = aligned.rows_of(start, stop)
        if self.filling.limit:
            last, age = aligned.state_before(start, self.filling.limit)
            kernels.active.carry_forward(self.filling.limit, last, age, rows)
        self._gather(aligned, rows, target)
        if mask is not None:
            mask[: rows.size, aligned.places] = (rows >= 0)[:, np.newaxis]
        return found

    def _spread(self, aligned: Aligned, start: int, stop: int, target: Target) -> None:
        """Rows of the grid are rows of the timeline."""
        timeline, first = aligned.timeline, start
        places = aligned.places * target.column_step
        while first < stop:
            piece = timeline.piece_of(first)
            last = min(stop, timeline.bases[piece + 1])
            row = first - timeline.bases[piece] + timeline.pieces[piece].low
            out = target.flat[(first - start) * target.row_step :]
            kernels.active.spread(
                aligned.bundle(piece), row, last - first, aligned.divisors, places, target.row_step, out
            )
            self._let_go(aligned, piece, row, row + last - first)
            first = last

    def _gather(self, aligned: Aligned, rows: Int64, target: Target) -> None:
        """Rows of the grid are rows of the timeline that ascend, or none."""
        timeline, begin = aligned.timeline, 0
        places = aligned.places * target.column_step
        for piece, stop in _cuts(timeline, rows):
            part = rows[begin:stop]
            base = timeline.bases[piece] - timeline.pieces[piece].low
            out = target.flat[begin * target.row_step :]
            kernels.active.gather(
                aligned.bundle(piece), base, part, aligned.divisors, self.filling.value, places, target.row_step, out
            )
            own = part[part >= 0] if self.is_large else part[:0]
            if own.size:
                self._let_go(aligned, piece, int(own[0]) - base, int(own[-1]) - base)
            begin = stop
        if begin < rows.size:
            target.table[begin : rows.size, aligned.places] = self.filling.value

    def _let_go(self, aligned: Aligned, piece: int, low: int, high: int) -> None:
        if self.is_large:
            for chunk, field in aligned.timeline.columns(piece):
                drop_pages(chunk.columns[field][low:high])


def _cuts(timeline: Timeline, rows: Int64) -> list[tuple[int, int]]:
    """Which piece the rows of each part come from, and where the part ends. Rows without one belong to any."""
    own = rows[rows >= 0]
    if not own.size:
        return []
    first, last = timeline.piece_of(int(own[0])), timeline.piece_of(int(own[-1]))
    stops = [int((rows >= timeline.bases[piece]).argmax()) for piece in range(first + 1, last + 1)]
    return list(zip(range(first, last + 1), [*stops, rows.size], strict=True))
