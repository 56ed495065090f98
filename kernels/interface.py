"""The kernels' contract: every implementation offers these functions with these arguments.

All arrays are C-contiguous and of one dimension. Arguments are trusted, because the compiled kernels check no index:
rows, ranges or outputs that do not fit their arrays have undefined results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Column: TypeAlias = "NDArray[Any]"
Int64Array: TypeAlias = "NDArray[np.int64]"
Uint32Array: TypeAlias = "NDArray[np.uint32]"
Uint8Array: TypeAlias = "NDArray[np.uint8]"


class Checksum(Protocol):
    """A checksum function that can go on from what came before."""

    def __call__(self, data: Any, value: int = 0, /) -> int:
        """Checksum of a bytes-like object or C-contiguous array; `value` is the checksum of what came before it."""


class Kernels(Protocol):
    """One implementation of all kernels; `fastk.kernels.plain` and `fastk.kernels.compiled` are the two."""

    def bounds(self, ts: Int64Array, start: int, end: int, /) -> tuple[int, int]:
        """Half-open row bounds (lo, hi) of start <= ts <= end in sorted `ts`; lo == hi where no row qualifies.

        Includes all rows of equal ts at either end. O(log n).
        """

    def find(self, ts: Int64Array, key: int, /) -> int:
        """First row of sorted `ts` with ts == key, -1 if there is none. O(log n)."""

    def lower_bounds(self, ts: Int64Array, keys: Int64Array, out: Int64Array, /) -> None:
        """Write to out[i] the first row of sorted `ts` with ts >= keys[i], len(ts) if there is none. O(k log n)."""

    def upper_bounds(self, ts: Int64Array, keys: Int64Array, out: Int64Array, /) -> None:
        """Write to out[i] the first row of sorted `ts` with ts > keys[i], len(ts) if there is none. O(k log n)."""

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
