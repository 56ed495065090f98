"""What the seam to the disk promises of folders, of pieces of files, and of links."""

import os
import sys
from types import SimpleNamespace

import pytest

from fastk.errors import InvalidData
from fastk.io import disk as disk_module
from fastk.io.disk import Disk, Entry, _read_all
from fastk.io.lock import FileLock


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
        """What is done to which file or folder, by the name of its path."""
        done = []

        def noting(what):
            return lambda descriptor, *_: done.append((what, os.readlink(f"/proc/self/fd/{descriptor}")))

        monkeypatch.setattr(disk_module, "_sync_descriptor", noting("sync"))
        monkeypatch.setattr(disk_module, "c_library", lambda: SimpleNamespace(sync_file_range=noting("begin")))
        return done

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux is told to begin")
    def test_all_files_begin_to_be_written_out_before_the_first_wait(self, tmp_path, written, calls):
        disk, (first, second) = written
        disk.sync_together([first, second], [str(tmp_path)])
        assert calls == [
            ("begin", first),
            ("begin", second),
            ("sync", str(tmp_path)),
            ("sync", first),
            ("sync", second),
        ]

    def test_what_is_durable_already_is_left_alone(self, tmp_path, written, calls):
        disk, (first, second) = written
        disk.sync_file(first)
        calls.clear()
        disk.sync_together([first, second], [])
        assert {path for _, path in calls} == {second}

    def test_a_system_that_cannot_be_told_to_begin_syncs_all_the_same(self, tmp_path, written, calls, monkeypatch):
        disk, paths = written
        monkeypatch.setattr(disk_module, "c_library", SimpleNamespace)
        disk.sync_together(paths, [str(tmp_path)])
        assert sorted(calls) == sorted(("sync", path) for path in (*paths, str(tmp_path)))

    def test_by_the_system_itself(self, tmp_path, written):
        disk, paths = written
        disk.sync_together(paths, [str(tmp_path)])
        assert disk._unsynced == {}
