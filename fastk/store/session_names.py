"""Read sessions of a store."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fastk.keys import SeriesKey
    from fastk.store.backtest_view import BacktestStoreView
    from fastk.store.read_session import FastKReadSession


class SessionNames:
    """Methods of :class:`fastk.FastKStore` that begin read sessions."""

    if TYPE_CHECKING:  # what the store itself offers to these methods
        _check_open: Callable[[], None]

    @property
    def _sessions(self) -> WeakSet[FastKReadSession]:
        """The sessions that are in use, which are closed with the store."""
        return self._known_sessions

    @cached_property
    def _known_sessions(self) -> WeakSet[FastKReadSession]:
        return WeakSet()

    def read_session(self, *, attached_only: bool = False) -> FastKReadSession:
        """A session, in which series that are attached stay as they are at that moment.

        Series that are not attached are read through the store object, as it sees them; with ``attached_only`` they are
        NotFound, so that no read of a backtest misses its snapshot by accident.
        """
        from fastk.store.read_session import FastKReadSession

        self._check_open()
        return FastKReadSession(self, attached_only=attached_only)  # type: ignore[arg-type]  # it is the store

    def backtest_view(self, *, attached_only: bool = False) -> BacktestStoreView:
        """A session with what backtests ask for: plans, snapshots of inventory, health and capabilities."""
        from fastk.store.backtest_view import BacktestStoreView

        self._check_open()
        return BacktestStoreView(self, attached_only=attached_only)  # type: ignore[arg-type]  # it is the store

    def _hold_for_sessions(self, series_id: int, key: SeriesKey | None, chunk_ids: Collection[int] | None) -> None:
        """Let sessions keep what they need of a series: files of it are about to be removed by this store object."""
        for session in list(self._sessions):
            session._pins.hold(series_id, key, chunk_ids)

    def _close_sessions(self) -> None:
        for session in list(self._sessions):
            session._close()
