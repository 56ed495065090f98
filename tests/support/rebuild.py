"""The rows of a store by its chunk files alone, as if every manifest were lost.

A second opinion, written by the words of the format and with none of the library's recovery. Files set aside
(``.orphan``) do not count. ``P`` is the highest base sequence of all sound chunk headers of a series: the commits up to
it were published. Of those above it the highest that is complete may have been, and no other. What an adopted commit
names as superseded is dead; the rest of the adopted chunks are the rows.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

import crc32c
import numpy as np

from fastk.errors import FastKError
from fastk.format import names
from fastk.format.chunk import ChunkHeader, map_columns, parse_chunk
from fastk.schema.settings import SeriesSettings

from .disks import Image

Key = tuple[str, str, str]
Rows = dict[str, list[int]]


class Found(NamedTuple):
    """A chunk file with a sound header; ``columns`` is None where the bytes behind it are not sound."""

    header: ChunkHeader
    columns: dict[str, np.ndarray] | None

    @property
    def commit(self) -> int:
        return names.sequence_and_part(self.header.identity.chunk_id)[0]


def rebuilt(image: Image) -> dict[Key, Rows]:
    """The rows of each series that has any, by key."""
    series = defaultdict(list)
    for path, data in image.items():
        parts = path.split("/")
        if data is not None and parts[1:2] == ["series"] and path.endswith(".chunk"):
            chunk = _parse(data)
            if chunk is not None:
                series[tuple(names.parse_series_path(*parts[2:5]))].append(chunk)
    return {key: rows for key, chunks in series.items() if (rows := _rows_of(chunks))["ts"]}


@lru_cache(10_000)
def _parse(data: bytes) -> Found | None:
    array = np.frombuffer(data, np.uint8)
    try:
        header = parse_chunk(array, "image")
    except FastKError:
        return None
    schema = SeriesSettings.from_json(header.settings).schema
    columns = dict(zip(schema.names, map_columns(array, header, schema, "image"), strict=True))
    sound = all(_is_sound(*each, header.block_rows) for each in zip(columns.values(), header.crcs, strict=True))
    return Found(header, columns if sound else None)


def _is_sound(column: np.ndarray, crcs: np.ndarray, block_rows: int) -> bool:
    blocks = range(0, column.size, block_rows)
    return [crc32c.crc32c(column[first : first + block_rows].tobytes()) for first in blocks] == crcs.tolist()


def _rows_of(chunks: list[Found]) -> Rows:
    dead = set()
    adopted = _adopted(chunks)
    for chunk in adopted:
        dead.update(chunk.header.superseded.tolist())
    live = [chunk for chunk in adopted if chunk.header.identity.chunk_id not in dead and chunk.header.rows]
    live.sort(key=lambda chunk: (chunk.header.start_ts, chunk.header.identity.chunk_id))
    columns: dict[str, list[int]] = {"ts": []}
    for chunk in live:
        assert chunk.columns is not None, f"chunk {chunk.header.identity} was published before it was durable"
        for name, column in chunk.columns.items():
            columns.setdefault(name, []).extend(column.tolist())
    return columns


def _adopted(chunks: list[Found]) -> list[Found]:
    published = max(chunk.header.identity.base_sequence for chunk in chunks)
    commits = defaultdict(list)
    for chunk in chunks:
        commits[chunk.commit].append(chunk)
    later = [commit for commit, parts in commits.items() if commit > published and _is_complete(parts)]
    counted = {commit for commit in commits if commit <= published} | set(sorted(later)[-1:])
    return [chunk for commit in counted for chunk in commits[commit]]


def _is_complete(parts: list[Found]) -> bool:
    present = sorted(chunk.header.identity.part for chunk in parts if chunk.columns is not None)
    return present == list(range(parts[0].header.identity.parts))
