"""One mapped chunk of the original: strided columns over rows, verified as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.engine.mapped import MappedChunk, Verify
from fastk.errors import InvalidData
from fastk.format.chunk import BLOCK_ROWS, ChunkHeader, ChunkIdentity, block_count, write_zones, zone_dtype
from fastk.format.original.chunk import OriginalHeader, parse_header
from fastk.format.original.records import row_dtype
from fastk.format.original.sidecars import ZONE_MAP
from fastk.format.sidecars import Zones

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.format.original.manifest import OriginalChunk
    from fastk.schema.settings import SeriesSettings

SAVED_A_BYTE = 4e-9
"""Seconds, by the compiled checksum."""


class OriginalMapped(MappedChunk):
    """Columns are views of one field of each row. ``dense`` holds contiguous copies, made when kernels want them.

    A file has one checksum for all of it, so that the first column that is touched verifies all: the checksum, if the
    manifest knows one, and the order of the rows.
    """

    __slots__ = ("_bytes", "entry")

    def __init__(
        self,
        data: NDArray[np.uint8],
        entry: OriginalChunk,
        identity: ChunkIdentity,
        settings: SeriesSettings,
        path: str,
        verified: list[bytearray] | None,
        verify: Verify,
        sidecars: int,
    ) -> None:
        self._bytes = data
        self.entry = entry
        dtype = row_dtype(settings.schema.record_type)
        header = parse_header(data, path)
        check_header(header, entry, settings, dtype.itemsize, path)
        records = data[header.length : header.rows_end].view(dtype)
        columns = [records[name] for name in settings.schema.names]
        described = _describe(header, identity, len(columns), data.size)
        self._set_up(described, columns, _as_table(records, columns), settings, path, verified, verify, sidecars)
        self.dense = [None] * len(columns)

    def _verify_blocks(self, index: int, first: int, last: int) -> None:
        self._check_sum()
        self._check_order()
        for place, flags in enumerate(self.verified):
            flags[:] = b"\1"
            self.clean[place] = self.columns[place]
        self.trusted = True

    def _check_sum(self) -> None:
        """Compare all bytes of the file with the manifest's checksum."""
        expected = self.entry.checksum
        if not expected:
            return
        found = _checksum(self._bytes)
        if found != expected:
            raise InvalidData(
                f"{self.path}: all {self.rows:,} rows (ts {self.header.start_ts} to {self.header.end_ts}) are in "
                f"doubt: the file's checksum is {found:016x}, and the manifest's {expected:016x}. Other chunks stay "
                f"readable; restore the file from a copy"
            )

    def _check_order(self) -> None:
        """What the header says of the rows, and the order that searches rely on; files may have no checksum."""
        ts = self._dense_copy(0)
        row = kernels.active.first_disorder(ts, self.settings.schema.unique_ts)
        if row >= 0:
            raise InvalidData(
                f"{self.path}: row {row:,} (ts {int(ts[row])}) is not later than the one before (ts "
                f"{int(ts[row - 1])}): the file is damaged; restore it from a copy"
            )
        if (int(ts[0]), int(ts[-1])) != (self.header.start_ts, self.header.end_ts):
            raise InvalidData(
                f"{self.path} holds ts {int(ts[0])} to {int(ts[-1])}, but its header says {self.header.start_ts} to "
                f"{self.header.end_ts}: the file is damaged; restore it from a copy"
            )

    def _dense_copy(self, index: int) -> NDArray[Any]:
        return read_only(np.ascontiguousarray(self.columns[index]))

    def ensure_dense(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """The whole column, verified, as a contiguous copy that stays for the next time."""
        if self.clean[index] is None:
            self.ensure_verified(index, 0, self.rows)
        column = self.dense[index]
        if column is None:
            column = self.dense[index] = self._dense_copy(index)
        return column

    def ensure_runs_verified(self, index: int, starts: NDArray[Any], stops: NDArray[Any]) -> NDArray[Any]:
        """As :meth:`ensure_dense`: a file is verified whole."""
        return self.ensure_dense(index, 0, self.rows)

    def verify_all(self, *, again: bool = False) -> int:
        """Verify the file, also if it was before and ``again``; it is one block."""
        if again or not self.trusted:
            self._verify_blocks(0, 0, 1)
        return 1

    def bounds(self, start: int, end: int) -> tuple[int, int]:
        """Half-open rows with ``start <= ts <= end`` (both within int64), by verified timestamps only."""
        self.used = True
        ts = self.dense[0]
        return kernels.active.bounds(self.ensure_dense(0, 0, self.rows) if ts is None else ts, start, end)

    @property
    def zone_rows(self) -> int:
        """Rows of a block of the zone map that the manifest names; 0 if it names none."""
        return next((each.block_rows for each in self.entry.sidecars if each.kind == ZONE_MAP), 0)

    def make_zones(self, column: int) -> Zones:
        """Zones of a column, which the file does not have. One pass over the column."""
        values = self.ensure_dense(column, 0, self.rows)
        blocks = block_count(self.rows, BLOCK_ROWS)
        wide, flags = zone_dtype(values.dtype), np.zeros(blocks, np.uint8)
        minima, maxima = np.zeros(blocks, wide), np.zeros(blocks, wide)
        write_zones(values, BLOCK_ROWS, minima, maxima, flags)
        return Zones(BLOCK_ROWS, *map(read_only, (minima, maxima, flags)))


def _checksum(data: NDArray[np.uint8]) -> int:
    """FNV-1a of a file."""
    return kernels.load_when_worth(SAVED_A_BYTE * data.size).fnv1a(data)


def check_header(
    header: OriginalHeader, entry: OriginalChunk, settings: SeriesSettings, record_size: int, path: str
) -> None:
    """Raise InvalidData unless a chunk's header is the one that its manifest describes.

    Where the manifest has a checksum of the file, that says whose it is: the original's repairs rename series.
    """
    pairs = [
        ("version", header.version, entry.version),
        ("record size", header.record_size, record_size),
        ("schema", header.schema_id, int(settings.schema.record_type)),
        ("number of rows", header.rows, entry.rows),
        ("first ts", header.start_ts, entry.start_ts),
        ("last ts", header.end_ts, entry.end_ts),
    ]
    if not entry.checksum:
        pairs += [
            ("series", header.series_id, settings.series_id),
            ("timeframe", header.timeframe_ms, settings.timeframe_ms),
        ]
    for what, found, expected in pairs:
        if found != expected:
            raise InvalidData(
                f"{path}: the {what} in its header is {found}, and {expected} in the manifest: it is damaged or "
                f"foreign; restore it from a copy"
            )


def _describe(header: OriginalHeader, identity: ChunkIdentity, columns: int, size: int) -> ChunkHeader:
    """The header in our terms: one block of all rows, whose zones and checksums nobody may ask for."""
    nothing = np.zeros((columns, 1), np.uint64)
    return ChunkHeader(
        identity=identity,
        settings=b"",
        rows=header.rows,
        start_ts=header.start_ts,
        end_ts=header.end_ts,
        block_rows=header.rows,
        superseded=np.empty(0, np.uint64),
        first_ts=np.array([header.start_ts], np.int64),
        minima=nothing,
        maxima=nothing,
        zone_flags=np.zeros((columns, 1), np.uint8),
        crcs=np.zeros((columns, 1), np.uint32),
        length=header.length,
        crc=0,
        file_length=size,
    )


def _as_table(records: NDArray[Any], columns: list[NDArray[Any]]) -> NDArray[Any] | None:
    """Rows of one dtype as a 2-D view (rows x columns); None where the fields differ."""
    first = columns[0]
    if any(column.dtype != first.dtype for column in columns):
        return None
    return records.view(first.dtype).reshape(records.size, -1)
