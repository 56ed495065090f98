"""The workloads that go through many rows in order: merged replay, scans of sequence numbers, coverage."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastk
from bench.data import MINUTE, SEED, SYMBOLS, Int64, Market, load_columns, save_all, touch
from bench.measure import Workload

SERIES, ROWS = 24, 400_000
SCANNED = 4_000_000
SPAN = 30 * 86_400_000
EVENT = fastk.Schema("event", [("ts", "i8"), ("number", "i8")], unique_ts=False, sequence_field="number")
PLAIN = fastk.Schema("event", [("ts", "i8"), ("number", "i8")], unique_ts=False)

Columns = list[Int64]


class Events:
    """Random times within a month in many series, as a store and as mapped .npy files; both warm."""

    def __init__(self, market: Market, schema: fastk.Schema) -> None:
        kind = schema.sequence_field or "plain"
        self.rows = ROWS if len(market.symbols) == SYMBOLS else ROWS // 20  # a smaller market is a trial
        root, self.folder = (os.path.join(market.folder, name, kind) for name in ("replayed", "raw-replayed"))
        keys = [(f"S{place:02}", "event", "x") for place in range(SERIES)]
        if not os.path.exists(root):
            self._write(root, keys, schema)
        store = fastk.open(root, "r")
        self.series = [store.series(key) for key in keys]
        self.raw = [load_columns(os.path.join(self.folder, symbol), ("ts",))[0] for symbol, *_ in keys]
        touch(self.raw)
        for each in self.series:
            touch(piece[name] for piece in each.range().segments for name in ("ts", "number"))

    def _write(self, root: str, keys: list[tuple[str, str, str]], schema: fastk.Schema) -> None:
        rng = np.random.default_rng(SEED + 5)
        columns = {
            symbol: {"ts": np.sort(rng.integers(0, SPAN, self.rows)), "number": np.arange(self.rows)}
            for symbol, *_ in keys
        }
        with fastk.open(root) as store:
            for key in keys:
                store.register_series(key, schema).put(columns[key[0]])
        save_all(self.folder, columns)

    def replayed(self, batch: Any) -> list[Any]:
        """The events, batch by batch, as a backtest takes them: nothing is kept."""
        return [len(batch) for batch in fastk.merged_replay(self.series)]

    def proof(self, batch: Any) -> Columns:
        """All events."""
        batches = list(fastk.merged_replay(self.series))
        return [np.concatenate([getattr(batch, name) for batch in batches]) for name in ("source", "row", "ts")]


def by_lexsort(raw: list[Int64]) -> Columns:
    """What a numpy user writes: everything in memory, sorted by ts and then by source."""
    ts = np.concatenate(raw)
    source = np.repeat(np.arange(len(raw), dtype=np.uint16), [len(each) for each in raw])
    row = np.concatenate([np.arange(len(each)) for each in raw])
    order = np.lexsort((source, ts))
    return [source[order], row[order], ts[order]]


def by_stable_sort(raw: list[Int64]) -> Columns:
    """What an expert writes: a stable sort of ts alone, which finds the sorted runs."""
    ts = np.concatenate(raw)
    order = ts.argsort(kind="stable")
    source, row = np.divmod(order, len(raw[0]))
    return [source.astype(np.uint16), row, ts[order]]


def merged(
    name: str, schema: fastk.Schema, sort: Callable[[list[Int64]], Columns], market: Market, rounds: int
) -> Workload:
    """A merged replay beside a sort of everything."""
    events = Events(market, schema)
    return Workload(
        name,
        events.replayed,
        lambda batch: [len(sort(events.raw)[0])],
        range(rounds),
        calls=SERIES * events.rows,
        baseline_name=sort.__name__.replace("_", " ").replace("by", "numpy", 1),
        proofs=(events.proof, lambda batch: sort(events.raw)),
    )


# Scans


def sequence_scan(market: Market, rounds: int) -> Workload:
    """Numbers of one series with a few gaps, duplicates and falls: how many, and at which rows."""
    root, folder = (os.path.join(market.folder, name) for name in ("scanned", "raw-scanned"))
    key = ("S", "event", "x")
    if not os.path.exists(root):
        rng = np.random.default_rng(SEED + 6)
        steps = rng.choice([1, 0, -3, 7], SCANNED, p=[0.9997, 0.0001, 0.0001, 0.0001])
        columns = {"ts": np.sort(rng.integers(0, SPAN, SCANNED)), "number": steps.cumsum()}
        with fastk.open(root) as store:
            store.register_series(key, PLAIN).put(columns)
        save_all(folder, {"": columns})
    series = fastk.open(root, "r").series(key)
    (numbers,) = load_columns(folder, ("number",))
    touch([numbers, *(piece["number"] for piece in series.range().segments)])

    def fastk_scan(batch: Any) -> list[Any]:
        report = series.scan_sequence(field="number")
        return [report.gap_count, report.duplicate_count, report.violation_count]

    def raw_scan(batch: Any) -> list[Any]:
        steps = np.diff(numbers)
        return [np.flatnonzero(found).size for found in (steps > 1, steps == 0, steps < 0)]

    return Workload(f"sequence scan, {SCANNED:,} rows", fastk_scan, raw_scan, range(rounds), baseline_name="numpy diff")


def coverage(market: Market, rounds: int) -> Workload:
    """Holes of one symbol's bars: where each begins, and how many minutes are missing there."""
    series, raw = market.series[0], market.raw[0]

    def fastk_holes(batch: Any) -> list[Any]:
        found = series.coverage()
        return [found.hole_starts, found.hole_counts]

    def raw_holes(batch: Any) -> list[Any]:
        steps = np.diff(raw.ts)
        places = np.flatnonzero(steps > MINUTE)
        return [raw.ts[places] + MINUTE, steps[places] // MINUTE - 1]

    return Workload(
        f"coverage, {market.rows:,} bars", fastk_holes, raw_holes, range(rounds), baseline_name="numpy diff"
    )


NAME = f"merged replay, {SERIES} series x {ROWS:,} rows, each event"
REPLAYS: dict[str, Callable[[Market, int], Workload]] = {
    NAME: partial(merged, NAME, PLAIN, by_lexsort),
    f"{NAME}, beside a stable sort": partial(merged, f"{NAME}, beside a stable sort", PLAIN, by_stable_sort),
    f"{NAME}, by sequence": partial(merged, f"{NAME}, by sequence", EVENT, by_stable_sort),
    f"sequence scan, {SCANNED:,} rows": sequence_scan,
    "coverage of bars": coverage,
}
