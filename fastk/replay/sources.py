"""What a merged replay takes its events from: the rows of one series, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidInput
from fastk.replay.stretch import Stretch
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.settings import SeriesSettings

    Int64 = NDArray[np.int64]


class Source:
    """Rows of one series between two times, both in the unit of the merge: ``factor`` of it are one of the series'.

    Rows come in order of ts, then sequence number, then as they are stored. The *place* of a row counts them in this
    order from the series' first row on. Where ts is unique, or sequence numbers ascend, that is where the row is
    stored; else ``order`` says for the *span* being handed out, a run of whole ts, which row is at each place.
    """

    __slots__ = ("_next", "_sequence", "_span_rows", "_stretch", "factor", "first", "order", "snapshot", "span", "stop")

    def __init__(self, snapshot: Snapshot, start: int | None, end: int | None, factor: int, span_rows: int) -> None:
        low = INT64_MIN if start is None else -(-start // factor)
        high = INT64_MAX if end is None else end // factor
        self.snapshot = snapshot
        self.factor = factor
        self._stretch = Stretch(snapshot, low, high)
        self.first = self._next = self._stretch.first
        self.stop = self._stretch.stop
        self._sequence = _sequence_place(snapshot.settings)
        self._span_rows = span_rows
        self.order: Int64 | None = None
        self.span = (self.first, self.first)
        self._check_fits(low, high)

    def _check_fits(self, low: int, high: int) -> None:
        """Refuse times that int64 cannot count in the unit of the merge."""
        if not len(self):
            return
        first, last = self.snapshot.span or (0, 0)
        for ts in (max(first, low), min(last, high)):
            if not INT64_MIN <= ts * self.factor <= INT64_MAX:
                raise InvalidInput(
                    f"{self.settings.key}: ts {ts} does not fit int64 in the finer unit of another series; replay "
                    f"a shorter time, or series of one unit"
                )

    def __len__(self) -> int:
        """How many rows are left to be handed out, and were before."""
        return self.stop - self.first

    @property
    def settings(self) -> SeriesSettings:
        """Name, schema, units and scales of the series."""
        return self.snapshot.settings

    @property
    def is_over(self) -> bool:
        """Whether all rows have been handed out."""
        return self._next == self.stop

    @property
    def is_numbered(self) -> bool:
        """Whether sequence numbers order rows of one ts, which may be stored in another order."""
        return self._sequence is not None

    def skip_to(self, place: int) -> None:
        """Go on from a later place, whose ts is that of the first row."""
        while self.span[1] <= place and self.span[1] < self.stop:
            self._open_span(self.span[1])
        self._next = self.first = place

    def fill(self, out: Int64) -> int:
        """Write the next ts of the present span to a buffer, at most as many as it holds; gives how many, and moves on.

        Call :meth:`open_span` first where the last one is over.
        """
        low, high = self._next, min(self._next + out.size, self.span[1])
        filled = 0
        for chunk, begin, end in self._stretch.pieces(low, high):
            out[filled : filled + end - begin] = chunk.column(0, begin, end)
            filled += end - begin
        if self.factor != 1:
            out[:filled] *= self.factor
        self._next = high
        return filled

    @property
    def span_is_over(self) -> bool:
        """Whether a new span must be opened."""
        return self._next == self.span[1]

    def open_span(self) -> None:
        """Open the next span: all that is left where rows stand in order for sure, else some rows of whole ts."""
        self._open_span(self._next)

    def _open_span(self, low: int) -> None:
        if self._sequence is None:
            self.span = (low, self.stop)
            return
        self.span = (low, self._end_of_span(low))
        self.order = self._order_of(*self.span, self._sequence)

    def _end_of_span(self, low: int) -> int:
        """Some rows on, where a ts ends."""
        high = min(low + self._span_rows, self.stop)
        if high == self.stop:
            return high
        last, behind = self._stretch.rows(high - 1, high + 1)["ts"].tolist()
        if last != behind:
            return high
        begin = Stretch(self.snapshot, last, last)
        return begin.first if begin.first > low else min(begin.stop, self.stop)

    def ts_at(self, place: int) -> int:
        """The ts of a row, in the unit of the series: rows of one ts may change their places, but not ts."""
        return int(self._stretch.rows(place, place + 1)["ts"][0])

    def _order_of(self, low: int, high: int, sequence: int) -> Int64 | None:
        """The row at each place, None if each is where it is stored."""
        rows = self._stretch.rows(low, high)
        ts, numbers = rows["ts"], rows[self.settings.schema.names[sequence]]
        same = ts[1:] == ts[:-1]
        if not (same & (numbers[1:] < numbers[:-1])).any():
            return None
        order = np.arange(low, high)
        # Most rows have a ts of their own, and stay: sorting all of them took longer than the merge.
        shared = np.flatnonzero(np.append(same, False) | np.append(False, same))
        order[shared] = shared[np.lexsort((numbers[shared], ts[shared]))] + low
        return order

    def rows(self, low: int, high: int) -> Rows:
        """Stored rows, zero-copy within a chunk."""
        return self._stretch.rows(low, high)


def _sequence_place(settings: SeriesSettings) -> int | None:
    """The column that orders rows of one ts; None where there are no such rows, or nothing orders them."""
    schema = settings.schema
    if schema.unique_ts or schema.sequence_field is None:
        return None
    return schema.position(schema.sequence_field)
