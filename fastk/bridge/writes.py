"""Writes: everything that can be refused is refused before the first byte; then one commit.

A new series is registered before its rows are put. Only a failure of the system in between leaves it without rows, and
the same write can then be repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.bridge.answers import Answer
from fastk.bridge.reads import existing_kline
from fastk.bridge.series_keys import indicator_key, kline_key, named, scalar_key, unit_of
from fastk.bridge.stored import find
from fastk.errors import InvalidInput
from fastk.partition import PartitionUnit, split
from fastk.schema.schema import KLINE, SCALAR
from fastk.times import check_storable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastk.bridge.options import Options
    from fastk.bridge.payload import Payload
    from fastk.keys import ScalarSeriesKey
    from fastk.store.series import Series
    from fastk.store.store import FastKStore
    from fastk.times import TimeUnit

_MONTH = PartitionUnit.MONTH


class Written(NamedTuple):
    """The last fields of an answer."""

    registered: bool
    requested_record_count: int
    written_record_count: int
    month_batches_written: int


def write_kline_range(store: FastKStore, options: Options, payload: Payload) -> Answer:
    """Bars, with the settings of their series."""
    key, settings = kline_key(options), payload.settings
    series = find(store, key, KLINE, unit_of(options))
    _check_settings(series, settings)
    months = _months(series, payload.columns["ts"], unit_of(options))
    if series is None:
        store.register_kline_series(*_kline_name(options), **settings, time_unit=unit_of(options))
    written = _put(store.put_kline_chunk, _kline_name(options), series, payload, months)
    return Answer({**named(key, options), **settings, **written._asdict()})


def write_indicator_range(store: FastKStore, options: Options, payload: Payload) -> Answer:
    """Values of an indicator; its timeframe is that of its kline series, which must exist."""
    timeframe_ms = existing_kline(store, options).settings.timeframe_ms
    key = indicator_key(options)
    return Answer(
        {**named(key, options), **_write_scalar(store, key, timeframe_ms, unit_of(options), payload)._asdict()}
    )


def write_scalar_range(store: FastKStore, options: Options, payload: Payload) -> Answer:
    """Values; without a timeframe of its own the payload takes that of the kline series, which must then exist."""
    timeframe_ms = payload.settings["timeframe_ms"]
    if timeframe_ms is None:
        timeframe_ms = existing_kline(store, options, "; or give timeframe_ms").settings.timeframe_ms
    key = scalar_key(options)
    written = _write_scalar(store, key, timeframe_ms, unit_of(options), payload)
    return Answer({**named(key, options), "timeframe_ms": timeframe_ms, **written._asdict()})


def _write_scalar(
    store: FastKStore, key: ScalarSeriesKey, timeframe_ms: int, unit: TimeUnit, payload: Payload
) -> Written:
    series = find(store, key, SCALAR, unit)
    _check_settings(series, {"timeframe_ms": timeframe_ms})
    months = _months(series, payload.columns["ts"], unit)
    if series is None:
        store.register_scalar_series(key, timeframe_ms, time_unit=unit)
    return _put(store.put_scalar_chunk, (key, timeframe_ms), series, payload, months)


def _kline_name(options: Options) -> tuple[str, str]:
    return options["symbol"], options["timeframe"]


def _check_settings(series: Series | None, given: Any) -> None:
    """Refuse other settings than those of the stored series; new ones are checked where they are registered."""
    if series is None:
        return
    stored = {"timeframe_ms": series.settings.timeframe_ms, **series.settings.scales}
    for name, value in given.items():
        if value != stored[name]:
            raise InvalidInput(f"series {series.key} has {name} {stored[name]}, not {value}. Nothing was written")


def _months(series: Series | None, ts: NDArray[np.int64], unit: TimeUnit) -> int:
    """How many UTC months the rows span; InvalidInput if any of these holds rows at or behind the first new one."""
    if not ts.size:
        return 0
    check_storable(ts, unit)
    pieces = split(ts, _MONTH, unit)
    if series is not None:
        for month, start, _ in pieces:
            _check_later(series, month, int(ts[start]))
    return len(pieces)


def _check_later(series: Series, month: int, first: int) -> None:
    """By UTC month, whatever the series' own partition is; that one is checked again where rows are written."""
    stored = series.range(first, _MONTH.bounds(month, series.settings.time_unit)[1])
    if len(stored):
        raise InvalidInput(
            f"rows from ts {first} overlap existing coverage: {series.key} is stored up to ts {stored[-1].ts} in "
            f"{_MONTH.key(month)}, and only later rows can be added. Nothing was written"
        )


def _put(put: Any, name: tuple[Any, ...], series: Series | None, payload: Payload, months: int) -> Written:
    """One commit; none where there are no rows. ``series`` is None where it was registered just now."""
    requested = len(payload.columns["ts"])
    accepted = put(*name, payload.columns).accepted if requested else 0
    return Written(series is None, requested, accepted, months)
