"""The original's replays and scans of sequences, each a line over the series handles; and merged replays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk import keys
from fastk.errors import InvalidInput
from fastk.store.series import DEFAULT_SEQUENCE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastk.keys import ScalarSeriesKey
    from fastk.replay.cursor import ReplayCursor
    from fastk.replay.merged import MergedReplay
    from fastk.replay.sequences import SequenceScanReport
    from fastk.store.series import Series
    from fastk.times import TimeLike


class ReplayNames:
    """Methods of :class:`fastk.FastKStore` that go through rows in order. All refuse start > end with InvalidInput.

    ``options`` are those of :meth:`fastk.Series.replay`: ``batch_rows``.
    """

    if TYPE_CHECKING:  # what the store itself offers to these methods
        series: Callable[[Any], Series]

    def replay_kline(
        self,
        symbol: str,
        timeframe: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> ReplayCursor:
        """A cursor over bars."""
        return self.series((symbol, keys.KLINE_CATEGORY, timeframe)).replay(start_ts, end_ts, **options)

    def replay_scalar(
        self,
        key: ScalarSeriesKey,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> ReplayCursor:
        """A cursor over the values of a scalar series."""
        return self.series(key).replay(start_ts, end_ts, **options)

    def replay_indicator(
        self,
        symbol: str,
        timeframe: str,
        name: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> ReplayCursor:
        """A cursor over the values of an indicator."""
        return self.replay_scalar(keys.indicator_series_key(symbol, timeframe, name), start_ts, end_ts, **options)

    def replay_trade(
        self,
        symbol: str,
        channel: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> ReplayCursor:
        """A cursor over trades."""
        return self.series((symbol, keys.TRADE_CATEGORY, channel)).replay(start_ts, end_ts, **options)

    def replay_bbo(
        self,
        symbol: str,
        channel: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> ReplayCursor:
        """A cursor over quotes."""
        return self.series((symbol, keys.BBO_CATEGORY, channel)).replay(start_ts, end_ts, **options)

    def replay_book_delta(
        self,
        symbol: str,
        channel: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> ReplayCursor:
        """A cursor over book deltas."""
        return self.series((symbol, keys.BOOK_DELTA_CATEGORY, channel)).replay(start_ts, end_ts, **options)

    def replay_merged(
        self,
        series: Iterable[Any],
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        **options: Any,
    ) -> MergedReplay:
        """:func:`fastk.merged_replay` of series that are named by keys or by handles of this very object.

        InvalidInput for handles of another store or session, which see another state.
        """
        from fastk.store.merging import listed, merged_replay

        return merged_replay(map(self._own_handle, listed(series)), start_ts, end_ts, **options)

    def _own_handle(self, series: Any) -> Series:
        from fastk.store.series import Series

        if not isinstance(series, Series):
            return self.series(series)
        if self.series(series.key) is not series:
            raise InvalidInput(
                f"{series.key} is a handle of another store object or session: give the key, or call "
                f"fastk.merged_replay, which takes handles of any"
            )
        return series

    def scan_trade_id_sequence(
        self,
        symbol: str,
        channel: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        limit: int = DEFAULT_SEQUENCE_LIMIT,
    ) -> SequenceScanReport:
        """Gaps, duplicates and violations in the ids of trades; each list holds the first ``limit``."""
        series = self.series((symbol, keys.TRADE_CATEGORY, channel))
        return series.scan_sequence(start_ts, end_ts, field="trade_id", limit=limit)

    def scan_bbo_sequence(
        self,
        symbol: str,
        channel: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        limit: int = DEFAULT_SEQUENCE_LIMIT,
    ) -> SequenceScanReport:
        """The same of the sequence numbers of quotes."""
        series = self.series((symbol, keys.BBO_CATEGORY, channel))
        return series.scan_sequence(start_ts, end_ts, field="sequence", limit=limit)

    def scan_book_delta_sequence(
        self,
        symbol: str,
        channel: str,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        limit: int = DEFAULT_SEQUENCE_LIMIT,
    ) -> SequenceScanReport:
        """The same of book deltas."""
        series = self.series((symbol, keys.BOOK_DELTA_CATEGORY, channel))
        return series.scan_sequence(start_ts, end_ts, field="sequence", limit=limit)
