"""A bar with rows a second on stderr, where somebody sees it and the work takes a while."""

from __future__ import annotations

import importlib.util
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 1.0
"""Seconds before a bar comes up."""


@contextmanager
def progress() -> Iterator[Callable[[str, int, int, int], None] | None]:
    """What an import or an export tells how far it is; None where nobody looks."""
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield None
        return
    bar = _Bar()
    try:
        yield bar.tell
    finally:
        bar.stop()


class _Bar:
    """One line for what is being done; it goes at the end."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._phase = ""
        self._phase_begin = self._begin
        self._rows = 0
        self._bar: Any = None
        self._task: Any = None

    def tell(self, what: str, rows: int, done: int, total: int) -> None:
        """Show what is being done, rows, and how much of it is done."""
        now = time.monotonic()
        if what != self._phase or rows < self._rows:  # the next series of an export begins with few again
            self._phase, self._phase_begin = what, now
        self._rows = rows
        if self._bar is None:
            if now - self._begin < _PATIENCE:
                return
            self._start()
        speed = rows / max(now - self._phase_begin, 0.001)
        text = f"{what:9} {rows:>13,} rows {speed:>11,.0f}/s"
        self._bar.update(self._task, description=text, completed=done, total=total or None)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("")
        self._bar.start()

    def stop(self) -> None:
        """Take it away."""
        if self._bar is not None:
            self._bar.stop()
