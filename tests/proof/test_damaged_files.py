"""Every byte of a small store changed, every file cut at every length, filled, and swapped with others.

Another process looks at each, under limits of memory and time, so that a crash, an endless loop or an allocation of
whatever a file makes up would show. It finds the right rows or an error, never other rows, and scrub has a verdict.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import temporary_folder
from support import damage
from support.figures import Note
from support.processes import Child, children
from support.torture import amounts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stores are written on POSIX systems only")


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    with temporary_folder() as folder:
        damage.make_store(folder / "store")
        yield folder / "store"


@pytest.mark.parametrize("kind", list(damage.FILES))
@pytest.mark.parametrize("step", amounts(61, 11, 1))
def test_damage_is_never_read_as_data_and_always_has_a_verdict(root: Path, kind: str, step: int, figures: Note) -> None:
    damages = damage.damages_of(root, kind, step)
    with children((damage.look, str(root), kind, damages, step <= 11)) as (child,):
        told = list(child.rest())
        assert child.end() == 0, f"it died at {told[-1:]} of a {kind}"
    assert told[:-1] == [each.described for each in damages]
    figures("damage", kind, told[-1])


def test_the_process_that_looks_would_be_killed_by_its_limits() -> None:
    with children((too_much,)) as (child,):
        assert child.hear() == "MemoryError"


def too_much(pipe):
    damage.limit_memory()
    try:
        bytearray(4 << 30)
    except MemoryError:
        pipe.send("MemoryError")


def test_a_crash_of_the_process_is_a_failure(root: Path) -> None:
    child = Child(crash)
    assert list(child.rest()) == []
    assert child.end() == -11


def crash(pipe):
    import ctypes

    ctypes.string_at(0)
