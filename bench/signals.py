"""Columns as research stores them: walks, oscillators, ternary signals, and kinds that suit zone maps well or badly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.data import Int64

SHARES = (1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9)
RUN_ROWS = 5_000
SCALE = 10_000

Float64 = NDArray[np.float64]
Make = Callable[[np.random.Generator, int], Int64 | Float64]


def mixed(rng: np.random.Generator, rows: int) -> Int64:
    """A third of the values are 0, the others random."""
    return np.where(rng.random(rows) < 1 / 3, 0, rng.integers(1, 10**9, rows))


def scattered(rng: np.random.Generator, rows: int) -> Int64:
    """Random values: neighbours tell nothing of each other."""
    return rng.integers(0, 10**9, rows)


def walk(rng: np.random.Generator, rows: int) -> Int64:
    """A random walk, as prices do."""
    return 5_000_000 + rng.integers(-50, 51, rows).cumsum()


def runs(rng: np.random.Generator, rows: int) -> Int64:
    """Runs of ascending values, one behind the other."""
    drawn = rng.integers(0, 10**9, rows)
    return np.concatenate([np.sort(drawn[first : first + RUN_ROWS]) for first in range(0, rows, RUN_ROWS)])


def few(rng: np.random.Generator, rows: int) -> Int64:
    """Seven values in random order; from each value on upward there is one of the shares below of all rows."""
    return len(SHARES) - np.searchsorted(SHARES, rng.random(rows))


def floats(rng: np.random.Generator, rows: int) -> Float64:
    """Returns as floats, in random order; one in fifty is missing."""
    returns = 0.01 * rng.standard_normal(rows)
    returns[rng.random(rows) < 1 / 50] = np.nan
    return returns


def oscillator(rng: np.random.Generator, rows: int) -> Int64:
    """A bounded indicator of four decimals, as an RSI: waves of several lengths and noise, within 0 and 100."""
    phase = np.arange(rows) + rng.integers(1_000)
    waves = np.sin(phase / 97) + 0.6 * np.sin(phase / 23) + 0.3 * rng.standard_normal(rows)
    return (SCALE * (50 + 50 * np.tanh(waves))).round().astype(np.int64)


def ternary(rng: np.random.Generator, rows: int) -> Int64:
    """A signal: 0 for most of the time, 1 or -1 for a few rows in a row; about 1 row in 60 each."""
    signal = np.zeros(rows, np.int64)
    starts = rng.choice(rows, max(rows // 120, 1), replace=False)
    sides, lengths = rng.choice((-1, 1), starts.size), rng.integers(1, 8, starts.size)
    for start, side, length in zip(starts, sides, lengths, strict=True):
        signal[start : start + length] = side
    return signal


CLUSTERINGS: dict[str, Make] = {
    "random": scattered,
    "random walk": walk,
    "sorted runs": runs,
    "few distinct values": few,
}
FEATURES = (walk, oscillator, ternary, scattered)


def feature(rng: np.random.Generator, place: int, rows: int) -> Int64:
    """One of many features: walks, oscillators, signals and noise by turns."""
    return FEATURES[place % len(FEATURES)](rng, rows)
