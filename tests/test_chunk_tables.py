"""The tables of chunks behind a manifest: edits copy what they change, and stay in order however chunks arrive.

With the limits made small, a few hundred chunks pass through everything that a hundred thousand would.
"""

from pathlib import Path

import numpy as np
import pytest
from builders import FIXED_FIXTURES, JANUARY, MINUTE, assert_rows, bars, joined, temporary_store
from hypothesis import given
from hypothesis import strategies as st

import fastk
from fastk.format import chunk_tables, retired, tables
from fastk.format.manifest import Manifest
from fastk.keys import SeriesKey
from fastk.schema.settings import SeriesSettings

SETTINGS = SeriesSettings(SeriesKey("X", "c", "n"), fastk.KLINE, 7, 1)
HOUR = 3_600_000


@pytest.fixture(params=[(1, 1), (3, 8), (8, 3)], ids=str)
def limits(request, monkeypatch):
    """Most chunks inline, and most chunks in a table."""
    monkeypatch.setattr(chunk_tables, "INLINE_MAX", request.param[0])
    monkeypatch.setattr(chunk_tables, "TABLE_MAX", request.param[1])
    return request.param


class Files:
    """Table files in a dictionary: what a disk would hold."""

    def __init__(self):
        self.stored = {}

    def load(self, leaf):
        return tables.parse_table(self.stored[int(leaf["table_id"])], tables.CHUNK, 7, int(leaf["table_id"]), "memory")


def chunk_items(spans, first_id):
    items = np.zeros(len(spans), tables.CHUNK)
    items["state"] = tables.ChunkState.SEALED
    for place, (start, end) in enumerate(spans):
        items[place]["chunk_id"] = first_id + place
        items[place]["start_ts"], items[place]["end_ts"], items[place]["rows"] = start, end, end - start + 1
    items["file_length"] = 8 * items["rows"]
    return items


def apply(manifest, files, items):
    """Commit chunks, check the invariants of what results, and return it with the ids of tables left behind."""
    sequence = manifest.sequence + 1
    edit = chunk_tables.edit(manifest, files.load, tables.NO_CHUNKS, items, sequence)
    for table_id, data in edit.files:
        assert table_id not in files.stored, "a table's name is never used again"
        files.stored[table_id] = data
    leaves = edit.leaf_table
    result = Manifest(SETTINGS, sequence, sequence, 0, leaves, edit.chunks)
    named = set(leaves["table_id"].tolist())
    before = set(manifest.leaves["table_id"].tolist())
    assert set(edit.left) == before - named, "what is no longer named is left, and nothing else"
    assert {table_id for table_id, _ in edit.files} == named - before
    assert len(named) == leaves.size
    return result


def all_items(manifest, files):
    pieces = [files.load(leaf) for leaf in manifest.leaves]
    for leaf, piece in zip(manifest.leaves, pieces, strict=True):
        assert int(leaf["chunks"]) == piece.size <= chunk_tables.TABLE_MAX
        assert (leaf["start_ts"], leaf["end_ts"]) == (piece["start_ts"][0], piece["end_ts"][-1])
        assert int(leaf["rows"]) == int(piece["rows"].sum())
        assert int(leaf["crc"]) == tables.table_crc(files.stored[int(leaf["table_id"])])
    return np.concatenate([tables.NO_CHUNKS, *pieces, manifest.chunks])


# A commit is a set of places in time, in any order; a place taken twice is a delta of the same partition.
COMMITS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True), min_size=1, max_size=20)


@pytest.mark.slow
@FIXED_FIXTURES
@given(COMMITS, st.booleans())
def test_chunks_stand_in_order_of_time_whatever_order_they_came_in(limits, commits, one_ts):
    """Deltas of a place go on behind its last row or, with ``one_ts``, at the very ts of its only rows."""
    manifest, files, model, used = Manifest(SETTINGS, 1, 1, 0), Files(), [], {}
    for commit in commits:
        spans = []
        for place in sorted(commit):
            count = used[place] = used.get(place, 0) + 1
            start = place * 1_000 + (0 if one_ts else count * 10)
            spans.append((start, start if one_ts else start + 9))
        items = chunk_items(spans, 1 + len(model))
        manifest = apply(manifest, files, items)
        model = sorted([*model, *zip(items["start_ts"].tolist(), items["chunk_id"].tolist(), strict=True)])
        stored = all_items(manifest, files)
        assert list(zip(stored["start_ts"].tolist(), stored["chunk_id"].tolist(), strict=True)) == model
        assert manifest.chunks.size <= chunk_tables.INLINE_MAX


@pytest.mark.slow
@FIXED_FIXTURES
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 3))
def test_chunks_that_share_a_ts_keep_their_order_of_commit(limits, moves, early):
    """Each commit goes on at the last ts or behind it; some chunks before all of them come in between."""
    manifest, files = Manifest(SETTINGS, 1, 1, 0), Files()
    ts, behind, before = 1_000, [], []
    for number, moves_on in enumerate(moves, 1):
        end = ts + moves_on
        manifest = apply(manifest, files, chunk_items([(ts, end)], number))
        behind.append(number)
        ts = end
        if early and number % (early + 1) == 0:
            manifest = apply(manifest, files, chunk_items([(-number, -number)], 1_000 + number))
            before.insert(0, 1_000 + number)
        assert all_items(manifest, files)["chunk_id"].tolist() == before + behind


def test_an_append_writes_a_table_only_when_the_inline_part_is_full(monkeypatch):
    monkeypatch.setattr(chunk_tables, "INLINE_MAX", 10)
    monkeypatch.setattr(chunk_tables, "TABLE_MAX", 40)
    manifest, files, written = Manifest(SETTINGS, 1, 1, 0), Files(), []
    for number in range(500):
        before = len(files.stored)
        manifest = apply(manifest, files, chunk_items([(number * 10, number * 10 + 9)], number + 1))
        written.append(len(files.stored) - before)
    assert sum(written) <= 500 // 10
    assert max(written) == 1
    assert 500 // 40 <= manifest.leaves.size <= 500 // 20
    assert len(manifest.encode()) < 4_000


def test_tables_of_old_snapshots_are_not_touched(limits):
    manifest, files = Manifest(SETTINGS, 1, 1, 0), Files()
    states = []
    for number in range(40):
        place = number * 7 % 40
        manifest = apply(manifest, files, chunk_items([(place * 10, place * 10 + 9)], number + 1))
        states.append((manifest, all_items(manifest, files).tobytes()))
    assert all(all_items(state, files).tobytes() == content for state, content in states)


# What is retired


def advance(manifest, files, identities, now, grace, sequence):
    newly = [retired.item(identity, tables.RetiredKind.CHUNK_TABLE, now, sequence) for identity in identities]

    def load(leaf):
        return tables.parse_table(files[int(leaf["table_id"])], tables.RETIRED, 7, int(leaf["table_id"]), "memory")

    edit = retired.advance(manifest, load, newly, now, grace, sequence)
    for table_id, data in edit.files:
        assert table_id not in files
        files[table_id] = data
    following = Manifest(SETTINGS, sequence, sequence, now, retired_table=edit.table, retired=edit.inline)
    return following, [(int(item["kind"]), int(item["identity"])) for item in edit.expired]


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), min_size=1, max_size=40),
    st.sampled_from([0, 10, 50, 10**6]),
    st.sampled_from([1, 3, 256]),
)
def test_retired_files_are_kept_for_the_grace_period_and_removed_once(steps, grace, inline_max):
    chunk_kind, table_kind = tables.RetiredKind.CHUNK_TABLE, tables.RetiredKind.RETIRED_TABLE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retired, "INLINE_MAX", inline_max)
        manifest, files, now, retired_at, removed = Manifest(SETTINGS, 1, 1, 0), {}, 1_000, {}, []
        for sequence, (count, elapsed) in enumerate(steps, 2):
            now += elapsed
            fresh = [sequence * 100 + place for place in range(count)]
            retired_at |= dict.fromkeys(fresh, now)
            manifest, expired = advance(manifest, files, fresh, now, grace, sequence)
            for kind, identity in expired:
                assert (kind, identity) not in removed, "nothing is removed twice"
                removed.append((kind, identity))
                if kind == chunk_kind:
                    assert retired_at[identity] <= now - grace, "readers keep their time"
            assert manifest.retired.size <= inline_max + 1
        # A quiet time later all that ever retired is gone, and so are the tables that remembered it.
        for sequence in range(len(steps) + 2, len(steps) + 6):
            now += grace + 1
            manifest, expired = advance(manifest, files, [], now, grace, sequence)
            removed += expired
        assert {identity for kind, identity in removed if kind == chunk_kind} == set(retired_at)
        assert {identity for kind, identity in removed if kind == table_kind} == set(files)
        assert len(removed) == len(set(removed))
        assert manifest.retired.size == manifest.retired_table.size == 0


# Through the store


def table_files(store):
    return sorted(path.name for path in Path(store.root).rglob("*.table"))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_a_hundred_small_puts_in_any_order(limits, order):
    places = np.arange(100)
    if order == "backwards":
        places = places[::-1]
    elif order == "shuffled":
        places = np.random.default_rng(1).permutation(places)
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        for place in places.tolist():
            series.put(bars(JANUARY + place * HOUR, 2))
        expected = joined(*(bars(JANUARY + place * HOUR, 2) for place in range(100)))
        for opened in (store, fastk.open(store.root, "r")):
            handle = opened.kline("BTC", "1m")
            assert_rows(handle.range(), expected)
            assert_rows(handle.latest(200), expected)
            assert len(handle.chunk_inventory()) == 100
            found = handle.at_many(expected["ts"][::-1])
            assert_rows(found.rows, {name: column[::-1] for name, column in expected.items()})
            for place in range(0, 100, 13):
                ts = JANUARY + place * HOUR
                assert handle.range(ts, ts + HOUR).ts.tolist()[:2] == [ts, ts + MINUTE]
                assert handle.at(ts).ts == ts
                assert handle.at(ts + 2 * MINUTE) is None


def test_a_reader_keeps_its_state_while_tables_are_rewritten(limits):
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        for place in range(20, 40):
            series.put(bars(JANUARY + place * HOUR, 2))
        with fastk.open(store.root, "r") as reader:
            pinned = reader.kline("BTC", "1m")
            assert len(pinned) == 40
            for place in range(20):
                series.put(bars(JANUARY + place * HOUR, 2))
            assert_rows(pinned.range(), joined(*(bars(JANUARY + place * HOUR, 2) for place in range(20, 40))))
            assert pinned.refresh()
            assert len(pinned.range()) == 80


def test_tables_no_longer_named_are_removed_after_the_grace_period(limits):
    with temporary_store(grace_seconds=0) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        for place in np.random.default_rng(2).permutation(60).tolist():
            series.put(bars(JANUARY + place * HOUR, 1))
        series.put(bars(JANUARY + 100 * HOUR, 1))
        manifest = series._reader.newest().manifest
        kept = {
            f"chunks.{int(each) >> 20:08d}-{int(each) & (1 << 20) - 1:04d}.table"
            for each in manifest.leaves["table_id"]
        }
        waiting = manifest.retired.size
        assert kept <= set(table_files(store))
        assert len(table_files(store)) <= len(kept) + waiting
        assert len(series.range()) == 61


def test_tables_stay_during_the_grace_period(limits):
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE, partition="hour")
        seen = set()
        for place in np.random.default_rng(3).permutation(40).tolist():
            series.put(bars(JANUARY + place * HOUR, 1))
            seen |= set(table_files(store))
        assert set(table_files(store)) == seen


@pytest.mark.slow
def test_thousands_of_small_puts_with_the_real_limits():
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE)
        for place in range(2_500):
            series.append(bars(JANUARY + place * MINUTE, 1))
        assert series.range().ts.tolist() == bars(JANUARY, 2_500)["ts"].tolist()
        manifest = series._reader.newest().manifest
        assert manifest.leaves.size == 1
        assert manifest.chunks.size <= chunk_tables.INLINE_MAX
        assert len(manifest.encode()) < 64 * 1024
        with fastk.open(store.root, "r") as reader:
            assert reader.kline("BTC", "1m").latest(2_000).ts[0] == JANUARY + 500 * MINUTE
