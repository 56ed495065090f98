"""Series that count time in micro- or nanoseconds: a caller names the unit, and every ts of the answer is in it."""

import json
import subprocess
import sys

import pytest
from bridge_calls import INDICATOR, MINUTE, SCALAR, SERIES, klines, scalars
from builders import FEBRUARY, JANUARY

import fastk

UNITS = {"us": 10**3, "ns": 10**6}
units = pytest.mark.parametrize(("unit", "factor"), UNITS.items())


@units
def test_every_command(bridge, unit, factor):
    times = [(JANUARY + MINUTE) * factor, (JANUARY + MINUTE) * factor + 1, FEBRUARY * factor]
    window = {"start_ts": times[0], "end_ts": times[1], "time_unit": unit}
    written = bridge.call("write-kline-range", klines(times), **SERIES, time_unit=unit)
    assert (written["registered"], written["time_unit"], written["month_batches_written"]) == (True, unit, 2)
    answer = bridge.call("read-kline-range", **SERIES, **window)
    assert [record["ts"] for record in answer["records"]] == times[:2]
    assert (answer["time_unit"], answer["timeframe_ms"]) == (unit, MINUTE)
    inventory = bridge.call("kline-inventory", **SERIES, time_unit=unit)
    assert [(month["month_key"], month["record_count"]) for month in inventory["inventory"]] == [
        ("2024-01", 2),
        ("2024-02", 1),
    ]
    assert (inventory["coverage_start_ts"], inventory["coverage_end_ts"]) == (times[0], times[2])
    for name, command in ((SCALAR, "scalar"), (INDICATOR, "indicator")):
        points = {"records": scalars(zip(times, (5, -7, 9), strict=True))}
        bridge.call(f"write-{command}-range", points, **name, time_unit=unit)
        records = bridge.call(f"read-{command}-range", **name, **window)["records"]
        assert records == [{"ts": times[0], "value": 5}, {"ts": times[1], "value": -7}]
        assert bridge.call(f"{command}-inventory", **name, time_unit=unit)["time_unit"] == unit
    found = bridge.call("query-scalar-predicate", **SCALAR, **window, predicate="lt", value=0)
    assert [match["ts"] for match in found["matches"]] == [times[1]]
    with fastk.open(bridge.root, "r") as store:
        assert store.kline("BTC", "1m").settings.time_unit == unit
        assert store.kline("BTC", "1m").range().ts.tolist() == times


@units
def test_a_caller_who_speaks_of_another_unit_is_refused(bridge, unit, factor):
    bridge.call("write-kline-range", klines([JANUARY * factor]), **SERIES, time_unit=unit)
    for spoken in (None, "ms", "ns" if unit == "us" else "us"):
        window = {"start_ts": 0, "end_ts": 2**62, "time_unit": spoken}
        for refused in (
            bridge.refuse("read-kline-range", **SERIES, **window),
            bridge.refuse("kline-inventory", **SERIES, time_unit=spoken),
            bridge.refuse("write-kline-range", klines([FEBRUARY]), **SERIES, time_unit=spoken),
        ):
            assert f"counts time in {unit}, not in {spoken or 'ms'}: give --time-unit {unit}" in refused


def test_milliseconds_may_be_named_and_answers_stay_those_of_the_contract(bridge):
    bridge.write_klines([JANUARY])
    plain = bridge.call("kline-inventory", **SERIES)
    assert bridge.call("kline-inventory", **SERIES, time_unit="ms") == plain
    assert "time_unit" not in plain


@pytest.mark.parametrize("unit", ["s", "MS", "", "milliseconds"])
def test_other_units_are_unknown(bridge, unit):
    assert "is no time unit: give ms, us, ns" in bridge.refuse("kline-inventory", **SERIES, time_unit=unit)


@pytest.mark.slow
def test_a_batch_names_it_command_by_command(bridge):
    bridge.call("write-kline-range", klines([JANUARY * 1_000]), **SERIES, time_unit="us")
    commands = [{"command": "kline-inventory", **SERIES, "time_unit": unit} for unit in ("us", "ms", 5)]
    answers = subprocess.run(
        [sys.executable, "-m", "fastk", "bridge", "batch", "--root", bridge.root],
        input="\n".join(map(json.dumps, commands)).encode(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.splitlines()
    first, *refused = map(json.loads, answers)
    assert (first["time_unit"], first["coverage_start_ts"]) == ("us", JANUARY * 1_000)
    assert ["counts time in us" in refused[0]["error"]["message"], "time_unit" in refused[1]["error"]["message"]]
