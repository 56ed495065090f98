"""Compiled code from the disk is that of these types and this source, whatever other processes wrote meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastk.kernels.compiled import cache
from fastk.kernels.compiled.compile import kernel

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
