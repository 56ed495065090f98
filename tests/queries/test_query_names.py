"""The original's queries of scalar series: names, arguments, order of checks, and the same rows as `where`."""

import inspect

import numpy as np
import pytest
from builders import DAY, FEBRUARY, JANUARY, MINUTE

import fastk
from fastk import (
    Between,
    CompareOp,
    Eq,
    FastKStore,
    Gt,
    InSet,
    InvalidInput,
    Lt,
    Ne,
    NotFound,
    NotInSet,
    ScalarPredicate,
    ScalarPredicateExpr,
    ScalarPredicateMatch,
    ScalarPredicateQuery,
    ScalarPredicateQueryStats,
    ScalarQueryCapabilities,
    ScalarSeriesKey,
)

RSI = fastk.indicator_series_key("BTC", "1m", "rsi")
MISSING = fastk.feature_series_key("BTC", "1m", "none")
TS = np.concatenate([JANUARY + MINUTE * np.arange(300), FEBRUARY + MINUTE * np.arange(200)])
VALUE = np.arange(500) * 37 % 101 - 50

SEARCHES = (
    "find_scalar_timestamps_by_predicate",
    "find_scalar_timestamps_via_zmap",
    "find_scalar_timestamps_via_vix",
    "find_scalar_timestamps_raw",
    "find_scalar_points_by_predicate",
)


@pytest.fixture
def rsi(store):
    """An indicator of two months."""
    store.register_kline_series("BTC", "1m", MINUTE)
    store.register_indicator_series("BTC", "1m", "rsi")
    store.put_indicator_chunk("BTC", "1m", "rsi", {"ts": TS, "value": VALUE})
    return store


def ask(store, key=RSI, start=None, end=None, *, predicate, **options):
    """The one query that tells all."""
    return store.query_scalar_predicate(
        ScalarPredicateQuery(key=key, start_ts=start, end_ts=end, predicate=predicate, **options)
    )


def every_way(store, key, start, end, predicate):
    """Each method as a call."""
    yield lambda: ask(store, key, start, end, predicate=predicate)
    for name in SEARCHES:
        yield lambda name=name: getattr(store, name)(key, start, end, predicate)


@pytest.mark.parametrize("name", SEARCHES)
def test_arguments_stand_in_the_order_of_the_original(name):
    parameters = inspect.signature(getattr(FastKStore, name)).parameters
    assert list(parameters) == ["self", "key", "start_ts", "end_ts", "predicate"]


class TestMatches:
    @pytest.mark.parametrize("predicate", [Eq(7), Gt(45), Ne(7), InSet([1, -50]), NotInSet(range(-49, 50)), Lt(-999)])
    @pytest.mark.parametrize(("start", "end"), [(None, None), (JANUARY + 50 * MINUTE, FEBRUARY + DAY), (5, JANUARY)])
    def test_are_those_of_where(self, rsi, predicate, start, end):
        expected = rsi.series(RSI).where("value", predicate, start, end).rows
        for name in SEARCHES[:4]:
            found = getattr(rsi, name)(RSI, start, end, predicate)
            assert (found.dtype, found.tolist()) == (np.dtype(np.int64), expected.ts.tolist())
        points = rsi.find_scalar_points_by_predicate(RSI, start, end, predicate)
        matches = ask(rsi, start=start, end=end, predicate=predicate, return_values=True).matches
        for found in (points, matches):
            assert len(found) == len(expected)
            assert found.ts.tolist() == expected.ts.tolist()
            assert found.value.tolist() == expected.value.tolist()
            pairs = zip(expected.ts.tolist(), expected.value.tolist(), strict=True)
            assert list(found) == [ScalarPredicateMatch(*pair) for pair in pairs]

    def test_have_values_only_if_they_were_asked_for(self, rsi):
        matches = ask(rsi, predicate=Eq(7)).matches
        assert matches.value is None
        assert {match.value for match in matches} == {None}
        assert matches[0] == (int(matches.ts[0]), None)
        assert repr(matches) == f"<{len(matches)} matches, without values>"

    def test_are_plain_numbers_one_by_one(self, rsi):
        matches = ask(rsi, predicate=Gt(40), return_values=True).matches
        for match in (matches[0], matches[-1], next(iter(matches))):
            assert {type(each) for each in match} == {int}
        assert matches[-1] == (matches.ts[-1], matches.value[-1])
        assert repr(matches) == f"<{len(matches)} matches, with values>"
        with pytest.raises(IndexError):
            matches[len(matches)]

    def test_of_none_are_empty(self, rsi):
        matches = ask(rsi, predicate=Gt(10**9), return_values=True).matches
        assert (len(matches), matches.ts.tolist(), matches.value.tolist(), list(matches)) == (0, [], [], [])

    def test_stats_are_those_of_where(self, rsi):
        for predicate in (Gt(40), Eq(3), Ne(0)):
            assert ask(rsi, predicate=predicate).stats == rsi.series(RSI).where("value", predicate).stats

    def test_each_helper_goes_its_own_way(self, rsi, steps):
        for name, last in zip(SEARCHES[1:4], ("SCAN", "MARK", "SCAN"), strict=True):
            getattr(rsi, name)(RSI, None, None, Eq(7))
            assert {taken[-1].name for taken in steps()} == {last}, name

    def test_times_may_be_spelled_in_any_way(self, rsi):
        found = rsi.find_scalar_timestamps_by_predicate(RSI, "2024-01-01T01:00", np.datetime64("2024-01-02"), Gt(-99))
        assert found.tolist() == TS[60:300].tolist()

    def test_see_an_own_write_at_once(self, rsi):
        before = len(ask(rsi, predicate=Eq(1_000_000)).matches)
        rsi.put_indicator_chunk("BTC", "1m", "rsi", {"ts": [FEBRUARY + DAY], "value": [1_000_000]})
        assert (before, len(ask(rsi, predicate=Eq(1_000_000)).matches)) == (0, 1)


class TestOlderForm:
    PAIRS = (
        (ScalarPredicate(CompareOp.EQ, 7), Eq(7)),
        (ScalarPredicate(CompareOp.NE, 7), Ne(7)),
        (ScalarPredicate(CompareOp.GT, 7), Gt(7)),
        (ScalarPredicate(CompareOp.GTE, 7), ScalarPredicateExpr.Gte(7)),
        (ScalarPredicate(CompareOp.LT, 7), Lt(7)),
        (ScalarPredicate(CompareOp.LTE, 7), ScalarPredicateExpr.Lte(7)),
        (ScalarPredicate(CompareOp.BETWEEN, -3, 7), Between(-3, 7)),
        (ScalarPredicate("Between", value=-3, value2=7), Between(-3, 7)),
    )

    @pytest.mark.parametrize(("older", "newer"), PAIRS, ids=str)
    def test_means_the_same_everywhere(self, rsi, older, newer):
        assert older.expression() == newer
        expected = rsi.series(RSI).where("value", newer).rows.ts.tolist()
        assert rsi.series(RSI).where("value", older).rows.ts.tolist() == expected
        assert ask(rsi, predicate=older).matches.ts.tolist() == expected
        for name in SEARCHES[:4]:
            assert getattr(rsi, name)(RSI, None, None, older).tolist() == expected

    @pytest.mark.parametrize(
        ("predicate", "reason"),
        [
            (ScalarPredicate(CompareOp.BETWEEN, 1), "value2 is the upper bound of BETWEEN"),
            (ScalarPredicate(CompareOp.GT, 1, 2), "value2 is the upper bound of BETWEEN and of nothing else"),
            (ScalarPredicate(CompareOp.BETWEEN, 2, 1), "Between needs min <= max, not 2 to 1"),
            (ScalarPredicate("Like", 1), "op='Like' is no CompareOp"),
            (ScalarPredicate(None, 1), "op=None is no CompareOp"),
        ],
    )
    def test_is_checked(self, rsi, predicate, reason):
        with pytest.raises(InvalidInput, match=reason):
            ask(rsi, predicate=predicate)


class TestCapabilities:
    def test_of_a_scalar_and_of_an_indicator(self, rsi):
        expected = ScalarQueryCapabilities(raw_scan=True, has_zmap=True, has_vix=True)
        assert rsi.scalar_query_capabilities(RSI) == expected
        assert rsi.indicator_query_capabilities("BTC", "1m", "rsi") == expected

    def test_of_a_series_that_wants_less(self, store):
        key = fastk.risk_series_key("BTC", "1m", "var")
        store.register_scalar_series(key, MINUTE, value_indexes=[])
        assert store.scalar_query_capabilities(key) == ScalarQueryCapabilities(True, False, False)
        store.put_scalar_chunk(key, MINUTE, {"ts": [JANUARY], "value": [1]}, 256)
        assert store.scalar_query_capabilities(key) == ScalarQueryCapabilities(True, True, False)

    def test_of_a_missing_series(self, rsi):
        with pytest.raises(NotFound, match="BTC/feature/1m@@none"):
            rsi.scalar_query_capabilities(MISSING)
        with pytest.raises(NotFound, match="BTC/indicator/1m@@none"):
            rsi.indicator_query_capabilities("BTC", "1m", "none")


class TestOrderOfChecks:
    """Blank key, start after end, bounds of Between, empty InSet, missing series: the first that applies speaks."""

    BLANK = ScalarSeriesKey("BTC", "1m", "feature", " ")

    def refusals(self, rsi, key, start, end, predicate):
        for call in every_way(rsi, key, start, end, predicate):
            with pytest.raises((InvalidInput, NotFound)) as refused:
                call()
            yield refused

    def test_a_blank_key_is_the_first(self, rsi):
        for refused in self.refusals(rsi, self.BLANK, 2, 1, Between(2, 1)):
            refused.match("name is blank")

    @pytest.mark.parametrize("key", [RSI, MISSING])
    def test_then_a_reversed_window(self, rsi, key):
        for predicate in (Between(2, 1), InSet([])):
            for refused in self.refusals(rsi, key, 2, 1, predicate):
                refused.match("the query's start 2 lies after its end 1")

    @pytest.mark.parametrize("key", [RSI, MISSING])
    def test_then_reversed_bounds(self, rsi, key):
        for predicate in (Between(2, 1), ScalarPredicate(CompareOp.BETWEEN, 2, 1)):
            for refused in self.refusals(rsi, key, 1, 2, predicate):
                refused.match("Between needs min <= max, not 2 to 1")

    @pytest.mark.parametrize("key", [RSI, MISSING])
    def test_then_an_empty_set_is_answered(self, rsi, key):
        for call in every_way(rsi, key, 1, 2, InSet([])):
            found = call()
            assert len(getattr(found, "matches", found)) == 0
        found = ask(rsi, key, predicate=InSet([]), return_values=True)
        assert (len(found.matches), found.matches.ts.tolist(), found.matches.value.tolist()) == (0, [], [])
        assert (list(found.matches), found.stats) == ([], ScalarPredicateQueryStats())
        assert ask(rsi, key, predicate=InSet([])).matches.value is None

    def test_at_last_a_missing_series(self, rsi):
        for predicate in (Eq(1), NotInSet([]), Between(1, 1, inclusive=False)):
            for refused in self.refusals(rsi, MISSING, 1, 2, predicate):
                assert refused.type is NotFound
                refused.match("BTC/feature/1m@@none is not in the store")

    def test_sets_and_bounds_of_nothing(self, rsi):
        """An empty NotInSet matches everything, an exclusive Between of equal bounds nothing."""
        assert len(ask(rsi, predicate=NotInSet([])).matches) == len(TS)
        assert len(ask(rsi, predicate=Between(7, 7, inclusive=False)).matches) == 0
        assert len(ask(rsi, predicate=Between(7, 7)).matches) == np.count_nonzero(VALUE == 7)


@pytest.mark.parametrize("query", [None, RSI, {"key": RSI, "predicate": Gt(1)}, Gt(1)], ids=str)
def test_a_query_is_a_query(rsi, query):
    with pytest.raises(InvalidInput, match="is no ScalarPredicateQuery"):
        rsi.query_scalar_predicate(query)


def test_series_of_other_types_have_no_value(rsi):
    with pytest.raises(InvalidInput, match="'value' is no column of kline"):
        rsi.find_scalar_timestamps_raw(("BTC", "kline", "1m"), None, None, Gt(1))
