"""How the benchmarks measure: contenders take turns on the same batches, and medians are compared.

A figure is the median over batches of a batch's time divided by its calls. Taking turns batch by batch exposes all
contenders to the same disturbances, so that their ratio holds where absolute times drift. FastK without kernels and
with them each takes turns with the baseline by itself, because both read the same files: whoever follows its twin on a
batch finds that batch in the processor's caches.
"""

from __future__ import annotations

import gc
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.goals import GOALS, Goal
from fastk import kernels

Run = Callable[[Any], Any]
Float64 = npt.NDArray[np.float64]

NEVER, LOADED = "never", "loaded"
BASELINE, FASTK = "baseline", "fastk"


def use_kernels(mode: str) -> None:
    """Serve what follows by numpy alone (``never``) or by the compiled kernels (``loaded``)."""
    if mode == NEVER:
        os.environ["FASTK_KERNELS"] = "never"
        kernels.active = kernels.plain
    else:
        os.environ["FASTK_KERNELS"] = "lazy"
        kernels.load()


def as_given(batch: Any) -> Any:
    """Prepare nothing."""
    return batch


def assert_same(found: Any, expected: Any) -> None:
    """Require equal answers: numbers, arrays, None, or nested sequences of them."""
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), f"{len(found)} answers, not {len(expected)}"
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert np.array_equal(found, expected), f"{found!r} is not {expected!r}"


@dataclass(frozen=True)
class Workload:
    """One line of the table: what FastK does, what it stands beside, and on which batches.

    ``fastk`` and ``baseline`` take a batch and return answers; ``prepare_fastk`` and ``prepare_baseline`` turn a batch
    into their argument before the clock starts. ``proofs`` replace the two where their timed answers say too little.
    A baseline runs in the mode that it stands beside: one that is FastK itself is compared in one of ``modes`` only.
    """

    name: str
    fastk: Run
    baseline: Run | None
    batches: Sequence[Any]
    calls: int = 1
    baseline_name: str = "raw npy"
    prepare_fastk: Run = as_given
    prepare_baseline: Run = as_given
    proofs: tuple[Run, Run] | None = None
    same: Callable[[Any, Any], None] = assert_same
    modes: tuple[str, ...] = (NEVER, LOADED)

    def check(self) -> None:
        """Assert that both give the same answers, in the kernels' present mode."""
        if self.baseline is None:
            return
        fastk, baseline = self.proofs or (self.fastk, self.baseline)
        for batch in (self.batches[0], self.batches[-1]):
            self.same(fastk(self.prepare_fastk(batch)), baseline(self.prepare_baseline(batch)))


@dataclass
class Result:
    """Medians of one workload by mode, in ``unit`` a call: FastK's, and those of the baseline beside it, if any.

    ``spread`` has percentiles by mode and contender.
    """

    name: str
    baseline_name: str
    baselines: dict[str, float]
    fastk: dict[str, float]
    unit: str = "us"
    spread: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    @property
    def baseline(self) -> float | None:
        """The one to be shown where there is room for one: that beside the last mode, kernels where they took part."""
        return next(reversed(self.baselines.values()), None)

    @property
    def goal(self) -> Goal | None:
        """What the workload should reach."""
        return GOALS.get(self.name)

    def ratio(self, mode: str) -> float | None:
        """FastK's figure divided by that of the baseline beside it."""
        return self.fastk[mode] / self.baselines[mode] if mode in self.baselines else None

    def limit(self, mode: str) -> float | None:
        """What the goal allows beside the baseline of this mode."""
        return self.goal.limit(self.baselines.get(mode, 0.0)) if self.goal else None

    def excess(self, mode: str) -> float | None:
        """FastK's figure divided by what the goal allows; up to 1 the goal is met."""
        limit = self.limit(mode)
        return None if limit is None else self.fastk[mode] / limit


def measure(workload: Workload, modes: Sequence[str]) -> Result:
    """FastK beside the baseline in one mode after the other, over all batches each time.

    With all three by turns FastK found its data in the caches half of the time, warmed by itself in the other mode:
    "scan close of all symbols" took 1.02 of raw npy's time for the 1.25 that it takes so, a point 0.51 for 0.55.
    """
    modes = [mode for mode in modes if mode in workload.modes] or list(workload.modes[:1])
    result = Result(workload.name, workload.baseline_name if workload.baseline else "", {}, {})
    for mode in modes:
        figures = beside_baseline(workload, mode)
        medians = {name: float(np.median(each)) for name, each in figures.items()}
        result.fastk[mode] = medians[FASTK]
        if BASELINE in medians:
            result.baselines[mode] = medians[BASELINE]
        result.spread[mode] = {
            name: np.percentile(each, (10, 25, 75, 90)).round(4).tolist() for name, each in figures.items()
        }
    return result


def beside_baseline(workload: Workload, mode: str) -> dict[str, Float64]:
    """Check the answers, then let FastK and the baseline take turns: microseconds a call of each batch."""
    use_kernels(mode)
    workload.check()
    contenders = {FASTK: partial(time_once, workload.fastk, workload.prepare_fastk)}
    if workload.baseline:
        contenders[BASELINE] = partial(time_once, workload.baseline, workload.prepare_baseline)
    times = take_turns(contenders, workload.batches)
    return {name: np.array(seconds) / workload.calls * 1e6 for name, seconds in times.items()}


def take_turns(contenders: Mapping[str, Run], batches: Sequence[Any]) -> dict[str, list[float]]:
    """What each contender gives on every batch.

    Their order is drawn anew for each: one that always came behind the same other would inherit its caches and memory.
    """
    found: dict[str, list[float]] = {name: [] for name in contenders}
    order = random.Random(0)
    for batch in batches:
        for name in order.sample(list(contenders), len(contenders)):
            found[name].append(contenders[name](batch))
    return found


def time_once(run: Run, prepare: Run, batch: Any) -> float:
    """Seconds of one contender on one batch, without its preparation and without garbage collection."""
    argument = prepare(batch)
    gc.collect(0)
    gc.disable()
    try:
        begin = time.perf_counter()
        answers = run(argument)
        seconds = time.perf_counter() - begin
    finally:
        gc.enable()
    del answers
    return seconds


class Part(NamedTuple):
    """A line: what is done, and the microseconds that it takes."""

    name: str
    microseconds: float


class Clock:
    """Sums the time of named steps, round by round."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time a block that is one round of a step."""
        begin = time.perf_counter()
        yield
        self._spent.setdefault(name, []).append(time.perf_counter() - begin)

    def parts(self) -> Iterator[Part]:
        """The median of each step."""
        return (Part(name, statistics.median(spent) * 1e6) for name, spent in self._spent.items())
