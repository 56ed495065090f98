"""One mapped chunk: columns as read-only views, each block verified once before it is handed out or searched."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.errors import InvalidData
from fastk.format.chunk import ChunkHeader, as_table, block_count, map_columns, parse_chunk
from fastk.io.mapping import will_need

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.format.sidecars import Zones
    from fastk.schema.records import Record
    from fastk.schema.settings import SeriesSettings

Verify = Literal["touch", "open", "never"]

# A column up to this size is verified whole before it is searched (75 us at 14 GB/s); of a larger one only the blocks
# that a search touches.
WHOLE_SEARCH_BYTES = 1 << 20
NO_TABLE = read_only(np.empty((0, 0), np.int64))


class MappedChunk:
    """Columns of one chunk, and its verified ``header``.

    ``verified[i]`` holds one byte a block of column i, set after its CRC was compared; it is shared by all maps of the
    same chunk, so that an evicted and remapped chunk is not verified again. ``clean[i]`` is the column once all of it
    is verified, else None; ``trusted`` says that all columns are. ``dense`` is the same for kernels, which take
    contiguous columns only: here these are, and in layouts of rows they are copies. ``sidecars`` are the bits of those
    that the chunk should have. ``ahead`` is ``table``, of whose rows searches ask for the values, or one without
    columns. ``zones`` keeps the finest zones of the columns that predicates asked for, ``spans`` their least and
    greatest values, ``spreads`` how wide their zones are. A race of two threads verifies a block twice and is harmless.
    """

    __slots__ = (
        "__weakref__",
        "_record",
        "ahead",
        "clean",
        "columns",
        "dense",
        "header",
        "path",
        "rows",
        "settings",
        "sidecars",
        "spans",
        "spreads",
        "table",
        "trusted",
        "used",
        "verified",
        "zones",
    )

    def __init__(
        self,
        data: NDArray[np.uint8],
        header_crc: int,
        settings: SeriesSettings,
        path: str,
        verified: list[bytearray] | None,
        verify: Verify,
        sidecars: int = 0,
    ) -> None:
        header = parse_expected(data, header_crc, settings.series_id, path)
        columns = map_columns(data, header, settings.schema, path)
        self._set_up(header, columns, as_table(columns), settings, path, verified, verify, sidecars)

    def _set_up(
        self,
        header: ChunkHeader,
        columns: list[NDArray[Any]],
        table: NDArray[Any] | None,
        settings: SeriesSettings,
        path: str,
        verified: list[bytearray] | None,
        verify: Verify,
        sidecars: int,
    ) -> None:
        """What is the same for all layouts; ``table`` is one 2-D view (rows x columns) where all have one dtype."""
        self.header = header
        self.path = path
        self.settings = settings
        self._record: type[Record] | None = None
        self.rows = header.rows
        self.used = True
        self.sidecars = sidecars
        self.zones: dict[int, Zones] = {}
        self.spans: dict[int, tuple[Any, Any, bool]] = {}
        self.spreads: dict[int, float] = {}
        self.columns = columns
        self.table = table
        self.ahead = NO_TABLE if table is None else table
        self.verified = verified or self._unverified()
        unchecked = verify == "never"
        self.clean = [
            column if unchecked or 0 not in flags else None
            for column, flags in zip(self.columns, self.verified, strict=True)
        ]
        self.dense = self.clean
        self.trusted = all(column is not None for column in self.clean)
        if verify == "open":
            self.verify_all()

    def _unverified(self) -> list[bytearray]:
        blocks = block_count(self.rows, self.header.block_rows)
        return [bytearray(blocks) for _ in self.columns]

    def column(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop`` of a column, verified; zero-copy and read-only."""
        column = self.clean[index]
        if column is None:
            column = self.ensure_verified(index, start, stop)
        return column[start:stop]

    def dense_rows(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """The same for kernels: contiguous."""
        column = self.dense[index]
        if column is None:
            column = self.ensure_dense(index, start, stop)
        return column[start:stop]

    def ensure_dense(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """As :meth:`ensure_verified`; the column is contiguous."""
        return self.ensure_verified(index, start, stop)

    def ensure_verified(self, index: int, start: int, stop: int) -> NDArray[Any]:
        """Verify the blocks that hold the rows, unless done before, and return the whole column.

        This is the one place where stored bytes become trusted. Raises InvalidData naming the damaged rows.
        """
        column, flags = self.columns[index], self.verified[index]
        if start >= stop:
            return column
        block_rows = self.header.block_rows
        first, last = start // block_rows, (stop - 1) // block_rows + 1
        if flags.find(0, first, last) >= 0:
            self._verify_blocks(index, first, last)
            flags[first:last] = b"\1" * (last - first)
        if 0 not in flags:
            self.clean[index] = column
            self.trusted = all(each is not None for each in self.clean)
        return column

    def ensure_runs_verified(self, index: int, starts: NDArray[Any], stops: NDArray[Any]) -> NDArray[Any]:
        """Verify the blocks that hold rows of some runs, and return the whole column, contiguous.

        The runs are ascending, and none of them is empty. A small column is verified whole, if it is sound: that costs
        little, once, and finding the blocks much, often.
        """
        if self.columns[index].nbytes <= WHOLE_SEARCH_BYTES:
            with suppress(InvalidData):
                return self.ensure_verified(index, 0, self.rows)
        block_rows = self.header.block_rows
        begins = np.arange(0, self.rows, block_rows)
        behind = np.minimum(begins + block_rows, self.rows).astype(starts.dtype)
        touched = starts.searchsorted(behind) > stops.searchsorted(begins.astype(stops.dtype), "right")
        missing = np.flatnonzero(touched & (np.frombuffer(self.verified[index], np.uint8) == 0))
        for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
            if run.size:
                self.ensure_verified(index, int(run[0]) * block_rows, min((int(run[-1]) + 1) * block_rows, self.rows))
        return self.columns[index]

    def _verify_blocks(self, index: int, first: int, last: int) -> None:
        block_rows = self.header.block_rows
        rows = self.columns[index][first * block_rows : last * block_rows]
        will_need(rows)
        found = np.empty(last - first, np.uint32)
        kernels.active.crc32c_blocks(rows.view(np.uint8), block_rows * rows.itemsize, found)
        expected = self.header.crcs[index, first:last]
        if not (found == expected).all():
            self._report_damage(index, first + int((found != expected).argmax()))

    def _report_damage(self, index: int, block: int) -> None:
        start = block * self.header.block_rows
        stop = min(start + self.header.block_rows, self.rows)
        name = self.settings.schema.names[index]
        raise InvalidData(
            f"{self.path}: column {name!r} is damaged in rows {start:,} to {stop - 1:,} of {self.rows:,} "
            f"(from ts {int(self.header.first_ts[block])}): its checksum differs. Other rows and columns "
            f"stay readable; restore the file from a copy"
        )

    def verify_all(self, *, again: bool = False) -> int:
        """Verify every block of every column, also those verified before if ``again``; returns how many blocks."""
        for index, flags in enumerate(self.verified):
            if again:
                flags[:] = bytes(len(flags))
                self.clean[index], self.trusted = None, False
            self.ensure_verified(index, 0, self.rows)
        return sum(len(flags) for flags in self.verified)

    def bounds(self, start: int, end: int) -> tuple[int, int]:
        """Half-open rows with ``start <= ts <= end`` (both within int64), by verified timestamps only."""
        self.used = True
        ts = self.clean[0]
        if ts is None:
            if self.columns[0].nbytes > WHOLE_SEARCH_BYTES:
                return self._bounds_by_blocks(start, end)
            ts = self.ensure_verified(0, 0, self.rows)
        return kernels.active.bounds(ts, start, end)

    def at(self, ts: int) -> Any:
        """The first row with this ts as a record; None if there is none."""
        self.used = True
        stored = self.dense[0]
        row = self._find(ts) if stored is None else kernels.active.find(stored, ts, self.ahead)
        if row < 0:
            return None
        if self.trusted and self.table is not None:  # as row() does: a call saved is a tenth of a point read
            return (self._record or self._load_record())(*self.table[row].tolist())
        return self.row(row)

    def _find(self, ts: int) -> int:
        """The first row with this ts, -1 if there is none, where not all timestamps were verified yet."""
        low, high = self.bounds(ts, ts)
        return low if low < high else -1

    def _bounds_by_blocks(self, start: int, end: int) -> tuple[int, int]:
        """The same by the only blocks where each bound can lie: the last that begin before it."""
        first, behind = kernels.active.bounds(self.header.first_ts, start, end)
        if behind <= first:
            return self._search_block(max(first - 1, 0), start, end)
        low, _ = self._search_block(max(first - 1, 0), start, start)
        _, high = self._search_block(behind - 1, end, end)
        return low, max(low, high)

    def _search_block(self, block: int, start: int, end: int) -> tuple[int, int]:
        """The rows between two times as far as they lie in one block."""
        first = block * self.header.block_rows
        stop = min(first + self.header.block_rows, self.rows)
        if not self.verified[0][block]:
            self.ensure_verified(0, first, stop)
        low, high = kernels.active.bounds(self.columns[0][first:stop], start, end)
        return first + low, first + high

    def row(self, index: int) -> Any:
        """One row as a record of python values."""
        block = index // self.header.block_rows
        if not self.trusted and 0 in [flags[block] for flags in self.verified]:
            for column in range(len(self.columns)):
                self.ensure_verified(column, index, index + 1)
        record = self._record or self._load_record()
        if self.table is not None:
            return record(*self.table[index].tolist())
        return record(*[column.item(index) for column in self.columns])

    def _load_record(self) -> type[Record]:
        """The class of rows, which ranges do without."""
        self._record = self.settings.schema.record_class
        return self._record


def parse_expected(data: NDArray[np.uint8], header_crc: int, series_id: int, path: str) -> ChunkHeader:
    """The header of a mapped chunk, which must be the very one that the manifest names."""
    header = parse_chunk(data, path)
    if header.crc != header_crc or header.identity.series_id != series_id:
        raise InvalidData(
            f"{path} is a well-formed chunk, but not the one that was committed under this name: "
            f"it was replaced by hand or copied from elsewhere; restore it from a copy"
        )
    return header
