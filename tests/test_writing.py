"""Rows come in every usual form, and go in exactly as they are, all of them or none.

What does not fit exactly, overlaps what is stored, or is out of order is refused with a message that names the row,
and the store stays as it was.
"""

from contextlib import suppress
from decimal import Decimal

import numpy as np
import pytest
from builders import (
    DAY,
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    MINUTE,
    assert_rows,
    bars,
    contents,
    joined,
    part,
    temporary_store,
    trades,
)

import fastk
from fastk import InvalidInput, KlineRecord, NotFound, Schema

KEY = ("BTC", "kline", "1m")


@pytest.fixture
def store():
    with temporary_store() as opened:
        yield opened


@pytest.fixture
def klines(store):
    return store.register_kline_series("BTC", "1m", MINUTE)


@pytest.fixture
def ticks(store):
    return store.register_trade_series("BTC", "spot")


@pytest.fixture
def refuse(store):
    """A check that a put is refused, and that neither the series nor any file changes."""

    def check(series, rows, match=None, **options):
        before, length = contents(store.root), len(series)
        with pytest.raises(InvalidInput, match=match) as refused:
            series.put(rows, **options)
        assert contents(store.root) == before
        store.refresh()
        assert len(series) == length
        return str(refused.value)

    return check


def one_field(store, dtype, name="x", **scale):
    """A series of one value of a dtype."""
    fields = [("ts", "i8"), (name, dtype, *scale)]
    return store.register_series(("X", "own", str(dtype)), Schema("mine", fields), scales=scale)


# Forms


def structured(columns, order=None):
    array = np.empty(len(columns["ts"]), [(name, np.asarray(columns[name]).dtype) for name in order or columns])
    for name in array.dtype.names:
        array[name] = columns[name]
    return array


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


# Order


def test_rows_out_of_order_are_named(klines, refuse):
    columns = bars(count=6)
    columns["ts"] = columns["ts"][[0, 1, 3, 2, 4, 5]]
    refuse(klines, columns, "at row 3 comes after .*sort the rows by ts first")


def test_equal_timestamps_are_named_where_ts_is_unique(klines, refuse):
    columns = bars(count=6)
    columns["ts"] = columns["ts"][[0, 1, 2, 3, 3, 5]]
    refuse(klines, columns, f"ts {JANUARY + 3 * MINUTE} .* stands twice, at rows 3 and 4")


def test_disorder_across_partitions_is_refused(klines, refuse):
    refuse(klines, joined(bars(FEBRUARY, 2), bars(JANUARY, 2)), "at row 2")


def test_nothing_to_write_changes_nothing(store, klines):
    before = contents(store.root)
    empty_rows = klines.range(5, 4)
    for rows in ([], (), part(bars(), 0, 0), np.empty((0, 6), int), empty_rows, structured(part(bars(), 0, 0))):
        result = klines.put(rows)
        assert (result.accepted, result.chunks, result.sequence) == (0, 0, 1)
    klines.put({name: [] for name in bars()})
    assert contents(store.root) == before


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "f8", "S3"])
def test_empty_lists_fit_every_dtype(store, dtype):
    series = one_field(store, dtype)
    assert series.put({"ts": [], "x": []}).accepted == 0
    assert series.put([]).accepted == 0
    assert series.put({"ts": np.empty(0), "x": np.empty(0)}).accepted == 0


# Appends and overlaps


def test_appends_go_on_where_the_partition_ends(klines):
    first = klines.put(bars(JANUARY, 3))
    second = klines.put(bars(JANUARY + 3 * MINUTE, 2))
    third = klines.put(joined(bars(JANUARY + 5 * MINUTE, 2), bars(FEBRUARY, 2), bars(MARCH, 1)))
    assert [each.chunks for each in (first, second, third)] == [1, 1, 3]
    assert first.sequence < second.sequence < third.sequence == klines.sequence
    assert klines.range().ts.tolist() == [JANUARY + place * MINUTE for place in range(7)] + [
        FEBRUARY,
        FEBRUARY + MINUTE,
        MARCH,
    ]


def test_the_counts_of_a_put_sum_to_its_rows(klines):
    for columns in (bars(JANUARY, 7), joined(bars(FEBRUARY, 4), bars(MARCH, 5))):
        result = klines.put(columns)
        assert result.accepted + result.identical + result.replaced + result.rejected == len(columns["ts"])
        assert result.accepted == len(columns["ts"])


@pytest.mark.parametrize(
    "start",
    [JANUARY - MINUTE, JANUARY, JANUARY + MINUTE, JANUARY + 4 * MINUTE, JANUARY + 1],
    ids=["ends within", "same", "starts within", "starts at the end", "between rows"],
)
def test_every_overlap_is_refused(klines, start, refuse):
    klines.put(bars(JANUARY, 5))
    expected = "BTC/kline/1m: rows from ts .* overlap existing coverage: month .* Nothing was written"
    rows = bars(start, 5)
    if start < JANUARY:
        rows = part(rows, 1, 5)  # the row before belongs to another month
    refuse(klines, rows, expected)


def test_an_overlap_in_one_partition_refuses_all_of_them(klines, refuse):
    klines.put(bars(FEBRUARY, 5))
    refuse(klines, joined(bars(JANUARY, 3), bars(FEBRUARY, 3), bars(MARCH, 3)), "month 2024-02 is stored up to")
    assert klines.put(joined(bars(JANUARY, 3), bars(MARCH, 3))).chunks == 2


def test_an_older_partition_may_be_filled_in_later(klines):
    klines.put(bars(MARCH, 3))
    klines.put(bars(JANUARY, 3))
    klines.put(bars(FEBRUARY, 3))
    klines.put(bars(JANUARY + HOUR, 3))
    expected = joined(bars(JANUARY, 3), bars(JANUARY + HOUR, 3), bars(FEBRUARY, 3), bars(MARCH, 3))
    assert_rows(klines.range(), expected)
    assert klines.latest(4).ts.tolist() == expected["ts"][-4:].tolist()


def test_a_refused_put_can_be_repeated_without_its_conflict(klines, refuse):
    klines.put(bars(JANUARY, 5))
    rows = bars(JANUARY + 4 * MINUTE, 5)
    refuse(klines, rows)
    klines.put(part(rows, 1, 5))
    assert klines.range().ts.tolist() == [JANUARY + place * MINUTE for place in range(9)]


# Rows that share a ts


def test_rows_of_one_ts_keep_their_order(ticks):
    columns = trades([5, 5, 5, 6, 6, 9])
    ticks.put(columns)
    assert_rows(ticks.range(), columns)
    assert ticks.range(5, 5).trade_id.tolist() == [1, 2, 3]
    assert ticks.at(6).trade_id == 4


def test_a_put_may_go_on_at_the_last_stored_ts_with_new_ids(ticks):
    ticks.put(trades([5, 7, 7], first_id=1))
    ticks.put(trades([7, 7, 8], first_id=4))
    ticks.put(trades([8], first_id=7))
    ticks.put(trades([8, 8], first_id=8))
    assert ticks.range().ts.tolist() == [5, 7, 7, 7, 7, 8, 8, 8, 8]
    assert ticks.range().trade_id.tolist() == list(range(1, 10))
    assert ticks.range(7, 7).trade_id.tolist() == [2, 3, 4, 5]
    assert ticks.at(8).trade_id == 6
    assert [meta.generation for meta in ticks.chunk_inventory()] == [1, 2, 3, 4]


@pytest.mark.parametrize("ids", [[3], [9, 3], [2, 9]])
def test_an_id_stored_at_that_ts_is_refused(ticks, ids, refuse):
    ticks.put(trades([5, 7], first_id=1))
    ticks.put(trades([7], first_id=3))
    again = trades([7] * len(ids))
    again["trade_id"] = np.array(ids)
    expected = ids[0] if ids[0] in (2, 3) else 3
    refuse(ticks, again, f"ts 7 with trade_id {expected} is stored already .*overlaps existing coverage")


def test_the_same_id_at_a_later_ts_is_another_row(ticks):
    ticks.put(trades([5], first_id=1))
    ticks.put(trades([6], first_id=1))
    assert ticks.range().trade_id.tolist() == [1, 1]


def test_rows_before_the_last_stored_ts_are_refused_with_any_id(ticks, refuse):
    ticks.put(trades([5, 7], first_id=1))
    refuse(ticks, trades([6], first_id=100), "overlap existing coverage: hour 1970-01-01T00")
    refuse(ticks, trades([5], first_id=100), "overlap")


def test_without_a_sequence_the_rows_of_a_ts_belong_together(store, refuse):
    schema = Schema("pair", [("ts", "i8"), ("x", "f8")], unique_ts=False)
    series = store.register_series(("X", "own", "pair"), schema)
    series.put({"ts": [1, 2, 2], "x": [0.5, 1.5, 2.5]})
    refuse(series, {"ts": [2, 3], "x": [3.5, 4.5]}, "no sequence field tells them apart")
    series.put({"ts": [3, 3], "x": [3.5, 4.5]})
    assert series.range(2, 3).x.tolist() == [1.5, 2.5, 3.5, 4.5]


def test_quotes_share_a_ts_where_registered_so(store, refuse):
    unique = store.register_bbo_series("A", "spot")
    shared = store.register_bbo_series("B", "spot", unique_ts=False)
    rows = np.array([[5, 5, 1, 1, 2, 2, 100], [5, 5, 1, 1, 2, 2, 101]])
    refuse(unique, rows, "stands twice")
    shared.put(rows)
    shared.put(np.array([[5, 5, 1, 1, 2, 2, 102]]))
    assert shared.range().sequence.tolist() == [100, 101, 102]


def test_book_deltas_go_on_at_an_equal_ts(store):
    series = store.register_book_delta_series("XBT", "bitmex")
    series.put(np.array([[5, 5, 1, 10, 1, 1, 2, 0, 0], [5, 5, 2, 11, 1, -1, 2, 1, 0]]))
    series.put(np.array([[5, 5, 3, 12, 1, 1, 2, -3, 2**32 - 1]]))
    assert series.range().sequence.tolist() == [1, 2, 3]
    assert list(series.latest(1)[0]) == [5, 5, 3, 12, 1, 1, 2, -3, 2**32 - 1]


# Who may write where


def test_a_series_must_be_registered_first(store):
    with pytest.raises(NotFound, match="register it first"):
        store.series(KEY).put(bars())
    assert store.list_series() == []


def test_two_store_objects_take_turns(store, klines):
    with fastk.open(store.root) as other:
        klines.put(bars(JANUARY, 3))
        other.series(KEY).put(bars(JANUARY + 3 * MINUTE, 3))
        klines.put(bars(JANUARY + 6 * MINUTE, 3))
        assert len(klines) == 9
        with pytest.raises(InvalidInput, match="overlap"):
            other.series(KEY).put(bars(JANUARY + 6 * MINUTE, 3))
        other.refresh()
        assert_rows(other.series(KEY).range(), joined(*(bars(JANUARY + 3 * step * MINUTE, 3) for step in range(3))))


def test_a_put_moves_every_handle_of_its_store(store, klines):
    handle = store.kline("BTC", "1m")
    assert len(handle) == 0
    klines.put(bars())
    assert len(handle) == len(store.series(KEY)) == 5


def test_a_day_of_hours_in_one_put(ticks):
    columns = trades(JANUARY + np.arange(0, DAY, 10 * MINUTE))
    assert ticks.put(columns).chunks == 24
    assert_rows(ticks.range(), columns)
