"""How many rows a chunk file held whose header nobody can read."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, NamedTuple

from fastk.format import names, sidecars
from fastk.format.chunk import most_rows
from fastk.recovery.sidecar_file import sound_owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.io.disk import Disk
    from fastk.recovery.chunk_file import ChunkFile
    from fastk.recovery.scan import SeriesScan
    from fastk.schema.settings import SeriesSettings


class RowCount(NamedTuple):
    """``rows`` are None where nothing tells them, and a bound where ``at_most``."""

    rows: int | None = None
    at_most: bool = False


def count_rows(disk: Disk, scan: SeriesScan, file: ChunkFile, settings: SeriesSettings | None) -> RowCount:
    """What a sidecar knows, else what fits into the file unless that was cut. ``settings`` are None if unknown."""
    if file.head is not None:
        return RowCount(file.head.header.rows)
    for rows in _rows_by_sidecars(disk, scan, file, settings):
        return RowCount(rows)
    if settings is None or not file.has_end:
        return RowCount()
    return RowCount(most_rows(settings.schema, file.size), at_most=True)


def _rows_by_sidecars(disk: Disk, scan: SeriesScan, file: ChunkFile, settings: SeriesSettings | None) -> Iterator[int]:
    name = os.path.basename(file.path)
    chunk_id = names.chunk_of_file(name)
    for kind in sidecars.KINDS:
        sidecar = name + kind.suffix
        owner = sound_owner(disk, scan.place.chunk(sidecar), scan.chunks.get(sidecar), kind)
        is_own = owner is not None and (settings is None or owner.series_id == settings.series_id)
        if owner is not None and is_own and owner.chunk_id == chunk_id:
            yield owner.rows
