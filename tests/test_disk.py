"""What the seam to the disk promises of folders, of pieces of files, and of links."""

import ctypes
import errno
import os
import sys
import threading
from types import SimpleNamespace

import pytest
from builders import JANUARY, MINUTE, bars

import fastk
from fastk.errors import InvalidData
from fastk.io import disk as disk_module
from fastk.io.disk import Disk, Entry, SyncFailed, _read_all
from fastk.io.lock import FileLock

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is told to begin to write files out")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    return str(path)


@pytest.mark.parametrize("told", [0, 50, 99, 100, 101, 500])
def test_a_file_is_read_to_its_end_whatever_size_it_had_before(file, told):
    with open(file, "rb") as opened:
        assert _read_all(opened.fileno(), told) == bytes(range(100))


class TestEntries:
    def test_say_what_a_name_stands_for_and_follow_no_link(self, tmp_path, file):
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to(file)
        os.mkfifo(tmp_path / "pipe")
        assert Disk().entries(str(tmp_path)) == {
            "file": Entry("file", 100),
            "folder": Entry("folder", 0),
            "link": Entry("link", 0),
            "pipe": Entry("other", 0),
        }

    def test_come_in_order_and_there_are_none_in_a_missing_folder(self, tmp_path, file):
        for name in "ca":
            (tmp_path / name).touch()
        assert list(Disk().entries(str(tmp_path))) == ["a", "c", "file"]
        assert Disk().entries(str(tmp_path / "none")) == Disk().entries(file) == {}


class TestPieces:
    @pytest.mark.parametrize(("offset", "length", "size"), [(0, 100, 100), (0, 100, 33), (7, 50, 8), (90, 10, 64)])
    def test_are_the_bytes_of_the_stretch(self, file, offset, length, size):
        pieces = [piece.tobytes() for piece in Disk().pieces(file, offset, length, size)]
        assert b"".join(pieces) == bytes(range(100))[offset : offset + length]
        assert {len(piece) for piece in pieces[:-1]} <= {size}

    def test_end_with_the_file_whatever_was_asked_for(self, file):
        assert [len(piece) for piece in Disk().pieces(file, 40, 1 << 60, 1 << 50)] == [60]
        assert list(Disk().pieces(file, 200, 10, 10)) == []

    def test_errors_name_the_file(self, tmp_path):
        with pytest.raises(FileNotFoundError) as caught:
            next(Disk().pieces(str(tmp_path / "none"), 0, 1, 1))
        assert caught.value.filename == str(tmp_path / "none")


class TestLinks:
    def test_nothing_is_written_through_one(self, tmp_path, file):
        link = tmp_path / "link"
        link.symlink_to(file)
        with pytest.raises(OSError, match="symbolic"):
            Disk().replace_unnamed(str(link), [b"other"])
        with pytest.raises(InvalidData, match=r"symbolic link.*remove the link"):
            FileLock(str(link), 0)
        assert (tmp_path / "file").read_bytes() == bytes(range(100))


class TestSyncsTogether:
    @pytest.fixture
    def written(self, tmp_path):
        """A disk with two files that wait for their sync, and their paths."""
        disk, paths = Disk(), [str(tmp_path / name) for name in "ab"]
        for path in paths:
            disk.create(path, [b"bytes"], sync=False)
        return disk, paths

    @pytest.fixture
    def calls(self, monkeypatch):
        """What is done to which file or folder."""
        done = []

        def noting(what):
            return lambda descriptor, *_: done.append((what, os.fstat(descriptor).st_ino))

        monkeypatch.setattr(disk_module, "_sync_descriptor", noting("sync"))
        monkeypatch.setattr(disk_module, "c_library", lambda: SimpleNamespace(sync_file_range=noting("begin")))
        return done

    @linux
    def test_all_files_begin_to_be_written_out_before_the_first_wait(self, tmp_path, written, calls):
        disk, paths = written
        disk.sync_together(paths, [str(tmp_path)])
        first, second, folder = (os.stat(path).st_ino for path in (*paths, tmp_path))
        assert calls == [("begin", first), ("begin", second), ("sync", folder), ("sync", first), ("sync", second)]

    def test_what_is_durable_already_is_left_alone(self, written, calls):
        disk, (first, second) = written
        disk.sync_file(first)
        calls.clear()
        disk.sync_together([first, second], [])
        assert {number for _, number in calls} == {os.stat(second).st_ino}

    def test_a_system_that_cannot_be_told_to_begin_syncs_all_the_same(self, tmp_path, written, calls, monkeypatch):
        disk, paths = written
        monkeypatch.setattr(disk_module, "c_library", SimpleNamespace)
        disk.sync_together(paths, [str(tmp_path)])
        assert sorted(calls) == sorted(("sync", os.stat(path).st_ino) for path in (*paths, tmp_path))

    @linux
    @pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
    def test_a_system_that_knows_no_such_call_or_allows_none_syncs_all_the_same(self, written, failing, code):
        disk, paths = written
        failing(code)
        disk.sync_together(paths, [])
        assert disk._unsynced == {}

    @linux
    @pytest.mark.parametrize("code", [errno.EBADMSG, errno.EIO, errno.ENOSPC])
    def test_an_error_of_the_beginning_is_a_failed_sync_though_the_sync_would_succeed(
        self, tmp_path, written, failing, code
    ):
        """What ext4 finds no place for, it drops, and says so once."""
        disk, paths = written
        failing(code)
        with pytest.raises(SyncFailed, match="sync failed") as caught:
            disk.sync_together(paths, [str(tmp_path)])
        assert (caught.value.errno, caught.value.filename) == (code, paths[0])
        assert disk._unsynced == {}

    @linux
    def test_a_put_whose_bytes_found_no_place_is_an_error_and_shuts_the_store(self, tmp_path, failing):
        with fastk.open(tmp_path) as store:
            series = store.register_kline_series("BTC", "1m", MINUTE)
            series.put(bars(JANUARY, 3))
            failing(errno.EBADMSG)
            with pytest.raises(SyncFailed):
                series.put(bars(JANUARY + 3 * MINUTE, 3))
            with pytest.raises(fastk.StoreClosed, match="sync failed"):
                series.put(bars(JANUARY + 3 * MINUTE, 3))
        with fastk.open(tmp_path) as store:
            assert store.kline("BTC", "1m").range().ts.tolist() == bars(JANUARY, 3)["ts"].tolist()

    @pytest.fixture
    def failing(self, monkeypatch):
        """Let every call that begins to write a file out fail with an error."""

        def fail(code):
            def begin(*_):
                ctypes.set_errno(code)
                return -1

            monkeypatch.setattr(disk_module, "c_library", lambda: SimpleNamespace(sync_file_range=begin))

        return fail

    @pytest.mark.parametrize("files", [2, 60])
    def test_after_a_failure_no_file_stays_open(self, tmp_path, monkeypatch, files):
        disk, paths = Disk(), [str(tmp_path / str(number)) for number in range(files)]
        for path in paths:
            disk.create(path, [b"bytes"], sync=False)

        def fail(descriptor):
            raise OSError(errno.EIO, "I/O error")

        monkeypatch.setattr(disk_module, "_sync_descriptor", fail)
        with pytest.raises(SyncFailed):
            disk.sync_together(paths, [str(tmp_path)])
        assert disk._unsynced == {}

    def test_by_the_system_itself(self, tmp_path, written):
        disk, paths = written
        disk.sync_together(paths, [str(tmp_path)])
        assert disk._unsynced == {}


def test_who_writes_many_files_syncs_none_of_another_thread(tmp_path, monkeypatch):
    """That thread would take its file for durable while the sync of it goes on."""
    disk, synced = Disk(), []
    monkeypatch.setattr(disk_module, "_sync_descriptor", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    theirs = tmp_path / "theirs"
    other = threading.Thread(target=disk.create, args=(str(theirs), [b"bytes"]), kwargs={"sync": False})
    other.start()
    other.join()
    for number in range(200):
        disk.create(str(tmp_path / str(number)), [b"bytes"], sync=False)
    assert len(synced) > 100
    assert theirs.stat().st_ino not in synced
    disk.sync_file(str(theirs))
    assert theirs.stat().st_ino in synced
