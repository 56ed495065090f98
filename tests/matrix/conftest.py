"""Both implementations of the kernels, and small steps, so that few rows cross every border."""

import pytest
from builders import use_kernels

from fastk.matrix import build, plan


@pytest.fixture(params=["plain", "compiled"])
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param


@pytest.fixture
def small_steps(monkeypatch):
    """Steps of a few rows, groups of two columns, and pages that leave memory at once."""
    for module, name, value in (
        (build, "STEP_BYTES", 64),
        (build, "_LEAST_ROWS", 5),
        (plan, "_SHARED_ROWS", 3),
        (plan, "_OWN_ROWS", 4),
        (plan, "_STEP_BACK", 2),
        (plan, "GROUP_COLUMNS", 2),
        (plan, "ALIKE_COLUMNS", 2),
        (plan, "RESIDENT_BYTES", 0),
    ):
        monkeypatch.setattr(module, name, value)
