"""Other processes: real ones, forked in milliseconds from a server that has everything imported.

What runs there is a function of a module. It gets a pipe, by which it tells what it does and hears what it shall do, so
that nothing waits for a time to pass.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["fastk.recovery.repair", "fastk.engine.writer", "fastk.kernels.compiled", "pytest", "hypothesis"]
)
PATIENCE = 120.0
"""Seconds after which a process that says nothing counts as hanging."""


class _Failure:
    def __init__(self, text: str) -> None:
        self.text = text


class Child:
    """Another process that does ``work(pipe, *arguments)``."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_run, args=(work, theirs, arguments), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self) -> Any:
        """What it says next; EOFError if it has ended."""
        if not self._pipe.poll(PATIENCE):
            raise AssertionError("the other process hangs")
        try:
            said = self._pipe.recv()
        except ConnectionResetError:
            raise EOFError from None
        if isinstance(said, _Failure):
            raise AssertionError(f"in the other process: {said.text}")
        return said

    def rest(self) -> Iterator[Any]:
        """All that it says until it ends."""
        while True:
            try:
                yield self.hear()
            except EOFError:
                return

    def say(self, what: Any) -> None:
        self._pipe.send(what)

    def ask(self, what: Any) -> Any:
        self.say(what)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, "the other process does not end"
        self._pipe.close()
        return self.process.exitcode


def _run(work: Callable[..., None], pipe: Connection, arguments: tuple[Any, ...]) -> None:
    try:
        work(pipe, *arguments)
    except BaseException:
        pipe.send(_Failure(traceback.format_exc()))
        raise SystemExit(1) from None


@contextmanager
def children(*calls: tuple[Any, ...]) -> Iterator[list[Child]]:
    """Several other processes, which do not outlive the block."""
    started: list[Child] = []
    try:
        for call in calls:
            started.append(Child(*call))  # noqa: PERF401 - those that have started must end
        yield started
    finally:
        for child in started:
            child.kill()
            child.process.join(PATIENCE)
