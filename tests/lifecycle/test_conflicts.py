"""Rows that meet stored ones under the same key: each policy, for each kind of key.

A row's key is its ts; with a sequence field that tells rows of one ts apart, ts and sequence; else all rows of a ts.
"""

import pickle

import numpy as np
import pytest
from builders import FEBRUARY, HOUR, JANUARY, MARCH, MINUTE, assert_rows, bars, joined, part, temporary_store, trades
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_calls import chunk_files, chunk_path, damage, unchanged, values

import fastk
from fastk import Conflict, InvalidData, InvalidInput, NotFound, Schema
from fastk.engine import conflicts
from fastk.keys import SeriesKey
from fastk.schema.settings import SeriesSettings

POLICIES = ("error", "skip_identical", "replace")
GROUPED = Schema("grouped", [("ts", "i8"), ("x", "i8")], unique_ts=False, partition="month")
FLOATS = Schema("floats", [("ts", "i8"), ("x", "f8"), ("y", "f4")])


@pytest.fixture
def grouped(store):
    """A series whose rows of one ts are one group: nothing tells them apart."""
    return store.register_series(("X", "own", "grouped"), GROUPED)


def pairs(*rows):
    """Columns of (ts, x)."""
    ts, x = zip(*rows, strict=True)
    return {"ts": np.array(ts, np.int64) + JANUARY, "x": np.array(x, np.int64)}


def stored(series, name="x"):
    rows = series.range()
    return list(zip((rows.ts - JANUARY).tolist(), values(rows, name), strict=True))


def counts(result):
    return result.accepted, result.identical, result.replaced, result.rejected


def changed(columns, name, row, value):
    copy = {each: column.copy() for each, column in columns.items()}
    copy[name][row] = value
    return copy


def ticks_of(*rows):
    """Trades of (ts, trade_id, price)."""
    columns = trades([JANUARY + ts for ts, _, _ in rows])
    columns["trade_id"] = np.array([identity for _, identity, _ in rows], np.int64)
    columns["price"] = np.array([price for _, _, price in rows], np.int64)
    return columns | {name: np.ones(len(rows), columns[name].dtype) for name in ("qty", "side", "flags")}


class TestOneRowATs:
    def test_an_error_by_default(self, store, klines):
        klines.put(bars())
        check = unchanged(store)
        with pytest.raises(Conflict, match="overlap existing coverage: the key of ts 1704067200000"):
            klines.put(bars(count=1))
        check()

    @pytest.mark.parametrize("policy", ["error", "skip_identical"])
    def test_other_values_are_refused_whole(self, store, klines, policy):
        klines.put(bars())
        late = joined(changed(bars(count=2), "close", 1, 7), bars(FEBRUARY))
        check = unchanged(store)
        with pytest.raises(Conflict) as refused:
            klines.put(late, on_conflict=policy)
        check()
        assert (refused.value.rows, refused.value.identical, refused.value.conflicting) == (7, 1, 1)
        assert "\n" not in str(refused.value)
        assert "Nothing was written; on_conflict=" in str(refused.value)

    def test_identical_rows_are_passed_over_and_others_put(self, klines):
        klines.put(part(bars(), 1, 3))
        assert counts(klines.put(bars(), on_conflict="skip_identical")) == (3, 2, 0, 0)
        assert_rows(klines.range(), bars())

    def test_replacing_counts_new_identical_and_replaced_rows(self, klines):
        klines.put(part(bars(), 0, 3))
        wanted = changed(bars(), "volume", 1, 1)
        assert counts(klines.put(wanted, on_conflict="replace")) == (2, 2, 1, 0)
        assert_rows(klines.range(), wanted)

    def test_counts_are_those_of_all_partitions(self, store, klines):
        months = [bars(start, 2) for start in (JANUARY, FEBRUARY, MARCH)]
        klines.put(joined(*months[:2]))
        wanted = changed(joined(*months), "close", 0, 1)
        with pytest.raises(Conflict, match="Of 6 rows, 3 are stored just so and 1 with other values") as refused:
            klines.put(wanted)
        assert (refused.value.rows, refused.value.identical, refused.value.conflicting) == (6, 3, 1)
        assert counts(klines.put(wanted, on_conflict="replace")) == (2, 3, 1, 0)

    def test_where_one_partition_refuses_none_is_written(self, store, klines):
        klines.put(bars(FEBRUARY))
        check = unchanged(store)
        with pytest.raises(Conflict):
            klines.put(joined(bars(JANUARY), bars(FEBRUARY), bars(MARCH)))
        check()
        assert klines.span[0] == FEBRUARY


class TestSequence:
    """Trades: ts and trade_id are the key."""

    def test_one_ts_takes_rows_of_other_numbers(self, ticks):
        ticks.put(ticks_of((0, 1, 10), (5, 2, 10)))
        assert counts(ticks.put(ticks_of((0, 3, 11), (5, 4, 11)))) == (2, 0, 0, 0)
        assert stored(ticks, "trade_id") == [(0, 1), (0, 3), (5, 2), (5, 4)]

    def test_stored_rows_of_a_ts_come_first_whatever_their_numbers(self, ticks):
        ticks.put(ticks_of((0, 9, 10)))
        ticks.put(ticks_of((0, 1, 10)))
        assert stored(ticks, "trade_id") == [(0, 9), (0, 1)]

    def test_replaced_rows_keep_their_places_among_equal_times(self, ticks):
        ticks.put(ticks_of((0, 1, 10), (0, 2, 20), (0, 3, 30)))
        assert counts(ticks.put(ticks_of((0, 2, 21), (0, 4, 40)), on_conflict="replace")) == (1, 0, 1, 0)
        assert stored(ticks, "trade_id") == [(0, 1), (0, 2), (0, 3), (0, 4)]
        assert stored(ticks, "price") == [(0, 10), (0, 21), (0, 30), (0, 40)]

    def test_identical_rows_are_found_among_many_of_one_ts(self, ticks):
        ticks.put(ticks_of((0, 1, 10), (0, 2, 20), (0, 3, 30)))
        assert counts(ticks.put(ticks_of((0, 3, 30), (0, 1, 10), (0, 5, 50)), on_conflict="skip_identical")) == (
            1,
            2,
            0,
            0,
        )
        with pytest.raises(Conflict):
            ticks.put(ticks_of((0, 3, 31)), on_conflict="skip_identical")

    def test_a_number_stored_twice_is_one_group(self, ticks):
        ticks.put(ticks_of((0, 1, 10), (0, 1, 11), (0, 2, 20)))
        assert counts(ticks.put(ticks_of((0, 1, 10), (0, 1, 11)), on_conflict="skip_identical")) == (0, 2, 0, 0)
        assert counts(ticks.put(ticks_of((0, 1, 12)), on_conflict="replace")) == (0, 0, 1, 0)
        assert stored(ticks, "price") == [(0, 12), (0, 20)]

    def test_the_border_of_two_chunks_may_lie_within_a_ts(self, store):
        """Rows of ts 5 lie in two chunks. One in the first is replaced, and new ones come at that ts and behind it."""
        with fastk.open(store.root, policy=fastk.CompactionPolicy(tier_fanout=0)) as untiered:
            series = untiered.register_trade_series("BTC", "border")
            series.append(ticks_of((0, 1, 10), (5, 2, 20)))
            series.append(ticks_of((5, 3, 30)))
            series.put(ticks_of((5, 2, 21), (5, 4, 40), (7, 5, 50)), on_conflict="replace")
            assert stored(series, "trade_id") == [(0, 1), (5, 2), (5, 3), (5, 4), (7, 5)]
            assert stored(series, "price")[1] == (5, 21)
            series.verify()


class TestGroupsOfATs:
    """No field tells the rows of one ts apart: they are identical, in conflict, or replaced together."""

    def test_the_same_rows_in_the_same_order_are_identical(self, grouped):
        grouped.put(pairs((0, 1), (0, 2), (5, 3)))
        assert counts(grouped.put(pairs((0, 1), (0, 2), (6, 4)), on_conflict="skip_identical")) == (1, 2, 0, 0)

    @pytest.mark.parametrize("rows", [[(0, 2), (0, 1)], [(0, 1)], [(0, 1), (0, 2), (0, 3)]], ids=str)
    def test_another_order_or_number_of_rows_is_a_conflict(self, grouped, rows):
        grouped.put(pairs((0, 1), (0, 2), (5, 3)))
        with pytest.raises(Conflict) as refused:
            grouped.put(pairs(*rows), on_conflict="skip_identical")
        assert refused.value.conflicting == len(rows)

    def test_a_group_is_replaced_whole_at_its_place(self, grouped):
        grouped.put(pairs((-1, 0), (0, 1), (0, 2), (5, 3)))
        assert counts(grouped.put(pairs((0, 7), (0, 8), (0, 9)), on_conflict="replace")) == (0, 0, 3, 0)
        assert stored(grouped) == [(-1, 0), (0, 7), (0, 8), (0, 9), (5, 3)]

    def test_an_append_may_not_go_on_at_the_last_ts(self, grouped):
        grouped.append(pairs((0, 1)))
        with pytest.raises(InvalidInput, match="belong together"):
            grouped.append(pairs((0, 2)))


class TestBytesDecide:
    """Identical means the same bytes: nothing that was written is taken for something else."""

    @pytest.fixture
    def floats(self, store):
        series = store.register_series(("X", "own", "floats"), FLOATS)
        series.put({"ts": [JANUARY, JANUARY + 1], "x": [np.nan, 0.0], "y": [np.nan, -0.0]})
        return series

    def test_nan_is_identical_to_itself(self, floats):
        again = {"ts": [JANUARY, JANUARY + 1], "x": [np.nan, 0.0], "y": [np.nan, -0.0]}
        assert counts(floats.put(again, on_conflict="skip_identical")) == (0, 2, 0, 0)

    @pytest.mark.parametrize(
        "other",
        [
            {"x": [-0.0], "y": [-0.0]},
            {"x": [0.0], "y": [0.0]},
        ],
        ids=str,
    )
    def test_zeros_of_other_signs_are_other_values(self, floats, other):
        with pytest.raises(Conflict):
            floats.put({"ts": [JANUARY + 1]} | other, on_conflict="skip_identical")

    def test_another_nan_is_another_value(self, floats):
        payload = np.array([np.nan]).view(np.int64) | 1
        with pytest.raises(Conflict):
            floats.put(
                {"ts": [JANUARY], "x": payload.view(float), "y": np.array([np.nan], "f4")}, on_conflict="skip_identical"
            )

    def test_a_replacing_put_writes_the_new_bytes(self, floats):
        assert floats.put({"ts": [JANUARY + 1], "x": [-0.0], "y": [0.0]}, on_conflict="replace").replaced == 1
        assert np.signbit(floats.range().x).tolist() == [False, True]
        assert np.signbit(floats.range().y).tolist() == [False, False]


class TestRunAgain:
    @pytest.mark.parametrize("policy", ["skip_identical", "replace"])
    @pytest.mark.parametrize("options", [{}, {"policy": fastk.CompactionPolicy(auto_merge=True)}], ids=["", "auto"])
    def test_an_ingest_that_is_run_again_changes_nothing(self, store, policy, options):
        """Not even where the policy of the second run would merge what the first one left."""
        series = store.register_kline_series("BTC", "1m", MINUTE)
        ingest = [bars(start + place * 5 * MINUTE) for start in (JANUARY, MARCH) for place in range(6)]
        for piece in ingest:
            series.append(piece)
        check, sequence = unchanged(store), series.sequence
        with fastk.open(store.root, **options) as again:
            handle = again.series(series.key)
            for piece in [*ingest, joined(*ingest)]:
                result = handle.put(piece, on_conflict=policy)
                assert counts(result) == (0, len(piece["ts"]), 0, 0)
                assert (result.chunks, result.sequence) == (0, sequence)
        check()

    def test_an_ingest_that_was_interrupted_goes_on(self, klines):
        ingest = [bars(start) for start in (JANUARY, FEBRUARY, MARCH)]
        klines.put(ingest[0])
        results = [klines.put(piece, on_conflict="skip_identical") for piece in ingest]
        assert [result.identical for result in results] == [5, 0, 0]
        assert_rows(klines.range(), joined(*ingest))


class TestPlacesInTime:
    def test_late_rows_find_their_places(self, klines):
        whole = bars(count=9)
        klines.put({name: column[::2] for name, column in whole.items()})
        klines.put({name: column[1::2] for name, column in whole.items()})
        assert_rows(klines.range(), whole)

    def test_backfill_leaves_other_partitions_alone(self, store, klines):
        klines.put(joined(*[bars(start) for start in (JANUARY, FEBRUARY, MARCH)]))
        before = {name for name in chunk_files(store, klines) if not name.startswith("2024-02")}
        klines.put(bars(FEBRUARY - HOUR + 60 * HOUR, 3, step=1))
        klines.put(bars(FEBRUARY + 1, 3))
        after = {name for name in chunk_files(store, klines) if not name.startswith("2024-02")}
        assert before == after
        assert len(klines) == 21

    def test_a_range_before_all_others_is_a_commit_like_any_other(self, klines):
        klines.put(bars(MARCH))
        result = klines.put(joined(bars(JANUARY), bars(FEBRUARY)))
        assert (result.chunks, result.sequence) == (2, 3)
        assert_rows(klines.range(), joined(bars(JANUARY), bars(FEBRUARY), bars(MARCH)))

    def test_rows_behind_and_among_stored_ones_are_one_commit(self, klines):
        klines.put(part(bars(count=8), 2, 6))
        result = klines.put(bars(count=8), on_conflict="skip_identical")
        assert (result.accepted, result.identical, result.sequence) == (4, 4, 3)
        assert_rows(klines.range(), bars(count=8))


class TestTheConflict:
    def test_it_goes_through_a_pickle(self, klines):
        klines.put(bars())
        with pytest.raises(Conflict) as refused:
            klines.put(changed(bars(count=7), "close", 0, 1))
        again = pickle.loads(pickle.dumps(refused.value))
        assert str(again) == str(refused.value)
        assert (again.rows, again.identical, again.conflicting) == (7, 4, 1)

    def test_it_is_an_invalid_input(self):
        assert issubclass(Conflict, InvalidInput)
        assert issubclass(Conflict, ValueError)


CHUNK_PUTS = {
    "kline": lambda store, options: store.put_kline_chunk("BTC", "1m", bars(), **options),
    "trade": lambda store, options: store.put_trade_chunk("BTC", "spot", trades([JANUARY, JANUARY + 1]), **options),
    "scalar": lambda store, options: store.put_scalar_chunk(
        fastk.feature_series_key("BTC", "1m", "x"), MINUTE, {"ts": [JANUARY], "value": [1]}, **options
    ),
    "indicator": lambda store, options: store.put_indicator_chunk(
        "BTC", "1m", "rsi", {"ts": [JANUARY], "value": [1]}, **options
    ),
    "bbo": lambda store, options: store.put_bbo_chunk(
        "BTC", "spot", np.array([[JANUARY, 0, 1, 1, 2, 1, 7]]), **options
    ),
    "book_delta": lambda store, options: store.put_book_delta_chunk(
        "BTC", "spot", [fastk.BookDeltaRecord(JANUARY, JANUARY, 1, 1, 1, 1, 1, 1, 1)], **options
    ),
}


class TestTheChunkMethods:
    """The original's put_*_chunk refuse overlaps, unless a policy is given."""

    @pytest.fixture
    def registered(self, store):
        store.register_kline_series("BTC", "1m", MINUTE)
        store.register_scalar_series(fastk.feature_series_key("BTC", "1m", "x"), MINUTE)
        store.register_indicator_series("BTC", "1m", "rsi")
        store.register_trade_series("BTC", "spot")
        store.register_bbo_series("BTC", "spot")
        store.register_book_delta_series("BTC", "spot")
        return store

    @pytest.mark.parametrize("put", CHUNK_PUTS.values(), ids=CHUNK_PUTS)
    def test_a_second_put_is_refused_or_passed_over(self, registered, put):
        rows = put(registered, {}).accepted
        check = unchanged(registered)
        with pytest.raises(InvalidInput, match="overlap"):
            put(registered, {})
        with pytest.raises(Conflict):
            put(registered, {"on_conflict": "error"})
        assert counts(put(registered, {"on_conflict": "skip_identical"})) == (0, rows, 0, 0)
        with pytest.raises(InvalidInput, match="on_conflict='merge' is unknown"):
            put(registered, {"on_conflict": "merge"})
        check()


class TestBadInput:
    @pytest.mark.parametrize("policy", ["", "Replace", None, 1, True, b"error", ["error"]], ids=repr)
    def test_unknown_policies(self, store, klines, policy):
        check = unchanged(store)
        with pytest.raises(InvalidInput, match="is unknown: give 'error', 'skip_identical', 'replace'") as refused:
            klines.put(bars(), on_conflict=policy)
        check()
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_rows_out_of_order_are_refused_under_every_policy(self, store, klines, policy):
        klines.put(bars())
        check = unchanged(store)
        with pytest.raises(InvalidInput, match="sort the rows"):
            klines.put({name: column[::-1].copy() for name, column in bars().items()}, on_conflict=policy)
        with pytest.raises(InvalidInput, match="stands twice"):
            klines.put(joined(bars(count=1), bars(count=1)), on_conflict=policy)
        check()

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_series_that_is_not_registered(self, store, policy):
        store.init()
        with pytest.raises(NotFound, match="register it first"):
            store.kline("ETH", "1m").put(bars(), on_conflict=policy)

    @pytest.mark.parametrize("policy", POLICIES)
    def test_no_rows_are_no_commit(self, store, klines, policy):
        check = unchanged(store)
        assert counts(klines.put(bars(count=0), on_conflict=policy)) == (0, 0, 0, 0)
        check()

    def test_rows_that_meet_damaged_ones_are_refused(self, store, klines):
        klines.put(bars())
        damage(chunk_path(store, klines, 0))
        check = unchanged(store)
        with fastk.open(store.root) as fresh, pytest.raises(InvalidData, match="damaged"):
            fresh.kline("BTC", "1m").put(bars(count=7), on_conflict="replace")
        check()


# The rules, against a model in plain python.

KINDS = {
    "ts": Schema("a", [("ts", "i8"), ("x", "f4"), ("text", "S2")]),
    "sequence": Schema("b", [("ts", "i8"), ("x", "f4"), ("seq", "u2")], unique_ts=False, sequence_field="seq"),
    "group": Schema("c", [("ts", "i8"), ("x", "f4"), ("flag", "?")], unique_ts=False),
}
TIMES = st.integers(0, 5)
FLOATING = st.sampled_from([0.0, -0.0, 1.0, float("nan")])


@st.composite
def two_runs(draw):
    """A schema, and rows of it that are stored and put; both ascend."""
    schema = KINDS[draw(st.sampled_from(sorted(KINDS)))]
    other = {"S": st.sampled_from([b"", b"a"]), "u": st.integers(0, 2), "b": st.booleans()}[schema.fields[2].dtype.kind]
    row = st.tuples(TIMES, FLOATING, other)
    unique = {"unique_by": lambda row: row[0]} if schema.unique_ts else {}
    runs = [sorted(draw(st.lists(row, max_size=8, **unique)), key=lambda row: row[0]) for _ in range(2)]
    return schema, *[np.array(rows, schema.dtype) for rows in runs]


def settings_of(schema):
    return SeriesSettings(SeriesKey("X", "c", "n"), schema, 7, 1)


def columns_of(table):
    return [np.ascontiguousarray(table[name]) for name in table.dtype.names]


def key_of(schema, row):
    return (int(row["ts"]), int(row["seq"]) if schema.sequence_field else 0)


def groups_of(schema, rows):
    groups = {}
    for row in rows:
        groups.setdefault(key_of(schema, row), []).append(row.tobytes())
    return groups


@pytest.mark.slow
@given(two_runs())
def test_groups_meet_as_a_dictionary_of_them_says(case):
    schema, held, new = case
    if not len(new):
        return
    meeting = conflicts.meet(columns_of(held), columns_of(new), settings_of(schema))
    mine, theirs = groups_of(schema, new), groups_of(schema, held)
    same = {key for key in mine.keys() & theirs.keys() if mine[key] == theirs[key]}
    differ = (mine.keys() & theirs.keys()) - same
    assert meeting.identical.tolist() == [key_of(schema, row) in same for row in new]
    assert meeting.conflicting.tolist() == [key_of(schema, row) in differ for row in new]
    assert meeting.outdated.tolist() == [key_of(schema, row) in differ for row in held]
    for row, place in zip(new, meeting.places, strict=True):
        if key_of(schema, row) in differ:
            first = next(index for index, other in enumerate(held) if key_of(schema, other) == key_of(schema, row))
            assert place == first


@given(two_runs())
def test_rows_interleave_as_python_would_sort_them(case):
    schema, held, new = case
    if not len(new):
        return
    meeting = conflicts.meet(columns_of(held), columns_of(new), settings_of(schema))
    kept = new[~meeting.identical]
    places = np.where(meeting.conflicting, meeting.places, -1)[~meeting.identical]
    result = conflicts.interleave(columns_of(held), meeting.outdated, columns_of(kept), places)
    standing = [(int(row["ts"]), place, row.tobytes()) for place, row in enumerate(held) if not meeting.outdated[place]]
    coming = [
        (int(row["ts"]), place if place >= 0 else len(held), row.tobytes())
        for row, place in zip(kept, places.tolist(), strict=True)
    ]
    expected = b"".join(row for _, _, row in sorted(standing + coming, key=lambda each: each[:2]))
    table = np.empty(len(result[0]), schema.dtype)
    for name, column in zip(schema.names, result, strict=True):
        table[name] = column
    assert table.tobytes() == expected
    assert (np.diff(table["ts"]) >= 0).all()


@pytest.mark.slow
@given(two_runs())
def test_the_same_rows_are_those_of_the_same_bytes(case):
    _, held, new = case
    assert conflicts.same_rows(columns_of(held), columns_of(new)) == (held.tobytes() == new.tobytes())


@pytest.mark.slow
@given(st.lists(st.lists(TIMES, max_size=4), max_size=6), st.sampled_from(POLICIES))
def test_counts_sum_to_the_rows_given(puts, policy):
    with temporary_store() as store:
        series, sums = store.register_series(("X", "own", "grouped"), GROUPED), []
        for number, times in enumerate(puts):
            rows = {"ts": JANUARY + np.sort(np.array(times, np.int64)), "x": np.full(len(times), number % 2)}
            sums.append(rows_told_of(series, rows, policy))
        assert sums == [len(times) for times in puts]


def rows_told_of(series, rows, policy):
    """How many rows the result of a put counts, or its refusal."""
    try:
        return sum(counts(series.put(rows, on_conflict=policy)))
    except Conflict as refused:
        return refused.rows
