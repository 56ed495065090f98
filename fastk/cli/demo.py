"""`fastk demo`: real market data is stored, read back, compared, queried, timed and verified; the figures are shown."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fastk import FastKStore, InvalidData, InvalidInput
from fastk.cli import demo_measure, demo_queries, demo_tables
from fastk.cli.demo_csv import read_bars
from fastk.cli.demo_data import sample_bars

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import Console

    from fastk.cli.demo_data import Bars


def run(options: argparse.Namespace) -> int:
    """The demo from the first row to the last table."""
    every = _bars(options)
    with _place(options) as root:
        _tell(demo_tables.open_console(), every, root)
    return 0


def _tell(console: Console, every: list[Bars], root: Path) -> None:
    with FastKStore.open(root) as store:
        store.init()
        written = demo_measure.write(store, every)
    with FastKStore.open(root, mode="r") as store:
        speeds = demo_measure.measure(store, every)
        _compare(store, every)
        verified = demo_measure.verify(store, every)
        asked = demo_queries.ask(store, every)  # last of all: it loads the kernels, and the reads show what is plain
        demo_tables.show_stored(console, every, store.store_stats(), _bytes_on_disk(root))
        demo_tables.show_speeds(console, written, speeds, verified)
        demo_tables.show_queries(console, *asked)
        demo_tables.show_latest(console, store, every)


def _bars(options: argparse.Namespace) -> list[Bars]:
    if options.csv:
        return [read_bars(options.csv)]
    return sample_bars()


@contextlib.contextmanager
def _place(options: argparse.Namespace) -> Iterator[Path]:
    """Where the store is made: a folder that stays if one was asked for, otherwise one that is removed."""
    if options.root:
        yield _new_folder(options.root)
        print(f"The store stays in {options.root}")
    elif options.keep:
        folder = Path(tempfile.mkdtemp(prefix="fastk-demo-"))
        yield folder
        print(f"The store stays in {folder}")
    else:
        with tempfile.TemporaryDirectory(prefix="fastk-demo-") as name:
            yield Path(name)
        print(f"The store was in {name} and is removed; --keep or --root FOLDER keeps it.")


def _new_folder(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(
            f"{folder} exists and is no empty folder: the demo makes a store of its own, name a new folder"
        )
    return folder


def _bytes_on_disk(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _compare(store: FastKStore, every: list[Bars]) -> None:
    difference = demo_measure.first_difference(store, every)
    if difference:
        raise InvalidData(f"what was read back differs from what was written: {difference}")
