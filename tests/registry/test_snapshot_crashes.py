"""The power goes, the process is killed, or the disk fails while a version is made: it is whole, or it is not there."""

import errno
import os
import shutil
from contextlib import suppress

import pytest
from builders import DAY, JANUARY, bars, temporary_folder
from dataset_stories import MONTHS, picture, picture_of
from support.disks import FailingSystem, Journal, Killed, RecordingDisk, write_image

import fastk
import fastk.io.disk
import fastk.io.lock
from fastk import DatasetRegistry
from fastk.io.disk import Disk, SyncFailed
from fastk.registry.versions import read_version

NAME = ("crypto", "1")


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch):
    """What is looked at are recorded effects; waiting for the real medium would only cost time."""
    monkeypatch.setattr(fastk.io.disk, "_sync_descriptor", lambda descriptor: None)


@pytest.fixture
def place():
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def registry():
    with DatasetRegistry.in_memory() as opened:
        yield opened


def make_live(folder):
    """Two series, three chunks: what a version is made of, below a folder that takes all effects."""
    folder.mkdir(exist_ok=True)
    with fastk.open(folder / "live") as store:
        store.register_kline_series("BTCUSDT", "1d", DAY, 100, 1).put(bars(JANUARY, 3, DAY))
        store.series(("BTCUSDT", "kline", "1d")).put(bars(MONTHS[1], 3, DAY))
        key = fastk.feature_series_key("BTCUSDT", "1d", "rsi_14")
        store.register_scalar_series(key, DAY).put({"ts": [JANUARY], "value": [7]})
        return picture(store)


def snapshot(folder, registry, disk=None):
    with fastk.open(folder / "live", lock_timeout=0.2, disk=disk) as store:
        return store.snapshot(*NAME, folder / "base", registry)


def root_below(folder):
    return folder / "base" / "datasets" / NAME[0] / NAME[1]


def is_made(folder, expected):
    """Whether the version is there; if so, it is whole."""
    root = root_below(folder)
    if not root.exists():
        return False
    found = read_version(Disk(), str(root))
    assert found is not None, "a folder bears the name, and is no version"
    assert picture_of(root) == expected
    with DatasetRegistry.in_memory() as registry:
        record = registry.adopt(root)
        fastk.open_dataset(record.ref, registry=registry, digest="verify").close()
    return True


@pytest.mark.slow
def test_a_power_cut_leaves_the_whole_version_or_none(place, registry):
    expected = make_live(place)
    journal = Journal(place)
    snapshot(place, registry, RecordingDisk(journal))
    seen, outcomes = set(), set()
    for length in range(len(journal.effects) + 1):
        for image in journal.images(length, seed=length):
            key = frozenset(image.items())
            if key in seen:
                continue
            seen.add(key)
            after = place / "after"
            shutil.rmtree(after, ignore_errors=True)
            try:
                outcomes.add(is_made(write_image(image, after), expected))
                assert picture_of(after / "live") == expected
            except Exception as error:
                happened = "\n  ".join(map(str, journal.effects[:length]))
                raise AssertionError(f"after the effects\n  {happened}\nthe disk may hold {sorted(image)}") from error
    assert outcomes == {True, False}


def test_the_row_commits_when_the_version_is_durable(place, registry, monkeypatch):
    expected = make_live(place)
    journal = Journal(place)
    committed_after = []
    real = DatasetRegistry.new_dataset

    def watched(self, record):
        block = real(self, record)
        leave = block.__exit__

        class Watched:
            def __enter__(self):
                return block.__enter__()

            def __exit__(self, *error):
                committed_after.append(len(journal.effects))
                return leave(*error)

        return Watched()

    monkeypatch.setattr(DatasetRegistry, "new_dataset", watched)
    snapshot(place, registry, RecordingDisk(journal))
    for number, image in enumerate(journal.images(committed_after[0])):
        assert is_made(write_image(image, place / f"after {number}"), expected)


@pytest.mark.slow
def test_a_killed_builder_leaves_a_version_or_a_folder_that_the_next_one_removes(place, monkeypatch):
    rehearsal = place / "rehearsal"
    make_live(rehearsal)
    journal = Journal(rehearsal)
    with DatasetRegistry.in_memory() as registry:
        snapshot(rehearsal, registry, RecordingDisk(journal))
    leftovers = 0
    for length in range(len(journal.effects)):
        folder = place / f"killed after {length}"
        expected = make_live(folder)
        with DatasetRegistry.in_memory() as registry:
            with pytest.raises(Killed):
                snapshot(folder, registry, RecordingDisk(Journal(folder), stop_after=length))
            assert registry.list_datasets() == []
            report = fastk.verify_datasets(registry, folder / "base")
            assert report.is_sound
            assert len(report.unregistered) + len(report.abandoned) <= 1
            if is_made(folder, expected):
                assert report.unregistered == (str(root_below(folder)),)
                with pytest.raises(fastk.InvalidInput, match="fastk registry adopt"):
                    snapshot(folder, registry)
                registry.adopt(root_below(folder))
            else:
                leftovers += len(report.abandoned)
                result = snapshot(folder, registry)
                assert result.removed_folders == report.abandoned
            with fastk.open_dataset(NAME, base=folder / "base", registry=registry, digest="verify") as version:
                assert picture(version) == expected
            after = fastk.verify_datasets(registry, folder / "base")
            assert (after.is_sound, after.unregistered, after.abandoned) == (True, (), ())
    assert leftovers > 5


FAULTS = {
    "no space": OSError(errno.ENOSPC, "No space left on device"),
    "io error": OSError(errno.EIO, "Input/output error"),
    "interrupt": KeyboardInterrupt(),
}


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in place of", "behind"])
@pytest.mark.parametrize(
    "fault", ["io error", *(pytest.param(name, marks=pytest.mark.slow) for name in ("no space", "interrupt"))]
)
def test_a_call_that_fails_leaves_nothing_half_made(place, monkeypatch, fault, after):
    """Whichever call of the system fails: an error and no version, or the version; and the next one succeeds."""
    expected = make_live(place)
    number, outcomes = 0, set()
    while True:
        system = FailingSystem(number, FAULTS[fault], after=after)
        shutil.rmtree(place / "base", ignore_errors=True)
        with DatasetRegistry.in_memory() as registry:
            with monkeypatch.context() as patch:
                patch.setattr(fastk.io.disk, "os", system)
                patch.setattr(fastk.io.lock, "os", system)
                with suppress(OSError, KeyboardInterrupt, fastk.FastKError):
                    snapshot(place, registry)
            made = is_made(place, expected)
            assert made or registry.list_datasets() == []
            outcomes.add((made, bool(registry.list_datasets())))
            if not made:
                assert root_below(place).parent.exists() is False or not os.listdir(root_below(place).parent)
                snapshot(place, registry)
                assert is_made(place, expected)
        assert picture_of(place / "live") == expected
        number += 1
        if len(system.calls) < number:
            break
    assert number > 60
    assert (False, False) in outcomes
    assert outcomes <= {(False, False), (True, True), (True, False)}


def test_a_commit_that_fails_takes_the_name_back(place, registry, monkeypatch):
    make_live(place)

    class Failing:
        def __enter__(self):
            return None

        def __exit__(self, *error):
            raise OSError(errno.EIO, "disk I/O error")

    monkeypatch.setattr(DatasetRegistry, "new_dataset", lambda self, record: Failing())
    with pytest.raises(OSError, match="disk I/O error"):
        snapshot(place, registry)
    assert [path.name for path in (place / "base" / "datasets").iterdir()] == [".fastk.building.lock"]


def test_an_interruption_behind_the_commit_keeps_the_version(place, registry, monkeypatch):
    expected = make_live(place)
    real = DatasetRegistry.new_dataset

    class Interrupted:
        def __init__(self, block):
            self.block = block

        def __enter__(self):
            return self.block.__enter__()

        def __exit__(self, *error):
            self.block.__exit__(*error)
            raise KeyboardInterrupt

    monkeypatch.setattr(DatasetRegistry, "new_dataset", lambda self, record: Interrupted(real(self, record)))
    with pytest.raises(KeyboardInterrupt):
        snapshot(place, registry)
    assert is_made(place, expected)
    assert registry.get_dataset(*NAME) is not None


def test_a_sync_that_fails_makes_no_version_and_the_store_goes_on(place, registry, monkeypatch):
    expected = make_live(place)

    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    with fastk.open(place / "live") as store:
        with monkeypatch.context() as patch:
            patch.setattr(fastk.io.disk, "_sync_descriptor", fail)
            with pytest.raises(SyncFailed):
                store.snapshot(*NAME, place / "base", registry)
        assert not is_made(place, expected)
        store.series(("BTCUSDT", "kline", "1d")).delete_range()
        store.snapshot(*NAME, place / "base", registry)
