"""What is stored of a series, month by month. A missing series, and a missing store, is an answer and no failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastk.bridge.answers import Answer
from fastk.bridge.series_keys import indicator_key, kline_key, named, scalar_key, unit_of, value_scale
from fastk.bridge.stored import coverage, find, inventory, row_count
from fastk.schema.schema import KLINE, PRICE_SCALE, SCALAR, VOLUME_SCALE

if TYPE_CHECKING:
    from fastk.bridge.options import Options
    from fastk.keys import ScalarSeriesKey
    from fastk.store.store import FastKStore


def kline_inventory(store: FastKStore, options: Options) -> Answer:
    """The months of a kline series."""
    key = kline_key(options)
    series = find(store, key, KLINE, unit_of(options))
    settings = None if series is None else series.settings
    return Answer(
        {
            **named(key, options),
            "exists": series is not None,
            "timeframe_ms": settings and settings.timeframe_ms,
            PRICE_SCALE: settings and settings.scales[PRICE_SCALE],
            VOLUME_SCALE: settings and settings.scales[VOLUME_SCALE],
            "record_count": row_count(series),
            **coverage(series),
            "inventory": inventory(series),
        }
    )


def indicator_inventory(store: FastKStore, options: Options) -> Answer:
    """The months of an indicator."""
    return _inventory(store, indicator_key(options), options)


def scalar_inventory(store: FastKStore, options: Options) -> Answer:
    """The months of a scalar series."""
    return _inventory(store, scalar_key(options), options)


def _inventory(store: FastKStore, key: ScalarSeriesKey, options: Options) -> Answer:
    series = find(store, key, SCALAR, unit_of(options))
    fields = {
        **named(key, options),
        **value_scale(series),
        "exists": series is not None,
        "record_count": row_count(series),
        **coverage(series),
        "inventory": inventory(series),
        "capabilities": None,
    }
    if series is not None:
        offered = store.scalar_query_capabilities(key)
        fields["capabilities"] = {name: getattr(offered, name) for name in ("raw_scan", "has_zmap", "has_vix")}
    return Answer(fields)
