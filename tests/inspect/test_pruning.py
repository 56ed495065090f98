"""How much zones spare: against a case by hand, and against the average over many queries."""

import numpy as np
import pytest
from builders import JANUARY, MINUTE, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk import InvalidInput, ZonePruning


def signal(store, values, zone_rows):
    series = store.register_series(("BTC", "signal", "1m@@x"), fastk.SCALAR)
    series.put({"ts": JANUARY + MINUTE * np.arange(len(values)), "value": values}, zone_rows=zone_rows)
    return series


def test_ten_zones_that_do_not_overlap(store):
    found = signal(store, np.arange(100), 10).pruning("value")
    # A range of 0.99 begins between 0 and 98.01. It touches a zone from 0.99 before it to its end, 9 behind its start.
    looked_at = (9 + 8 * 9.99 + 9) / 98.01 / 10
    assert found == ZonePruning("value", 10, pytest.approx(9 / 99), pytest.approx(looked_at), 0.01)


def test_a_last_zone_of_few_rows(store):
    found = signal(store, [*range(10), 1000], 10).pruning("value")
    # Ranges of 10 that begin up to 9 find the first ten rows, those that begin at 990 alone the last one.
    assert found.looked_at == pytest.approx((10 * 9 / 990 + 1 * 0 / 990) / 11)


def test_zones_that_span_everything_spare_nothing(store):
    found = signal(store, np.tile([0, 1000], 50), 10).pruning("value")
    assert (found.mean_width, found.looked_at) == (1, 1)


@pytest.mark.parametrize("values", [[7], [7] * 30], ids=["one row", "one value"])
def test_a_column_of_one_value(store, values):
    assert signal(store, values, 10).pruning("value").looked_at == 1


def test_columns_without_zones(store):
    assert signal(store, [], 10).pruning("value") is None
    series = signal(store, [1], 10)
    assert series.pruning("ts") is None
    with pytest.raises(InvalidInput, match="is no column"):
        series.pruning("close")
    with pytest.raises(InvalidInput, match="share must be"):
        series.pruning("value", 1.5)


def test_nan_is_touched_by_no_query(store):
    series = store.register_series(
        ("BTC", "own", "x"), fastk.Schema("mine", [("ts", "i8"), ("x", "f8")], zone_maps=["x"])
    )
    values = np.concatenate([np.full(10, np.nan), np.arange(10.0)])
    series.put({"ts": JANUARY + np.arange(20), "x": values}, zone_rows=10)
    assert series.pruning("x").looked_at == pytest.approx(0.5)
    assert series.pruning("x").mean_width == 1


def test_values_at_the_ends_of_their_type(store):
    series = store.register_series(("BTC", "own", "x"), fastk.Schema("mine", [("ts", "i8"), ("x", "f8")]))
    series.put({"ts": [1, 2], "x": [-np.finfo(float).max, np.finfo(float).max]})
    with np.errstate(all="raise"):
        assert series.pruning("x").looked_at == 1


@settings(max_examples=25)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=60), st.integers(1, 9), st.sampled_from([0.01, 0.2, 0.9]))
def test_it_is_the_average_over_all_places(values, zone_rows, share):
    with temporary_store() as store:
        found = signal(store, values, zone_rows).pruning("value", share)
    least, greatest = min(values), max(values)
    if least == greatest:
        return
    width = share * (greatest - least)
    starts = np.linspace(least, greatest - width, 20_001)
    zones = [values[first : first + zone_rows] for first in range(0, len(values), zone_rows)]
    touched = sum(((starts <= max(zone)) & (starts + width >= min(zone))) * len(zone) for zone in zones)
    assert found.looked_at == pytest.approx(touched.mean() / len(values), abs=2e-3)
