"""An import that was killed goes on where it was: no row is missing, and none is there twice."""

import os
from pathlib import Path

import pytest
from builders import temporary_folder
from file_calls import BARS, FIRST, HEADER, MINUTE, bar_line, refused, take, write
from support.disks import InterruptedDisk
from support.processes import children

import fastk

ROWS, BATCH = 40, 4


def text(count=ROWS):
    return "\n".join([HEADER, *(bar_line(minute, str(1000 + minute), minute) for minute in range(count))])


class _Stop(BaseException):
    """As if somebody pressed a key."""


def stop_at(what, rows):
    def tell(said, done_rows, done, total):
        if said == what and done_rows >= rows:
            raise _Stop

    return tell


def scratch(store):
    return [path for path in Path(store.root).parent.iterdir() if ".import-" in path.name]


def assert_whole(store, count=ROWS):
    series = store.series(BARS)
    series.refresh()
    rows = series.range()
    assert rows.ts.tolist() == [FIRST + minute * MINUTE for minute in range(count)]
    assert rows.volume.tolist() == list(range(count))
    assert scratch(store) == []


@pytest.mark.parametrize("policy", ["error", "skip_identical", "replace"])
@pytest.mark.parametrize("stored", [BATCH, 3 * BATCH, ROWS])
def test_going_on(store, tmp_path, policy, stored):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, on_conflict=policy, progress=stop_at("storing", stored))
    assert len(store.series(BARS)) == stored
    assert len(scratch(store)) == 1
    report = take(store, path, batch_rows=BATCH, on_conflict=policy)
    assert (report.resumed, report.accepted) == (stored, ROWS - stored)
    assert_whole(store)


@pytest.mark.parametrize("policy", ["error", "skip_identical", "replace"])
def test_a_batch_that_was_stored_but_not_noted(store, tmp_path, policy):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, on_conflict=policy, progress=stop_at("storing", 3 * BATCH))
    (folder,) = scratch(store)
    (folder / "rows" / "progress.json").write_text('{"rows": 8}')
    report = take(store, path, batch_rows=BATCH, on_conflict=policy)
    assert report.resumed + report.identical == 3 * BATCH
    assert_whole(store)


@pytest.mark.parametrize("what", ["reading", "checking"])
def test_stopped_before_anything_was_stored(store, tmp_path, what):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, progress=stop_at(what, 1))
    assert not store.series(BARS).exists
    assert take(store, path, batch_rows=BATCH).accepted == ROWS
    assert_whole(store)


def test_a_stopped_import_at_once(store, tmp_path):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, atomic=True, progress=stop_at("storing", 3 * BATCH))
    assert len(store.series(BARS)) == 0
    assert take(store, path, batch_rows=BATCH, atomic=True).accepted == ROWS
    assert_whole(store)


def test_a_dry_run_that_was_stopped(store, tmp_path):
    path = write(tmp_path, text() + "\nsoon")
    with pytest.raises(_Stop):
        take(store, path, dry_run=True, progress=stop_at("checking", 1))
    with pytest.raises(fastk.InvalidInput, match="line 42: 1 cells"):
        take(store, path)
    assert len(take(store, path, dry_run=True).problems) == 1
    assert scratch(store) == []


def test_going_on_with_another_policy(store, tmp_path):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, progress=stop_at("storing", 2 * BATCH))
    assert take(store, path, batch_rows=BATCH, on_conflict="replace").resumed == 2 * BATCH
    assert_whole(store)


@pytest.mark.parametrize("torn", ["", '{"rows"', "{}"])
def test_a_torn_note_of_how_far_it_came(store, tmp_path, torn):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, progress=stop_at("storing", 3 * BATCH))
    (folder,) = scratch(store)
    (folder / "rows" / "progress.json").write_text(torn)
    assert take(store, path, batch_rows=BATCH).identical == 3 * BATCH
    assert_whole(store)


def test_another_input_is_another_import(store, tmp_path):
    path = write(tmp_path, text())
    with pytest.raises(_Stop):
        take(store, path, batch_rows=BATCH, progress=stop_at("storing", 2 * BATCH))
    write(tmp_path, text(ROWS + 1))
    with pytest.raises(fastk.Conflict):
        take(store, path, batch_rows=BATCH)
    assert take(store, path, batch_rows=BATCH, on_conflict="skip_identical").identical == 2 * BATCH
    assert len(scratch(store)) == 1  # of the import that nobody went on with
    assert len(store.series(BARS)) == ROWS + 1


def test_a_conflict_is_no_interruption(store, tmp_path):
    take(store, write(tmp_path, "\n".join([HEADER, bar_line(30, "1030", 30)]), "one.csv"))
    path = write(tmp_path, text())
    with pytest.raises(fastk.Conflict, match="28 rows of the files, all before these, are stored"):
        take(store, path, batch_rows=BATCH)
    assert scratch(store) == []
    assert "is stored already" in refused(store, path, batch_rows=BATCH)
    assert take(store, path, batch_rows=BATCH, on_conflict="skip_identical").identical == 29
    assert_whole(store)


def test_two_imports_of_the_same_at_once(store, tmp_path):
    path = write(tmp_path, text())

    def second(*told):
        with pytest.raises(fastk.LockTimeout):
            take(store, path)
        raise _Stop

    with pytest.raises(_Stop):
        take(store, path, progress=second)


def test_a_scratch_folder_elsewhere(store, tmp_path):
    seen = []
    elsewhere = tmp_path / "elsewhere"
    path = write(tmp_path, text())
    take(store, path, scratch=elsewhere, progress=lambda *told: seen.extend(os.listdir(elsewhere)))
    assert seen
    assert os.listdir(elsewhere) == []
    assert_whole(store)


def import_and_tell(pipe, root, path):
    """Another process: an import that tells each batch, and is killed on the way."""

    def tell(what, rows, done, total):
        if what == "storing":
            pipe.send(rows)
            pipe.recv()

    with fastk.open(root) as store:
        take(store, path, batch_rows=BATCH, progress=tell)


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 2, 5])
def test_killed(store, tmp_path, batches):
    path = write(tmp_path, text())
    with children((import_and_tell, store.root, path)) as (child,):
        for batch in range(1, batches + 1):
            assert child.hear() == batch * BATCH
            if batch < batches:
                child.say("go on")
        child.kill()
        assert child.end() < 0
    store.refresh()
    assert len(store.series(BARS)) == batches * BATCH
    report = take(store, path, batch_rows=BATCH)
    assert report.resumed == batches * BATCH
    assert_whole(store)


@pytest.mark.slow
def test_interrupted_behind_any_effect(tmp_path):
    """An interrupt comes behind effect n on the store, for every n; the next import brings the rest."""
    path = write(tmp_path, text(12))
    effect, failed = 0, True
    while failed:
        with temporary_folder() as folder:
            failed = _fails_at(effect, folder / "store", path)
            with fastk.open(folder / "store") as store:
                take(store, path, batch_rows=BATCH, on_conflict="error" if failed else "skip_identical")
                assert_whole(store, 12)
        effect += 1
    assert effect > 30


def _fails_at(effect, root, path):
    """Whether the import came so far."""
    try:
        with fastk.open(root, disk=InterruptedDisk(effect)) as store:
            take(store, path, batch_rows=BATCH)
    except KeyboardInterrupt:
        return True
    return False
