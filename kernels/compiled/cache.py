"""Compiled code on disk: a file for each kernel and combination of types, taken only for what it was compiled from.

numba numbers its files, and an index tells their types. Processes that compile at once may give one number to two
combinations, and a number that is used again leads to the code of an older source until the new one is written: read
so, a kernel for int64 compares floats, or the kernel of yesterday answers (numba 0.68). Here the types name a file.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

from numba.core.caching import IndexDataCacheFile


def digest_of_sources(package: Path) -> str:
    """Digest of all that kernels are compiled from: they call each other across files."""
    sources = sorted([*package.glob("*.py"), *package.glob("compiled/*.py")])
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


_SOURCES = digest_of_sources(Path(__file__).parents[1])

_numba_files: Any = IndexDataCacheFile


class CodeFiles(_numba_files):  # type: ignore[misc]
    """The files of one kernel, in place of numba's."""

    def save(self, key: Any, code: Any) -> None:
        """Keep the code compiled for a key: types, processor and bytecode."""
        self._save_data(self._file_name(key), (self._origin(key), self._dump(code)))

    def load(self, key: Any) -> Any:
        """The code for a key; None if there is none, or what lies there was compiled from something else."""
        try:
            origin, code = self._load_data(self._file_name(key))
        except (OSError, EOFError, pickle.UnpicklingError):  # a system that crashed may leave a file empty
            return None
        return pickle.loads(code) if origin == self._origin(key) else None

    def _file_name(self, key: Any) -> str:
        """The same for every source, so that a changed one replaces its files."""
        types, processor, _ = key
        digest = hashlib.sha256(repr((types, processor)).encode()).hexdigest()
        name: str = self._data_name(int(digest[:16], 16))
        return name

    def _origin(self, key: Any) -> Any:
        return self._version, self._source_stamp, _SOURCES, key


def use_code_files(dispatcher: Any) -> Any:
    """Let numba keep what it compiles of a function in such files."""
    cache = getattr(dispatcher, "_cache", None)  # NUMBA_DISABLE_JIT leaves a function of Python
    if cache is not None:
        place = cache._impl
        cache._cache_file = CodeFiles(cache.cache_path, place.filename_base, place.locator.get_source_stamp())
    return dispatcher
