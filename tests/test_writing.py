"""Rows come in every usual form, and go in exactly as they are, all of them or none.

What does not fit exactly, overlaps what is stored, or is out of order is refused with a message that names the row,
and the store stays as it was.
"""

from contextlib import suppress
from decimal import Decimal

import numpy as np
import pytest
from builders import (
    FEBRUARY,
    HOUR,
    JANUARY,
    MINUTE,
    assert_rows,
    bars,
    joined,
    one_field,
    structured,
    temporary_store,
)

import fastk
from fastk import InvalidInput, KlineRecord, Schema

KEY = ("BTC", "kline", "1m")


# Forms


FORMS = {
    "mapping of arrays": lambda columns: columns,
    "mapping of lists": lambda columns: {name: column.tolist() for name, column in columns.items()},
    "mapping of tuples in another order": lambda columns: dict(
        reversed([(name, tuple(column.tolist())) for name, column in columns.items()])
    ),
    "mapping of narrow integers": lambda columns: {
        name: column.astype(np.int64 if name == "ts" else np.int32) for name, column in columns.items()
    },
    "mapping of big-endian integers": lambda columns: {name: column.astype(">i8") for name, column in columns.items()},
    "mapping of strided columns": lambda columns: {name: np.repeat(column, 3)[::3] for name, column in columns.items()},
    "mapping of reversed views": lambda columns: {name: column[::-1].copy()[::-1] for name, column in columns.items()},
    "mapping of whole floats": lambda columns: {
        name: column if name == "ts" else column.astype(float) for name, column in columns.items()
    },
    "structured array": structured,
    "structured array in another order": lambda columns: structured(columns, [*columns][::-1]),
    "record array": lambda columns: structured(columns).view(np.recarray),
    "2-D array": lambda columns: np.column_stack(list(columns.values())),
    "2-D array in Fortran order": lambda columns: np.asfortranarray(np.column_stack(list(columns.values()))),
    "2-D array of python integers": lambda columns: np.column_stack(list(columns.values())).astype(object),
    "list of records": lambda columns: [KlineRecord(*row) for row in np.column_stack(list(columns.values())).tolist()],
    "tuple of dicts": lambda columns: tuple(
        dict(zip(columns, row, strict=True)) for row in np.column_stack(list(columns.values())).tolist()
    ),
    "dicts of numpy integers": lambda columns: [
        dict(zip(columns, row, strict=True)) for row in np.column_stack(list(columns.values()))
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_rows_stores_the_same(klines, form):
    columns = joined(bars(JANUARY, 3), bars(FEBRUARY, 2))
    result = klines.put(FORMS[form](columns))
    assert (result.accepted, result.chunks) == (5, 2)
    assert_rows(klines.range(), columns)


def test_one_record_is_a_row(klines):
    klines.put(KlineRecord(JANUARY, 1, 2, 3, 4, 5))
    assert list(klines.at(JANUARY)) == [JANUARY, 1, 2, 3, 4, 5]


def test_rows_of_another_store_are_written_as_they_are(klines):
    columns = joined(bars(JANUARY, 3), bars(FEBRUARY, 4))
    klines.put(columns)
    with temporary_store() as other:
        copy = other.register_kline_series("COPY", "1m", MINUTE)
        copy.put(klines.range(None, FEBRUARY - 1))
        copy.put(klines.range(FEBRUARY, FEBRUARY + MINUTE))
        copy.put(klines.latest(2))
        assert_rows(copy.range(), columns)
        third = other.register_kline_series("THIRD", "1m", MINUTE)
        third.put(klines.at_many(columns["ts"][::3]).rows)
        assert_rows(third.range(), {name: column[::3] for name, column in columns.items()})
        fourth = other.register_kline_series("FOURTH", "1m", MINUTE)
        fourth.put(list(klines.range()))
        assert_rows(fourth.range(), columns)


def test_rows_stay_what_they_were_after_being_copied_to_their_neighbour(store, klines):
    klines.put(bars())
    rows = klines.range()
    store.register_kline_series("ETH", "1m", MINUTE).put(rows)
    klines.put(bars(JANUARY + HOUR))
    assert_rows(rows, bars())


@pytest.mark.parametrize("options", [{"price_scale": 10}, {"volume_scale": 10}, {"time_unit": "us"}])
def test_rows_of_another_scale_or_unit_are_refused(store, klines, options, refuse):
    klines.put(bars())
    other = store.register_kline_series("OTHER", "1m", MINUTE, **options)
    refuse(other, klines.range(), "decode them first")


def test_stored_integers_are_never_scaled_twice(store):
    """Rows of a store hold stored integers, whatever `decoded` says about numbers from elsewhere."""
    source = store.register_kline_series("A", "1m", MINUTE, price_scale=100, volume_scale=10)
    source.put(bars())
    target = store.register_kline_series("B", "1m", MINUTE, price_scale=100, volume_scale=10)
    with suppress(InvalidInput):
        target.put(source.range(), decoded=True)
        assert_rows(target.range(), bars())


def test_what_was_handed_in_may_change_afterwards(klines):
    columns = {name: column.copy() for name, column in bars().items()}
    klines.put(columns)
    for column in columns.values():
        column[:] = 0
    assert_rows(klines.range(), bars())


def test_what_was_handed_in_is_left_alone(klines):
    columns = bars()
    for column in columns.values():
        column.flags.writeable = False
    klines.put(columns)
    assert all(np.array_equal(columns[name], column) for name, column in bars().items())


@pytest.mark.parametrize(
    "rows",
    [
        "text",
        b"bytes",
        5,
        None,
        {1, 2},
        iter([]),
        np.arange(6),
        np.zeros((2, 5), int),
        np.zeros((2, 6, 1), int),
        [(1, 2, 3, 4, 5, 6)],
        [[1, 2, 3, 4, 5, 6]],
        [None],
        ["ts"],
        [KlineRecord(1, 2, 3, 4, 5, 6), 5],
    ],
    ids=lambda rows: str(type(rows).__name__),
)
def test_other_forms_are_refused(klines, rows, refuse):
    refuse(klines, rows)


def test_an_array_of_another_shape_is_told_the_right_one(klines, refuse):
    refuse(klines, np.zeros((2, 5), int), r"\(2, 5\) does not fit BTC/kline/1m: give \(rows, 6\) in the order ts, open")


# What does not fit


def test_missing_and_unknown_columns_are_both_named(klines, refuse):
    columns = bars()
    columns["vol"] = columns.pop("volume")
    refuse(klines, columns, "missing: volume; unknown: vol")
    refuse(klines, structured(columns), "missing: volume; unknown: vol")
    refuse(klines, {"ts": [1]}, "missing: open, high, low, close, volume")
    refuse(klines, {**bars(), 5: [1]}, "unknown: 5")
    refuse(klines, {}, "missing: ts")


@pytest.mark.parametrize("change", [{"extra": 1}, {5: 1}], ids=repr)
def test_records_with_other_fields_are_refused_by_row(klines, change, refuse):
    rows = [dict(zip(bars(), row, strict=True)) for row in np.column_stack(list(bars().values())).tolist()]
    rows[3] |= change
    assert "row 3" in refuse(klines, rows)
    del rows[3]["open"]
    assert "row 3" in refuse(klines, rows)
    assert "row 0" in refuse(klines, [fastk.ScalarRecord(1, 2)], "takes ts, open")


def test_columns_of_different_length_are_refused(klines, refuse):
    refuse(klines, {**bars(), "close": [1, 2]}, "differ in length.*'close': 2")
    refuse(klines, {**bars(), "ts": [JANUARY]}, "differ in length")


@pytest.mark.parametrize("value", [5, np.int64(5), [[1], [2]], [[1], [2, 3]], np.zeros((5, 1), int)], ids=repr)
def test_columns_are_one_dimensional(klines, value, refuse):
    refuse(klines, {**bars(), "close": value})
    refuse(klines, {**bars(), "ts": value})


UNFIT = [
    ("i8", 2.5),
    ("i8", np.nan),
    ("i8", np.inf),
    ("i8", 2.0**63),
    ("i8", -(2.0**64)),
    ("i8", 2**63),
    ("i8", -(2**63) - 1),
    ("i8", True),
    ("i8", "5"),
    ("i8", b"5"),
    ("i8", None),
    ("i8", Decimal("2.5")),
    ("i8", 1j),
    ("i8", np.float16("-inf")),
    ("i8", np.float32("inf")),
    ("i8", np.datetime64("2024-01-01")),
    ("i1", 128),
    ("i1", -129),
    ("i1", 0.5),
    ("u1", -1),
    ("u1", 256),
    ("u4", 2**32),
    ("u8", -1),
    ("u8", 2**64),
    ("u8", 2.0**64),
    ("u8", -1.0),
    ("f4", 0.1),
    ("f4", 1e300),
    ("f4", 2**24 + 1),
    ("f8", 2**53 + 1),
    ("f8", True),
    ("f8", "5"),
    ("f8", None),
    ("f8", 1j),
    ("?", 1),
    ("?", 0.0),
    ("?", "True"),
    ("S3", b"four"),
    ("S3", "éé"),
    ("S3", "four"),
    ("S3", 5),
    ("S3", None),
    ("S3", "\ud800"),
]


@pytest.mark.parametrize(("dtype", "value"), UNFIT, ids=[f"{dtype}-{value!a}" for dtype, value in UNFIT])
def test_a_value_that_does_not_fit_exactly_is_refused(store, dtype, value, refuse):
    series = one_field(store, dtype)
    refuse(series, {"ts": [1], "x": np.array([value])}, "'x'")
    refuse(series, {"ts": [1], "x": [value]}, "'x'")
    refuse(series, [{"ts": 1, "x": value}], "'x'")


FITTING = [
    ("i8", -(2**63)),
    ("i8", 2**63 - 1),
    ("i8", -(2.0**63)),
    ("i8", 2.0),
    ("i8", -0.0),
    ("i8", np.uint64(7)),
    ("i1", -128),
    ("u1", 255.0),
    ("u8", 2**64 - 1),
    ("u8", 2.0**63),
    ("f4", 2**24),
    ("f4", np.nan),
    ("f4", -np.inf),
    ("f8", 2**53),
    ("f8", np.float32(0.1)),
    ("f8", 5e-324),
    ("?", True),
    ("?", np.False_),
    ("S3", b"abc"),
    ("S3", "é"),
    ("S3", ""),
    ("S3", np.bytes_(b"ab")),
    ("S3", np.str_("ab")),
]


@pytest.mark.parametrize(("dtype", "value"), FITTING, ids=[f"{dtype}-{value!a}" for dtype, value in FITTING])
def test_a_value_that_fits_goes_in_in_every_form(store, dtype, value):
    series = one_field(store, dtype)
    series.put({"ts": [1], "x": np.array([value])})
    series.put({"ts": [2], "x": [value]})
    series.put([{"ts": 3, "x": value}])
    expected = value.encode() if isinstance(value, str) else value
    np.testing.assert_array_equal(series.range().x, np.array([expected] * 3).astype(dtype))


def test_the_row_and_the_value_are_named(store, refuse):
    series = one_field(store, "i8")
    refuse(series, {"ts": [1, 2, 3], "x": [1.0, 2.0, 2.5]}, "X/own/i8 column 'x': 2.5 at row 2 has no exact int64")
    assert "row 1" in refuse(series, [{"ts": 1, "x": 1}, {"ts": 2, "x": "no"}])
    assert "row 1" in refuse(series, [{"ts": 1, "x": 1}, {"ts": 2, "x": 2**70}])


LARGE = 2**53 + 1  # the first integer that no float64 holds


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("i8", [LARGE, 2.0]),
        ("i8", [2.0, LARGE]),
        ("i8", [np.int64(LARGE), 2.0]),
        ("f8", [np.int64(LARGE), 0.5]),
        ("f8", [LARGE, 0.5]),
        ("u8", [1, 2**64 - 1]),
        ("u8", [1, 2**63 + 2**11 + 1]),
        ("u8", [2**64 - 1, 0]),
        ("i8", [True, 2]),
        ("i8", [2, True]),
        ("f8", [True, 0.5]),
        ("?", [True, 2]),
        ("S3", [b"\xff", "a"]),
        ("S3", ["a", b"\xff"]),
    ],
    ids=repr,
)
def test_mixed_values_are_stored_exactly_or_refused(store, dtype, values):
    """numpy would turn each of these lists into something that all its values can become, approximately."""
    expected = [value.encode() if isinstance(value, str) else value for value in values]
    exact = dtype in ("u8", "S3") or (dtype == "i8" and bool not in map(type, values))
    for number, rows in enumerate(
        ({"ts": [1, 2], "x": values}, [{"ts": 1, "x": values[0]}, {"ts": 2, "x": values[1]}])
    ):
        series = store.register_series(("X", "own", f"form{number}"), Schema("mine", [("ts", "i8"), ("x", dtype)]))
        try:
            series.put(rows)
        except InvalidInput:
            assert dtype != "u8", "both values fit uint64"
            continue
        assert exact
        assert series.range().x.tolist() == expected


def test_a_masked_value_is_no_value(store, refuse):
    refuse(one_field(store, "i8"), {"ts": [1, 2], "x": np.ma.array([1, 2], mask=[False, True])})


# Natural units


def test_the_float_table_that_every_user_starts_from(store):
    series = store.register_kline_series("BTC", "5m", 5 * MINUTE, price_scale=10, volume_scale=10_000)
    table = {
        "ts": ["2024-01-01T00:00Z", "2024-01-01T00:05Z"],
        "open": [46319.0, 46377.5],
        "high": [46385.1, 46411.0],
        "low": [46319.0, 46377.2],
        "close": [46377.0, 46411.9],
        "volume": [2300413.7295, 0.0001],
    }
    series.put(table, decoded=True)
    rows = series.range("2024-01-01", "2024-01-02")
    assert rows.close.tolist() == [463770, 464119]
    assert {name: rows.decoded(name).tolist() for name in table if name != "ts"} == {
        name: column for name, column in table.items() if name != "ts"
    }


def test_natural_units_of_every_kind(store):
    key = fastk.feature_series_key("X", "1m", "f")
    series = store.register_scalar_series(key, MINUTE, value_scale=100)
    values = [1.25, Decimal("2.5"), 3, np.float32(0.5), np.int64(7), np.int8(1), np.uint64(9)]
    for ts, value in enumerate(values):
        series.put([{"ts": ts, "value": value}], decoded=True)
    assert series.range().value.tolist() == [125, 250, 300, 50, 700, 100, 900]


def test_floats_for_a_scaled_column_are_ambiguous(store, refuse):
    series = store.register_kline_series("BTC", "5m", MINUTE, price_scale=10)
    floats = {name: column.astype(float) if name == "close" else column for name, column in bars().items()}
    refuse(series, floats, "'close': floats for a column of scale 10 are ambiguous; say decoded=True")
    records = [{**dict.fromkeys(bars(), 1), "close": 1.0}]
    refuse(series, records, "decoded=True")


def test_decimals_need_decoded(store, refuse):
    series = store.register_kline_series("BTC", "5m", MINUTE, price_scale=10)
    refuse(series, [{**dict.fromkeys(bars(), 1), "close": Decimal(1)}])


@pytest.mark.parametrize("value", [0.05, np.nan, np.inf, 1e18, Decimal("0.01"), Decimal("NaN"), "1.5", True, None])
def test_natural_units_that_the_scale_cannot_hold_are_refused(store, value, refuse):
    series = store.register_kline_series("BTC", "5m", MINUTE, price_scale=10)
    row = {"ts": [1], "open": [1.0], "high": [1.0], "low": [1.0], "close": [value], "volume": [1.0]}
    assert "'close'" in refuse(series, row, decoded=True)


def test_decoded_leaves_columns_without_a_scale_alone(store, refuse):
    series = store.register_trade_series("BTC", "spot", price_scale=10, volume_scale=10)
    row = {"ts": [5], "recv_ts": [6], "trade_id": [7], "price": [0.1], "qty": [0.2], "side": [-1], "flags": [3]}
    series.put(row, decoded=True)
    assert list(series.at(5)) == [5, 6, 7, 1, 2, -1, 3]
    refuse(series, {**row, "trade_id": [7.5]}, "'trade_id'", decoded=True)


def test_mixed_natural_units_are_exact_or_refused(store):
    key = fastk.feature_series_key("X", "1m", "f")
    series = store.register_scalar_series(key, MINUTE, value_scale=10)
    with suppress(InvalidInput):
        series.put({"ts": [1, 2], "value": [LARGE, 0.5]}, decoded=True)
        assert series.range().value.tolist() == [LARGE * 10, 5]


def test_a_plain_table_of_floats_goes_in_with_one_argument(store):
    """Bars as exchanges' clients return them: rows of time, open, high, low, close and volume, all floats."""
    table = np.array([[JANUARY, 42.5, 43.0, 42.25, 42.75, 1.5], [JANUARY + MINUTE, 42.75, 43.5, 42.5, 43.25, 0.25]])
    series = store.register_kline_series("BTC", "5m", MINUTE, price_scale=100, volume_scale=100)
    series.put(table, decoded=True)
    rows = series.range()
    assert rows.ts.tolist() == [JANUARY, JANUARY + MINUTE]
    assert np.array_equal(np.column_stack([rows.decoded(name) for name in rows.schema.names[1:]]), table[:, 1:])


@pytest.mark.parametrize("ts", [JANUARY + 0.5, np.nan, np.inf, 1e300])
def test_times_in_a_table_of_floats_are_whole(store, refuse, ts):
    series = store.register_kline_series("BTC", "5m", MINUTE, price_scale=100, volume_scale=100)
    refuse(series, np.array([[ts, 42.5, 43.0, 42.25, 42.75, 1.5]]), "'ts'.*at row 0", decoded=True)


def test_the_columns_of_a_data_frame_are_a_mapping(klines):
    pandas = pytest.importorskip("pandas")
    klines.put(dict(pandas.DataFrame(bars())))
    assert_rows(klines.range(), bars())
