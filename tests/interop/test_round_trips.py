"""Rows that go out to another library and come back into a series of the same settings are the same, byte for byte."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from builders import temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from interop_stores import SCHEMAS, UNITS, put_in_pieces, registered, rows_of, same_bytes

from fastk import Schema

WAYS = {
    "numpy": lambda rows, **_: rows.to_numpy(),
    "pandas": lambda rows, **how: rows.to_pandas(**how),
    "pandas, ts a column": lambda rows, **how: rows.to_pandas(index=False, copy=False, **how),
    "polars": lambda rows, **how: rows.to_polars(**how),
    "arrow": lambda rows, **how: rows.to_arrow(**how),
    "stream": lambda rows, **how: rows if not how else rows.to_arrow(**how).to_reader(),
    "reader": lambda rows, **how: rows.to_arrow(**how).to_reader(max_chunksize=3),
}
RAW = [*WAYS, "polars from the stream", "pandas by arrow"]
WAYS |= {
    "polars from the stream": lambda rows: pl.DataFrame(rows),
    "pandas by arrow": lambda rows: rows.to_arrow().to_pandas(types_mapper=pd.ArrowDtype),
}


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
@given(data=st.data())
@settings(max_examples=15)
def test_stored_values_come_back(schema, data):
    unit = data.draw(st.sampled_from(UNITS))
    columns = data.draw(rows_of(schema, unit))
    with temporary_store() as store:
        series = registered(store, schema, unit)
        put_in_pieces(series, columns)
        for way in RAW:
            other = registered(store, schema, unit, symbol=way)
            result = other.put(WAYS[way](series.range()))
            assert result.accepted == len(columns["ts"]), way
            assert same_bytes(other.range(), columns), way


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
@given(data=st.data())
@settings(max_examples=10)
def test_natural_units_come_back(schema, data):
    columns = data.draw(rows_of(schema, decodable=True))
    with temporary_store() as store:
        series = registered(store, schema)
        put_in_pieces(series, columns)
        for way in ("pandas", "pandas, ts a column", "polars", "arrow", "reader"):
            other = registered(store, schema, symbol=way)
            other.put(WAYS[way](series.range(), decoded=True), decoded=True)
            assert same_bytes(other.range(), columns), way


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=15)
def test_sql_gives_the_same_rows(data):
    schema = data.draw(st.sampled_from(SCHEMAS))
    unit = data.draw(st.sampled_from(UNITS))
    columns = data.draw(rows_of(schema, unit))
    with temporary_store() as store:
        series, other = registered(store, schema, unit), registered(store, schema, unit, symbol="Y")
        put_in_pieces(series, columns)
        with duckdb.connect() as connection:
            connection.register("rows", series.arrow_dataset())
            other.put(connection.sql("select * from rows"))
        assert same_bytes(other.range(), columns)


@pytest.mark.parametrize("way", ["numpy", "pandas", "polars", "arrow", "stream"])
def test_bytes_do_not_end_at_a_zero(way):
    """Some versions of Arrow cut them there."""
    texts = np.array([b"\0a", b"a\0b", b"", b"\xff\0\1"], "S3")
    schema = Schema("note", [("ts", "i8"), ("note", "S3")])
    with temporary_store() as store:
        series, other = (registered(store, schema, symbol=symbol) for symbol in "XY")
        series.put({"ts": np.arange(4), "note": texts})
        other.put(WAYS[way](series.range()))
        assert other.range().note.tobytes() == texts.tobytes()


def test_no_rows_have_their_columns_and_types():
    with temporary_store() as store:
        for place, schema in enumerate(SCHEMAS):
            series = registered(store, schema, UNITS[place % 3])
            rows, names = series.range(), list(schema.names)
            assert rows.to_polars().columns == rows.to_arrow().column_names == names
            assert rows.to_polars().schema == series.lazy().collect_schema() == series.lazy().collect().schema
            assert rows.to_arrow().schema == series.arrow_dataset().schema == pa.table(series).schema
            assert list(rows.to_pandas(index=False).columns) == names
            assert rows.to_pandas().index.dtype == f"datetime64[{UNITS[place % 3]}, UTC]"
            for frame in (rows.to_polars(), rows.to_arrow(), rows.to_pandas()):
                assert series.put(frame).accepted == 0


def test_points_and_query_results_go_out_too():
    with temporary_store() as store:
        series = registered(store, SCHEMAS[1])
        series.put({"ts": np.arange(9), "value": np.arange(9) * 10})
        import fastk

        found = series.where("value", fastk.Gt(60))
        assert found.rows.to_polars()["value"].to_list() == [70, 80]
        assert pa.table(found)["value"].to_pylist() == [70, 80]
        assert series.at_many([3, 1]).rows.to_pandas(decoded=True)["value"].tolist() == [3.0, 1.0]
        assert series.latest(2).to_arrow(["value"]).to_pydict() == {"value": [70, 80]}


def test_text_with_zero_bytes_within_comes_back():
    """pyarrow cuts numpy's bytes at the first zero; numpy only at those behind the last other byte."""
    schema = Schema("texts", [("ts", "i8"), ("text", "S3")])
    with temporary_store() as store:
        series = store.register_series(("A", "own", "texts"), schema)
        series.put({"ts": [0, 1], "text": np.array([b"\0\1", b"a\0b"], "S3")})
        for way in RAW:
            assert store.register_series((way, "own", "texts"), schema).put(WAYS[way](series.range())).accepted == 2
            assert store.series((way, "own", "texts")).range().text.tolist() == [b"\0\1", b"a\0b"], way
