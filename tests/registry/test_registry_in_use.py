"""The registry used by several threads and processes at once, over forks, and after its users died."""

import gc
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from dataset_stories import dataset

from fastk import DatasetRegistry
from fastk.registry import database

CHECKOUT = Path(__file__).resolve().parent.parent.parent
WRITERS, ROWS = 4, 25


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


def versions(registry):
    return [record.version for record in registry.list_datasets()]


def write_rows(registry, writer):
    for row in range(ROWS):
        registry.upsert_dataset(dataset("shared", f"{writer}-{row:02d}"))


def write_rows_to(path, writer, start):
    start.wait()
    with DatasetRegistry.open(path, timeout=60) as registry:
        write_rows(registry, writer)


def expected_versions():
    return sorted(f"{writer}-{row:02d}" for writer in range(WRITERS) for row in range(ROWS))


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_threads_lose_nothing(kind, path):
    opened = DatasetRegistry.in_memory() if kind == "memory" else DatasetRegistry.open(path, timeout=60)
    with opened as registry, ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(lambda writer: write_rows(registry, writer), range(WRITERS)))
        assert versions(registry) == expected_versions()


@pytest.mark.slow
def test_processes_that_create_the_file_at_the_same_moment_lose_nothing(path):
    context = multiprocessing.get_context("fork")
    start = context.Event()
    writers = [context.Process(target=write_rows_to, args=(path, writer, start)) for writer in range(WRITERS)]
    for writer in writers:
        writer.start()
    start.set()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    with DatasetRegistry.open(path, "r") as registry:
        assert versions(registry) == expected_versions()


def test_a_writer_that_is_faster_to_create_the_file_is_waited_for(path, monkeypatch):
    """SQLite does not wait by itself to go into WAL mode."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(database.time, "sleep", lambda seconds: other.execute("ROLLBACK"))
        with DatasetRegistry.open(path, timeout=60) as registry:
            registry.upsert_dataset(dataset("a", "1"))
            assert versions(registry) == ["1"]


def in_child(action):
    """Exit status of a forked child: 0 if the action returned."""
    child = os.fork()
    if not child:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_forked_child_has_a_connection_of_its_own(path):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset("a", "1"))
        with registry._database.connection() as parents:

            def use():
                with registry._database.connection() as own:
                    assert own is not parents
                registry.upsert_dataset(dataset("a", "2"))
                assert versions(registry) == ["1", "2"]

            assert in_child(use) == 0
        registry.upsert_dataset(dataset("a", "3"))
        assert versions(registry) == ["1", "2", "3"]


@pytest.mark.slow
def test_a_child_that_closes_the_registry_leaves_the_parents_connection_alone(path):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset("a", "1"))
        with registry._database.connection() as parents:

            def close():
                registry.close()
                gc.collect()
                assert parents.execute("SELECT 1").fetchone() == (1,), "SQLite forbids to close it here"

            assert in_child(close) == 0
        registry.upsert_dataset(dataset("a", "2"))
        assert versions(registry) == ["1", "2"]


def test_a_child_of_a_registry_in_memory_has_a_copy():
    with DatasetRegistry.in_memory() as registry:
        registry.upsert_dataset(dataset("a", "1"))
        assert in_child(lambda: registry.upsert_dataset(dataset("a", "2"))) == 0
        assert versions(registry) == ["1"]


@pytest.mark.slow
def test_a_writer_that_is_killed_within_a_transaction_leaves_the_rows_before(path):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset("a", "1"))
        code = f"""if True:
            import os, signal, sys
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            sys.path.insert(0, {str(CHECKOUT / "tests")!r})
            from dataset_stories import dataset
            from fastk import DatasetRegistry
            with DatasetRegistry.open({str(path)!r}).new_dataset(dataset("a", "2")):
                os.kill(os.getpid(), signal.SIGKILL)"""
        killed = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False)
        assert killed.returncode == -signal.SIGKILL
        registry.upsert_dataset(dataset("a", "3"))
        assert versions(registry) == ["1", "3"]


def test_a_thread_takes_its_connection_with_it(path):
    def descriptors():
        return len(os.listdir("/dev/fd"))

    with DatasetRegistry.open(path) as registry, warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.list_datasets()
        before = descriptors()
        for _ in range(20):
            thread = threading.Thread(target=registry.list_datasets)
            thread.start()
            thread.join()
        assert descriptors() <= before + 1  # SQLite keeps one for the next connection


def test_one_thread_closes_the_connections_of_all(path):
    registry = DatasetRegistry.open(path)
    used, closed = threading.Event(), threading.Event()
    errors = []

    def use():
        registry.list_datasets()
        used.set()
        closed.wait()
        try:
            registry.list_datasets()
        except Exception as error:
            errors.append(type(error).__name__)

    thread = threading.Thread(target=use)
    thread.start()
    used.wait()
    registry.close()
    closed.set()
    thread.join()
    assert errors == ["StoreClosed"]


def test_readers_see_either_state_of_a_transaction(path):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset("a", "1"))
        with registry.new_dataset(dataset("a", "2")), ThreadPoolExecutor(1) as other:
            assert other.submit(versions, registry).result() == ["1"]
        assert versions(registry) == ["1", "2"]
