"""Chunks that claim the same time: only damage brings them about, and one rule says which of them count."""

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MARCH, bars
from hypothesis import given
from hypothesis import strategies as st
from recovery_stores import (
    ROWS,
    TRADES,
    chunk_files,
    columns,
    flip,
    make_store,
    manifest,
    mend,
    quarantined,
    settings_of,
    write_commit,
)

import fastk
from fastk.io.disk import Disk
from fastk.recovery.listings import explain_overlaps
from fastk.recovery.overlaps import Stretch, choose, contested_window, groups_of


def stretch(start, end, chunk_id, generation=1, rows=1):
    return Stretch(f"c{chunk_id}", start, end, rows, generation, chunk_id)


class TestGroups:
    def test_neighbours_form_none(self):
        assert groups_of([stretch(5, 9, 2), stretch(0, 4, 1)], unique_ts=True) == []

    def test_neighbours_may_share_a_time_where_equal_ones_are_allowed(self):
        shared = [stretch(0, 5, 1), stretch(5, 5, 2), stretch(5, 9, 3)]
        assert groups_of(shared, unique_ts=False) == []
        assert groups_of(shared, unique_ts=True) == [shared]

    def test_a_long_chunk_joins_what_lies_within_it(self):
        whole, first, second = stretch(0, 10, 1), stretch(2, 3, 2), stretch(5, 6, 3)
        assert groups_of([second, whole, first], unique_ts=True) == [[whole, first, second]]


class TestTheChoice:
    def test_the_highest_generation_that_covers_the_contested_time(self):
        old, new = stretch(0, 10, 1, generation=1), stretch(0, 10, 2, generation=2)
        assert choose([old, new], unique_ts=True).winners == [new]

    def test_then_the_longest_then_the_most_rows_then_the_name(self):
        assert choose([stretch(0, 9, 1), stretch(2, 10, 2)], unique_ts=True).winners == [stretch(0, 9, 1)]
        many, few = stretch(0, 9, 1, rows=9), stretch(0, 9, 2, rows=3)
        assert choose([many, few], unique_ts=True).winners == [many]
        assert choose([stretch(0, 9, 1), stretch(0, 9, 2)], unique_ts=True).winners == [stretch(0, 9, 2)]

    def test_a_higher_generation_that_does_not_cover_it_loses(self):
        whole, middle, other = stretch(0, 10, 1), stretch(2, 4, 2, generation=9), stretch(6, 8, 3)
        assert contested_window([whole, middle, other]) == (2, 8)
        assert choose([whole, middle, other], unique_ts=True).winners == [whole]

    def test_where_none_covers_it_the_newest_commit_wins_whole(self):
        first, second, third, last = (stretch(5 * place, 5 * place + 6, place) for place in range(4))
        choice = choose([first, second, third, last], unique_ts=True)
        assert (choice.winners, choice.losers) == ([second, last], [first, third])

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=9),
        st.booleans(),
    )
    def test_what_is_left_never_interleaves(self, spans, unique_ts):
        every = [stretch(a, a + length, place, generation) for place, (a, length, generation) in enumerate(spans)]
        for group in groups_of(every, unique_ts=unique_ts):
            choice = choose(group, unique_ts=unique_ts)
            assert sorted([*choice.winners, *choice.losers]) == sorted(group)
            assert choice.winners
            assert groups_of(choice.winners, unique_ts=unique_ts) == []


class TestInAStore:
    """The chunk that says what it superseded is gone, and so is the manifest."""

    @pytest.fixture
    def torn(self, root):
        settings, february = settings_of(root), chunk_files(root)[1]
        first, second = write_commit(
            root,
            4,
            3,
            {"2024-01": bars(JANUARY, ROWS), "2024-02": bars(FEBRUARY, 60)},
            superseded=[2 << 20, 3 << 20],
        )
        write_commit(root, 5, 4, {"2024-03": bars(MARCH, 5)}, of=settings)
        flip(first, 40)
        manifest(root).unlink()
        return february, first, second

    def test_it_is_explained(self, root, torn):
        february, _, second = torn
        (found,) = explain_overlaps(Disk(), str(root))
        assert found.series_dir == "series/BTCUSDT/kline/1m"
        assert found.resolution.month_key == "2024-02"
        assert found.resolution.winner_relative_path == f"chunks/{second.name}"
        assert found.resolution.participants == sorted([f"chunks/{february.name}", f"chunks/{second.name}"])

    def test_it_is_resolved_and_the_losers_are_kept_aside(self, root, torn):
        february, first, _ = torn
        report = mend(root)
        assert len(report.overlap_resolutions) == 1
        assert quarantined(root) == sorted([february.name, f"{february.name}.zmap", first.name])
        (lost,) = report.lost_rows  # and not the rows of February, which the commit of the winner had replaced
        assert (lost.reason, lost.at_most) == ("corrupt_header", True)
        assert ROWS <= lost.rows < ROWS + 50
        assert len(columns(root)["ts"]) == ROWS + 65

    def test_a_sound_store_has_nothing_to_explain(self, root):
        assert explain_overlaps(Disk(), str(root)) == []


def test_rows_of_one_time_in_several_chunks_keep_their_order(folder_in_memory):
    make_store(folder_in_memory / "store").close()
    root = folder_in_memory / "store"
    with fastk.open(root) as store:
        last = store.series(TRADES).latest(1)[0]
        for number in range(3):
            row = (
                last._asdict()
                if hasattr(last, "_asdict")
                else dict(zip(store.series(TRADES).schema.names, last, strict=True))
            )
            store.series(TRADES).put([row | {"trade_id": 1_000 + number}])
    before = columns(root, TRADES)
    manifest(root, TRADES).unlink()
    mend(root)
    assert columns(root, TRADES) == before
    assert np.diff(before["ts"]).min() == 0
