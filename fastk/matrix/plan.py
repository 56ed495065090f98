"""How a matrix is filled: from which rows of which columns each of its rows comes. Any part can be filled by itself."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from copy import copy
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.errors import InvalidInput
from fastk.io.mapping import drop_pages
from fastk.matrix import grid as grids
from fastk.matrix import parallel
from fastk.matrix.fill import Filling, checked_fill
from fastk.matrix.named_grid import named_grid
from fastk.matrix.request import Request, checked_reach, flat_divisors, sources_of
from fastk.matrix.timeline import Column, Timeline, Window, timelines_of
from fastk.times import INT64_MAX, INT64_MIN, to_ts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.kernels.interface import Kernels
    from fastk.matrix.request import Source
    from fastk.matrix.same_times import SameTimes

    Int64 = NDArray[np.int64]

# Where more than this is read, pages of files leave the process's memory again as soon as they are used.
RESIDENT_BYTES = 64 << 20
# Columns that are filled together: whole cache lines of each row, and few enough files mapped at a time.
GROUP_COLUMNS = 32
# Columns of the same times, where a row lies in one piece: all of usual matrices, as far as the budget of maps allows.
ALIKE_COLUMNS = 256
# Rows of a group of several timelines that are filled before the next ones, so that the lines of the output which they
# share are still in a cache of 2 MiB.
_SHARED_ROWS = 4_096
# Rows of a single timeline that are aligned at a time, 8 bytes each.
_OWN_ROWS = 65_536
# Rows looked at in one step on the way back to a value that is carried on.
_STEP_BACK = 4_096
_SAVED_A_BYTE = 5e-10  # seconds, by the compiled kernels


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
    """Some columns of a timeline, with their places in the matrix, or in a part of it from column ``first`` on."""

    def __init__(
        self, beside: Beside, columns: list[Column], divisors: NDArray[np.float64], first: int, *, keeps: bool
    ) -> None:
        self.beside = beside
        self.timeline = beside.timeline
        self.columns = columns
        places = np.array([column.place for column in columns], np.int64)
        self.places = read_only(places - first)
        self.divisors = read_only(divisors[places])
        self._keeps = keeps
        self._bundles: dict[tuple[Kernels, int], Any] = {}
        self.is_first = columns[0] is self.timeline.columns[0]

    def chunks(self, piece: int) -> list[MappedChunk]:
        """The chunk of each column, mapped."""
        return [column.places[piece].open() for column in self.columns]

    def bundle(self, piece: int, implementation: Kernels) -> Any:
        """The columns of a piece, verified and packed for kernels; each implementation packs for itself."""
        bundle = self._bundles.get((implementation, piece))
        if bundle is None:
            _, low, high = self.timeline.pieces[piece]
            chunks = zip(self.chunks(piece), self.columns, strict=True)
            bundle = implementation.bundle([chunk.ensure_dense(each.field, low, high) for chunk, each in chunks])
            if self._keeps:
                self._bundles[implementation, piece] = bundle
        return bundle

    def drop_pages(self, start: int, stop: int) -> None:
        """Let the pages go from which grid rows ``start`` to ``stop`` are filled."""
        for piece in self.beside.pieces(start, stop):
            for chunk in self.chunks(piece):
                drop_pages(chunk.columns[0])


class Beside:
    """A timeline beside the grid: which of its rows belong to which of the grid's.

    The grid rows of piece k begin at ``starts[k]``: those before have no row, or one of a piece before.
    """

    def __init__(self, timeline: Timeline, grid: Int64, reach: int) -> None:
        self.timeline = timeline
        self.grid = grid
        self.reach = np.uint64(reach)
        firsts = [timeline.first_of(piece) for piece in range(len(timeline.pieces))]
        self.starts: list[int] = np.searchsorted(grid, np.array(firsts, np.int64)).tolist()
        self.is_grid = self._is_grid()

    def pieces(self, start: int, stop: int) -> range:
        """The pieces that grid rows ``start`` to ``stop`` come from; a value carried on may be of one before."""
        return range(max(0, bisect_right(self.starts, start) - 1), bisect_left(self.starts, stop))

    def _is_grid(self) -> bool:
        """Whether the times are those of the grid, so that nothing need be searched."""
        timeline = self.timeline
        return timeline.rows == self.grid.size and all(
            kernels.active.equal(timeline.ts(piece), self.grid[base : base + timeline.pieces[piece].rows])
            for piece, base in enumerate(timeline.bases[:-1])
        )

    def rows_of(self, start: int, stop: int) -> tuple[Int64, int]:
        """For grid rows ``start`` to ``stop`` the timeline's rows, -1 where there is none; and how many there are."""
        rows, found = np.empty(stop - start, np.int64), 0
        rows[: max(0, min(self.starts[0] if self.starts else stop, stop) - start)] = -1
        for piece in self.pieces(start, stop):
            first = max(start, self.starts[piece])
            last = min(stop, self.starts[piece + 1]) if piece + 1 < len(self.starts) else stop
            if first < last:
                part, base = rows[first - start : last - start], self.timeline.bases[piece]
                found += kernels.active.align(self.timeline.ts(piece), self.grid[first:last], base, self.reach, part)
        return rows, found

    def state_before(self, start: int, limit: int) -> tuple[int, int]:
        """The row that could be carried on to grid row ``start``, and how many grid rows without one came after it."""
        stop, age, first = start, 0, self.starts[0] if self.starts else start
        while stop > first and age < limit:
            rows, found = self.rows_of(max(0, stop - _STEP_BACK), stop)
            if found:
                last = int(np.flatnonzero(rows >= 0)[-1])
                return int(rows[last]), age + rows.size - 1 - last
            age += rows.size
            stop -= rows.size
        return -1, age


class Plan:
    """All that decides a matrix, over pinned snapshots. Filling changes nothing, and threads may share a plan."""

    def __init__(self, request: Request, sources: list[Source], known: SameTimes, threads: int) -> None:
        self.request = request
        self.sources = sources
        self.unit = sources[0].snapshot.settings.time_unit
        self.dtype = request.dtype
        reach = checked_reach(request.align, request.tolerance, self.unit)
        self.filling = self._filling()
        window, given = self._window(reach)
        self.timelines = timelines_of(self.sources, window, known, threads)
        input_bytes = self._input_bytes()
        self.is_large = input_bytes > RESIDENT_BYTES
        kernels.load_when_worth(_SAVED_A_BYTE * input_bytes)
        self.grid = self._grid(window, given)
        self._divisors = flat_divisors(request, self.sources)
        self._besides = [Beside(timeline, self.grid, reach) for timeline in self.timelines]
        self.columns = int(self._divisors.size)
        self._threads = threads
        self.groups = self._groups(0, self.columns)

    @classmethod
    def of(cls, request: Request, snapshots: Sequence[Snapshot], known: SameTimes, threads: int) -> Plan:
        """The plan of what is asked for; InvalidInput for what does not fit together."""
        return cls(request, sources_of(request, snapshots), known, threads)

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
            return named_grid(self.request.grid, self.timelines)
        return grids.step_grid(self.request.grid, self.unit, window.start, window.end, self.timelines)

    def columns_between(self, first: int, stop: int) -> Plan:
        """The plan of a part of the matrix: some of its columns, next to each other."""
        if stop - first == self.columns:
            return self
        part = copy(self)
        part.groups, part.columns = self._groups(first, stop), stop - first
        return part

    @property
    def _width(self) -> int:
        """So many columns are a group, of which each thread keeps a file mapped."""
        if len(self._besides) > 1 or self.request.layout == "FT":
            return GROUP_COLUMNS
        most = self.sources[0].snapshot.most_pinned_chunks // self._threads
        return max(GROUP_COLUMNS, min(ALIKE_COLUMNS, most))

    def _groups(self, first: int, stop: int) -> list[list[Aligned]]:
        """The columns between two places, so many together as are filled together."""
        chunks = sum(len(timeline.pieces) * len(timeline.members) for timeline in self.timelines)
        keeps = chunks <= self.sources[0].snapshot.most_pinned_chunks
        groups: list[list[Aligned]] = [[]]
        width = room = self._width
        for beside in self._besides:
            columns = [column for column in beside.timeline.columns if first <= column.place < stop]
            while columns:
                if not room:
                    groups.append([])
                    room = width
                groups[-1].append(Aligned(beside, columns[:room], self._divisors, first, keeps=keeps))
                columns, room = columns[room:], room - len(groups[-1][-1].columns)
        return groups

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
        for aligned in self._all_aligned():
            for piece in range(len(aligned.timeline.pieces)):
                self._verify_piece(aligned, piece, threads)

    def _verify_piece(self, aligned: Aligned, piece: int, threads: int) -> None:
        _, low, high = aligned.timeline.pieces[piece]
        fields = [column.field for column in aligned.columns]
        found = list(zip(aligned.chunks(piece), fields, strict=True))

        def verify(column: tuple[MappedChunk, int]) -> None:
            chunk, field = column
            chunk.ensure_verified(field, low, high)
            if self.is_large:
                drop_pages(chunk.columns[field])

        parallel.each(verify, [(chunk, field) for chunk, field in found if chunk.clean[field] is None], threads)
        if self.dtype.kind == "i":
            for chunk, field in found:
                _check_unsigned(chunk, field, low, high)
        aligned.bundle(piece, kernels.active)

    def fill(self, start: int, stop: int, target: Target, mask: NDArray[np.bool_] | None = None) -> None:
        """Write grid rows ``start`` to ``stop`` to rows 0 on of a target."""
        for group in self.groups:
            self.fill_group(group, start, stop, target, mask)

    def fill_rows(self, start: int, stop: int, target: Target) -> None:
        """Write the rows of the only series, those of equal ts too."""
        for aligned in self._all_aligned():
            self._spread(aligned, start, stop, target, None)

    def _all_aligned(self) -> Iterator[Aligned]:
        return (aligned for group in self.groups for aligned in group)

    def fill_group(
        self, group: list[Aligned], start: int, stop: int, target: Target, mask: NDArray[np.bool_] | None = None
    ) -> list[int]:
        """The same for some of the columns; gives for each timeline how many grid rows have a row of its own."""
        found = [0] * len(group)
        states: dict[int, tuple[int, int] | None] = {}
        step = _OWN_ROWS if len(group) == 1 else _SHARED_ROWS
        for first in range(start, stop, step):
            last = min(first + step, stop)
            part, marks = target.part(first - start, last - start), None if mask is None else mask[first - start :]
            for place, aligned in enumerate(group):
                if aligned.beside.is_grid:
                    self._spread(aligned, first, last, part, marks)
                    found[place] += last - first
                else:
                    rows, count = aligned.beside.rows_of(first, last)
                    states[place] = self._carry(aligned, first, rows, states.get(place))
                    self._gather(aligned, rows, part, marks)
                    found[place] += count
        return found

    def _carry(
        self, aligned: Aligned, start: int, rows: Int64, state: tuple[int, int] | None
    ) -> tuple[int, int] | None:
        limit = self.filling.limit
        if not limit:
            return None
        last, age = state or aligned.beside.state_before(start, limit)
        return kernels.active.carry_forward(limit, last, age, rows)

    def _spread(self, aligned: Aligned, start: int, stop: int, target: Target, mask: NDArray[np.bool_] | None) -> None:
        """Rows of the grid are rows of the timeline."""
        timeline, first = aligned.timeline, start
        places = aligned.places * target.column_step
        while first < stop:
            piece = timeline.piece_of(first)
            last = min(stop, timeline.bases[piece + 1])
            row = first - timeline.bases[piece] + timeline.pieces[piece].low
            out = target.flat[(first - start) * target.row_step :]
            implementation = kernels.active  # which may change in a process
            implementation.spread(
                aligned.bundle(piece, implementation), row, last - first, aligned.divisors, places, target.row_step, out
            )
            first = last
        if mask is not None:
            mask[: stop - start, aligned.places] = True

    def _gather(self, aligned: Aligned, rows: Int64, target: Target, mask: NDArray[np.bool_] | None) -> None:
        """Rows of the grid are rows of the timeline that ascend, or none."""
        timeline, begin = aligned.timeline, 0
        places = aligned.places * target.column_step
        for piece, stop in _cuts(timeline, rows):
            base = timeline.bases[piece] - timeline.pieces[piece].low
            out = target.flat[begin * target.row_step :]
            implementation = kernels.active
            implementation.gather(
                aligned.bundle(piece, implementation), base, rows[begin:stop], aligned.divisors, self.filling.value,
                places, target.row_step, out,
            )  # fmt: skip
            begin = stop
        target.table[begin : rows.size, aligned.places] = self.filling.value
        if mask is not None:
            mask[: rows.size, aligned.places] = (rows >= 0)[:, np.newaxis]


def _cuts(timeline: Timeline, rows: Int64) -> list[tuple[int, int]]:
    """Which piece the rows of each part come from, and where the part ends. Rows without one belong to any."""
    places = np.flatnonzero(rows >= 0)
    if not places.size:
        return []
    own = rows[places]
    first, last = timeline.piece_of(int(own[0])), timeline.piece_of(int(own[-1]))
    stops = [0, *places[own.searchsorted(timeline.bases[first + 1 : last + 1])].tolist(), rows.size]
    pieces = zip(range(first, last + 1), pairwise(stops), strict=True)
    return [(piece, stop) for piece, (start, stop) in pieces if start < stop]


def _check_unsigned(chunk: MappedChunk, field: int, low: int, high: int) -> None:
    """Refuse values that a matrix of int64 cannot hold. Most often the zones in the header know that there are none."""
    column = chunk.columns[field]
    if column.dtype != np.uint64 or int(chunk.header.maxima[field].max()) <= INT64_MAX:
        return
    if int(column[low:high].max()) > INT64_MAX:
        name = chunk.settings.schema.names[field]
        raise InvalidInput(f"{chunk.settings.key}: {name!r} has values beyond int64; take dtype='float64'")
