"""Sidecars of the chunks of one series, loaded at the first predicate.

A sidecar that is missing, damaged or another chunk's counts as not there, and is not tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import FastKError
from fastk.format.chunk import zone_dtype
from fastk.format.sidecars import (
    VALUE_INDEX,
    ZONE_MAP,
    SidecarOwner,
    ValueIndex,
    Zones,
    parse_value_index,
    parse_zone_map,
)

if TYPE_CHECKING:
    from fastk.engine.cache import MapCache
    from fastk.engine.mapped import MappedChunk, Verify
    from fastk.io.disk import Disk


class MappedIndex:
    """The value indexes of one chunk, by column; kept and let go by the map cache like a chunk."""

    __slots__ = ("columns", "used")

    def __init__(self, columns: dict[int, ValueIndex]) -> None:
        self.columns = columns
        self.used = True


class SeriesSidecars:
    """Loads the sidecars of one series. Value indexes are mapped and share the budget of maps; zone maps are read.

    ``indexes`` is where the mapped ones stand, by chunk.
    """

    def __init__(self, disk: Disk, maps: MapCache, verify: Verify, indexes: dict[int, MappedIndex]) -> None:
        self._disk = disk
        self._maps = maps
        self._check = verify != "never"
        self._indexes = indexes
        self._sound: set[int] = set()
        self._unusable: set[int] = set()

    def zones(self, chunk: MappedChunk, column: int) -> Zones:
        """The finest zones that there are of a numeric column: the zone map's or those of the header."""
        zones = chunk.zones.get(column)
        if zones is None:
            if not chunk.zones and chunk.sidecars & ZONE_MAP.bit:
                chunk.zones.update(self._read_zone_map(chunk))
            zones = chunk.zones.setdefault(column, self._coarse(chunk, column))
        return zones

    def span(self, chunk: MappedChunk, column: int) -> tuple[Any, Any, bool]:
        """Least and greatest value of a numeric column, and whether it has NaN; from coarse zones."""
        span = chunk.spans.get(column)
        if span is None:
            zones = self._coarse(chunk, column)
            least, greatest = np.fmin.reduce(zones.minima), np.fmax.reduce(zones.maxima)
            span = chunk.spans[column] = (least.item(), greatest.item(), bool(zones.nan_flags.any()))
        return span

    def spread(self, chunk: MappedChunk, column: int) -> float:
        """The mean width of the finest zones as a part of the column's span: small where like values stand together."""
        spread = chunk.spreads.get(column)
        if spread is None:
            spread = chunk.spreads[column] = _spread(self.zones(chunk, column), *self.span(chunk, column)[:2])
        return spread

    def _coarse(self, chunk: MappedChunk, column: int) -> Zones:
        return coarse_zones(chunk, column)

    def _read_zone_map(self, chunk: MappedChunk) -> dict[int, Zones]:
        path = chunk.path + ZONE_MAP.suffix
        try:
            data = np.frombuffer(self._disk.read(path), np.uint8)
            found = parse_zone_map(data, SidecarOwner.of(chunk.header), chunk.settings.schema, path)
        except (OSError, FastKError):
            return {}
        return {column: zones for column, zones in found.items() if zones.block_rows < chunk.header.block_rows}

    def value_index(self, chunk: MappedChunk, column: int) -> ValueIndex | None:
        """The value index of a column; None if there is none that can be used."""
        index = self._indexes.get(chunk.header.identity.chunk_id) or self._map_index(chunk)
        if index is None:
            return None
        index.used = True
        return index.columns.get(column)

    def _map_index(self, chunk: MappedChunk) -> MappedIndex | None:
        chunk_id = chunk.header.identity.chunk_id
        if not chunk.sidecars & VALUE_INDEX.bit or chunk_id in self._unusable:
            return None
        path = chunk.path + VALUE_INDEX.suffix
        check = self._check and chunk_id not in self._sound
        try:
            data = self._disk.map(path)
            columns = parse_value_index(data, SidecarOwner.of(chunk.header), chunk.settings.schema, path, check=check)
        except (OSError, FastKError):
            self._unusable.add(chunk_id)
            return None
        self._sound.add(chunk_id)
        return self._maps.add(self._indexes, chunk_id, MappedIndex(columns))

    def try_again(self) -> None:
        """Look anew at what could not be used."""
        self._unusable.clear()


def _spread(zones: Zones, least: Any, greatest: Any) -> float:
    span = float(greatest) - float(least)
    if not 0 < span < np.inf:
        return 1.0
    widths = np.subtract(zones.maxima, zones.minima, dtype=np.float64)
    return float(np.nanmean(widths / span))  # divided first: the sum of widths may be beyond float64


def coarse_zones(chunk: MappedChunk, column: int) -> Zones:
    """The zones of a numeric column in the chunk's header."""
    header = chunk.header
    wide = zone_dtype(chunk.columns[column].dtype)
    return Zones(
        header.block_rows, header.minima[column].view(wide), header.maxima[column].view(wide), header.zone_flags[column]
    )
