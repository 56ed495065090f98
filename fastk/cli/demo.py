"""`fastk demo`: real market data is stored, read back, compared, queried, timed and verified; the figures are shown."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastk import FastKStore, InvalidData, InvalidInput
from fastk.cli import demo_measure, demo_queries, demo_tables
from fastk.cli.demo_csv import read_bars
from fastk.cli.demo_data import sample_bars

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from fastk.cli.demo_data import Bars
    from fastk.cli.demo_queries import Asked


def run(options: argparse.Namespace) -> int:
    """The demo from the first row to the last table."""
    every = _bars(options)
    with _place(options) as root:
        _tell(every, root, as_json=options.json)
    return 0


def _tell(every: list[Bars], root: Path, *, as_json: bool) -> None:
    with FastKStore.open(root) as store:
        store.init()
        written = demo_measure.write(store, every)
    with FastKStore.open(root, mode="r") as store:
        speeds = demo_measure.measure(store, every)
        _compare(store, every)
        verified = demo_measure.verify(store, every)
        asked = demo_queries.ask(store, every)  # last of all: it loads the kernels, and the reads show what is plain
        if as_json:
            figures = _figures(every), asdict(written), asdict(speeds), asdict(verified), _answers(asked[1])
            names = ("series", "written", "speeds", "verified", "queries")
            print(json.dumps(dict(zip(names, figures, strict=True)), indent=2))
            return
        console = demo_tables.open_console()
        demo_tables.show_stored(console, every, store.store_stats(), _bytes_on_disk(root))
        demo_tables.show_speeds(console, written, speeds, verified)
        demo_tables.show_queries(console, *asked)
        demo_tables.show_latest(console, store, every)


def _figures(every: list[Bars]) -> list[dict[str, Any]]:
    return [
        {
            "symbol": bars.symbol,
            "timeframe": bars.timeframe,
            "rows": len(bars),
            "first_ts": int(bars.ts[0]),
            "last_ts": int(bars.ts[-1]),
            "gaps": bars.gap_count,
            "price_scale": bars.price_scale,
            "volume_scale": bars.volume_scale,
            "notes": bars.notes,
        }
        for bars in every
    ]


def _answers(asked: list[Asked]) -> list[dict[str, Any]]:
    names = ("condition", "matches", "query", "numpy", "served")
    return [{name: getattr(each, name) for name in names} for each in asked]


def _bars(options: argparse.Namespace) -> list[Bars]:
    if options.csv:
        return [read_bars(options.csv)]
    return sample_bars()


@contextlib.contextmanager
def _place(options: argparse.Namespace) -> Iterator[Path]:
    """Where the store is made: a folder that stays if one was asked for, otherwise one that is removed."""
    if options.root or options.keep:
        folder = _new_folder(options.root) if options.root else Path(tempfile.mkdtemp(prefix="fastk-demo-"))
        yield folder
        said = f"The store stays in {folder}"
    else:
        with tempfile.TemporaryDirectory(prefix="fastk-demo-") as name:
            yield Path(name)
        said = f"The store was in {name} and is removed; --keep or --root FOLDER keeps it."
    if not options.json:
        print(said)


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
