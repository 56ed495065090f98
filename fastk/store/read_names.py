"""The original's reads, each a line over the series handles: of the store, and of read sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.engine.rows import Rows
    from fastk.keys import ScalarSeriesKey
    from fastk.schema.records import KlineRecord, ScalarRecord
    from fastk.store import reports
    from fastk.store.series import Series
    from fastk.times import TimeLike


class ReadNames:
    """Methods that read, under the names and argument orders of the original."""

    if TYPE_CHECKING:  # what the store or the session offers to these methods
        series: Callable[[Any], Series]

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

    # Indicators

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
