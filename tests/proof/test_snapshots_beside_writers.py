"""Many processes and threads read while others put, replace, delete, merge and collect: each read is one commit.

Rows carry the number of the commit that wrote them, so that a mixture of two commits would show.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import temporary_folder
from support import story
from support.figures import Note
from support.processes import Child, children
from support.torture import amounts

import fastk
from fastk import LockTimeout, SnapshotExpired, StoreClosed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stores are written on POSIX systems only")
KEY = story.KEYS[0]


@pytest.fixture
def root() -> Iterator[Path]:
    with temporary_folder() as folder:
        story.make_store(folder / "store")
        yield folder / "store"


ROW = "three processes read beside a writer"


@pytest.mark.parametrize("steps", amounts(40, 250, 2_000))
@pytest.mark.parametrize("grace_seconds", [3600, 0])
def test_every_read_of_another_process_is_a_committed_state(
    root: Path, steps: int, grace_seconds: int, figures: Note
) -> None:
    seed = steps + grace_seconds
    with children(*[(story.read, str(root), seed)] * 3) as readers:
        writer = Child(story.write, str(root), seed, [0, 0], None, steps, grace_seconds)
        assert list(writer.rest()) == list(range(1, steps + 1))
        assert writer.end() == 0
        for reader in readers:
            reads, expired, _ = reader.ask("that is all")
            assert reads
            assert not (expired and grace_seconds)
            figures("others", ROW, {"reads compared": reads, "expired": expired})
        figures("others", ROW, {"rounds": 1, "steps": steps})
    assert list(story.positions_of(root, story.Story(seed), steps - 1)) != [steps - 1] * 2


# Threads


def stamped(stamp: int) -> dict[str, np.ndarray]:
    """The same times in any commit, with its number."""
    return story.columns(dict.fromkeys(story.TIMES, stamp))


def together(*works: Callable[[], None]) -> None:
    """Do works in threads of their own; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Eight:
    """Three threads that write, one that merges and collects, four that read, all by one store object."""

    def __init__(self, store: fastk.FastKStore, rounds: int, grace_seconds: int) -> None:
        self.series = store.series(KEY)
        self.store = store
        self.rounds = rounds
        self.may_expire = grace_seconds == 0
        self.working = 4
        self.reads = 0
        self.expired = 0

    def run(self) -> None:
        self.series.put(stamped(0))
        together(*(self.writing(first) for first in range(3)), self.tidying, *[self.reading] * 4)

    def writing(self, first: int) -> Callable[[], None]:
        def write() -> None:
            for stamp in range(first + 1, 3 * self.rounds, 3):
                if stamp % 2:
                    self.series.put(stamped(stamp), on_conflict="replace")
                else:
                    self.series.replace_range(None, None, stamped(stamp))

        return self.counted(write)

    def counted(self, work: Callable[[], None]) -> Callable[[], None]:
        def counted() -> None:
            try:
                work()
            finally:
                self.working -= 1

        return counted

    @property
    def tidying(self) -> Callable[[], None]:
        def tidy() -> None:
            for _ in range(self.rounds):
                self.series.merge()
                self.store.gc()

        return self.counted(tidy)

    def reading(self) -> None:
        while self.working > 0:
            try:
                self.read()
                self.reads += 6
            except SnapshotExpired:
                assert self.may_expire
                self.expired += 1

    def read(self) -> None:
        series, middle = self.series, story.TIMES[len(story.TIMES) // 2]
        check_one_commit(series.range(), len(story.TIMES))
        self.store.refresh()
        check_one_commit(series.latest(50), 50)
        check_one_commit(series.range(middle, None), len(story.TIMES) // 2)
        check_one_commit(series.at_many(story.TIMES[::3]).rows, len(story.TIMES[::3]))
        check_one_commit(series.where("stamp", fastk.Gte(0)).rows, len(story.TIMES))
        record = series.at(middle)
        assert record.check == middle * 0.5 + record.stamp


def check_one_commit(rows: Any, count: int) -> None:
    stamps = rows.column("stamp")
    assert len(stamps) == count
    assert (stamps == stamps[0]).all(), np.unique(stamps)
    np.testing.assert_array_equal(rows.column("check"), rows.ts * 0.5 + stamps)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", amounts(4, 40, 200))
@pytest.mark.parametrize("grace_seconds", [3600, 0])
def test_eight_threads_of_one_store_object_see_one_commit_at_a_time(
    root: Path, rounds: int, grace_seconds: int, figures: Note
) -> None:
    with fastk.open(root, grace_seconds=grace_seconds, lock_timeout=60) as store:
        work = Eight(store, rounds, grace_seconds)
        work.run()
        assert work.reads
        found = {"reads compared": work.reads, "expired": work.expired}
        figures(
            "others", "eight threads of one store object", {"rounds": 1, "steps": store.series(KEY).sequence} | found
        )
        store.validate_store()
        assert store.series(KEY).range().column("stamp")[0] in range(3 * rounds)


# Forks


def forked(work: Callable[[], None]) -> int:
    """Start something in a forked child, which then ends; its pid."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Forked(Exception):
    """Leaves the block in which a child was forked."""


def leave_by_an_error(pipe: Any, root: str) -> None:
    """The child unwinds what the parent is in; then others try to write."""
    try:
        with fastk.open(root) as store, store.batch():
            store.series(KEY).put(stamped(1))
            child = os.fork()
            if not child:
                raise Forked
            assert exit_code(child) == 0
            pipe.send("the child is gone")
            pipe.recv()
    except Forked:
        os._exit(0)
    pipe.send("committed")


def leave_at_the_end(pipe: Any, root: str) -> None:
    """Parent and child both come to the end of the batch."""
    with fastk.open(root) as store:
        child = -1
        try:
            with store.batch():
                store.series(KEY).put(stamped(1))
                child = os.fork()
                if child:
                    assert exit_code(child) == 0
        except StoreClosed:
            os._exit(child)
        if not child:
            os._exit(1)
        pipe.send(len(store.series(KEY)))


def read_on(pipe: Any, root: str) -> None:
    """The child reads what it had open, and what its parent goes on to write."""
    with fastk.open(root) as store:
        series = store.series(KEY)
        series.put(stamped(1))
        rows = series.range()
        go, gone = os.pipe()

        def read() -> None:
            os.read(go, 1)
            check_one_commit(rows, len(story.TIMES))
            assert int(series.range().column("stamp")[0]) == 1
            assert series.refresh()
            assert int(series.range().column("stamp")[0]) == 2
            with fastk.open(root, lock_timeout=0) as own:
                own.series(KEY).put(stamped(3), on_conflict="replace")

        child = forked(read)
        series.put(stamped(2), on_conflict="replace")
        os.write(gone, b"!")
        assert exit_code(child) == 0
        series.put(stamped(4), on_conflict="replace")
        pipe.send(int(series.range().column("stamp")[0]))


class TestForks:
    def test_a_child_that_leaves_a_batch_does_not_free_its_parents_lock(self, root: Path) -> None:
        with children((leave_by_an_error, str(root))) as (parent,):
            assert parent.hear() == "the child is gone"
            with fastk.open(root, lock_timeout=0) as store, pytest.raises(LockTimeout, match=str(parent.process.pid)):
                store.series(KEY).put(stamped(2))
            assert parent.ask("go on") == "committed"
        with fastk.open(root, lock_timeout=0) as store:
            check_one_commit(store.series(KEY).range(), len(story.TIMES))
            store.validate_store()

    def test_a_child_does_not_commit_its_parents_batch(self, root: Path) -> None:
        with children((leave_at_the_end, str(root))) as (parent,):
            assert parent.hear() == len(story.TIMES)
        with fastk.open(root) as store:
            assert store.series(KEY).sequence == 2
            store.validate_store()

    def test_a_child_reads_on_while_its_parent_writes_on(self, root: Path) -> None:
        with children((read_on, str(root))) as (parent,):
            assert parent.hear() == 4


# Writers in turn


def hold_a_batch(pipe: Any, root: str) -> None:
    with fastk.open(root) as store, store.batch():
        store.series(KEY).put(stamped(1))
        pipe.send("in the batch")
        pipe.recv()
    pipe.send("committed")


class TestContention:
    @pytest.mark.parametrize(
        "write",
        [
            lambda store: store.series(KEY).put(stamped(2)),
            lambda store: store.series(KEY).merge(),
            lambda store: store.batch().__enter__(),
            lambda store: store.gc(),
            lambda store: store.repair_store(),
            lambda store: store.drop_series(KEY),
        ],
        ids=["put", "merge", "batch", "gc", "repair", "drop"],
    )
    def test_who_waits_in_vain_for_a_batch_is_told_its_holder(self, root: Path, write: Callable[[Any], Any]) -> None:
        with children((hold_a_batch, str(root))) as (holder,):
            assert holder.hear() == "in the batch"
            with fastk.open(root, lock_timeout=0.02) as store:
                with pytest.raises(LockTimeout, match=rf"pid {holder.process.pid}\b"):
                    write(store)
                assert len(store.series(KEY)) == 0
                assert holder.ask("go on") == "committed"
                store.refresh()
                check_one_commit(store.series(KEY).range(), len(story.TIMES))
