"""Rows of damaged chunks that lie elsewhere: in the chunks that were merged, or under the name of another chunk."""

import random

import numpy as np
import pytest
from builders import DAY, FEBRUARY, HOUR, JANUARY, MINUTE, bars
from recovery_stores import (
    BLOCK,
    KEY,
    as_newer_format,
    assert_sound,
    chunk_files,
    codes,
    columns,
    cut,
    flip,
    flip_value,
    header_of,
    manifest,
    mend,
    quarantined,
    rebuild,
)

import fastk
from fastk.io.disk import Disk
from fastk.recovery.repair import repair

PUTS, EACH = 4, 3_000


def lost_rows(report):
    return sum(each.rows for each in report.lost_rows)


def part(rows, low, high):
    return {name: column[low:high] for name, column in rows.items()}


@pytest.fixture
def merged(folder_in_memory):
    """Two months, each merged from four chunks that wait beside the merged one. Their rows."""
    root = folder_in_memory / "store"
    with fastk.open(root, policy=fastk.CompactionPolicy(tier_fanout=0)) as store:
        series = store.register_kline_series("BTCUSDT", "1m", MINUTE, zone_maps=["close"])
        for start in (JANUARY, FEBRUARY):
            rows = bars(start, PUTS * EACH)
            for number in range(PUTS):
                series.append(part(rows, number * EACH, (number + 1) * EACH))
        series.merge()
    return root, columns(root)


def write_more(root):
    """Rows change after the merge, so that the manifest does not vouch for the sources."""
    with fastk.open(root) as store:
        store.series(KEY).append(bars(FEBRUARY + 20 * DAY, 7))
    return columns(root)


def merged_files(root):
    return [file for file in chunk_files(root) if ".merged." in file.name]


def sources(root, month="2024-01"):
    return [file for file in chunk_files(root) if file.name.startswith(month) and ".merged." not in file.name]


DAMAGES = {
    "missing": lambda file: file.unlink(),
    "emptied": lambda file: cut(file, 0),
    "without a header": lambda file: flip(file, 200),
    "cut in its header": lambda file: cut(file, 150),
    "cut in its rows": lambda file: cut(file, file.stat().st_size // 2),
    "of damaged blocks": lambda file: [flip_value(file, name, 5) for name in ("ts", "open", "volume")],
    "replaced by another": lambda file: file.write_bytes(merged_files_of(file)[1].read_bytes()),
}


def merged_files_of(file):
    return sorted(file.parent.glob("*.merged.*.chunk"))


class TestSourcesOfAMerge:
    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
    @pytest.mark.parametrize("goes_on", [False, True], ids=["last", "rows changed since"])
    def test_give_all_rows_back(self, merged, damage, goes_on):
        root, before = merged
        if goes_on:
            before = write_more(root)
        damage(merged_files(root)[0])
        report = mend(root)
        assert (report.lost_rows, report.salvaged_rows) == ([], PUTS * EACH)
        assert columns(root) == before
        assert [each.rsplit("/")[-1][:7] for each in report.salvaged_chunk_paths] == ["2024-01"]

    @pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
    def test_also_where_all_manifests_are_rebuilt(self, merged, damage):
        root, before = merged
        damage(merged_files(root)[0])
        assert rebuild(root).lost_rows == []
        assert columns(root) == before

    @pytest.mark.parametrize("first", [0, 3], ids=["before its neighbours", "behind them"])
    def test_of_a_put_that_merged_its_neighbours_give_all_but_its_own_rows(self, folder_in_memory, first):
        """They do not add up to the chunk: the rows of the put are in no other file."""
        root, rows, size = folder_in_memory / "store", bars(JANUARY, 4 * BLOCK), BLOCK
        with fastk.open(root, policy=fastk.CompactionPolicy(tier_fanout=0)) as store:
            series = store.register_kline_series("BTCUSDT", "1m", MINUTE)
            for number in (0, 1, 2, 3):
                if number != first:
                    series.put(part(rows, number * size, (number + 1) * size))
        with fastk.open(root) as store:
            store.series(KEY).put(part(rows, first * size, (first + 1) * size))
        before = columns(root)
        (merged,) = (file for file in chunk_files(root) if header_of(file).rows == 4 * BLOCK)
        for row in range(0, 4 * BLOCK, BLOCK):
            flip_value(merged, "close", row)
        report = mend(root)
        assert [(each.start_ts, each.rows) for each in report.lost_rows] == [(JANUARY + first * BLOCK * MINUTE, BLOCK)]
        kept = slice(BLOCK, None) if first == 0 else slice(3 * BLOCK)
        assert columns(root) == {name: column[kept] for name, column in before.items()}

    def test_what_both_sides_lost_is_lost_and_no_more(self, merged):
        """Blocks of the merged chunk and of a source are not the same rows: each verifies by the merged header."""
        root, before = merged
        flip_value(merged_files(root)[0], "close", 0)
        flip_value(merged_files(root)[0], "close", BLOCK)
        flip_value(sources(root)[0], "close", 10)
        report = mend(root)
        assert [(each.start_ts, each.rows) for each in report.lost_rows] == [(JANUARY, BLOCK)]
        assert columns(root) == {name: column[BLOCK:] for name, column in before.items()}

    def test_damaged_ones_give_their_sound_rows_where_the_manifest_vouches_for_them(self, merged):
        root, before = merged
        merged_files(root)[0].unlink()
        flip_value(sources(root)[1], "close", 10)
        report = mend(root)
        assert [(each.start_ts, each.rows) for each in report.lost_rows] == [(JANUARY + EACH * MINUTE, EACH)]
        assert columns(root) == {name: column[:EACH] + column[2 * EACH :] for name, column in before.items()}

    def test_one_that_is_gone_leaves_nothing_to_add_up(self, merged):
        root, before = merged
        merged_files(root)[0].unlink()
        sources(root)[2].unlink()
        report = mend(root)
        assert lost_rows(report) == PUTS * EACH
        assert columns(root) == {name: column[PUTS * EACH :] for name, column in before.items()}

    def test_rows_that_are_back_stay_back(self, merged):
        root, before = merged
        merged_files(root)[0].unlink()
        mend(root)
        manifest(root).unlink()
        mend(root)
        assert columns(root) == before
        with fastk.open(root) as store:
            assert store.gc(grace_seconds=0).problems == []
            assert store.series(KEY).put(bars(FEBRUARY + 20 * DAY, 7)).accepted == 7
        assert_sound(root)


class TestRowsThatWereReplaced:
    """The retired chunk has the same times and as many rows, and other values: it must not come back."""

    @pytest.fixture
    def replaced(self, folder_in_memory):
        root = folder_in_memory / "store"
        with fastk.open(root) as store:
            series = store.register_kline_series("BTCUSDT", "1m", MINUTE)
            series.put(bars(JANUARY, 2 * BLOCK))
            other = {name: column + (name != "ts") for name, column in bars(JANUARY + 5 * MINUTE, 1).items()}
            series.put(other, on_conflict="replace")
        return root, columns(root)

    @pytest.mark.parametrize("damage", [DAMAGES["missing"], DAMAGES["without a header"], DAMAGES["emptied"]])
    def test_without_a_header_all_are_lost(self, replaced, damage):
        root, _ = replaced
        damage(merged_files(root)[0])
        assert lost_rows(mend(root)) == 2 * BLOCK
        assert columns(root)["ts"] == []

    def test_with_one_the_blocks_of_other_values_are_lost(self, replaced):
        root, before = replaced
        for row in (0, BLOCK):
            flip_value(merged_files(root)[0], "close", row)
        report = mend(root)
        assert [(each.start_ts, each.rows) for each in report.lost_rows] == [(JANUARY, BLOCK)]
        assert columns(root) == {name: column[BLOCK:] for name, column in before.items()}


@pytest.mark.parametrize("seed", range(20))
def test_no_damage_to_merged_chunks_and_sources_ever_gives_a_wrong_row(folder_in_memory, seed):
    chance, root = random.Random(seed), folder_in_memory / "store"
    with fastk.open(root) as store:
        series = store.register_kline_series("BTCUSDT", "1m", MINUTE)
        for _ in range(chance.randint(3, 9)):
            start, count = JANUARY + chance.randint(0, 40) * 300 * MINUTE, chance.randint(1, 9_000)
            series.put(bars(start, count), on_conflict="replace")
            if chance.random() < 0.4:
                series.merge()
    before = columns(root)
    rows = dict(zip(before["ts"], zip(*before.values(), strict=True), strict=True))
    for file in chance.sample(chunk_files(root), chance.randint(1, len(chunk_files(root)))):
        place = chance.choice([chance.randrange(400), chance.randrange(file.stat().st_size)])
        chance.choice([lambda f: f.unlink(), lambda f, p=place: flip(f, p), lambda f, p=place: cut(f, p)])(file)
    report = repair(Disk(), str(root))
    assert_sound(root)
    found = columns(root)
    assert all(rows[row[0]] == row for row in zip(*found.values(), strict=True))
    assert len(found["ts"]) + lost_rows(report) == len(rows)


class TestPlacesThatWereChanged:
    """Two chunk files of a series lie under each other's names."""

    @pytest.fixture
    def swapped(self, root):
        before = columns(root)
        one, other = chunk_files(root)
        one.rename(f"{one}.moving")
        other.rename(one)
        one.with_name(f"{one.name}.moving").rename(other)
        return before

    def test_costs_no_row(self, root, swapped):
        assert codes(root) == ["foreign_file", "foreign_file"]
        assert mend(root).lost_rows == []
        assert columns(root) == swapped

    def test_costs_no_row_without_a_manifest(self, root, swapped):
        manifest(root).unlink()
        report = mend(root)
        assert (report.lost_rows, report.unrepaired) == ([], [])
        assert columns(root) == swapped

    def test_damaged_blocks_are_found_under_the_other_name(self, root, swapped):
        flip_value(chunk_files(root)[1], "close", 0)
        assert lost_rows(mend(root)) == BLOCK
        assert columns(root) == {name: column[BLOCK:] for name, column in swapped.items()}

    def test_a_live_chunk_and_a_retired_one(self, merged):
        root, before = merged
        live, old = merged_files(root)[0], sources(root)[0]
        content = live.read_bytes()
        live.write_bytes(old.read_bytes())
        old.write_bytes(content)
        assert mend(root).lost_rows == []
        assert columns(root) == before

    def test_a_chunk_that_was_given_any_other_name(self, root):
        before = columns(root)
        file = chunk_files(root)[0]
        file.rename(file.with_name("2024-05.00000001-0003.chunk"))
        assert mend(root).lost_rows == []
        assert columns(root) == before
        assert "2024-05.00000001-0003.chunk" in quarantined(root)

    def test_a_copy_under_another_name_is_no_second_chunk(self, root):
        before = columns(root)
        (chunk_files(root)[0].with_name("2024-01.00000001-0003.chunk")).write_bytes(chunk_files(root)[0].read_bytes())
        manifest(root).unlink()
        mend(root)
        assert columns(root) == before


class TestDigitsOfTheVersion:
    def test_a_flipped_one_is_damage_and_no_newer_format(self, root):
        before = columns(root)
        flip(chunk_files(root)[0], 7, 1)
        assert codes(root) == ["corrupt_header"]
        assert mend(root).lost_rows == []
        assert columns(root) == before

    def test_also_where_more_of_the_header_is_damaged(self, root):
        for place in (7, 40):
            flip(chunk_files(root)[0], place, 1)
        assert codes(root) == ["corrupt_header"]
        assert lost_rows(mend(root)) == 10_000

    @pytest.mark.parametrize("spoil", [lambda file: flip(file, 7, 1), as_newer_format], ids=["flipped", "newer"])
    @pytest.mark.parametrize("is_lost", [False, True], ids=["manifest", "no manifest"])
    def test_of_a_retired_chunk_they_hinder_no_rebuild(self, merged, spoil, is_lost):
        root, _ = merged
        before = write_more(root)
        spoil(sources(root)[0])
        if is_lost:
            manifest(root).unlink()
        report = rebuild(root)
        assert (report.lost_rows, report.unrepaired) == ([], [])
        assert columns(root) == before


def test_a_stranger_in_a_chunk_s_place_takes_nothing_out(root):
    """What a chunk of another series says of ids is not about this one."""
    with fastk.open(root) as store:
        other = store.register_kline_series("XRPUSDT", "1m", MINUTE)
        for hour in range(2):
            other.append(bars(JANUARY + hour * HOUR, 5))
        other.merge()
    stranger = chunk_files(root, ("XRPUSDT", "kline", "1m"))[-1]
    taken = set(header_of(stranger).superseded.tolist())
    assert header_of(chunk_files(root)[1]).identity.chunk_id in taken
    chunk_files(root)[0].write_bytes(stranger.read_bytes())
    mend(root)
    manifest(root).unlink()
    mend(root)
    assert columns(root)["ts"] == (FEBRUARY + np.arange(50) * MINUTE).tolist()
