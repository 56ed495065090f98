"""What is published: the wheel built from the tree, and the one built from the source distribution."""

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import fastk

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parent.parent
NOT_PUBLISHED = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
IMPORTS = """
import fastk, fastk.kernels, fastk.cli.main
print(fastk.__file__, fastk.kernels.__file__, fastk.__version__, sep="\\n")
"""


def run(*command, cwd):
    finished = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


def build_wheel(source, folder):
    """Builds with the setuptools of this environment: no network, no waiting."""
    options = ["--no-deps", "--no-build-isolation", "--no-cache-dir", "--quiet", "--wheel-dir", folder]
    run(sys.executable, "-m", "pip", "wheel", *options, source, cwd=folder.parent)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the checkout, so that building leaves nothing in it."""
    copy = tmp_path_factory.mktemp("tree") / "checkout"
    shutil.copytree(CHECKOUT, copy, symlinks=True, ignore=NOT_PUBLISHED)
    return copy


@pytest.fixture(scope="module")
def source_distribution(tree, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, tree, cwd=folder)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module", params=["tree", "source_distribution"])
def wheel(request, tmp_path_factory):
    return build_wheel(request.getfixturevalue(request.param), tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    needed = ("__init__.py", "kernels/__init__.py", "py.typed", "cli/main.py", "bridge/schemas/bridge.json")
    assert [name for name in needed if f"fastk/{name}" not in names] == []
    assert {name.split("/")[0].split("-")[0] for name in names} == {"fastk", "fastk_engine"}
    of_tests = re.compile(r"(^|[/_.])(conf)?tests?([/_.]|$)")  # "backtest_view" is none
    assert [name for name in names if of_tests.search(name) and not name.endswith((".txt", ".md"))] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_is_of_the_version_that_the_library_names(wheel):
    """The README says it as well; nothing else does."""
    assert wheel.name.split("-")[1] == fastk.__version__
    assert f"Version {fastk.__version__}," in (CHECKOUT / "README.md").read_text()
    assert fastk.__version__ not in (CHECKOUT / "pyproject.toml").read_text()


def test_the_wheel_holds_every_module(wheel, tree):
    modules = {path.relative_to(tree / "fastk").as_posix() for path in (tree / "fastk").rglob("*.py")}
    modules |= {"kernels/" + path.relative_to(tree / "kernels").as_posix() for path in (tree / "kernels").rglob("*.py")}
    published = {name.removeprefix("fastk/") for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    assert published == modules


def test_the_wheel_can_be_installed_and_imported(wheel, tmp_path):
    """Into a new environment that borrows numpy and the like from this one."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--quiet", wheel, cwd=tmp_path)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    package, kernels, version = run(python, "-I", "-c", IMPORTS, cwd=tmp_path).split()
    assert Path(package).is_relative_to(site_packages)
    assert Path(kernels).is_relative_to(site_packages)
    for program in ("fastk", "fastk-engine"):  # the second for `pipx run` and `uvx`
        assert run(environment / "bin" / program, "--version", cwd=tmp_path) == f"fastk {version}\n"
