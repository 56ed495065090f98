"""After any history of puts, replacements, deletions, merges, collections and killed writers, the files alone tell the
rows: with the manifest lost, a rebuild gives what was committed; with it, what the manifest says."""

import random
import shutil
from contextlib import suppress

import numpy as np
import pytest
from builders import DAY, JANUARY, bars
from recovery_stores import KEY, columns, manifest, rebuild, settings_of
from support.disks import Journal, Killed, RecordingDisk

import fastk
from fastk.format import chunk_tables, retired


class History:
    """A store of one series, and random changes to it."""

    def __init__(self, base, seed):
        self.base = base
        self.root = base / "store"
        self.chance = random.Random(seed)
        self.unfinished = []
        base.mkdir()
        with fastk.open(self.root) as store:
            store.register_kline_series("BTCUSDT", "1m", DAY, price_scale=100, partition="month", zone_maps=["close"])
            store.series(KEY).put(self.some_rows())

    def some_rows(self):
        days = sorted(self.chance.sample(range(150), self.chance.randint(1, 40)))
        rows = bars(JANUARY, len(days))
        shift = self.chance.randint(0, 10**6)
        return {name: column + shift for name, column in rows.items()} | {"ts": JANUARY + DAY * np.array(days)}

    def window(self):
        first = self.chance.randint(0, 150)
        return JANUARY + first * DAY, JANUARY + (first + self.chance.randint(0, 60)) * DAY

    def change(self, store):
        series, kind = store.series(KEY), self.chance.randint(0, 6)
        if kind <= 2:
            series.put(self.some_rows(), on_conflict="replace")
        elif kind == 3:
            series.delete_range(*self.window())
        elif kind == 4:
            series.merge()
        elif kind == 5:
            store.gc(grace_seconds=self.chance.choice([0, 3600]))
        else:
            start, end = self.window()
            rows = self.some_rows()
            inside = (rows["ts"] >= start) & (rows["ts"] <= end)
            series.replace_range(start, end, {name: column[inside] for name, column in rows.items()})

    def step(self):
        """One change, or one that is killed on its way; returns the rows that may come back without a manifest."""
        committed = manifest(self.root).read_bytes()
        if self.chance.random() < 0.3:
            self.kill_a_change()
        else:
            with fastk.open(self.root, grace_seconds=self.chance.choice([0, 3600])) as store:
                self.change(store)
        if manifest(self.root).read_bytes() != committed:
            self.unfinished = []
        return [columns(self.root), *self.unfinished]

    def kill_a_change(self):
        """What it would have led to may come back: a commit that is whole may have been acknowledged."""
        stop_after = self.chance.randint(0, 25)
        copy, state = self.base.parent / "other", self.chance.getstate()
        shutil.copytree(self.root, copy)
        with fastk.open(copy) as store:
            self.change(store)
        self.unfinished.append(columns(copy))
        shutil.rmtree(copy)
        disk = RecordingDisk(Journal(self.base), stop_after=stop_after)
        self.chance.setstate(state)
        with suppress(Killed), fastk.open(self.root, disk=disk) as store:
            self.change(store)


def lose_and_rebuild(root, copy):
    shutil.copytree(root, copy)
    settings = settings_of(copy).json
    manifest(copy).unlink()
    rebuild(copy)
    assert settings_of(copy).json == settings
    found = columns(copy)
    shutil.rmtree(copy)
    return found


def keep_and_rebuild(root, copy):
    shutil.copytree(root, copy)
    report = rebuild(copy)
    assert (report.lost_rows, report.quarantined_paths) == ([], [])
    found = columns(copy)
    shutil.rmtree(copy)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in (*range(3, 60), 255, 494))]
)
def test_files_alone_tell_the_rows(folder_in_memory, monkeypatch, seed):
    if seed % 3 == 1:
        monkeypatch.setattr(chunk_tables, "INLINE_MAX", 1)
        monkeypatch.setattr(chunk_tables, "TABLE_MAX", 2)
        monkeypatch.setattr(retired, "INLINE_MAX", 1)
    history = History(folder_in_memory / "base", seed)
    for _ in range(15):
        possible = history.step()
        assert lose_and_rebuild(history.root, folder_in_memory / "copy") in possible
        assert keep_and_rebuild(history.root, folder_in_memory / "copy") == columns(history.root)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_writing_goes_on_after_a_rebuild_as_if_nothing_had_happened(folder_in_memory, seed):
    history = History(folder_in_memory / "base", seed)
    for _ in range(15):
        possible = history.step()
        manifest(history.root).unlink()
        rebuild(history.root)
        assert columns(history.root) in possible
