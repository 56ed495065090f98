"""How many rows are lost with a chunk whose header nobody can read: a count, a bound, or that nobody knows."""

import pytest
from builders import JANUARY, MARCH
from recovery_stores import KEY, ROWS, chunk_files, cut, flip, folder, january, manifest, mend

from fastk.cli import admin
from fastk.io.disk import Disk
from fastk.recovery.repair import repair
from fastk.recovery.reports import LostRows, how_many


def remove_sidecars(root):
    for file in (folder(root) / "chunks").glob("*.zmap"):
        file.unlink()


@pytest.fixture
def headless(root):
    """January has no header, and the manifest that knew its rows is gone."""
    manifest(root).unlink()
    flip(january(root), 200)
    return root


def test_a_sidecar_counts_them(headless):
    (lost,) = mend(headless).lost_rows
    assert (lost.rows, lost.at_most, lost.reason) == (ROWS, False, "corrupt_header")
    assert lost.start_ts <= JANUARY <= lost.end_ts < MARCH


def test_a_damaged_sidecar_counts_nothing_and_the_size_of_the_file_bounds_them(headless):
    flip(january(headless).with_name(f"{january(headless).name}.zmap"), 41)
    (lost,) = mend(headless).lost_rows
    assert lost.at_most
    assert ROWS <= lost.rows <= 1.01 * ROWS


def test_a_file_that_was_cut_bounds_nothing(headless, capsys):
    remove_sidecars(headless)
    cut(january(headless), 300)
    assert admin.main(["repair", "--root", str(headless)]) == 1
    assert "rows that nobody can count are lost: see lost_rows" in capsys.readouterr().err


def test_parts_of_a_commit_that_may_have_counted_are_bounded_as_well(root):
    manifest(root).unlink()
    remove_sidecars(root)
    newest = chunk_files(root)[1]
    flip(newest, 200)
    (lost,) = repair(Disk(), str(root)).lost_rows
    assert (lost.reason, lost.at_most) == ("leftover", True)
    assert 50 <= lost.rows < 100


def test_nothing_is_known_of_a_series_without_any_sound_chunk_but_what_sidecars_know(root):
    manifest(root).unlink()
    for file in chunk_files(root):
        flip(file, 200)
    report = repair(Disk(), str(root))
    assert sorted(lost.rows for lost in report.lost_rows) == [50, ROWS]
    assert not any(lost.at_most for lost in report.lost_rows)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([(1_000, False), (50, False)], "1,050 rows"),
        ([(1_000, True), (50, False)], "up to 1,050 rows"),
        ([(1_000, False), (None, False)], "1,000 rows, and more that nobody can count,"),
        ([(1_000, True), (None, False)], "up to 1,000 rows, and more that nobody can count,"),
        ([(None, False)], "rows that nobody can count"),
    ],
)
def test_the_sum_in_words(counts, words):
    assert how_many([LostRows(str(KEY), None, None, rows, "", "", at_most) for rows, at_most in counts]) == words
