"""A cursor hands out every committed row of one series in stored order, in batches of any size."""

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, assert_rows, bars, temporary_store, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from market import ROWS, SCHEMAS, register

import fastk
from fastk import InvalidInput, NotFound


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    schema=st.sampled_from(SCHEMAS),
    rows=ROWS,
    step=st.integers(1, 6),
    sizes=st.lists(st.integers(1, 7), min_size=1),
    start=st.none() | st.integers(-1, 7),
    length=st.integers(0, 8),
    merged=st.booleans(),
)
def test_batches_of_any_sizes_make_up_the_range(schema, rows, step, sizes, start, length, merged):
    with temporary_store() as store:
        series = register(store, [(schema, rows, step)])[0]
        if merged:
            series.merge()
        end = None if start is None else start + length
        cursor, whole = series.replay(start, end), series.range(start, end)
        assert len(cursor) == len(whole)
        found, turn = [], 0
        while not cursor.is_exhausted:
            assert cursor.position == sum(map(len, found))
            found.append(cursor.next_batch(sizes[turn % len(sizes)]))
            assert 1 <= len(found[-1]) <= sizes[turn % len(sizes)]
            turn += 1
        for name in schema.names:
            joined = np.concatenate([np.empty(0, whole[name].dtype), *(batch[name] for batch in found)])
            np.testing.assert_array_equal(joined, whole[name])
        assert len(cursor.next_batch(3)) == len(cursor.next_batch(1)) == 0


def test_rows_of_equal_ts_come_as_they_were_committed_and_none_is_left_out(ticks):
    ticks.put(trades([5, 5, 7], first_id=8))
    ticks.put(trades([7, 7], first_id=2))
    assert ticks.replay().next_batch(9).trade_id.tolist() == [8, 9, 10, 2, 3]


def test_deltas_and_merged_months_are_one_series(klines):
    for first in range(0, 50, 5):
        klines.put(bars(JANUARY + first * MINUTE, 5))
    klines.merge("2024-01")
    klines.put(bars(JANUARY + 50 * MINUTE, 5))
    klines.put(bars(FEBRUARY, 5))
    batches = list(klines.replay(batch_rows=8))
    assert [len(batch) for batch in batches] == [8] * 7 + [4]
    ts = np.concatenate([batch.ts for batch in batches])
    np.testing.assert_array_equal(ts, klines.range().ts)


def test_a_batch_in_one_chunk_is_a_view_and_one_over_a_border_has_views_as_segments(klines):
    klines.put(bars(FEBRUARY - 10 * MINUTE, 20))
    cursor = klines.replay()
    batches = [cursor.next_batch(n) for n in (8, 4, 8)]
    whole = klines.range().segments
    assert np.shares_memory(batches[0].close, whole[0].close)
    assert np.shares_memory(batches[2].close, whole[1].close)
    assert [
        np.shares_memory(one.close, other.close) for one, other in zip(batches[1].segments, whole, strict=True)
    ] == [
        True,
        True,
    ]


def test_a_cursor_keeps_to_its_snapshot(store, klines):
    klines.put(bars(count=6))
    cursor = klines.replay()
    cursor.next_batch(2)
    klines.replace_range(JANUARY, JANUARY + 9 * MINUTE, bars(JANUARY, 3))
    klines.put(bars(FEBRUARY, 2))
    store.gc()
    assert cursor.next_batch(9).close.tolist() == [1_021, 1_031, 1_041, 1_051]


def test_more_chunks_than_may_stay_mapped(store):
    with fastk.open(store.root, max_maps=4) as narrow:
        series = narrow.register_trade_series("BTC", "many")
        series.put(trades(np.arange(60) * 3_600_000))
        batches = list(series.replay(batch_rows=25))
        assert [len(batch) for batch in batches] == [25, 25, 10]
        assert np.concatenate([batch.trade_id for batch in batches]).tolist() == list(range(1, 61))


def test_the_methods_of_the_store(store, klines, ticks):
    klines.put(bars(count=5))
    ticks.put(trades([1, 2, 3]))
    key = fastk.feature_series_key("BTC", "1m", "x")
    store.register_scalar_series(key, MINUTE).put({"ts": [1, 2], "value": [3, 4]})
    store.register_indicator_series("BTC", "1m", "sma").put({"ts": [1, 2], "value": [5, 6]})
    names = ("recv_ts", "bid_price", "bid_qty", "ask_price", "ask_qty")
    store.register_bbo_series("BTC", "spot").put({"ts": [4], "sequence": [7]} | {name: [0] for name in names})
    deltas = {"side": [1], "action": [0], "level": [0], "flags": [0]} | {
        name: [0] for name in ("recv_ts", "price", "qty")
    }
    store.register_book_delta_series("BTC", "spot").put({"ts": [9], "sequence": [8]} | deltas)
    assert_rows(store.replay_kline("BTC", "1m", None, None).next_batch(9), bars(count=5))
    assert store.replay_kline("BTC", "1m", JANUARY + 1, JANUARY + 2 * MINUTE).next_batch(9).close.tolist() == [
        1_011,
        1_021,
    ]
    assert store.replay_scalar(key, 2, None).next_batch(9).value.tolist() == [4]
    assert store.replay_indicator("BTC", "1m", "sma", None, 1).next_batch(9).value.tolist() == [5]
    assert store.replay_trade("BTC", "spot", 2, 3).next_batch(9).trade_id.tolist() == [2, 3]
    assert store.replay_bbo("BTC", "spot", 0, None).next_batch(9).sequence.tolist() == [7]
    assert store.replay_book_delta("BTC", "spot", 0, None, batch_rows=1).next_batch().sequence.tolist() == [8]


def test_options_say_what_is_replayed(klines):
    cursor = klines.replay("2024-01-01", "2024-01-02", batch_rows=7)
    assert cursor.options == fastk.ReplayOptions(JANUARY, JANUARY + 24 * 60 * MINUTE, 7)
    assert cursor.is_exhausted
    with pytest.raises(InvalidInput, match="start 2 lies after its end 1"):
        fastk.ReplayOptions(2, 1)


def test_bad_input_is_refused(store, klines):
    cursor = klines.replay()
    for rows in (0, -1, 1.0, "1", True):
        with pytest.raises(InvalidInput, match="1 row or more"):
            cursor.next_batch(rows)
        with pytest.raises(InvalidInput, match="1 row or more"):
            klines.replay(batch_rows=rows)
    with pytest.raises(InvalidInput, match="start 2 lies after its end 1"):
        store.replay_kline("NONE", "1m", 2, 1)
    with pytest.raises(InvalidInput, match="lies after"):
        klines.replay("2024-02", "2024-01")
    with pytest.raises(NotFound, match="NONE/kline/1m"):
        store.replay_kline("NONE", "1m", 1, 1)
    assert len(klines.replay(-(10**30), 10**30).next_batch()) == 0
