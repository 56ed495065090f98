"""The original's method names, each one line over the series handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk import keys
from fastk.errors import InvalidInput, NotFound
from fastk.schema import schema as schemas
from fastk.schema.schema import PRICE_SCALE, VALUE_SCALE, VOLUME_SCALE, Schema
from fastk.store.series import DEFAULT_SCALAR_ZMAP_BLOCK_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.engine.conflicts import OnConflict
    from fastk.engine.results import PutResult
    from fastk.engine.rows import Rows
    from fastk.keys import ScalarSeriesKey
    from fastk.schema.records import KlineRecord, ScalarRecord
    from fastk.store import reports
    from fastk.store.series import Series
    from fastk.times import TimeLike


class OriginalNames:
    """Methods of :class:`fastk.FastKStore` under the names and argument orders of the original."""

    if TYPE_CHECKING:  # what the store itself offers to these methods
        series: Callable[[Any], Series]
        register_series: Callable[..., Series]
        list_series: Callable[..., list[reports.SeriesInventoryEntry]]

    # Handles

    def kline(self, symbol: str, timeframe: str) -> Series:
        """The handle of a kline series."""
        return self.series((symbol, keys.KLINE_CATEGORY, timeframe))

    def scalar(self, key: ScalarSeriesKey) -> Series:
        """The handle of a scalar series."""
        return self.series(key)

    def indicator(self, symbol: str, timeframe: str, name: str) -> Series:
        """The handle of an indicator's series."""
        return self.series(keys.indicator_series_key(symbol, timeframe, name))

    def trade(self, symbol: str, channel: str) -> Series:
        """The handle of a trade series."""
        return self.series((symbol, keys.TRADE_CATEGORY, channel))

    def bbo(self, symbol: str, channel: str) -> Series:
        """The handle of a best-bid-and-offer series."""
        return self.series((symbol, keys.BBO_CATEGORY, channel))

    def book_delta(self, symbol: str, channel: str) -> Series:
        """The handle of a book-delta series."""
        return self.series((symbol, keys.BOOK_DELTA_CATEGORY, channel))

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

    def get_kline_at(self, symbol: str, timeframe: str, ts: TimeLike) -> KlineRecord | None:
        """The bar of one ts."""
        record: KlineRecord | None = self.kline(symbol, timeframe).at(ts)
        return record

    def get_kline_range(self, symbol: str, timeframe: str, start_ts: TimeLike | None, end_ts: TimeLike | None) -> Rows:
        """Bars from start to end, both included."""
        return self.kline(symbol, timeframe).range(start_ts, end_ts)

    def get_kline_latest_n(self, symbol: str, timeframe: str, n: int) -> Rows:
        """The last n bars, ascending."""
        return self.kline(symbol, timeframe).latest(n)

    def kline_chunk_inventory(self, symbol: str, timeframe: str) -> list[reports.ChunkMeta]:
        """The chunks of a kline series."""
        return self.kline(symbol, timeframe).chunk_inventory()

    def kline_month_inventory(self, symbol: str, timeframe: str) -> list[reports.MonthInventoryEntry]:
        """The months of a kline series."""
        return self.kline(symbol, timeframe).month_inventory()

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

    def get_scalar_at(self, key: ScalarSeriesKey, ts: TimeLike) -> ScalarRecord | None:
        """The value of one ts."""
        record: ScalarRecord | None = self.series(key).at(ts)
        return record

    def get_scalar_range(self, key: ScalarSeriesKey, start_ts: TimeLike | None, end_ts: TimeLike | None) -> Rows:
        """Values from start to end, both included."""
        return self.series(key).range(start_ts, end_ts)

    def get_scalar_latest_n(self, key: ScalarSeriesKey, n: int) -> Rows:
        """The last n values, ascending."""
        return self.series(key).latest(n)

    def scalar_chunk_inventory(self, key: ScalarSeriesKey) -> list[reports.ChunkMeta]:
        """The chunks of a scalar series."""
        return self.series(key).chunk_inventory()

    def scalar_month_inventory(self, key: ScalarSeriesKey) -> list[reports.MonthInventoryEntry]:
        """The months of a scalar series."""
        return self.series(key).month_inventory()

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

    def get_indicator_at(self, symbol: str, timeframe: str, name: str, ts: TimeLike) -> ScalarRecord | None:
        """The indicator's value of one ts."""
        return self.get_scalar_at(keys.indicator_series_key(symbol, timeframe, name), ts)

    def get_indicator_range(
        self, symbol: str, timeframe: str, name: str, start_ts: TimeLike | None, end_ts: TimeLike | None
    ) -> Rows:
        """The indicator's values from start to end, both included."""
        return self.indicator(symbol, timeframe, name).range(start_ts, end_ts)

    def indicator_chunk_inventory(self, symbol: str, timeframe: str, name: str) -> list[reports.ChunkMeta]:
        """The chunks of an indicator."""
        return self.indicator(symbol, timeframe, name).chunk_inventory()

    def indicator_month_inventory(self, symbol: str, timeframe: str, name: str) -> list[reports.MonthInventoryEntry]:
        """The months of an indicator."""
        return self.indicator(symbol, timeframe, name).month_inventory()

    def indicator_inventory(self, symbol: str, timeframe: str, name: str) -> reports.IndicatorInventoryEntry:
        """What is stored of an indicator."""
        return self._indicator_entry(self.indicator(symbol, timeframe, name))

    def _indicator_entry(self, series: Series) -> reports.IndicatorInventoryEntry:
        from fastk.store import reports

        key = keys.ScalarSeriesKey.of(series.key)
        start, end = series.span or (None, None)
        return reports.IndicatorInventoryEntry(
            key.symbol,
            key.timeframe,
            key.name,
            series.settings.timeframe_ms,
            len(series.chunk_inventory()),
            len(series),
            start,
            end,
        )

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

    def get_trade_range(self, symbol: str, channel: str, start_ts: TimeLike | None, end_ts: TimeLike | None) -> Rows:
        """Trades from start to end, both included."""
        return self.trade(symbol, channel).range(start_ts, end_ts)

    def get_bbo_range(self, symbol: str, channel: str, start_ts: TimeLike | None, end_ts: TimeLike | None) -> Rows:
        """Quotes from start to end, both included."""
        return self.bbo(symbol, channel).range(start_ts, end_ts)

    def get_book_delta_range(
        self, symbol: str, channel: str, start_ts: TimeLike | None, end_ts: TimeLike | None
    ) -> Rows:
        """Book deltas from start to end, both included."""
        return self.book_delta(symbol, channel).range(start_ts, end_ts)

    def get_trade_latest_n(self, symbol: str, channel: str, n: int) -> Rows:
        """The last n trades, ascending."""
        return self.trade(symbol, channel).latest(n)

    def get_bbo_latest_n(self, symbol: str, channel: str, n: int) -> Rows:
        """The last n quotes, ascending."""
        return self.bbo(symbol, channel).latest(n)

    def get_book_delta_latest_n(self, symbol: str, channel: str, n: int) -> Rows:
        """The last n book deltas, ascending."""
        return self.book_delta(symbol, channel).latest(n)

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
