"""Read-only maps of whole files that keep no file descriptor.

CPython's ``mmap`` duplicates and keeps the descriptor before 3.13 (``trackfd=False`` came then), so that a store of a
thousand chunks would run into a descriptor limit of 1,024. Below 3.13 the C library's ``mmap`` is called instead.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DONTNEED = getattr(mmap, "MADV_DONTNEED", 4)
_WILLNEED = getattr(mmap, "MADV_WILLNEED", None)
_FAILED = ctypes.c_void_p(-1).value


def map_descriptor(descriptor: int, length: int) -> NDArray[np.uint8]:
    """Bytes of an open file as a read-only uint8 array; the map lives as long as any view of it.

    ``length`` is at most the file's size (the caller checks: touching beyond it is a SIGBUS).
    """
    if not length:  # no system maps nothing
        return np.empty(0, np.uint8)
    if sys.version_info >= (3, 13):
        mapped = mmap.mmap(descriptor, length, access=mmap.ACCESS_READ, trackfd=False)
        return np.frombuffer(mapped, np.uint8)
    if sys.platform == "win32":
        return np.frombuffer(mmap.mmap(descriptor, length, access=mmap.ACCESS_READ), np.uint8)
    return np.asarray(_LibcMap(descriptor, length))


def drop_pages(view: NDArray[Any]) -> None:
    """Take the pages of a map out of this process's memory, given any view of it; reading brings them back.

    They stay in the system's cache of files. The whole map, because a system that keeps files in large folios counts,
    maps and unmaps megabytes around each byte that is touched. Does nothing for memory that is no map.
    """
    if sys.platform != "linux":  # elsewhere the advice means something else, or nothing
        return
    owner: Any = view
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, _LibcMap):
        owner.drop_pages()
    elif isinstance(owner, memoryview) and isinstance(owner.obj, mmap.mmap):
        owner.obj.madvise(mmap.MADV_DONTNEED)
    elif isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)


def will_need(view: NDArray[Any]) -> None:
    """Have the system read just the bytes of a contiguous view of a map, in one go, before they are touched.

    The first touch of a page that is not in memory makes Linux read around it, up to the disk's read-ahead: with 8 MiB
    of that, a sum over one of six columns read all six (11 ms cold against 4, measured), and with the usual 128 KiB it
    waits once for each of them. Costs a microsecond, and some 20 ns a page that is there already.
    """
    if _WILLNEED is not None and view.size:
        address: int = view.__array_interface__["data"][0]
        begin = address - address % mmap.PAGESIZE
        c_library().madvise(begin, address + view.nbytes - begin, _WILLNEED)  # advice: what it answers changes nothing


class _LibcMap:
    """Owner of one mapping; numpy reads ``__array_interface__`` and keeps the owner as the base of all views.

    The interface is marked read-only and there is no buffer behind it, so ``flags.writeable = True`` is refused.
    """

    __slots__ = ("__array_interface__", "_address", "_length", "_unmap")

    def __init__(self, descriptor: int, length: int) -> None:
        self._address = self._length = 0
        self._unmap = c_library().munmap  # a name of the module may be gone when the process ends
        address = c_library().mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
        if address == _FAILED:
            code = ctypes.get_errno()
            raise OSError(code, f"mmap of {length:,} bytes failed (error {code}; is the limit on maps reached?)")
        self._address, self._length = address, length
        self.__array_interface__ = {"data": (address, True), "shape": (length,), "typestr": "|u1", "version": 3}

    def drop_pages(self) -> None:
        """Unmap the pages for now; bytes of a file only, so that nothing is lost."""
        c_library().madvise(self._address, self._length, _DONTNEED)

    def __del__(self) -> None:
        if self._length:
            self._unmap(self._address, self._length)


_library: Any = None


def c_library() -> Any:
    """The C library of this process, loaded at the first call, for what Python has no name for."""
    global _library
    if _library is None:
        library = ctypes.CDLL(None, use_errno=True)
        pointer, size, number, offset = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_long
        library.mmap.argtypes = (pointer, size, number, number, number, offset)
        library.mmap.restype = pointer
        library.munmap.argtypes = (pointer, size)
        library.madvise.argtypes = (pointer, size, number)
        if hasattr(library, "sync_file_range"):  # Linux
            library.sync_file_range.argtypes = (number, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
        _library = library
    return _library
