"""A cursor over the rows of one series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastk.arrays import is_integer
from fastk.errors import InvalidInput
from fastk.replay.stretch import Stretch
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot

DEFAULT_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What a cursor goes through: ``start_ts <= ts <= end_ts`` (None: open), ``batch_rows`` rows a batch."""

    start_ts: int | None = None
    end_ts: int | None = None
    batch_rows: int = DEFAULT_BATCH_ROWS

    def __post_init__(self) -> None:
        checked_batch_rows(self.batch_rows)
        if self.start_ts is not None and self.end_ts is not None and self.start_ts > self.end_ts:
            raise InvalidInput(f"the replay's start {self.start_ts} lies after its end {self.end_ts}")

    @property
    def window(self) -> tuple[int, int]:
        """Both ends as ints."""
        start = INT64_MIN if self.start_ts is None else self.start_ts
        return start, INT64_MAX if self.end_ts is None else self.end_ts


class ReplayCursor:
    """Every committed row of a series between two times, in order, batch by batch.

    The order is that of the series itself: ascending in ts, rows of equal ts as they were committed and as they stood
    there; none is left out as a duplicate. The cursor keeps to the snapshot that was pinned when it was made, whatever
    is written meanwhile. ``for batch in cursor`` goes through what is left. One thread at a time.
    """

    __slots__ = ("_next", "_stretch", "options")

    def __init__(self, snapshot: Snapshot, options: ReplayOptions) -> None:
        self.options = options
        self._stretch = Stretch(snapshot, *options.window)
        self._next = self._stretch.first

    @property
    def is_exhausted(self) -> bool:
        """Whether all rows have been handed out."""
        return self._next == self._stretch.stop

    @property
    def position(self) -> int:
        """How many rows have been handed out."""
        return self._next - self._stretch.first

    def __len__(self) -> int:
        """How many rows there are in all."""
        return len(self._stretch)

    def __bool__(self) -> bool:
        return True

    def next_batch(self, n: int | None = None) -> Rows:
        """The next ``n`` rows (``batch_rows`` of the options); fewer at the end, and none after it.

        A batch within one chunk is zero-copy; the columns of one that crosses a border are joined as they are taken,
        and its ``segments`` are zero-copy.
        """
        low = self._next
        self._next = min(low + (self.options.batch_rows if n is None else checked_batch_rows(n)), self._stretch.stop)
        return self._stretch.rows(low, self._next)

    def __iter__(self) -> Iterator[Rows]:
        while not self.is_exhausted:
            yield self.next_batch()

    def __repr__(self) -> str:
        key = self._stretch.snapshot.settings.key
        return f"<replay of {key}: {self.position:,} of {len(self):,} rows handed out>"


def checked_batch_rows(rows: object) -> int:
    """A number of rows of 1 or more."""
    if is_integer(rows) and rows >= 1:
        return int(rows)
    raise InvalidInput(f"a batch has 1 row or more, not {rows!r}")
