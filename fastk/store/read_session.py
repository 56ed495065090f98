"""Read sessions: the store's reads on series that are pinned together and stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from fastk import keys
from fastk.errors import InvalidInput, NotFound
from fastk.keys import ScalarSeriesKey, SeriesKey, as_series_key
from fastk.schema.schema import RecordType
from fastk.session.pins import Pins
from fastk.session.plan import ScopedScalarBinding, kline_key, listed, scalar_key
from fastk.session.reports import SessionCacheSummary, SessionResetMode
from fastk.store.matrix_names import MatrixNames
from fastk.store.query_names import QueryNames
from fastk.store.read_names import ReadNames
from fastk.store.replay_names import ReplayNames
from fastk.store.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from fastk.engine.reader import SeriesReader
    from fastk.query.scalars import ScalarQueryCapabilities
    from fastk.recovery.reports import StoreHealthSummary
    from fastk.session.metrics import Metrics, MetricsLevel, StoreMetricsSnapshot
    from fastk.session.plan import BacktestKlineBinding
    from fastk.session.reports import PrewarmReport
    from fastk.store import reports
    from fastk.store.store import FastKStore


class FastKReadSession(ReadNames, QueryNames, ReplayNames, MatrixNames):
    """Reads of attached series, as they were when they were attached; :meth:`FastKStore.read_session` makes one.

    All reads, queries, replays and matrices of the store, under the same names; ``session.series(key)`` and its kin
    give handles. What an attached series shows does not change until :meth:`refresh`, whoever writes. Files that newer
    states do not name stay for the store's grace period: a session that lives longer may find a read SnapshotExpired,
    never other rows. Attaching reads one small file a series. Safe to share between threads.
    """

    def __init__(self, store: FastKStore, *, attached_only: bool = False) -> None:
        self.root = store.root
        self._store = store
        self._attached_only = attached_only
        self._pins = Pins(store._reader_of)
        self._handles: dict[Any, Series] = {}
        self._passing: dict[Any, Series] = {}  # of series that are not attached
        store._sessions.add(self)
        self._measure(store._counting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset(SessionResetMode.FULL_DETACH)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.root!r}: {len(self._pins):,} series attached>"

    # Handles

    def series(self, key: Any) -> Series:
        """The handle of a series: pinned if it is attached, else as the store object sees it. It cannot write."""
        try:
            return self._handles[key]
        except (KeyError, TypeError):
            return self._find(key)

    def _find(self, key: Any) -> Series:
        series_key = as_series_key(key)
        handle = self._handles.get(series_key)
        if handle is not None:
            self._handles[key] = handle  # a scalar's key is found at once from now on
            return handle
        if self._attached_only:
            raise NotFound(f"{series_key} is not attached to this session; attach it before it is read")
        handle = self._passing.get(series_key) or self._handle_of(self._store._reader_of(series_key))
        return self._passing.setdefault(series_key, handle)

    def _handle_of(self, reader: SeriesReader) -> Series:
        return self._store._as_measured(Series(reader, _refuse_writes))

    # Attaching

    def attach(self, *series: Any) -> Self:
        """Pin series of any record type, named by keys, bindings or handles: all of them, or none.

        What is pinned is what the store object sees: its own snapshot where it has read the series before, else the
        newest committed state. Series that are attached already stay as they are. NotFound names all that are not in
        the store. Cost: about 40 us a series; nothing is mapped.
        """
        return self._attach([_key_of(each) for each in series])

    def _attach(self, series_keys: Iterable[SeriesKey]) -> Self:
        with self._store._counted("attach"):
            self._store._check_open()
            new = {reader.files.key: self._handle_of(reader) for reader in self._pins.attach(series_keys)}
            self._handles.update(new)
            self._passing = {key: handle for key, handle in self._passing.items() if handle.key not in new}
        return self

    def attach_kline(self, symbol: str, timeframe: str) -> Self:
        """Pin one kline series."""
        return self._attach([kline_key((symbol, timeframe))])

    attach_kline_series = attach_kline

    def attach_kline_many(self, bindings: Iterable[BacktestKlineBinding | tuple[str, str]]) -> Self:
        """Pin many kline series, each a binding or a pair (symbol, timeframe)."""
        return self._attach(list(map(kline_key, listed(bindings))))

    def attach_symbols_for_timeframe(self, timeframe: Any, symbols: Any) -> Self:
        """Pin the kline series of a list of symbols that share a timeframe; the two arguments may change places."""
        if isinstance(symbols, str):
            timeframe, symbols = symbols, timeframe
        return self.attach_kline_many((symbol, timeframe) for symbol in listed(symbols))

    def attach_scalar(
        self, symbol: str | ScalarSeriesKey, timeframe: str = "", category: str = "", name: str = ""
    ) -> Self:
        """Pin one scalar series, by its four names or by its key."""
        if isinstance(symbol, str):
            symbol = ScalarSeriesKey(symbol, timeframe, category, name)
        return self._attach([scalar_key(symbol)])

    def attach_scalar_key(self, key: ScalarSeriesKey) -> Self:
        """Pin one scalar series by its key."""
        return self._attach([scalar_key(key)])

    attach_scalar_series = attach_scalar_key

    def attach_scalar_many(self, bindings: Iterable[ScopedScalarBinding | ScalarSeriesKey]) -> Self:
        """Pin many scalar series, each a binding or a key."""
        return self._attach(list(map(scalar_key, listed(bindings))))

    def attach_indicator(self, symbol: str, timeframe: str, name: str) -> Self:
        """Pin one indicator."""
        return self._attach([scalar_key(keys.indicator_series_key(symbol, timeframe, name))])

    attach_indicator_series = attach_indicator

    def attach_trade(self, symbol: str, channel: str) -> Self:
        """Pin one series of trades."""
        return self.attach((symbol, keys.TRADE_CATEGORY, channel))

    def attach_bbo(self, symbol: str, channel: str) -> Self:
        """Pin one series of quotes."""
        return self.attach((symbol, keys.BBO_CATEGORY, channel))

    def attach_book_delta(self, symbol: str, channel: str) -> Self:
        """Pin one series of book deltas."""
        return self.attach((symbol, keys.BOOK_DELTA_CATEGORY, channel))

    # Upkeep

    def prewarm(
        self, progress: Callable[[int, int], None] | None = None, *, threads: int | None = None
    ) -> PrewarmReport:
        """Map, verify and fault in all that is attached, load its sidecars and the kernels; says what that was.

        Reads after it touch no disk, as far as chunks stay mapped: ``max_maps`` of the store, some 30,000 by default.
        Where they are no more than half of that, the session keeps them mapped, whatever becomes of their files.
        ``progress(done, total)`` is called with bytes. InvalidData at the first damage. Other threads run meanwhile.
        Cost: one pass over the files on ``threads`` (default: the cores), at the speed of the disk or of memory.
        """
        from fastk.session.prewarm import prewarm

        with self._store._counted("prewarm"):
            self._store._check_open()
            report = prewarm([reader.snapshot for reader in self._pins], progress, threads)
            self._pins.hold_all(report.chunks)
            return report

    def refresh(self) -> int:
        """Move all attached series to their newest committed states; returns how many moved.

        All of them or none: NotFound names series that were dropped meanwhile, and the session stays where it is.
        """
        with self._store._counted("refresh"):
            self._store._check_open()
            return self._pins.refresh()

    def reset(self, mode: SessionResetMode | str = SessionResetMode.FULL_DETACH) -> None:
        """Let go of caches, and with FULL_DETACH of the series; answers of what stays attached do not change.

        Caches are shared with the store object, which loads them again as it needs them.
        """
        wanted = SessionResetMode.parse(mode)
        self._pins.forget_queries()
        if wanted is not SessionResetMode.QUERY_ONLY:
            self._pins.forget_maps()
        if wanted is SessionResetMode.FULL_DETACH:
            self._close()

    def _close(self) -> None:
        self._pins.detach()
        self._handles.clear()
        self._passing.clear()

    # What it holds

    def attached(self) -> list[SeriesKey]:
        """The attached series, in the order in which they were attached."""
        return [reader.files.key for reader in self._pins]

    def attached_inventory(self) -> list[reports.SeriesInventoryEntry]:
        """A line of a listing for each attached series, of its pinned state, in the order of attaching."""
        from fastk.store import reports

        return [reports.inventory_entry(reader.snapshot) for reader in self._pins]

    def attached_health_summary(self) -> StoreHealthSummary:
        """The store's health, counting attached series only: of their files as they are now. Cost: 50 us a file."""
        from fastk.recovery import listings

        store, attached = self._store, frozenset(self.attached())
        found: StoreHealthSummary | None = store._look(lambda: listings.health(store._disk, store.root, attached))
        return found or listings.summary([])

    def attached_scalar_capabilities(self) -> list[tuple[ScalarSeriesKey, ScalarQueryCapabilities]]:
        """What queries can use of each attached scalar series."""
        from fastk.query import results

        return [
            (ScalarSeriesKey.of(reader.files.key), results.capabilities(reader.snapshot, "value"))
            for reader in self._pins
            if reader.snapshot.settings.schema.record_type is RecordType.SCALAR
        ]

    def cache_summary(self) -> SessionCacheSummary:
        """Attached series by record type, what is mapped of them at the moment, and the metrics."""
        types = [reader.snapshot.settings.schema.record_type for reader in self._pins]
        metrics = self.metrics_snapshot()
        return SessionCacheSummary(
            len(types),
            types.count(RecordType.KLINE),
            types.count(RecordType.SCALAR),
            *self._pins.mapped(),
            metrics.metrics_level,
            metrics,
        )

    # Metrics, which a session shares with its store

    @property
    def metrics_level(self) -> MetricsLevel:
        """How much the store counts."""
        return self._store.metrics_level

    def set_metrics_level(self, level: MetricsLevel | str) -> None:
        """:meth:`FastKStore.set_metrics_level`."""
        self._store.set_metrics_level(level)

    def metrics_snapshot(self) -> StoreMetricsSnapshot:
        """What the store and its sessions counted."""
        return self._store.metrics_snapshot()

    def reset_metrics(self) -> None:
        """Let the store count from nothing again."""
        self._store.reset_metrics()

    def _measure(self, metrics: Metrics | None) -> None:
        """Let all handles count, or (None) none of them."""
        if metrics is None and self._store._metrics is None:
            return
        from fastk.store import measured

        for handle in [*self._handles.values(), *self._passing.values()]:
            measured.swap(handle, metrics)
        measured.swap_methods(self, metrics)


def _key_of(series: Any) -> SeriesKey:
    """The key of whatever names a series."""
    if isinstance(series, Series):
        return series.key
    return getattr(series, "series_key", None) or as_series_key(series)


def _refuse_writes() -> NoReturn:
    raise InvalidInput("a read session does not write; write by the store, and refresh() the session to see it")
