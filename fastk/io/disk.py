"""Files and folders: read, map, write, sync, rename, remove, list, lock.

Every method is one effect. Nothing here knows a format. Tests put a double in the place of :class:`Disk` that records
effects, makes them fail, or stops time in the middle of them.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from _thread import get_ident  # what threading has, without a millisecond of that module
from contextlib import suppress
from ctypes import get_errno
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from fastk.errors import InvalidData
from fastk.io.mapping import c_library, map_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.io.lock import FileLock

_BUFFERS_PER_CALL = 512  # below every IOV_MAX
_MOST_UNSYNCED = 64  # descriptors, of which a process may have as few as 256
# Syncs that run at the same time share the file system's own commits, and so do those of files that are written out
# beforehand: batches of 2 to 8 series take 10 to 20% less by one thread than by eight, of 16 as long, of 100 25% more.
_SYNCING_THREADS, _FEWEST_FOR_THREADS = 8, 50
# No symbolic links: a store's own files are plain ones, and what a planted link names lies outside of it.
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | _FLAGS
# Of a pipe under a file's name, opening does not wait for who would write to it.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS
_END_BYTES = 1 << 16
_WRITE_OUT = 2  # SYNC_FILE_RANGE_WRITE
_UNKNOWN_CALL = errno.ENOSYS, errno.EPERM  # of a system without it, of a sandbox that allows none that it does not know
LARGEST_READ = 1 << 28
"""The most bytes of a file that is read as a whole: manifests, tables and zone maps are far smaller."""


class SyncFailed(OSError):
    """The system could not make written bytes durable; what is on the medium is unknown from here on."""


class Entry(NamedTuple):
    """What a name in a folder stands for, a symbolic link for itself, and its size in bytes."""

    kind: Literal["file", "folder", "link", "other"]
    size: int


class Disk:
    """The real disk. One writer at a time uses the methods that write; any thread those that read."""

    def __init__(self) -> None:
        self._unsynced: dict[str, tuple[int, int]] = {}  # descriptor, and the thread that wrote the file

    def read(self, path: str) -> bytes:
        """The whole content of a file; InvalidData for one larger than 256 MiB, before it is read."""
        descriptor = os.open(path, _READ)
        try:
            size = _size(descriptor, path)
            if size > LARGEST_READ:
                raise InvalidData(
                    f"{path} has more than {LARGEST_READ:,} bytes, which no file of its kind has: it is damaged or "
                    f"foreign; restore it from a copy"
                )
            return _read_all(descriptor, size)
        except OSError as error:
            _name(error, path)
            raise
        finally:
            os.close(descriptor)

    def map(self, path: str, length: int | None = None) -> NDArray[np.uint8]:
        """A file as a read-only array. InvalidData if its size is not ``length`` (a shorter one would be a SIGBUS).

        Without ``length`` it is as long as it is, for files whose own content says how long they were.
        """
        with _Naming(path):
            descriptor = os.open(path, _READ)
            try:
                size = _size(descriptor, path)
                if length is not None and size != length:
                    raise InvalidData(
                        f"{path} has {size:,} bytes, but {length:,} were committed: it is truncated or "
                        f"foreign; restore it from a copy"
                    )
                _read_ends(descriptor, size)
                return map_descriptor(descriptor, size)
            finally:
                os.close(descriptor)

    def pieces(self, path: str, offset: int, length: int, size: int) -> Iterator[NDArray[np.uint8]]:
        """A stretch of a file in pieces of ``size`` bytes, the last one shorter; less where the file ends before.

        All are views of one buffer, which the next piece overwrites. A medium that cannot give its bytes raises OSError
        here, where the first touch of a map would be a SIGBUS.
        """
        with _Naming(path):
            descriptor = os.open(path, _READ)
            try:
                length = min(length, max(0, os.fstat(descriptor).st_size - offset))
                buffer = np.empty(min(size, length), np.uint8)
                for start in range(offset, offset + length, size):
                    wanted = buffer[: min(size, offset + length - start)]
                    found = _read_into(descriptor, wanted, start)
                    if found:
                        yield wanted[:found]
            finally:
                os.close(descriptor)

    def create(self, path: str, buffers: Sequence[Any], *, sync: bool = True) -> None:
        """Write a new file. FileExistsError if the name is taken; on failure nothing is left behind.

        Durable on return; with ``sync=False`` only after :meth:`sync_file`: many files are written, then synced
        together, in a fraction of the time of one after the other. The descriptor stays open until then, because an
        error of writing back is only sure to reach a descriptor that was open when it happened.
        """
        self._finish(self._write(path, buffers, os.O_EXCL), path, sync)

    def create_streamed(self, path: str, pieces: Iterable[Any]) -> None:
        """Write a new file piece by piece, each as it is made; durable on return. As :meth:`create` otherwise."""
        descriptor = self._write(path, (), os.O_EXCL)
        try:
            with _Naming(path):
                for piece in pieces:
                    _write_all(descriptor, (piece,))
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(path)
            raise
        self._sync_and_close(descriptor, path)

    def create_derived(self, path: str, buffers: Sequence[Any]) -> None:
        """Write a new file that is never synced: one which can be made again, and is not trusted unread."""
        os.close(self._write(path, buffers, os.O_EXCL))

    def replace_unnamed(self, path: str, buffers: Sequence[Any], *, sync: bool = True) -> None:
        """Write a file over a leftover of the same (temporary) name; ``sync`` as in :meth:`create`."""
        self._finish(self._write(path, buffers, os.O_TRUNC), path, sync)

    def _write(self, path: str, buffers: Sequence[Any], how: int) -> int:
        """Write a file and return its descriptor; on failure neither is left behind."""
        descriptor = os.open(path, _CREATE | how, 0o644)
        try:
            _write_all(descriptor, buffers)
        except BaseException as error:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(path)
            _name(error, path)
            raise
        return descriptor

    def _finish(self, descriptor: int, path: str, sync: bool) -> None:
        if sync:
            self._sync_and_close(descriptor, path)
        else:
            self._unsynced[path] = descriptor, get_ident()
            if len(self._unsynced) > _MOST_UNSYNCED:
                self.sync_together(self._unsynced_by_this_thread(), [])

    def _unsynced_by_this_thread(self) -> list[str]:
        """Not those of others: they would take a file for durable whose sync has only begun here."""
        return [path for path, (_, thread) in list(self._unsynced.items()) if thread == get_ident()]

    def sync_file(self, path: str) -> None:
        """Make the bytes of a file durable that was created without; no effect if it is durable already."""
        descriptor, _ = self._unsynced.pop(path, (None, 0))
        if descriptor is not None:
            self._sync_and_close(descriptor, path)

    def _close(self, path: str) -> None:
        """Let go of a file that was to be synced, and is not."""
        descriptor, _ = self._unsynced.pop(path, (None, 0))
        if descriptor is not None:
            os.close(descriptor)

    def sync_together(self, files: Sequence[str], folders: Sequence[str]) -> None:
        """:meth:`sync_file` and :meth:`sync_folder` of several, in no particular order.

        After a failure none of the files is durable for sure, or waits for a sync any more.
        """
        syncs = [
            *(partial(self.sync_folder, path) for path in folders),
            *(partial(self.sync_file, path) for path in files),
        ]
        try:
            self._start_writing_out(files)
            self._do_all(syncs)
        except BaseException:
            for path in files:
                self._close(path)
            raise

    def _start_writing_out(self, paths: Sequence[str]) -> None:
        """Have the system begin to write files to the medium, without waiting; a promise of nothing, a sync follows.

        Two small files and their folder, synced first, then take a fifth less than one after the other (ext4: 290 us,
        not 365): the file system commits once for what it committed twice.
        """
        if sys.platform == "linux" and (start := getattr(c_library(), "sync_file_range", None)):
            for path in paths:
                descriptor, _ = self._unsynced.get(path, (None, 0))
                if descriptor is not None and start(descriptor, 0, 0, _WRITE_OUT):
                    _check_that_nothing_began(get_errno(), path)

    def _do_all(self, syncs: Sequence[Callable[[], None]]) -> None:
        if len(syncs) < _FEWEST_FOR_THREADS:
            for sync in syncs:
                sync()
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_SYNCING_THREADS) as threads:
            started = [threads.submit(sync) for sync in syncs]
        for each in started:
            each.result()

    def _sync_and_close(self, descriptor: int, path: str) -> None:
        """After a failure the file is removed: what it holds is unknown."""
        try:
            _sync(descriptor, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        finally:
            os.close(descriptor)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        if sys.platform == "win32":  # folders cannot be synced there
            return
        descriptor = os.open(path, _READ)
        try:
            _sync(descriptor, path)
        finally:
            os.close(descriptor)

    def make_folder(self, path: str) -> bool:
        """Create one folder; False if it is there already."""
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
            return False
        return True

    def rename(self, source: str, target: str) -> None:
        """Atomically give a file or folder another name, replacing a file of that name."""
        os.replace(source, target)

    def link(self, source: str, target: str) -> None:
        """Give a file a second name. OSError where the file system or its owner does not allow that."""
        os.link(source, target)

    def remove(self, path: str) -> None:
        """Remove a file; no error if it is gone already."""
        self._close(path)
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def remove_folder(self, path: str) -> bool:
        """Remove an empty folder; False if it is not empty."""
        try:
            os.rmdir(path)
        except OSError:
            return False
        return True

    def remove_file_or_folder(self, path: str) -> None:
        """Remove a file or an empty folder; a folder that is not empty stays."""
        if os.path.isdir(path) and not os.path.islink(path):
            self.remove_folder(path)
        else:
            self.remove(path)

    def list(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty if there is no such folder."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def entries(self, path: str) -> dict[str, Entry]:
        """What a folder holds, by name in order, no link followed; empty if there is no such folder."""
        try:
            with os.scandir(path) as found:
                return {each.name: _entry(each) for each in sorted(found, key=lambda each: each.name)}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def exists(self, path: str) -> bool:
        """Whether anything has this name."""
        return os.path.lexists(path)

    def size(self, path: str) -> int:
        """Bytes of a file; 0 if it is not there."""
        try:
            return os.lstat(path).st_size
        except FileNotFoundError:
            return 0

    def changed_at(self, path: str) -> int:
        """When a file was written or got its name, in ms of the wall clock; 0 if it is not there."""
        try:
            return os.lstat(path).st_ctime_ns // 1_000_000
        except FileNotFoundError:
            return 0

    def is_link(self, path: str) -> bool:
        """Whether this is a symbolic link."""
        return os.path.islink(path)

    def find_link(self, paths: Sequence[str]) -> str | None:
        """The first of some paths that is a symbolic link; None if none is."""
        for path in paths:
            try:
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    return path
            except OSError:
                continue
        return None

    def is_folder(self, path: str) -> bool:
        """Whether this is a folder."""
        return os.path.isdir(path)

    def lock(self, path: str, timeout: float) -> FileLock:
        """An exclusive lock that the system frees with the process; see :class:`fastk.io.lock.FileLock`."""
        return _file_lock()(path, timeout)


@cache
def _file_lock() -> type[FileLock]:
    """Loaded by the first writer."""
    from fastk.io.lock import FileLock

    return FileLock


def _read_ends(descriptor: int, size: int) -> None:
    """Have the system read both ends of a file that is about to be mapped, and no more.

    They describe the rest, and are touched first; without this the first touch reads as much as the system reads ahead.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):  # advice: a system that takes none reads as well
        if size > _END_BYTES:
            os.posix_fadvise(descriptor, size - 1, 1, os.POSIX_FADV_WILLNEED)
        os.posix_fadvise(descriptor, 0, _END_BYTES, os.POSIX_FADV_WILLNEED)


def _entry(found: os.DirEntry[str]) -> Entry:
    if found.is_symlink():
        return Entry("link", 0)
    if found.is_dir(follow_symlinks=False):
        return Entry("folder", 0)
    if not found.is_file(follow_symlinks=False):
        return Entry("other", 0)
    try:
        return Entry("file", found.stat(follow_symlinks=False).st_size)
    except FileNotFoundError:  # removed since it was listed
        return Entry("other", 0)


class _Naming:
    """Give errors of descriptors the path that they lack."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        _name(error, self._path)


def _name(error: BaseException | None, path: str) -> None:
    if isinstance(error, OSError) and error.filename is None:
        error.filename = path


def _size(descriptor: int, path: str) -> int:
    """Bytes of an open file; InvalidData for pipes, devices and sockets."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise InvalidData(f"{path} is no plain file; remove it, or restore the file from a copy")
    return status.st_size


def _read_all(descriptor: int, size: int) -> bytes:
    """The content of a file of so many bytes. One more is asked for: who gets as many as there are is at the end."""
    pieces = [os.read(descriptor, size + 1)]
    if len(pieces[0]) != size:  # it changed meanwhile
        pieces += iter(lambda: os.read(descriptor, size + 1), b"")
    return b"".join(pieces)


def _read_into(descriptor: int, buffer: NDArray[np.uint8], offset: int) -> int:
    """Fill a buffer from a place of a file; how many bytes there were."""
    found = 0
    while found < buffer.size and (count := os.preadv(descriptor, [buffer[found:].data], offset + found)):
        found += count
    return found


def _write_all(descriptor: int, buffers: Sequence[Any]) -> None:
    """Write every byte of every buffer, in as few calls as the system takes."""
    rest = [memoryview(buffer) for buffer in buffers]
    while rest:
        written = os.writev(descriptor, rest[:_BUFFERS_PER_CALL])
        while rest and written >= rest[0].nbytes:
            written -= rest.pop(0).nbytes
        if written:
            rest[0] = rest[0].cast("B")[written:]


def _check_that_nothing_began(code: int, path: str) -> None:
    """Raise SyncFailed for an error of the call that begins to write a file out, unless there is no such call here.

    A file system that finds no place for bytes may drop them, and say so to whoever had them written, once: a later
    sync succeeds (ext4 with a damaged block bitmap, measured).
    """
    if code not in _UNKNOWN_CALL:
        raise SyncFailed(code, f"{os.strerror(code)} (sync failed)", path)


def _sync(descriptor: int, path: str) -> None:
    try:
        _sync_descriptor(descriptor)
    except OSError as error:
        raise SyncFailed(error.errno, f"{error.strerror} (sync failed)", path) from error


def _sync_descriptor(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        # fsync on macOS leaves the bytes in the drive's cache.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)
