"""Which contestants there are, and which of them are installed here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence

from bench.peers.base import Contestant

# The word of the command line, the module and the class; a module imports its library when it is used.
CONTESTANTS = {
    "npy": ("npy", "Npy"),
    "fastk": ("fastk", "FastK"),
    "sqlite": ("sqlite", "SQLite"),
    "parquet-pyarrow": ("parquet", "PyArrow"),
    "parquet-polars": ("parquet", "Polars"),
    "ipc": ("arrow_ipc", "ArrowIPC"),
    "duckdb": ("duckdb", "DuckDB"),
    "hdf5": ("hdf5", "HDF5"),
    "zarr": ("zarr", "Zarr"),
    "lance": ("lance", "Lance"),
    "arcticdb": ("arcticdb", "ArcticDB"),
}
ALWAYS = ("npy", "fastk")
PEERS = tuple(word for word in CONTESTANTS if word not in ALWAYS)
DISTRIBUTIONS = {"lance": "pylance"}


def contestant(word: str) -> type[Contestant]:
    """The class of a contestant."""
    module, name = CONTESTANTS[word]
    kind: type[Contestant] = getattr(importlib.import_module(f"bench.peers.{module}"), name)
    return kind


def chosen(text: str) -> list[str]:
    """Peers of a list such as ``sqlite,parquet``, a word standing for all that begin with it; ``all`` and ``none``."""
    if text in ("all", "none"):
        return list(PEERS) if text == "all" else []
    words = text.split(",")
    unknown = [word for word in words if not word or not any(peer.startswith(word) for peer in PEERS)]
    if unknown:
        raise SystemExit(f"no peer is called {unknown[0]!r}; there are {', '.join(PEERS)}")
    return [peer for peer in PEERS if any(peer.startswith(word) for word in words)]


def installed(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those whose packages can be imported, and those that are absent."""
    present = [word for word in words if all(importlib.util.find_spec(name) for name in contestant(word).packages)]
    return present, [word for word in words if word not in present]


def version(word: str) -> str:
    """The version of a contestant's library."""
    if word == "sqlite":
        import sqlite3

        return sqlite3.sqlite_version
    import importlib.metadata  # here, because processes of one contestant need not pay for it

    packages = contestant(word).packages or ({"npy": "numpy", "fastk": "fastk-engine"}[word],)
    return importlib.metadata.version(DISTRIBUTIONS.get(packages[0], packages[0]))
