"""Sidecars of the original's scalar series, without header: zones of blocks of rows, and values in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidData

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZONE_MAP, VALUE_INDEX = "zmap", "vix"
ZONE = np.dtype(
    [("first_row", "<u4"), ("last_row", "<u4"), ("start_ts", "<i8"), ("end_ts", "<i8"), ("min", "<i8"), ("max", "<i8")]
)
VALUE = np.dtype([("value", "<i8"), ("ts", "<i8")])


def encode_zones(ts: NDArray[np.int64], values: NDArray[np.int64], block_rows: int) -> bytes:
    """A ``.zmap`` file."""
    firsts = np.arange(0, ts.size, block_rows)
    lasts = np.minimum(firsts + block_rows, ts.size) - 1
    zones = np.zeros(firsts.size, ZONE)
    zones["first_row"], zones["last_row"] = firsts, lasts
    zones["start_ts"], zones["end_ts"] = ts[firsts], ts[lasts]
    zones["min"] = np.minimum.reduceat(values, firsts)
    zones["max"] = np.maximum.reduceat(values, firsts)
    return zones.tobytes()


def encode_values(ts: NDArray[np.int64], values: NDArray[np.int64]) -> bytes:
    """A ``.vix`` file. One sort; rows of equal values stand in order of ts already."""
    order = np.argsort(values, kind="stable")
    entries = np.zeros(ts.size, VALUE)
    entries["value"], entries["ts"] = values[order], ts[order]
    return entries.tobytes()


def parse_zones(data: bytes, rows: int, path: str) -> tuple[int, NDArray[np.void]]:
    """Rows of a block, and the zones; InvalidData unless they cover the rows of the chunk, block after block."""
    zones = _items(data, ZONE, path)
    block_rows = int(zones["last_row"][0]) + 1
    firsts = np.arange(0, rows, block_rows)
    lasts = np.minimum(firsts + block_rows, rows) - 1
    if not (np.array_equal(zones["first_row"], firsts) and np.array_equal(zones["last_row"], lasts)):
        raise InvalidData(f"{path} does not describe the {rows:,} rows of its chunk")
    return block_rows, zones


def parse_values(data: bytes, rows: int, path: str) -> NDArray[np.void]:
    """The entries of a value index; InvalidData unless there is one a row of the chunk."""
    entries = _items(data, VALUE, path)
    if entries.size != rows:
        raise InvalidData(f"{path} has {entries.size:,} entries for {rows:,} rows")
    return entries


def _items(data: bytes, dtype: np.dtype[np.void], path: str) -> NDArray[np.void]:
    if not data or len(data) % dtype.itemsize:
        raise InvalidData(f"{path} has {len(data):,} bytes, which are no entries of {dtype.itemsize}")
    return np.frombuffer(data, dtype)
