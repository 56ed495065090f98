"""A progress bar on stderr, where somebody sees it and the work is long enough."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG_WORK = 256 << 20
"""Bytes; less is done before a bar could be read."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """What a long work tells its bytes to; None where nobody looks."""
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield None
        return
    bar = _Bar(what)
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
        if total < LONG_WORK:
            return
        if self._bar is None:
            self._start()
        self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn(self._what), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.add_task(self._what)
        self._bar.start()

    def stop(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()
