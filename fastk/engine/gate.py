"""Who may write: one thread of one process at a time, and nobody after a failed sync."""

from __future__ import annotations

import os
import os.path
from _thread import allocate_lock, get_ident  # what threading has, without a millisecond of that module
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastk.errors import InvalidInput, LockTimeout, StoreClosed
from fastk.format import names
from fastk.io.disk import SyncFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.io.disk import Disk
    from fastk.io.lock import FileLock


class WriteGate:
    """Every mutation passes here. After a failed sync what lies on the medium is unknown, so the gate stays shut."""

    def __init__(self, disk: Disk, root: str, *, writable: bool, timeout: float) -> None:
        self._disk = disk
        self._root = root
        self._lock_file = os.path.join(root, names.LOCK_FILE)
        self._dataset_file = os.path.join(root, names.DATASET_FILE)
        self._writable = writable
        self._timeout = timeout
        self._threads = allocate_lock()  # no RLock: a block that another thread leaves has to give it back
        self._holder = 0
        self._pid = 0
        self._shut = ""
        self._refusal = f"{root} was opened with mode='r'; open it with mode='rw' to write"
        self.crashes = 0
        self._leftovers = False

    def check_open(self) -> None:
        """Raise unless this store object may write."""
        if self._shut:
            raise StoreClosed(f"{self._root}: {self._shut}")
        if not self._writable:
            raise InvalidInput(self._refusal)
        if self._holder and self._pid != os.getpid():  # what the parent holds, this copy of it must not use
            raise StoreClosed(f"{self._root}: this process was forked while its parent was writing; open it again")

    def check_mutable(self) -> None:
        """Raise if a version of a dataset lies here, which may have got its name since the store was opened."""
        if self._disk.exists(self._dataset_file):
            raise InvalidInput(
                f"{self._root} is a version of a dataset, and never changes: open it with mode='r', or write to the "
                f"store that it was made from and make another version"
            )

    def leave_files(self) -> None:
        """Say that files of an unfinished commit may stay: other writers then look before they give names."""
        self._leftovers = True

    def refuse(self, why: str) -> None:
        """Say why a store that is not writable is not."""
        self._refusal = why

    def shut(self, why: str) -> None:
        """Let nobody in from here on."""
        self._shut = self._shut or why

    def hold(self) -> _Holding:
        """Hold the store's lock in a block; the store's folder must exist. LockTimeout if another writer keeps it.

        ``crashes`` then counts the writers so far that ended while they held it.
        """
        return _Holding(self)

    def take(self) -> FileLock | None:
        """Begin such a block; None where this thread holds the lock already."""
        self.check_open()
        if self._holder == get_ident():
            return None
        if not self._threads.acquire(timeout=self._timeout):
            raise LockTimeout(
                f"another thread of this process has been writing to {self._root} for {self._timeout:g} s"
            )
        try:
            self._holder, self._pid = get_ident(), os.getpid()
            self.check_open()
            self.check_mutable()
            lock = self._disk.lock(self._lock_file, self._timeout)
        except BaseException:
            self._let_threads_in()
            raise
        self.crashes = lock.crashes
        return lock

    def give_back(self, lock: FileLock | None, error: BaseException | None) -> None:
        """End such a block. The gate is shut if a sync failed within."""
        try:
            if lock is not None:
                leftovers, self._leftovers = self._leftovers, False
                lock.release(leftovers=leftovers)
        finally:
            if isinstance(error, SyncFailed):
                self._shut_after(error)
            if lock is not None:
                self._let_threads_in()

    def _let_threads_in(self) -> None:
        self._holder = 0
        self._threads.release()

    def check_thread(self) -> None:
        """Raise InvalidInput unless this thread holds the lock."""
        if self._holder != get_ident():
            raise InvalidInput(
                f"{self._root}: a batch must end in the thread in which it began. Nothing of it was written"
            )

    @contextmanager
    def shutting(self) -> Iterator[None]:
        """Shut the gate if a sync fails within."""
        try:
            yield
        except SyncFailed as error:
            self._shut_after(error)
            raise

    def _shut_after(self, error: SyncFailed) -> None:
        self.shut(
            f"an earlier sync failed ({error}), so that the state of the medium is unknown; open the store again "
            f"to read and write what was committed"
        )


class _Holding:
    """A block within which the lock is held. As a class it costs a third of what nested generators do."""

    __slots__ = ("_gate", "_lock")

    def __init__(self, gate: WriteGate) -> None:
        self._gate = gate
        self._lock: FileLock | None = None

    def __enter__(self) -> None:
        self._lock = self._gate.take()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._gate.give_back(self._lock, error)
