"""Both implementations of the kernels."""

import pytest
from builders import use_kernels


@pytest.fixture(params=["plain", "compiled"])
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param
