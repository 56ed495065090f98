"""Work on several threads, whose kernels run beside each other."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from fastk.arrays import is_integer
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Task = TypeVar("Task")


def checked_threads(threads: object) -> int:
    """How many threads to use; None stands for the processors that this process may use."""
    if threads is None:
        return _usable_processors()
    if not is_integer(threads) or threads < 1:
        raise InvalidInput(f"threads must be an int of 1 or more, or None for all cores, not {threads!r}")
    return int(threads)


def _usable_processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def each(work: Callable[[Task], None], tasks: Sequence[Task], threads: int) -> None:
    """Do every task, on up to so many threads, this one among them. The first error stops them all and is raised."""
    threads = min(threads, len(tasks))
    if threads <= 1:
        for task in tasks:
            work(task)
        return
    _Crew(work, iter(tasks)).run(threads)


class _Crew(Generic[Task]):
    """Threads that take one task after the other."""

    def __init__(self, work: Callable[[Task], None], tasks: Iterator[Task]) -> None:
        self._work = work
        self._tasks = tasks
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def run(self, threads: int) -> None:
        helpers = [threading.Thread(target=self._take_turns, daemon=True) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        self._take_turns()
        try:
            for helper in helpers:
                helper.join()
        except BaseException as error:  # an interrupt: what is left undone stays so
            self._error = self._error or error
            for helper in helpers:
                helper.join()
        if self._error is not None:
            raise self._error

    def _take_turns(self) -> None:
        try:
            while (task := self._next()) is not None:
                self._work(task)
        except BaseException as error:  # of whatever kind: it is raised where the work was asked for
            self._error = self._error or error

    def _next(self) -> Task | None:
        with self._lock:
            return None if self._error is not None else next(self._tasks, None)
