"""The dispatch point: what is loaded when, what FASTK_KERNELS does, and what happens where numba cannot work."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastk import kernels
from fastk.kernels import compiled, plain
from fastk.kernels.compiled import compile as compiling
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import sample_calls

ROOT = Path(kernels.__file__).parents[2]
NAMES = sorted(name for name in vars(Kernels) if not name.startswith("_"))


def run(code: str, policy: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "FASTK_KERNELS"} | more
    if policy is not None:
        environment["FASTK_KERNELS"] = policy
    command = [sys.executable, "-c", "import sys; from fastk import kernels\n" + code]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def output(code: str, policy: str | None = None, **more: str) -> str:
    done = run(code, policy, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_brings_in_no_numba() -> None:
    code = "print('numba' in sys.modules, kernels.loaded(), kernels.current() is kernels.active is kernels.plain)"
    assert output(code) == "False False True"
    assert output(code, "lazy") == "False False True"


@pytest.mark.slow
def test_eager_loads_at_import() -> None:
    assert output("print(kernels.loaded(), kernels.active.__name__)", "eager") == "True fastk.kernels.compiled"


@pytest.mark.slow
def test_never_stays_with_numpy() -> None:
    code = "print(kernels.load() is kernels.plain, kernels.loaded(), 'numba' in sys.modules, len(kernels.warmup()))"
    assert output(code, "never") == f"True False False {len(NAMES)}"


@pytest.mark.slow
def test_an_unknown_policy_is_named_with_the_known_ones() -> None:
    done = run("", "fast")
    assert done.returncode
    assert "ValueError: FASTK_KERNELS='fast' is unknown: use one of eager, lazy, never" in done.stderr


def test_the_policy_is_read_at_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "active", plain)
    monkeypatch.setenv("FASTK_KERNELS", "never")
    assert kernels.load() is plain
    monkeypatch.setenv("FASTK_KERNELS", "sometimes")
    with pytest.raises(ValueError, match="eager, lazy, never"):
        kernels.load()


@pytest.mark.slow
def test_load_rebinds_once_for_all_threads() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    found = list(pool.map(lambda _: kernels.load(), range(32)))
print(len(set(map(id, found))), found[0] is kernels.active is kernels.current(), kernels.loaded())
"""
    assert output(code) == "1 True True"


@pytest.mark.slow
def test_without_numba_numpy_serves_and_one_warning_says_so() -> None:
    code = """
import warnings
sys.modules["numba"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(kernels.load() is kernels.load() is kernels.plain, kernels.loaded(), len(kernels.warmup()))
print([(warning.category.__name__, "numpy serves instead" in str(warning.message)) for warning in caught])
"""
    assert output(code).splitlines() == [f"True False {len(NAMES)}", "[('RuntimeWarning', True)]"]


@pytest.mark.slow
def test_without_a_compiler_the_kernels_still_answer() -> None:
    code = "print(kernels.warmup().keys() and kernels.loaded())"
    assert output(code, NUMBA_DISABLE_JIT="1") == "True"


def test_both_implementations_have_every_kernel() -> None:
    assert sorted(compiled.__all__) == dir(plain) == NAMES
    assert all(callable(getattr(implementation, name)) for implementation in (plain, compiled) for name in NAMES)


def test_no_module_of_the_kernels_in_numpy_can_stand_in_the_place_of_a_kernel() -> None:
    assert {module.name for module in pkgutil.iter_modules(plain.__path__)} & set(NAMES) == set()


def test_what_is_no_kernel_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sort'"):
        plain.sort  # noqa: B018


def test_warmup_calls_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "active", plain)
    monkeypatch.delenv("FASTK_KERNELS", raising=False)
    seconds = kernels.warmup()
    assert kernels.loaded()
    assert sorted(seconds) == NAMES
    assert min(seconds.values()) >= 0


def test_samples_pass_read_only_inputs() -> None:
    outputs = {"bounds": 0, "find": 0, "first_disorder": 0, "zones": 3, "index_bounds": 2, "merge": 4}
    outputs |= {"sequence_breaks": 4, "finder": 0, "picker": 0, "scan_chunks": 2}  # the others have one, last
    for name, arguments in sample_calls():
        inputs = arguments[: len(arguments) - outputs.get(name, 1)]
        assert not any(each.flags.writeable for each in inputs if isinstance(each, np.ndarray)), name


def test_other_failures_of_the_compiler_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(compiling, "njit", fail)
    with pytest.raises(RuntimeError, match="something else"):
        compiling.kernel(lambda value: value)
