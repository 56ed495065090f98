"""What tests of the original's stores share: a folder, and made-up series of every record type."""

import pytest
from builders import temporary_folder
from original_calls import fill

from fastk import FastKStore


@pytest.fixture
def folder():
    """An empty folder."""
    with temporary_folder() as path:
        yield path


@pytest.fixture
def root(folder):
    """A store of the original with a series of each record type."""
    fill(folder / "old")
    return folder / "old"


@pytest.fixture
def old(root):
    """The same, opened."""
    with FastKStore.open(root, "r") as store:
        yield store


@pytest.fixture(scope="session")
def golden(shared):
    """The folder of a store that the original itself wrote."""
    found = shared / "golden" / "rust-store-v2"
    if not found.is_dir():
        pytest.skip(f"a store that the original wrote is needed, and {found} does not exist")
    return found
