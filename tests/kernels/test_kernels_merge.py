"""The k-way merge: compiled == numpy == a stable sort, however runs are cut into blocks and the output into batches."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastk.kernels import compiled, plain
from fastk.kernels.interface import Kernels
from fastk.kernels.samples import LABELS, read_only

LEAST, GREATEST = -(2**63), 2**63 - 1
TS = st.integers(0, 6) | st.integers(LEAST, GREATEST) | st.sampled_from([LEAST, LEAST + 1, GREATEST - 1, GREATEST])
RUNS = st.lists(st.lists(TS, max_size=12).map(sorted), min_size=1, max_size=9)
UNTOUCHED = -77

both = pytest.mark.parametrize("kernels", [plain, compiled], ids=["plain", "compiled"])
label_dtypes = pytest.mark.parametrize("dtype", LABELS, ids=str)


def expected_merge(runs: list[list[int]]) -> list[tuple[int, int, int]]:
    """(ts, run, place in the run) by a stable sort, which python keeps: runs in order, each in its own."""
    events = [(ts, run, place) for run, each in enumerate(runs) for place, ts in enumerate(each)]
    return sorted(events, key=lambda event: event[0])


class Feeder:
    """Runs that are handed to a kernel block by block, as a caller with little memory does."""

    def __init__(self, runs: list[list[int]], block: int, dtype: Any) -> None:
        self.runs = [np.array(run, dtype=np.int64) for run in runs]
        self.buffer = np.empty(len(runs) * block, dtype=np.int64)
        self.begins = np.arange(len(runs)) * block
        self.positions, self.stops = self.begins.copy(), self.begins.copy()
        self.taken = np.zeros(len(runs), dtype=np.int64)
        self.final = np.zeros(len(runs), dtype=np.uint8)
        self.labels = read_only(np.arange(len(runs))[::-1].astype(dtype))
        self.block = block

    def refill(self) -> None:
        for run in np.flatnonzero((self.positions == self.stops) & (self.final == 0)).tolist():
            part = self.runs[run][self.taken[run] : self.taken[run] + self.block]
            begin = int(self.begins[run])
            self.buffer[begin : begin + len(part)] = part
            self.positions[run], self.stops[run] = begin, begin + len(part)
            self.taken[run] += len(part)
            self.final[run] = self.taken[run] == len(self.runs[run])

    def merge(self, kernels: Kernels, capacity: int) -> list[tuple[int, int, int]]:
        """One call: its events as (ts, run, place in the run). What is behind them stays untouched."""
        outputs = [np.full(capacity, 77, self.labels.dtype), *np.full((2, capacity), UNTOUCHED)]
        before = self.positions.copy()
        inputs = (read_only(self.buffer), read_only(self.stops), read_only(self.final), self.labels)
        count = kernels.merge(*inputs, read_only(self.taken - self.stops), self.positions, *outputs)
        assert (self.positions - before).sum() == count
        assert all((output[count:] == UNTOUCHED).all() for output in outputs[1:])
        labels, places, ts = (output[:count].tolist() for output in outputs)
        return [(t, len(self.runs) - 1 - label, place) for t, label, place in zip(ts, labels, places, strict=True)]


def stream(kernels: Kernels, runs: list[list[int]], block: int, capacity: int, dtype: Any) -> list[list[Any]]:
    """The events of every call until there are no more."""
    feeder, calls = Feeder(runs, block, dtype), []
    while not calls or calls[-1]:
        feeder.refill()
        calls.append(feeder.merge(kernels, capacity))
    return calls


def joined(calls: list[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(calls))


@pytest.mark.slow
@label_dtypes
@settings(deadline=None, max_examples=150)
@given(runs=RUNS, block=st.integers(1, 5), capacity=st.integers(1, 20))
def test_merge_is_a_stable_sort(dtype: Any, runs: list[list[int]], block: int, capacity: int) -> None:
    found = stream(plain, runs, block, capacity, dtype)
    assert stream(compiled, runs, block, capacity, dtype) == found
    assert joined(found) == expected_merge(runs)


@both
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40), unit=st.sampled_from([1, 10**3, 10**14]))
def test_many_runs_of_random_times(kernels: Kernels, seed: int, count: int, unit: int) -> None:
    random = np.random.default_rng(seed)
    runs = [np.sort(random.integers(0, 500, random.integers(0, 300)) * unit).tolist() for _ in range(count)]
    assert joined(stream(kernels, runs, 64, 500, np.uint16)) == expected_merge(runs)


@both
def test_a_run_that_goes_on_stops_the_merge_when_it_is_over(kernels: Kernels) -> None:
    feeder = Feeder([[1, 5, 9], [2, 3, 4]], 2, np.uint16)
    feeder.refill()
    assert feeder.merge(kernels, 10) == [(1, 0, 0), (2, 1, 0), (3, 1, 1)]
    feeder.refill()
    assert feeder.merge(kernels, 1) == [(4, 1, 2)]
    assert feeder.merge(kernels, 10) == [(5, 0, 1)]
    feeder.refill()
    assert feeder.merge(kernels, 10) == [(9, 0, 2)]
    assert feeder.merge(kernels, 10) == []


@both
def test_times_at_both_ends_of_int64_meet(kernels: Kernels) -> None:
    runs = [[LEAST, GREATEST], [LEAST, 0, GREATEST], [GREATEST], [], [LEAST]]
    assert joined(stream(kernels, runs, 4, 8, np.uint16)) == expected_merge(runs)
