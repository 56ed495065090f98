"""Scalar series with a scale: answers say what divides their values, and nothing where that is 1."""

import pytest
from bridge_calls import INDICATOR, JANUARY, MINUTE, SCALAR, SERIES, klines

import fastk

WINDOW = {"start_ts": JANUARY, "end_ts": JANUARY + MINUTE}
POINTS = {"records": [{"ts": JANUARY, "value": 6_125}, {"ts": JANUARY + MINUTE, "value": 7_000}]}
COMMANDS = {
    "read-scalar-range": {**SCALAR, **WINDOW},
    "query-scalar-predicate": {**SCALAR, **WINDOW, "predicate": "gt", "value": 0, "return_values": True},
    "scalar-inventory": SCALAR,
    "read-indicator-range": {**INDICATOR, **WINDOW},
    "indicator-inventory": INDICATOR,
}


def register(root, scale, unit="ms"):
    """A scalar series and an indicator, by the library: the bridge registers values without a scale."""
    name = {"category": SCALAR["category"], "name": SCALAR["name"]}
    with fastk.open(root) as store:
        key = fastk.ScalarSeriesKey(SERIES["symbol"], SERIES["timeframe"], **name)
        store.register_scalar_series(key, MINUTE, value_scale=scale, time_unit=unit)
        store.register_indicator_series(
            SERIES["symbol"], SERIES["timeframe"], INDICATOR["indicator_name"], value_scale=scale
        )


def answers(bridge, **options):
    return {command: bridge.call(command, **arguments, **options) for command, arguments in COMMANDS.items()}


def write(bridge):
    bridge.call("write-scalar-range", POINTS, **SCALAR)
    bridge.call("write-indicator-range", POINTS, **INDICATOR)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [100, 2, 10**18])
def test_answers_say_what_divides_the_values(bridge, scale):
    bridge.call("write-kline-range", klines([JANUARY]), **SERIES)
    register(bridge.root, scale)
    write(bridge)
    for command, answer in answers(bridge).items():
        assert answer["value_scale"] == scale, command
        assert list(answer)[:5] == ["symbol", "timeframe", "category", "name", "value_scale"]
    records = answers(bridge)["read-scalar-range"]["records"]
    assert records == POINTS["records"]


def test_a_series_without_a_scale_or_none_at_all_is_answered_as_by_the_contract(bridge):
    bridge.call("write-kline-range", klines([JANUARY]), **SERIES)
    for command in COMMANDS:
        if command != "query-scalar-predicate":
            assert "value_scale" not in bridge.call(command, **COMMANDS[command])
    write(bridge)
    for answer in answers(bridge).values():
        assert "value_scale" not in answer


def test_it_stands_behind_the_unit_of_time(bridge):
    bridge.call("write-kline-range", klines([JANUARY]), **SERIES, time_unit="us")
    register(bridge.root, 100, "us")
    for answer in answers(bridge, time_unit="us").values():
        assert list(answer)[4:6] == ["time_unit", "value_scale"]
