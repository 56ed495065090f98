"""The system says no, once: no room, a broken medium, no permission, an interrupt from the keyboard.

Each mutation is repeated with every one of its system calls failing in turn. The caller gets an error that names the
path, the store is what it was (or, behind the rename, what it was to become), nothing lies about that was not there
before, and the next attempt succeeds: at once, or after reopening where a sync failed. Each call fails in one of three
ways (no room, a broken medium, no permission), by turns; with `make torture` in each.
"""

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import temporary_folder
from support.crashes import Effort, Story
from support.failures import FailingStory, Failures
from support.figures import Note
from support.operations import FEBRUARY, JANUARY, KEY, OPERATIONS, SPRING, by_name, columns, picture, register

import fastk
import fastk.io.disk
import fastk.io.lock
from fastk.io.disk import SyncFailed

QUICK = {"register", "put_among_stored_rows", "drop_series"}
SLOW = [
    pytest.param(operation, id=str(operation), marks=() if str(operation) in QUICK else pytest.mark.slow)
    for operation in OPERATIONS
]


@pytest.fixture(params=SLOW)
def story(request: pytest.FixtureRequest) -> Iterator[FailingStory]:
    with temporary_folder() as folder, request.param.limits():
        yield FailingStory(Story(request.param, folder))


@pytest.fixture
def check(story: FailingStory, figures: Note) -> Callable[..., None]:
    """Nothing went wrong; and how many calls that were."""

    def check(found: Failures, column: str = "") -> None:
        assert not found.problems, "\n".join([f"of the calls {' '.join(story.calls)}", *found.problems])
        if column:
            figures("crashes", story.story.operation, {column: found.calls})

    return check


@pytest.mark.slow
def test_one_failing_call_changes_nothing_or_everything(story: FailingStory, check: Callable[..., None]) -> None:
    found = story.fail(each=Effort.wanted().each_fault)
    check(found, "failed calls")
    assert found.outcomes["an error"] > 1


@pytest.mark.slow
def test_an_interrupt_at_any_call_changes_nothing_or_everything(
    story: FailingStory, check: Callable[..., None]
) -> None:
    check(story.interrupt(each=Effort.wanted().each_fault), "interrupts")


def test_an_interrupt_behind_any_effect_changes_nothing_or_everything(
    story: FailingStory, check: Callable[..., None]
) -> None:
    check(story.interrupt_effects(), "interrupts")


def test_short_writes_are_continued(story: FailingStory, check: Callable[..., None]) -> None:
    check(story.write_short(7))


class TestFailedSync:
    """What a failed sync leaves on the medium is unknown, so this store object writes no more, whatever comes."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[fastk.FastKStore]:
        with fastk.FastKStore.open(tmp_path / "root") as store:
            register(store).put(JANUARY)
            yield store

    def test_shuts_the_store_for_writes_but_not_for_reads(
        self, store: fastk.FastKStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.fail_a_sync(store, monkeypatch)
        for write in (lambda: store.series(KEY).put(SPRING), store.init, lambda: store.drop_series(KEY)):
            with pytest.raises(fastk.StoreClosed):
                write()
        assert columns(store.series(KEY)) == {name: column.tolist() for name, column in JANUARY.items()}
        with fastk.FastKStore.open(store.root) as again:
            again.series(KEY).put(FEBRUARY)

    def test_shuts_the_store_also_where_cleaning_up_fails_as_well(
        self, store: fastk.FastKStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A system that meets an input/output error often remounts read-only: the files cannot be removed then."""

        def read_only(path: str) -> None:
            raise OSError(errno.EROFS, "Read-only file system", path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", read_only)
            self.fail_a_sync(store, monkeypatch)
        with pytest.raises(fastk.StoreClosed):
            store.series(KEY).put(FEBRUARY)

    @staticmethod
    def fail_a_sync(store: fastk.FastKStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(fastk.io.disk, "_sync_descriptor", broken)
            with pytest.raises(OSError, match="series"):
                store.series(KEY).put(FEBRUARY)

    def test_of_the_folder_above_the_root_is_not_forgotten(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name of a new root is durable before anything in it counts, at the second attempt too."""
        store = fastk.FastKStore.open(tmp_path / "new" / "root")
        synced: list[int] = []

        def broken(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(fastk.io.disk, "_sync_descriptor", broken)
            with pytest.raises(SyncFailed):
                store.init()
        monkeypatch.setattr(
            fastk.io.disk, "_sync_descriptor", lambda descriptor: synced.append(os.fstat(descriptor).st_ino)
        )
        with pytest.raises(fastk.StoreClosed):
            store.init()
        with fastk.FastKStore.open(tmp_path / "new" / "root") as again:
            again.init()
        assert {tmp_path.stat().st_ino, (tmp_path / "new").stat().st_ino} <= set(synced)


class TestFailedRename:
    @pytest.mark.parametrize("fault", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
    def test_leaves_no_name_in_the_way_of_another_writer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
    ) -> None:
        """Where files must stay, a store object that has long been open must not stumble over their names."""
        with fastk.FastKStore.open(tmp_path / "root") as store, fastk.FastKStore.open(tmp_path / "root") as other:
            register(store).put(JANUARY)

            def broken(source: str, target: str) -> None:
                raise fault

            with monkeypatch.context() as patch:
                patch.setattr(os, "replace", broken)
                with pytest.raises(type(fault)):
                    other.series(KEY).put(FEBRUARY)
            other.close()
            store.series(KEY).put(FEBRUARY)
            assert len(store.series(KEY)) == 6
            store.series(KEY).verify()


class TestFailedRemoval:
    def test_of_files_that_nobody_needs_does_not_fail_the_put(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rows are committed: an error would make the caller repeat a put that succeeded."""
        operation = by_name("expire_a_retired_table")
        operation.use_limits(monkeypatch)
        operation.make_old_state(tmp_path / "root")
        store = operation.open(tmp_path / "root")
        removed: list[str] = []

        def refuse(path: str) -> None:
            removed.append(path)
            raise PermissionError(errno.EACCES, "Permission denied", path)

        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refuse)
            operation.perform(store)
        assert removed
        seen = picture(tmp_path / "root")
        operation.go_on(tmp_path / "root", seen, seen)


class TestFullDisk:
    def test_fails_a_put_clearly_and_takes_the_next_one(self, tmp_path: Path) -> None:
        """The limit on file sizes is a real full disk in small: the system refuses in the middle of a write."""
        with fastk.FastKStore.open(tmp_path / "root") as store:
            register(store).put(JANUARY)
        program = """
            import resource, signal, sys, numpy, fastk
            store = fastk.FastKStore.open(sys.argv[1])
            series = store.kline("BTCUSDT", "1d")
            rows = {name: numpy.arange(10_000) for name in series.schema.names}
            rows["ts"] = 1_706_745_600_000 + rows["ts"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            try:
                series.put(rows)
            except OSError as error:
                print(error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(len(series), series.put(rows).accepted, len(series))
        """
        result = run(program, tmp_path / "root")
        said, counts = result.stdout.splitlines()
        assert "File too large" in said
        assert ".chunk" in said
        assert counts == "3 10000 10003"

    @pytest.mark.slow
    def test_is_survived_by_the_lock_file(self, tmp_path: Path) -> None:
        """Its text is information; who holds the lock does not depend on it."""
        program = """
            import resource, sys, fastk
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
            store = fastk.FastKStore.open(sys.argv[1])
            store.drop_series(("BTCUSDT", "kline", "1d"))
        """
        with fastk.FastKStore.open(tmp_path / "root") as store:
            register(store).put(JANUARY)
        run(program, tmp_path / "root")
        assert picture(tmp_path / "root") == {}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
class TestUnwritableRoot:
    def test_refuses_writes_by_name_and_serves_reads(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        with fastk.FastKStore.open(root) as store:
            register(store).put(JANUARY)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        try:
            with fastk.FastKStore.open(root) as store:
                assert len(store.series(KEY).range()) == len(JANUARY["ts"])
                with pytest.raises(PermissionError, match="BTCUSDT"):
                    store.series(KEY).put(FEBRUARY)
        finally:
            for folder in folders:
                folder.chmod(0o755)


def run(program: str, root: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, because limits cannot always be raised again."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return result
