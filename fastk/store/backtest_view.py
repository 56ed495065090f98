"""The view of a store that backtests read: a session that is prepared by a plan. It reads, and simulates nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.keys import ScalarSeriesKey
from fastk.query.expressions import ScalarPredicate, ScalarPredicateExpr
from fastk.query.scalars import ScalarPredicateQuery
from fastk.session.plan import BacktestPreparePlan
from fastk.session.reports import SessionResetMode
from fastk.store.read_session import FastKReadSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from fastk.query.scalars import ScalarPredicateQueryResult, ScalarQueryCapabilities
    from fastk.recovery.reports import StoreHealthSummary
    from fastk.session.reports import SessionCacheSummary
    from fastk.store import reports
    from fastk.times import TimeLike


@dataclass(frozen=True, slots=True)
class BacktestCapabilitySnapshot:
    """All that a view tells of itself: of the attached series, and ``store_stats`` of the whole store as it is now."""

    inventory: list[reports.SeriesInventoryEntry]
    health: StoreHealthSummary
    scalar_capabilities: list[tuple[ScalarSeriesKey, ScalarQueryCapabilities]]
    cache: SessionCacheSummary
    store_stats: reports.StoreStats


_PARTS = ScalarSeriesKey._fields


def _by_key_or_names(method: Callable[..., Any]) -> Callable[..., Any]:
    """A read of a scalar series that takes its key, or symbol, timeframe, category and name in its place.

    A condition may stand before the times or behind them: the original has it before.
    """

    @wraps(method)
    def reading(self: BacktestStoreView, *arguments: Any, **options: Any) -> Any:
        key, rest = _take_key(arguments, options)
        conditions = [each for each in rest if isinstance(each, (ScalarPredicate, ScalarPredicateExpr))]
        return method(self, key, *[each for each in rest if each not in conditions], *conditions, **options)

    return reading


def _take_key(arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """The key that the first arguments spell, and the arguments behind it."""
    if "key" in options:
        return options.pop("key"), arguments
    if arguments and not isinstance(arguments[0], str):
        return arguments[0], arguments[1:]
    given = dict(zip(_PARTS, arguments, strict=False))
    given.update({name: options.pop(name) for name in _PARTS if name in options})
    if len(given) < len(_PARTS):
        raise InvalidInput(f"a scalar series is named by its key, or by {', '.join(_PARTS)}; these are {given!r}")
    return ScalarSeriesKey(**given), arguments[len(_PARTS) :]


class BacktestStoreView(FastKReadSession):
    """A read session for backtests; :meth:`FastKStore.backtest_view` makes one.

    Reads of scalar series take a key, or its four names in its place.
    """

    def initialize(
        self, plan: BacktestPreparePlan, *, progress: Callable[[int, int], None] | None = None
    ) -> BacktestStoreView:
        """Attach all series of a plan, or none; and prewarm them if the plan says so, telling ``progress`` bytes."""
        if not isinstance(plan, BacktestPreparePlan):
            raise InvalidInput(f"{plan!r} is no plan: give BacktestPreparePlan(kline=[...], scalar=[...])")
        self._attach(plan.keys)
        if plan.prewarm:
            self.prewarm(progress)
        return self

    # Snapshots

    def inventory_snapshot(self) -> list[reports.SeriesInventoryEntry]:
        """What is stored of the attached series; the same as ``attached_inventory``."""
        return self.attached_inventory()

    def health_check(self) -> StoreHealthSummary:
        """Counts of sound and damaged attached series; the same as ``attached_health_summary``."""
        return self.attached_health_summary()

    health_snapshot = health_check

    def capability_snapshot(self) -> BacktestCapabilitySnapshot:
        """Inventory, health, scalar capabilities, cache and the store's statistics. Cost: linear in the store."""
        return BacktestCapabilitySnapshot(
            self.attached_inventory(),
            self.attached_health_summary(),
            self.attached_scalar_capabilities(),
            self.cache_summary(),
            self._store.store_stats(),
        )

    # Resets

    def reset_query_cache(self) -> Self:
        """Reset QUERY_ONLY."""
        self.reset(SessionResetMode.QUERY_ONLY)
        return self

    def reset_logical_cache(self) -> Self:
        """Reset LOGICAL."""
        self.reset(SessionResetMode.LOGICAL)
        return self

    def full_detach(self) -> Self:
        """Reset FULL_DETACH."""
        self.reset(SessionResetMode.FULL_DETACH)
        return self

    # Reads and queries

    get_latest_n = FastKReadSession.get_kline_latest_n
    get_scalar_at = _by_key_or_names(FastKReadSession.get_scalar_at)
    get_scalar_range = _by_key_or_names(FastKReadSession.get_scalar_range)
    get_scalar_latest_n = _by_key_or_names(FastKReadSession.get_scalar_latest_n)
    replay_scalar = _by_key_or_names(FastKReadSession.replay_scalar)
    scalar_query_capabilities = _by_key_or_names(FastKReadSession.scalar_query_capabilities)
    find_scalar_points_by_predicate = _by_key_or_names(FastKReadSession.find_scalar_points_by_predicate)
    find_scalar_timestamps_by_predicate = _by_key_or_names(FastKReadSession.find_scalar_timestamps_by_predicate)
    find_scalar_timestamps_via_zmap = _by_key_or_names(FastKReadSession.find_scalar_timestamps_via_zmap)
    find_scalar_timestamps_via_vix = _by_key_or_names(FastKReadSession.find_scalar_timestamps_via_vix)
    find_scalar_timestamps_raw = _by_key_or_names(FastKReadSession.find_scalar_timestamps_raw)

    def query_scalar_predicate(
        self,
        query: ScalarPredicateQuery | ScalarSeriesKey,
        start_ts: TimeLike | None = None,
        end_ts: TimeLike | None = None,
        predicate: ScalarPredicateExpr | ScalarPredicate | None = None,
    ) -> ScalarPredicateQueryResult:
        """The matches of a query; or of a key, times and a condition, with their values."""
        if isinstance(query, ScalarSeriesKey):
            query = ScalarPredicateQuery(
                key=query,
                start_ts=start_ts,
                end_ts=end_ts,
                predicate=predicate,  # type: ignore[arg-type]  # None is refused with all that is no condition
                return_values=True,
            )
        return super().query_scalar_predicate(query)
