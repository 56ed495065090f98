"""The original's queries of scalar series, each a few lines over the series handles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk import keys
from fastk.store.series import check_order

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from fastk.engine.rows import Rows
    from fastk.keys import ScalarSeriesKey
    from fastk.query.expressions import ScalarPredicate, ScalarPredicateExpr
    from fastk.query.planner import PlanName
    from fastk.query.scalars import (
        ScalarPredicateMatches,
        ScalarPredicateQuery,
        ScalarPredicateQueryResult,
        ScalarQueryCapabilities,
    )
    from fastk.query.stats import ScalarPredicateQueryStats
    from fastk.store.series import Series
    from fastk.times import TimeLike

    Predicate = ScalarPredicate | ScalarPredicateExpr


class QueryNames:
    """Methods of :class:`fastk.FastKStore` that search the values of scalar series.

    All give matches in ascending order of ts, and refuse start > end with InvalidInput.
    """

    if TYPE_CHECKING:  # what the store itself offers to these methods
        series: Callable[[Any], Series]

    def query_scalar_predicate(self, query: ScalarPredicateQuery) -> ScalarPredicateQueryResult:
        """The matches of a query, with their values if it asks for them, and what finding them took."""
        from fastk.query import scalars

        checked = scalars.check_query(query)
        rows, stats = self._search(checked.key, checked.start_ts, checked.end_ts, checked.predicate)
        matches = scalars.ScalarPredicateMatches(rows, has_values=checked.return_values)
        return scalars.ScalarPredicateQueryResult(matches, stats)

    def _search(
        self,
        key: ScalarSeriesKey,
        start_ts: TimeLike | None,
        end_ts: TimeLike | None,
        predicate: Predicate,
        plan: PlanName = "auto",
    ) -> tuple[Rows | None, ScalarPredicateQueryStats]:
        """What a condition finds; no rows where nothing can match, whether the series exists or not."""
        from fastk.query import scalars
        from fastk.query.stats import ScalarPredicateQueryStats

        series = self.series(key)  # refuses blank names
        check_order(start_ts, end_ts)
        expression = scalars.check_predicate(predicate)
        if scalars.matches_nothing(expression):
            return None, ScalarPredicateQueryStats()
        found = series.where("value", expression, start_ts, end_ts, plan=plan)
        return found.rows, found.stats

    def find_scalar_points_by_predicate(
        self, key: ScalarSeriesKey, start_ts: TimeLike | None, end_ts: TimeLike | None, predicate: Predicate
    ) -> ScalarPredicateMatches:
        """The matches with their values."""
        from fastk.query.scalars import ScalarPredicateMatches

        rows, _ = self._search(key, start_ts, end_ts, predicate)
        return ScalarPredicateMatches(rows, has_values=True)

    def find_scalar_timestamps_by_predicate(
        self, key: ScalarSeriesKey, start_ts: TimeLike | None, end_ts: TimeLike | None, predicate: Predicate
    ) -> NDArray[np.int64]:
        """The times of the matches, found by the cheapest plan."""
        return self._timestamps(key, start_ts, end_ts, predicate, "auto")

    def find_scalar_timestamps_via_zmap(
        self, key: ScalarSeriesKey, start_ts: TimeLike | None, end_ts: TimeLike | None, predicate: Predicate
    ) -> NDArray[np.int64]:
        """The same times, found by zones and comparing."""
        return self._timestamps(key, start_ts, end_ts, predicate, "zones")

    def find_scalar_timestamps_via_vix(
        self, key: ScalarSeriesKey, start_ts: TimeLike | None, end_ts: TimeLike | None, predicate: Predicate
    ) -> NDArray[np.int64]:
        """The same times, found by value indexes; by comparing in chunks without a usable one."""
        return self._timestamps(key, start_ts, end_ts, predicate, "index")

    def find_scalar_timestamps_raw(
        self, key: ScalarSeriesKey, start_ts: TimeLike | None, end_ts: TimeLike | None, predicate: Predicate
    ) -> NDArray[np.int64]:
        """The same times, found by comparing all values."""
        return self._timestamps(key, start_ts, end_ts, predicate, "scan")

    def _timestamps(
        self,
        key: ScalarSeriesKey,
        start_ts: TimeLike | None,
        end_ts: TimeLike | None,
        predicate: Predicate,
        plan: PlanName,
    ) -> NDArray[np.int64]:
        from fastk.query.scalars import ScalarPredicateMatches

        rows, _ = self._search(key, start_ts, end_ts, predicate, plan)
        return ScalarPredicateMatches(rows, has_values=False).ts

    def scalar_query_capabilities(self, key: ScalarSeriesKey) -> ScalarQueryCapabilities:
        """What the series' chunks offer to queries, as the manifest tells it."""
        return self.series(key).query_capabilities("value")

    def indicator_query_capabilities(self, symbol: str, timeframe: str, name: str) -> ScalarQueryCapabilities:
        """The same for an indicator."""
        return self.scalar_query_capabilities(keys.indicator_series_key(symbol, timeframe, name))
