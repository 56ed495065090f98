"""What a session shows of attached series does not change, whoever writes what, until it is told to move."""

import gc
import subprocess
import sys

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, bars, temporary_store, trades
from hypothesis import given, settings
from hypothesis import strategies as st
from session_calls import FEATURE, KEYS, KLINE, OTHER, TRADES, columns, fill, shown, values

import fastk
from fastk import InvalidInput, NotFound, SnapshotExpired

MUTATIONS = {
    "append": lambda store, n: store.kline("BTC", "1m").put(bars(FEBRUARY + (100 + n) * MINUTE, 3)),
    "put among": lambda store, n: store.series(TRADES).put(trades([JANUARY + 100 + n], 1_000 + n)),
    "replace": lambda store, n: store.kline("BTC", "1m").put(
        {name: column + (name != "ts") * (n + 1) for name, column in bars(JANUARY, 5 + n).items()},
        on_conflict="replace",
    ),
    "replace a range": lambda store, n: store.series(FEATURE).replace_range(None, None, values(count=3 + n)),
    "delete": lambda store, n: store.kline("ETH", "1m").delete_range(None, JANUARY + n * MINUTE),
    "delete all": lambda store, n: store.series(FEATURE).delete_range(),
    "merge": lambda store, n: store.kline("BTC", "1m").merge(),
    "collect": lambda store, n: store.gc(),
    "collect all": lambda store, n: store.gc(grace_seconds=0),
    "refresh": lambda store, n: store.refresh(),
    "read": lambda store, n: shown_or_not(store),
}


def shown_or_not(store):
    """Reads of the live store change nothing either."""
    try:
        return shown(store)
    except SnapshotExpired:
        return None


STEPS = st.lists(st.tuples(st.sampled_from(sorted(MUTATIONS)), st.integers(0, 9), st.booleans()), max_size=7)


def run(steps, store, other):
    """Do the steps by one of two store objects each; what a state does not allow is left out."""
    for count, (name, number, by_other) in enumerate(steps):
        try:
            MUTATIONS[name](other if by_other else store, number + 10 * count)
        except (fastk.Conflict, SnapshotExpired):
            continue


@pytest.mark.slow
@settings(max_examples=25)
@given(STEPS)
def test_prewarmed_reads_do_not_change(steps):
    """Mapped files are read on, though all others were collected."""
    with temporary_store() as store, fastk.open(store.root) as other:
        before = shown(fill(store))
        session = store.read_session().attach(*KEYS)
        session.prewarm()
        run(steps, store, other)
        assert shown(session) == before


@pytest.mark.slow
@settings(max_examples=25)
@given(STEPS)
def test_reads_show_the_state_that_was_attached_or_that_it_expired(steps):
    """Nothing was mapped before, and files may have gone at once: other rows are never shown."""
    with temporary_store() as store, fastk.open(store.root) as other:
        before = shown(fill(store))
        with fastk.open(store.root) as fresh:
            session = fresh.read_session().attach(*KEYS)
            run(steps, store, other)
            if not any(name == "collect all" for name, *_ in steps):
                assert shown(session) == before
            else:
                assert shown_or_not(session) in (before, None)


@pytest.mark.slow
@settings(max_examples=25)
@given(STEPS)
def test_what_the_same_store_object_removes_is_read_on(steps):
    """Its sessions map what they need before the files go, so that not even a collection without grace takes it."""
    with temporary_store(grace_seconds=0) as store:
        before = shown(fill(store))
        session = store.read_session().attach(*KEYS)
        run([(name, number, False) for name, number, _ in steps], store, store)
        session.reset("Logical")
        assert shown(session) == before


def test_a_dropped_series_is_read_on_without_any_grace():
    with temporary_store(grace_seconds=0) as store:
        before = shown(fill(store))
        session = store.read_session().attach(*KEYS)
        for key in KEYS:
            store.drop_series(key)
        store.gc()
        assert shown(session) == before


def test_held_chunks_go_with_the_session():
    with temporary_store(grace_seconds=0) as store:
        session = fill(store).read_session().attach(KLINE)
        held = store._maps.held
        store.kline("BTC", "1m").delete_range()
        store.gc()
        assert len(held) == 2
        session.refresh()
        store.gc()
        session.reset("Logical")
        gc.collect()
        assert len(held) == 0


def test_only_what_goes_is_held_and_no_other_series_is_looked_at():
    """An append that removes old files costs the same, however many chunks and series are attached."""
    with temporary_store() as store:
        fill(store)
        with fastk.open(store.root, grace_seconds=0) as fresh:
            session = fresh.read_session().attach(*KEYS)
            for _ in range(2):  # the second removes what the first took out
                fresh.kline("BTC", "1m").put({**bars(JANUARY, 3), "close": np.arange(3)}, on_conflict="replace")
                fresh.gc()
            assert len(fresh._maps.held) == 1
            assert [reader.pinned is not None for reader in session._pins] == [True, False, False, False]


def test_sessions_hold_no_more_chunks_than_leaves_maps_to_others():
    """The system's maps are few, and memory of any kind needs them: what is more expires."""
    with temporary_store(grace_seconds=0, max_maps=8) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        series.put(bars(count=10, step=60 * MINUTE))
        sessions = [store.read_session().attach(KLINE) for _ in range(2)]
        series.delete_range()
        store.gc()
        assert len(store._maps.held) == 4
        for session in sessions:
            pinned = session.kline("BTC", "1m")
            assert pinned.range(None, JANUARY + 200 * MINUTE).close.tolist() == [1_001, 1_011, 1_021, 1_031]
            with pytest.raises(SnapshotExpired):
                pinned.at(JANUARY + 540 * MINUTE)


@pytest.mark.slow
@settings(max_examples=15)
@given(STEPS)
def test_refreshing_moves_to_what_a_new_store_object_sees(steps):
    with temporary_store() as store, fastk.open(store.root) as other:
        session = fill(store).read_session().attach(*KEYS)
        run(steps, store, other)
        session.refresh()
        with fastk.open(store.root, "r") as fresh:
            assert shown(session) == shown(fresh)
        assert session.refresh() == 0


@pytest.mark.slow
def test_writes_of_another_process_are_not_seen_until_the_session_moves(market):
    session = market.read_session().attach(*KEYS)
    before = shown(session)
    code = "import sys, fastk; s = fastk.open(sys.argv[1]); s.kline('BTC', '1m').delete_range(); s.merge_series(KEY)"
    subprocess.run([sys.executable, "-c", code.replace("KEY", repr(OTHER)), market.root], check=True)
    assert shown(session) == before
    market.refresh()
    assert len(market.kline("BTC", "1m")) == 0
    assert shown(session) == before
    assert session.refresh() == 1  # ETH had nothing to merge
    assert len(session.kline("BTC", "1m").range()) == 0


def test_what_is_attached_is_what_the_store_object_sees(market):
    with fastk.open(market.root) as other:
        assert len(other.kline("BTC", "1m")) == 80  # pins
        market.kline("BTC", "1m").delete_range()
        market.kline("ETH", "1m").delete_range()
        session = other.read_session().attach(KLINE, OTHER)
        assert len(session.kline("BTC", "1m")) == len(other.kline("BTC", "1m")) == 80
        assert len(session.kline("ETH", "1m")) == len(other.kline("ETH", "1m")) == 0


def test_sessions_of_one_store_keep_their_own_states(market):
    first = market.read_session().attach(KLINE)
    market.kline("BTC", "1m").delete_range(None, JANUARY + 9 * MINUTE)
    second = market.read_session().attach(KLINE)
    market.kline("BTC", "1m").delete_range()
    assert [len(each.kline("BTC", "1m")) for each in (first, second, market)] == [80, 70, 0]


def test_a_dropped_series_is_read_on_and_keeps_the_session_from_moving(market):
    session = market.read_session().attach(*KEYS)
    before = shown(session)
    market.drop_series(OTHER)
    market.kline("BTC", "1m").delete_range()
    assert shown(session) == before
    with pytest.raises(NotFound, match="ETH/kline/1m is not in the store, so that the session did not move"):
        session.refresh()
    assert shown(session) == before


def test_a_series_registered_anew_is_another_one(market):
    session = market.read_session().attach(OTHER)
    before = columns(session.series(OTHER).range())
    market.drop_series(OTHER)
    market.register_kline_series("ETH", "1m", MINUTE).put(bars(FEBRUARY, 2))
    assert columns(session.series(OTHER).range()) == before
    assert session.refresh() == 1
    assert len(session.series(OTHER)) == 2


def test_one_handle_can_be_moved_alone(market):
    session = market.read_session().attach(KLINE, OTHER)
    market.kline("BTC", "1m").delete_range()
    market.kline("ETH", "1m").delete_range()
    assert session.kline("BTC", "1m").refresh()
    assert (len(session.kline("BTC", "1m")), len(session.kline("ETH", "1m"))) == (0, 80)
    assert not session.kline("BTC", "1m").refresh()


def test_mapped_chunks_are_shared_with_the_store(market):
    session = market.read_session().attach(KLINE)
    rows = session.kline("BTC", "1m").range()
    assert np.shares_memory(rows.segments[0].close, market.kline("BTC", "1m").range().segments[0].close)


@pytest.mark.parametrize("begin", [fastk.FastKStore.read_session, fastk.FastKStore.backtest_view])
class TestHandlesOfTheStore:
    """A handle of the store sees what the store sees, so that a session takes none in the place of its own."""

    @pytest.mark.parametrize("form", [list, tuple, iter])
    @pytest.mark.parametrize("method", ["replay_merged", "feature_matrix"])
    def test_they_are_refused(self, market, begin, method, form):
        session, handle = begin(market).attach(KLINE), market.kline("BTC", "1m")
        handle.delete_range(JANUARY + MINUTE)
        with pytest.raises(InvalidInput):
            getattr(session, method)(form([handle]))

    def test_the_refusal_names_the_way_out(self, market, begin):
        session, handle = begin(market).attach(KLINE), market.kline("BTC", "1m")
        handle.delete_range(JANUARY + MINUTE)
        with pytest.raises(InvalidInput, match="handle of another store object or session: give the key"):
            session.replay_merged([handle])
        assert len(session.replay_merged([handle.key])) == len(session.replay_merged([session.series(KLINE)])) == 80

    def test_they_are_refused_in_files_too(self, market, begin, tmp_path):
        session, handle = begin(market).attach(KLINE), market.kline("BTC", "1m")
        for save in (session.save_feature_matrix, session.save_sequences):
            with pytest.raises(InvalidInput, match="handle of another store object"):
                save(tmp_path / "new", [handle])

    def test_a_session_of_attached_series_alone_replays_no_other(self, market, begin):
        session = begin(market, attached_only=True).attach(KLINE)
        for other in (OTHER, market.series(OTHER)):
            with pytest.raises(NotFound, match="not attached"):
                session.replay_merged([KLINE, other])
