"""Progress bars on stderr, where somebody sees them and the work is long enough."""

from __future__ import annotations

import importlib.util
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG_WORK = 256 << 20
"""Bytes; less is done before a bar could be read."""
LONG_SECONDS = 0.5
"""The same for work that is counted in other things than bytes."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """What a long work tells its bytes to; None where nobody looks."""
    with _shown(_Bar(what)) as tell:
        yield tell


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """What a long work tells its steps to; None where nobody looks."""
    with _shown(_CountingBar(what)) as tell:
        yield tell


@contextmanager
def _shown(bar: _Bar) -> Iterator[Callable[[int, int], None] | None]:
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield None
        return
    try:
        yield bar.tell
    finally:
        bar.stop()


class _Bar:
    """A bar that comes up when the work turns out to be long, and goes at its end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Any = None

    def tell(self, done: int, total: int) -> None:
        """Show how far it is, in bytes."""
        if not self._is_long(total):
            return
        if self._bar is None:
            self._start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def _is_long(self, total: int) -> bool:
        return total >= LONG_WORK

    def _columns(self) -> tuple[Any, ...]:
        from rich.progress import DownloadColumn, TransferSpeedColumn

        return DownloadColumn(), TransferSpeedColumn()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn(self._what), BarColumn(), *self._columns())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.add_task(self._what)
        self._bar.start()

    def stop(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()


class _CountingBar(_Bar):
    """A bar of steps, which comes up when the work has taken a while."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._begin = time.monotonic()

    def _is_long(self, total: int) -> bool:
        return time.monotonic() - self._begin >= LONG_SECONDS

    def _columns(self) -> tuple[Any, ...]:
        from rich.progress import MofNCompleteColumn, TimeRemainingColumn

        return MofNCompleteColumn(), TimeRemainingColumn()
