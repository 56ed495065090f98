"""One writer: an advisory lock of the operating system on a file whose text names the holder.

The system frees the lock with the process that holds it, however that ends; the text never decides who holds it. It
names the holder for people, and counts the holders that ended without releasing: a writer that sees the count moved
knows that files of an unfinished commit may lie about. ``flock`` locks belong to the open file, so threads of one
process exclude each other as well.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from functools import lru_cache

from fastk.errors import InvalidData, LockTimeout

if sys.platform != "win32":
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_FIRST_WAIT, _LONGEST_WAIT = 0.0005, 0.05
_TEXT_BYTES = 320
_COUNT = re.compile(r"crashes (\d+)\n")


class FileLock:
    """Held from construction to :meth:`release`.

    Raises LockTimeout naming the holder after ``timeout`` seconds, and InvalidData for a symbolic link.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self._path = path
        self._pid = os.getpid()
        self._descriptor = _open(path)
        try:
            self._acquire(timeout)
            self.crashes = _count_crashes(self._read_text())
            self._write_text(_text_while_held(self.crashes, self._pid, int(time.time())))
        except BaseException:
            os.close(self._descriptor)  # frees the lock, too
            raise

    def release(self, *, leftovers: bool = False) -> None:
        """Free the lock; ``leftovers`` counts this holder among those that may have left files behind.

        Explicit, so that a forked child's copy of the descriptor does not keep it. The child's own release, as it
        leaves the block in which it was forked, must not take the lock from its parent.
        """
        if os.getpid() != self._pid:
            os.close(self._descriptor)
            return
        self.crashes += leftovers
        try:
            self._write_text(_text(self.crashes, ""))
        finally:
            _unlock(self._descriptor)
            os.close(self._descriptor)

    def _acquire(self, timeout: float) -> None:
        deadline, wait = time.monotonic() + timeout, _FIRST_WAIT
        while not _try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                raise LockTimeout(
                    f"another writer holds {self._path} ({_holder(self._read_text()) or 'holder unknown'}); waited "
                    f"{timeout:g} s. Let it finish, or open the store with a longer lock_timeout"
                )
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _read_text(self) -> bytes:
        try:
            return os.pread(self._descriptor, _TEXT_BYTES, 0)
        except OSError:  # information only
            return b""

    def _write_text(self, text: bytes) -> None:
        # Overwritten in place: to cut the file first makes ext4 flush it at close, which costs a millisecond.
        try:
            os.pwrite(self._descriptor, text, 0)
        except OSError:  # a full disk must not keep a writer from deleting
            return


# The texts of one writer repeat themselves, and making or reading one takes as long as the system's calls for the lock.


@lru_cache(8)
def _text(crashes: int, holder: str) -> bytes:
    text = f"crashes {crashes}\n{holder}".encode(errors="replace")[: _TEXT_BYTES - 1]
    return text.ljust(_TEXT_BYTES - 1) + b"\n"


@lru_cache(8)
def _text_while_held(crashes: int, pid: int, second: int) -> bytes:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
    return _text(crashes, f"pid {pid} since {now}: {' '.join(sys.argv)[:200]}")


@lru_cache(8)
def _count_crashes(text: bytes) -> int:
    """Holders so far that did not release; the last one is among them if its text still stands."""
    found = _COUNT.match(text.decode(errors="replace"))
    return (int(found[1]) if found else 0) + bool(_holder(text))


def _holder(text: bytes) -> str:
    """Who holds the lock, by its text; empty where the last holder released it."""
    return text.decode(errors="replace").partition("\n")[2].strip()


def _open(path: str) -> int:
    try:
        return os.open(path, _FLAGS, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP and os.path.islink(path):
            raise InvalidData(
                f"{path} is a symbolic link, and no lock is taken through one: remove the link (a lock file holds no "
                f"data, and the next writer makes its own)"
            ) from None
        raise


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    fcntl.flock(descriptor, fcntl.LOCK_UN)
