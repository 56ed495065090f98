"""A store from elsewhere may hold anything: whatever its names and links say, nothing outside it is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from builders import contents
from support.operations import FEBRUARY, JANUARY, KEY, THIRD, bars, register

import fastk
from fastk.format import names

OUTSIDE = b"of somebody else"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with fastk.FastKStore.open(tmp_path / "root") as store:
        register(store).put(JANUARY)
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_bytes(OUTSIDE)
    yield folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"file": OUTSIDE}


def every_change(root: Path) -> Iterator[Exception]:
    """What each way to change or read the store raises."""
    for change in (
        lambda store: store.series(KEY).range().close,
        lambda store: store.series(KEY).put(FEBRUARY),
        lambda store: store.series(KEY).append(FEBRUARY),
        lambda store: store.series(KEY).put(bars(1, first_day=1), on_conflict="replace"),
        lambda store: store.series(KEY).delete_range(),
        lambda store: store.series(KEY).merge(),
        lambda store: register(store),
        lambda store: store.drop_series(KEY),
    ):
        with fastk.FastKStore.open(root) as store, pytest.raises((fastk.InvalidData, OSError)) as refused:
            change(store)
        yield refused.value


@pytest.mark.parametrize("depth", range(5))
def test_a_folder_that_is_a_link_is_refused(root: Path, outside: Path, depth: int) -> None:
    place = root.joinpath("series", *KEY, "chunks")
    for _ in range(depth):
        place = place.parent
    shutil.rmtree(place)
    os.symlink(outside, place)
    for error in every_change(root):
        assert isinstance(error, fastk.InvalidData)
        assert f"{place} is a symbolic link" in str(error)


def test_a_manifest_that_is_a_link_is_refused(root: Path, outside: Path) -> None:
    manifest = root.joinpath("series", *KEY, "series.meta")
    copy = manifest.rename(root.parent / "elsewhere")
    os.symlink(copy, manifest)
    for error in every_change(root):
        assert str(manifest) in str(error)
        break  # a rename replaces the link itself, and touches nothing that it names
    before = copy.read_bytes()
    with fastk.FastKStore.open(root) as store:
        assert store.list_series()[0].problem is not None
    assert copy.read_bytes() == before


def test_a_chunk_that_is_a_link_is_refused(root: Path, outside: Path) -> None:
    (chunk,) = root.rglob("*.chunk")
    os.symlink(chunk.rename(root.parent / "elsewhere"), chunk)
    with fastk.FastKStore.open(root, "r") as store, pytest.raises(OSError, match=r"\.chunk"):
        store.series(KEY).range().close.sum()


def test_no_write_follows_a_link(root: Path, outside: Path) -> None:
    os.symlink(outside / "file", root.joinpath("series", *KEY, "series.meta.tmp"))
    with fastk.FastKStore.open(root) as store, pytest.raises(OSError, match="symbolic links"):
        store.series(KEY).put(FEBRUARY)


def test_a_lock_that_is_a_link_is_refused_and_the_way_out_works(root: Path, outside: Path) -> None:
    lock = root / ".fastk.write.lock"
    lock.unlink()
    os.symlink(outside / "file", lock)
    with fastk.FastKStore.open(root) as store:
        with pytest.raises(fastk.InvalidData, match=f"{lock} is a symbolic link.*remove the link"):
            store.series(KEY).put(FEBRUARY)
        lock.unlink()
        store.series(KEY).put(FEBRUARY)


@pytest.mark.parametrize("mode", ["r", "rw"])
def test_a_store_file_that_is_a_link_is_refused(root: Path, outside: Path, mode: str) -> None:
    store_file = root / "fastk.store"
    store_file.unlink()
    os.symlink(outside / "file", store_file)
    with pytest.raises(fastk.InvalidData, match=f"{store_file} is a symbolic link.*fastk_admin repair"):
        fastk.FastKStore.open(root, mode)


def test_a_root_that_is_a_link_to_itself_is_an_error_of_the_system(tmp_path: Path) -> None:
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    with pytest.raises(OSError, match="symbolic links"):
        fastk.FastKStore.open(tmp_path / "loop")


def test_dropping_moves_nothing_through_a_link(root: Path, outside: Path) -> None:
    os.symlink(outside, root / ".fastk.dropped")
    with fastk.FastKStore.open(root) as store:
        with pytest.raises(fastk.InvalidData, match="symbolic link"):
            store.drop_series(KEY)
        assert len(store.series(KEY)) == len(JANUARY["ts"])


@pytest.mark.parametrize("linked", ["the folder of a series", "its chunks", "the folder of all"])
def test_collecting_dropped_series_follows_no_link(root: Path, tmp_path: Path, linked: str) -> None:
    """A folder that was dropped long ago, by its name, is another store's series."""
    other = tmp_path / "other"
    with fastk.FastKStore.open(other) as store:
        store.register_kline_series(*KEY[::2], 60_000).put(JANUARY)
    series, aside = other.joinpath("series", *KEY), root / ".fastk.dropped"
    name = names.dropped_folder_name(5, 1_000)
    if linked == "the folder of all":
        (tmp_path / "moved").mkdir()
        series = series.rename(tmp_path / "moved" / name)
        os.symlink(series.parent, aside)
    elif linked == "its chunks":
        (aside / name).mkdir(parents=True)
        os.symlink(series / "chunks", aside / name / "chunks")
    else:
        aside.mkdir()
        os.symlink(series, aside / name)
    before = contents(series)
    with fastk.FastKStore.open(root) as store:
        report = store.gc(grace_seconds=0)
        assert report.removed_files == 0
        assert len(report.problems) == (linked == "the folder of all")
        store.series(KEY).put(FEBRUARY)
    assert contents(series) == before


def test_a_root_that_is_a_link_is_a_place_like_any_other(root: Path, tmp_path: Path) -> None:
    os.symlink(root, tmp_path / "alias")
    with fastk.FastKStore.open(tmp_path / "alias") as store:
        store.series(KEY).put(FEBRUARY)
        assert len(store.series(KEY)) == 6


def test_gc_removes_no_file_of_another_name(root: Path) -> None:
    kept = [
        root / "notes.tmp",
        root.joinpath("series", *KEY, "mine.tmp"),
        root.joinpath("series", *KEY, "chunks", "x.chunk"),
    ]
    for path in kept:
        path.write_bytes(OUTSIDE)
    with fastk.FastKStore.open(root) as store:
        store.gc(grace_seconds=0)
    assert all(path.read_bytes() == OUTSIDE for path in kept)


@pytest.mark.parametrize("name", ["series.meta", "chunks/2024-01.00000099-0000.chunk", "series.meta.tmp"])
def test_a_pipe_keeps_nobody_waiting(root: Path, name: str) -> None:
    pipe = root.joinpath("series", *KEY, name)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with fastk.FastKStore.open(root) as store:
        store.list_series()
        with suppress(fastk.FastKError, OSError):
            store.series(KEY).put(FEBRUARY)
        store.gc(dry_run=True)


@pytest.mark.parametrize("name", ["fastk.store", "series/BTCUSDT/kline/1d/series.meta"])
def test_a_giant_file_is_refused_before_it_is_read(root: Path, name: str) -> None:
    os.truncate(root / name, 6 << 30)  # a hole, which takes no room on the disk, but would in memory
    with pytest.raises(fastk.InvalidData, match="which no file of its kind has"), fastk.FastKStore.open(root) as store:
        store.series(KEY).range()


def test_nobody_else_may_write_whatever_the_umask_says(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "root"
    before = os.umask(0)
    try:
        with fastk.FastKStore.open(root, grace_seconds=0) as store:
            register(store, THIRD).put(bars(1, 2))
            store.series(THIRD).put(bars(1, first_day=3))
            store.series(THIRD).merge()
            (chunk,) = root.rglob("2024-02*.chunk")
            chunk.write_bytes(chunk.read_bytes()[:-40])
            store.repair_store()
    finally:
        os.umask(before)
    assert list(root.rglob(names.QUARANTINE_FOLDER))
    assert not [path for path in (root.parent, *root.parent.rglob("*")) if path.stat().st_mode & 0o022]
