"""Metrics of a store: the level, what was counted, and counting anew."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from weakref import WeakSet

    from fastk.keys import SeriesKey
    from fastk.session.metrics import Metrics, MetricsLevel, StoreMetricsSnapshot
    from fastk.store.read_session import FastKReadSession
    from fastk.store.series import Series


class MetricsNames:
    """Methods of :class:`fastk.FastKStore` that count its reads and writes, and those of its sessions.

    Off, the default, costs nothing: what counts stands in the place of plain methods only while it is wanted.
    """

    if TYPE_CHECKING:  # what the store itself offers to these methods
        _series: dict[SeriesKey, Series]

        @property
        def _sessions(self) -> WeakSet[FastKReadSession]: ...

        feature_matrix: Callable[..., Any]

    _metrics: Metrics | None = None

    @property
    def metrics_level(self) -> MetricsLevel:
        """How much is counted at the moment."""
        return self.metrics_snapshot().metrics_level

    def set_metrics_level(self, level: MetricsLevel | str) -> None:
        """Count nothing (``"off"``); calls, rows and bytes (``"basic"``); and times as well (``"detailed"``).

        Handles that exist take part at once. What was counted so far stays; see :meth:`reset_metrics`. A call that is
        counted takes 2 to 3 us longer.
        """
        from fastk.session.metrics import Metrics, MetricsLevel
        from fastk.store import measured

        wanted = MetricsLevel.parse(level)
        metrics = self._metrics = self._metrics or Metrics()
        metrics.level = wanted
        counting = None if wanted is MetricsLevel.OFF else metrics
        for handle in list(self._series.values()):
            measured.swap(handle, counting)
        measured.swap_methods(self, counting)
        for session in list(self._sessions):
            session._measure(counting)

    def _as_measured(self, handle: Series) -> Series:
        """A new handle, which counts if metrics are on."""
        if self._metrics is not None:
            from fastk.store import measured

            measured.swap(handle, self._counting)
        return handle

    @property
    def _counting(self) -> Metrics | None:
        """The counters while metrics are on."""
        from fastk.session.metrics import MetricsLevel

        return None if self._metrics is None or self._metrics.level is MetricsLevel.OFF else self._metrics

    @contextmanager
    def _counted(self, operation: str) -> Iterator[None]:
        """Count a block that is no hot path, if metrics are on."""
        if self._metrics is None:
            yield
            return
        from fastk.store import measured

        with measured.counted_block(self._counting, operation):
            yield

    def metrics_snapshot(self) -> StoreMetricsSnapshot:
        """What was counted since the last reset, by operation; those of sessions included."""
        from fastk.session.metrics import MetricsLevel, StoreMetricsSnapshot

        return StoreMetricsSnapshot(MetricsLevel.OFF) if self._metrics is None else self._metrics.snapshot()

    def reset_metrics(self) -> None:
        """Count from nothing again; the level stays."""
        if self._metrics is not None:
            self._metrics.reset()
