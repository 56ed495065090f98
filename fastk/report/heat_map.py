"""The coverage heat map: a row a series, a column a month, or several where there are too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import FastKError
from fastk.inspect.months import expected_rows, month_ordinal, month_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.inspect.facts import SeriesFacts
    from fastk.store.series import Series
    from fastk.store.store import FastKStore

MOST_SERIES = 1_000
MOST_COLUMNS = 240
PANEL_SERIES = 50
"""Rows of one drawing: a browser's canvas ends at some thousand pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatRow:
    """One series. Cell i spans the months from ``edges[i]`` to before ``edges[i + 1]`` (since 1970-01).

    ``present`` (float32, 0 to 1) is the part of the expected rows; without a timeframe, of the fullest cell.
    """

    key: str
    edges: NDArray[np.int64]
    rows: NDArray[np.int64]
    present: NDArray[np.float32]
    has_timeframe: bool


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """The rows, how many months a column has, and how many series were left out for want of room or for damage."""

    rows: tuple[HeatRow, ...]
    months: int
    left_out: int

    def panels(self) -> Iterator[Sequence[HeatRow]]:
        """The rows in parts that can be drawn."""
        return (self.rows[first : first + PANEL_SERIES] for first in range(0, len(self.rows), PANEL_SERIES))

    @property
    def span(self) -> tuple[int, int]:
        """The first month, and the one behind the last."""
        return min(int(row.edges[0]) for row in self.rows), max(int(row.edges[-1]) for row in self.rows)


def heat_map(store: FastKStore, facts: Sequence[SeriesFacts]) -> HeatMap:
    """Coverage of the series that have rows, at most a thousand."""
    filled = [each for each in facts if each.rows]
    spans = {each.key: _span(each, store) for each in filled[:MOST_SERIES]}
    first = min((span[0] for span in spans.values()), default=0)
    last = max((span[1] for span in spans.values()), default=0)
    months = -(-(last - first + 1) // MOST_COLUMNS)
    rows = [_row(each, store, spans[each.key], first, months) for each in filled[:MOST_SERIES]]
    kept = tuple(row for row in rows if row is not None)
    return HeatMap(kept, months, len(filled) - len(kept))


def _span(facts: SeriesFacts, store: FastKStore) -> tuple[int, int]:
    series = _handle(facts, store)
    assert facts.first_ts is not None
    assert facts.last_ts is not None
    return month_ordinal(facts.first_ts, series), month_ordinal(facts.last_ts, series)


def _handle(facts: SeriesFacts, store: FastKStore) -> Series:
    return store.series((facts.symbol, facts.category, facts.name))


def _row(facts: SeriesFacts, store: FastKStore, span: tuple[int, int], origin: int, months: int) -> HeatRow | None:
    """One series; None if its times cannot be read, which only those by year need."""
    series = _handle(facts, store)
    low, high = ((month - origin) // months for month in span)
    edges = origin + months * np.arange(low, high + 2)
    rows = np.zeros(high - low + 1, np.int64)
    try:
        for month, count in month_rows(facts, series).items():
            rows[(month - origin) // months - low] += count
    except (FastKError, OSError):
        return None
    expected = expected_rows(series, edges)
    full: Any = max(1, int(rows.max())) if expected is None else np.maximum(1, np.array(expected, np.float64))
    present = np.minimum(rows / full, 1).astype(np.float32)
    return HeatRow(facts.key, edges, rows, present, expected is not None)
