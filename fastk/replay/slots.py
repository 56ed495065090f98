"""Expected times: a grid, the steps of sessions, or a list; numbered, so that what is missing is a range of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from fastk.errors import InvalidInput
from fastk.times import INT64_MAX, INT64_MIN, span_of, to_ts_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.schema.settings import SeriesSettings
    from fastk.times import TimeSpan

    Int64 = NDArray[np.int64]


class Filled(NamedTuple):
    """Runs of filled slots, from ``starts[i]`` to ``ends[i]``, ascending; and how many rows fill none.

    A run may begin with the slot that the one before ends with: several rows may fill one slot.
    """

    starts: Int64
    ends: Int64
    unexpected: int


class Slots(Protocol):
    """Expected times, numbered from 0 to before ``count``. ``window`` are the first and last ts that may fill them."""

    count: int
    window: tuple[int, int]

    def fill(self, ts: Int64) -> Filled:
        """The slots that rows within the window fill."""

    def ts(self, slots: Int64) -> Int64:
        """The time of each slot."""


class ListedSlots:
    """Expected times as an array."""

    def __init__(self, expected: Int64, start: int, end: int) -> None:
        self._expected = expected[expected.searchsorted(start) : expected.searchsorted(end, "right")]
        self.count = self._expected.size
        self.window = (int(self._expected[0]), int(self._expected[-1])) if self.count else (0, -1)

    def fill(self, ts: Int64) -> Filled:
        """The slots that rows fill by standing at the very time."""
        slots = self._expected.searchsorted(ts).astype(np.int64)
        return _each(slots, self._expected[slots] == ts)

    def ts(self, slots: Int64) -> Int64:
        """The time of each slot."""
        return self._expected[slots]


class SessionSlots:
    """Every ``step`` from the open of each session on, up to its last ts.

    With ``buckets`` any row from a slot to before the next one fills it, else only one at the very time.
    """

    def __init__(self, opens: Int64, lasts: Int64, step: int, buckets: bool) -> None:
        counts = (lasts - opens) // step + 1
        if not buckets:
            lasts = opens + (counts - 1) * step  # the window ends at the last slot, as it begins at the first
        kept = counts > 0
        self._opens, self._lasts, self._step, self._buckets = opens[kept], lasts[kept], step, buckets
        self._borders = np.append(0, np.cumsum(counts[kept]))
        self.count = int(self._borders[-1])
        self.window = (int(self._opens[0]), int(self._lasts[-1])) if self.count else (0, -1)

    def fill(self, ts: Int64) -> Filled:
        """The slots that rows fill."""
        if self._opens.size == 1 and not self._buckets:
            return self._fill_grid(ts)
        session = self._opens.searchsorted(ts, "right") - 1
        offset = ts - self._opens[session]
        slots = offset // self._step
        fills = ts <= self._lasts[session]
        if not self._buckets:
            fills &= slots * self._step == offset
        return _each(slots + self._borders[session], fills)

    def _fill_grid(self, ts: Int64) -> Filled:
        """Rows one step apart are a run, and only its head is divided: 4 times as fast on bars with gaps (measured)."""
        heads = np.append(0, np.flatnonzero(np.diff(ts) != self._step) + 1)
        lengths = np.diff(heads, append=ts.size)
        offset = ts[heads] - self._opens[0]
        slots = offset // self._step
        fills = slots * self._step == offset
        starts = slots[fills]
        return Filled(starts, starts + lengths[fills] - 1, int(lengths[~fills].sum()))

    def ts(self, slots: Int64) -> Int64:
        """The time of each slot."""
        session = self._borders.searchsorted(slots, "right") - 1
        times: Int64 = self._opens[session] + (slots - self._borders[session]) * self._step
        return times


def _each(slots: Int64, fills: NDArray[np.bool_]) -> Filled:
    """Every row as a run of its own."""
    filled = slots[fills]
    return Filled(filled, filled, fills.size - filled.size)


def expected_slots(
    snapshot: Snapshot,
    start: int,
    end: int,
    *,
    step: TimeSpan | None,
    origin: int | None,
    sessions: Any,
    expected: Any,
    buckets: bool,
) -> Slots:
    """The slots that begin between start and end, which are at the ends of int64 where they are open."""
    settings = snapshot.settings
    if expected is not None:
        if not (step is origin is sessions is None) or buckets:
            raise InvalidInput("expected= names every time that should be there: leave the other arguments out")
        return _listed(settings, start, end, expected)
    if sessions is not None:
        if origin is not None:
            raise InvalidInput("the slots of a session begin at its open: leave origin out")
        return _sessions(settings, start, end, step, sessions, buckets)
    return _grid(snapshot, start, end, _checked_step(settings, step), origin, buckets)


def _listed(settings: SeriesSettings, start: int, end: int, expected: Any) -> ListedSlots:
    times = to_ts_array(expected, settings.time_unit, zoneless_is_utc=True)
    if (times[1:] <= times[:-1]).any():
        raise InvalidInput("expected must ascend, each time once")
    return ListedSlots(times, start, end)


def _checked_step(settings: SeriesSettings, step: TimeSpan | None) -> int:
    """The step given, or the timeframe in the series' unit."""
    if step is None:
        step = settings.timeframe_ms * (settings.time_unit.per_second // 1000)
        if not step:
            raise InvalidInput(
                f"{settings.key} has no timeframe: say what is expected by step= (in {settings.time_unit}; with "
                f"buckets=True any row of a step fills it), sessions=(opens, closes) or expected=times"
            )
    width = span_of(step, settings.time_unit, "step")
    if not 1 <= width <= INT64_MAX:
        raise InvalidInput(f"step must be 1 or more, and within int64, not {step!r}")
    return width


def _grid(snapshot: Snapshot, start: int, end: int, step: int, origin: int | None, buckets: bool) -> SessionSlots:
    """One session of all grid points; open ends are those of the series, and so is the origin if none is given."""
    span = snapshot.span
    if span is None and (start == INT64_MIN or end == INT64_MAX):
        return SessionSlots(np.empty(0, np.int64), np.empty(0, np.int64), step, buckets)
    low = span[0] if span and start == INT64_MIN else start
    high = span[1] if span and end == INT64_MAX else end
    phase = (span[0] if span else low) if origin is None else origin
    if buckets and start == INT64_MIN:
        low = max(low - (low - phase) % step, INT64_MIN)  # the bucket of the first row
    first = low + (phase - low) % step
    opens = np.array([first] if first <= high else [], np.int64)
    return _clipped(opens, np.full(opens.size, INT64_MAX), low, high, step, buckets)


def _sessions(
    settings: SeriesSettings, start: int, end: int, step: TimeSpan | None, sessions: Any, buckets: bool
) -> SessionSlots:
    """Slots of given sessions: each step of them, or each of them as one where there is neither step nor timeframe."""
    opens, closes = _checked_sessions(settings, sessions)
    if step is None and not settings.timeframe_ms and opens.size:
        step, buckets = int((closes - opens).max()), True
    return _clipped(opens, closes - 1, start, end, _checked_step(settings, step) if opens.size else 1, buckets)


def _checked_sessions(settings: SeriesSettings, sessions: Any) -> tuple[Int64, Int64]:
    try:
        opens, closes = (to_ts_array(each, settings.time_unit, zoneless_is_utc=True) for each in sessions)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput("sessions are two arrays of times: (opens, closes)") from None
    if opens.size != closes.size:
        raise InvalidInput(f"sessions have {opens.size:,} opens and {closes.size:,} closes")
    if opens.size and int(closes[-1]) - int(opens[0]) > INT64_MAX:
        raise InvalidInput("sessions span more than int64 can count")
    if (opens >= closes).any() or (opens[1:] < closes[:-1]).any():
        raise InvalidInput("sessions ascend, do not overlap, and each closes after it opens")
    return opens, closes


def _clipped(opens: Int64, lasts: Int64, low: int, high: int, step: int, buckets: bool) -> SessionSlots:
    """The slots that begin between ``low`` and ``high``; a bucket reaches to its own end. In python's integers."""
    kept = (lasts >= low) & (opens <= high)
    opens, lasts = opens[kept], lasts[kept]
    if opens.size:
        skipped = max(0, -((int(opens[0]) - low) // step))
        opens[0] = min(int(opens[0]) + skipped * step, INT64_MAX)
        last_open = int(opens[-1])
        end = last_open + ((high - last_open) // step + 1) * step - 1 if buckets else high
        lasts[-1] = min(int(lasts[-1]), end)
        _check_countable(int(opens[0]), int(lasts[-1]), step)
    return SessionSlots(opens, lasts, step, buckets)


def _check_countable(first: int, last: int, step: int) -> None:
    if last - first > INT64_MAX or (last - first) // step == INT64_MAX:
        raise InvalidInput(
            f"expected times from {first} to {last} span more than int64 can count: give a start and end closer to "
            f"each other, or leave them open"
        )
