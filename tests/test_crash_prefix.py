"""The power goes at any moment, or the process is killed: the store is what it was, or what it was to become.

Each mutation is recorded effect by effect. For every prefix of its effects, and every disk that a power cut there may
leave (unsynced names and bytes lost, kept, torn or with holes, in any mixture), the store opens, verifies, and each
series is exactly in its old or in its new state; a writer then goes on. Once a mutation has returned, only the new
state is allowed. The same holds for the rows by the chunk files alone, as if all manifests were lost as well.

`make torture` tries the same at more moments and with more mixtures.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from builders import temporary_folder
from support.crashes import Effort, Story, explained, killed_writers, power_cuts
from support.disks import Image, Journal, Killed, RecordingDisk, read_image, write_image
from support.figures import Note
from support.operations import FEBRUARY, JANUARY, KEY, OPERATIONS, Operation, by_name, columns, picture, register

import fastk.io.disk
from fastk.io.disk import Disk

QUICK = {"register", "first_put", "put_among_stored_rows", "delete_everything_again", "merge_one_partition"}


def each_story(quick: set[str]) -> pytest.MarkDecorator:
    """Every operation; those that are not quick are left to the slow tests."""
    return pytest.mark.parametrize(
        "story",
        [
            pytest.param(operation, id=str(operation), marks=() if str(operation) in quick else pytest.mark.slow)
            for operation in OPERATIONS
        ],
        indirect=True,
    )


@pytest.fixture
def story(request: pytest.FixtureRequest) -> Iterator[Story]:
    operation: Operation = request.param
    with temporary_folder() as folder, operation.limits():
        yield Story(operation, folder)


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


@each_story(QUICK | {"init", "gc_of_a_chain", "remove_chunks_without_rows", "drop_series"})
def test_a_power_cut_leaves_the_old_or_the_new_state_and_a_writer_can_go_on(story: Story, figures: Note) -> None:
    tally = power_cuts(story, Effort.wanted())
    figures("crashes", story.operation, tally.figures)
    assert tally.points == len(story.journal.effects) + 1
    assert tally.images == sum(tally.outcomes.values()) == sum(tally.rebuilt.values()) > tally.points / 2


@pytest.mark.slow
@each_story({"first_put", "delete_everything_again"})
def test_a_killed_writer_and_its_successor_lose_nothing(story: Story, figures: Note) -> None:
    tally = killed_writers(story, Effort.wanted())
    assert tally.points == len(story.journal.effects)
    figures("crashes", story.operation, {"killed writers": tally.points, "disks behind them": tally.images})


@pytest.mark.usefixtures("no_syncs")
class TestFolders:
    """Names of folders are as easily lost as names of files."""

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
            with explained(journal, len(journal.effects), image):
                assert columns_of(bench(image)) == {name: column.tolist() for name, column in JANUARY.items()}

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
                with explained(journal, len(journal.effects), image):
                    assert columns_of(bench(image)) == {name: column.tolist() for name, column in JANUARY.items()}

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
        length = len(Story(operation, rehearsal).journal.effects)
        journal = Journal(base)
        with pytest.raises(Killed):
            register(fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal, stop_after=length - 1)))
        register(fastk.FastKStore.open(base / "root", disk=RecordingDisk(journal)))
        for image in journal.images(len(journal.effects)):
            with explained(journal, len(journal.effects), image):
                assert KEY in (picture(bench(image)) or {})


def columns_of(root: Path) -> dict[str, list[int]]:
    with fastk.FastKStore.open(root, "r") as store:
        return columns(store.series(KEY))


class TestKilledWriter:
    """A killed process loses nothing that reached the system, and cleans nothing up either."""

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
