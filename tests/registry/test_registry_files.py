"""Files that are no registry, registries in use, older and newer ones: errors in words, and nothing changed."""

import os
import shutil
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from dataset_stories import dataset, message

from fastk import DatasetRegistry, InvalidData, InvalidInput, LockTimeout, NotFound, UnsupportedVersion
from fastk.registry import tables


@pytest.fixture
def path(tmp_path):
    return tmp_path / "registry.sqlite"


def sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


@pytest.mark.parametrize("mode", ["rw", "r"])
@pytest.mark.parametrize("content", [b"not a database, though long enough to be one" * 30, b"short", b"\0" * 4096])
def test_a_file_that_is_no_database_is_told(path, mode, content):
    path.write_bytes(content)
    with pytest.raises(InvalidData, match="is no registry"):
        DatasetRegistry.open(path, mode)
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", ["rw", "r"])
@pytest.mark.parametrize("version", [0, 1])
def test_another_programs_database_is_left_alone(path, mode, version):
    sql(path, "CREATE TABLE songs (title TEXT)", f"PRAGMA user_version={version}")
    before = path.read_bytes()
    refused = message(DatasetRegistry.open, path, mode)
    assert refused.startswith("InvalidData")
    assert str(path) in refused
    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", ["rw", "r"])
def test_a_newer_registry_is_told(path, mode):
    DatasetRegistry.open(path).close()
    sql(path, "PRAGMA user_version=99")
    with pytest.raises(UnsupportedVersion, match="is of version 99, and this library knows 1"):
        DatasetRegistry.open(path, mode)


def test_a_damaged_registry_is_told(path):
    with DatasetRegistry.open(path) as registry:
        for number in range(200):
            registry.upsert_dataset(dataset(f"id{number}"))
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with DatasetRegistry.open(path) as registry, pytest.raises(InvalidData, match="damaged"):
        registry.list_datasets()


@pytest.mark.parametrize(
    ("column", "value"), [("start_ts", "'tomorrow'"), ("start_ts", "9e18"), ("source", "''"), ("market", "x'00'")]
)
def test_a_row_that_was_changed_by_hand_is_told(path, column, value):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset())
        sql(path, f"UPDATE dataset_manifest SET {column}={value}")
        with pytest.raises(InvalidData, match=f"the row binance-um@2024-02 of dataset_manifest is damaged .*{column}"):
            registry.get_dataset("binance-um", "2024-02")


def test_a_folder_is_no_registry(tmp_path):
    assert "is a folder; a registry is a file" in message(DatasetRegistry.open, tmp_path)


def test_a_reader_creates_nothing(tmp_path):
    with pytest.raises(NotFound, match="there is no registry at"):
        DatasetRegistry.open(tmp_path / "registry.sqlite", "r")
    with pytest.raises(NotFound):
        DatasetRegistry.open(tmp_path / "folder" / "registry.sqlite", "r")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_writes_nothing(path):
    DatasetRegistry.open(path).close()
    with DatasetRegistry.open(path, "r") as registry, pytest.raises(InvalidInput, match="open in mode 'r'"):
        registry.upsert_dataset(dataset())


def use(registry):
    """A write and a read."""
    return [lambda: registry.upsert_dataset(dataset(version="2")), registry.list_datasets]


@pytest.mark.parametrize("mode", ["rw", "r"])
def test_a_file_that_is_removed_meanwhile_is_noticed(path, mode):
    with DatasetRegistry.open(path) as first:
        first.upsert_dataset(dataset())
    with DatasetRegistry.open(path, mode) as registry:
        for name in path.parent.iterdir():
            name.unlink()
        for call in use(registry)[mode == "r" :]:
            with pytest.raises(NotFound, match="was removed, or another file put in its place"):
                call()
        with ThreadPoolExecutor(1) as threads, pytest.raises(NotFound, match="was removed"):
            threads.submit(registry.list_datasets).result()
    assert list(path.parent.iterdir()) == []


def test_a_file_that_takes_the_place_of_the_registry_is_noticed(path):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset())
        for name in path.parent.iterdir():
            name.rename(f"{name}.old")
        DatasetRegistry.open(path).close()
        for call in use(registry):
            with pytest.raises(NotFound, match="open it again"):
                call()
    with DatasetRegistry.open(path) as registry:
        assert registry.list_datasets() == []


def test_an_empty_file_becomes_a_registry_but_not_for_a_reader(path):
    path.write_bytes(b"")
    with pytest.raises(InvalidData, match="empty file"):
        DatasetRegistry.open(path, "r")
    with DatasetRegistry.open(path) as registry:
        assert registry.list_datasets() == []


@pytest.mark.parametrize("options", [{"mode": "w"}, {"timeout": -1}, {"timeout": True}, {"timeout": "long"}])
def test_options_are_checked(path, options):
    with pytest.raises(InvalidInput, match=next(iter(options))):
        DatasetRegistry.open(path, **options)
    assert not path.exists()


@pytest.mark.parametrize("bad", ["", None, 7, "a\0b"])
def test_paths_are_checked(bad):
    with pytest.raises(InvalidInput, match="path"):
        DatasetRegistry.open(bad)


def test_another_writer_that_does_not_end_is_told(path):
    with DatasetRegistry.open(path, timeout=0.01) as registry, closing(sqlite3.connect(path)) as other:
        registry.upsert_dataset(dataset())
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LockTimeout, match=r"another process is writing to .*; waited 0\.01 s"):
            registry.upsert_dataset(dataset(status="retired"))
        assert registry.list_datasets() == [dataset()], "readers do not wait"
        other.rollback()
        registry.upsert_dataset(dataset(status="retired"))


def test_it_is_in_wal_mode_and_commits_are_synced(path):
    with DatasetRegistry.open(path) as registry, registry._database.connection() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_migration_that_fails_leaves_the_version_before(path, monkeypatch):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset())
    broken = ("ALTER TABLE dataset_manifest ADD COLUMN extra TEXT", "ALTER TABLE absent ADD COLUMN extra TEXT")
    monkeypatch.setattr("fastk.registry.registry.MIGRATIONS", (*tables.MIGRATIONS, broken))
    with pytest.raises(InvalidData, match="no such table"):
        DatasetRegistry.open(path)
    monkeypatch.undo()
    assert sql(path, "PRAGMA user_version") == [(1,)]
    assert "extra" not in str(sql(path, "SELECT sql FROM sqlite_master"))
    with DatasetRegistry.open(path) as registry:
        assert registry.list_datasets() == [dataset()]


def test_a_migration_keeps_rows_and_a_reader_waits_for_a_writer_to_do_it(path, monkeypatch):
    with DatasetRegistry.open(path) as registry:
        registry.upsert_dataset(dataset())
    step = ("CREATE TABLE more (x TEXT)",)
    monkeypatch.setattr("fastk.registry.registry.MIGRATIONS", (*tables.MIGRATIONS, step))
    with pytest.raises(InvalidData, match="open it for writing once"):
        DatasetRegistry.open(path, "r")
    with DatasetRegistry.open(path) as registry:
        assert registry.list_datasets() == [dataset()]
    DatasetRegistry.open(path, "r").close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only the superuser can become another user")
def test_a_reader_who_may_not_write_beside_the_file_reads_it(tmp_path):
    """SQLite makes files beside one in WAL mode, even for a reader."""
    folder = tmp_path / "published"
    with DatasetRegistry.open(folder / "registry.sqlite") as registry:
        registry.upsert_dataset(dataset())
    with open_to_all() as public:
        shutil.copytree(folder, public / "published")
        (public / "published").chmod(0o555)
        assert exit_status_of_nobody(lambda: read(public / "published" / "registry.sqlite") == [dataset()]) == 0


@contextmanager
def open_to_all():
    """A folder that other users may enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def read(path):
    with DatasetRegistry.open(path, "r") as registry:
        return registry.list_datasets()


def exit_status_of_nobody(check):
    """0 if a process of an unprivileged user finds that it is so."""
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setuid(65_534)
            status = 0 if check() else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
