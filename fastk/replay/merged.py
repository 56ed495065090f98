"""Rows of many series in one deterministic order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.arrays import read_only
from fastk.errors import InvalidInput
from fastk.replay.batch import ReplayBatch
from fastk.replay.cursor import checked_batch_rows
from fastk.replay.sources import Source
from fastk.replay.token import Token, check_same_rows, identities
from fastk.schema.schema import RecordType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.times import TimeUnit

    Int64 = NDArray[np.int64]

# At one ts: first what changed the market, then what was derived from it. Other record types come behind these.
PRIORITY = tuple(
    each.name.lower()
    for each in (RecordType.BOOK_DELTA, RecordType.BBO, RecordType.TRADE, RecordType.KLINE, RecordType.SCALAR)
)

# All blocks of ts together: 32 MiB, if there are no more than 16,384 series. Longer ones than these are no faster.
_BUFFERED_TS = 1 << 22
_LEAST_BLOCK, _GREATEST_BLOCK = 256, 8_192
_MOST_SHORT_LABELS = 1 << 16
_SAVED_AN_EVENT = 1e-7  # seconds, by the compiled merge


class MergedReplay:
    """Every row of a set of series between two times, in one total order, batch by batch.

    The order is ts; of equal ts the record type that comes first in the priority; of one type the series that was named
    first; within a series the sequence number, where its schema declares one and ts is not unique; then stored order.
    ``time_unit`` is the finest of the series' units, and ``ts`` of all events are in it, exactly. ``for batch in
    replay`` goes through what is left. Memory: a block of ts a series, and a batch. One thread at a time.
    """

    def __init__(
        self,
        snapshots: Sequence[Snapshot],
        start: int | None,
        end: int | None,
        unit: TimeUnit,
        *,
        priority: Sequence[str],
        batch_rows: int,
        token: Token | None = None,
    ) -> None:
        if token is not None:
            check_same_rows(token, snapshots)
        self.time_unit = unit
        self.batch_rows = checked_batch_rows(batch_rows)
        self.series = [snapshot.settings.key for snapshot in snapshots]
        self._start, self._end, self._priority = start, end, list(priority)
        self._identities = identities(snapshots)
        self._after = None if token is None else token.after
        self._position = 0 if token is None else token.events
        self._ranked = ranked([snapshot.settings.schema.name for snapshot in snapshots], priority)
        block = min(max(_BUFFERED_TS // len(snapshots), _LEAST_BLOCK), _GREATEST_BLOCK)
        self._sources = self._open(snapshots, block)
        self._left = sum(map(len, self._sources))
        self._runs = _Runs([self._sources[place] for place in self._ranked], self._ranked, block)

    def _open(self, snapshots: Sequence[Snapshot], block: int) -> list[Source]:
        """The sources, from behind the event of the token on."""
        rank = {place: rank for rank, place in enumerate(self._ranked)}
        ts, last, place = self._after or (None, -1, 0)
        sources = []
        for index, snapshot in enumerate(snapshots):
            start = self._start if ts is None else ts + (rank[index] < rank[last])
            factor = self.time_unit.per_second // snapshot.settings.time_unit.per_second
            source = Source(snapshot, start, self._end, factor, block)
            if index == last:
                if not source.first <= place < source.stop or source.ts_at(place) * factor != ts:
                    raise InvalidInput(f"the token names a row of {source.settings.key} that is not there")
                source.skip_to(place + 1)
            sources.append(source)
        return sources

    @property
    def is_exhausted(self) -> bool:
        """Whether all events have been handed out."""
        return not self._left

    @property
    def position(self) -> int:
        """How many events have been handed out, those before the token included."""
        return self._position

    @property
    def token(self) -> str:
        """A text from which ``resume=`` goes on behind the last batch; JSON of some 100 bytes a series."""
        return self._token_after(self._position, self._after)

    def _token_after(self, events: int, after: list[int] | None) -> str:
        parts = self._start, self._end, self._priority, self._identities, events, after
        return Token(self.time_unit.value, *parts).text

    def __len__(self) -> int:
        """How many events there are in all, those before the token included."""
        return self._position + self._left

    def __bool__(self) -> bool:
        return True

    def next_batch(self, n: int | None = None) -> ReplayBatch:
        """The next ``n`` events (default: ``batch_rows``); fewer at the end, and none after it."""
        size = min(self.batch_rows if n is None else checked_batch_rows(n), self._left)
        kernels.load_when_worth(_SAVED_AN_EVENT * size)
        begins = self._runs.places()
        source = np.empty(size, self._runs.labels.dtype)
        row, ts = np.empty((2, size), np.int64)
        permuted = self._runs.take(source, row, ts)
        source.flags.writeable = False  # kernels that gather columns trust it
        places = begins, self._runs.places()
        batch = ReplayBatch(source, row, ts, self._sources, places, permuted, self._position, self._token_after)
        self._position += size
        self._left -= size
        if size:
            self._after = batch.last
        return batch

    def __iter__(self) -> Iterator[ReplayBatch]:
        while not self.is_exhausted:
            yield self.next_batch()

    def __repr__(self) -> str:
        return f"<replay of {len(self.series):,} series: {self.position:,} of {len(self):,} events handed out>"


def ranked(types: Sequence[str], priority: Sequence[str]) -> list[int]:
    """The places of the series in the order in which events of one ts come."""
    rank = {name: place for place, name in enumerate(priority)}
    return sorted(range(len(types)), key=lambda place: rank.get(types[place], len(rank)))


class _Runs:
    """The sources in order of rank as runs of the merge kernel: a block of ts each, in one buffer."""

    def __init__(self, sources: list[Source], labels: list[int], block: int) -> None:
        count = len(sources)
        self.labels = read_only(np.array(labels, np.uint16 if count <= _MOST_SHORT_LABELS else np.uint32))
        self._sources = sources
        self._block = block
        self._buffer = np.empty(count * block, np.int64)
        self._ts = read_only(self._buffer)
        self._begins = np.arange(count) * block
        self._positions, self._stops = self._begins.copy(), self._begins.copy()
        self._shifts = np.array([source.first for source in sources]) - self._begins
        self._final = np.array([source.is_over for source in sources], np.uint8)
        self._waits = np.zeros(count, bool)  # all of a span is in the block: what follows has another order
        self._numbered = [run for run, source in enumerate(sources) if source.is_numbered]

    def places(self) -> Int64:
        """The place of the next row of each source, by its label."""
        places = np.empty_like(self._shifts)
        places[self.labels] = self._positions + self._shifts
        return places

    def take(self, source: NDArray[Any], row: Int64, ts: Int64) -> set[int]:
        """Fill a batch, which is no longer than what is left; gives the sources whose rows are not in stored order."""
        done, permuted = 0, set[int]()
        while done < ts.size:
            self._refill()
            inputs = self._ts, self._stops, self._final, self.labels, self._shifts, self._positions
            found = kernels.active.merge(*inputs, source[done:], row[done:], ts[done:])
            permuted |= self._reorder(source[done : done + found], row[done : done + found])
            done += found
        return permuted

    def _refill(self) -> None:
        """Top up the runs that are half empty, so that those of many series are filled together and not one by one."""
        held = self._stops - self._positions
        wanting = (held == 0) | ((held * 2 < self._block) & ~self._waits)
        for run in np.flatnonzero(wanting & (self._final == 0)).tolist():
            self._fill(run, self._sources[run])

    def _fill(self, run: int, source: Source) -> None:
        begin, position, stop = (int(each[run]) for each in (self._begins, self._positions, self._stops))
        if source.span_is_over:
            source.open_span()
        kept = stop - position
        self._buffer[begin : begin + kept] = self._buffer[position:stop]
        filled = kept + source.fill(self._buffer[begin + kept : begin + self._block])
        self._shifts[run] += position - begin
        self._positions[run], self._stops[run] = begin, begin + filled
        self._final[run], self._waits[run] = source.is_over, source.span_is_over

    def _reorder(self, source: NDArray[Any], row: Int64) -> set[int]:
        """Places become rows where the two differ; gives these sources."""
        orders = [(run, order) for run in self._numbered if (order := self._sources[run].order) is not None]
        if not orders:
            return set()
        events = source.argsort(kind="stable")  # of 16-bit numbers a radix sort: one pass, however many series
        borders = np.append(0, np.bincount(source, minlength=len(self._sources)).cumsum())
        for run, order in orders:
            label = int(self.labels[run])
            found = events[borders[label] : borders[label + 1]]
            row[found] = order[row[found] - self._sources[run].span[0]]
        return {int(self.labels[run]) for run, _ in orders}
