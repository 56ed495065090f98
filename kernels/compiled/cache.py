"""Compiled code on disk: a file for each kernel and combination of types, taken only for what it was compiled from.

numba numbers its files, and an index tells their types. Processes that compile at once may give one number to two
combinations, and a number that is used again leads to the code of an older source until the new one is written: read
so, a kernel for int64 compares floats, or the kernel of yesterday answers (numba 0.68). Here the types name a file.

numba also takes nothing from a folder that it could not write to, as in a container whose file system is read-only, or
that runs as another user than installed it. Here what was kept there is taken, and only new code needs a place.
"""

from __future__ import annotations

import hashlib
import inspect
import os.path
import pickle
import warnings
from pathlib import Path
from typing import Any

from numba import config as numba_config
from numba.core import caching


def digest_of_sources(package: Path) -> str:
    """Digest of all that kernels are compiled from: they call each other across files."""
    sources = sorted([*package.glob("*.py"), *package.glob("compiled/*.py")])
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


_SOURCES = digest_of_sources(Path(__file__).parents[1])

_numba: Any = caching
_in_tree: Any = getattr(_numba, "InTreeCacheLocator", None) or _numba._InTreeCacheLocator  # numba renamed it
_numba_files: Any = _numba.IndexDataCacheFile
_numba_cache: Any = _numba.FunctionCache
_numba_code: Any = _numba.CompileResultCacheImpl

_warned = False


class CodeFiles(_numba_files):  # type: ignore[misc]
    """The files of one kernel, in place of numba's. ``filled`` are folders that may have them as well."""

    def __init__(self, folder: str, name: str, source_stamp: Any, filled: list[str]) -> None:
        super().__init__(folder, name, source_stamp)
        self._folders = dict.fromkeys([folder, *filled])

    def save(self, key: Any, code: Any) -> None:
        """Keep the code compiled for a key: types, processor and bytecode."""
        self._save_data(self._file_name(key), (self._origin(key), self._dump(code)))

    def load(self, key: Any) -> Any:
        """The code for a key; None if there is none, or what lies there was compiled from something else."""
        for folder in self._folders:
            try:
                origin, code = pickle.loads(Path(folder, self._file_name(key)).read_bytes())
            except (OSError, EOFError, pickle.UnpicklingError):  # a system that crashed may leave a file empty
                continue
            if origin == self._origin(key):
                return pickle.loads(code)
        return None

    def _file_name(self, key: Any) -> str:
        """The same for every source, so that a changed one replaces its files."""
        types, processor, _ = key
        digest = hashlib.sha256(repr((types, processor)).encode()).hexdigest()
        name: str = self._data_name(int(digest[:16], 16))
        return name

    def _origin(self, key: Any) -> Any:
        return self._version, self._source_stamp, _SOURCES, key


class _BesideSource(_in_tree):  # type: ignore[misc]
    """The place beside a kernel's source, whether it can be written to or not."""

    def ensure_cache_path(self) -> None:
        """Nothing: the place is only read."""


class _CodeBesideSource(_numba_code):  # type: ignore[misc]
    _locator_classes = (_BesideSource,)


class _ReadOnlyCache(_numba_cache):  # type: ignore[misc]
    """Takes what was kept, and keeps nothing."""

    _impl_class = _CodeBesideSource

    def save_overload(self, types: Any, code: Any) -> None:
        """Say once that this process had to compile."""
        global _warned
        if not _warned:
            _warned = True
            warnings.warn(
                f"FastK's kernels compile anew in every process, because no folder for them can be written to: set "
                f"NUMBA_CACHE_DIR to one that can, or run `fastk warmup` as the user who owns {self.cache_path}",
                RuntimeWarning,
                stacklevel=2,
            )


def keep_code(dispatcher: Any) -> Any:
    """Let numba keep what it compiles of a function in such files, or at least take what was kept."""
    if not hasattr(dispatcher, "enable_caching"):  # NUMBA_DISABLE_JIT leaves a function of Python
        return dispatcher
    try:
        dispatcher.enable_caching()
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        dispatcher._cache = _ReadOnlyCache(dispatcher.py_func)
    cache = dispatcher._cache
    place = cache._impl
    cache._cache_file = CodeFiles(
        cache.cache_path, place.filename_base, place.locator.get_source_stamp(), _filled_folders(dispatcher.py_func)
    )
    return dispatcher


def _filled_folders(function: Any) -> list[str]:
    """Where its code may have been kept: below NUMBA_CACHE_DIR, and beside its source."""
    config: Any = numba_config
    source = inspect.getfile(function)
    named = [config.CACHE_DIR] if config.CACHE_DIR else []
    below = [os.path.join(folder, _in_tree.get_suitable_cache_subpath(source)) for folder in named]
    return [*below, os.path.join(os.path.dirname(source), "__pycache__")]
