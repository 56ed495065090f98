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

    ``ts`` is in the unit of the replay. ``series.range()[row]`` is the row itself, as long as the snapshot stays.
    ``batch.rows(i)`` are the rows of one series, ``batch.column(name)`` a column of all events, and ``for source,
    record in batch`` goes through them one by one. Cost: columns are read as they are asked for.
    """

    def __init__(
        self,
        source: NDArray[Any],
        row: Int64,
        ts: Int64,
        sources: Sequence[Source],
        begins: Int64,
        position: int,
        token_after: Callable[[int, list[int]], str],
    ) -> None:
        self.source = source
        self.row = row
        self.ts = ts
        self._sources = sources
        self._begins = begins
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
    def _counts(self) -> list[int]:
        """How many events each source has."""
        counts: list[int] = np.bincount(self.source, minlength=len(self._sources)).tolist()
        return counts

    def events(self, source: int) -> Int64:
        """Which events of the batch are of one series: ``batch.ts[batch.events(i)]`` are the times of its rows."""
        return np.flatnonzero(self.source == range(len(self._sources))[source])

    def rows(self, source: int) -> Rows:
        """The rows of one series in this batch, in order: zero-copy where they lie in one chunk and in stored order."""
        place = range(len(self._sources))[source]
        each, count = self._sources[place], self._counts[place]
        if not count:
            return each.snapshot.no_rows
        if each.is_stored_in_order:
            first = int(self._begins[place])
            return each.rows(first, first + count)
        return self._rows_in_another_order(place)

    def _rows_in_another_order(self, place: int) -> Rows:
        each, rows = self._sources[place], self.row[self.events(place)]
        low, high = int(rows.min()), int(rows.max()) + 1
        found = each.rows(low, high)
        if high - low == rows.size and (rows.size == 1 or (np.diff(rows) == 1).all()):
            return found
        columns = [found[name][rows - low] for name in found.schema.names]
        gathered: Rows = rows_class(ArrayRows, found.schema)(each.settings, columns)
        return gathered

    def column(self, name: str, *, fill: Any = None) -> NDArray[Any]:
        """A column of all events, as stored: one value an event, ``fill`` for those of series without such a column.

        Where the series store it in different dtypes, the one that holds all of them; InvalidInput if none does
        exactly, or if ``fill`` is needed and not given or does not fit.
        """
        if name == "ts":
            return self.ts.copy()
        dtype = self._common_dtype(name)
        return self._interleaved(name, dtype, self._checked_fill(name, dtype, fill), lambda rows: rows[name])

    def decoded(self, name: str, *, fill: float = np.nan) -> NDArray[np.float64]:
        """The same in natural units: float64, each series by its own scale; ``fill`` where there is no such column.

        InvalidInput where a series has text in it.
        """
        dtype = self._common_dtype(name, exactly=False)
        return self._interleaved(name, dtype, fill, lambda rows: rows.decoded(name))

    def _interleaved(
        self, name: str, dtype: np.dtype[Any], fill: Any, take: Callable[[Rows], NDArray[Any]]
    ) -> NDArray[Any]:
        """One value an event: what ``take`` gives of the rows of each series, or ``fill``."""
        columns = [
            np.ascontiguousarray(take(self.rows(place)), dtype)
            if name in source.settings.schema.index
            else np.full(count, fill, dtype)
            for place, (source, count) in enumerate(zip(self._sources, self._counts, strict=True))
        ]
        out = np.empty(len(self), dtype)
        if dtype.kind == "O":
            kernels.plain.interleave(columns, self.source, out)
        else:
            kernels.active.interleave(kernels.active.chain(columns), self.source, out)
        return out

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

    def _checked_fill(self, name: str, dtype: np.dtype[Any], fill: Any) -> Any:
        """What stands for events of series without such a column; None if there are none."""
        lacking = [source.settings for source in self._sources if name not in source.settings.schema.index]
        if not lacking:
            return None
        if fill is None:
            raise InvalidInput(f"{lacking[0].key} has no column {name!r}: say by fill= what stands for its events")
        return _checked_fill(fill, dtype)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Pairs (source, record), in order; a record has the fields of its own series."""
        records = [iter(self.rows(place)) for place in range(len(self._sources))]
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
