"""Whole processes of each contestant: from nothing to the first rows, and peak memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import numpy as np

from bench.measure import take_turns
from bench.peers.contest import Answered, forgiven, set_up
from bench.peers.tables import FEATURES, Tables
from bench.processes import run_program

FIRST_ROWS = 1_024
TITLE, MEMORY_TITLE = "Whole processes", "Peak memory, MB"


class Program(NamedTuple):
    """What each contestant's process is asked, about which tables; which figure of it is compared."""

    title: str
    needed: str
    arguments: Sequence[str]
    figure: Callable[[tuple[str, float]], float]
    rounds: int


def answer_processes(words: Sequence[str], tables: Tables, folder: str) -> dict[str, list[Answered]]:
    """The lines of both tables; memory in MB in the place of times."""
    ts, symbol, rounds = tables.ts, next(iter(tables.bars)), tables.size.process_rounds
    first = ("first", symbol, str(ts[0]), str(ts[min(FIRST_ROWS, ts.size) - 1]))
    matrix = ("matrix", str(ts[0]), str(ts[-1]), ",".join(FEATURES), *tables.features)
    programs = {
        TITLE: [Program("a new process, to its first 1,024 rows", "bars", first, seconds_of, rounds)],
        MEMORY_TITLE: [
            Program("all columns of a full series", "bars", ("full", symbol), peak_of, 3),
            Program("feature matrix of all months", "features", matrix, peak_of, 3),
        ],
    }
    return {title: [answer(each, words, tables, folder) for each in listed] for title, listed in programs.items()}


def answer(program: Program, words: Sequence[str], tables: Tables, folder: str) -> Answered:
    """One line: the same question to a process of each contestant, by turns; their answers must be the same."""
    with set_up(words, program.needed, tables, folder) as (stages, failures):
        print(f"  {program.title} ...", file=sys.stderr)
        asked = {word: partial(run_once, word, stage.contestant.folder, program.arguments)
                 for word, stage in stages.items()}  # fmt: skip
        answers = {}
        for word, stage in stages.items():
            stage.contestant.close()
            try:
                answers[word] = float(asked[word](None)[0].split()[0])
            except CalledProcessError as error:
                failures[word] = forgiven(word, error)
        expected = answers[next(iter(stages))]
        failures.update({word: f"answers {each}" for word, each in answers.items() if not isclose(each, expected)})
        found = take_turns({word: run for word, run in asked.items() if word not in failures}, range(program.rounds))
    times = {word: float(np.median([program.figure(each) for each in outputs])) for word, outputs in found.items()}
    return Answered(program.title, times, program.rounds, {}, failures)


def isclose(found: float, expected: float) -> bool:
    """Up to the last bit of a division."""
    return bool(np.isclose(found, expected, rtol=1e-15, atol=0))


def run_once(word: str, folder: str, arguments: Sequence[str], turn: Any) -> tuple[str, float]:
    """The output of a new process, and its seconds."""
    begin = time.perf_counter()
    output = run_program(sys.executable, "-m", "bench.peers.process", word, folder, *arguments)
    return output, time.perf_counter() - begin


def seconds_of(each: tuple[str, float]) -> float:
    return each[1] * 1e6


def peak_of(each: tuple[str, float]) -> float:
    return int(each[0].split()[1]) / 1024
