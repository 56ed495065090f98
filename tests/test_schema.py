"""A record type is a declaration: the five built-in ones are the original's, a user's own is a sixth.

What is declared travels as JSON in the manifest and in every chunk, so it must come back the same.
"""

import contextlib
import json
import pickle
import string

import numpy as np
import pytest
from builders import temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk import (
    Field,
    InvalidData,
    InvalidInput,
    PartitionUnit,
    RecordType,
    Schema,
    SeriesKey,
    SeriesSettings,
    TimeUnit,
)
from fastk.schema.settings import adapted

NUMERIC = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]


@pytest.mark.parametrize(
    ("schema", "code", "fields", "widths", "unique", "partition"),
    [
        (fastk.KLINE, 1, "ts open high low close volume", [8] * 6, True, "month"),
        (fastk.SCALAR, 2, "ts value", [8] * 2, True, "month"),
        (fastk.TRADE, 10, "ts recv_ts trade_id price qty side flags", [8] * 5 + [1, 1], False, "hour"),
        (fastk.BBO, 11, "ts recv_ts bid_price bid_qty ask_price ask_qty sequence", [8] * 7, True, "day"),
        (
            fastk.BOOK_DELTA,
            12,
            "ts recv_ts sequence price qty side action level flags",
            [8] * 5 + [1, 1, 2, 4],
            False,
            "hour",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Schema) else "",
)
def test_built_in_types_are_those_of_the_original(schema, code, fields, widths, unique, partition):
    assert schema.record_type == RecordType(code)
    assert schema.names == tuple(fields.split())
    assert [field.dtype.itemsize for field in schema.fields] == widths
    assert schema.unique_ts is unique
    assert schema.partition == partition


def test_what_is_declared_never_changes():
    for fixed, name in (
        (fastk.KLINE, "unique_ts"),
        (SeriesSettings(SeriesKey("A", "b", "c"), fastk.KLINE, 0, 0), "key"),
    ):
        with pytest.raises(AttributeError, match=f"{name} of a {type(fixed).__name__} never changes"):
            setattr(fixed, name, None)
        with pytest.raises(AttributeError, match="never changes"):
            delattr(fixed, name)
        assert repr(fixed).startswith(f"{type(fixed).__name__}(")
        assert f"{name}={getattr(fixed, name)!r}" in repr(fixed)


def test_settings_are_equal_by_what_they_hold():
    settings = SeriesSettings(SeriesKey("A", "b", "c"), fastk.SCALAR, 7, 8, scales={"value_scale": 10})
    assert settings == SeriesSettings.from_json(settings.json) == settings.changed()
    assert settings != settings.changed(created_at=9)
    assert settings.changed(created_at=9).created_at == 9


def test_signs_of_the_small_fields():
    kinds = {field.name: field.dtype.str for field in (*fastk.TRADE.fields, *fastk.BOOK_DELTA.fields)}
    assert {name: kinds[name] for name in ("side", "action", "level", "flags")} == {
        "side": "|i1",
        "action": "|i1",
        "level": "<i2",
        "flags": "<u4",
    }
    assert fastk.TRADE.fields[6].dtype == np.uint8


def test_prices_and_volumes_name_their_scales():
    scales = {field.name: field.scale for field in fastk.KLINE.fields}
    assert scales == {
        "ts": None,
        **dict.fromkeys(["open", "high", "low", "close"], "price_scale"),
        "volume": "volume_scale",
    }
    assert fastk.SCALAR.scale_names == ("value_scale",)
    assert fastk.TRADE.sequence_field == "trade_id"
    assert fastk.BBO.sequence_field == fastk.BOOK_DELTA.sequence_field == "sequence"


# A schema of one's own


def sample(dtype):
    """Extreme values of a dtype."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.array([True, False, True])
    if dtype.kind in "iu":
        return np.array([np.iinfo(dtype).min, 1, np.iinfo(dtype).max], dtype)
    if dtype.kind == "f":
        return np.array([np.nan, np.finfo(dtype).max, -np.inf], dtype)
    return np.array([b"", b"x", b"y" * dtype.itemsize], dtype)


@pytest.mark.parametrize("dtype", [*NUMERIC, "S1", "S7", "S64"])
def test_every_dtype_is_stored_exactly(dtype):
    with temporary_store() as store:
        series = store.register_series(("X", "own", "one"), Schema("mine", [("ts", "i8"), ("x", dtype)]))
        column = sample(dtype)
        series.put({"ts": [1, 2, 3], "x": column})
        rows = series.range()
        assert rows.x.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(rows.x, column)
        np.testing.assert_array_equal(rows.to_numpy()["x"], column)
        assert type(series.at(2).x) is type(column[1].item())
        assert series.at(2).x == column[1].item()
        assert series.verify().chunks == 1


def test_all_dtypes_side_by_side():
    schema = Schema("wide", [("ts", "i8"), *((f"c{index}", dtype) for index, dtype in enumerate([*NUMERIC, "S3"]))])
    columns = {"ts": [5, 6, 7], **{field.name: sample(field.dtype) for field in schema.fields[1:]}}
    with temporary_store() as store:
        series = store.register_series(("X", "own", "wide"), schema)
        series.put(columns)
        for name in schema.names[1:]:
            np.testing.assert_array_equal(series.range()[name], columns[name])


AWKWARD_FIELDS = ["count", "index", "class", "from", "segments", "column", "schema", "settings", "decoded", "to_numpy"]
AWKWARD_FIELDS += ["len", "self", "cls", "None", "_names", "_values", "_chunk", "_take", "mro", "_", "__", "a b", "1st"]
AWKWARD_FIELDS += [
    "größe",
    "ﬁ",
    "価格",
    "close.bid",
    "price%",
    "key",
    "keys",
    "items",
    "__len__",
    "__init__",
    "__bool__",
]


@pytest.mark.parametrize("name", AWKWARD_FIELDS)
def test_a_field_may_have_any_printable_name(name):
    with temporary_store() as store:
        series = store.register_series(("X", "own", "awkward"), Schema("mine", [("ts", "i8"), (name, "i8")]))
        series.put([{"ts": 1, name: 10}, {"ts": 40 * 86_400_000, name: 20}])
        for rows in (series.range(), series.range(1, 1), series.latest(5), series.at_many([1, 40 * 86_400_000]).rows):
            assert rows[name].tolist() == [10, 20][: len(rows)]
            assert rows.column(name)[0] == rows[0][name] == rows[0][1] == 10
            assert [list(row) for row in rows] == [[1, 10], [40 * 86_400_000, 20]][: len(rows)]
            assert rows.to_numpy()[name][0] == 10
            assert rows
        series.put([series.range()[0].__class__(50 * 86_400_000, 30)])
        assert series.latest(1)[name].tolist() == [30]


def test_every_field_together_with_its_neighbours():
    schema = Schema("mine", [("ts", "i8"), *((name, "i8") for name in AWKWARD_FIELDS)])
    with temporary_store() as store:
        series = store.register_series(("X", "own", "all"), schema)
        series.put(np.arange(2 * len(schema.names)).reshape(2, -1))
        row = series.at(0)
        assert list(row) == list(range(len(schema.names)))
        assert [row[name] for name in schema.names] == list(row)
        assert "AttributeError" not in repr(row)


@pytest.mark.parametrize("name", ["count", "index", "from", "class", "open", "größe", "len"])
def test_fields_that_clash_with_nothing_are_attributes(name):
    with temporary_store() as store:
        series = store.register_series(("X", "own", "n"), Schema("mine", [("ts", "i8"), (name, "i8")]))
        series.put({"ts": [1], name: [9]})
        assert getattr(series.range(), name).tolist() == [9]
        assert getattr(series.at(1), name) == 9


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("value", "i8")],
        [("ts", "i4")],
        [("ts", "u8")],
        [("ts", "f8")],
        [("ts", "M8[ms]")],
        [("value", "i8"), ("ts", "i8")],
        [("ts", "i8"), ("ts", "i8")],
        [("ts", "i8"), ("x", "i8"), ("x", "f8")],
        [("ts", "i8"), ("", "i8")],
        [("ts", "i8"), ("a\nb", "i8")],
        [("ts", "i8"), ("\ud800", "i8")],
        [("ts", "i8"), ("x" * 201, "i8")],
        [("ts", "i8"), (5, "i8")],
        [("ts", "i8"), ("x", "S0")],
        [("ts", "i8"), ("x", "S70000")],
        [("ts", "i8"), ("x", "f8", "price_scale")],
        [("ts", "i8"), ("x", "i8", "")],
        [("ts", "i8"), ("x", "i8", 5)],
        [("ts", "i8"), *((f"f{place}", "i8") for place in range(5_000))],
        [("ts",)],
        ["ts"],
        [5],
        None,
        [("ts", "i8"), Field("x", np.dtype("c16"))],
    ],
    ids=lambda fields: repr(fields)[:60],
)
def test_bad_declarations_are_refused(fields):
    with pytest.raises(InvalidInput):
        Schema("mine", fields)


@pytest.mark.parametrize(
    "dtype", ["f2", "c16", "O", "U5", "M8[ns]", "m8[s]", "V8", "i3", "nonsense", [], "g", "(1,", "9" * 30 + "i8"]
)
def test_dtypes_that_cannot_be_stored_are_refused(dtype):
    with pytest.raises(InvalidInput, match="dtype"):
        Schema("mine", [("ts", "i8"), ("x", dtype)])


@pytest.mark.parametrize("name", [None, "", " ", 5, "a\nb", "\ud800"], ids=ascii)
def test_a_schema_needs_a_printable_name(name):
    with pytest.raises(InvalidInput):
        Schema(name, [("ts", "i8")])


@pytest.mark.parametrize("sequence", ["absent", "ts", "f", "s", "", 5, ["n"]])
def test_the_sequence_field_is_one_of_the_integers(sequence):
    fields = [("ts", "i8"), ("n", "u4"), ("f", "f8"), ("s", "S3")]
    assert Schema("mine", fields, sequence_field="n").sequence_field == "n"
    with pytest.raises(InvalidInput, match="sequence field"):
        Schema("mine", fields, sequence_field=sequence)


def test_dtypes_are_normalised():
    for spelling in (">i4", "<i4", "int32", np.int32, np.dtype(">i4")):
        assert Field.of("x", spelling).dtype == np.dtype("<i4")
        assert Field.of("x", spelling) == Field.of("x", "i4")


def test_fields_may_be_given_as_fields():
    """`fastk.Field` is public, and its arguments are spelled like those of a plain tuple."""
    schema = Schema("mine", [Field("ts", "i8"), Field("close", ">i4", "price_scale"), Field("flag", bool)])
    assert [field.dtype for field in schema.fields] == [np.dtype("<i8"), np.dtype("<i4"), np.dtype(bool)]
    with temporary_store() as store:
        series = store.register_series(("X", "own", "f"), schema, scales={"price_scale": 10})
        series.put({"ts": [1], "close": [5], "flag": [True]})
        assert series.range().decoded("close").tolist() == [0.5]


def test_an_unknown_column_is_named_beside_those_there_are():
    with pytest.raises(InvalidInput, match="'clsoe' is no column of kline; it has ts, open, high, low, close, volume"):
        fastk.KLINE.position("clsoe")


@pytest.mark.parametrize("schema", ["kline", None, [("ts", "i8")]], ids=repr)
def test_only_a_schema_is_registered(schema):
    with temporary_store() as store, pytest.raises(InvalidInput):
        store.register_series(("X", "own", "f"), schema)


def test_adapting_changes_only_what_is_asked():
    daily = adapted(fastk.BBO, unique_ts=False, partition="hour")
    assert (daily.unique_ts, daily.partition, daily.fields) == (False, PartitionUnit.HOUR, fastk.BBO.fields)
    assert adapted(fastk.BBO) is fastk.BBO
    assert adapted(fastk.BBO, unique_ts=False, partition="hour") is daily


# Registration and settings


def test_registering_again_with_the_same_settings_succeeds():
    with temporary_store() as store:
        first = store.register_kline_series("BTC", "1m", 60_000, 100, 10)
        assert store.register_kline_series("BTC", "1m", 60_000, 100, 10).settings == first.settings


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"scales": {"price_scale": 10}}, "scales"),
        ({"timeframe_ms": 1}, "timeframe_ms"),
        ({"time_unit": "us"}, "time_unit"),
        ({"partition": "day"}, "partition"),
        ({"unique_ts": False}, "unique_ts"),
    ],
)
def test_registering_again_with_others_says_what_differs(options, what):
    key = ("BTC", "kline", "1m")
    with temporary_store() as store:
        before = store.register_series(key, fastk.KLINE).settings
        with pytest.raises(InvalidInput, match=f"BTC/kline/1m is registered with other settings: {what}"):
            store.register_series(key, fastk.KLINE, **options)
        with pytest.raises(InvalidInput, match="record_type"):
            store.register_series(key, fastk.SCALAR)
        store.refresh()
        assert store.series(key).settings == before


@pytest.mark.parametrize("scale", [0, -1, 1.5, 100.0, True, "100", None, 10**18 + 1])
def test_scales_are_whole_numbers_of_at_least_one(scale):
    with temporary_store() as store:
        with pytest.raises(InvalidInput, match="price_scale"):
            store.register_kline_series("BTC", "1m", 60_000, price_scale=scale)
        assert store.list_series() == []


@pytest.mark.parametrize("timeframe_ms", [-1, 1.5, None, "60000", True, 2**63])
def test_the_timeframe_is_a_whole_number_of_ms(timeframe_ms):
    with temporary_store() as store, pytest.raises(InvalidInput, match="timeframe_ms"):
        store.register_kline_series("BTC", "1m", timeframe_ms)


def test_a_scale_that_no_field_uses_is_refused():
    with (
        temporary_store() as store,
        pytest.raises(InvalidInput, match="no field of scalar uses the scale 'price_scale'"),
    ):
        store.register_series(("BTC", "feature", "1m@@f"), fastk.SCALAR, scales={"price_scale": 10})


@pytest.mark.parametrize("unit", ["s", "", None, 5, "MS"])
def test_unknown_time_units_are_refused(unit):
    with temporary_store() as store, pytest.raises(InvalidInput, match="give 'ms', 'us' or 'ns'"):
        store.register_kline_series("BTC", "1m", 60_000, time_unit=unit)


FIELD_NAMES = st.text(string.printable[:94] + "äé家", min_size=1, max_size=10).filter(lambda name: name != "ts")


@st.composite
def any_settings(draw):
    names = draw(st.lists(FIELD_NAMES, max_size=6, unique=True))
    fields = [("ts", "i8")]
    for name in names:
        dtype = draw(st.sampled_from([*NUMERIC, "S5"]))
        scaled = dtype[0] in "iu" and draw(st.booleans())
        fields.append((name, dtype, draw(st.sampled_from(["a", "b"])) if scaled else None))
    integers = [name for name, dtype, *_ in fields[1:] if dtype[0] in "iu"]
    schema = Schema(
        draw(st.text(string.ascii_letters, min_size=1, max_size=8)),
        fields,
        unique_ts=draw(st.booleans()),
        sequence_field=draw(st.sampled_from([None, *integers])),
        partition=draw(st.sampled_from(list(PartitionUnit))),
    )
    return SeriesSettings(
        SeriesKey("SYM", "cat", draw(st.text("abc/é", min_size=1))),
        schema,
        draw(st.integers(0, 2**64 - 1)),
        draw(st.integers(0, 2**60)),
        draw(st.integers(0, 2**63 - 1)),
        draw(st.sampled_from(list(TimeUnit))),
        {name: draw(st.integers(1, 10**18)) for name in schema.scale_names},
    )


@settings(max_examples=60)
@given(any_settings())
def test_settings_come_back_from_json(chosen):
    read = SeriesSettings.from_json(chosen.json)
    assert read.json == chosen.json
    assert read.schema.fields == chosen.schema.fields
    assert (read.key, read.series_id, read.scales) == (chosen.key, chosen.series_id, chosen.scales)
    assert SeriesSettings.from_json(read.json).schema is read.schema


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.data())
def test_settings_that_were_tampered_with_are_invalid_data(data):
    stored = json.loads(SeriesSettings(SeriesKey("S", "c", "n"), fastk.KLINE, 1, 1).json)
    name = data.draw(st.sampled_from(sorted(stored)))
    stored[name] = data.draw(ANY_JSON)
    read_or_refuse(stored)


def read_or_refuse(stored):
    with contextlib.suppress(InvalidData):
        SeriesSettings.from_json(json.dumps(stored).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scales", []),
        ("scales", {"price_scale": "1"}),
        ("scales", ["price_scale"]),
        ("created_at", float("inf")),
        ("created_at", float("nan")),
        ("fields", [["ts", "i8", None, None]]),
        ("fields", [[]]),
        ("record_type", None),
        ("sequence_field", ["ts"]),
        ("series_id", 1),
        ("symbol", None),
    ],
)
def test_odd_values_in_settings_are_invalid_data(name, value):
    stored = json.loads(SeriesSettings(SeriesKey("S", "c", "n"), fastk.KLINE, 1, 1).json)
    read_or_refuse({**stored, name: value})


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"5", b"\xff", b"{}", b'"x"', b"[" * 100_000])
def test_what_is_no_settings_is_invalid_data(content):
    with pytest.raises(InvalidData, match="settings are unreadable"):
        SeriesSettings.from_json(content)


# Records


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        (fastk.KlineRecord(1, 2, 3, 4, 5, 6), fastk.KLINE),
        (fastk.ScalarRecord(1, 2), fastk.SCALAR),
        (fastk.TradeRecord(1, 2, 3, 4, 5, -1), fastk.TRADE),
        (fastk.BboRecord(1, 2, 3, 4, 5, 6, 7), fastk.BBO),
        (fastk.BookDeltaRecord(1, 2, 3, 4, 5, -1, 2, 3), fastk.BOOK_DELTA),
    ],
    ids=lambda value: type(value).__name__,
)
def test_records_are_rows_of_their_schema(record, schema):
    assert schema.record_class is type(record)
    assert len(record) == len(schema.names)
    assert [record[name] for name in schema.names] == list(record) == [record[place] for place in range(len(record))]
    assert [getattr(record, name) for name in schema.names] == list(record)
    assert record[-1] == list(record)[-1]
    assert record == type(record)(*record)
    assert record != type(record)(9, *list(record)[1:])
    assert not isinstance(record, tuple)
    with pytest.raises(KeyError, match="it has ts"):
        record["absent"]
    with pytest.raises(IndexError):
        record[99]
    with pytest.raises(AttributeError):
        record.absent = 5


def test_records_can_be_changed_and_written():
    record = fastk.ScalarRecord(ts=1, value=2)
    record.value = 5
    with temporary_store() as store:
        series = store.register_scalar_series(fastk.feature_series_key("X", "1m", "f"), 60_000)
        series.put(record)
        assert series.at(1) == fastk.ScalarRecord(1, 5)


def test_rows_of_ones_own_schema_name_their_fields():
    schema = Schema("mine", [("ts", "i8"), ("count", "i4"), ("index", "f8")])
    row = schema.record_class(1, 2, 0.5)
    assert (row.count, row.index, repr(row)) == (2, 0.5, "Row(ts=1, count=2, index=0.5)")
    odd = Schema("odd", [("ts", "i8"), ("from", "i4")]).record_class(1, 2)
    assert getattr(odd, "from") == odd["from"] == odd[1] == 2
    assert repr(odd) == "Row({'ts': 1, 'from': 2})"
    with pytest.raises(AttributeError):
        odd.absent  # noqa: B018
    with pytest.raises(KeyError, match="it has ts, from"):
        odd["absent"]


def test_a_schema_of_the_same_name_as_a_built_in_one_is_its_own():
    schema = Schema("kline", [("ts", "i8"), ("mid", "f8")])
    assert schema.record_class is not fastk.KlineRecord
    assert schema.record_class(1, 2.5).mid == 2.5


@pytest.mark.parametrize("record_type", [5, "kline", 99, fastk.RecordType.TRADE])
def test_only_the_built_in_types_bear_their_codes(record_type):
    with pytest.raises(InvalidInput, match=r"RecordType|record type"):
        Schema("mine", [("ts", "i8"), ("f", "f8")], record_type=record_type)


@pytest.mark.parametrize("unique_ts", ["no", 1, None])
def test_unique_ts_is_a_truth_value(unique_ts):
    with pytest.raises(InvalidInput, match="unique_ts"):
        Schema("mine", [("ts", "i8")], unique_ts=unique_ts)


def test_rows_of_an_own_schema_are_pickled_and_indexed_like_the_built_in_ones():
    for fields in ([("ts", "i8"), ("a", "f8")], [("ts", "i8"), ("from", "f8")]):
        row = Schema("mine", fields).record_class(1, 2.5)
        assert list(pickle.loads(pickle.dumps(row))) == [1, 2.5]
        assert row[np.int64(1)] == row[-1] == row[fields[1][0]] == 2.5
        with pytest.raises(IndexError, match="field 99"):
            row[99]
        with pytest.raises(TypeError, match="name or number"):
            row[0:1]
        with pytest.raises(KeyError, match="no field"):
            row["b"]
