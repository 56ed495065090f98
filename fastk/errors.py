"""The one error tree.

::

    FastKError
    ├── InvalidInput (ValueError)       the caller's value cannot be accepted; nothing was changed
    │   └── Conflict                    rows share keys with stored ones, and the policy of the put forbids it
    ├── NotFound (LookupError)          the store, series or row set that was named does not exist
    ├── InvalidData                     stored bytes fail their checks: damaged, truncated or foreign
    │   └── UnsupportedVersion          stored bytes are of another (newer, or the original's) format
    ├── LockTimeout (TimeoutError)      another writer holds the store
    ├── SnapshotExpired                 rows of a pinned snapshot were removed meanwhile; refresh and repeat
    └── StoreClosed                     the store object was closed, or shut for writes after a failed sync

Failures of the operating system stay :class:`OSError`; the message names the path.
"""

from __future__ import annotations


class FastKError(Exception):
    """Base of every error that this library raises on its own account."""


class InvalidInput(FastKError, ValueError):
    """A value given by the caller cannot be accepted; nothing was changed."""


class Conflict(InvalidInput):
    """Rows of a put share keys with stored ones.

    Of the ``rows`` given, ``identical`` are stored just so already, and ``conflicting`` with other values.
    """

    def __init__(self, message: str, *, rows: int = 0, identical: int = 0, conflicting: int = 0) -> None:
        super().__init__(message)
        self.rows = rows
        self.identical = identical
        self.conflicting = conflicting


class NotFound(FastKError, LookupError):
    """The named store or series does not exist."""


class InvalidData(FastKError):
    """Stored bytes fail their checks. No row of the damaged part was handed out."""


class UnsupportedVersion(InvalidData):
    """The stored bytes are of a format that this version does not read."""


class LockTimeout(FastKError, TimeoutError):
    """Another writer held the store for longer than the caller would wait."""


class SnapshotExpired(FastKError):
    """Rows of the pinned snapshot were removed by a later commit; ``refresh()`` and repeat."""


class StoreClosed(FastKError):
    """This store object was closed, or takes no more writes after a failed sync; open it again."""
