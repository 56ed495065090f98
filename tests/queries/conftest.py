"""Both implementations of the kernels, and every plan."""

import pytest
from builders import use_kernels

from fastk.query import chunk_search, planner


@pytest.fixture(params=["plain", "compiled"])
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param


@pytest.fixture
def steps(monkeypatch):
    """The steps taken, a list for each chunk that was searched; spans and empty windows need none."""
    searched = {}

    def watched(plan, facts, costs):
        step = planner.next_step(plan, facts, costs)
        searched.setdefault(id(facts), (facts, []))[1].append(step)  # the facts are kept, so that no id comes back
        return step

    monkeypatch.setattr(chunk_search, "next_step", watched)

    def taken():
        lists = [each for _, each in searched.values()]
        searched.clear()
        return lists

    return taken
