"""`fastk warmup` shares the work among processes, and does alone what they could not do."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fastk import kernels
from fastk.cli import warmup
from fastk.kernels.samples import sample_calls


class Recorder:
    """Stands for the kernels, and counts what is called."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.update([name])


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(kernels, "load", lambda: recorder)
    return recorder


@pytest.mark.parametrize("shares", [1, 2, 3, 8])
def test_each_call_falls_to_one_share_and_shares_are_alike(recorder: Recorder, shares: int) -> None:
    sizes = []
    for share in range(shares):
        before = recorder.calls.total()
        kernels.call_share(share, shares)
        sizes.append(recorder.calls.total() - before)
    assert recorder.calls == Counter(name for name, _ in sample_calls())
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import no_such_library", "print('{'); raise SystemExit(1)"])
def test_what_a_helper_cannot_do_is_done_here(recorder: Recorder, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup, "_HELPER", code)
    assert set(warmup.fill_cache(2)) == {name for name, _ in sample_calls()}
    assert set(recorder.calls) == {name for name, _ in sample_calls()}


def test_helpers_end_with_a_failure_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(share: int, shares: int) -> dict[str, float]:
        raise MemoryError

    helpers = []
    start = warmup._helper

    def helper(share: int, shares: int) -> subprocess.Popen[str]:
        helpers.append(start(share, shares))
        return helpers[-1]

    monkeypatch.setattr(warmup, "_HELPER", "import time; time.sleep(3600)")
    monkeypatch.setattr(warmup, "_helper", helper)
    monkeypatch.setattr(kernels, "call_share", fail)
    with pytest.raises(MemoryError):
        warmup.fill_cache(3)
    assert [one.poll() is None for one in helpers] == [False, False]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("FASTK_KERNELS", "never", "FASTK_KERNELS=never keeps them away"),
        ("NUMBA_NUM_THREADS", "0", "they cannot be loaded: ValueError.*the variables NUMBA_"),
        ("NUMBA_DISABLE_JIT", "1", "NUMBA_DISABLE_JIT keeps numba from it"),
    ],
)
def test_an_image_without_kernels_is_not_built(name: str, value: str, why: str, options: tuple[str, ...]) -> None:
    """The command fails where it would leave the cache empty; the library goes on with numpy."""
    done = subprocess.run(
        [sys.executable, "-m", "fastk", "warmup", *options],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"fastk: no kernel was compiled.*{why}.*\n", done.stderr)


@pytest.mark.slow
def test_the_library_asks_no_kernels_of_who_wants_none() -> None:
    code = "import fastk; print(len(fastk.warmup()) > 10, fastk.kernels.loaded())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "FASTK_KERNELS": "never"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_a_helper_costs_memory_so_that_there_are_few(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = warmup._helper
    monkeypatch.setattr(warmup, "_HELPER", "raise SystemExit(1)")
    monkeypatch.setattr(warmup, "_helper", lambda *share: started.append(share) or start(*share))
    warmup.fill_cache(1)
    assert started == []
    warmup.fill_cache(1_000)
    assert started == [(share, 8) for share in range(1, 8)]


def test_helpers_take_nothing_from_the_folder_they_run_in(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("json.py").write_text("open('taken', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warmup, "_HELPER", "import json; raise SystemExit(1)")
    warmup.fill_cache(2)
    assert not tmp_path.joinpath("taken").exists()


TWO_KERNELS = """
every_call = sample_calls
def sample_calls():
    return (call for call in every_call() if call[0] in ("equal", "fnv1a"))
"""
FILL = """
import os, fastk
from fastk.cli.warmup import fill_cache
assert fastk.__file__.startswith(os.getcwd())
print(sorted(fill_cache(2)))
from fastk.kernels.compiled import fnv, matrix
print([sum(kernel.stats.cache_hits.values()) for kernel in (matrix.equal, fnv._hash)])
"""


@pytest.mark.slow
def test_this_process_takes_from_the_cache_what_its_helper_compiled(tmp_path: Path) -> None:
    package = shutil.copytree(
        Path(kernels.__file__).parents[1], tmp_path / "fastk", ignore=shutil.ignore_patterns("__pycache__")
    )
    samples = package / "kernels" / "samples.py"
    samples.write_text(samples.read_text() + TWO_KERNELS)
    environment = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-c", FILL], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    assert done.stdout.splitlines() == ["['equal', 'fnv1a']", "[0, 1]"]
