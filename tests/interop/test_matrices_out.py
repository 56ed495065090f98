"""Feature matrices as frames and tables: a column a label, in every layout, over their own memory where it fits."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from builders import JANUARY, MINUTE
from interop_stores import address

from fastk import SCALAR


@pytest.fixture
def make(store):
    for place, symbol in enumerate(("BTC", "ETH")):
        series = store.register_series((symbol, "feature", "1m@@rsi"), SCALAR, time_unit="ms")
        series.put({"ts": JANUARY + np.arange(4 + place) * MINUTE, "value": np.arange(4 + place) * 10})
    return lambda **options: store.feature_matrix(
        [("BTC", "feature", "1m@@rsi"), ("ETH", "feature", "1m@@rsi")], scale=10, **options
    )


COLUMNS = [[0.0, 1.0, 2.0, 3.0, np.nan], [0.0, 1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize("layout", ["TF", "FT", "TSF"])
def test_columns_are_named_by_labels(make, layout):
    matrix = make(layout=layout)
    names = [str(label) for label in matrix.labels]
    frame, table, polars = matrix.to_pandas(), matrix.to_arrow(), matrix.to_polars()
    assert list(frame.columns) == names
    assert table.column_names == polars.columns == ["ts", *names]
    assert list(matrix.to_pandas(index=False).columns) == ["ts", *names]
    assert pl.DataFrame(matrix).equals(polars)
    for place, expected in enumerate(COLUMNS):
        for column in (frame[names[place]], table[names[place]].to_numpy(), polars[names[place]].to_numpy()):
            np.testing.assert_array_equal(np.asarray(column), expected)
    assert polars.schema["ts"] == pl.Datetime("ms", "UTC")
    assert frame.index[1] == pd.Timestamp("2024-01-01T00:01Z")
    assert table.schema.field("ts").type == pa.timestamp("ms", "UTC")


def test_memory_is_shared_where_the_layout_permits(make):
    by_rows, by_columns = make(layout="TF"), make(layout="FT")
    names = [str(label) for label in by_rows.labels]
    assert by_columns.to_arrow()[names[1]].chunk(0).buffers()[1].address == address(by_columns.values[1])
    assert by_rows.to_arrow()[names[1]].chunk(0).buffers()[1].address != address(by_rows.values[:, 1])
    assert address(by_rows.to_pandas(copy=False).to_numpy()) == address(by_rows.values)
    copied = by_rows.to_pandas()
    copied.iloc[0, 0] = 99
    assert by_rows.values[0, 0] == 0


def test_the_representation_tells_size_and_span(make):
    expected = "<FeatureMatrix 5 x 2 float64, layout TF, 2024-01-01T00:00:00.000Z to 2024-01-01T00:04:00.000Z>"
    assert repr(make()) == expected
    assert repr(make(start="2030-01-01")) == "<FeatureMatrix 0 x 2 float64, layout TF>"
