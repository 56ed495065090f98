"""The files in dist, as a user gets them: in a bare environment of every Python, from the package index.

Run by `make release-check`, which builds them and says where they are in FASTK_DIST; otherwise skipped.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import fastk

CHECKOUT = Path(__file__).resolve().parents[2]
SMOKE = Path(__file__).with_name("smoke.py")
DIST = os.environ.get("FASTK_DIST")
PYTHONS = ("3.11", "3.12", "3.13")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(DIST is None, reason="make release-check runs these")]

# The oldest versions that pyproject.toml allows, on the oldest Python.
LOWEST = ("numpy==1.26.0", "numba==0.60.0", "crc32c==2.7", "mmap-ninja==0.7.0")


def run(*command, cwd):
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FASTK", "PYENV"))}
    words = [*map(str, command)]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interpreter(version):
    """A Python of this version: of the PATH, or of pyenv."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for found in (shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        # A shim of pyenv is there for versions that are not chosen, too, and fails.
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    pytest.skip(f"there is no Python {version}")


@pytest.fixture(scope="module")
def wheel():
    (found,) = (CHECKOUT / DIST).resolve().glob("*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        return message_from_string(archive.read(name).decode())


def bare(version, folder):
    """The Python of a new environment."""
    run(interpreter(version), "-m", "venv", folder / "environment", cwd=folder)
    return folder / "environment" / "bin" / "python"


def install(python, *what):
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what, cwd=python.parent)


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_works_in_a_bare_environment(version, wheel, tmp_path):
    python = bare(version, tmp_path)
    install(python, wheel)
    (tmp_path / "work").mkdir()
    print(run(python, SMOKE, cwd=tmp_path / "work"))


@pytest.mark.parametrize("command", [("uvx", "--from"), ("pipx", "run", "--spec")], ids=lambda words: words[0])
def test_the_wheel_runs_without_being_installed(command, wheel, tmp_path):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    assert run(*command, wheel, "fastk", "--version", cwd=tmp_path) == f"fastk {fastk.__version__}\n"


def test_the_wheel_works_with_the_oldest_versions_allowed(wheel, tmp_path):
    python = bare(PYTHONS[0], tmp_path)
    install(python, wheel, *LOWEST)
    (tmp_path / "work").mkdir()
    print(run(python, SMOKE, cwd=tmp_path / "work"))


def test_the_oldest_versions_are_those_that_the_wheel_names(metadata):
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(needed) == sorted(line.replace("==", ">=").removesuffix(".0") for line in LOWEST)


@pytest.mark.parametrize("version", PYTHONS)
def test_all_extras_resolve(version, wheel, metadata, tmp_path):
    python = bare(version, tmp_path)
    for extra in metadata.get_all("Provides-Extra"):
        install(python, "--dry-run", f"{wheel}[{extra}]")


def test_the_files_are_of_this_version(wheel, metadata):
    assert metadata["Version"] == fastk.__version__
    assert metadata["License-Expression"] == "MIT"
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_source_distribution_has_what_building_needs():
    (found,) = (CHECKOUT / DIST).resolve().glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "fastk/kernels/__init__.py"} <= names
    assert not any(name.startswith(("tests/", "bench/")) for name in names)
