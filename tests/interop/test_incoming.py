"""What frames and tables of other libraries become when they are put: the same rows exactly, or a refusal."""

import decimal
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from builders import JANUARY, MINUTE, temporary_store
from interop_stores import three_months

import fastk
from fastk import InvalidInput, Schema

SCHEMA = Schema(
    "mine",
    [
        ("ts", "i8"),
        ("price", "i8", "price_scale"),
        ("count", "u4"),
        ("small", "i1"),
        ("rate", "f4"),
        ("yes", "?"),
        ("text", "S3"),
    ],
)
SOUND = {
    "ts": [datetime(2024, 1, 1, 0, minute, tzinfo=UTC) for minute in range(3)],
    "price": [101, -5, 7],
    "count": [1, 2, 2**32 - 1],
    "small": [-128, 0, 127],
    "rate": [0.5, float("nan"), -1.25],
    "yes": [True, False, True],
    "text": [b"a", b"", b"abc"],
}
MAKERS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": pa.table,
}
EACH_MAKER = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@pytest.fixture
def mine(store):
    return store.register_series(("X", "own", "mine"), SCHEMA, scales={"price_scale": 100})


def stored(series):
    return {name: series.range()[name].tolist() for name in series.schema.names}


def check_stored(series):
    expected = SOUND | {"ts": [JANUARY + minute * MINUTE for minute in range(3)]}
    for name, found in stored(series).items():
        np.testing.assert_array_equal(np.array(found), np.array(expected[name]), err_msg=name)


def sources():
    table = pa.table(SOUND)
    yield "pandas", pd.DataFrame(SOUND)
    yield "pandas, other order", pd.DataFrame(SOUND)[list(SOUND)[::-1]]
    yield "pandas, index of times", pd.DataFrame(SOUND).set_index("ts")
    yield "pandas, index without a name", pd.DataFrame(SOUND).set_index("ts").rename_axis(None)
    yield "pandas, another zone", pd.DataFrame(SOUND).assign(ts=lambda frame: frame.ts.dt.tz_convert("Asia/Tokyo"))
    yield "pandas, nullable", pd.DataFrame(SOUND).astype({"price": "Int64", "count": "UInt32", "yes": "boolean"})
    yield "pandas, of Arrow", table.to_pandas(types_mapper=pd.ArrowDtype)
    yield "pandas, categories", pd.DataFrame(SOUND).astype({"small": "category", "text": "category"})
    yield "pandas, floats", pd.DataFrame(SOUND).astype({"price": float, "small": "f4"}).assign(price=[101, -5, 7])
    yield (
        "pandas, times as text",
        pd.DataFrame(SOUND).assign(ts=["2024-01-01T00:00Z", "2024-01-01T00:01Z", "2024-01-01T01:02+01:00"]),
    )
    yield "pandas, times as integers", pd.DataFrame(SOUND).assign(ts=[JANUARY + minute * MINUTE for minute in range(3)])
    yield "polars", pl.DataFrame(SOUND)
    yield "polars, another zone", pl.DataFrame(SOUND).with_columns(pl.col("ts").dt.convert_time_zone("Europe/Paris"))
    yield "polars, nanoseconds", pl.DataFrame(SOUND).with_columns(pl.col("ts").dt.cast_time_unit("ns"))
    yield "polars, pieces", pl.concat([pl.DataFrame(SOUND)[:1], pl.DataFrame(SOUND)[1:]], rechunk=False)
    yield "table", table
    yield "batch", table.to_batches()[0]
    yield "reader", table.to_reader(max_chunksize=1)
    yield "stream", StreamOnly(table)
    yield "dictionaries", table.set_column(3, "small", table["small"].cast("int8").dictionary_encode())
    yield "views", table.set_column(6, "text", table["text"].cast(pa.binary_view()))
    yield "DuckDB", duckdb.from_arrow(table)


class StreamOnly:
    """Nothing is known of this but Arrow's protocol."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


class DataframeOnly:
    """Nothing is known of this but the older protocol of frames."""

    def __init__(self, table):
        self._table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self._table.__dataframe__(nan_as_null, allow_copy)


SOURCES = [name for name, _ in sources()]


@pytest.mark.parametrize("name", SOURCES)
def test_every_form_of_the_same_rows_is_stored_the_same(mine, name):
    assert mine.put(dict(sources())[name]).accepted == 3
    check_stored(mine)


def test_the_older_protocol_of_frames(store):
    plain = Schema("plain", [("ts", "i8"), ("x", "i4"), ("f", "f8")])
    series = store.register_series(("X", "own", "plain"), plain)
    times = pa.array([JANUARY, JANUARY + 1], pa.timestamp("ms", "UTC"))
    series.put(DataframeOnly(pa.table({"ts": times, "x": [1, 2], "f": [0.5, 1.5]})))
    assert stored(series) == {"ts": [JANUARY, JANUARY + 1], "x": [1, 2], "f": [0.5, 1.5]}


@EACH_MAKER
def test_natural_units(mine, make):
    mine.put(make(SOUND | {"price": [1.01, -0.05, 0.07]}), decoded=True)
    check_stored(mine)


@pytest.mark.parametrize("make", [pl.DataFrame, pa.table], ids=["polars", "arrow"])
def test_decimals_are_natural_units(mine, make):
    mine.put(make(SOUND | {"price": [decimal.Decimal(text) for text in ("1.01", "-0.05", "0.07")]}), decoded=True)
    check_stored(mine)


@pytest.fixture
def check_refused(mine):
    """Nothing is stored of a frame, and the message names what is wrong with it."""

    def check(frame, *words, **options):
        with pytest.raises(InvalidInput) as refused:
            mine.put(frame, **options)
        assert all(word in str(refused.value) for word in words), str(refused.value)
        assert "\n" not in str(refused.value)
        assert len(mine) == 0

    return check


@EACH_MAKER
@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("price", [1.5, 2, 3], ["'price'", "floats for a column of scale 100"]),
        ("count", [1, 2, -1], ["'count'", "-1 at row 2"]),
        ("count", [1, 2**32, 0], ["'count'", "4294967296 at row 1"]),
        ("small", [1, 128, 0], ["'small'", "128 at row 1"]),
        ("small", [1.0, 2.5, 0.0], ["'small'", "2.5 at row 1"]),
        ("small", [1.0, 2.0, float("nan")], ["'small'", "nan at row 2"]),
        ("rate", [0.1, 1.0, 2.0], ["'rate'", "0.1 at row 0"]),
        ("yes", [1, 0, 1], ["'yes'", "takes bool"]),
        ("count", [True, False, True], ["'count'", "takes uint32"]),
        ("text", [b"a", b"abcd", b""], ["'text'", "b'abcd' at row 1"]),
        ("text", [b"a", b"a\0", b""], ["'text'", "at row 1"]),
        ("count", [datetime(2024, 1, 1, tzinfo=UTC)] * 3, ["'count'", "datetime64"]),
        ("ts", [1.0, 2.0, 3.0], ["ts", "float64"]),
        ("ts", [datetime(2024, 1, 1, 0, minute) for minute in range(3)], ["no zone", "zoneless='utc'"]),
        ("ts", ["2024-01-01", "2024-01-02", "2024-01-03"], ["no time zone"]),
    ],
    ids=str,
)
def test_what_has_no_exact_place_is_refused(check_refused, make, column, values, words):
    check_refused(make(SOUND | {column: values}), *words)


@EACH_MAKER
def test_times_finer_than_the_unit_are_refused(check_refused, make):
    finer = [moment.replace(microsecond=1) for moment in SOUND["ts"]]
    check_refused(make(SOUND | {"ts": finer}), "at row 0 is finer than ms")


@EACH_MAKER
def test_zoneless_times_are_utc_if_so_said(mine, make):
    mine.put(make(SOUND | {"ts": [moment.replace(tzinfo=None) for moment in SOUND["ts"]]}), zoneless="utc")
    check_stored(mine)


@EACH_MAKER
@pytest.mark.parametrize("column", ["ts", "yes", "text"])
def test_missing_values_are_refused(check_refused, make, column):
    words = ["NaT", "row 1"] if column == "ts" and make is pd.DataFrame else [f"'{column}'", "row 1 is missing"]
    check_refused(make(SOUND | {column: [SOUND[column][0], None, SOUND[column][2]]}), *words[-1:])


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(SOUND | {"count": [1, None, 3]}),
        pa.table(SOUND | {"count": [1, None, 3]}),
        pd.DataFrame(SOUND | {"count": pd.array([1, None, 3], "Int64")}),
        pd.DataFrame(SOUND | {"count": pd.array([1, None, 3], pd.ArrowDtype(pa.uint32()))}),
        pd.DataFrame(SOUND | {"count": pd.Series([1, None, 3], dtype=object)}),
    ],
    ids=["polars", "arrow", "Int64", "of Arrow", "objects"],
)
def test_missing_integers_are_refused(check_refused, frame):
    check_refused(frame, "'count'", "row 1 is missing")


def test_missing_integers_of_numpy_are_nan(check_refused):
    check_refused(pd.DataFrame(SOUND | {"count": [1, None, 3]}), "'count'", "nan at row 1")


@pytest.mark.parametrize(
    "frame", [pl.DataFrame(SOUND | {"rate": [1, None, 3]}), pa.table(SOUND | {"rate": [1, None, 3]})]
)
def test_a_missing_float_is_not_nan(check_refused, frame):
    check_refused(frame, "'rate'", "row 1 is missing")


@EACH_MAKER
def test_missing_and_unknown_columns_are_named(check_refused, make):
    check_refused(make({name: SOUND[name] for name in SOUND if name != "price"}), "missing: price")
    check_refused(make(SOUND | {"extra": [1, 2, 3]}), "unknown: extra")


def test_an_index_with_a_name_is_a_column(mine, check_refused):
    frame = pd.DataFrame(SOUND)
    check_refused(frame.rename_axis("row"), "unknown: row")
    check_refused(frame.set_index("ts", drop=False), "'ts' names both a column and the index")
    check_refused(frame.set_index(["yes", "count"]).drop(columns="small"), "missing: small")
    mine.put(frame.set_index(["yes", "count"]))
    check_stored(mine)


def test_two_columns_of_one_name_are_refused(check_refused):
    frame = pd.DataFrame(SOUND)
    check_refused(pd.concat([frame, frame[["price"]]], axis=1), "two columns 'price'")
    table = pa.table(SOUND)
    check_refused(table.append_column("price", table["price"]), "two columns 'price'")


def test_columns_of_other_kinds_are_refused(check_refused):
    check_refused(pa.table(SOUND | {"count": [[1], [2], [3]]}), "'count'", "list<")
    check_refused(pl.DataFrame(SOUND).with_columns(pl.col("ts") - pl.col("ts")), "'ts'", "duration")


def test_what_has_no_rows_or_no_columns_is_refused(check_refused):
    check_refused(pl.DataFrame(SOUND).lazy(), "give its collect()")
    check_refused(pl.Series([1, 2]), "no table with columns")
    check_refused(object(), "cannot be written")


def test_stored_integers_of_another_scale_are_refused(store):
    with three_months() as (_, source):
        other = store.register_kline_series("BTC", "1m", MINUTE, price_scale=1_000, volume_scale=8)
        for rows in (source, source.range().to_arrow()):
            with pytest.raises(
                InvalidInput, match="'open' has scale 1,000, and these integers are of a series of scale 100"
            ):
                other.put(rows)
        other.put(source.range().to_arrow(decoded=True), decoded=True)
        assert other.range().close.tolist() == (source.range().close * 10).tolist()


def test_times_change_their_unit_exactly(store):
    for unit, factor in (("us", 1_000), ("ns", 1_000_000)):
        series = store.register_series(("X", unit, "t"), Schema("t", [("ts", "i8"), ("x", "i8")]), time_unit=unit)
        times = pa.array([JANUARY, JANUARY + 1], pa.timestamp("ms", "UTC"))
        series.put(pa.table({"ts": times, "x": [1, 2]}))
        assert series.range().ts.tolist() == [JANUARY * factor, (JANUARY + 1) * factor]


def test_ranges_are_replaced_by_frames_and_original_names_take_them():
    with three_months() as (store, series):
        bar = series.range()[:1].to_polars()
        assert series.replace_range(JANUARY, JANUARY, bar.with_columns(close=pl.lit(5))).deleted == 1
        assert series.at(JANUARY).close == 5
        other = store.register_kline_series("ETH", "1m", MINUTE)
        store.put_kline_chunk("ETH", "1m", bar)
        assert len(other) == 1


def test_a_stream_that_fails_stores_nothing(mine):
    def broken():
        yield pa.table(SOUND).to_batches()[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        mine.put(pa.RecordBatchReader.from_batches(pa.table(SOUND).schema, broken()))
    assert len(mine) == 0


def test_mappings_and_arrays_need_no_other_library(monkeypatch):
    """They come before any look at other libraries."""
    monkeypatch.setattr("fastk.interop.incoming.frame_columns", None)
    with temporary_store() as store:
        series = store.register_series(("X", "own", "t"), Schema("t", [("ts", "i8"), ("x", "i8")]))
        series.put({"ts": [1], "x": [1]})
        series.put(np.array([(2, 2)], series.schema.dtype))
        series.put([{"ts": 3, "x": 3}])
        series.put(np.array([[4, 4]]))
        other = store.register_series(("X", "own", "other"), series.schema)
        assert other.put(series.range()).accepted == 4
        assert isinstance(other.range(), fastk.Rows)
