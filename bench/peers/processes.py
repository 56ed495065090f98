"""Whole processes of each contestant: from nothing to the first rows, and peak memory."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from bench.measure import take_turns
from bench.peers.base import can
from bench.peers.contest import Answered, set_up
from bench.peers.registry import contestant
from bench.peers.tables import FEATURES, Tables
from bench.processes import run_program

FIRST_ROWS = 1_024
TITLE, MEMORY_TITLE = "Whole processes", "Peak memory, MB"

Found = dict[str, list[tuple[str, float]]]  # output and seconds of each round


def answer_processes(words: Sequence[str], tables: Tables, folder: str) -> dict[str, list[Answered]]:
    """The lines of both tables; memory in MB in the place of times."""
    ts, bars = tables.ts, next(iter(tables.bars))
    rows = min(FIRST_ROWS, ts.size)
    first = ("first", bars, str(ts[0]), str(ts[rows - 1]))
    matrix = ("matrix", str(ts[0]), str(ts[-1]), ",".join(FEATURES), *tables.features)
    with_bars = partial(ask_all, words, "bars", tables, folder)
    with_features = partial(ask_all, words, "features", tables, folder)
    return {
        TITLE: [with_bars("a new process, to its first 1,024 rows", first, seconds_of)],
        MEMORY_TITLE: [
            with_bars("all columns of a full series", ("full", bars), peak_of, least=True),
            with_features("feature matrix of all months", matrix, peak_of, least=True),
        ],
    }


def ask_all(
    words: Sequence[str],
    needed: str,
    tables: Tables,
    folder: str,
    title: str,
    arguments: Sequence[str],
    figure: Callable[[tuple[str, float]], float],
    least: bool = False,
) -> Answered:
    """One line: the same program for each contestant, by turns; their answers must be the same."""
    method = {"matrix": "matrix"}.get(arguments[0], "open")
    able = [word for word in words if can(contestant(word), method)]
    stages = set_up(able, needed, tables, os.path.join(folder, f"processes-{needed}"))
    for stage in stages.values():
        stage.contestant.close()
    print(f"  {title} ...", file=sys.stderr)
    rounds = min(3, tables.size.process_rounds) if least else tables.size.process_rounds
    asked = {word: partial(run_once, word, stage.contestant.folder, arguments) for word, stage in stages.items()}
    found = take_turns(asked, range(rounds))
    for stage in stages.values():
        stage.remove()
    return judged(title, rounds, found, figure)


def run_once(word: str, folder: str, arguments: Sequence[str], turn: Any) -> tuple[str, float]:
    """The output of a new process, and its seconds."""
    begin = time.perf_counter()
    output = run_program(sys.executable, "-m", "bench.peers.process", word, folder, *arguments)
    return output, time.perf_counter() - begin


def judged(title: str, rounds: int, found: Found, figure: Callable[..., float]) -> Answered:
    """Medians of those whose answer is the first contestant's."""
    answers = {word: outputs[0][0].split()[0] for word, outputs in found.items()}
    expected = float(next(iter(answers.values())))
    differ = [word for word, each in answers.items() if not np.isclose(float(each), expected, 1e-15)]
    failures = {word: f"answers {answers[word]}" for word in differ}
    times = {word: float(np.median([figure(each) for each in outputs])) for word, outputs in found.items()}
    return Answered(title, {word: time for word, time in times.items() if word not in failures}, rounds, {}, failures)


def seconds_of(each: tuple[str, float]) -> float:
    return each[1] * 1e6


def peak_of(each: tuple[str, float]) -> float:
    return int(each[0].split()[1]) / 1024
