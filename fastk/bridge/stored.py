"""What is stored under a key now, and what the answers tell of it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fastk.errors import FastKError, InvalidInput, NotFound

if TYPE_CHECKING:
    from fastk.keys import ScalarSeriesKey, SeriesKey
    from fastk.schema.schema import Schema
    from fastk.store.series import Series
    from fastk.store.store import FastKStore
    from fastk.times import TimeUnit

_INVENTORY = (
    "month_key",
    "chunk_count",
    "record_count",
    "sealed_chunk_count",
    "active_delta_count",
    "sidecar_count",
)


def find(store: FastKStore, key: SeriesKey | ScalarSeriesKey, schema: Schema, unit: TimeUnit) -> Series | None:
    """The series in its newest committed state; None if there is none.

    InvalidInput for one that the contract cannot express, or which counts time in another unit than the caller.
    """
    series = store.series(key)
    try:
        series.refresh()
    except NotFound:  # it was dropped: only a refresh of the store lets go of what was pinned
        with suppress(FastKError, OSError):  # the trouble of other series is not this command's
            store.refresh()
    if not series.exists:
        return None
    settings = series.settings
    if settings.schema.fields != schema.fields:
        raise InvalidInput(f"series {series.key} holds {settings.schema.name} records, not {schema.name} records")
    if settings.time_unit != unit:
        raise InvalidInput(
            f"series {series.key} counts time in {settings.time_unit}, not in {unit}: give --time-unit "
            f"{settings.time_unit}, and every ts in it"
        )
    return series


def coverage(series: Series | None) -> dict[str, int | None]:
    """First and last ts, null without rows."""
    start, end = (series.span if series is not None else None) or (None, None)
    return {"coverage_start_ts": start, "coverage_end_ts": end}


def inventory(series: Series | None) -> list[dict[str, Any]]:
    """The months that hold rows."""
    entries = series.month_inventory() if series is not None else []
    return [{name: getattr(entry, name) for name in _INVENTORY} for entry in entries]


def row_count(series: Series | None) -> int:
    """How many rows are stored; 0 without a series."""
    return 0 if series is None else len(series)
