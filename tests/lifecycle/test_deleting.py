"""Ranges that are deleted, or replaced by other rows: exact at both ends, atomic, and unseen by pinned readers."""

import itertools

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
    joined,
    part,
    temporary_store,
    trades,
)
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_calls import NO_TIERS, chunk_files, chunk_path, damage, hide, spans, unchanged

import fastk
from fastk import Conflict, InvalidData, InvalidInput, NotFound

MONTHS = (JANUARY, FEBRUARY, MARCH)
CLOSED = ("both", "left", "right", "neither")


@pytest.fixture
def year(klines):
    """Five bars in each of three months."""
    klines.put(joined(*[bars(start) for start in MONTHS]))
    return klines


def inside(ts, start, end, closed):
    low = ts >= start if closed in ("both", "left") else ts > start
    high = ts <= end if closed in ("both", "right") else ts < end
    return low & high


def kept(columns, which):
    return {name: column[which] for name, column in columns.items()}


class TestBoundaries:
    @pytest.mark.parametrize("closed", CLOSED)
    @pytest.mark.parametrize("ends", [(0, 0), (1, 3), (0, 4), (2, 2), (-1, 1), (3, 9), (-5, -1), (9, 12)], ids=str)
    def test_rows_between_two_times_go(self, klines, ends, closed):
        klines.put(bars())
        start, end = (JANUARY + place * MINUTE for place in ends)
        gone = inside(bars()["ts"], start, end, closed)
        assert klines.delete_range(start, end, closed=closed).deleted == gone.sum()
        assert_rows(klines.range(), kept(bars(), ~gone))

    @pytest.mark.parametrize("shift", [-1, 0, 1])
    def test_a_border_between_two_rows_takes_neither_or_both(self, klines, shift):
        klines.put(bars())
        klines.delete_range(JANUARY + MINUTE + shift, JANUARY + 3 * MINUTE + shift)
        assert klines.range().ts.size == (3 if shift else 2)

    def test_open_ends(self, year):
        assert year.delete_range(None, FEBRUARY - 1).deleted == 5
        assert year.delete_range(MARCH, None).deleted == 5
        assert_rows(year.range(), bars(FEBRUARY))

    def test_times_are_read_as_in_ranges(self, year):
        assert year.delete_range("2024-02-01", "2024-02-01T00:02", closed="left").deleted == 2
        assert year.delete_range(np.datetime64("2024-03-01"), None).deleted == 5

    @pytest.mark.parametrize("ends", [(-(10**30), 10**30), (None, None)], ids=str)
    def test_bounds_may_be_any_int(self, year, ends):
        assert year.delete_range(*ends).deleted == 15
        assert len(year) == 0

    @pytest.mark.parametrize("ends", [(10**30, None), (None, -(10**30)), (10**30, 10**31)], ids=str)
    def test_a_range_beyond_all_times_takes_nothing(self, store, year, ends):
        check = unchanged(store)
        assert year.delete_range(*ends).deleted == 0
        check()

    def test_all_rows_of_one_ts_go(self, ticks):
        ticks.put(trades([JANUARY, JANUARY + 5, JANUARY + 5]))
        ticks.append(trades([JANUARY + 5, JANUARY + 6], first_id=9))
        assert ticks.delete_range(JANUARY + 5, JANUARY + 5).deleted == 3
        assert ticks.range().trade_id.tolist() == [1, 10]

    def test_chunks_that_share_a_ts_stay_in_order(self, store):
        """Three chunks meet at one ts; the first loses what made it the first."""
        with fastk.open(store.root, policy=NO_TIERS) as untiered:
            series = untiered.register_trade_series("BTC", "border")
            series.append(trades([JANUARY + 3, JANUARY + 5], first_id=1))
            series.append(trades([JANUARY + 5], first_id=3))
            series.append(trades([JANUARY + 5, JANUARY + 8], first_id=4))
            series.delete_range(JANUARY + 3, JANUARY + 4)
            assert series.range().trade_id.tolist() == [2, 3, 4, 5]


class TestWhatIsTouched:
    def test_a_deletion_across_partitions_is_one_commit(self, year):
        result = year.delete_range(JANUARY + 2 * MINUTE, MARCH + MINUTE)
        assert (result.deleted, result.sequence) == (10, 3)
        assert_rows(year.range(), joined(part(bars(), 0, 2), part(bars(MARCH), 2, 5)))

    def test_a_partition_that_is_deleted_whole_is_not_read(self, store, year):
        damage(chunk_path(store, year, 1))
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            result = series.delete_range(FEBRUARY, MARCH - 1)
            assert (result.deleted, result.chunks) == (5, 0)
            assert_rows(series.range(), joined(bars(JANUARY), bars(MARCH)))

    def test_a_damaged_chunk_that_would_lose_some_rows_is_left_alone(self, store, year):
        damage(chunk_path(store, year, 1))
        check = unchanged(store)
        with fastk.open(store.root) as fresh, pytest.raises(InvalidData, match="damaged"):
            fresh.kline("BTC", "1m").delete_range(None, FEBRUARY)
        check()

    def test_other_partitions_keep_their_files(self, store, year):
        before = chunk_files(store, year)
        year.delete_range(FEBRUARY, FEBRUARY + MINUTE)
        assert before <= chunk_files(store, year)
        assert len(chunk_files(store, year) - before) == 1

    def test_nothing_to_delete_is_no_commit(self, store, year):
        check = unchanged(store)
        assert year.delete_range(JANUARY + DAY, FEBRUARY - DAY).deleted == 0
        assert year.delete_range(JANUARY, JANUARY, closed="neither").deleted == 0
        check()

    def test_an_empty_series_takes_rows_again(self, year):
        assert year.delete_range().deleted == 15
        assert (len(year), year.span, year.chunk_inventory()) == (0, None, [])
        year.put(bars(FEBRUARY))
        assert_rows(year.range(), bars(FEBRUARY))
        assert [meta.state for meta in year.chunk_inventory()] == [fastk.ChunkState.SEALED]

    def test_deleted_rows_may_be_put_again(self, year):
        year.delete_range(JANUARY, JANUARY + MINUTE)
        assert year.put(part(bars(), 0, 2)).accepted == 2
        assert_rows(year.range(), joined(*[bars(start) for start in MONTHS]))


class TestReplacing:
    def test_rows_take_the_place_of_others(self, year):
        new = bars(JANUARY + 90_000, 7, step=1_000)
        result = year.replace_range(JANUARY + MINUTE, JANUARY + 2 * MINUTE, new)
        assert (result.accepted, result.identical, result.deleted, result.sequence) == (7, 0, 2, 3)
        first = joined(part(bars(), 0, 1), new, part(bars(), 3, 5))
        assert_rows(year.range(), joined(first, bars(FEBRUARY), bars(MARCH)))

    def test_the_same_rows_are_no_commit(self, store, year):
        check = unchanged(store)
        result = year.replace_range(None, None, joined(*[bars(start) for start in MONTHS]))
        assert (result.accepted, result.identical, result.deleted, result.chunks) == (0, 15, 0, 0)
        check()

    def test_one_other_value_is_a_commit(self, year):
        new = bars(FEBRUARY)
        new["close"] = new["close"] + np.array([0, 0, 1, 0, 0])
        assert year.replace_range(FEBRUARY, MARCH - 1, new).accepted == 5
        assert_rows(year.range(FEBRUARY, MARCH - 1), new)

    def test_no_rows_delete_the_range(self, year):
        assert year.replace_range(FEBRUARY, MARCH, bars(count=0)).deleted == 6
        assert len(year) == 9

    def test_an_empty_range_is_filled(self, year):
        result = year.replace_range(JANUARY + DAY, JANUARY + 2 * DAY, bars(JANUARY + DAY))
        assert (result.accepted, result.deleted) == (5, 0)

    @pytest.mark.parametrize("closed", CLOSED)
    def test_rows_on_a_border_belong_to_closed_ends_only(self, store, year, closed):
        check = unchanged(store)
        for place, allowed in ((0, closed in ("both", "left")), (2, closed in ("both", "right"))):
            row = part(bars(), place, place + 1)
            if allowed:
                assert year.replace_range(JANUARY, JANUARY + 2 * MINUTE, row, closed=closed).accepted == 1
            else:
                with pytest.raises(InvalidInput, match="beyond the range"):
                    year.replace_range(JANUARY, JANUARY + 2 * MINUTE, row, closed=closed)
        if closed == "neither":
            check()

    @pytest.mark.parametrize("harm", [damage, hide])
    def test_damaged_rows_are_replaced_unread(self, store, year, harm):
        """How a damaged file is mended from the data that it was made from."""
        harm(chunk_path(store, year, 1))
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            assert series.replace_range(FEBRUARY, MARCH - 1, bars(FEBRUARY)).accepted == 5
            series.verify()
            assert_rows(series.range(), joined(*[bars(start) for start in MONTHS]))

    def test_natural_units_and_zoneless_times(self, store):
        series = store.register_scalar_series(fastk.feature_series_key("BTC", "1m", "x"), MINUTE, 100)
        series.replace_range(None, None, {"ts": ["2024-01-01"], "value": [0.25]}, decoded=True, zoneless="utc")
        assert series.latest()[0].value == 25


class TestReaders:
    @pytest.mark.parametrize(
        "change",
        [
            lambda series: series.delete_range(FEBRUARY, MARCH),
            lambda series: series.delete_range(),
            lambda series: series.replace_range(JANUARY, MARCH, bars(FEBRUARY, 2)),
        ],
        ids=["some", "all", "replaced"],
    )
    def test_pinned_readers_go_on(self, store, year, change):
        before = joined(*[bars(start) for start in MONTHS])
        with fastk.open(store.root, "r") as reader:
            seen = reader.kline("BTC", "1m")
            assert len(seen) == 15
            change(year)
            assert_rows(seen.range(), before)  # opened after the change
            assert seen.refresh()
            assert_rows(seen.range(), {name: year.range()[name] for name in before})


class TestBadInput:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda series: series.delete_range(MARCH, JANUARY), "start .* lies after its end"),
            (lambda series: series.delete_range("2024-03", "2024-02"), "lies after its end|not a time"),
            (lambda series: series.delete_range("yesterday"), "not a time"),
            (lambda series: series.delete_range(1.5), "not a time|times are"),
            (lambda series: series.delete_range(JANUARY, MARCH, closed="open"), "closed='open' is unknown"),
            (lambda series: series.replace_range(MARCH, JANUARY, bars()), "lies after its end"),
            (lambda series: series.replace_range(FEBRUARY, MARCH, bars()), "beyond the range"),
            (lambda series: series.replace_range(JANUARY, MARCH, {"ts": [JANUARY]}), "missing: open"),
            (
                lambda series: series.replace_range(
                    None, None, {name: column[::-1].copy() for name, column in bars().items()}
                ),
                "sort the rows",
            ),
            (lambda series: series.replace_range(None, None, bars(), zone_rows=0), "zone_rows"),
            (lambda series: series.replace_range(None, None, bars(), zoneless="cet"), "zoneless='cet'"),
        ],
        ids=itertools.count(),
    )
    def test_what_makes_no_sense_changes_nothing(self, store, year, call, message):
        check = unchanged(store)
        with pytest.raises(InvalidInput, match=message) as refused:
            call(year)
        check()
        assert "\n" not in str(refused.value)

    def test_a_series_that_is_not_registered(self, store):
        store.init()
        for call in (lambda series: series.delete_range(), lambda series: series.replace_range(None, None, bars())):
            with pytest.raises(NotFound, match="register it first"):
                call(store.kline("ETH", "1m"))

    def test_a_store_that_is_open_for_reading(self, store, year):
        with fastk.open(store.root, "r") as reader:
            series = reader.kline("BTC", "1m")
            for call in (series.delete_range, series.merge, lambda: series.replace_range(None, None, bars())):
                with pytest.raises(InvalidInput, match="opened with mode='r'"):
                    call()


NUMBERS = fastk.Schema("n", [("ts", "i8"), ("n", "i8")], partition="day")
PLACES = st.integers(0, 30)


@pytest.mark.slow
@given(
    st.lists(st.lists(PLACES, min_size=1, max_size=6, unique=True), min_size=1, max_size=4),
    st.lists(st.tuples(PLACES, PLACES).map(sorted), max_size=4),
    st.sampled_from([None, NO_TIERS]),
)
def test_deleting_is_what_a_mask_says(puts, ranges, policy):
    """Hours of three days, put in any order, against numpy."""
    with temporary_store(policy=policy) as store:
        series = store.register_series(
            ("X", "own", "n"), fastk.Schema("n", [("ts", "i8"), ("n", "i8")], partition="day")
        )
        model = np.empty((0, 2), np.int64)
        for number, places in enumerate(puts):
            rows = np.array([(JANUARY + place * 2 * HOUR, number) for place in sorted(places)])
            try:
                series.put(rows)
            except Conflict:
                series.put(rows, on_conflict="replace")
            model = np.vstack([model[~np.isin(model[:, 0], rows[:, 0])], rows])
        for start, end in ranges:
            low, high = JANUARY + start * 2 * HOUR, JANUARY + end * 2 * HOUR
            gone = (model[:, 0] >= low) & (model[:, 0] <= high)
            assert series.delete_range(low, high).deleted == gone.sum()
            model = model[~gone]
        model = model[np.argsort(model[:, 0])]
        assert_rows(series.range(), {"ts": model[:, 0], "n": model[:, 1]})
        assert sum(spans(series)) == len(model)
