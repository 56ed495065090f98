"""What listings, inventories and statistics return: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastk.format.tables import ChunkState
from fastk.schema.schema import RecordType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class ChunkMeta:
    """One chunk of a series. ``relative_path`` is below the series' folder, ``checksum`` the CRC-32C of its header.

    In a store of the original ``chunk_id``, ``state`` and ``checksum`` (FNV-1a of the file) are what its manifest says.
    """

    chunk_id: int
    partition_key: str
    start_ts: int
    end_ts: int
    count: int
    state: ChunkState
    generation: int
    relative_path: str
    sidecar_count: int
    file_length: int
    checksum: int


@dataclass(frozen=True, slots=True)
class MonthInventoryEntry:
    """The chunks of one UTC month; of one year, where that is the partition."""

    month_key: str
    chunk_count: int
    record_count: int
    sealed_chunk_count: int
    active_delta_count: int
    sidecar_count: int


@dataclass(frozen=True, slots=True)
class SeriesInventoryEntry:
    """One line of a listing. ``problem`` says why the numbers are zero where the series' manifest is unreadable."""

    symbol: str
    category: str
    name: str
    record_type: str
    timeframe_ms: int
    chunk_count: int
    record_count: int
    sidecar_count: int
    active_delta_count: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class IndicatorInventoryEntry:
    """What is stored of one indicator."""

    symbol: str
    timeframe: str
    name: str
    timeframe_ms: int
    chunk_count: int
    record_count: int
    coverage_start_ts: int | None
    coverage_end_ts: int | None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """Sums over all readable series of a store."""

    series_count: int
    kline_series_count: int
    scalar_series_count: int
    chunk_count: int
    record_count: int
    sidecar_count: int
    active_delta_count: int


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a verification of every checksum covered."""

    chunks: int
    blocks: int
    bytes: int
    seconds: float


def chunk_inventory(snapshot: Snapshot) -> list[ChunkMeta]:
    """All chunks in order of time."""
    partition, files = snapshot.settings.partition, snapshot.chunks.files
    metas = []
    for leaf in snapshot.leaves():
        for item in leaf.table:
            name = files.chunk_name(item, partition)
            metas.append(
                ChunkMeta(
                    name.chunk_id,
                    partition.key(int(item["partition"])),
                    int(item["start_ts"]),
                    int(item["end_ts"]),
                    int(item["rows"]),
                    ChunkState(item["state"]),
                    int(item["generation"]),
                    name.path,
                    int(item["sidecars"]).bit_count(),
                    int(item["file_length"]),
                    name.checksum,
                )
            )
    return metas


def month_inventory(snapshot: Snapshot) -> list[MonthInventoryEntry]:
    """The chunks summed up by UTC month, or by year where that is the partition."""
    months: dict[str, list[ChunkMeta]] = {}
    for meta in chunk_inventory(snapshot):
        months.setdefault(meta.partition_key[:7], []).append(meta)
    return [MonthInventoryEntry(month, *_sums(metas)) for month, metas in months.items()]


def _sums(metas: list[ChunkMeta]) -> tuple[int, int, int, int, int]:
    sealed = sum(meta.state == ChunkState.SEALED for meta in metas)
    active = sum(meta.state == ChunkState.ACTIVE for meta in metas)
    return len(metas), sum(meta.count for meta in metas), sealed, active, sum(meta.sidecar_count for meta in metas)


def inventory_entry(snapshot: Snapshot) -> SeriesInventoryEntry:
    """The listing's line of a series. Cost: linear in its chunks, by numpy."""
    settings, table = snapshot.settings, snapshot.table
    active = int((table["state"] == ChunkState.ACTIVE).sum())
    sidecars = int((table["sidecars"] & 1).sum()) + int((table["sidecars"] >> 1 & 1).sum())
    return SeriesInventoryEntry(
        *settings.key,
        settings.schema.name,
        settings.timeframe_ms,
        table.size,
        int(table["rows"].sum()),
        sidecars,
        active,
    )


def store_stats(entries: Sequence[SeriesInventoryEntry]) -> StoreStats:
    """Sums over those that could be read."""
    readable = [entry for entry in entries if entry.problem is None]
    return StoreStats(
        series_count=len(readable),
        kline_series_count=sum(entry.record_type == RecordType.KLINE.name.lower() for entry in readable),
        scalar_series_count=sum(entry.record_type == RecordType.SCALAR.name.lower() for entry in readable),
        chunk_count=sum(entry.chunk_count for entry in readable),
        record_count=sum(entry.record_count for entry in readable),
        sidecar_count=sum(entry.sidecar_count for entry in readable),
        active_delta_count=sum(entry.active_delta_count for entry in readable),
    )
