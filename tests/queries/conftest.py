"""Both implementations of the kernels, and every way to search: chunk by chunk, or all at once."""

from functools import partial

import pytest
from builders import use_kernels

from fastk.kernels.codes import SOME
from fastk.kernels.plain import selection
from fastk.query import chunk_search, compared, indexed, planner, search

AT_ONCE = "at once"
COMPARED = "compared"
FEW = "few rows"


@pytest.fixture(params=["plain", "compiled", AT_ONCE, COMPARED, f"{COMPARED}, plain", FEW])
def kernels(request, monkeypatch):
    """The first two go chunk by chunk. The others answer for all chunks wherever they can.

    AT_ONCE does so by value indexes, however few or many rows match, COMPARED by comparing, FEW as in short windows.
    """
    monkeypatch.setattr(search, "_few_chunks", lambda *_: 10**9 if request.param == FEW else 0)
    monkeypatch.setattr(search, "_FEW_RANGES", selection._COMPARED_RANGES)  # more numpy takes as arrays only
    monkeypatch.setattr(search, "rows_scanned_at_once", lambda *_: 10**9)
    use_kernels(monkeypatch, "plain" if "plain" in request.param else "compiled")
    monkeypatch.setattr(compared, "_FEWEST_CHUNKS", 1 if COMPARED in request.param else 10**9)
    if COMPARED in request.param:
        monkeypatch.setattr(compared, "_MOST_ROWS_A_CHUNK", 10**9)
        monkeypatch.setattr(indexed, "MOST_RANGES", 0)
        monkeypatch.setattr(compared, "opened", partial(at_once_at_first, compared.opened))
    if request.param == AT_ONCE:
        monkeypatch.setattr(indexed, "_FEWEST_ROWS_A_CHUNK", 0)
        monkeypatch.setattr(indexed, "index_capacity", lambda rows, chunks, ranges, costs: rows)
    return request.param


def at_once_at_first(opened, *arguments, at_once):
    """Open the chunks of a window already for its first query."""
    return opened(*arguments, at_once=True)


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

    few, find, compare = search.search_few, indexed.IndexedChunks.find, compared.ComparedChunks.find

    def watched_few(*arguments):
        found = few(*arguments)
        for verdict, _ in found._searched:
            if verdict == SOME:
                searched[object()] = None, [planner.SCAN]
        return found

    def watched_find(chunks, *arguments):
        found = find(chunks, *arguments)
        for count in found._counts.tolist() if found is not None else ():
            if count >= 0:
                searched[object()] = None, [AT_ONCE, planner.PROBE, planner.MARK]
        return found

    def watched_compare(chunks, *arguments):
        found = compare(chunks, *arguments)
        for _ in found._compared if found is not None else ():
            searched[object()] = None, [planner.SCAN]
        return found

    monkeypatch.setattr(chunk_search, "next_step", watched)
    monkeypatch.setattr(search, "search_few", watched_few)
    monkeypatch.setattr(indexed.IndexedChunks, "find", watched_find)
    monkeypatch.setattr(compared.ComparedChunks, "find", watched_compare)

    def taken():
        lists = [each for _, each in searched.values()]
        searched.clear()
        return lists

    return taken
