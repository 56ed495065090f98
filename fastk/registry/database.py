"""One SQLite file: a connection for each thread and process, write transactions, migrations, errors in words.

WAL mode: readers and one writer do not wait for each other. A commit is synced before it returns.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fastk.errors import FastKError, InvalidData, InvalidInput, LockTimeout, NotFound, StoreClosed, UnsupportedVersion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Migrations = Sequence[Sequence[str]]

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNREADABLE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
_SYSTEM = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_WRITING = "?mode=rwc"
_WAIT_SECONDS = 0.005
# One statement, because another process may bring an empty file to the newest version between two of them.
_STATE = """
    SELECT user_version,
        (SELECT count(*) FROM sqlite_master WHERE type='table'),
        (SELECT count(*) FROM sqlite_master WHERE type='table' AND name=?)
    FROM pragma_user_version"""


class _Own:
    """The connection of one thread, closed with it.

    A forked child leaves its parent's connections alone: SQLite forbids even to close them. (A Connection refers to
    itself, so that only the garbage collector would find one that nobody closed.)
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.process = os.getpid()

    def close(self) -> None:
        if self.process == os.getpid():
            self.connection.close()
        else:
            _of_parents.append(self.connection)

    __del__ = close


_of_parents: list[sqlite3.Connection] = []


class Database:
    """``path`` is absolute; None is a database in memory, which threads share and a forked child has a copy of.

    ``migrations[n]`` are the statements that lead from version n to n + 1, and ``table`` one that all versions but 0
    have. ``timeout``: seconds to wait for a writer.
    """

    def __init__(
        self, path: str | None, mode: Literal["rw", "r"], timeout: float, migrations: Migrations, table: str
    ) -> None:
        self.path = path or ":memory:"
        self._mode = "?mode=ro" if mode == "r" else _WRITING
        self._timeout = timeout
        self._threads = threading.local()
        self._open: weakref.WeakSet[_Own] = weakref.WeakSet()
        self._turn = threading.RLock()
        self._closed = False
        self._shared = None if path else self._connect(":memory:")
        self._identity: tuple[int, int] | None = None  # of the file, once it is known to be a registry
        self._migrations = migrations
        self._table = table
        if mode == "r":
            self._check_readable()
        elif self._version() < len(migrations):
            self._begin_wal()
            self._migrate()
        self._identity = self._found() if path else None

    # Connections

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection, for one statement. Errors of SQLite become FastK's."""
        with self._understood(), self._turn if self._shared else nullcontext():
            yield (self._shared or self._of_this_thread()).connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The same, for a write transaction: all of the block is committed, or nothing."""
        if self._mode != _WRITING:
            raise InvalidInput(
                f"{self.path} is open in mode 'r', which writes nothing: open the registry with mode='rw'"
            )
        with self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _of_this_thread(self) -> _Own:
        if self._closed:
            raise StoreClosed(f"{self.path}: the registry was closed; open it again")
        self._check_in_place()
        found: _Own | None = getattr(self._threads, "own", None)
        if found is None or found.process != os.getpid():
            found = self._threads.own = self._connect(Path(self.path).as_uri() + self._mode)
        return found

    def _check_in_place(self) -> None:
        """A connection goes on with a file that has lost its name: what is written there is lost with it."""
        if self._identity is not None and self._found() != self._identity:
            raise NotFound(
                f"{self.path} was removed, or another file put in its place, since the registry was opened: restore it "
                f"if it is gone, and open it again"
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _connect(self, uri: str) -> _Own:
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=self._timeout,
            isolation_level=None,  # transactions begin and end where this module says so
            check_same_thread=False,  # for close(), and for the database in memory
        )
        own = _Own(connection)
        with self._turn:
            self._open.add(own)
        connection.execute("PRAGMA synchronous=FULL")
        return own

    def close(self) -> None:
        """Close the connections of all threads."""
        self._closed = True
        with self._turn:
            for own in list(self._open):
                own.close()

    # Preparing the file

    def _begin_wal(self) -> None:
        """SQLite does not wait here by itself when another process does the same at the moment."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                with self.connection() as connection:
                    connection.execute("PRAGMA journal_mode=WAL")
                return
            except LockTimeout:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_WAIT_SECONDS)

    def _migrate(self) -> None:
        """Bring the file to the newest version, all steps in one transaction."""
        with self.transaction() as connection:
            for statements in self._migrations[self._version() :]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(self._migrations)}")

    def _version(self) -> int:
        """The version of the file, 0 if it is empty; errors if it is another program's."""
        newest = len(self._migrations)
        with self.connection() as connection:
            version, tables, ours = connection.execute(_STATE, (self._table,)).fetchone()
        if not 0 <= version <= newest:
            raise UnsupportedVersion(
                f"{self.path} is of version {version}, and this library knows {newest}: it is a newer registry, or "
                f"another program's database"
            )
        if (version > 0) != (ours > 0) or (tables > 0) != (ours > 0):
            raise InvalidData(f"{self.path} is another program's database; name another file")
        return int(version)

    def _check_readable(self) -> None:
        """The same for a reader, which changes nothing."""
        if not os.path.exists(self.path):
            raise NotFound(f"there is no registry at {self.path}; check the path")
        try:
            version = self._version()
        except OSError:
            if os.access(os.path.dirname(self.path), os.W_OK):
                raise
            # Even a reader of a file in WAL mode makes files beside it, unless it is told that nobody writes.
            self._mode += "&immutable=1"
            self._threads = threading.local()
            version = self._version()
        if version < len(self._migrations):
            raise InvalidData(f"{self.path} is an older registry, or an empty file: open it for writing once")

    # Errors

    @contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> Exception:
        if self._closed:
            return StoreClosed(f"{self.path}: the registry was closed; open it again")
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # without what makes it more exact
        if code in _BUSY:
            return LockTimeout(
                f"another process is writing to {self.path}; waited {self._timeout:g} s. Let it finish, or open the "
                f"registry with a longer timeout"
            )
        if code in _UNREADABLE:
            return InvalidData(f"{self.path} is no registry, or damaged ({error}); restore it from a copy")
        if code in _SYSTEM:
            return OSError(_SYSTEM[code], str(error), self.path)
        return FastKError(f"{self.path}: {error}")


def checked_timeout(seconds: object) -> float:
    """Seconds to wait for another writer."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e6:
        raise InvalidInput(f"timeout must be a number of seconds from 0 to 10**6, not {seconds!r}")
    return float(seconds)
