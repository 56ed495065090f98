"""Input of any order: rows arrive at the series sorted, those of one ts whole, whatever the sizes of pieces are."""

import tempfile
from itertools import pairwise

import numpy as np
import pytest
from builders import temporary_store
from file_calls import FIRST, HEADER, bar_line, take, write
from hypothesis import given, settings
from hypothesis import strategies as st

import fastk
from fastk.interop.files import spill

QUOTES = fastk.Schema("quote", [("ts", "i8"), ("n", "i8")], unique_ts=False)
NUMBERED = fastk.Schema("numbered", [("ts", "i8"), ("n", "i8")], unique_ts=False, sequence_field="n")


def imported(schema, pairs, **options):
    text = "ts,n\n" + "".join(f"{FIRST + ts},{n}\n" for ts, n in pairs)
    with tempfile.TemporaryDirectory() as folder, temporary_store() as store:
        report = take(store, write(folder, text), ("X", "own", "q"), schema=schema, **options)
        rows = store.series(("X", "own", "q")).range()
        return report, list(zip((rows.ts - FIRST).tolist(), rows.n.tolist(), strict=True))


@pytest.fixture(autouse=True)
def short_runs(monkeypatch):
    """Runs of a few rows, so that a few rows are many runs."""
    monkeypatch.setattr(spill, "_RUN_ROWS", 3)
    monkeypatch.setattr("fastk.interop.files.sources._CSV_BLOCK", 64)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 9))
def test_rows_of_one_ts_stay_in_the_order_of_the_file(ts, batch_rows):
    pairs = list(zip(ts, range(len(ts)), strict=True))
    report, found = imported(QUOTES, pairs, batch_rows=batch_rows)
    assert found == sorted(pairs, key=lambda pair: pair[0])
    assert report.out_of_order == sum(one > other for one, other in pairwise(ts))


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40), st.integers(1, 9))
def test_rows_of_one_key_are_one(pairs, batch_rows):
    report, found = imported(NUMBERED, pairs, batch_rows=batch_rows, on_conflict="skip_identical")
    assert sorted(found) == sorted(set(pairs))
    assert [ts for ts, _ in found] == sorted(ts for ts, _ in found)
    assert (report.rows, report.duplicates) == (len(pairs), len(pairs) - len(set(pairs)))


def test_without_order_a_sequence_orders_rows_of_one_ts():
    assert imported(NUMBERED, [(5, 2), (5, 1), (3, 9)])[1] == [(3, 9), (5, 1), (5, 2)]
    assert imported(NUMBERED, [(3, 9), (5, 2), (5, 1)])[1] == [(3, 9), (5, 2), (5, 1)]  # it has an order: that is kept


def test_the_last_of_a_key_replaces_the_others(store, tmp_path):
    lines = [bar_line(2, "1"), bar_line(1, "2"), bar_line(0, "3"), bar_line(2, "4"), bar_line(1, "5")]
    report = take(store, write(tmp_path, "\n".join([HEADER, *lines])), on_conflict="replace", batch_rows=1)
    assert store.series(("X", "kline", "1m")).range().close.tolist() == [3, 5, 4]
    assert (report.duplicates, report.accepted) == (2, 3)


def test_a_scale_that_grows_in_an_input_without_order(store, tmp_path):
    prices = ["5", "3", "1.5", "4", "2.25", "6", "0.125", "7"]
    lines = [bar_line(minute, price) for minute, price in zip((7, 3, 5, 1, 6, 0, 4, 2), prices, strict=True)]
    take(store, write(tmp_path, "\n".join([HEADER, *lines])))
    expected = [6, 4, 7, 3, 0.125, 1.5, 2.25, 5]
    np.testing.assert_array_equal(store.series(("X", "kline", "1m")).range().decoded("close"), expected)


def test_files_in_the_wrong_order(store, tmp_path):
    for number, minutes in enumerate((range(6, 9), range(3), range(3, 6))):
        write(tmp_path, "\n".join([HEADER, *map(bar_line, minutes)]), f"{number}.csv")
    report = take(store, tmp_path / "?.csv")
    assert report.out_of_order == 1
    assert np.diff(store.series(("X", "kline", "1m")).range().ts).tolist() == [60_000] * 8
