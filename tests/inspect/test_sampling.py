"""A series in few points: each first, least, greatest and last value is that of the rows."""

import numpy as np
import pytest
from builders import JANUARY, MINUTE, bars, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk import InvalidInput
from fastk.inspect import sampling
from fastk.inspect.sampling import sample


def test_bars_of_several_minutes(store):
    series = store.register_kline_series("BTC", "1m", MINUTE, price_scale=10)
    series.put(bars(count=10))  # open 1000, 1010, ...; low 3 below, high 7 above, close 1 above
    found = sample(series, ("open", "low", "high", "close"), 4)
    assert found.width == 3 * MINUTE
    np.testing.assert_array_equal(found.starts, JANUARY + 3 * MINUTE * np.arange(4))
    np.testing.assert_array_equal(found.rows, [3, 3, 3, 1])
    np.testing.assert_array_equal(found.first, [100.0, 103.0, 106.0, 109.0])
    np.testing.assert_array_equal(found.least, [99.7, 102.7, 105.7, 108.7])
    np.testing.assert_array_equal(found.greatest, [102.7, 105.7, 108.7, 109.7])
    np.testing.assert_array_equal(found.last, [102.1, 105.1, 108.1, 109.1])


def test_a_series_without_rows(klines):
    assert len(sample(klines, ("close",) * 4).starts) == 0


def test_four_columns_are_named(klines):
    with pytest.raises(InvalidInput, match="columns are four"):
        sample(klines, ("close",))


def test_times_over_all_of_int64(store):
    series = store.register_series(("A", "b", "c"), fastk.SCALAR, time_unit="ns", partition="year")
    first, last = (int(np.iinfo(np.int64).min) // 100 * 99, int(np.iinfo(np.int64).max) // 100 * 99)
    series.put({"ts": [first, 0, last], "value": [1, 2, 3]})
    found = sample(series, ("value",) * 4, 3)
    np.testing.assert_array_equal(found.last, [1, 2, 3])
    assert found.starts[0] == first


ROWS = st.lists(
    st.tuples(st.integers(0, 300), st.one_of(st.just(np.nan), st.floats(-1e6, 1e6))),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[0],
)


@pytest.mark.slow
@settings(max_examples=30)
@given(ROWS, st.integers(1, 12), st.integers(1, 7))
def test_no_extreme_is_lost(rows, buckets, batch_rows):
    ts, values = np.array(sorted(rows)).T
    ts = ts.astype(np.int64)
    with temporary_store() as store, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_BATCH_ROWS", batch_rows)
        series = store.register_series(("A", "b", "c"), fastk.Schema("mine", [("ts", "i8"), ("x", "f8")]))
        series.put({"ts": ts, "x": values})
        found = sample(series, ("x",) * 4, buckets)
    assert len(found.starts) <= buckets
    assert found.rows.sum() == ts.size
    for start, *values_found in zip(
        found.starts, found.rows, found.first, found.least, found.greatest, found.last, strict=True
    ):
        inside = values[(ts >= start) & (ts < start + found.width)]
        expected = [inside.size, inside[0], np.fmin.reduce(inside), np.fmax.reduce(inside), inside[-1]]
        np.testing.assert_array_equal(values_found, expected)
