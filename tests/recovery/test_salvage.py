"""Damaged chunks: what verifies in all columns lives on in a new chunk, the rest is named, row for row."""

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, bars, trades
from recovery_stores import (
    BLOCK,
    KEY,
    ROWS,
    SIGNAL,
    TRADES,
    chunk_files,
    columns,
    cut,
    flip,
    flip_value,
    folder,
    header_of,
    january,
    mend,
    offset_of,
    quarantined,
    rebuild,
    sidecar,
    without,
)

import fastk


def lost(report):
    return [(each.start_ts, each.end_ts, each.rows) for each in report.lost_rows]


@pytest.fixture
def before(root):
    return columns(root)


def test_the_rows_of_a_damaged_block_are_lost_and_no_others(root, before):
    damaged = january(root).name
    flip_value(january(root), "close", BLOCK + 1)
    report = mend(root)
    assert lost(report) == [(JANUARY + BLOCK * MINUTE, JANUARY + (2 * BLOCK - 1) * MINUTE, BLOCK)]
    assert (report.lost_rows[0].series, report.lost_rows[0].reason) == ("BTCUSDT/kline/1m", "corrupt_block")
    assert report.salvaged_rows == ROWS - BLOCK
    assert columns(root) == without(before, (BLOCK, 2 * BLOCK))
    assert quarantined(root) == [damaged, f"{damaged}.zmap"]


def test_damage_in_several_columns_adds_up(root, before):
    flip_value(january(root), "open", 1)
    flip_value(january(root), "ts", ROWS - 1)
    report = mend(root)
    assert lost(report) == [
        (JANUARY, JANUARY + (BLOCK - 1) * MINUTE, BLOCK),
        (JANUARY + 2 * BLOCK * MINUTE, JANUARY + (ROWS - 1) * MINUTE, ROWS - 2 * BLOCK),
    ]
    assert columns(root) == without(before, (0, BLOCK), (2 * BLOCK, ROWS))


def test_of_a_torn_file_the_rows_before_the_tear_stay(root, before):
    file = january(root)
    cut(file, offset_of(file, "volume", BLOCK + 5))
    report = mend(root)
    assert report.salvaged_rows == BLOCK
    assert columns(root) == without(before, (BLOCK, ROWS))
    assert lost(report) == [(JANUARY + BLOCK * MINUTE, JANUARY + (ROWS - 1) * MINUTE, ROWS - BLOCK)]


def test_a_file_whose_rows_are_all_sound_loses_none(root, before):
    """Bytes behind its end, or a trailer that is gone."""
    with january(root).open("ab") as opened:
        opened.write(bytes(100))
    report = mend(root)
    assert (report.lost_rows, report.salvaged_rows) == ([], ROWS)
    assert columns(root) == before
    flip(january(root), january(root).stat().st_size - 1)
    assert mend(root).lost_rows == []
    assert columns(root) == before


@pytest.mark.parametrize("how", ["missing", "no header", "every block damaged", "emptied"])
def test_a_chunk_without_sound_rows_is_let_go(root, before, how):
    file = january(root)
    if how == "missing":
        file.unlink()
    elif how == "no header":
        flip(file, 100)
    elif how == "emptied":
        cut(file, 0)
    else:
        for row in range(0, ROWS, BLOCK):
            flip_value(file, "low", row)
    report = mend(root)
    assert sum(rows for _, _, rows in lost(report)) == ROWS
    assert (lost(report)[0][0], lost(report)[-1][1]) == (JANUARY, JANUARY + (ROWS - 1) * MINUTE)
    assert columns(root) == without(before, (0, ROWS))
    assert (file.name in quarantined(root)) == (how != "missing")


def test_several_chunks_of_a_series_are_mended_in_one_commit(root, before):
    first, second = chunk_files(root)
    flip_value(first, "close", 0)
    with second.open("ab") as opened:
        opened.write(b"more")
    report = mend(root)
    with fastk.open(root, "r") as store:
        assert store.series(KEY).sequence == 4
    assert [header_of(file).identity.parts for file in chunk_files(root)] == [2, 2]
    assert (report.salvaged_rows, columns(root)) == (ROWS - BLOCK + 50, without(before, (0, BLOCK)))


def test_rows_of_equal_times_are_counted_exactly(folder_in_memory):
    ts = JANUARY + np.arange(3 * BLOCK) // 100
    with fastk.open(folder_in_memory) as store:
        store.register_trade_series("ETHUSDT", "raw").put(trades(ts))
    before = columns(folder_in_memory, TRADES)
    flip_value(chunk_files(folder_in_memory, TRADES)[0], "flags", BLOCK)
    report = mend(folder_in_memory)
    assert lost(report) == [(ts[BLOCK], ts[2 * BLOCK - 1], BLOCK)]
    assert columns(folder_in_memory, TRADES) == without(before, (BLOCK, 2 * BLOCK))


def test_the_new_chunk_says_what_it_takes_the_place_of(root):
    old = header_of(january(root)).identity
    flip_value(january(root), "close", 0)
    mend(root)
    new = header_of(january(root))
    assert new.superseded.tolist() == [old.chunk_id]
    assert new.identity.partition == old.partition
    assert new.identity.base_sequence == 3


@pytest.mark.parametrize("how", ["salvaged", "let go"])
def test_lost_rows_do_not_come_back_by_a_rebuild(root, how):
    kept = january(root).read_bytes(), january(root)
    if how == "salvaged":
        flip_value(january(root), "close", 0)
    else:
        january(root).unlink()
    mend(root)
    mended = columns(root)
    kept[1].write_bytes(kept[0])
    (folder(root) / "series.meta").unlink()
    rebuild(root)
    assert columns(root) == mended


def test_writing_goes_on(root):
    flip_value(january(root), "close", 0)
    mend(root)
    with fastk.open(root) as store:
        assert store.series(KEY).put(bars(FEBRUARY + 60 * MINUTE, 3)).sequence == 5
    assert len(columns(root)["ts"]) == ROWS - BLOCK + 53


class TestSidecars:
    def test_whatever_is_wrong_with_them_they_are_made_anew(self, root):
        zones, index = sidecar(root, ".zmap"), sidecar(root, ".vix")
        expected = zones.read_bytes(), index.read_bytes()
        flip(zones, 100)
        index.unlink()
        report = mend(root)
        assert (zones.read_bytes(), index.read_bytes()) == expected
        assert report.rebuilt_sidecar_paths == [str(each.relative_to(root)) for each in (zones, index)]
        assert (report.lost_rows, quarantined(root)) == ([], [zones.name])

    def test_no_commit_is_made_for_them(self, root):
        sidecar(root, ".vix").unlink()
        mend(root)
        with fastk.open(root, "r") as store:
            assert store.series(SIGNAL).sequence == 2

    def test_zones_keep_their_size_where_it_can_be_told(self, root):
        with fastk.open(root) as store:
            store.series(SIGNAL).put({"ts": FEBRUARY + np.arange(100), "value": np.arange(100)}, zone_rows=8)
        file = sorted((folder(root, SIGNAL) / "chunks").glob("*.zmap"))[1]
        expected = file.read_bytes()
        flip_value(chunk_files(root, SIGNAL)[1], "value", 3)
        with chunk_files(root, SIGNAL)[1].open("ab") as opened:
            opened.write(b"more")
        assert len(expected) > 300
        mend(root)
        with fastk.open(root, "r") as store:
            assert store.series(SIGNAL).query_capabilities("value").has_vix

    def test_queries_use_them_again(self, root):
        sidecar(root, ".vix").write_bytes(b"torn")
        mend(root)
        with fastk.open(root, "r") as store:
            found = store.series(SIGNAL).where("value", fastk.Eq(7))
            assert found.stats.index_used is not None
            assert len(found) == np.count_nonzero(np.arange(600) * 7919 % 101 == 7)
