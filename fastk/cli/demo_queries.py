"""Conditions on the demo's longest series: how many rows match, how long it takes beside numpy, what found them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk import Between, Gt, InvalidData, ScalarIndexKind, kernels
from fastk.cli.demo_measure import feature_key, feature_name, median_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk import FastKStore, ScalarPredicateExpr, ScalarPredicateQueryStats, Series
    from fastk.cli.demo_data import Bars

    Column = NDArray[np.int64]
    Mask = NDArray[np.bool_]

REPETITIONS = 200
SERVED = {
    ScalarIndexKind.ZONE_MAP: "zones",
    ScalarIndexKind.VALUE_INDEX: "value index",
    ScalarIndexKind.ZONE_MAP_AND_VALUE_INDEX: "zones, value index",
    ScalarIndexKind.FULL_SCAN: "comparing",
}


@dataclass(frozen=True)
class Asked:
    """One condition: its text, what it found, and median seconds for the times of all matches, here and in numpy."""

    condition: str
    matches: int
    query: float
    numpy: float
    stats: ScalarPredicateQueryStats

    @property
    def served(self) -> str:
        """What found the matches, and how many rows had to be looked at."""
        kind = self.stats.index_used
        ways = "nothing" if kind is None else SERVED[kind]
        if self.stats.fallback_scan and kind is not ScalarIndexKind.FULL_SCAN:
            ways += ", comparing"
        return f"{ways}; {self.stats.rows_checked:,} rows looked at"


def ask(store: FastKStore, every: Sequence[Bars]) -> tuple[Bars, list[Asked]]:
    """Rare, clustered and frequent values of the longest series; numpy compares a column in memory. By kernels."""
    kernels.load()
    bars = max(every, key=len)
    klines, average = store.kline(bars.symbol, bars.timeframe), store.scalar(feature_key(bars))
    return bars, [
        *_above(klines, "volume", (0.999, 0.5)),
        *_above(klines, "close", (0.98,)),
        _lowest(average, feature_name(bars), 0.05),
    ]


def _above(series: Series, column: str, shares: tuple[float, ...]) -> Iterator[Asked]:
    """Values above those of a share of all rows."""
    for bound in dict.fromkeys(_quantile(series, column, share) for share in shares):
        text = f"{column} > {_natural(series, column, bound)}"
        yield _ask(series, column, text, Gt(bound), partial(np.less, bound))


def _lowest(series: Series, name: str, share: float) -> Asked:
    """Values between the least one and that of a share of all rows."""
    low, high = (_quantile(series, "value", each) for each in (0.0, share))
    text = f"{name} from {_natural(series, 'value', low)} to {_natural(series, 'value', high)}"
    return _ask(series, "value", text, Between(low, high), lambda values: (values >= low) & (values <= high))


def _quantile(series: Series, column: str, share: float) -> int:
    """A stored value that this share of the rows does not exceed."""
    return int(np.quantile(series.range()[column], share, method="lower"))


def _natural(series: Series, column: str, stored: int) -> str:
    scale = series.settings.scale_of(column)
    return f"{stored / scale:,.{len(str(scale)) - 1}f}".rstrip("0").rstrip(".") if scale > 1 else f"{stored:,}"


def _ask(
    series: Series,
    column: str,
    text: str,
    predicate: ScalarPredicateExpr,
    compare: Callable[[Column], Mask],
) -> Asked:
    rows = series.range()
    ts, values = rows.ts.copy(), rows[column].copy()
    found = series.where(column, predicate)
    if not np.array_equal(found.rows.ts, ts[compare(values)]):
        raise InvalidData(f"{series.key}: a query for {text} does not find what comparing finds")

    def query(_: Any) -> object:
        return series.where(column, predicate).rows.ts

    def in_memory(_: Any) -> object:
        return ts[compare(values)]

    repeated = range(REPETITIONS)
    return Asked(text, len(found), median_seconds(query, repeated), median_seconds(in_memory, repeated), found.stats)
