"""Sidecars of the original: used if their checksum, and what can be compared with the chunk, is right."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.engine.original.mapped import OriginalMapped
from fastk.engine.sidecars import MappedIndex, SeriesSidecars
from fastk.errors import FastKError, InvalidData
from fastk.format.original import names
from fastk.format.original.manifest import checksum
from fastk.format.original.sidecars import VALUE_INDEX, ZONE_MAP, parse_values, parse_zones
from fastk.format.sidecars import ValueIndex, Zones

if TYPE_CHECKING:
    from fastk.engine.mapped import MappedChunk
    from fastk.format.original.manifest import OriginalSidecar

_VALUE = 1  # the place of the only column that has sidecars, in rows of scalars


class OriginalSidecars(SeriesSidecars):
    """Zones from ``.zmap`` files or made from the column, value indexes from ``.vix`` files."""

    def _coarse(self, chunk: MappedChunk, column: int) -> Zones:
        assert isinstance(chunk, OriginalMapped)
        if not chunk.zones and chunk.sidecars:
            chunk.zones.update(self._read_zone_map(chunk))
        return chunk.zones.get(column) or chunk.zones.setdefault(column, chunk.make_zones(column))

    def _read_zone_map(self, chunk: MappedChunk) -> dict[int, Zones]:
        """The zones of a sidecar, which are believed without a look at the rows.

        So one is left aside whose checksum was taken by a repair of the original's, of whatever lay there then.
        """
        found = self._listed(chunk, ZONE_MAP)
        if found is None or not found.generation:
            return {}
        try:
            block_rows, zones = parse_zones(self._read(chunk, found), chunk.rows, found.path)
        except (OSError, FastKError):
            return {}
        parts = zones["min"], zones["max"], np.zeros(zones.size, np.uint8)
        return {_VALUE: Zones(block_rows, *map(read_only, parts))}

    def _map_index(self, chunk: MappedChunk) -> MappedIndex | None:
        chunk_id = chunk.header.identity.chunk_id
        found = self._listed(chunk, VALUE_INDEX)
        if found is None or chunk_id in self._unusable:
            return None
        try:
            index = _value_index(chunk, self._read(chunk, found), found.path)
        except (OSError, FastKError):
            self._unusable.add(chunk_id)
            return None
        return self._maps.add(self._indexes, chunk_id, MappedIndex({_VALUE: index}))

    def _listed(self, chunk: MappedChunk, kind: str) -> OriginalSidecar | None:
        assert isinstance(chunk, OriginalMapped)
        return next((each for each in chunk.entry.sidecars if each.kind == kind and each.checksum), None)

    def _read(self, chunk: MappedChunk, sidecar: OriginalSidecar) -> bytes:
        folder = os.path.dirname(chunk.path)
        data = self._disk.read(os.path.join(folder, names.file_in_chunks(sidecar.path, chunk.path)))
        if checksum(data) != sidecar.checksum:
            raise InvalidData(f"{sidecar.path} is damaged: its checksum differs")
        return data


def _value_index(chunk: MappedChunk, data: bytes, path: str) -> ValueIndex:
    """The index with rows in place of times; InvalidData unless every entry is the row that it names."""
    entries = parse_values(data, chunk.rows, path)
    ts, column = (chunk.dense_rows(place, 0, chunk.rows) for place in (0, _VALUE))
    values, times = read_only(entries["value"]), read_only(entries["ts"])
    rows = np.empty(chunk.rows, np.int64)
    kernels.active.lower_bounds(ts, times, rows)
    np.minimum(rows, chunk.rows - 1, out=rows)
    less, more = values[:-1], values[1:]
    ascend = (less < more) | ((less == more) & (rows[:-1] < rows[1:]))
    if not ((ts[rows] == times).all() and (column[rows] == values).all() and ascend.all()):
        raise InvalidData(f"{path} is not the index of its chunk")
    return ValueIndex(values, read_only(rows.astype(np.uint32)))
