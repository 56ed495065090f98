"""Predicate queries: what matches, how the answer repeats the question, and which questions have no sense."""

from pathlib import Path

import pytest
from bridge_calls import SCALAR
from builders import JANUARY

TOP = 2**63 - 1
VALUES = {JANUARY + row: value for row, value in enumerate([5, -3, 0, 7, -3, 2, 9, 0])}
PREDICATES = [
    ("eq", {"value": -3}, {"Eq": -3}, lambda v: v == -3),
    ("ne", {"value": 0}, {"Ne": 0}, lambda v: v != 0),
    ("gt", {"value": 2}, {"Gt": 2}, lambda v: v > 2),
    ("gte", {"value": 2}, {"Gte": 2}, lambda v: v >= 2),
    ("lt", {"value": 0}, {"Lt": 0}, lambda v: v < 0),
    ("lte", {"value": 0}, {"Lte": 0}, lambda v: v <= 0),
    ("between", {"min": -3, "max": 2}, {"Between": {"min": -3, "max": 2, "inclusive": True}}, lambda v: -3 <= v <= 2),
    (
        "between-exclusive",
        {"min": -3, "max": 2},
        {"Between": {"min": -3, "max": 2, "inclusive": False}},
        lambda v: -3 < v < 2,
    ),
    ("in-set", {"values": "7,-3,7"}, {"InSet": [7, -3, 7]}, lambda v: v in (7, -3)),
    ("not-in-set", {"values": " 0, +5"}, {"NotInSet": [0, 5]}, lambda v: v not in (0, 5)),
    ("in-set", {"values": ""}, {"InSet": []}, lambda v: False),
    ("not-in-set", {"values": ""}, {"NotInSet": []}, lambda v: True),
    ("gt", {"value": -TOP - 1}, {"Gt": -TOP - 1}, lambda v: True),
    ("lte", {"value": TOP}, {"Lte": TOP}, lambda v: True),
]


@pytest.mark.parametrize(("predicate", "options", "described", "matches"), PREDICATES)
@pytest.mark.parametrize("return_values", [True, None])
def test_predicates(bridge, predicate, options, described, matches, return_values):
    bridge.write_scalars(VALUES)
    window = {"start_ts": JANUARY + 1, "end_ts": JANUARY + 6}
    answer = bridge.call(
        "query-scalar-predicate", **SCALAR, **window, predicate=predicate, **options, return_values=return_values
    )
    inside = {ts: value for ts, value in VALUES.items() if window["start_ts"] <= ts <= window["end_ts"]}
    expected = [{"ts": ts, "value": value if return_values else None} for ts, value in inside.items() if matches(value)]
    assert answer["matches"] == expected
    assert (answer["predicate"], answer["return_values"]) == (described, bool(return_values))
    assert answer["stats"]["rows_matched"] == len(expected)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"predicate": "like", "value": 1}, "no predicate 'like'; there are eq, ne"),
        ({"predicate": "gt"}, "gt needs value"),
        ({"predicate": "gt", "value": 1, "min": 2}, "gt takes no min"),
        ({"predicate": "eq", "value": 1, "values": "1"}, "eq takes no values"),
        ({"predicate": "between", "min": 1}, "between needs max"),
        ({"predicate": "between", "min": 5, "max": 1}, "min"),
        ({"predicate": "in-set"}, "in-set needs values"),
        ({"predicate": "in-set", "values": "1,,2"}, '--values: "" is no decimal integer'),
        ({"predicate": "in-set", "values": "1;2"}, '--values: "1;2" is no decimal integer'),
        ({"predicate": "eq", "value": "1.0"}, '--value: "1.0" is no decimal integer'),
    ],
)
def test_predicates_without_sense(bridge, options, reason):
    bridge.write_scalars(VALUES)
    assert reason in bridge.refuse("query-scalar-predicate", **SCALAR, start_ts=0, end_ts=JANUARY, **options)


def test_queries_of_a_window_or_series_that_cannot_be(bridge):
    bridge.write_scalars(VALUES)
    condition = {"predicate": "gt", "value": 0}
    assert bridge.refuse("query-scalar-predicate", **SCALAR, start_ts=10, end_ts=0, **condition)
    missing = {**SCALAR, "name": "none"}
    assert "none" in bridge.refuse("query-scalar-predicate", **missing, start_ts=0, end_ts=1, **condition)
    nothing = bridge.call("query-scalar-predicate", **missing, start_ts=0, end_ts=1, predicate="in-set", values="")
    assert nothing["matches"] == []


def ask(bridge, outcome, **options):
    return getattr(bridge, outcome)("query-scalar-predicate", **{**SCALAR, "start_ts": 0, "end_ts": 1, **options})


EMPTY = {"predicate": "in-set", "values": ""}
REVERSED = {"start_ts": 1, "end_ts": 0}
CROSSED = {"predicate": "between", "min": 2, "max": 1}


def test_the_order_in_which_a_query_is_checked(bridge):
    """Names, the window, the bounds, a set that is empty; only then is the series looked at."""
    bridge.write_scalars(VALUES)
    (manifest,) = Path(bridge.root).rglob("series.meta")
    manifest.write_bytes(b"junk")
    assert "symbol" in ask(bridge, "refuse", **EMPTY, **REVERSED, symbol=" ")
    assert "the query's start 1 lies after its end 0" in ask(bridge, "refuse", **CROSSED, **REVERSED)
    assert "the query's start 1 lies after its end 0" in ask(bridge, "refuse", **EMPTY, **REVERSED)
    assert "Between needs min <= max" in ask(bridge, "refuse", **CROSSED)
    assert ask(bridge, "call", **EMPTY)["matches"] == []
    assert "series.meta" in ask(bridge, "refuse", predicate="gt", value=0)
