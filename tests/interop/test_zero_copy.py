"""What is handed out without a copy, told by addresses of memory: the table of docs/interchange.md, and lifetimes."""

import gc

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from builders import FEBRUARY, HOUR, JANUARY, MINUTE, bars, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_stores import DTYPES, EVERY_DTYPE, THREE_MONTHS, address, registered, same_bytes, three_months

import fastk
from fastk import Schema


def arrow_address(column):
    """Where the values of the one piece of an Arrow column begin."""
    (piece,) = column.chunks
    return piece.buffers()[1].address + piece.offset * piece.type.bit_width // 8


def polars_address(column):
    """Where the values of a column of polars begin; it must be of one piece."""
    return address(column.to_physical().to_numpy(allow_copy=False))


@pytest.fixture
def every_dtype():
    """Rows of every dtype, from the middle of one chunk."""
    with temporary_store() as store:
        series = registered(store, EVERY_DTYPE)
        columns = {field.name: np.ones(9, field.dtype) for field in EVERY_DTYPE.fields}
        series.put(columns | {"ts": JANUARY + np.arange(9)})
        yield series.range(JANUARY + 2, JANUARY + 7)


AS_THEY_ARE = [name for name in EVERY_DTYPE.names if name not in ("a ?", "a S3")]


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_numbers_and_times_of_one_chunk_are_the_mapped_file(every_dtype, name):
    mapped = address(every_dtype[name])
    assert arrow_address(every_dtype.to_arrow()[name]) == mapped
    assert arrow_address(pa.table(every_dtype)[name]) == mapped
    assert polars_address(every_dtype.to_polars()[name]) == mapped
    assert polars_address(pl.DataFrame(every_dtype)[name]) == mapped
    frame = every_dtype.to_pandas(index=False, copy=False)
    view = frame[name].array.asi8 if name == "ts" else frame[name].to_numpy()
    assert address(view) == mapped
    assert not view.flags.writeable
    if name == "ts":
        assert address(every_dtype.to_pandas(copy=False).index.asi8) == mapped


@pytest.mark.parametrize("name", ["a ?", "a S3"])
def test_truth_values_and_text_are_copied(every_dtype, name):
    assert every_dtype.to_arrow()[name].to_pylist() == every_dtype[name].tolist()
    assert every_dtype.to_polars()[name].to_list() == every_dtype[name].tolist()
    assert every_dtype.to_pandas(copy=False)[name].tolist() == every_dtype[name].tolist()


def test_frames_of_pandas_are_writable_unless_asked_otherwise(every_dtype):
    frame = every_dtype.to_pandas(index=False)
    for name in EVERY_DTYPE.names:
        frame.loc[0, name] = frame.loc[1, name]
    frame.loc[0, "price"] = 5
    assert every_dtype.price[0] == 1
    views = every_dtype.to_pandas(copy=False)
    with pytest.raises(ValueError, match="read-only"):
        views.iloc[0, views.columns.get_loc("price")] = 5


def test_joined_rows_are_pieces_of_the_mapped_files():
    with three_months() as (_, series):
        rows = series.range()
        for column in (rows.to_arrow()["close"], pa.table(series)["close"], pa.table(rows)["close"]):
            assert [piece.buffers()[1].address for piece in column.chunks] == [
                address(segment.close) for segment in rows.segments
            ]
        assert rows.to_polars().n_chunks() == 3
        frame = rows.to_pandas(copy=False)
        assert address(frame["close"].to_numpy()) == address(rows.close)  # joined once, and kept by the rows
        assert address(rows.to_pandas()["close"].to_numpy()) != address(rows.close)


def test_natural_units_are_computed(every_dtype):
    for frame in (every_dtype.to_arrow(decoded=True), every_dtype.to_polars(decoded=True)):
        assert frame["price"].to_pylist() if isinstance(frame, pa.Table) else frame["price"].to_list() == [0.1] * 6
    assert arrow_address(every_dtype.to_arrow(decoded=True)["a i8"]) == address(every_dtype["a i8"])


def test_more_chunks_than_stay_mapped_are_joined_batch_by_batch():
    with temporary_store(max_maps=8) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        series.put(bars(JANUARY, 20, step=HOUR))
        rows = series.range()
        assert rows.to_arrow()["ts"].num_chunks == 1
        assert len(pa.RecordBatchReader.from_stream(series).read_next_batch()) == 20
        assert rows.to_polars()["close"].to_list() == bars(JANUARY, 20, step=HOUR)["close"].tolist()
        assert series.lazy().collect()["close"].to_list() == bars(JANUARY, 20, step=HOUR)["close"].tolist()


@pytest.mark.slow
@pytest.mark.parametrize(
    "take",
    [
        lambda rows: rows.to_arrow(["close"]),
        lambda rows: pl.DataFrame(rows).select("close"),
        lambda rows: rows.to_pandas(["close"], copy=False),
    ],
    ids=["arrow", "polars", "pandas"],
)
def test_the_file_stays_mapped_as_long_as_the_column(take):
    """Not so, this would end the process: the pages would be gone."""
    with three_months() as (store, series):
        taken = take(series.range(FEBRUARY, None))
        path = store.root
        store.close()
        del store, series
    gc.collect()
    assert not fastk.open(path)._initialized  # the folder is gone as well
    expected = THREE_MONTHS["close"][7:].tolist()
    assert (taken["close"].to_pylist() if isinstance(taken, pa.Table) else list(taken["close"])) == expected


def test_the_file_is_let_go_with_the_last_column():
    with three_months() as (store, series):
        table = series.range().to_arrow()
        store.close()

        def mapped():
            with open("/proc/self/maps") as maps:
                return sum(store.root in line for line in maps)

        before = mapped()
        del table, series
        gc.collect()
        assert before >= 3
        assert mapped() == 0


def test_chunks_are_mapped_as_a_stream_is_read():
    with temporary_store(max_maps=8) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        series.put(bars(JANUARY, 5, step=HOUR))
        reader = pa.RecordBatchReader.from_stream(series)
        store.close()
        with pytest.raises(pa.ArrowInvalid, match="the store was closed"):  # its C interface knows no other errors
            reader.read_all()


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60)
def test_any_columns_of_any_part_in_any_order(data):
    fields = [("ts", "i8"), *((f"c{place}", dtype) for place, dtype in enumerate(DTYPES))]
    with temporary_store() as store:
        series = store.register_series(("X", "own", "part"), Schema("part", fields, partition="hour"))
        columns = {name: np.arange(40).astype(dtype) for name, dtype in fields}
        columns["ts"] = np.arange(40) * 600_000
        series.put(columns)
        low, high = sorted(data.draw(st.tuples(st.integers(0, 40), st.integers(0, 40))))
        names = data.draw(st.lists(st.sampled_from([name for name, _ in fields]), min_size=1, unique=True))
        rows = series.range()[low:high]
        table = rows.to_arrow(names)
        assert table.column_names == rows.to_polars(names).columns == names
        other = store.register_series(("X", "own", "other"), series.schema)
        other.put(series.range()[low:high].to_arrow())
        assert same_bytes(other.range(), {name: column[low:high] for name, column in columns.items()})
        for name in names:
            assert rows.to_polars(names)[name].to_list() == table[name].to_pylist()
