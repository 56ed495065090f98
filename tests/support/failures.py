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
from functools import partial
from pathlib import Path

import pytest

import fastk
import fastk.io.disk
import fastk.io.lock
from fastk.format import names
from fastk.io.disk import Disk

from .crashes import Story, check_states
from .disks import FailingSystem, Image, InterruptedDisk, read_image
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

    def open(self, root: Path, disk: Disk | None = None) -> fastk.FastKStore:
        self.store = self.story.operation.open(root, disk)
        return self.store

    def run(self, store: fastk.FastKStore, system: FailingSystem) -> FailingSystem:
        """Do what the story tells."""
        with self._patch.context() as patch:
            patch.setattr(fastk.io.disk, "os", system)
            patch.setattr(fastk.io.lock, "os", system)
            self.story.operation.perform(store)
        return system

    def fail(self, *, each: bool) -> Failures:
        """Let every call fail with an error of the system: with one of them by turns, or with each of them."""
        found = Failures()
        for number, call in enumerate(self.calls):
            codes = [BROKEN, FORBIDDEN, *([NO_ROOM] if call in FOUND_FULL else [])]
            for code in codes if each else [codes[number % len(codes)]]:
                self._try(found, f"{call} (call {number})", partial(self._fail_once, number, code))
        return found

    def interrupt(self, *, each: bool) -> Failures:
        """Interrupt every call, as a key of the keyboard does: before or behind it by turns, or both."""
        found = Failures()
        for number, call in enumerate(self.calls):
            for after in (False, True) if each else [number % 2 == 0]:
                self._try(found, f"{call} (call {number})", partial(self._interrupt_once, number, after))
        return found

    def interrupt_effects(self) -> Failures:
        """Interrupt behind each effect on the disk: a file is there, and who made it does not know it yet."""
        found, disk = Failures(), InterruptedDisk()
        with self.story.operation.open(self.story.copy() / "root", disk) as store:
            self.story.operation.perform(store)
        for number in range(disk.effects):
            self._try(found, f"effect {number}", partial(self._interrupt_effect, number))
        return found

    def _interrupt_effect(self, number: int) -> str:
        root = self.story.copy() / "root"
        with pytest.raises(KeyboardInterrupt):
            self.run(self.open(root, InterruptedDisk(number)), FailingSystem())
        self._state(root)
        self._go_on(root)
        return "interrupted"

    def write_short(self, longest: int) -> Failures:
        """Let each call of write take a few bytes only."""
        system, found = FailingSystem(), Failures()
        system.longest_write = longest
        self._try(found, "a short write", lambda: self._write_short(system))
        found.calls = system.calls.count("writev")
        return found

    def _try(self, found: Failures, what: str, attempt: Callable[[], str]) -> None:
        found.calls += 1
        try:
            found.outcomes[attempt()] += 1
        except (Exception, pytest.fail.Exception) as error:
            found.problems.append(f"{what}: {type(error).__name__}: {error}".partition("\n")[0])

    def _fail_once(self, number: int, code: int) -> str:
        root = self.story.copy() / "root"
        before = read_image(root.parent)
        try:
            self.run(self.open(root), FailingSystem(number, OSError(code, os.strerror(code))))
        except (OSError, fastk.FastKError) as error:
            self._check_error(error, root, self.calls[number])
            self._check_left(root, before, self.calls[number])
            self._check_retry(root, reopen="sync failed" in str(error))
            return "an error"
        # A call that may fail: information in the lock file, the removal of what nobody needs.
        assert self._state(root) == self.story.new
        self._check_retry(root, reopen=False)
        return "done all the same"

    def _check_error(self, error: Exception, root: Path, call: str) -> None:
        named = str(getattr(error, "filename", root))
        assert named in str(error), f"the error does not name the path: {error}"
        assert named.startswith(str(root)) or str(root).startswith(named), f"the error names another path: {error}"
        if call == "fsync":
            assert "sync failed" in str(error)

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
        self._go_on(root)

    def _go_on(self, root: Path) -> None:
        """The same store object goes on: what it remembers of the disk must be right."""
        with self.store:
            after = self.story.operation.go_on_with(self.store, picture(root), self.story.new)
        assert rebuilt(read_image(root.parent)) == rows_by_series(after)

    def _interrupt_once(self, number: int, after: bool) -> str:
        root = self.story.copy() / "root"
        outcome = "done all the same"
        with suppress(KeyboardInterrupt):
            outcome = "interrupted"
            self.run(self.open(root), FailingSystem(number, KeyboardInterrupt(), after=after))
        self._state(root)
        self._go_on(root)
        return outcome

    def _write_short(self, system: FailingSystem) -> str:
        root = self.story.copy() / "root"
        self.run(self.open(root), system)
        assert self._state(root) == self.story.new
        self._go_on(root)
        return "done all the same"
