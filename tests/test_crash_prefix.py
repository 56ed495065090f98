"""The power goes at any moment: the store is what it was, or what it was to become.

Each mutation is recorded effect by effect. For every prefix of its effects, and every disk that a power cut there may
leave (unsynced names and bytes lost, kept or torn, in any mixture), the store opens, verifies, and is exactly in the
old or in the new state; a writer then goes on. Once a mutation has returned, only the new state is allowed.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.disks import Image, Journal, Killed, RecordingDisk, read_image, write_image
from support.operations import (
    FEBRUARY,
    JANUARY,
    KEY,
    OPERATIONS,
    Operation,
    Picture,
    by_name,
    columns,
    picture,
    register,
)

import fastk.io.disk
from fastk.io.disk import Disk

QUICK = {"init", "register", "first_put", "append_a_delta"}
EACH_OPERATION = [
    pytest.param(operation, id=str(operation), marks=() if str(operation) in QUICK else pytest.mark.slow)
    for operation in OPERATIONS
]


@pytest.fixture
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at here are recorded effects; waiting for the real medium would only cost time."""
    monkeypatch.setattr(fastk.io.disk, "_sync_descriptor", lambda descriptor: None)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[Image], Path]:
    """Brings images into fresh folders, one at a time."""
    place = tmp_path / "after"

    def bring(image: Image) -> Path:
        shutil.rmtree(place, ignore_errors=True)
        return write_image(image, place) / "root"

    return bring


def recorded(operation: Operation, tmp_path: Path) -> tuple[Picture, Journal, Picture]:
    """The old state, the effects of the mutation, and the new state."""
    base = tmp_path / "before"
    base.mkdir()
    old = operation.make_old_state(base / "root")
    journal = Journal(base)
    with operation.open(base / "root", RecordingDisk(journal)) as store:
        operation.perform(store)
    assert journal.effects
    return old, journal, picture(base / "root")


def describe(journal: Journal, length: int, image: Image) -> str:
    happened = "\n  ".join(map(str, journal.effects[:length]))
    return f"after the effects\n  {happened}\nthe disk may hold {sorted(image)}"


@pytest.mark.usefixtures("no_syncs")
class TestPowerCut:
    @pytest.mark.parametrize("operation", EACH_OPERATION)
    def test_leaves_the_old_or_the_new_state_and_a_writer_can_go_on(
        self, operation: Operation, tmp_path: Path, bench: Callable[[Image], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation.use_limits(monkeypatch)
        old, journal, new = recorded(operation, tmp_path)
        allowed = (old, new, {}) if old is None else (old, new)  # a root that is a store already, without the series
        seen = set()
        for length in range(len(journal.effects) + 1):
            for image in journal.images(length, seed=length):
                key = frozenset(image.items())
                if key in seen:
                    continue
                seen.add(key)
                root = bench(image)
                try:
                    assert picture(root) in allowed
                    operation.go_on(root)
                except Exception as error:
                    raise AssertionError(describe(journal, length, image)) from error

    @pytest.mark.parametrize("operation", EACH_OPERATION)
    def test_after_the_return_loses_nothing(
        self, operation: Operation, tmp_path: Path, bench: Callable[[Image], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation.use_limits(monkeypatch)
        _, journal, new = recorded(operation, tmp_path)
        for image in journal.images(len(journal.effects)):
            assert picture(bench(image)) == new, describe(journal, len(journal.effects), image)

    @pytest.mark.parametrize("operation", EACH_OPERATION)
    @pytest.mark.slow
    def test_after_a_killed_writer_and_its_successor_loses_nothing(
        self, operation: Operation, tmp_path: Path, bench: Callable[[Image], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a killed process left unsynced is visible to the next one, which must not build upon it blindly."""
        operation.use_limits(monkeypatch)
        effects = len(recorded(operation, tmp_path)[1].effects)
        for length in range(effects):
            base = tmp_path / f"killed after {length}"
            base.mkdir()
            operation.make_old_state(base / "root")
            journal = Journal(base)
            with pytest.raises(Killed):
                operation.perform(operation.open(base / "root", RecordingDisk(journal, stop_after=length)))
            operation.go_on(base / "root", RecordingDisk(journal))
            everything = columns_of(base / "root")
            for image in journal.images(len(journal.effects), seed=length):
                try:
                    assert columns_of(bench(image)) == everything
                except Exception as error:
                    raise AssertionError(describe(journal, len(journal.effects), image)) from error

    def test_after_a_return_to_a_folder_that_another_writer_removed_loses_nothing(
        self, tmp_path: Path, bench: Callable[[Image], Path]
    ) -> None:
        """A store object remembers which folders are durable; another one may have removed them meanwhile."""
        base = tmp_path / "before"
        base.mkdir()
        journal = Journal(base)
        first = fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal))
        second = fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal))
        register(first)
        second.drop_series(KEY)
        register(first).put(JANUARY)
        for image in journal.images(len(journal.effects)):
            try:
                assert columns_of(bench(image)) == {name: column.tolist() for name, column in JANUARY.items()}
            except Exception as error:
                raise AssertionError(describe(journal, len(journal.effects), image)) from error

    def test_after_a_return_to_a_folder_that_a_killed_writer_made_loses_nothing(
        self, tmp_path: Path, bench: Callable[[Image], Path]
    ) -> None:
        """The same, where a third writer has made the folder anew and was killed before it made it durable."""
        for length in range(0, 16, 2):
            base = tmp_path / f"killed after {length}"
            base.mkdir()
            journal = Journal(base)
            first = fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal))
            second = fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal))
            register(first)
            second.drop_series(KEY)
            with suppress(Killed):
                register(fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal, stop_after=length)))
            register(first).put(JANUARY)
            for image in journal.images(len(journal.effects), seed=length):
                try:
                    assert columns_of(bench(image)) == {name: column.tolist() for name, column in JANUARY.items()}
                except Exception as error:
                    raise AssertionError(describe(journal, len(journal.effects), image)) from error

    def test_after_a_registration_found_done_loses_nothing(
        self, tmp_path: Path, bench: Callable[[Image], Path]
    ) -> None:
        """Registering what a killed process has just registered is a promise too."""
        base = tmp_path / "before"
        base.mkdir()
        operation = by_name("register")
        operation.make_old_state(base / "root")
        rehearsal = tmp_path / "rehearsal"
        rehearsal.mkdir()
        length = len(recorded(operation, rehearsal)[1].effects)
        journal = Journal(base)
        with pytest.raises(Killed):
            register(fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal, stop_after=length - 1)))
        register(fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal)))
        for image in journal.images(len(journal.effects)):
            assert KEY in (picture(bench(image)) or {}), describe(journal, len(journal.effects), image)


def columns_of(root: Path) -> dict[str, list[int]]:
    with fastk.FastKStore.open(root, "r") as store:
        return columns(store.series(KEY))


class TestKilledWriter:
    """A killed process loses nothing that reached the system, and cleans nothing up either."""

    @pytest.mark.usefixtures("no_syncs")
    @pytest.mark.parametrize("operation", EACH_OPERATION)
    def test_leaves_a_store_that_a_successor_goes_on_with(
        self, operation: Operation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation.use_limits(monkeypatch)
        old, journal, new = recorded(operation, tmp_path)
        for length in range(len(journal.effects)):
            base = tmp_path / f"killed after {length}"
            base.mkdir()
            operation.make_old_state(base / "root")
            store = operation.open(base / "root", RecordingDisk(Journal(base), stop_after=length))
            with pytest.raises(Killed):
                operation.perform(store)
            assert picture(base / "root") in (old, new, {} if old is None else new)
            operation.go_on(base / "root")

    @pytest.mark.usefixtures("no_syncs")
    def test_leaves_names_that_are_never_used_again(self, tmp_path: Path) -> None:
        base = tmp_path / "base"
        base.mkdir()
        root = base / "root"
        survivor = fastk.FastKStore.open(root)
        register(survivor).put(JANUARY)
        victim = fastk.FastKStore.open(root, disk=RecordingDisk(Journal(base), stop_after=2))
        with pytest.raises(Killed):
            victim.series(KEY).put(FEBRUARY)
        leftovers = {path for path in read_image(base) if path.endswith(".chunk")}
        survivor.series(KEY).put(FEBRUARY)
        stored = {
            f"root/series/BTCUSDT/kline/1d/{meta.relative_path}" for meta in survivor.series(KEY).chunk_inventory()
        }
        assert len(leftovers - stored) == 1
        assert len(stored - leftovers) == 1
        survivor.series(KEY).verify()


class TestRealDisk:
    """The recorder takes two things on trust: that the real disk syncs files as it writes them, and folders."""

    def test_syncs_each_file_before_it_returns(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced = self.watch_syncs(monkeypatch)
        path = tmp_path / "file"
        for write in (Disk().create, Disk().replace_unnamed):
            write(str(path), [b"bytes"])
            assert synced.pop() == (path.stat().st_ino, 5)

    def test_syncs_files_created_without_when_it_is_told_to(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced, disk = self.watch_syncs(monkeypatch), Disk()
        paths = [tmp_path / str(number) for number in range(200)]
        for path in paths:
            disk.create(str(path), [b"bytes"], sync=False)
        for path in paths:
            disk.sync_file(str(path))
        assert sorted(synced) == sorted((path.stat().st_ino, 5) for path in paths)

    def test_syncs_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced = self.watch_syncs(monkeypatch)
        Disk().sync_folder(str(tmp_path))
        assert synced[0][0] == tmp_path.stat().st_ino

    def test_syncs_by_the_system_call(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if os.uname().sysname == "Darwin":
            pytest.skip("macOS needs another call")
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", synced.append)
        Disk().create(str(tmp_path / "file"), [b"bytes"])
        Disk().sync_folder(str(tmp_path))
        assert len(synced) == 2

    @staticmethod
    def watch_syncs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
        synced: list[tuple[int, int]] = []

        def watch(descriptor: int) -> None:
            status = os.fstat(descriptor)
            synced.append((status.st_ino, status.st_size))

        monkeypatch.setattr(fastk.io.disk, "_sync_descriptor", watch)
        return synced
