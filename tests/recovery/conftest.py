"""A fresh store of three series for each story, in memory where the system offers that."""

from pathlib import Path

import pytest
from builders import temporary_folder
from recovery_stores import make_store


@pytest.fixture
def folder_in_memory():
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def root(folder_in_memory) -> Path:
    make_store(folder_in_memory / "store").close()
    return folder_in_memory / "store"
