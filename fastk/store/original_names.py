"""The original's registrations, writes and listings, each one line over the series handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk import keys
from fastk.errors import InvalidInput, NotFound
from fastk.schema import schema as schemas
from fastk.schema.schema import PRICE_SCALE, VALUE_SCALE, VOLUME_SCALE, Schema
from fastk.store.read_names import ReadNames
from fastk.store.series import DEFAULT_SCALAR_ZMAP_BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.engine.conflicts import OnConflict
    from fastk.engine.results import PutResult
    from fastk.keys import ScalarSeriesKey
    from fastk.store import reports
    from fastk.store.series import Series


class OriginalNames(ReadNames):
    """Methods of :class:`fastk.FastKStore` under the names and argument orders of the original."""

    if TYPE_CHECKING:  # what the store itself offers to these methods
        register_series: Callable[..., Series]
        list_series: Callable[..., list[reports.SeriesInventoryEntry]]

    # Klines

    def register_kline_series(
        self,
        symbol: str,
        timeframe: str,
        timeframe_ms: int,
        price_scale: int = 1,
        volume_scale: int = 1,
        **options: Any,
    ) -> Series:
        """Create a series of OHLCV bars; ``options`` as in :meth:`fastk.FastKStore.register_series`."""
        scales = {PRICE_SCALE: price_scale, VOLUME_SCALE: volume_scale}
        return self.register_series(
            (symbol, keys.KLINE_CATEGORY, timeframe), schemas.KLINE, timeframe_ms=timeframe_ms, scales=scales, **options
        )

    def put_kline_chunk(
        self, symbol: str, timeframe: str, records: Any, on_conflict: OnConflict | None = None
    ) -> PutResult:
        """Append bars, later than what their months hold; with ``on_conflict`` put them as :meth:`fastk.Series.put`."""
        return _put(self.kline(symbol, timeframe), records, on_conflict)

    # Scalars

    def register_scalar_series(
        self, key: ScalarSeriesKey, timeframe_ms: int, value_scale: int = 1, **options: Any
    ) -> Series:
        """Create a series of single values; ``value_scale`` turns them into natural units."""
        return self.register_series(
            key, schemas.SCALAR, timeframe_ms=timeframe_ms, scales={VALUE_SCALE: value_scale}, **options
        )

    def put_scalar_chunk(
        self,
        key: ScalarSeriesKey,
        timeframe_ms: int,
        records: Any,
        zmap_block_size: int = DEFAULT_SCALAR_ZMAP_BLOCK_SIZE,
        on_conflict: OnConflict | None = None,
    ) -> PutResult:
        """Append values, later than what their months hold; ``timeframe_ms`` must be the registered one."""
        series = self.series(key)
        if series.settings.timeframe_ms != timeframe_ms:
            raise InvalidInput(f"{series.key} has timeframe_ms {series.settings.timeframe_ms}, not {timeframe_ms!r}")
        return _put(series, records, on_conflict, zone_rows=zmap_block_size)

    # Indicators: scalars whose timeframe is that of the kline series, which must exist

    def register_indicator_series(
        self, symbol: str, timeframe: str, name: str, value_scale: int = 1, **options: Any
    ) -> Series:
        """Create an indicator beside its kline series, which must exist."""
        base = self._base_kline(symbol, timeframe)
        return self.register_scalar_series(
            keys.indicator_series_key(symbol, timeframe, name),
            base.settings.timeframe_ms,
            value_scale,
            **{"time_unit": base.settings.time_unit, **options},
        )

    def _base_kline(self, symbol: str, timeframe: str) -> Series:
        base = self.kline(symbol, timeframe)
        if not base.exists:
            raise NotFound(f"an indicator belongs to a kline series, and {base.key} is not in the store; register it")
        return base

    def put_indicator_chunk(
        self,
        symbol: str,
        timeframe: str,
        name: str,
        records: Any,
        zmap_block_size: int = DEFAULT_SCALAR_ZMAP_BLOCK_SIZE,
        on_conflict: OnConflict | None = None,
    ) -> PutResult:
        """Append values of an indicator."""
        key, base = keys.indicator_series_key(symbol, timeframe, name), self._base_kline(symbol, timeframe)
        return self.put_scalar_chunk(key, base.settings.timeframe_ms, records, zmap_block_size, on_conflict)

    # High frequency

    def register_trade_series(self, symbol: str, channel: str, timeframe_ms: int = 0, **options: Any) -> Series:
        """Create a series of trades, by default in hours; ``options``: price_scale, volume_scale, time_unit."""
        return self._register_market(schemas.TRADE, symbol, channel, timeframe_ms, options)

    def register_trade_series_with_partition(
        self, symbol: str, channel: str, timeframe_ms: int, partition: Any, **options: Any
    ) -> Series:
        """The same with another partition: 'year', 'month', 'day' or 'hour'."""
        return self.register_trade_series(symbol, channel, timeframe_ms, partition=partition, **options)

    def register_bbo_series(self, symbol: str, channel: str, timeframe_ms: int = 0, **options: Any) -> Series:
        """Create a series of quotes, by default in days; ``unique_ts=False`` lets quotes share a ts."""
        return self._register_market(schemas.BBO, symbol, channel, timeframe_ms, options)

    def register_bbo_series_with_partition(
        self, symbol: str, channel: str, timeframe_ms: int, partition: Any, **options: Any
    ) -> Series:
        """The same with another partition."""
        return self.register_bbo_series(symbol, channel, timeframe_ms, partition=partition, **options)

    def register_book_delta_series(self, symbol: str, channel: str, timeframe_ms: int = 0, **options: Any) -> Series:
        """Create a series of book deltas, by default in hours."""
        return self._register_market(schemas.BOOK_DELTA, symbol, channel, timeframe_ms, options)

    def register_book_delta_series_with_partition(
        self, symbol: str, channel: str, timeframe_ms: int, partition: Any, **options: Any
    ) -> Series:
        """The same with another partition."""
        return self.register_book_delta_series(symbol, channel, timeframe_ms, partition=partition, **options)

    def _register_market(
        self, schema: Schema, symbol: str, channel: str, timeframe_ms: int, options: dict[str, Any]
    ) -> Series:
        scales = {name: options.pop(name, 1) for name in (PRICE_SCALE, VOLUME_SCALE)}
        return self.register_series(
            (symbol, schema.name, channel), schema, timeframe_ms=timeframe_ms, scales=scales, **options
        )

    def put_trade_chunk(
        self, symbol: str, channel: str, records: Any, on_conflict: OnConflict | None = None
    ) -> PutResult:
        """Append trades."""
        return _put(self.trade(symbol, channel), records, on_conflict)

    def put_bbo_chunk(
        self, symbol: str, channel: str, records: Any, on_conflict: OnConflict | None = None
    ) -> PutResult:
        """Append quotes."""
        return _put(self.bbo(symbol, channel), records, on_conflict)

    def put_book_delta_chunk(
        self, symbol: str, channel: str, records: Any, on_conflict: OnConflict | None = None
    ) -> PutResult:
        """Append book deltas."""
        return _put(self.book_delta(symbol, channel), records, on_conflict)

    # Listings

    def list_kline_series(self) -> list[reports.SeriesInventoryEntry]:
        """All kline series."""
        return self.list_series(category=keys.KLINE_CATEGORY)

    def list_scalar_series(self) -> list[reports.SeriesInventoryEntry]:
        """All scalar series, indicators included."""
        return [entry for entry in self.list_series() if entry.record_type == schemas.SCALAR.name]

    def list_indicators(self, symbol: str = "*", timeframe: str = "*") -> list[reports.IndicatorInventoryEntry]:
        """All indicators of the symbols and timeframes that match."""
        entries = self.list_series(symbol, keys.INDICATOR_CATEGORY, f"{timeframe}{keys.NAME_SEPARATOR}*")
        return [
            self._indicator_entry(self.series((entry.symbol, entry.category, entry.name)))
            for entry in entries
            if entry.problem is None
        ]


def _put(series: Series, records: Any, on_conflict: OnConflict | None, **options: Any) -> PutResult:
    """As the original does: only behind what is stored, unless a policy says what becomes of keys that are."""
    if on_conflict is None:
        return series.append(records, **options)
    return series.put(records, on_conflict=on_conflict, **options)
