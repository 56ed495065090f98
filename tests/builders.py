"""What the behaviour tests share: throwaway stores, made-up market data, and comparisons of rows with columns."""

import os
import tempfile
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings

import fastk
from fastk import Schema, kernels

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
JANUARY = 1_704_067_200_000  # 2024-01-01T00:00:00Z in ms
FEBRUARY = JANUARY + 31 * DAY
MARCH = FEBRUARY + 29 * DAY

# Before any settings are made: they take what they leave open from the profile in force.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "default")

# For laws that use a fixture: it stays the same over all examples of a test, which none of these tests minds.
FIXED_FIXTURES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Every put syncs four times, which a disk answers in milliseconds and memory at once.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def temporary_folder():
    """An empty folder, in memory where the system offers that."""
    with tempfile.TemporaryDirectory(prefix="fastk-test-", dir=MEMORY) as folder:
        yield Path(folder)


@contextmanager
def temporary_store(**options):
    """An open store in an empty folder."""
    with temporary_folder() as folder, fastk.open(folder / "store", **options) as store:
        yield store


def contents(folder):
    """Every path below a folder with its bytes (None for folders): what a call that changes nothing leaves alone."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(Path(folder).rglob("*"))
        if path.name != ".fastk.write.lock"
    }


def bars(start=JANUARY, count=5, step=MINUTE):
    """Columns of ``count`` made-up bars; every value differs from every other one of its bar."""
    rows = np.arange(count, dtype=np.int64)
    price = 1_000 + rows * 10
    return {
        "ts": start + rows * step,
        "open": price,
        "high": price + 7,
        "low": price - 3,
        "close": price + 1,
        "volume": rows + 100_000,
    }


def trades(ts, first_id=1):
    """Columns of trades at the given times, with ids that count up."""
    ts = np.array(ts, np.int64)
    rows = np.arange(ts.size, dtype=np.int64)
    return {
        "ts": ts,
        "recv_ts": ts + 3,
        "trade_id": first_id + rows,
        "price": 50_000 + rows,
        "qty": 1 + rows,
        "side": np.where(rows % 2, 1, -1).astype(np.int8),
        "flags": (rows % 7).astype(np.uint8),
    }


def part(columns, start, stop):
    """Rows ``start`` to ``stop`` of columns."""
    return {name: column[start:stop] for name, column in columns.items()}


def joined(*pieces):
    """Columns one after the other."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def assert_rows(rows, expected):
    """The rows hold exactly these columns, whichever way they are asked."""
    assert rows.schema.names == tuple(expected)
    assert len(rows) == len(expected["ts"])
    for name, column in expected.items():
        found = rows[name]
        assert found.dtype == rows.schema.fields[rows.schema.position(name)].dtype
        np.testing.assert_array_equal(found, column, err_msg=name)


def use_kernels(monkeypatch, name):
    """Put one implementation of the kernels in force: 'plain' (and let nothing load the other) or 'compiled'."""
    monkeypatch.setenv("FASTK_KERNELS", "never" if name == "plain" else "lazy")
    monkeypatch.setattr(kernels, "active", import_module(f"fastk.kernels.{name}"))


def structured(columns, order=None):
    """Columns as a structured array, its fields in the order given."""
    array = np.empty(len(columns["ts"]), [(name, np.asarray(columns[name]).dtype) for name in order or columns])
    for name in array.dtype.names:
        array[name] = columns[name]
    return array


def one_field(store, dtype, name="x", **scale):
    """A series of one value of a dtype."""
    fields = [("ts", "i8"), (name, dtype, *scale)]
    return store.register_series(("X", "own", str(dtype)), Schema("mine", fields), scales=scale)
