"""Range reads. Both ends are included; a start behind the end gives no records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk.bridge.answers import Answer, Rows
from fastk.bridge.series_keys import indicator_key, kline_key, named, scalar_key, unit_of, value_scale
from fastk.bridge.stored import coverage, find, row_count
from fastk.errors import NotFound
from fastk.schema.schema import KLINE, PRICE_SCALE, SCALAR, VOLUME_SCALE

if TYPE_CHECKING:
    from fastk.bridge.options import Options
    from fastk.schema.schema import Schema
    from fastk.store.series import Series
    from fastk.store.store import FastKStore


def read_kline_range(store: FastKStore, options: Options) -> Answer:
    """Bars of a series, which must exist."""
    key = kline_key(options)
    series = existing_kline(store, options)
    settings = series.settings
    fields = {
        **named(key, options),
        "timeframe_ms": settings.timeframe_ms,
        **_window(options),
        PRICE_SCALE: settings.scales[PRICE_SCALE],
        VOLUME_SCALE: settings.scales[VOLUME_SCALE],
    }
    return Answer(fields, _records(series, options, KLINE))


def read_indicator_range(store: FastKStore, options: Options) -> Answer:
    """Values of an indicator, which may be missing; its kline series must exist."""
    key = indicator_key(options)
    base = existing_kline(store, options).settings
    series = find(store, key, SCALAR, unit_of(options))
    fields = {
        **named(key, options),
        **value_scale(series),
        "timeframe_ms": base.timeframe_ms,
        **_window(options),
        "exists": series is not None,
        "base_price_scale": base.scales[PRICE_SCALE],
        **coverage(series),
        "total_record_count": row_count(series),
    }
    return Answer(fields, _records(series, options, SCALAR))


def read_scalar_range(store: FastKStore, options: Options) -> Answer:
    """Values of a scalar series, which may be missing."""
    key = scalar_key(options)
    series = find(store, key, SCALAR, unit_of(options))
    fields = {
        **named(key, options),
        **value_scale(series),
        "timeframe_ms": None if series is None else series.settings.timeframe_ms,
        **_window(options),
        "exists": series is not None,
        **coverage(series),
        "total_record_count": row_count(series),
    }
    return Answer(fields, _records(series, options, SCALAR))


def existing_kline(store: FastKStore, options: Options, way_out: str = "") -> Series:
    """The kline series of the symbol and timeframe; NotFound, which names the way out, if there is none."""
    key = kline_key(options)
    series = find(store, key, KLINE, unit_of(options))
    if series is None:
        raise NotFound(f"there is no series {key} in {store.root}: write its klines first{way_out}")
    return series


def _window(options: Options) -> dict[str, int]:
    return {"start_ts": options["start_ts"], "end_ts": options["end_ts"]}


def _records(series: Series | None, options: Options, schema: Schema) -> Rows:
    """All columns of the range, verified: what is damaged fails here."""
    if series is None:
        return Rows("records", dict.fromkeys(schema.names, np.empty(0, np.int64)))
    rows = series.range(options["start_ts"], options["end_ts"])
    return Rows("records", {name: rows.column(name) for name in schema.names})
