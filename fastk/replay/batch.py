"""Some events of a merged replay, and the columns that belong to them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import kernels
from fastk.engine.rows import ArrayRows, Rows, rows_class
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.keys import SeriesKey
    from fastk.replay.sources import Source

    Int64 = NDArray[np.int64]


class ReplayBatch:
    """Events in order: ``source`` is the series' place among those replayed, ``row`` the row's place in that series.

    ``source`` is read-only. ``ts`` is in the unit of the replay. ``series.range()[row]`` is the row itself, as long as
    the snapshot stays. ``batch.rows(i)`` are the rows of one series, ``batch.column(name)`` a column of all events, and
    ``for source, record in batch`` goes through them one by one. Cost: columns are read as they are asked for.
    """

    def __init__(
        self,
        source: NDArray[Any],
        row: Int64,
        ts: Int64,
        sources: Sequence[Source],
        places: tuple[Int64, Int64],
        permuted: set[int],
        position: int,
        token_after: Callable[[int, list[int]], str],
    ) -> None:
        self.source = source
        self.row = row
        self.ts = ts
        self._sources = sources
        self._begins, self._ends = places  # of each source: its first event, and the one behind its last
        self._permuted = permuted
        self._position = position
        self._token_after = token_after

    def __len__(self) -> int:
        return len(self.ts)

    def __bool__(self) -> bool:
        return True

    @property
    def series(self) -> list[SeriesKey]:
        """The keys of the series; ``source`` counts them."""
        return [source.settings.key for source in self._sources]

    @cached_property
    def _borders(self) -> Int64:
        """Where in :attr:`_sorted` the events of each source begin."""
        return np.append(0, np.cumsum(self._ends - self._begins))

    @cached_property
    def _sorted(self) -> Int64:
        """The events source by source. Of small numbers the stable sort is a radix sort: a pass for each byte."""
        short = len(self._sources) <= 1 << 8
        return (self.source.astype(np.uint8) if short else self.source).argsort(kind="stable")

    def events(self, source: int) -> Int64:
        """Which events of the batch are of one series: ``batch.ts[batch.events(i)]`` are the times of its rows."""
        place = range(len(self._sources))[source]
        return self._sorted[self._borders[place] : self._borders[place + 1]]

    def rows(self, source: int) -> Rows:
        """The rows of one series in this batch, in order: zero-copy where they lie in one chunk and in stored order."""
        place = range(len(self._sources))[source]
        each, (low, high) = self._sources[place], self._bounds(place)
        found = each.rows(low, high)
        if place not in self._permuted:
            return found
        rows = self.row[self.events(place)] - low
        columns = [found[name][rows] for name in found.schema.names]
        gathered: Rows = rows_class(ArrayRows, found.schema)(each.settings, columns)
        return gathered

    def _bounds(self, place: int) -> tuple[int, int]:
        """From which stored row to before which one those of a source lie: all of these, unless they are permuted."""
        begin, end = int(self._begins[place]), int(self._ends[place])
        if begin == end or place not in self._permuted:
            return begin, end
        rows = self.row[self.events(place)]
        return int(rows.min()), int(rows.max()) + 1

    def column(self, name: str, *, fill: Any = None) -> NDArray[Any]:
        """A column of all events, as stored: one value an event, ``fill`` for those of series without such a column.

        Where the series store it in different dtypes, the one that holds all of them; InvalidInput if none does
        exactly, or if ``fill`` is needed and not given or does not fit.
        """
        if name == "ts":
            return self.ts.copy()
        dtype = self._common_dtype(name)
        return self._gathered(name, dtype, self._needed_fill(name, dtype, fill), lambda rows: rows[name])

    def decoded(self, name: str, *, fill: float = np.nan) -> NDArray[np.float64]:
        """The same in natural units: float64, each series by its own scale; ``fill`` where there is no such column.

        InvalidInput where a series has text in it.
        """
        dtype = self._common_dtype(name, exactly=False)
        return self._gathered(name, dtype, fill, lambda rows: rows.decoded(name))

    def _gathered(
        self, name: str, dtype: np.dtype[Any], fill: Any, values_of: Callable[[Rows], NDArray[Any]]
    ) -> NDArray[Any]:
        """A value for each event, taken from its series in turn: what ``values_of`` gives of the rows, or ``fill``."""
        counts = self._ends - self._begins
        present = np.flatnonzero(counts)
        columns = [
            np.ascontiguousarray(self._values(place, values_of), dtype)
            if name in self._sources[place].settings.schema.index
            else np.full(counts[place], fill, dtype)
            for place in present.tolist()
        ]
        numbers = np.zeros(len(self._sources), self.source.dtype)
        numbers[present] = np.arange(present.size)
        labels = self.source if present.size == len(self._sources) else numbers[self.source]
        gathered = np.empty(len(self), dtype)
        implementation = kernels.plain if dtype.kind == "O" else kernels.active
        implementation.interleave(implementation.chain(columns), labels, gathered)
        return gathered

    def _values(self, place: int, values_of: Callable[[Rows], NDArray[Any]]) -> NDArray[Any]:
        """What a function gives of the rows of one series, in the order of the events."""
        low, high = self._bounds(place)
        values = values_of(self._sources[place].rows(low, high))
        return values if place not in self._permuted else values[self.row[self.events(place)] - low]

    def _common_dtype(self, name: str, *, exactly: bool = True) -> np.dtype[Any]:
        schemas = [source.settings.schema for source in self._sources]
        dtypes = {schema.fields[schema.index[name]].dtype for schema in schemas if name in schema.index}
        if not dtypes:
            raise InvalidInput(f"none of the series has a column {name!r}")
        if not exactly:
            if any(dtype.kind == "S" for dtype in dtypes):
                raise InvalidInput(f"column {name!r} is text, and has no natural units: take batch.column({name!r})")
            return np.dtype(np.float64)
        try:
            common = np.result_type(*dtypes)
        except TypeError:  # text and numbers
            common = np.dtype(object)
        if not all(_holds(common, dtype) for dtype in dtypes):
            listed = ", ".join(sorted(map(str, dtypes)))
            raise InvalidInput(f"no dtype holds {name!r} of all series exactly ({listed}); take them by batch.rows(i)")
        return common

    def _needed_fill(self, name: str, dtype: np.dtype[Any], fill: Any) -> Any:
        lacking = [source.settings for source in self._sources if name not in source.settings.schema.index]
        if not lacking:
            return None
        if fill is None:
            raise InvalidInput(f"{lacking[0].key} has no column {name!r}: say by fill= what stands for its events")
        return _checked_fill(fill, dtype)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Pairs (source, record), in order; a record has the fields of its own series."""
        records = {place: iter(self.rows(place)) for place in np.flatnonzero(self._ends - self._begins).tolist()}
        return ((source, next(records[source])) for source in self.source.tolist())

    @property
    def last(self) -> list[int]:
        """(ts, source, place) of the last event."""
        return self._mark(len(self) - 1)

    def token(self, event: int = -1) -> str:
        """A text from which ``resume=`` goes on behind one event of this batch (default: the last)."""
        place = range(len(self))[event]
        return self._token_after(self._position + place + 1, self._mark(place))

    def _mark(self, event: int) -> list[int]:
        source = int(self.source[event])
        before = int(np.count_nonzero(self.source[:event] == source))
        return [int(self.ts[event]), source, int(self._begins[source]) + before]

    def __repr__(self) -> str:
        return f"<{len(self):,} events of {len(self._sources):,} series>"


def _holds(common: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether every value of one dtype is exactly one of the other, of the same kind or wider."""
    if common.kind == "f" and dtype.kind in "iu":  # numpy calls int64 as float64 safe
        return dtype.itemsize * 8 <= np.finfo(common).nmant
    same_kind = common.kind == dtype.kind or (common.kind == "i" and dtype.kind == "u")
    return same_kind and np.can_cast(dtype, common, "safe")


def _checked_fill(fill: Any, dtype: np.dtype[Any]) -> Any:
    """A value that a column can hold as it is; floats may be rounded to a float column's precision."""
    probe = np.empty(1, dtype)
    try:
        probe[0] = fill
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"fill={fill!r} is no {dtype}") from None
    if dtype.kind != "f" and probe[0] != fill:
        raise InvalidInput(f"fill={fill!r} is no {dtype}")
    return probe[0]
