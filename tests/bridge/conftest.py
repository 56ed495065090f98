"""The bridge over a folder that does not exist yet."""

import pytest
from bridge_calls import Bridge
from builders import temporary_folder


@pytest.fixture(autouse=True)
def _without_compiled_kernels(monkeypatch):
    """As the entry of the program has it."""
    monkeypatch.setenv("FASTK_KERNELS", "never")


@pytest.fixture
def bridge():
    with temporary_folder() as folder:
        yield Bridge(str(folder / "store"))
