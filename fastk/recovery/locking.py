"""The store's lock, for a repair that no store object asks for."""

from __future__ import annotations

import os.path
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from fastk.errors import InvalidInput
from fastk.format import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from fastk.io.disk import Disk


class WriteLock(Protocol):
    """What keeps other writers out; a store object offers its own."""

    def hold(self) -> AbstractContextManager[None]:
        """Hold the lock meanwhile; LockTimeout if another writer keeps it."""

    def leave_files(self) -> None:
        """Say that files of an unfinished commit may stay."""


class StoreLock:
    """The lock of a root. ``timeout`` is in seconds."""

    def __init__(self, disk: Disk, root: str, timeout: float) -> None:
        self._disk = disk
        self._root = root
        self._path = os.path.join(root, names.LOCK_FILE)
        self._timeout = timeout
        self._leftovers = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock meanwhile; LockTimeout if another writer keeps it, InvalidInput for a version of a dataset."""
        if self._disk.exists(os.path.join(self._root, names.DATASET_FILE)):
            raise InvalidInput(
                f"{self._root} is a version of a dataset, and never changes: restore it from a copy, or make another "
                f"version from the store"
            )
        lock = self._disk.lock(self._path, self._timeout)
        try:
            yield
        finally:
            lock.release(leftovers=self._leftovers)

    def leave_files(self) -> None:
        """Say that files of an unfinished commit may stay."""
        self._leftovers = True
