"""Fixtures of the benchmarks: one market a session, and kernels put back as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from bench.data import Market, temporary_market
from fastk import kernels


@pytest.fixture(scope="session")
def market() -> Iterator[Market]:
    """The full data; FASTK_BENCH_SYMBOLS makes it smaller."""
    with temporary_market(int(os.environ.get("FASTK_BENCH_SYMBOLS", "8"))) as whole:
        yield whole


@pytest.fixture(autouse=True)
def kernels_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks switch kernels; what comes after them finds its own choice."""
    monkeypatch.setattr(kernels, "active", kernels.active)
    monkeypatch.setenv("FASTK_KERNELS", os.environ.get("FASTK_KERNELS", "lazy"))
