"""The view that a backtest reads: a plan, what it tells of itself, and the reads under the names of the store."""

import pytest
from builders import JANUARY, MINUTE
from session_calls import BINDING, FEATURE, KEYS, KLINE, columns, shown

import fastk
from fastk import (
    BacktestKlineBinding,
    BacktestPreparePlan,
    CompareOp,
    Gt,
    InvalidInput,
    NotFound,
    ScalarPredicate,
    ScalarPredicateQuery,
    ScopedScalarBinding,
)

PLAN = BacktestPreparePlan(
    kline=[BacktestKlineBinding("BTC", "1m"), BacktestKlineBinding("ETH", "1m")], scalar=[BINDING], prewarm=True
)
NAMES = ("BTC", "1m", "feature", "rsi")


@pytest.fixture
def view(market):
    return market.backtest_view().initialize(PLAN)


def test_a_plan_attaches_and_prewarms(market):
    told = []
    view = market.backtest_view()
    assert view.initialize(PLAN, progress=lambda done, total: told.append((done, total))) is view
    assert view.attached() == [*(binding.series_key for binding in PLAN.kline), FEATURE.series_key]
    assert view.cache_summary().mapped_chunk_count == 5
    assert told[-1] == (view.cache_summary().mapped_bytes,) * 2


def test_a_plan_need_not_prewarm_and_takes_pairs_and_keys(market):
    view = market.backtest_view().initialize(BacktestPreparePlan(kline=[("BTC", "1m")], scalar=[FEATURE]))
    assert view.attached() == [KLINE, FEATURE.series_key]
    assert view.cache_summary().mapped_chunk_count == 0
    assert view.initialize(BacktestPreparePlan()).attached() == [KLINE, FEATURE.series_key]


def test_a_plan_with_unknown_series_attaches_none_and_names_all_of_them(market):
    view = market.backtest_view()
    plan = BacktestPreparePlan(
        [("BTC", "1m"), ("XRP", "1m")], [ScopedScalarBinding.factor("BTC", "1m", "no"), BINDING], prewarm=True
    )
    with pytest.raises(NotFound, match="XRP/kline/1m, BTC/factor/1m@@no are not in the store"):
        view.initialize(plan)
    assert view.attached() == []


@pytest.mark.parametrize(
    "plan",
    [
        None,
        {"kline": []},
        BacktestPreparePlan(kline=[BacktestKlineBinding("BTC", " ")]),
        BacktestPreparePlan(kline=["BTC"]),
        BacktestPreparePlan(kline=None),
        BacktestPreparePlan(kline=BacktestKlineBinding("BTC", "1m")),
        BacktestPreparePlan(scalar=5),
        BacktestPreparePlan(scalar=[ScopedScalarBinding("BTC", "1m", "", "rsi")]),
        BacktestPreparePlan(scalar=[BacktestKlineBinding("BTC", "1m")]),
    ],
)
def test_what_is_no_plan_is_refused(market, plan):
    view = market.backtest_view().attach(KLINE)
    with pytest.raises(InvalidInput):
        view.initialize(plan)
    assert view.attached() == [KLINE]


def test_snapshots_tell_of_the_attached_series(market, view):
    market.kline("BTC", "1m").delete_range(None, JANUARY + 9 * MINUTE)
    found = view.capability_snapshot()
    assert found.inventory == view.inventory_snapshot() == view.attached_inventory()
    assert [(each.symbol, each.record_count) for each in found.inventory] == [("BTC", 80), ("ETH", 80), ("BTC", 40)]
    assert found.scalar_capabilities == [(FEATURE, fastk.ScalarQueryCapabilities(True, True, True))]
    assert found.health == view.health_check() == view.health_snapshot()
    assert (found.health.series_count, found.health.issue_series_count) == (3, 0)
    assert (found.cache.attached_count, found.cache.attached_kline_count, found.cache.attached_scalar_count) == (
        3,
        2,
        1,
    )
    assert found.store_stats == market.store_stats()
    assert found.store_stats.record_count == 80 - 10 + 80 + 40 + 4


def test_health_is_that_of_the_attached_series(market, view):
    inventory = market.series(KEYS[2]).chunk_inventory()
    folder = market._reader_of(fastk.SeriesKey(*KEYS[2])).files.folder
    with open(f"{folder}/{inventory[0].relative_path}", "r+b") as file:
        file.truncate(100)
    assert market.health_summary().issue_series_count == 1
    assert view.health_check().issue_series_count == 0
    assert view.attach(KEYS[2]).health_check().issue_series_count == 1


def test_all_reads_are_those_of_the_store(market, view):
    assert shown(view) == shown(market)
    assert columns(view.get_latest_n("BTC", "1m", 3)) == columns(market.get_kline_latest_n("BTC", "1m", 3))


OLD = ScalarPredicate(CompareOp.BETWEEN, 15, 40)
SCALAR_CALLS = {
    "get_scalar_at": (JANUARY,),
    "get_scalar_range": (JANUARY, JANUARY + 9 * MINUTE),
    "get_scalar_latest_n": (5,),
    "find_scalar_timestamps_via_zmap": (None, JANUARY + 20 * MINUTE, OLD),
    "find_scalar_timestamps_via_vix": (None, JANUARY + 20 * MINUTE, OLD),
    "find_scalar_timestamps_raw": (None, JANUARY + 20 * MINUTE, Gt(50)),
    "find_scalar_timestamps_by_predicate": (None, None, Gt(50)),
    "find_scalar_points_by_predicate": (None, None, Gt(50)),
    "replay_scalar": (JANUARY, JANUARY + 9 * MINUTE),
    "scalar_query_capabilities": (),
}


def plain(answer):
    """An answer as something that can be compared."""
    if hasattr(answer, "next_batch"):
        return [columns(batch) for batch in answer]
    if hasattr(answer, "tolist"):
        return answer.tolist()
    return list(answer) if hasattr(answer, "__len__") else answer


@pytest.mark.parametrize("name", SCALAR_CALLS)
def test_scalars_are_named_by_key_or_by_four_names(market, view, name):
    arguments = SCALAR_CALLS[name]
    expected = plain(getattr(market, name)(FEATURE, *arguments))
    read = getattr(view, name)
    assert expected
    assert plain(read(FEATURE, *arguments)) == expected
    assert plain(read(*NAMES, *arguments)) == expected
    assert plain(read(*NAMES[:2], *arguments, category="feature", name="rsi")) == expected if not arguments else True
    options = dict(zip(fastk.ScalarSeriesKey._fields, NAMES, strict=True))
    assert plain(read(*arguments, key=FEATURE)) == expected
    assert plain(read(**options)) == expected if not arguments else True


@pytest.mark.parametrize("name", [name for name in SCALAR_CALLS if name.startswith("find")])
def test_a_condition_may_stand_before_the_times(market, view, name):
    start, end, condition = SCALAR_CALLS[name]
    expected = plain(getattr(market, name)(FEATURE, start, end, condition))
    assert plain(getattr(view, name)(*NAMES, condition, start, end)) == expected
    assert plain(getattr(view, name)(FEATURE, condition, start, end)) == expected


def test_too_few_names_are_refused(view):
    with pytest.raises(InvalidInput, match="symbol, timeframe, category, name"):
        view.get_scalar_range("BTC", "1m")


def test_a_predicate_query_takes_a_query_or_its_parts(market, view):
    query = ScalarPredicateQuery(key=FEATURE, start_ts=JANUARY, end_ts=None, predicate=Gt(50), return_values=True)
    expected = list(market.query_scalar_predicate(query).matches)
    assert expected
    assert list(view.query_scalar_predicate(query).matches) == expected
    assert list(view.query_scalar_predicate(FEATURE, JANUARY, None, Gt(50)).matches) == expected
    with pytest.raises(InvalidInput, match="condition"):
        view.query_scalar_predicate(FEATURE, JANUARY, None)


def test_resets_under_their_own_names(view):
    assert view.reset_query_cache().cache_summary().attached_count == 3
    assert view.reset_logical_cache().cache_summary().mapped_chunk_count == 0
    assert view.full_detach().attached() == []


@pytest.mark.parametrize("category", [each for each in fastk.reserved_scalar_categories() if each != "portfolio"])
def test_bindings_of_each_category(category):
    binding = getattr(ScopedScalarBinding, category)("BTC", "1m", "x")
    assert binding == ScopedScalarBinding("BTC", "1m", category, "x")
    assert binding.to_series_key() == getattr(fastk, f"{category}_series_key")("BTC", "1m", "x")


def test_bindings_of_the_portfolio():
    binding = ScopedScalarBinding.portfolio("1d", "nav")
    assert binding.to_series_key() == fastk.portfolio_series_key("1d", "nav")
