"""Asking: every answer is compared first, then the contestants take turns, and medians are compared."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from bench.data import SEED
from bench.measure import LOADED, take_turns, use_kernels
from bench.peers.base import can
from bench.peers.cold import drop, resident_share
from bench.peers.questions import GROUPS, Question
from bench.peers.registry import ALWAYS, contestant
from bench.peers.stage import Stage
from bench.peers.tables import Tables

BATCH_SECONDS, BATCH_CALLS = 0.004, 50
LEAST_ROUNDS = 9  # where a round takes long; of three or four, one disturbance moves the median
PROOFS = 3

Stages = Mapping[str, Stage]


@dataclass
class Answered:
    """One question: the median time of each contestant in us, and what went wrong with others."""

    title: str
    times: dict[str, float]
    rounds: int
    spread: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def answer_groups(
    words: Sequence[str], groups: Sequence[str], tables: Tables, folder: str
) -> dict[str, list[Answered]]:
    """All questions of some groups, by title of the group."""
    use_kernels(LOADED)
    asked = [(title, question) for word in groups for title, questions in [GROUPS[word]] for question in questions]
    found: dict[str, list[Answered]] = {title: [] for title, _ in asked}
    for needed, together in itertools.groupby(asked, key=lambda each: each[1].tables):
        with set_up(words, needed, tables, folder) as (stages, unable):
            for title, question in together:
                print(f"  {question.title} ...", file=sys.stderr)
                found[title].append(answer(question, stages, tables))
                found[title][-1].failures.update(unable)
    return found


@contextmanager
def set_up(
    words: Sequence[str], needed: str, tables: Tables, folder: str
) -> Iterator[tuple[dict[str, Stage], dict[str, str]]]:
    """Every contestant with the tables, open; and who cannot take them, and why."""
    print(f"  setting up {needed} ...", file=sys.stderr)
    stages: dict[str, Stage] = {}
    unable: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix=f"{needed}-", dir=folder, ignore_cleanup_errors=True) as own:
        for word in words:
            stage = Stage(contestant(word), os.path.join(own, word), tables)
            try:
                stage.fill(getattr(tables, needed))
                stages[word] = stage
            except Exception as error:
                unable[word] = forgiven(word, error)
        try:
            yield stages, unable
        finally:
            for stage in stages.values():
                stage.remove()


def forgiven(word: str, error: Exception) -> str:
    """What is said of a peer that failed; FastK and raw npy may not fail."""
    if word in ALWAYS:
        raise error
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def answer(question: Question, stages: Stages, tables: Tables) -> Answered:
    """One line: proof, then time."""
    able = {word: stage for word, stage in stages.items() if can(stage.contestant, question.method)}
    queries = draw_forever(question, tables)
    failures = prove(question, able, [next(queries) for _ in range(PROOFS)], tables.size.seconds * len(able))
    sound = {word: stage for word, stage in able.items() if word not in failures}
    calls = {word: calls_in_a_batch(question, stage, queries) for word, stage in sound.items()}
    each_round = sum(seconds for _, seconds in calls.values())
    affordable = int(tables.size.seconds * len(sound) / max(each_round, 1e-9))
    rounds = min(question.rounds, max(LEAST_ROUNDS, affordable))
    batches = [list(itertools.islice(queries, BATCH_CALLS if question.is_warm else 1)) for _ in range(rounds)]
    times = take_turns(
        {word: partial(time_batch, question, stage, calls[word][0]) for word, stage in sound.items()}, batches
    )
    figures = {word: np.array(seconds) * 1e6 for word, seconds in times.items()}
    return Answered(
        question.title,
        {word: float(np.median(each)) for word, each in figures.items()},
        rounds,
        {word: np.percentile(each, (10, 25, 75, 90)).round(3).tolist() for word, each in figures.items()},
        failures,
    )


def draw_forever(question: Question, tables: Tables) -> Any:
    """New queries without end, the same in every run."""
    rng = np.random.default_rng(SEED)
    return (question.draw(tables, rng) for _ in itertools.count())


def prove(question: Question, stages: Stages, queries: Sequence[Any], seconds: float) -> dict[str, str]:
    """Whose answers differ from the first contestant's, or who fails; FastK and raw npy may do neither.

    One query after the other, as long as there is time.
    """
    failures: dict[str, str] = {}
    end = time.perf_counter() + seconds
    for place, query in enumerate(queries):
        if place and time.perf_counter() > end:
            break
        expected: Any = None
        for word, stage in stages.items():
            if word in failures:
                continue
            try:
                found = (question.proof or question.ask)(question.place(stage, query), query)
                expected = found if expected is None else expected
                question.same(found, expected)
            except Exception as error:
                failures[word] = forgiven(word, error)
    return failures


def calls_in_a_batch(question: Question, stage: Stage, queries: Any) -> tuple[int, float]:
    """How many calls make up a batch of some milliseconds, and what the batch takes in seconds."""
    if not question.is_warm:
        return 1, time_batch(question, stage, 1, [next(queries)])
    seconds = min(time_batch(question, stage, 1, [next(queries)]) for _ in range(3))
    calls = max(1, min(BATCH_CALLS, int(BATCH_SECONDS / seconds)))
    return calls, calls * seconds


def time_batch(question: Question, stage: Stage, calls: int, batch: Sequence[Any]) -> float:
    """Seconds a call, without its preparation and without garbage collection."""
    store, ask, queries = question.place(stage, batch[0]), question.ask, batch[:calls]
    gc.collect(0)
    gc.disable()
    try:
        begin = time.perf_counter()
        answers = [ask(store, query) for query in queries]
        seconds = time.perf_counter() - begin
    finally:
        gc.enable()
    del answers
    return seconds / len(queries)


def still_warm_files(words: Sequence[str], tables: Tables, folder: str) -> dict[str, float]:
    """Whose files stay in the page cache though they were dropped, and how much of them: not quite cold."""
    found = {}
    with set_up(words, "bars", tables, folder) as (stages, _):
        for word, stage in stages.items():
            stage.contestant.count(next(iter(tables.bars)))
            stage.contestant.close()
            drop(stage.contestant.folder)
            share = resident_share(stage.contestant.folder)
            found[word] = 1.0 if share is None else share
    return {word: share for word, share in found.items() if share > 0.05}
