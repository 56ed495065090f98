"""What is no payload is refused by name and place, and nothing is changed: neither by junk nor by a near miss."""

import json

import pytest
from bridge_calls import SCALAR, SERIES, Bridge, klines, minutes
from builders import JANUARY, MARCH, MINUTE, contents, temporary_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk import InvalidInput
from fastk.bridge import strict_json

GOOD = json.dumps(klines(minutes(4, MARCH))).encode()
NOT_INTEGERS = [1.5, 5.0, 1e3, True, False, None, "5", [5], {"ts": 5}, 2**63, -(2**63) - 1]


@pytest.fixture
def written(bridge):
    """A bridge over a store that holds something to lose."""
    bridge.write_klines(minutes(3))
    return bridge


def refused(bridge, data, command="write-kline-range", options=SERIES):
    return bridge.refused(*bridge.arguments(command, options), stdin=data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the payload is no JSON: Expecting value"),
        (b"not json at all", "the payload is no JSON: Expecting value: line 1 column 1"),
        (b"\xef\xbb\xbf" + GOOD, "byte order mark"),
        (GOOD.decode().encode("utf-16"), "not UTF-8"),
        (b'{"a":"\xff"}', "not UTF-8: invalid start byte at byte 6"),
        (GOOD + b"{}", "Extra data"),
        (GOOD + b"\0", "Extra data"),
        (GOOD[:-1], "the payload is no JSON"),
        (b'{"records":[],"records":[]}', 'the key "records" stands twice'),
        (GOOD.replace(b'"low": 0', b'"low": 0, "low": 0', 1), 'the key "low" stands twice'),
        (b'{"a":NaN}', "NaN is no JSON value"),
        (b'{"a":-Infinity}', "-Infinity is no JSON value"),
        (b'{"a":Infinity}', "Infinity is no JSON value"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"a":01}', "the payload is no JSON"),
        (b'{"a":+1}', "the payload is no JSON"),
        (b'{"a":' + b"9" * 5_000 + b"}", "an integer of 5,000 digits: line 1 column 6 (char 5)"),
        (
            b'{"a":\n [1.' + b"9" * 5_000 + b",-" + b"9" * 5_000 + b"]}",
            "an integer of 5,000 digits: line 2 column 5006",
        ),
        (b'{"' + b"9" * 5_000 + b'\\"":1,\n"b":' + b"8" * 4_301 + b"}", "4,301 digits: line 2 column 5 "),
        (b"{'a':1}", "the payload is no JSON"),
        (b'{"a":1,}', "the payload is no JSON"),
        (b'{"a":"\n"}', "the payload is no JSON"),
        (b"[]", "the payload must be an object, not a list"),
        (b"null", "the payload must be an object, not null"),
        (b'"text"', 'the payload must be an object, not "text"'),
        (b"{}", "timeframe_ms is missing"),
    ],
)
def test_what_is_no_payload(written, data, reason):
    assert reason in refused(written, data)


def test_long_integers_say_nothing_of_python(written):
    assert "sys." not in refused(written, b'{"a":' + b"9" * 5_000 + b"}")


@pytest.mark.parametrize("from_file", [False, True])
def test_a_payload_that_is_too_long(written, monkeypatch, tmp_path, from_file):
    monkeypatch.setenv("FASTK_BRIDGE_MAX_BYTES", str(len(GOOD) - 1))
    (tmp_path / "payload").write_bytes(GOOD)
    options = {**SERIES, "input_json": tmp_path / "payload"} if from_file else SERIES
    message = refused(written, GOOD, options=options)
    assert message == f"the payload is longer than {len(GOOD) - 1:,} bytes; send it in parts"
    monkeypatch.setenv("FASTK_BRIDGE_MAX_BYTES", str(len(GOOD)))
    assert written.run(*written.arguments("write-kline-range", options), stdin=GOOD).status == 0


def test_a_payload_that_is_nested_too_deeply(written, monkeypatch):
    """Records are three levels deep; brackets in texts, after escapes too, are none."""
    data = GOOD[:-1] + b', "note": "[[[[ \\" {{{{ \\\\", "": "", "x": "]]"}'
    monkeypatch.setenv("FASTK_BRIDGE_MAX_DEPTH", "2")
    assert refused(written, data) == "the payload is nested too deeply: more than 2 levels"
    monkeypatch.setenv("FASTK_BRIDGE_MAX_DEPTH", "3")
    assert written.run(*written.arguments("write-kline-range", SERIES), stdin=data).status == 0


@pytest.mark.parametrize("name", ["FASTK_BRIDGE_MAX_BYTES", "FASTK_BRIDGE_MAX_DEPTH"])
@pytest.mark.parametrize("text", ["0", "-1", "1e6", "256M", "x", "9" * 19])
@pytest.mark.parametrize("command", ["write-kline-range", "batch"])
def test_a_limit_that_is_no_number(written, monkeypatch, name, text, command):
    monkeypatch.setenv(name, text)
    arguments = written.arguments(command, SERIES) if command != "batch" else ["batch"]
    message = written.refused(*arguments, stdin=GOOD)
    assert message == f'{name} must be a whole number of 1 or more, not "{text}"'


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text('[]{}"\\,:x\n', max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=2), inner, max_size=3),
        max_leaves=12,
    )
)
@settings(deadline=None, max_examples=200)
def test_depth_is_that_of_objects_and_lists_alone(value):
    data, depth = json.dumps(value).encode(), depth_of(value)
    assert strict_json.parse(data, "it", strict_json.Limits(most_levels=max(1, depth))) == value
    if depth > 1:
        with pytest.raises(InvalidInput, match="nested too deeply"):
            strict_json.parse(data, "it", strict_json.Limits(most_levels=depth - 1))


def depth_of(value):
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize("name", ["timeframe_ms", "price_scale", "volume_scale", "records"])
def test_missing_fields_are_named(written, name):
    payload = klines(minutes(1, MARCH))
    del payload[name]
    assert refused(written, json.dumps(payload).encode()) == f"payload: {name} is missing"


@pytest.mark.parametrize("name", ["ts", "open", "high", "low", "close", "volume"])
def test_fields_of_records_are_named(written, name):
    payload = klines(minutes(3, MARCH))
    del payload["records"][2][name]
    assert refused(written, json.dumps(payload).encode()) == f"payload: records[2].{name} is missing"


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=repr)
@pytest.mark.parametrize("name", ["ts", "volume"])
def test_records_hold_integers_of_64_bits(written, name, value):
    payload = klines(minutes(3, MARCH))
    payload["records"][1][name] = value
    message = refused(written, json.dumps(payload).encode())
    assert message.startswith(f"payload: records[1].{name}: ")
    assert message.endswith(" is no signed 64-bit integer")


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=repr)
@pytest.mark.parametrize("name", ["timeframe_ms", "price_scale", "volume_scale"])
def test_settings_are_integers_of_64_bits(written, name, value):
    payload = klines(minutes(1, MARCH), **{name: value})
    assert f"payload: {name}: " in refused(written, json.dumps(payload).encode())


@pytest.mark.parametrize("value", [v for v in NOT_INTEGERS if v is not None], ids=repr)
def test_a_timeframe_that_may_be_null_is_an_integer_else(written, value):
    data = json.dumps({"timeframe_ms": value, "records": []}).encode()
    assert "payload: timeframe_ms: " in refused(written, data, "write-scalar-range", SCALAR)


@pytest.mark.parametrize("records", [None, {}, "x", 5, True])
def test_records_are_a_list(written, records):
    assert "records must be a list" in refused(written, json.dumps(klines([], records=records)).encode())


@pytest.mark.parametrize("record", [None, [], "x", 5, True])
def test_a_record_is_an_object(written, record):
    payload = klines(minutes(2, MARCH))
    payload["records"].insert(1, record)
    assert "payload: records[1] must be an object" in refused(written, json.dumps(payload).encode())


# Anything at all

JUNK = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(2**63, 2**80), st.text(max_size=5), st.lists(st.integers())
)


@pytest.fixture(scope="module")
def kept():
    """One store for all examples, which none of them may change."""
    with temporary_folder() as folder:
        bridge = Bridge(str(folder / "store"))
        bridge.write_klines(minutes(3))
        yield bridge


@given(data=st.binary(max_size=200))
def test_any_bytes(kept, data):
    refused(kept, data)


@pytest.mark.slow
@given(row=st.integers(0, 3), name=st.sampled_from(["ts", "open", "high", "low", "close", "volume"]), junk=JUNK)
def test_any_value_in_place_of_an_integer(kept, row, name, junk):
    payload = json.loads(GOOD)
    payload["records"][row][name] = junk
    refused(kept, json.dumps(payload).encode())


@pytest.mark.slow
@given(name=st.sampled_from(["timeframe_ms", "price_scale", "volume_scale", "records"]), junk=JUNK)
def test_any_value_in_place_of_a_field(kept, name, junk):
    if not (name == "records" and junk == []):
        refused(kept, json.dumps({**json.loads(GOOD), name: junk}).encode())


@pytest.mark.slow
@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), length=st.integers(0, 2))
@settings(max_examples=60)
def test_any_changed_byte(place, byte, length):
    """Either it is refused and nothing changes, or it is another good payload, and its rows are stored."""
    data = GOOD[:place] + bytes([byte]) + GOOD[place + length :]
    with temporary_folder() as folder:
        bridge = Bridge(str(folder / "store"))
        bridge.write_klines(minutes(3))
        before = contents(bridge.root)
        outcome = bridge.run(*bridge.arguments("write-kline-range", SERIES), stdin=data)
        assert (outcome.out == b"") == (outcome.status == 1) == (outcome.err != "")
        if outcome.status:
            assert contents(bridge.root) == before
        else:
            options = {**SERIES, "start_ts": -(2**60), "end_ts": 2**60}  # a changed digit may have moved a ts back
            before = [JANUARY + minute * MINUTE for minute in range(3)]
            everything = bridge.call("read-kline-range", **options)["records"]
            stored = [record for record in everything if record["ts"] not in before]
            names = list(stored[0])
            given_records = [{name: record[name] for name in names} for record in json.loads(data)["records"]]
            assert stored == sorted(given_records, key=lambda record: record["ts"])
