"""Rows by UTC month, whatever the partition of a series is."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fastk.inspect.expected import grid_of
from fastk.partition import PartitionUnit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.inspect.facts import SeriesFacts
    from fastk.store.series import Series

    Int64 = NDArray[np.int64]


def month_ordinal(ts: int, series: Series) -> int:
    """Months from 1970-01 to that of a time."""
    return PartitionUnit.MONTH.ordinal(ts, series.settings.time_unit)


def month_rows(facts: SeriesFacts, series: Series) -> dict[int, int]:
    """Rows of each month that has any, by months since 1970-01.

    Cost: nothing is read, except of series by year, of whose times one or two blocks a month are searched.
    """
    if facts.partition_unit == PartitionUnit.YEAR:
        return _searched(facts, series)
    rows: dict[int, int] = {}
    for each in facts.partitions:
        month = PartitionUnit.MONTH.parse_key(each.key[:7])
        rows[month] = rows.get(month, 0) + each.rows
    return rows


def _searched(facts: SeriesFacts, series: Series) -> dict[int, int]:
    unit = series.settings.time_unit
    years = (PartitionUnit.YEAR.parse_key(each.key) for each in facts.partitions)
    months = (12 * year + month for year in years for month in range(12))
    counts = {month: len(series.range(*PartitionUnit.MONTH.bounds(month, unit))) for month in months}
    return {month: count for month, count in counts.items() if count}


def expected_rows(series: Series, edges: Int64) -> list[int] | None:
    """How many rows the timeframe asks for from each month of ``edges`` to before the next; None without one."""
    grid = grid_of(series.settings, series.span)
    if grid is None:
        return None
    starts = [PartitionUnit.MONTH.bounds(month, series.settings.time_unit)[0] for month in edges.tolist()]
    return [grid.count(low, high - 1) for low, high in pairwise(starts)]
