"""Compiled code from the disk is that of these types and this source, whatever other processes wrote meanwhile."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core import caching
from numba.core.dispatcher import Dispatcher

from fastk import kernels
from fastk.kernels import compiled
from fastk.kernels.compiled import cache
from fastk.kernels.compiled.compile import kernel

CACHES = (caching.FunctionCache, cache._ReadOnlyCache)
INTEGERS, FLOATS = np.array([1, 2]), np.array([0.5, 0.25])  # of one size: either's code would run on the other's values
DOUBLED = "def total(values):\n    return 2 * values.sum()\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Where a kernel's source stands; its code is kept below."""
    path = tmp_path / "source.py"
    path.write_text(DOUBLED)
    return path


def loaded(source: Path) -> Any:
    """The kernel as a new process sees it."""
    namespace: dict[str, Callable[..., Any]] = {}
    exec(compile(source.read_text(), source, "exec"), namespace)
    return kernel(namespace["total"])


def code_files(source: Path) -> list[Path]:
    return sorted(source.parent.rglob("*.nbc"))


def compiled_anew(total: Any) -> bool:
    """Whether nothing came from the disk."""
    return not sum(total.stats.cache_hits.values())


def change(source: Path) -> None:
    """Another source of the same length, at another time."""
    source.write_text(DOUBLED.replace("2", "3"))
    os.utime(source, (1, 1))


def test_code_is_kept_and_taken(source: Path) -> None:
    assert loaded(source)(INTEGERS) == 6
    total = loaded(source)
    assert total(INTEGERS) == 6
    assert not compiled_anew(total)


@pytest.mark.slow
def test_code_is_not_taken_for_other_types(source: Path) -> None:
    """numba's files come to be like this where two processes number theirs at the same time."""
    total = loaded(source)
    assert (total(INTEGERS), total(FLOATS)) == (6, 1.5)
    one, other = code_files(source)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    total = loaded(source)
    assert (total(INTEGERS), total(FLOATS)) == (6, 1.5)
    assert compiled_anew(total)


@pytest.mark.slow
def test_code_of_an_older_source_is_not_taken(source: Path) -> None:
    """numba's files are like this while another process compiles a changed source, or if it was killed then."""
    loaded(source)(INTEGERS)
    (file,) = code_files(source)
    older = file.read_bytes()
    change(source)
    assert loaded(source)(INTEGERS) == 9
    assert code_files(source) == [file]
    file.write_bytes(older)
    assert loaded(source)(INTEGERS) == 9


@pytest.mark.slow
def test_code_is_not_taken_where_another_source_of_kernels_changed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(source)(INTEGERS)
    monkeypatch.setattr(cache, "_SOURCES", "others")
    total = loaded(source)
    assert total(INTEGERS) == 6
    assert compiled_anew(total)


@pytest.mark.parametrize("name", ["interface.py", "compiled/bits.py"])
def test_a_change_of_any_source_of_kernels_counts(tmp_path: Path, name: str) -> None:
    """Kernels take constants and functions from files other than their own."""
    copy = shutil.copytree(Path(cache.__file__).parents[1], tmp_path / "kernels")
    before = cache.digest_of_sources(copy)
    changed = copy / name
    changed.write_text(changed.read_text() + "\n")
    assert cache.digest_of_sources(copy) != before


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\x80", b"other"], ids=["empty", "cut off", "no code"])
def test_what_cannot_be_read_is_compiled_anew(source: Path, content: bytes) -> None:
    loaded(source)(INTEGERS)
    (file,) = code_files(source)
    file.write_bytes(content)
    assert loaded(source)(INTEGERS) == 6
    total = loaded(source)
    assert total(INTEGERS) == 6
    assert not compiled_anew(total)


# Where nothing can be written


@pytest.fixture
def unwritable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on no place for code can be written to, as numba sees it."""

    def refuse(self: Any) -> None:
        raise PermissionError("read-only")

    def begin() -> None:
        monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refuse)
        monkeypatch.setattr(cache, "_warned", False)

    return begin


@pytest.mark.parametrize("named", [False, True], ids=["beside the source", "in NUMBA_CACHE_DIR"])
def test_kept_code_serves_where_nothing_can_be_written(
    named: bool, source: Path, tmp_path: Path, unwritable: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "named") if named else "")
    loaded(source)(INTEGERS)
    assert {path.is_relative_to(tmp_path / "named") for path in code_files(source)} == {named}
    unwritable()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        total = loaded(source)
        assert total(INTEGERS) == 6
    assert not compiled_anew(total)


def test_code_beside_the_source_serves_who_keeps_other_code_elsewhere(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user who did not install FastK, and has a home."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    loaded(source)(INTEGERS)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "mine"))
    total = loaded(source)
    assert (total(INTEGERS), total(FLOATS)) == (6, 1.5)
    assert sum(total.stats.cache_hits.values()) == 1
    assert len(list((tmp_path / "mine").rglob("*.nbc"))) == 1


def test_kept_code_of_an_older_source_serves_nowhere(source: Path, unwritable: Callable[[], None]) -> None:
    loaded(source)(INTEGERS)
    change(source)
    unwritable()
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR"):
        assert loaded(source)(INTEGERS) == 9


def test_compiling_where_nothing_can_be_kept_costs_one_warning(source: Path, unwritable: Callable[[], None]) -> None:
    unwritable()
    total = loaded(source)
    with pytest.warns(RuntimeWarning, match="fastk warmup"):
        assert total(INTEGERS) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert total(FLOATS) == 1.5
    assert not code_files(source)


@pytest.fixture
def installation() -> Iterator[Path]:
    """A copy of the package in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copytree(Path(cache.__file__).parents[2], Path(folder, "fastk"), ignore=cached)
        shutil.copytree(Path(cache.__file__).parents[1], copied / "kernels", ignore=cached, dirs_exist_ok=True)
        yield Path(folder)
        set_modes(Path(folder), 0o755)


cached = shutil.ignore_patterns("__pycache__")


def set_modes(folder: Path, mode: int) -> None:
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        place.chmod(mode)


COUNT_HITS = """
import os
import fastk, fastk.kernels as kernels, numpy as np
from fastk.kernels.compiled import order
assert kernels.load().first_disorder(np.array([1, 3, 2]), True) == 2
assert fastk.__file__.startswith(os.getcwd())
print(sum(order.first_disorder.stats.cache_hits.values()), sum(order.first_disorder.stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_a_read_only_installation_takes_the_code_that_was_kept_when_it_was_made(installation: Path) -> None:
    """As a container does: `fastk warmup` when its image is built, another user and no home when it runs."""
    environment = {"HOME": str(installation), "PATH": os.environ["PATH"]}

    def count(*before: str) -> str:
        done = subprocess.run(
            [*before, sys.executable, "-W", "error", "-c", COUNT_HITS],
            cwd=installation,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not done.returncode, done.stderr
        return done.stdout

    assert count() == "0 1\n"
    set_modes(installation, 0o555)
    assert subprocess.run([*without_privileges(), "touch", installation / "new"], capture_output=True).returncode
    assert count(*without_privileges()) == "1 0\n"


COMPILED_ANEW = """
from fastk import kernels
from fastk.kernels.compiled.cache import CodeFiles
CodeFiles.save = lambda files, key, code: print(files._index_name, *key[0])
kernels.warmup()
"""


@pytest.mark.slow
def test_a_new_process_compiles_no_kernel_that_was_kept() -> None:
    kernels.warmup()
    done = subprocess.run([sys.executable, "-c", COMPILED_ANEW], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def without_privileges() -> list[str]:
    """The command before a command that has to respect modes: root does not."""
    if os.getuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root writes everywhere, and there is no setpriv to hinder it")
    return ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"]


def test_no_kernel_holds_values_in_a_closure() -> None:
    """numba's key has them, and those of functions that it compiled differ in each process: each would compile anew."""
    assert kernels.load() is compiled
    # By its type: a weak reference to what is gone cannot be asked for its class.
    dispatchers = [each for each in gc.get_objects() if issubclass(type(each), Dispatcher)]
    kept = [each for each in dispatchers if isinstance(each._cache, CACHES)]
    ours = [each.py_func for each in kept if each.py_func.__module__.startswith("fastk.kernels.")]
    assert len(ours) > 20
    assert [function.__qualname__ for function in ours if function.__closure__] == []
