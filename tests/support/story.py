"""A story of random changes to two series, which every process that knows its seed tells alike.

Each change stamps the rows that it writes with its number, so that each state of a series is known by its rows alone,
and a mixture of two states is none.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastk
from fastk.io.disk import Disk

KEYS = (("BTCUSDT", "story", "one"), ("BTCUSDT", "story", "two"))
SCHEMA = fastk.Schema(
    "stamped",
    [("ts", "i8"), ("stamp", "i8"), ("check", "f8")],
    partition="hour",
    zone_maps=["stamp"],
    value_indexes=["stamp"],
)
START, STEP = 473_352 * 3_600_000, 180_000
TIMES = [START + STEP * place for place in range(80)]  # of the rows that a series can have: 4 hours of 20
KINDS = ("append", "put", "skip", "replace", "replace", "replace_range", "delete", "merge")
PAUSE = 0.001  # seconds that a reader leaves to the others between two rounds
FARTHEST = 4_000  # steps that a reader may be behind

State = Mapping[int, int]  # stamp by ts


class Change(NamedTuple):
    """What is done to a series: rows, by their stamps, and a window."""

    kind: str
    rows: dict[int, int]
    start: int
    end: int


class Story:
    """Steps and states, worked out as far as they are asked for."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._states: list[tuple[State, ...]] = [({}, {})]
        self._steps: list[tuple[str, list[tuple[int, Change]]]] = []

    def state(self, step: int, series: int) -> State:
        """The rows of a series before a step."""
        while len(self._states) <= step:
            self._advance()
        return self._states[step][series]

    def _advance(self) -> None:
        number = len(self._steps)
        chance = random.Random(f"{self._seed}, {number}")
        how = chance.choice(["single"] * 5 + ["batch", "gc"])
        states, changes = list(self._states[-1]), []
        for _ in range({"single": 1, "batch": 3, "gc": 0}[how]):
            series = chance.randrange(len(KEYS))
            change = _random_change(chance, states[series], number)
            states[series] = _changed(states[series], change)
            changes.append((series, change))
        self._steps.append((how, changes))
        self._states.append(tuple(states))

    def perform(self, store: fastk.FastKStore, step: int, positions: Sequence[int]) -> None:
        """Take a step, as far as a series has not taken it yet."""
        self.state(step + 1, 0)
        how, changes = self._steps[step]
        if how == "gc":
            store.gc()
        with store.batch() if how == "batch" else nullcontext():
            for series, change in changes:
                if positions[series] <= step:
                    _perform(store.series(KEYS[series]), change)

    def position(self, series: int, found: State, first: int) -> int:
        """The first step from a given one on before which a series had these rows."""
        for step in range(first, first + FARTHEST):
            if self.state(step, series) == found:
                return step
        raise AssertionError(f"series {series} was never in this state behind step {first}: {dict(found)}")


def _random_change(chance: random.Random, state: State, stamp: int) -> Change:
    kind = chance.choice(KINDS)
    start, end = sorted(chance.choices(TIMES, k=2))
    free = [ts for ts in TIMES if ts not in state]
    last = max(state, default=START - STEP)
    candidates = {
        "append": [ts for ts in free if ts > last][:5],
        "put": free,
        "skip": free,
        "replace": TIMES,
        "replace_range": [ts for ts in TIMES if start <= ts <= end],
    }.get(kind, [])
    rows = {ts: stamp for ts in candidates if chance.random() < 0.3}
    if kind == "skip":
        rows |= {ts: state[ts] for ts in state if chance.random() < 0.2}
    return Change(kind, dict(sorted(rows.items())), start, end)


def _changed(state: State, change: Change) -> State:
    """The rows behind a change."""
    stays = dict(state)
    if change.kind in ("delete", "replace_range"):
        stays = {ts: stamp for ts, stamp in state.items() if not change.start <= ts <= change.end}
    return dict(sorted((stays | change.rows).items()))


def _perform(series: Any, change: Change) -> None:
    rows = columns(change.rows)
    if change.kind == "append":
        series.append(rows)
    elif change.kind == "replace_range":
        series.replace_range(change.start, change.end, rows)
    elif change.kind == "delete":
        series.delete_range(change.start, change.end)
    elif change.kind == "merge":
        series.merge()
    else:
        policy = {"put": "error", "skip": "skip_identical", "replace": "replace"}[change.kind]
        series.put(rows, on_conflict=policy)


def columns(rows: State) -> dict[str, np.ndarray]:
    ts = np.array(list(rows), np.int64)
    stamps = np.array(list(rows.values()), np.int64)
    return {"ts": ts, "stamp": stamps, "check": ts * 0.5 + stamps}


def rows_of(series: Any) -> State:
    """The rows of a series, whose columns must belong together, read in several ways."""
    rows = series.range()
    ts, stamps = rows.ts, rows.column("stamp")
    np.testing.assert_array_equal(rows.column("check"), ts * 0.5 + stamps)
    assert (np.diff(ts) > 0).all()
    found: dict[int, int] = dict(zip(ts.tolist(), stamps.tolist(), strict=True))
    return found


def make_store(root: Path) -> None:
    """Both series, without rows."""
    with fastk.open(root) as store:
        for key in KEYS:
            store.register_series(key, SCHEMA)


class MortalDisk(Disk):
    """Kills its own process instead of an effect, or in the middle of it. ``effects`` are those before that."""

    def __init__(self, effects: int) -> None:
        super().__init__()
        self._left = effects

    def _is_over(self) -> bool:
        self._left -= 1
        return self._left < 0

    def _effect(self) -> None:
        if self._is_over():
            die()

    def _write(self, path: str, buffers: Sequence[Any], how: int) -> int:
        if self._is_over():
            whole = b"".join(bytes(memoryview(buffer).cast("B")) for buffer in buffers)
            super()._write(path, [whole[: len(whole) * 2 // 3]], how)
            die()
        return super()._write(path, buffers, how)

    def sync_file(self, path: str) -> None:
        self._effect()
        super().sync_file(path)

    def sync_folder(self, path: str) -> None:
        self._effect()
        super().sync_folder(path)

    def rename(self, source: str, target: str) -> None:
        self._effect()
        super().rename(source, target)

    def remove(self, path: str) -> None:
        self._effect()
        super().remove(path)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# What other processes do


def write(
    pipe: Connection,
    root: str,
    seed: int,
    positions: Sequence[int],
    effects: int | None,
    steps: int,
    grace_seconds: float = 0,
) -> None:
    """Go on with the story where the series are, and tell the number of each step that is done."""
    story = Story(seed)
    disk = None if effects is None else MortalDisk(effects)
    with fastk.open(root, lock_timeout=0, grace_seconds=grace_seconds, disk=disk) as store:
        for step in range(min(positions), min(positions) + steps):
            story.perform(store, step, positions)
            pipe.send(step + 1)


def read(pipe: Connection, root: str, seed: int) -> None:
    """Read both series until something is said; then tell the reads, those that expired, and how far they went."""
    story, positions, reads, expired = Story(seed), [0] * len(KEYS), 0, 0
    with fastk.open(root, "r") as store:
        while not pipe.poll(PAUSE) or not reads:
            for number, key in enumerate(KEYS):
                series = store.series(key)
                series.refresh()
                try:
                    rows = rows_of(series)
                    check_query(series, rows)
                except fastk.SnapshotExpired:
                    expired += 1
                    continue
                positions[number] = story.position(number, rows, positions[number])
                reads += 1
    pipe.send((reads, expired, positions))


def check_query(series: Any, rows: State) -> None:
    """A query by value sees the same snapshot."""
    if rows:
        middle = sorted(rows.values())[len(rows) // 2]
        found = series.where("stamp", fastk.Gte(middle)).rows
        assert found.ts.tolist() == [ts for ts, stamp in rows.items() if stamp >= middle]


def positions_of(root: Path, story: Story, least: int) -> Iterator[int]:
    """How far each series is, which must be at the last acknowledged step or just behind the next one."""
    with fastk.open(root, lock_timeout=0) as store:
        for number, key in enumerate(KEYS):
            series = store.register_series(key, SCHEMA)  # takes the lock
            rows = rows_of(series)
            series.verify()
            check_query(series, rows)
            states = [story.state(step, number) for step in (least, least + 1)]
            assert rows in states, f"{key} behind {least} acknowledged steps"
            yield least + 1 if rows == states[1] else least
