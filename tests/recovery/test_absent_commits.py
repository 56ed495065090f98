"""Manifest and chunks lost at once: what the files that are left prove to be gone, and what they cannot tell."""

import json
import sys

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, temporary_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from recovery_stores import assert_sound, chunk_files, cut, flip, folder, manifest, mend, write_commit

import fastk
from fastk.cli import admin
from fastk.io.disk import Disk
from fastk.recovery.repair import repair

KEY = ("X", "feature", "y")


def rows(first: int, count: int, add: int = 0, start: int = JANUARY) -> dict:
    numbers = np.arange(first, first + count)
    return {"ts": start + MINUTE * numbers, "value": numbers + add}


def values(root) -> list[int]:
    with fastk.open(root, "r") as store:
        return store.series(KEY).range().value.tolist()


def chunk_of(root, sequence: int, part: int = 0):
    (file,) = [file for file in chunk_files(root, KEY) if f".{sequence:08d}-{part:04d}." in file.name]
    return file


@pytest.fixture
def store(folder_in_memory):
    """Commit 2 puts 100 rows, and commit 3 replaces 50 of them."""
    with fastk.open(folder_in_memory / "store") as store:
        series = store.register_scalar_series(KEY, MINUTE)
        series.put(rows(0, 100))
        series.put(rows(0, 50, 1000), on_conflict="replace")
        yield store


def root_of(store):
    return folder(store.root, KEY).parents[3]


def append(store, count: int) -> None:
    for number in range(1, count + 1):
        store.series(KEY).append(rows(100 * number, 100))


def lose_manifest(store, to: bytes | None = None):
    """The root; its manifest is missing, or an old copy."""
    root = root_of(store)
    store.close()
    if to is None:
        manifest(root, KEY).unlink()
    else:
        manifest(root, KEY).write_bytes(to)
    return root


class TestLost:
    @pytest.mark.parametrize("later", [1, 2])
    @pytest.mark.parametrize("is_old", [False, True])
    def test_the_chunk_that_replaced_rows_is_missing_and_said_to_be_gone(self, store, later, is_old, capsys):
        old = manifest(root_of(store), KEY).read_bytes() if is_old else None
        append(store, later + is_old)
        root = lose_manifest(store, old)
        chunk_of(root, 3).unlink()
        assert admin.main(["repair", "--root", str(root)]) == 1
        captured = capsys.readouterr()
        (line,) = json.loads(captured.out)["unrepaired"]
        assert "commit 3 is gone: rows that it replaced or deleted may have come back" in line
        assert "commit 3 is gone" in captured.err
        assert values(root)[:2] == [0, 1]
        with fastk.open(root) as again:
            again.series(KEY).put(rows(0, 50, 1000), on_conflict="replace")
        assert values(root)[:2] == [1000, 1001]

    @pytest.mark.parametrize("damage", [lambda file: cut(file, 100), lambda file: flip(file, 40)])
    def test_a_header_that_nobody_can_read_says_which_rows_may_be_back(self, store, damage):
        append(store, 1)
        root = lose_manifest(store)
        damage(chunk_of(root, 3))
        report = mend(root)
        assert len(report.lost_rows) == len(report.unrepaired) == 1
        assert f"between ts {JANUARY} and {JANUARY + 99 * MINUTE}, those that it replaced" in report.unrepaired[0]

    def test_of_two_parts_one_is_missing(self, store):
        both = {name: np.concatenate([rows(0, 5, 7)[name], rows(0, 5, 7, FEBRUARY)[name]]) for name in ("ts", "value")}
        store.series(KEY).put(both, on_conflict="replace")
        append(store, 1)
        root = lose_manifest(store)
        chunk_of(root, 4, 1).unlink()
        (line,) = mend(root).unrepaired
        assert "part 1 of commit 4 is gone" in line

    def test_what_commit_was_the_newest_and_left_no_file_nobody_can_tell(self, store):
        root = lose_manifest(store)
        chunk_of(root, 3).unlink()
        assert mend(root).unrepaired == []
        assert values(root)[:2] == [0, 1]

    def test_beside_what_was_collected_it_is_a_doubt_in_words(self, store, capsys, monkeypatch):
        store.gc(grace_seconds=0)
        store.series(KEY).put(rows(0, 10, 2000), on_conflict="replace")
        append(store, 1)
        root = lose_manifest(store)
        chunk_of(root, 5).unlink()
        with monkeypatch.context() as terminal:
            terminal.setattr(sys.stdout, "isatty", lambda: True)
            assert admin.main(["repair", "--dry-run", "--root", str(root)]) == 0
        assert "in doubt: series/X/feature/y: no file is left" in capsys.readouterr().out
        assert admin.main(["repair", "--root", str(root)]) == 0
        (line,) = json.loads(capsys.readouterr().out)["doubts"]
        assert "no file is left of commit 5, as after a merge or a collection" in line


class TestRightlyAbsent:
    def test_a_registration_and_numbers_that_were_skipped(self, store):
        write_commit(root_of(store), 9, 3, {"2024-01": rows(0, 5)}, key=KEY)  # its writer was killed
        with fastk.open(root_of(store)) as next_writer:
            append(next_writer, 2)
        report = mend(lose_manifest(store))
        assert [chunk_of(root_of(store), number).suffix for number in (2, 3, 10, 11)] == [".chunk"] * 4
        assert (report.unrepaired, report.doubts) == ([], [])

    def test_a_manifest_that_was_rebuilt_before(self, store):
        root = root_of(store)
        for number in (1, 2):
            store.series(KEY).put(rows(100 * number, 100), on_conflict="replace")
            manifest(root, KEY).unlink()
            report = mend(root)
            assert (report.unrepaired, report.doubts, report.rebuilt_manifests) == ([], [], 1)
            store.refresh()

    def test_a_loss_beside_a_manifest_that_was_rebuilt_is_still_one(self, store):
        manifest(root_of(store), KEY).unlink()
        mend(root_of(store))
        store.refresh()
        append(store, 2)
        lost = store.series(KEY).sequence - 1
        root = lose_manifest(store)
        chunk_of(root, lost).unlink()
        (line,) = mend(root).unrepaired
        assert f"commit {lost} is gone" in line

    def test_merged_chunks_that_were_collected(self, store):
        append(store, 2)
        store.merge_series(KEY)
        store.gc(grace_seconds=0)
        report = mend(lose_manifest(store))
        assert (report.unrepaired, report.doubts) == ([], [])


OPERATIONS = {
    "put": lambda store, at: store.series(KEY).put(rows(at, 3, at), on_conflict="replace"),
    "february": lambda store, at: store.series(KEY).put(rows(at, 3, at, FEBRUARY), on_conflict="replace"),
    "delete": lambda store, at: store.series(KEY).delete_range(JANUARY, JANUARY + at * MINUTE),
    "both": lambda store, at: store.series(KEY).put(
        {name: np.concatenate([rows(at, 2, 9)[name], rows(at, 2, 9, FEBRUARY)[name]]) for name in ("ts", "value")},
        on_conflict="replace",
    ),
    "delete all": lambda store, at: store.series(KEY).delete_range(),
    "merge": lambda store, at: store.merge_series(KEY) if len(store.series(KEY)) else None,
    "gc": lambda store, at: store.gc(grace_seconds=0),
}


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, 30)), max_size=12), st.integers(0, 1))
@settings(deadline=None, max_examples=60)
def test_no_history_of_a_sound_store_looks_like_a_loss(history, grace):
    with temporary_folder() as place:
        with fastk.open(place / "store", grace_seconds=grace * 3600) as store:
            store.register_scalar_series(KEY, MINUTE).put(rows(0, 3))
            for name, at in history:
                OPERATIONS[name](store, at)
        before = values(place / "store")
        manifest(place / "store", KEY).unlink()
        report = repair(Disk(), str(place / "store"))
        assert (report.unrepaired, report.lost_rows) == ([], [])
        assert_sound(place / "store")
        assert values(place / "store") == before
