"""Where a contestant stands: its folders, and in which state it is when it is asked."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from typing import Any

from bench.lifecycle import without_syncs
from bench.peers.base import BAR_FIELDS, Contestant, Table
from bench.peers.cold import drop
from bench.peers.tables import Tables


class Stage:
    """One contestant, open on some tables; and others of its kind that grow, or begin anew."""

    def __init__(self, kind: type[Contestant], folder: str, tables: Tables) -> None:
        self.kind = kind
        self.folder = folder
        self.tables = tables
        self._others: dict[str, Contestant] = {}
        self.contestant = self.new("open")

    def fill(self, given: Mapping[str, Table]) -> None:
        """Write the tables, open them for reading, and read each once: no question meets anything for the first time.

        Features are left out, because only matrices of all of them are asked for.
        """
        with without_syncs():
            self.contestant.write(given)
        self.contestant.close()
        self.contestant.open()
        for table, columns in given.items():
            if len(columns) <= len(BAR_FIELDS):
                self.contestant.rows(table, int(columns["ts"][0]), int(columns["ts"][-1]))

    def new(self, name: str) -> Contestant:
        """A contestant on an empty folder; the one before of this name is closed and its files are removed."""
        if name in self._others:
            self._others.pop(name).close()
        folder = os.path.join(self.folder, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self._others[name] = self.kind(folder)
        return self._others[name]

    def kept(self, name: str) -> Contestant | None:
        """The contestant of this name, if there is one."""
        return self._others.get(name)

    def remove(self) -> None:
        """Close everything and remove the files."""
        for other in self._others.values():
            with contextlib.suppress(Exception):  # a contestant that failed may fail here as well
                other.close()
        shutil.rmtree(self.folder, ignore_errors=True)


Query = tuple[Any, ...]


def reopened(stage: Stage, query: Query) -> Contestant:
    """Closed; its files are in the page cache."""
    stage.contestant.close()
    return stage.contestant


def cold(stage: Stage, query: Query) -> Contestant:
    """Closed; the page cache has let go of its files."""
    stage.contestant.close()
    drop(stage.contestant.folder)
    return stage.contestant


def fresh(stage: Stage, query: Query) -> Contestant:
    """On an empty folder; the disk's queue is empty."""
    contestant = stage.new("fresh")
    os.sync()
    return contestant


def growing(stage: Stage, query: Query) -> Contestant:
    """On half a month, and all that was appended since."""
    contestant = stage.kept("growing")
    if contestant is None:
        contestant = stage.new("growing")
        contestant.write(stage.tables.half_month)
    return contestant


def thirty_days(stage: Stage, query: Query) -> Any:
    """On a month that was appended day by day."""
    symbol, days = query
    contestant: Any = stage.new("days")
    with without_syncs():
        contestant.write({symbol: days[0]})
        for day in days[1:]:
            contestant.append(symbol, day)
    os.sync()
    return contestant
