"""Rows go in behind what their partitions hold, in order, all of one put in one commit.

What is out of order, or overlaps what is stored, is refused with a message that names the row, and the store stays as
it was.
"""

from pathlib import Path

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
    one_field,
    part,
    structured,
    trades,
)

import fastk
from fastk import InvalidInput, NotFound, Schema

KEY = ("BTC", "kline", "1m")


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
        result = klines.append(rows)
        assert (result.accepted, result.chunks, result.sequence) == (0, 0, 1)
    klines.append({name: [] for name in bars()})
    assert contents(store.root) == before


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f4", "f8", "S3"])
def test_empty_lists_fit_every_dtype(store, dtype):
    series = one_field(store, dtype)
    assert series.put({"ts": [], "x": []}).accepted == 0
    assert series.put([]).accepted == 0
    assert series.put({"ts": np.empty(0), "x": np.empty(0)}).accepted == 0


# Appends and overlaps


def test_appends_go_on_where_the_partition_ends(klines):
    first = klines.append(bars(JANUARY, 3))
    second = klines.append(bars(JANUARY + 3 * MINUTE, 2))
    third = klines.append(joined(bars(JANUARY + 5 * MINUTE, 2), bars(FEBRUARY, 2), bars(MARCH, 1)))
    assert [each.chunks for each in (first, second, third)] == [1, 1, 3]
    assert first.sequence < second.sequence < third.sequence == klines.sequence
    assert klines.range().ts.tolist() == [JANUARY + place * MINUTE for place in range(7)] + [
        FEBRUARY,
        FEBRUARY + MINUTE,
        MARCH,
    ]


def test_the_counts_of_a_put_sum_to_its_rows(klines):
    for columns in (bars(JANUARY, 7), joined(bars(FEBRUARY, 4), bars(MARCH, 5))):
        result = klines.append(columns)
        assert result.accepted + result.identical + result.replaced + result.rejected == len(columns["ts"])
        assert result.accepted == len(columns["ts"])


@pytest.mark.parametrize(
    "start",
    [JANUARY - MINUTE, JANUARY, JANUARY + MINUTE, JANUARY + 4 * MINUTE, JANUARY + 1],
    ids=["ends within", "same", "starts within", "starts at the end", "between rows"],
)
def test_every_overlap_is_refused(klines, start, refuse):
    klines.append(bars(JANUARY, 5))
    expected = "BTC/kline/1m: rows from ts .* overlap existing coverage: month .* Nothing was written"
    rows = bars(start, 5)
    if start < JANUARY:
        rows = part(rows, 1, 5)  # the row before belongs to another month
    refuse(klines, rows, expected)


def test_an_overlap_in_one_partition_refuses_all_of_them(klines, refuse):
    klines.append(bars(FEBRUARY, 5))
    refuse(klines, joined(bars(JANUARY, 3), bars(FEBRUARY, 3), bars(MARCH, 3)), "month 2024-02 is stored up to")
    assert klines.append(joined(bars(JANUARY, 3), bars(MARCH, 3))).chunks == 2


def test_an_older_partition_may_be_filled_in_later(klines):
    klines.append(bars(MARCH, 3))
    klines.append(bars(JANUARY, 3))
    klines.append(bars(FEBRUARY, 3))
    klines.append(bars(JANUARY + HOUR, 3))
    expected = joined(bars(JANUARY, 3), bars(JANUARY + HOUR, 3), bars(FEBRUARY, 3), bars(MARCH, 3))
    assert_rows(klines.range(), expected)
    assert klines.latest(4).ts.tolist() == expected["ts"][-4:].tolist()


def test_a_refused_put_can_be_repeated_without_its_conflict(klines, refuse):
    klines.append(bars(JANUARY, 5))
    rows = bars(JANUARY + 4 * MINUTE, 5)
    refuse(klines, rows)
    klines.append(part(rows, 1, 5))
    assert klines.range().ts.tolist() == [JANUARY + place * MINUTE for place in range(9)]


# Rows that share a ts


def test_rows_of_one_ts_keep_their_order(ticks):
    columns = trades([5, 5, 5, 6, 6, 9])
    ticks.append(columns)
    assert_rows(ticks.range(), columns)
    assert ticks.range(5, 5).trade_id.tolist() == [1, 2, 3]
    assert ticks.at(6).trade_id == 4


def test_a_put_may_go_on_at_the_last_stored_ts_with_new_ids(ticks):
    ticks.append(trades([5, 7, 7], first_id=1))
    ticks.append(trades([7, 7, 8], first_id=4))
    ticks.append(trades([8], first_id=7))
    ticks.append(trades([8, 8], first_id=8))
    assert ticks.range().ts.tolist() == [5, 7, 7, 7, 7, 8, 8, 8, 8]
    assert ticks.range().trade_id.tolist() == list(range(1, 10))
    assert ticks.range(7, 7).trade_id.tolist() == [2, 3, 4, 5]
    assert ticks.at(8).trade_id == 6
    assert [meta.generation for meta in ticks.chunk_inventory()] == [1, 2, 3, 4]


@pytest.mark.parametrize("ids", [[3], [9, 3], [2, 9]])
def test_an_id_stored_at_that_ts_is_refused(ticks, ids, refuse):
    ticks.append(trades([5, 7], first_id=1))
    ticks.append(trades([7], first_id=3))
    again = trades([7] * len(ids))
    again["trade_id"] = np.array(ids)
    expected = ids[0] if ids[0] in (2, 3) else 3
    refuse(ticks, again, f"ts 7 with trade_id {expected} is stored already .*overlaps existing coverage")


def test_the_same_id_at_a_later_ts_is_another_row(ticks):
    ticks.append(trades([5], first_id=1))
    ticks.append(trades([6], first_id=1))
    assert ticks.range().trade_id.tolist() == [1, 1]


def test_rows_before_the_last_stored_ts_are_refused_with_any_id(ticks, refuse):
    ticks.append(trades([5, 7], first_id=1))
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
    shared.append(rows)
    shared.append(np.array([[5, 5, 1, 1, 2, 2, 102]]))
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


def test_a_copy_without_empty_folders_can_be_written_to(store, klines):
    Path(store.root, "series", *KEY, "chunks").rmdir()
    with fastk.open(store.root) as copy:
        assert copy.series(KEY).put(bars()).accepted == 5
        assert len(copy.series(KEY)) == 5


def test_two_store_objects_take_turns(store, klines):
    with fastk.open(store.root) as other:
        klines.append(bars(JANUARY, 3))
        other.series(KEY).put(bars(JANUARY + 3 * MINUTE, 3))
        klines.append(bars(JANUARY + 6 * MINUTE, 3))
        assert len(klines) == 9
        with pytest.raises(InvalidInput, match="overlap"):
            other.series(KEY).put(bars(JANUARY + 6 * MINUTE, 3))
        other.refresh()
        assert_rows(other.series(KEY).range(), joined(*(bars(JANUARY + 3 * step * MINUTE, 3) for step in range(3))))


def test_a_put_moves_every_handle_of_its_store(store, klines):
    handle = store.kline("BTC", "1m")
    assert len(handle) == 0
    klines.append(bars())
    assert len(handle) == len(store.series(KEY)) == 5


def test_a_day_of_hours_in_one_put(ticks):
    columns = trades(JANUARY + np.arange(0, DAY, 10 * MINUTE))
    assert ticks.append(columns).chunks == 24
    assert_rows(ticks.range(), columns)
