"""The keys that a command's options name, and how its answers repeat them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk.keys import KLINE_CATEGORY, ScalarSeriesKey, SeriesKey, indicator_series_key
from fastk.schema.schema import VALUE_SCALE
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from fastk.bridge.options import Options
    from fastk.store.series import Series


def kline_key(options: Options) -> SeriesKey:
    """The kline series of the symbol and timeframe."""
    return SeriesKey(options["symbol"], KLINE_CATEGORY, options["timeframe"])


def indicator_key(options: Options) -> ScalarSeriesKey:
    """The indicator that is named."""
    return indicator_series_key(options["symbol"], options["timeframe"], options["indicator_name"])


def scalar_key(options: Options) -> ScalarSeriesKey:
    """The scalar series that is named."""
    return ScalarSeriesKey(options["symbol"], options["timeframe"], options["category"], options["name"])


def unit_of(options: Options) -> TimeUnit:
    """The unit of every ts in a command and its answer: milliseconds unless the caller names another."""
    return options["time_unit"] or TimeUnit.MILLISECONDS


def named(key: SeriesKey | ScalarSeriesKey, options: Options) -> dict[str, Any]:
    """The first fields of an answer; the contract, which knows milliseconds only, has none for the unit."""
    unit = {} if unit_of(options) is TimeUnit.MILLISECONDS else {"time_unit": unit_of(options).value}
    if isinstance(key, ScalarSeriesKey):
        return {"symbol": key.symbol, "timeframe": key.timeframe, "category": key.category, "name": key.name, **unit}
    return {"symbol": key.symbol, "timeframe": key.name, **unit}


def value_scale(series: Series | None) -> dict[str, int]:
    """The field behind these that says what divides the values; the contract, whose values have no scale, has none."""
    scale = 1 if series is None else series.settings.scales[VALUE_SCALE]
    return {} if scale == 1 else {VALUE_SCALE: scale}
