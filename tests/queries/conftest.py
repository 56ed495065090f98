"""Both implementations of the kernels, and every way to search: chunk by chunk, or all at once."""

import pytest
from builders import use_kernels

from fastk.query import at_once, chunk_search, planner

AT_ONCE = "at once"


@pytest.fixture(params=["plain", "compiled", AT_ONCE])
def kernels(request, monkeypatch):
    """The last one lets value indexes answer for all chunks wherever they can, however few or many rows match."""
    use_kernels(monkeypatch, "compiled" if request.param == AT_ONCE else request.param)
    if request.param == AT_ONCE:
        monkeypatch.setattr(at_once, "_FEWEST_ROWS_A_CHUNK", 0)
        monkeypatch.setattr(at_once, "index_capacity", lambda rows, chunks, ranges, costs: rows)
    return request.param


@pytest.fixture
def steps(monkeypatch):
    """The steps taken, a list for each chunk that was searched; spans and empty windows need none.

    Lists of chunks that were searched together begin with AT_ONCE.
    """
    searched = {}

    def watched(plan, facts, costs):
        step = planner.next_step(plan, facts, costs)
        searched.setdefault(id(facts), (facts, []))[1].append(step)  # the facts are kept, so that no id comes back
        return step

    find = at_once.IndexedChunks.find

    def watched_find(chunks, *arguments):
        found = find(chunks, *arguments)
        for count in found._counts.tolist() if found else ():
            if count >= 0:
                searched[object()] = None, [AT_ONCE, planner.PROBE, planner.MARK]
        return found

    monkeypatch.setattr(chunk_search, "next_step", watched)
    monkeypatch.setattr(at_once.IndexedChunks, "find", watched_find)

    def taken():
        lists = [each for _, each in searched.values()]
        searched.clear()
        return lists

    return taken
