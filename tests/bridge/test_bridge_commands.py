"""What each command does and answers."""

import json
import shutil

import pytest
from bridge_calls import ALL_TIME, INDICATOR, SCALAR, SERIES, klines, minutes, scalars
from builders import FEBRUARY, JANUARY, MINUTE, contents

import fastk

TOP = 2**63 - 1


# Klines


def test_klines_come_back_in_order(bridge):
    written = bridge.write_klines([JANUARY + MINUTE, JANUARY, FEBRUARY])
    assert written == {
        **SERIES,
        "timeframe_ms": MINUTE,
        "price_scale": 100,
        "volume_scale": 1,
        "registered": True,
        "requested_record_count": 3,
        "written_record_count": 3,
        "month_batches_written": 2,
    }
    answer = bridge.call("read-kline-range", **SERIES, start_ts=JANUARY, end_ts=JANUARY + MINUTE)
    bar = {"open": 1, "high": 9, "low": 0, "close": 5}
    assert answer["records"] == [{"ts": JANUARY, **bar, "volume": 1}, {"ts": JANUARY + MINUTE, **bar, "volume": 0}]
    assert (answer["timeframe_ms"], answer["price_scale"], answer["volume_scale"]) == (MINUTE, 100, 1)


def test_the_extremes_of_64_bits_survive(bridge):
    record = {"ts": JANUARY, "open": TOP, "high": -TOP - 1, "low": 0, "close": -1, "volume": 2**53 + 1}
    bridge.call("write-kline-range", klines([], records=[record]), **SERIES)
    assert bridge.call("read-kline-range", **SERIES, **ALL_TIME)["records"] == [record]


def test_times_before_1970(bridge):
    bridge.write_scalars({-5: 1, -4: 2, 0: 3})
    answer = bridge.call("read-scalar-range", **SCALAR, start_ts=-5, end_ts=-1)
    assert answer["records"] == scalars({-5: 1, -4: 2})
    assert bridge.call("scalar-inventory", **SCALAR)["inventory"][0]["month_key"] == "1969-12"


def test_a_start_behind_the_end_reads_nothing(bridge):
    bridge.write_klines(minutes(3))
    assert bridge.call("read-kline-range", **SERIES, start_ts=JANUARY + 1, end_ts=JANUARY)["records"] == []


def test_more_rows_than_a_block_holds(bridge):
    rows = 5_000
    bridge.write_klines(minutes(rows))
    answer = bridge.call("read-kline-range", **SERIES, **ALL_TIME)
    assert [record["volume"] for record in answer["records"]] == list(range(rows))
    bridge.write_scalars({ts: -row for row, ts in enumerate(minutes(4_096))})
    records = bridge.call("read-scalar-range", **SCALAR, **ALL_TIME)["records"]
    assert [record["value"] for record in records] == [-row for row in range(4_096)]


def test_the_payload_may_come_from_a_file(bridge, tmp_path):
    path = tmp_path / "bars.json"
    path.write_text(json.dumps(klines(minutes(2))))
    answer = bridge.call("write-kline-range", **SERIES, input_json=path)
    assert answer["written_record_count"] == 2


def test_fields_that_the_contract_does_not_know_are_ignored(bridge):
    payload = klines(minutes(1), source="somewhere", note=[1.5, {"a": None}])
    payload["records"][0]["trades"] = 3.5
    assert bridge.call("write-kline-range", payload, **SERIES)["written_record_count"] == 1


def test_symbols_outside_ascii(bridge):
    names = {"symbol": 'Ünï/"\\', "timeframe": "1M"}
    bridge.call("write-kline-range", klines(minutes(1)), **names)
    assert bridge.call("read-kline-range", **names, **ALL_TIME)["symbol"] == 'Ünï/"\\'


# Scalars and indicators


def test_scalars_take_the_timeframe_of_their_klines(bridge):
    payload = {"records": scalars({JANUARY: -7})}
    assert "give timeframe_ms" in bridge.refuse("write-scalar-range", payload, **SCALAR)
    bridge.write_klines(minutes(1))
    assert bridge.call("write-scalar-range", payload, **SCALAR)["timeframe_ms"] == MINUTE
    assert bridge.call("write-scalar-range", {"timeframe_ms": None, "records": []}, **SCALAR)["registered"] is False


def test_scalars_are_appended_and_never_replaced(bridge):
    bridge.write_scalars({JANUARY: 1})
    bridge.write_scalars({JANUARY + 1: 2})
    answer = bridge.call("read-scalar-range", **SCALAR, start_ts=JANUARY, end_ts=JANUARY + 1)
    assert answer["records"] == scalars({JANUARY: 1, JANUARY + 1: 2})
    assert (answer["total_record_count"], answer["coverage_end_ts"]) == (2, JANUARY + 1)
    refused = {"timeframe_ms": MINUTE, "records": scalars({JANUARY: 9})}
    assert "overlap" in bridge.refuse("write-scalar-range", refused, **SCALAR)


def test_scalars_keep_their_timeframe(bridge):
    bridge.write_scalars({JANUARY: 1})
    payload = {"timeframe_ms": 2 * MINUTE, "records": scalars({FEBRUARY: 9})}
    assert "has timeframe_ms 60000, not 120000" in bridge.refuse("write-scalar-range", payload, **SCALAR)


def test_indicators_belong_to_klines(bridge):
    payload = {"records": scalars({JANUARY: 5})}
    for command, body in (("write-indicator-range", payload), ("read-indicator-range", None)):
        window = {} if body else ALL_TIME
        assert "klines first" in bridge.refuse(command, body, **INDICATOR, **window)
    bridge.write_klines(minutes(1), price_scale=10)
    missing = bridge.call("read-indicator-range", **INDICATOR, **ALL_TIME)
    assert (missing["exists"], missing["base_price_scale"], missing["records"]) == (False, 10, [])
    written = bridge.call("write-indicator-range", payload, **INDICATOR)
    assert (written["category"], written["name"], written["registered"]) == ("indicator", "mid", True)
    found = bridge.call("read-indicator-range", **INDICATOR, **ALL_TIME)
    assert (found["exists"], found["total_record_count"], found["records"]) == (True, 1, payload["records"])


def test_an_indicator_is_a_scalar_of_its_category(bridge):
    bridge.write_klines(minutes(1))
    bridge.call("write-indicator-range", {"records": scalars({JANUARY: 5})}, **INDICATOR)
    options = {**SERIES, "category": "indicator", "name": "mid"}
    assert bridge.call("read-scalar-range", **options, **ALL_TIME)["total_record_count"] == 1


def test_inventory_of_scalars(bridge):
    bridge.write_scalars({JANUARY: 1, FEBRUARY: 2})
    answer = bridge.call("scalar-inventory", **SCALAR)
    assert (answer["exists"], answer["record_count"]) == (True, 2)
    assert [(month["month_key"], month["sidecar_count"]) for month in answer["inventory"]] == [
        ("2024-01", 2),
        ("2024-02", 2),
    ]
    assert answer["capabilities"] == {"raw_scan": True, "has_zmap": True, "has_vix": True}


# What is not there


@pytest.mark.parametrize("root", ["missing", "empty"])
def test_reading_where_no_store_is(bridge, root, tmp_path):
    bridge.root = str(tmp_path / root)
    if root == "empty":
        (tmp_path / root).mkdir()
    assert bridge.call("kline-inventory", **SERIES)["exists"] is False
    assert bridge.call("indicator-inventory", **INDICATOR)["capabilities"] is None
    assert bridge.call("scalar-inventory", **SCALAR)["inventory"] == []
    assert bridge.call("read-scalar-range", **SCALAR, **ALL_TIME)["exists"] is False
    assert "no series BTC/kline/1m" in bridge.refuse("read-kline-range", **SERIES, **ALL_TIME)
    assert "BTC/feature/1m@@rsi" in bridge.refuse(
        "query-scalar-predicate", **SCALAR, **ALL_TIME, predicate="gt", value=1
    )
    assert contents(bridge.root) == {}


def test_a_folder_of_something_else_is_refused(bridge, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    bridge.root = str(tmp_path)
    assert "no store" in bridge.refuse("kline-inventory", **SERIES)
    assert "no store" in bridge.refuse("write-kline-range", klines(minutes(1)), **SERIES)


def test_damaged_rows_are_no_answer(bridge):
    bridge.write_klines(minutes(1_000))
    with fastk.open(bridge.root, "r") as store:
        (meta,) = store.kline_chunk_inventory("BTC", "1m")
    folder = f"{bridge.root}/series/BTC/kline/1m"
    with open(f"{folder}/{meta.relative_path}", "r+b") as file:
        file.seek(meta.file_length // 2)
        byte = file.read(1)[0]
        file.seek(meta.file_length // 2)
        file.write(bytes([byte ^ 1]))
    assert meta.relative_path in bridge.refuse("read-kline-range", **SERIES, **ALL_TIME)
    shutil.rmtree(f"{folder}/chunks")
    assert bridge.refuse("read-kline-range", **SERIES, **ALL_TIME)
