"""The kernels' contract: every implementation offers these functions with these arguments.

All arrays are C-contiguous and of one dimension. Arguments are trusted, because the compiled kernels check no index:
rows, ranges or outputs that do not fit their arrays have undefined results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Column: TypeAlias = "NDArray[Any]"
Int64Array: TypeAlias = "NDArray[np.int64]"
Uint32Array: TypeAlias = "NDArray[np.uint32]"
Uint8Array: TypeAlias = "NDArray[np.uint8]"
Float64Array: TypeAlias = "NDArray[np.float64]"
Words: TypeAlias = "NDArray[np.uint64]"


class Checksum(Protocol):
    """A checksum function that can go on from what came before."""

    def __call__(self, data: Any, value: int = 0, /) -> int:
        """Checksum of a bytes-like object or C-contiguous array; `value` is the checksum of what came before it."""


class Finder(Protocol):
    """A search of the value indexes of some chunks, which it keeps alive."""

    def __call__(
        self,
        begins: Int64Array,
        ends: Int64Array,
        lows: Column,
        highs: Column,
        counts: Int64Array,
        out: Uint32Array,
        /,
    ) -> int:
        """Write the rows from begins[i] to ends[i] of each chunk i whose values are in one of the ranges, ascending.

        There are 1 to MOST_RANGES ranges. Writes to counts[i] how many rows there are, or EMPTY or UNREACHED, and gives
        their sum; or -1, with any counts, if more entries than `out` has room for lie in the ranges (the rows that they
        name, where chunks are searched some at a time). O(chunks * ranges * log entries + rows / 64).
        """


class MemberFinder(Protocol):
    """A look for single values in the value indexes of some chunks of int64, which it keeps alive."""

    def __call__(self, count: int, one: int, two: int, three: int, four: int, answer: Int64Array, /) -> int:
        """Find the rows whose value is one of the first `count` values given, which may be the same.

        Writes to `answer`, one behind the other: three times MOST_MEMBER_ROWS words for the rows' ts, their values, and
        their places, chunk by chunk, ascending in each; then of each chunk how many there are, or UNREACHED. Gives how
        many there are, or -1 with anything in `answer` if there is no room for so many. OverflowError where a value is
        none of int64. O(chunks * count), and O(log entries) each where values lie close to each other.
        """


class Picker(Protocol):
    """A gather from the arrays of some chunks, which it keeps alive."""

    def __call__(self, counts: Int64Array, rows: Uint32Array, out: Column, /) -> None:
        """Write to `out` the values of counts[i] rows of each chunk i; there are as many `rows`. O(rows)."""


class Kernels(Protocol):
    """One implementation of all kernels; `fastk.kernels.plain` and `fastk.kernels.compiled` are the two."""

    def bounds(self, ts: Int64Array, start: int, end: int, /) -> tuple[int, int]:
        """Half-open row bounds (lo, hi) of start <= ts <= end in sorted `ts`; lo == hi where no row qualifies.

        Includes all rows of equal ts at either end. O(log n).
        """

    def find(self, ts: Int64Array, key: int, table: Int64Array, /) -> int:
        """First row of sorted `ts` with ts == key, -1 if there is none. O(log n).

        `table` has the same rows, or no columns: what the caller takes next of the row that is found.
        """

    def find_many(self, ts: Int64Array, keys: Int64Array, out: Int64Array, /) -> None:
        """Write to out[i] the first row of sorted `ts` with ts == keys[i], -1 if there is none. O(k log n)."""

    def lower_bounds(self, ts: Int64Array, keys: Int64Array, out: Int64Array, /) -> None:
        """Write to out[i] the first row of sorted `ts` with ts >= keys[i], len(ts) if there is none. O(k log n)."""

    def upper_bounds(self, ts: Int64Array, keys: Int64Array, out: Int64Array, /) -> None:
        """Write to out[i] the first row of sorted `ts` with ts > keys[i], len(ts) if there is none. O(k log n)."""

    def group_order(self, groups: Int64Array, count: int, out: Int64Array, /) -> None:
        """Write to int64 `out` which items are of group 0, then those of group 1 and so on, each in their order.

        0 <= groups[i] < count. O(n + count).
        """

    def take(self, column: Column, rows: Int64Array, targets: Int64Array, out: Column, /) -> None:
        """Set out[targets[i]] = column[rows[i]] for every i; `out` has the column's dtype, `targets` repeat nothing.

        Rows and targets are not negative. O(k).
        """

    def copy_ranges(
        self, column: Column, los: Int64Array, his: Int64Array, offsets: Int64Array, out: Column, /
    ) -> None:
        """Copy column[los[i]:his[i]] to `out` from offsets[i] on, for every i; los[i] <= his[i].

        `out` has the column's dtype. O(rows copied).
        """

    def first_disorder(self, ts: Int64Array, strict: bool, /) -> int:
        """First row with ts[row] < ts[row - 1] (strict: <=), or -1 if `ts` ascends. O(n), stops soon after the row."""

    def zones(self, column: Column, block_rows: int, minima: Column, maxima: Column, nan_flags: Uint8Array, /) -> None:
        """Write each block's least and greatest value, and 1 or 0 for whether it holds a NaN. O(n).

        A block has `block_rows` rows, the last one the rest. `minima` and `maxima` have the column's dtype; all three
        outputs have one entry a block. NaN are skipped, but a block of nothing else has NaN as minimum and maximum.
        """

    def crc32c_blocks(self, data: Uint8Array, block_bytes: int, out: Uint32Array, /) -> None:
        """Write the CRC-32C of each block of `block_bytes` bytes, the last one the rest, to `out`. O(n)."""

    def fnv1a(self, data: Uint8Array, value: int = ..., /) -> int:
        """Give the FNV-1a of 64 bits of `data`; `value` is that of what came before it. O(n)."""

    # Selections. A set of values is a list of ranges lows[i] <= value <= highs[i], ascending, apart from each other, of
    # the column's dtype and without NaN; `negated` stands for all other values, NaN among them. Rows selected between
    # `start` and `stop` are bits: bit j of words[i] is row 64 * (start // 64 + i) + j, and words reach up to `stop`.

    def prune(
        self,
        minima: Column,
        maxima: Column,
        nan_flags: Uint8Array,
        lows: Column,
        highs: Column,
        negated: bool,
        verdicts: Uint8Array,
        /,
    ) -> tuple[int, int]:
        """Write for each block, by its zone, whether NONE, SOME or ALL of its values belong to a set.

        `minima`, `maxima`, `lows` and `highs` are int64, uint64 or float64. A block of NaN alone has NaN as zone. Gives
        how many verdicts are SOME and how many ALL. O(blocks log ranges).
        """

    def scan(
        self,
        column: Column,
        verdicts: Uint8Array,
        block_rows: int,
        start: int,
        stop: int,
        lows: Column,
        highs: Column,
        negated: bool,
        words: Words,
        /,
    ) -> int:
        """Set the bits of the rows from `start` to `stop` whose values belong to a set, clear all others.

        Verdict i speaks for the `block_rows` rows from i * block_rows on; only rows of SOME are compared; start < stop.
        Numbers only, bool as uint8. Gives how many rows are selected. O(rows compared, log ranges each).
        """

    def index_bounds(
        self, values: Column, lows: Column, highs: Column, starts: Int64Array, stops: Int64Array, /
    ) -> int:
        """Write to starts[i] and stops[i] which entries of sorted `values` lie in each range; gives their number.

        Numbers only, bool as uint8. O(ranges log entries).
        """

    def mark(
        self,
        rows: Uint32Array,
        starts: Int64Array,
        stops: Int64Array,
        start: int,
        stop: int,
        negated: bool,
        words: Words,
        /,
    ) -> int:
        """Set the bits of the rows that entries starts[i]:stops[i] name, clear all others; the reverse if negated.

        Rows before `start` and from `stop` on are passed over. Gives how many rows are selected. O(entries + words).
        """

    def compact(self, column: Column, words: Words, start: int, out: Column, /) -> None:
        """Write the values of the selected rows, in order, to `out`, which has as many and the column's dtype.

        `start` is the one of the selection. O(words + values).
        """

    # Matches of many chunks at once. Arrays of one dtype, one a chunk, are packed for any number of calls: as a chain,
    # or with all that a kernel can be told before.

    def chain(self, columns: Sequence[Column], /) -> Any:
        """Pack arrays of one dtype. O(columns)."""

    def finder(
        self, values: Sequence[Column], rows: Sequence[Uint32Array], ahead: Sequence[Sequence[Column]] = ..., /
    ) -> Finder:
        """Prepare the search of the chunks' value indexes, which may read some values. O(columns + entries / 32).

        `ahead` are columns, one array a chunk, that the caller presumably takes of the rows that are found.
        """

    def member_finder(
        self, values: Sequence[Int64Array], rows: Sequence[Uint32Array], ts: Sequence[Int64Array], /
    ) -> MemberFinder:
        """Prepare the look for single values, which may read some. O(columns + entries / 16).

        There are up to MOST_MEMBER_CHUNKS indexes, none of them empty.
        """

    def scan_chunks(
        self,
        columns: Any,
        verdicts: Uint8Array,
        begins: Int64Array,
        ends: Int64Array,
        lows: Column,
        highs: Column,
        negated: bool,
        counts: Int64Array,
        out: Uint32Array,
        /,
    ) -> int:
        """Write the rows from begins[i] to ends[i] of each chunk i whose values belong to a set, ascending.

        Of chunks with the verdict ALL these are all, with NONE none; the others are compared. `columns` is a chain of
        numbers, bool as uint8. Writes to counts[i] how many rows there are, and gives their sum; `out` has room for
        all rows of windows that are not NONE. O(rows compared, log ranges each).
        """

    def picker(self, columns: Sequence[Column], /) -> Picker:
        """Prepare what takes the values of such rows. O(columns)."""

    # Replay.

    def merge(
        self,
        ts: Int64Array,
        stops: Int64Array,
        final: Uint8Array,
        labels: Column,
        shifts: Int64Array,
        positions: Int64Array,
        out_labels: Column,
        out_rows: Int64Array,
        out_ts: Int64Array,
        /,
    ) -> int:
        """Merge the runs ts[positions[i]:stops[i]], each sorted, until `out_ts` is full or a run that goes on is over.

        Of equal ts the events of the lower run come first, and those of one run in its order. A run goes on where
        final[i] is 0: more of it will be in `ts` in the next call, and it is not empty now. Writes of each event the
        label of its run, its position plus shifts[i], and its ts; moves `positions` behind them, and gives how many
        there are. `labels` and `out_labels` are uint16 or uint32. O(events log runs).
        """

    def interleave(self, columns: Any, labels: Column, out: Column, /) -> None:
        """Set out[i] to the next value of column labels[i]: each column hands out its values in order.

        `columns` is a chain of the dtype of `out`; `labels` are uint16 or uint32. O(events).
        """

    def sequence_breaks(
        self,
        values: Column,
        counts: Int64Array,
        gaps: Int64Array,
        duplicates: Int64Array,
        violations: Int64Array,
        /,
    ) -> None:
        """Find the rows whose value is not 1 above the one before: further above, equal to it, or below.

        Writes how many there are of these three kinds to `counts`, and the first rows of each kind to its list, as far
        as the list is long. Integers only, at the ends of their dtype too. O(n).
        """

    # Matrices. A grid is ascending ts without repetition; row numbers of a series may begin at a `base`, and -1 says
    # that there is none. `bundle` packs columns once for any number of calls of `spread` and `gather`, which write
    # column j to places[j], places[j] + row_step, ... of a float64, float32 or int64 array: numbers of any dtype,
    # divided as float64; int64 takes integers, and all divisors are 1.

    def equal(self, one: Int64Array, other: Int64Array, /) -> bool:
        """Tell whether two arrays of the same length hold the same. O(n), stops soon after a difference."""

    def unite(self, one: Int64Array, other: Int64Array, out: Int64Array, /) -> int:
        """Write the different values of two sorted arrays to `out`, ascending; gives their number.

        `out` has room for all values of both. O(n).
        """

    def intersect(self, one: Int64Array, other: Int64Array, out: Int64Array, /) -> int:
        """Write the different values that two sorted arrays share to `out`, ascending; gives their number.

        `out` has room for the values of either. O(n).
        """

    def align(self, ts: Int64Array, grid: Int64Array, base: int, reach: np.uint64, rows: Int64Array, /) -> int:
        """Write for each grid ts base + the last row at or before it, if no farther than `reach` behind it, else -1.

        `ts` and `grid` are sorted. Gives how many were found. O(grid log(rows between two)).
        """

    def carry_forward(self, limit: int, last: int, age: int, rows: Int64Array, /) -> tuple[int, int]:
        """Put the row before in the place of -1, up to `limit` times in a row; gives the state after the last one.

        The state is the last row (-1: none) and how many -1 came after it: what a call for the rows that follow needs.
        O(n).
        """

    def bundle(self, columns: Sequence[Column], /) -> Any:
        """Pack columns of any dtypes but text. O(columns)."""

    def spread(
        self,
        bundle: Any,
        first: int,
        count: int,
        divisors: Float64Array,
        places: Int64Array,
        row_step: int,
        out: Column,
        /,
    ) -> None:
        """Set out[places[j] + i * row_step] = columns[j][first + i] / divisors[j] for i < count. O(values)."""

    def gather(
        self,
        bundle: Any,
        base: int,
        rows: Int64Array,
        divisors: Float64Array,
        fill: Any,
        places: Int64Array,
        row_step: int,
        out: Column,
        /,
    ) -> None:
        """Set out[places[j] + i * row_step] = columns[j][rows[i] - base] / divisors[j], or `fill` where rows[i] is -1.

        O(values).
        """
