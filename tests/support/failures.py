"""The system says no, once, in the middle of a story: at every call in turn.

The caller gets an error that names the path, each series is in its old or in its new state, nothing lies about that was
not there before, and the next attempt succeeds: at once, or after reopening where a sync failed.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import fastk
import fastk.io.disk
import fastk.io.lock
from fastk.format import names
from fastk.io.disk import SyncFailed

from .crashes import Story, check_states
from .disks import FailingSystem, Image, read_image
from .operations import Picture, picture, rows_by_series
from .rebuild import rebuilt

NO_ROOM, BROKEN, FORBIDDEN = errno.ENOSPC, errno.EIO, errno.EACCES
FOUND_FULL = {"open", "mkdir", "writev", "fsync", "replace"}
MAY_STAY = ("fastk.store", ".tmp", names.LOCK_FILE)


@dataclass
class Failures:
    """Calls that failed, what the caller got, and the calls of which something went wrong."""

    calls: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class FailingStory:
    """A story under systems that fail."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self._patch = pytest.MonkeyPatch()
        self.calls = self.run(self.open(story.copy() / "root"), FailingSystem()).calls
        assert len(self.calls) > 5

    def open(self, root: Path) -> fastk.FastKStore:
        self.store = self.story.operation.open(root)
        return self.store

    def run(self, store: fastk.FastKStore, system: FailingSystem) -> FailingSystem:
        """Do what the story tells."""
        with self._patch.context() as patch:
            patch.setattr(fastk.io.disk, "os", system)
            patch.setattr(fastk.io.lock, "os", system)
            self.story.operation.perform(store)
        return system

    def fail(self, code: int) -> Failures:
        """Let each call fail with an error of the system."""
        found = Failures()
        for number, call in enumerate(self.calls):
            if code != NO_ROOM or call in FOUND_FULL:
                self._try(found, number, lambda number=number: self._fail_once(number, code))
        return found

    def interrupt(self, *, after: bool) -> Failures:
        """Interrupt before (or behind) each call, as a key of the keyboard does."""
        found = Failures()
        for number in range(len(self.calls)):
            self._try(found, number, lambda number=number: self._interrupt_once(number, after))
        return found

    def write_short(self, longest: int) -> Failures:
        """Let each call of write take a few bytes only."""
        system, found = FailingSystem(), Failures()
        system.longest_write = longest
        self._try(found, 0, lambda: self._write_short(system))
        found.calls = system.calls.count("writev")
        return found

    def _try(self, found: Failures, number: int, attempt: Callable[[], str]) -> None:
        found.calls += 1
        try:
            found.outcomes[attempt()] += 1
        except (Exception, pytest.fail.Exception) as error:
            found.problems.append(
                f"{self.calls[number]} (call {number}): {type(error).__name__}: {error}".partition("\n")[0]
            )

    def _fail_once(self, number: int, code: int) -> str:
        root = self.story.copy() / "root"
        before = read_image(root.parent)
        try:
            self.run(self.open(root), FailingSystem(number, OSError(code, os.strerror(code))))
        except OSError as error:
            self._check_error(error, root)
            self._check_left(root, before, self.calls[number])
            self._check_retry(root, isinstance(error, SyncFailed))
            return "an error"
        # A call that may fail: information in the lock file, the removal of what nobody needs.
        assert self._state(root) == self.story.new
        self._check_retry(root, reopen=False)
        return "done all the same"

    def _check_error(self, error: OSError, root: Path) -> None:
        named = str(error.filename)
        assert named in str(error), f"the error does not name the path: {error}"
        assert named.startswith(str(root)) or str(root).startswith(named), f"the error names another path: {error}"

    def _state(self, root: Path) -> Picture:
        """What is there: by the manifests, and the same rows, or those that were to come, by the chunk files."""
        seen = picture(root)
        check_states(seen, rebuilt(read_image(root.parent)), *self.story.states)
        return seen

    def _check_left(self, root: Path, before: Image, call: str) -> None:
        """No new files of a series whose manifest is the old one; but whether a rename that failed took place is
        unknown, and what could not be removed stays."""
        self._state(root)
        after = read_image(root.parent)
        if call not in ("unlink", "replace"):
            moved = tuple(
                posixpath.dirname(path)
                for path in {*before, *after}
                if path.endswith(names.MANIFEST_FILE) and before.get(path) != after.get(path)
            )
            left = {path for path in after if path not in before and after[path] is not None}
            left = {path for path in left if not path.startswith(moved) and not path.endswith(MAY_STAY)}
            assert not left, f"left behind: {left}"

    def _check_retry(self, root: Path, reopen: bool) -> None:
        if reopen:
            with pytest.raises(fastk.StoreClosed, match="open the store again"):
                self.run(self.store, FailingSystem())
            self.open(root)
        if picture(root) != self.story.new:
            self.run(self.store, FailingSystem())
        assert picture(root) == self.story.new
        self.store.close()
        self._go_on(root)

    def _go_on(self, root: Path) -> None:
        after = self.story.operation.go_on(root, self.story.new)
        assert rebuilt(read_image(root.parent)) == rows_by_series(after)

    def _interrupt_once(self, number: int, after: bool) -> str:
        root = self.story.copy() / "root"
        outcome = "done all the same"
        with suppress(KeyboardInterrupt):
            outcome = "interrupted"
            self.run(self.open(root), FailingSystem(number, KeyboardInterrupt(), after=after))
        self._state(root)
        self.store.close()
        self._go_on(root)
        return outcome

    def _write_short(self, system: FailingSystem) -> str:
        root = self.story.copy() / "root"
        self.run(self.open(root), system)
        assert self._state(root) == self.story.new
        self.store.close()
        self._go_on(root)
        return "done all the same"
