"""Scans of sequence numbers: every break of adjacent rows, across chunks too, with true totals and bounded lists."""

from itertools import pairwise

import numpy as np
import pytest
from builders import MINUTE, bars, temporary_store, trades
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk import InvalidInput, NotFound, Schema, SequenceDuplicate, SequenceGap, SequenceViolation

LEAST, GREATEST = -(2**63), 2**63 - 1
NUMBERS = st.integers(0, 5) | st.integers(LEAST, GREATEST) | st.sampled_from([LEAST, GREATEST, GREATEST - 1])


def scanned(numbers, ts, limit):
    """(totals, lists) by python's integers."""
    kinds = {SequenceGap: [], SequenceDuplicate: [], SequenceViolation: []}
    for row, (one, other) in enumerate(pairwise(numbers)):
        kind = SequenceGap if other > one + 1 else SequenceDuplicate if other == one else SequenceViolation
        if other != one + 1:
            kinds[kind].append(kind(one, other, ts[row], ts[row + 1], row, row + 1))
    return [len(found) for found in kinds.values()], [found[:limit] for found in kinds.values()]


def told(report):
    totals = [report.gap_count, report.duplicate_count, report.violation_count]
    return totals, [report.gaps, report.duplicates, report.violations]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    numbers=st.lists(NUMBERS, min_size=1, max_size=20),
    cuts=st.lists(st.integers(1, 6), min_size=1),
    limit=st.integers(0, 5),
    start=st.integers(-1, 5),
    length=st.integers(0, 5) | st.just(30),
)
@pytest.mark.parametrize("implementation", ["plain", "compiled"])
def test_every_break_is_found(implementation, numbers, cuts, limit, start, length):
    from builders import use_kernels

    with pytest.MonkeyPatch.context() as patch, temporary_store() as store:
        use_kernels(patch, implementation)
        schema = Schema("numbered", [("ts", "i8"), ("number", "i8")], sequence_field="number")
        series = store.register_series(("X", "own", "x"), schema)
        row = turn = 0
        while row < len(numbers):
            end = row + cuts[turn % len(cuts)]
            series.put({"ts": range(row, len(numbers))[: end - row], "number": numbers[row:end]})
            row, turn = end, turn + 1
        report = series.scan_sequence(start, start + length, limit=limit)
        ts = [ts for ts in range(len(numbers)) if start <= ts <= start + length]
        kept = [numbers[row] for row in ts]
        assert told(report) == scanned(kept, ts, limit)
        assert report.scanned_record_count == len(kept)
        assert (report.first_sequence, report.last_sequence) == ((kept[0], kept[-1]) if kept else (None, None))
        assert report.is_clean == all(other == one + 1 for one, other in pairwise(kept))


def test_what_a_finding_says(store, ticks):
    ids = [1, 2, 5, 5, 4, 5, 6]
    ticks.put(trades(range(10, 17)) | {"trade_id": ids})
    ticks.put(trades([7_200_000], first_id=9))
    report = store.scan_trade_id_sequence("BTC", "spot", 0, None)
    assert report.gaps == [SequenceGap(2, 5, 11, 12, 1, 2), SequenceGap(6, 9, 16, 7_200_000, 6, 7)]
    assert [gap.missing_count for gap in report.gaps] == [2, 2]
    assert report.duplicates == [SequenceDuplicate(5, 5, 12, 13, 2, 3)]
    assert report.violations == [SequenceViolation(5, 4, 13, 14, 3, 4)]
    assert (report.scanned_chunk_count, report.scanned_record_count) == (2, 8)
    assert (report.first_sequence, report.last_sequence, report.sequence_field) == (1, 9, "trade_id")
    assert not report.is_clean
    assert store.scan_trade_id_sequence("BTC", "spot", 10, 11).is_clean


def test_missing_numbers_are_counted_exactly_at_the_ends_of_int64(ticks):
    ticks.put(trades([1, 2]) | {"trade_id": [LEAST, GREATEST]})
    ticks.put(trades([3]) | {"trade_id": [LEAST]})
    report = ticks.scan_sequence()
    assert [gap.missing_count for gap in report.gaps] == [2**64 - 2]
    assert report.violations == [SequenceViolation(GREATEST, LEAST, 2, 3, 1, 2)]


def test_ordinals_count_from_the_first_row_of_the_scan(ticks):
    ticks.put(trades(range(10)) | {"trade_id": [0, 1, 2, 3, 4, 5, 6, 9, 10, 11]})
    (gap,) = ticks.scan_sequence(5, 9).gaps
    assert ticks.range(5, 9).trade_id[[gap.previous_ordinal, gap.current_ordinal]].tolist() == [6, 9]


@pytest.mark.parametrize("dtype", ["i1", "i4", "u1", "u4", "u8"])
def test_any_integer_column_can_be_scanned(store, dtype):
    series = store.register_series(("X", "own", "x"), Schema("mine", [("ts", "i8"), ("value", "f8"), ("n", dtype)]))
    least, greatest = np.iinfo(dtype).min, np.iinfo(dtype).max
    values = np.array([greatest - 1, greatest, least, least + 1, greatest], dtype)
    series.put({"ts": range(5), "value": np.zeros(5), "n": values})
    report = series.scan_sequence(field="n")
    assert [gap.missing_count for gap in report.gaps] == [int(greatest) - int(least) - 2]
    assert [violation.current_ordinal for violation in report.violations] == [2]


def test_long_lists_are_cut_and_totals_are_not(ticks):
    ticks.put(trades(range(1_000)) | {"trade_id": np.arange(1_000) * 2})
    report = ticks.scan_sequence(limit=3)
    assert (report.gap_count, len(report.gaps)) == (999, 3)
    assert [gap.current_ordinal for gap in report.gaps] == [1, 2, 3]
    assert (ticks.scan_sequence(limit=0).gap_count, ticks.scan_sequence(limit=0).gaps) == (999, [])


def test_a_list_that_is_full_grows_at_no_border_of_chunks(ticks):
    for first in range(3):
        ticks.put(trades([first * 7_200_000, first * 7_200_000 + 1]) | {"trade_id": [first * 10, first * 10 + 2]})
    report = ticks.scan_sequence(limit=1)
    assert (report.gap_count, [gap.current_ordinal for gap in report.gaps]) == (5, [1])
    assert ticks.scan_sequence(limit=2).gaps[1] == SequenceGap(2, 10, 1, 7_200_000, 1, 2)


def test_the_methods_of_the_store(store):
    names = ("recv_ts", "bid_price", "bid_qty", "ask_price", "ask_qty")
    store.register_bbo_series("BTC", "spot").put({"ts": [4, 5], "sequence": [7, 9]} | {name: [0, 0] for name in names})
    deltas = {name: [0, 0] for name in ("recv_ts", "price", "qty", "side", "action", "level", "flags")}
    store.register_book_delta_series("BTC", "spot").put({"ts": [9, 9], "sequence": [8, 4]} | deltas)
    assert store.scan_bbo_sequence("BTC", "spot", None, None).gaps == [SequenceGap(7, 9, 4, 5, 0, 1)]
    found = store.scan_book_delta_sequence("BTC", "spot", 9, 9, limit=1).violations
    assert found == [SequenceViolation(8, 4, 9, 9, 0, 1)]


def test_bad_input_is_refused(store, klines, ticks):
    klines.put(bars(count=2))
    with pytest.raises(InvalidInput, match="declares no sequence field; name an integer column"):
        klines.scan_sequence()
    assert klines.scan_sequence(field="ts").gaps[0].missing_count == MINUTE - 1
    with pytest.raises(InvalidInput, match="'id' is no column"):
        ticks.scan_sequence(field="id")
    for limit in (-1, 1.0, None):
        with pytest.raises(InvalidInput, match="limit must be an int of 0 or more"):
            ticks.scan_sequence(limit=limit)
    with pytest.raises(InvalidInput, match="start 2 lies after its end 1"):
        store.scan_bbo_sequence("NONE", "spot", 2, 1)
    with pytest.raises(NotFound):
        store.scan_bbo_sequence("NONE", "spot", 1, 2)
    series = store.register_series(("X", "own", "x"), Schema("mine", [("ts", "i8"), ("value", "f8")]))
    with pytest.raises(InvalidInput, match="'value' holds float64"):
        series.scan_sequence(field="value")
    assert ticks.scan_sequence().is_clean
