"""Throughput of one, two and four threads or processes, beside a single one: FastK and raw npy, the same questions."""

from __future__ import annotations

import itertools
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from bench.measure import LOADED, use_kernels
from bench.peers.base import Contestant
from bench.peers.contest import draw_forever, set_up
from bench.peers.questions import MATRICES, PREDICATES, READS, Question
from bench.peers.registry import contestant
from bench.peers.tables import Tables
from bench.table import aligned

WORKERS = (1, 2, 4)
CONTENDERS = ("fastk", "npy")
ROUNDS = 3
QUERIES = 200
TITLE = "Threads and processes"
QUESTIONS = {
    each.title: each
    for each in (*READS, *PREDICATES, *MATRICES)
    if each.title
    in {
        "range 1,024 rows, sum of close",
        "full series, sum of close",
        "value between, 0.1% match, random",
        "value == x, a third matches",
        "feature matrix, 20 features of each symbol, one month",
    }
}


class Throughput(NamedTuple):
    """Answers a second of one question by one contender, by kind and number of workers."""

    question: str
    contender: str
    kind: str
    workers: int
    rate: float


def measure_throughput(tables: Tables, folder: str) -> list[Throughput]:
    """Every question, by every contender, kind and number of workers; the median of some rounds."""
    use_kernels(LOADED)
    found = []
    for needed, questions in itertools.groupby(QUESTIONS.values(), key=lambda each: each.tables):
        with set_up(CONTENDERS, needed, tables, folder) as (stages, _):
            stores = {word: stage.contestant for word, stage in stages.items()}
            crews = {word: (Threads(store), Processes(word, store.folder)) for word, store in stores.items()}
            for question in questions:
                print(f"  {TITLE.lower()}: {question.title} ...", file=sys.stderr)
                found += measure_question(question, crews, tables)
            for _, processes in crews.values():
                processes.dismiss()
    return found


def measure_question(question: Question, crews: Mapping[str, Sequence[Any]], tables: Tables) -> list[Throughput]:
    queries = list(itertools.islice(draw_forever(question, tables), QUERIES))
    cases = [(word, crew, workers) for word, both in crews.items() for crew in both for workers in WORKERS]
    rates: list[list[float]] = [[] for _ in cases]
    for _, (found, (_, crew, workers)) in itertools.product(range(ROUNDS), zip(rates, cases, strict=True)):
        found.append(crew.rate(question.title, queries, workers, tables.size.seconds))
    return [
        Throughput(question.title, word, crew.kind, workers, statistics.median(found))
        for found, (word, crew, workers) in zip(rates, cases, strict=True)
    ]


class Threads:
    """Threads of this process, over one open contestant."""

    kind = "threads"

    def __init__(self, store: Contestant) -> None:
        self._store = store

    def rate(self, title: str, queries: Sequence[Any], workers: int, seconds: float) -> float:
        """Answers a second of all together."""
        start = threading.Barrier(workers)
        with ThreadPoolExecutor(workers) as pool:
            ask = partial(ask_for, self._store, QUESTIONS[title], queries, seconds, start.wait)
            return sum(each.result() for each in [pool.submit(ask) for _ in range(workers)])


class Processes:
    """New processes, each with a contestant of its own, which are kept until they are dismissed."""

    kind = "processes"

    def __init__(self, word: str, folder: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._lines = [context.Pipe() for _ in range(max(WORKERS))]
        self._processes = [context.Process(target=serve, args=(word, folder, end)) for _, end in self._lines]
        for process in self._processes:
            process.start()

    def rate(self, title: str, queries: Sequence[Any], workers: int, seconds: float) -> float:
        """Answers a second of all together; they begin when all are warm."""
        asked = [line for line, _ in self._lines[:workers]]
        for line in asked:
            line.send((title, queries, seconds))
        for line in asked:
            line.recv()
        for line in asked:
            line.send("go")
        return sum(line.recv() for line in asked)

    def dismiss(self) -> None:
        """End them."""
        for line, _ in self._lines:
            line.send(None)
        for process in self._processes:
            process.join()


def serve(word: str, folder: str, line: Any) -> None:
    """What a process of a crew does: get warm, say so, wait for the others, ask, tell."""
    use_kernels(LOADED)
    store = contestant(word)(folder)
    store.open()

    def wait_for_others() -> None:
        line.send("ready")
        line.recv()

    while (job := line.recv()) is not None:
        title, queries, seconds = job
        line.send(ask_for(store, QUESTIONS[title], queries, seconds, wait_for_others))


def ask_for(
    store: Contestant, question: Question, queries: Sequence[Any], seconds: float, wait: Callable[[], Any]
) -> float:
    """Answers a second, over so many seconds, after some to get warm."""
    for query in queries[: 1 + len(queries) // 10]:
        question.ask(store, query)
    wait()
    begin = time.perf_counter()
    end, now, answers = begin + seconds, begin, 0
    for query in itertools.cycle(queries):
        question.ask(store, query)
        answers += 1
        now = time.perf_counter()
        if now >= end:
            break
    return answers / (now - begin)


KINDS = (Threads.kind, Processes.kind)


def as_lines(found: Sequence[Throughput]) -> list[str]:
    """A line a question and contender; throughput of one worker, and of more beside it."""
    rates = {each[:4]: each.rate for each in found}
    header = ["question", "", "one, a second", *(f"{n} {kind}" for kind in KINDS for n in WORKERS[1:])]
    rows = [header]
    for title, word in dict.fromkeys((each.question, each.contender) for each in found):
        single = rates[title, word, Threads.kind, 1]
        cells = [
            f"{rates[title, word, kind, workers] / rates[title, word, kind, 1]:.2f}"
            for kind in KINDS
            for workers in WORKERS[1:]
        ]
        rows.append([title, contestant(word).name, f"{single:,.0f}", *cells])
    what = "Answers a second of one thread; then, for more threads or processes, their sum beside that of one."
    return ["", what, "", *aligned(rows)]
