"""What every test may use: the sample data beside the checkout, and how long hypothesis looks."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "default")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of sample data, which is no part of the project."""
    folder = Path(os.environ.get("FASTK_SHARED") or CHECKOUT.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"sample data is needed, and {folder} does not exist (FASTK_SHARED names another folder)")
    return folder
