"""Counting what is read and written: calls, rows and bytes, and how long calls took.

Nothing here is called while metrics are off: :mod:`fastk.store.measured` puts what counts in the place of the rest.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from fastk.errors import InvalidInput

# Buckets of latency, as HdrHistogram has them (G. Tene): powers of two, each cut into eight, so that a percentile is
# wrong by a sixteenth at most. Shorter times than 8 ns do not occur; longer ones than 2**40 ns are as long as that.
_SUB_BITS = 3
_SUBS = 1 << _SUB_BITS
_LAST = (1 << 40) - 1


class MetricsLevel(Enum):
    """How much is counted: nothing; calls, rows and bytes; and also how long the calls took."""

    OFF = "off"
    BASIC = "basic"
    DETAILED = "detailed"

    Off, Basic, Detailed = OFF, BASIC, DETAILED  # the original's spellings are the same members

    @classmethod
    def parse(cls, level: Any) -> MetricsLevel:
        """A level, or its name."""
        try:
            return cls(level.lower() if isinstance(level, str) else level)
        except ValueError:
            raise InvalidInput(f"metrics level {level!r} is unknown: give 'off', 'basic' or 'detailed'") from None


@dataclass(frozen=True, slots=True)
class OperationMetrics:
    """One operation. ``rows`` and ``bytes`` (rows as stored) of the calls that succeeded, ``errors`` of the others.

    Times are in seconds, and None unless the level is detailed. The percentiles are right to a sixteenth.
    """

    calls: int
    errors: int
    rows: int
    bytes: int
    seconds: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class StoreMetricsSnapshot:
    """What was counted since the last reset, by operation; those never called are left out."""

    metrics_level: MetricsLevel
    operations: dict[str, OperationMetrics] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """Calls of all operations, failed ones included."""
        return sum(each.calls for each in self.operations.values())

    @property
    def rows_read(self) -> int:
        """Rows of all operations that read."""
        return sum(each.rows for name, each in self.operations.items() if name not in WRITES)

    @property
    def bytes_read(self) -> int:
        """The bytes of those rows."""
        return sum(each.bytes for name, each in self.operations.items() if name not in WRITES)

    @property
    def rows_written(self) -> int:
        """Rows of all operations that write."""
        return sum(each.rows for name, each in self.operations.items() if name in WRITES)

    @property
    def bytes_written(self) -> int:
        """The bytes of those rows."""
        return sum(each.bytes for name, each in self.operations.items() if name in WRITES)


WRITES = frozenset({"put", "append", "delete_range", "replace_range", "merge"})


class _Counts:
    """What is counted of one operation."""

    __slots__ = ("buckets", "bytes", "calls", "errors", "nanoseconds", "rows")

    def __init__(self) -> None:
        self.calls = self.errors = self.rows = self.bytes = self.nanoseconds = 0
        self.buckets: dict[int, int] = {}

    def result(self, *, timed: bool) -> OperationMetrics:
        counts = (self.calls, self.errors, self.rows, self.bytes)
        if not timed:
            return OperationMetrics(*counts)
        return OperationMetrics(*counts, self.nanoseconds / 1e9, *map(self._percentile, (0.50, 0.95, 0.99)))

    def _percentile(self, share: float) -> float | None:
        wanted, seen = share * sum(self.buckets.values()), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= wanted:
                return _middle(bucket) / 1e9
        return None


def bucket_of(nanoseconds: int) -> int:
    """The bucket of a time."""
    time = min(max(nanoseconds, _SUBS), _LAST)
    shift = time.bit_length() - 1 - _SUB_BITS
    return shift << _SUB_BITS | (time >> shift) & (_SUBS - 1)


def _middle(bucket: int) -> float:
    """The time in the middle of a bucket, in nanoseconds."""
    shift, sub = divmod(bucket, _SUBS)
    return (_SUBS + sub + 0.5) * (1 << shift)


class Metrics:
    """Counters of one store object and its sessions. Safe to share between threads: a lock keeps counts exact."""

    def __init__(self) -> None:
        self.level = MetricsLevel.OFF
        self._counts: dict[str, _Counts] = {}
        self._lock = threading.Lock()

    def record(self, operation: str, nanoseconds: int, rows: int, size: int) -> None:
        """Count a call that succeeded."""
        with self._lock:
            counts = self._of(operation, nanoseconds)
            counts.rows += rows
            counts.bytes += size

    def record_error(self, operation: str, nanoseconds: int) -> None:
        """Count a call that raised."""
        with self._lock:
            self._of(operation, nanoseconds).errors += 1

    def _of(self, operation: str, nanoseconds: int) -> _Counts:
        counts = self._counts.get(operation)
        if counts is None:
            counts = self._counts[operation] = _Counts()
        counts.calls += 1
        if self.level is MetricsLevel.DETAILED:
            counts.nanoseconds += nanoseconds
            bucket = bucket_of(nanoseconds)
            counts.buckets[bucket] = counts.buckets.get(bucket, 0) + 1
        return counts

    def snapshot(self) -> StoreMetricsSnapshot:
        """What was counted so far."""
        with self._lock:
            timed = self.level is MetricsLevel.DETAILED
            counted = {name: self._counts[name].result(timed=timed) for name in sorted(self._counts)}
        return StoreMetricsSnapshot(self.level, counted)

    def reset(self) -> None:
        """Count from nothing again; the level stays."""
        with self._lock:
            self._counts.clear()
