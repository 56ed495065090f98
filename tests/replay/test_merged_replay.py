"""A merged replay is a stable sort of all rows by the order that it declares, in batches of any size."""

import json

import numpy as np
import pytest
from builders import JANUARY, MINUTE, bars, temporary_store, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from market import LOOSE, SERIES, SINGLE, TICK, events_of, expected_order, put_rows, register

import fastk
from fastk import InvalidInput, NotFound, Schema
from fastk.replay import merged
from fastk.replay.batch import ReplayBatch
from fastk.replay.merged import PRIORITY, MergedReplay
from fastk.schema.schema import BBO, BOOK_DELTA, KLINE, SCALAR, TRADE

laws = settings(deadline=None, max_examples=40)
PRIORITIES = st.permutations(["tick", "single", "loose"]).map(lambda names: names[:2])


def named(priority, handles):
    """The names of a drawn priority that the series have; others are refused."""
    return [name for name in priority if name in {handle.settings.schema.name for handle in handles}]


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    """Blocks of a few ts, so that few rows need many of them."""
    monkeypatch.setattr(merged, "_LEAST_BLOCK", 1)
    monkeypatch.setattr(merged, "_GREATEST_BLOCK", 4)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["plain", "compiled"])
@laws
@given(drawn=SERIES, priority=PRIORITIES, batch_rows=st.integers(1, 9))
def test_merge_is_a_stable_sort(implementation, drawn, priority, batch_rows):
    with pytest.MonkeyPatch.context() as patch, temporary_store() as store:
        from builders import use_kernels

        use_kernels(patch, implementation)
        handles = register(store, drawn)
        priority = named(priority, handles)
        replay = fastk.merged_replay(handles, batch_rows=batch_rows, priority=priority)
        expected = expected_order(handles, priority)
        assert len(replay) == len(expected)
        batches = list(replay)
        assert events_of(batches) == expected
        assert all(len(batch) == batch_rows for batch in batches[:-1])
        assert replay.is_exhausted
        assert len(replay.next_batch()) == 0


@laws
@given(drawn=SERIES, start=st.integers(-1, 7), length=st.integers(0, 8), batch_rows=st.integers(1, 9))
def test_a_window_is_a_part_of_the_whole(drawn, start, length, batch_rows):
    with temporary_store() as store:
        handles = register(store, drawn)
        found = fastk.merged_replay(handles, start, start + length, batch_rows=batch_rows)
        whole = expected_order(handles, PRIORITY)
        assert events_of(found) == [event for event in whole if start <= event[0] <= start + length]


@pytest.mark.slow
@laws
@given(drawn=SERIES, priority=PRIORITIES, batch_rows=st.integers(1, 9))
def test_resuming_behind_any_event_gives_the_rest(drawn, priority, batch_rows):
    with temporary_store() as store:
        handles = register(store, drawn)
        priority = named(priority, handles)
        replay = fastk.merged_replay(handles, batch_rows=batch_rows, priority=priority)
        whole = expected_order(handles, priority)
        assert events_of(fastk.merged_replay(handles, priority=priority, resume=replay.token)) == whole
        for batch in replay:
            for event in range(len(batch)):
                resumed = fastk.merged_replay(handles, batch_rows=batch_rows, resume=batch.token(event))
                position = resumed.position
                assert len(resumed) == len(whole)
                assert events_of(resumed) == whole[position:]
            assert position == replay.position
            assert json.loads(replay.token) == json.loads(batch.token())


@pytest.mark.slow
@laws
@given(drawn=SERIES, data=st.data())
def test_columns_are_those_of_the_rows(drawn, data):
    with temporary_store() as store:
        handles = register(store, drawn)
        for batch in fastk.merged_replay(handles, batch_rows=data.draw(st.integers(1, 9))):
            records = [handles[source].range()[row] for source, row in zip(batch.source, batch.row, strict=True)]
            assert batch.column("tag").tolist() == [record.tag for record in records]
            assert batch.column("ts").tolist() == batch.ts.tolist() == [record.ts for record in records]
            assert list(batch) == list(zip(batch.source.tolist(), records, strict=True))
            for source in range(len(handles)):
                mine = batch.source == source
                assert batch.events(source).tolist() == np.flatnonzero(mine).tolist()
                assert batch.rows(source)["tag"].tolist() == batch.column("tag")[mine].tolist()


@pytest.mark.slow
@laws
@given(drawn=SERIES, batch_rows=st.integers(1, 9))
def test_finer_units_are_reached_exactly(drawn, batch_rows):
    factors = {"ms": 10**6, "us": 10**3, "ns": 1}
    with temporary_store() as store:
        handles = register(store, drawn, lambda place: ("ns", "ms", "us")[place % 3])
        replay = fastk.merged_replay(handles, batch_rows=batch_rows)
        assert replay.time_unit == "ns"
        expected = expected_order(handles, PRIORITY, lambda handle: factors[handle.settings.time_unit])
        batches = list(replay)
        assert events_of(batches) == expected
        assert all(batch.column("ts").tolist() == batch.ts.tolist() for batch in batches)
        middle = expected[len(expected) // 2][0] if expected else 0
        for start, end in ((middle, None), (middle + 1, None), (None, middle), (None, middle - 1)):
            found = events_of(fastk.merged_replay(handles, start, end))
            assert found == [each for each in expected if (start or 0) <= each[0] and (end is None or each[0] <= end)]
        for event in range(0, len(expected), 3):
            token = fastk.merged_replay(handles, batch_rows=event + 1).next_batch().token()
            assert events_of(fastk.merged_replay(handles, resume=token)) == expected[event + 1 :]


class TestTheOrderOfOneTs:
    """What is declared, by an example each."""

    def test_record_types_come_by_priority(self, store):
        at = {"ts": [JANUARY]}
        series = []
        for schema in (SINGLE, SCALAR, KLINE, TRADE, BBO, BOOK_DELTA):
            series.append(store.register_series(("X", schema.name, "x"), schema))
            series[-1].put(at | {name: [1] for name in schema.names[1:]})
        batch = store.replay_merged(series).next_batch()
        assert [batch.series[source].category for source in batch.source] == [*PRIORITY, "single"]
        batch = fastk.merged_replay(series, priority=["single", "kline"]).next_batch()
        found = [batch.series[source].category for source in batch.source]
        assert found == ["single", "kline", "scalar", "trade", "bbo", "book_delta"]

    def test_series_of_one_type_come_as_they_were_named(self, store):
        handles = [store.register_kline_series(symbol, "1m", MINUTE) for symbol in "CAB"]
        for handle in handles:
            handle.put(bars(count=3))
        assert fastk.merged_replay(handles).next_batch().source.tolist() == [0, 1, 2] * 3

    def test_rows_of_one_series_come_by_sequence_number_where_a_cursor_keeps_stored_order(self, store, ticks):
        ticks.put(trades([5, 5, 5, 7], first_id=4) | {"trade_id": [9, 3, 4, 1]})
        ticks.put(trades([7], first_id=0))
        batch = fastk.merged_replay([ticks]).next_batch()
        assert batch.row.tolist() == [1, 2, 0, 4, 3]
        assert batch.column("trade_id").tolist() == [3, 4, 9, 0, 1]
        assert ticks.replay().next_batch().trade_id.tolist() == [9, 3, 4, 1, 0]

    def test_a_ts_of_more_rows_than_a_block_is_ordered_as_a_whole(self, store):
        series = store.register_series(("X", "own", "x"), TICK)
        numbers = np.random.default_rng(1).permutation(40)
        put_rows(series, TICK, [(1, int(number)) for number in numbers] + [(2, 5), (2, 1)], 11)
        batches = list(fastk.merged_replay([series], batch_rows=7))
        assert np.concatenate([batch.column("number") for batch in batches]).tolist() == [*range(40), 1, 5]
        token = batches[3].token(2)
        assert fastk.merged_replay([series], resume=token).next_batch().column("number").tolist() == [
            *range(24, 40),
            1,
            5,
        ]


class TestColumns:
    def test_of_several_record_types(self, store, klines, ticks):
        klines.put(bars(count=2))
        ticks.put(trades([JANUARY, JANUARY + 1]))
        batch = fastk.merged_replay([klines, ticks]).next_batch()
        assert batch.source.tolist() == [1, 0, 1, 0]
        assert batch.column("price", fill=-1).tolist() == [50_000, -1, 50_001, -1]
        np.testing.assert_array_equal(batch.decoded("close"), [np.nan, 1_001, np.nan, 1_011])
        assert batch.column("price", fill=-1).dtype == np.int64
        with pytest.raises(InvalidInput, match="BTC/kline/1m has no column 'price': say by fill="):
            batch.column("price")
        for fill in (np.nan, 1.5, "x", 2**63, None):
            with pytest.raises(InvalidInput, match="fill"):
                batch.column("price", fill=fill)
        with pytest.raises(InvalidInput, match="none of the series has a column 'bid'"):
            batch.column("bid")

    def test_text_has_no_natural_units(self, store):
        series = store.register_series(("A", "own", "x"), Schema("note", [("ts", "i8"), ("text", "S4")]))
        series.put({"ts": [1], "text": [b"up"]})
        batch = fastk.merged_replay([series]).next_batch()
        for ask in (batch.decoded, batch.rows(0).decoded):
            with pytest.raises(InvalidInput, match=r"'text'.* is text, and has no natural units"):
                ask("text")

    def test_each_series_is_decoded_by_its_own_scale(self, store):
        cheap = store.register_kline_series("A", "1m", MINUTE, price_scale=10)
        dear = store.register_kline_series("B", "1m", MINUTE, price_scale=1_000)
        for series in (cheap, dear):
            series.put(bars(count=1))
        assert fastk.merged_replay([cheap, dear]).next_batch().decoded("close").tolist() == [100.1, 1.001]

    @pytest.mark.parametrize(
        ("dtypes", "common"),
        [("i1 i4", "i4"), ("i8 u1", "i8"), ("f4 f8", "f8"), ("i4 f8", "f8"), ("i8 f8", None), ("i8 u8", None),
         ("? i8", None), ("S2 S5", "S5"), ("S2 i8", None), ("i4 f4", "f8")],
    )  # fmt: skip
    def test_dtypes_meet_in_one_that_holds_all_or_not_at_all(self, store, dtypes, common):
        handles = []
        for place, dtype in enumerate(dtypes.split()):
            schema = Schema("mine", [("ts", "i8"), ("x", dtype)])
            handles.append(store.register_series((f"S{place}", "own", "x"), schema))
            handles[-1].put({"ts": [place], "x": np.array([1]).astype(dtype)})
        batch = fastk.merged_replay(handles).next_batch()
        if common is None:
            with pytest.raises(InvalidInput, match="no dtype holds 'x' of all series exactly"):
                batch.column("x")
        else:
            assert batch.column("x").dtype == np.dtype(common)
            assert [float(value) for value in batch.column("x")] == [1, 1]


class TestBadInput:
    def test_is_refused(self, store, klines, ticks):
        for series, message in (
            ([], "needs a series or more"),
            (klines, "takes a list of series"),
            ([klines, "BTC"], "takes series handles"),
            ([klines, ticks, klines], "BTC/kline/1m is named twice"),
        ):
            with pytest.raises(InvalidInput, match=message):
                fastk.merged_replay(series)
        for options, message in (
            ({"start": 2, "end": 1}, "start 2 lies after its end 1"),
            ({"start": "2024", "end": "2023"}, "lies after"),
            ({"batch_rows": 0}, "1 row or more"),
            ({"priority": "kline"}, "priority"),
            ({"priority": ["a", "a"]}, "priority"),
            ({"priority": 5}, "priority lists names"),
            (
                {"priority": ["klines", "trade"]},
                "priority names 'klines', .* give book_delta, bbo, trade, kline, scalar",
            ),
        ):
            with pytest.raises(InvalidInput, match=message):
                fastk.merged_replay([klines, ticks], **options)
        with pytest.raises(InvalidInput, match="1 row or more, not 0"):
            fastk.merged_replay([klines]).next_batch(0)
        with pytest.raises(NotFound):
            store.replay_merged([klines, ("ETH", "kline", "1m")])

    @pytest.mark.parametrize("given", [None, 5, "BTC"])
    def test_what_is_no_list_of_series_is_refused(self, store, given):
        for replay in (fastk.merged_replay, store.replay_merged):
            with pytest.raises(InvalidInput, match="takes a list of series, not"):
                replay(given)

    def test_one_handle_is_no_list(self, store, klines):
        for replay in (fastk.merged_replay, store.replay_merged):
            with pytest.raises(InvalidInput, match="takes a list of series; series"):
                replay(klines)

    def test_a_time_that_the_finer_unit_cannot_count_is_refused(self, store):
        coarse = store.register_series(("A", "own", "x"), LOOSE)
        fine = store.register_series(("B", "own", "x"), LOOSE, time_unit="ns")
        far = 250_000_000_000_000
        coarse.put({"ts": [1, far], "tag": [0, 1]})
        fine.put({"ts": [2_000_000], "tag": [0]})
        with pytest.raises(InvalidInput, match=f"A/own/x: ts {far} does not fit int64"):
            fastk.merged_replay([coarse, fine])
        assert fastk.merged_replay([coarse, fine], end=2**62).next_batch().ts.tolist() == [1_000_000, 2_000_000]


class TestResuming:
    @pytest.fixture
    def handles(self, klines, ticks):
        klines.put(bars(count=5))
        ticks.put(trades([JANUARY, JANUARY + 1]))
        return [klines, ticks]

    def token(self, handles, **options):
        return fastk.merged_replay(handles, batch_rows=3, **options).next_batch().token()

    def test_a_merge_of_chunks_changes_nothing(self, handles, store):
        klines = handles[0]
        klines.put(bars(JANUARY + 5 * MINUTE, 1))
        token = self.token(handles)
        before = events_of(fastk.merged_replay(handles, resume=token))
        klines.merge()
        assert events_of(fastk.merged_replay(handles, resume=token)) == before

    def test_another_process_goes_on(self, handles, store):
        token = self.token(handles, start=JANUARY + 1, priority=["kline"])
        with fastk.open(store.root, "r") as other:
            resumed = other.replay_merged([handle.key for handle in handles], resume=token)
            assert (resumed.position, len(resumed)) == (3, 5)
            assert resumed.next_batch().ts.tolist() == [JANUARY + 3 * MINUTE, JANUARY + 4 * MINUTE]

    def test_changed_rows_are_named(self, handles, store):
        token = self.token(handles)
        handles[1].put(trades([JANUARY + 7], first_id=90))
        with pytest.raises(InvalidInput, match=r"rows of BTC/trade/spot were changed.*content sequence 2 then, 3 now"):
            fastk.merged_replay(handles, resume=token)

    def test_a_series_registered_anew_is_named(self, handles, store):
        token = self.token(handles)
        store.drop_series(("BTC", "kline", "1m"))
        store.register_kline_series("BTC", "1m", MINUTE).put(bars(count=5))
        with pytest.raises(InvalidInput, match="BTC/kline/1m was registered anew"):
            fastk.merged_replay(handles, resume=token)

    def test_other_series_are_refused(self, handles):
        token = self.token(handles)
        for others in (handles[::-1], handles[:1]):
            with pytest.raises(InvalidInput, match="2 series BTC/kline/1m, BTC/trade/spot, in this order"):
                fastk.merged_replay(others, resume=token)

    def test_another_question_is_refused(self, handles):
        token = self.token(handles, start=JANUARY, end=JANUARY + 9 * MINUTE)
        for options in ({"start": JANUARY + 1}, {"end": JANUARY}, {"priority": ["kline"]}):
            with pytest.raises(InvalidInput, match="is not that of the token"):
                fastk.merged_replay(handles, resume=token, **options)
        same = fastk.merged_replay(handles, JANUARY, JANUARY + 9 * MINUTE, resume=token)
        assert same.position == 3

    def test_text_that_is_no_token_is_refused(self, handles):
        token = json.loads(self.token(handles))
        broken = [
            "", "{}", "[]", "1", b"{}", 7, '{"fastk_replay":1}',
            json.dumps(token | {"after": [1, 2]}),
            json.dumps(token | {"after": [1, 9, 0]}),
            json.dumps(token | {"after": [JANUARY, 1, 7]}),
            json.dumps(token | {"events": "3"}),
            json.dumps(token | {"events": True}),
            json.dumps(token | {"events": -3}),
            json.dumps(token | {"events": 2**63}),
            json.dumps(token | {"after": [JANUARY + 5, *token["after"][1:]]}),
            json.dumps(token | {"series": [[1, 2, 3, 4, 5]] * 2}),
            json.dumps(token | {"series": [["a", "b"]]}),
            json.dumps(token | {"fastk_replay": 2}),
            json.dumps(token | {"more": 1}),
        ]  # fmt: skip
        for text in broken:
            with pytest.raises(InvalidInput, match="token"):
                fastk.merged_replay(handles, resume=text)


def test_the_snapshot_is_that_of_the_beginning(store, klines):
    klines.put(bars(count=4))
    replay = fastk.merged_replay([klines], batch_rows=2)
    first = replay.next_batch()
    klines.put(bars(JANUARY + 4 * MINUTE, 4))
    klines.delete_range(JANUARY, JANUARY + MINUTE)
    assert isinstance(replay, MergedReplay)
    assert replay.next_batch().rows(0).close.tolist() == [1_021, 1_031]
    assert first.rows(0).close.tolist() == [1_001, 1_011]
    assert replay.is_exhausted


def test_only_rows_that_share_a_ts_are_sorted(store, monkeypatch):
    rows = [(ts, -ts) for ts in range(40)] + [(7, 3), (7, -9), (20, -50)]
    handles = register(store, [(TICK, rows, 43), (SINGLE, [(7, 0)], 1)])
    expected = expected_order(handles, ["tick"])
    monkeypatch.setattr(merged, "_GREATEST_BLOCK", 1_000)
    monkeypatch.setattr(merged, "_LEAST_BLOCK", 1_000)
    sizes, lexsort = [], np.lexsort
    monkeypatch.setattr(np, "lexsort", lambda keys: (sizes.append(len(keys[0])), lexsort(keys))[1])
    assert events_of(fastk.merged_replay(handles, priority=["tick"])) == expected
    assert sizes == [5]


def test_small_batches_of_many_series_look_at_those_with_events_only(store, monkeypatch):
    handles = register(store, [(SINGLE, [(place, 0)], 1) for place in range(30)])
    batch = fastk.merged_replay(handles, batch_rows=2).next_batch()
    looked_at, rows = [], ReplayBatch.rows
    monkeypatch.setattr(ReplayBatch, "rows", lambda batch, place: (looked_at.append(place), rows(batch, place))[1])
    assert [source for source, _ in batch] == looked_at == batch.source.tolist()


def test_columns_of_a_batch_in_one_chunk_are_not_copied(store, klines, ticks):
    klines.put(bars(count=100))
    ticks.put(trades(JANUARY + np.arange(50) * MINUTE))
    batch = fastk.merged_replay([klines, ticks], batch_rows=60).next_batch()
    for source, series in enumerate((klines, ticks)):
        rows = batch.rows(source)
        assert np.shares_memory(rows.ts, series.range().ts)
        assert not rows.ts.flags.writeable


def test_the_sources_of_a_batch_cannot_be_changed(klines, ticks):
    """The gathering of columns trusts them: another number would read beside the columns."""
    batch = fastk.merged_replay([klines, ticks]).next_batch()
    with pytest.raises(ValueError, match="read-only"):
        batch.source[0] = 9


def test_more_series_than_sixteen_bits_can_count_are_labelled_by_thirty_two(monkeypatch, store):
    handles = register(store, [(SINGLE, [(1, 0)], 1), (SINGLE, [(0, 0)], 1)])
    short = fastk.merged_replay(handles).next_batch()
    monkeypatch.setattr(merged, "_MOST_SHORT_LABELS", 1)
    long = fastk.merged_replay(handles).next_batch()
    assert (short.source.dtype, long.source.dtype) == (np.uint16, np.uint32)
    assert long.source.tolist() == short.source.tolist() == [1, 0]
    assert long.rows(1).ts.tolist() == [0]
