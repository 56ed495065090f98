"""What makes no sense is refused at once: an error of the right type, in one line that names what is wrong."""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pytest
from builders import JANUARY, MINUTE, bars, contents
from query_calls import KEY, PLANS, columns_of, values_schema

from fastk import Between, Eq, Gt, Gte, InSet, InvalidInput, Lt, Lte, Ne, NotFound, NotInSet, Schema

TOP = 2**63


@pytest.fixture
def series(store):
    """A column of each kind."""
    fields = [("ts", "i8"), ("n", "i4"), ("u", "u8"), ("x", "f8"), ("y", "f4"), ("flag", "?"), ("text", "S3")]
    series = store.register_series(("X", "own", "kinds"), Schema("kinds", fields, zone_maps=["n"], value_indexes=["n"]))
    series.put(
        {"ts": [1, 2], "n": [1, 2], "u": [1, 2], "x": [1, 2], "y": [1, 2], "flag": [True, False], "text": [b"a", b"b"]}
    )
    return series


def refused(call, *words, error=InvalidInput):
    """The call is refused, in one line with these words."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert message.count("\n") == 0
    assert len(message) < 400
    for word in words:
        assert str(word) in message, message


def everywhere(column, bound):
    """Conditions that have a bound in each place."""
    forms = [form(bound) for form in (Eq, Ne, Gt, Gte, Lt, Lte)]
    return [*forms, Between(bound, bound), InSet([bound]), NotInSet([bound])]


class TestValues:
    @pytest.mark.parametrize(
        ("column", "bound", "reason"),
        [
            ("n", 1.0, "integers are compared with integers, not with 1.0"),
            ("n", np.float64(1), "integers are compared with integers"),
            ("n", math.nan, "not with nan"),
            ("n", True, "not with True"),
            ("n", np.True_, "integers are compared with integers"),
            ("n", "1", "not with '1'"),
            ("n", b"1", "not with b'1'"),
            ("n", None, "not with None"),
            ("n", Decimal(1), "not with Decimal('1')"),
            ("n", 1 + 0j, "integers are compared with integers"),
            ("n", [1], "not with [1]"),
            ("n", np.array([1]), "not with array([1])"),
            ("n", np.timedelta64(1, "s"), "integers are compared with integers"),
            ("n", dt.datetime(2024, 1, 1), "integers are compared with integers"),
            ("n", TOP, f"{TOP} is not among the integers from {-TOP} to {TOP - 1}"),
            ("n", -TOP - 1, f"{-TOP - 1} is not among the integers"),
            ("n", 10**30, "is not among the integers"),
            ("n", np.uint64(TOP), "is not among the integers"),
            ("u", 2 * TOP, f"{2 * TOP} is not among the integers from {-TOP} to {2 * TOP - 1}"),
            ("u", 0.5, "integers are compared with integers, not with 0.5"),
            ("x", math.nan, "NaN is equal to nothing"),
            ("x", np.float32("nan"), "NaN is equal to nothing"),
            ("x", True, "floats are compared with numbers, not with True"),
            ("x", "0.5", "floats are compared with numbers, not with '0.5'"),
            ("x", Decimal("0.5"), "floats are compared with numbers"),
            ("x", None, "floats are compared with numbers, not with None"),
            ("x", 10**309, "does not fit float64"),
            ("y", 1e39, "1e+39 does not fit float32"),
            ("y", -(10**39), "does not fit float32"),
            ("flag", 0.0, "integers are compared with integers, not with 0.0"),
            ("flag", "yes", "not with 'yes'"),
            ("text", b"a", "text is stored but not searched"),
            ("text", 1, "text is stored but not searched"),
            ("ts", 1.5, "1.5 (float) is not a time"),
            ("ts", "noon", "'noon' (str) is not a time"),
            ("ts", None, "is not a time"),
            ("ts", True, "True (bool) is not a time"),
            ("ts", np.datetime64("NaT", "s"), "NaT is not a time"),
            ("ts", "1970-01-01T00:00:00.0001", "finer than ms"),
            ("ts", TOP, f"{TOP} is not among the integers"),
        ],
        ids=str,
    )  # fmt: skip
    def test_that_cannot_be_compared_with_a_column(self, series, column, bound, reason):
        for condition in everywhere(column, bound):
            refused(
                lambda condition=condition: series.where(column, condition), reason, f"column '{column}'", series.key
            )

    def test_one_among_many(self, series):
        refused(lambda: series.where("n", InSet([*range(1_000), 0.5])), "not with 0.5", "column 'n'")
        refused(lambda: series.where("n", Between(1, 2.5)), "not with 2.5", "column 'n'")
        refused(lambda: series.where("x", NotInSet([0.5, math.nan])), "NaN is equal to nothing", "column 'x'")

    @pytest.mark.parametrize(
        ("column", "least", "greatest"),
        [
            ("n", 2, 1),
            ("n", np.int8(2), 1),
            ("u", 2**64 - 1, -1),
            ("x", 0.2, 0.1),
            ("x", math.inf, -math.inf),
            ("flag", True, False),
            ("ts", 2, 1),
            ("ts", "1970-01-02", "1970-01-01"),
            ("ts", "1970-01-01T01:00", 5),
            ("ts", dt.datetime(1970, 1, 2, tzinfo=dt.UTC), np.datetime64("1970-01-01")),
            ("ts", "1970-01-01T00:00", "19700101T010000+0200"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("inclusive", [True, False])
    def test_reversed_bounds(self, series, column, least, greatest, inclusive):
        refused(lambda: series.where(column, Between(least, greatest, inclusive)), "Between needs min <= max")

    @pytest.mark.parametrize("values", [5, None, 1.5, "123", b"123", "", Gt(5)], ids=repr)
    @pytest.mark.parametrize("form", [InSet, NotInSet])
    def test_sets_that_are_none(self, form, values):
        refused(lambda: form(values), "a set of values is a list of them", repr(values))


class TestEmptySets:
    """They make sense: nothing is in one, and everything outside."""

    @pytest.mark.parametrize(
        "values", [[], (), set(), range(0), np.empty(0), {}, iter(())], ids=lambda values: type(values).__name__
    )
    def test_of_any_kind(self, series, values):
        values = tuple(values)
        for column in ("n", "u", "x", "flag", "ts"):
            for plan in PLANS:
                assert len(series.where(column, InSet(values), plan=plan)) == 0
                assert len(series.where(column, NotInSet(values), plan=plan)) == 2

    def test_of_text_are_refused_all_the_same(self, series):
        refused(lambda: series.where("text", InSet([])), "text is stored but not searched")


class TestWindows:
    @pytest.mark.parametrize("closed", ["both", "left", "right", "neither"])
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (2, 1),
            (np.int64(2), 1),
            (10**30, -(10**30)),
            ("1970-01-02", "1970-01-01"),
            ("1970-01-01T00:00:01", 5),
            (dt.datetime(1970, 1, 2, tzinfo=dt.UTC), np.datetime64("1970-01-01")),
        ],
        ids=str,
    )
    def test_reversed(self, series, start, end, closed):
        refused(lambda: series.where("n", Gt(0), start, end, closed=closed), "the query's start", "lies after its end")

    def test_reversed_comes_before_a_missing_series(self, store):
        refused(
            lambda: store.kline("NONE", "1m").where("close", Gt(0), 2, 1), "the query's start 2 lies after its end 1"
        )

    @pytest.mark.parametrize("closed", ["left", "right", "neither"])
    def test_that_hold_nothing_are_no_mistake(self, series, closed):
        assert len(series.where("n", Gt(0), 1, 1, closed=closed)) == 0
        assert len(series.where("n", Gt(0), 1, 2, closed="neither")) == 0
        assert series.where("n", Gt(0), 1, 1, closed=closed).stats.chunks_considered == 0
        for start, end in ((TOP, None), (TOP - 1, None), (10**30, None), (None, -TOP), (None, -(10**30))):
            assert len(series.where("n", Gt(0), start, end, closed=closed)) == 0

    @pytest.mark.parametrize("time", [1.0, "noon", True, b"2024", [1], np.datetime64("NaT", "s"), dt.date(2024, 1, 1)])
    def test_of_what_is_no_time(self, series, time):
        for window in ((time, None), (None, time), (time, time)):
            refused(lambda window=window: series.where("n", Gt(0), *window), "T" if "NaT" in str(time) else repr(time))

    @pytest.mark.parametrize("closed", ["", "Both", None, True, ["left"]])
    def test_of_unknown_ends(self, series, closed):
        refused(lambda: series.where("n", Gt(0), closed=closed), f"closed={closed!r}", "'both', 'left'")


class TestNames:
    @pytest.mark.parametrize("plan", ["", "Auto", "fast", None, 1, b"scan", ["scan"]])
    def test_unknown_plans(self, series, plan):
        refused(lambda: series.where("n", Gt(0), plan=plan), f"plan={plan!r}", "give 'auto', 'scan', 'zones', 'index'")

    @pytest.mark.parametrize("column", ["", "N", "value", None, 1, b"n", ["n"], "ts "])
    def test_unknown_columns(self, series, column):
        listed = "it has ts, n, u, x, y, flag, text"
        for ask in (lambda: series.where(column, Gt(0)), lambda: series.query_capabilities(column)):
            refused(ask, f"{column!r} is no column of kinds", listed)
        for ask in (series.zone_map, series.value_index):
            refused(lambda ask=ask: ask(column), f"{column!r} is no column of kinds", listed)

    @pytest.mark.parametrize(
        "condition", [None, 5, "> 5", lambda value: value > 5, Gt, np.array([True, False]), ["Gt", 5], {"Gt": 5}]
    )
    def test_what_is_no_condition(self, series, condition):
        refused(lambda: series.where("n", condition), "is no condition: give ScalarPredicateExpr.Gt(5)")

    def test_a_missing_series(self, store):
        for ask in (
            lambda: store.kline("NONE", "1m").where("close", Gt(0)),
            lambda: store.kline("NONE", "1m").where("nonsense", "nonsense"),
            lambda: list(store.kline("NONE", "1m").zone_map("close")),
        ):
            refused(ask, "NONE/kline/1m", error=NotFound)


def test_nothing_is_written_or_changed_by_any_of_it(store, klines):
    klines.put(bars())
    before = contents(store.root)
    for condition in (Between(2, 1), Eq(0.5), InSet(["a"])):
        refused(lambda condition=condition: klines.where("close", condition))
    klines.where("close", Gt(0))
    assert contents(store.root) == before
    assert klines.range().ts.tolist() == (JANUARY + MINUTE * np.arange(5)).tolist()


def test_a_refused_query_leaves_the_next_one_right(store):
    series = store.register_series(KEY, values_schema())
    series.put(columns_of(range(10), range(10)))
    refused(lambda: series.where("value", Between(5, 1)))
    assert series.where("value", Between(1, 5)).rows.value.tolist() == [1, 2, 3, 4, 5]
