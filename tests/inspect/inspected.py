"""What the tests of inspections share: stores that can be counted by hand, and damage."""

from pathlib import Path

import numpy as np
from builders import FEBRUARY, JANUARY, MINUTE, bars, joined

EIGHT_BARS = joined(bars(JANUARY, 5), bars(FEBRUARY, 3))
HOLE = 31 * 24 * 60 - 5  # minutes from the fifth bar to February


def put_eight_bars(store, symbol="BTC"):
    """Five minutes of January, three of February."""
    series = store.register_kline_series(symbol, "1m", MINUTE)
    series.put(EIGHT_BARS)
    return series


def files_of(store, pattern):
    return sorted(Path(store.root).glob(f"series/{pattern}"))


def bytes_of(store, pattern):
    return sum(path.stat().st_size for path in files_of(store, pattern) if path.is_file())


def spoil_rows(path, *values):
    """Turns a byte of the first of some numbers over that stand in a chunk one after the other."""
    spoil(path, Path(path).read_bytes().rindex(np.array(values, "<i8").tobytes()))


def spoil(path, offset):
    """Turns one byte of a file over."""
    content = bytearray(Path(path).read_bytes())
    content[offset] ^= 0xFF
    Path(path).write_bytes(content)
