"""Repairs as small stories: what befalls a store, and what is there when its repair is broken off.

Whatever breaks it off (the power, a kill, a call that fails, a key of the keyboard): each series reads, month by month,
as before the repair or as behind it, never as a mixture of both. The next repair ends where an undisturbed one does.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastk
import fastk.io.disk
import fastk.io.lock
from fastk.format import chunk_tables, retired
from fastk.format.chunk import column_offsets, parse_chunk
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests, repair
from fastk.recovery.reports import RecoveryReport
from fastk.recovery.validate import scrub
from fastk.schema.settings import SeriesSettings

from .crashes import Effort, Tally, disks_of_a_successor, explained, possible_disks
from .disks import FailingSystem, Image, InterruptedDisk, Journal, Killed, RecordingDisk, read_image, write_image
from .failures import BROKEN, FORBIDDEN, NO_ROOM, Failures
from .operations import KEY, LATER, NO_TIERS, bars, days, is_between, joined, register, without
from .rebuild import Key, Rows, rebuilt

SIGNAL = ("BTCUSDT", "signal", "1m@@trend")
MINUTE, BLOCK = 60_000, 4_096
MONTHS = ("2024-01", "2024-02", "2024-03", "2024-12")
READS = ("open", "fstat", "read", "pread", "preadv", "listdir", "scandir", "lstat")
Months = dict[str, Rows | None]
"""Rows by month; None where reading is refused."""


def make_store(root: Path) -> None:
    """Bars of three months, a chunk each, and values in one chunk of two blocks, with sidecars."""
    with fastk.open(root, policy=NO_TIERS) as store:
        series = register(store)
        for month in (1, 2, 3):
            series.put(bars(month))
        numbers = np.arange(BLOCK + 50)
        signal = store.register_scalar_series(SIGNAL, MINUTE)
        signal.put({"ts": days(1, 1)["ts"] + MINUTE * numbers, "value": numbers * 7919 % 101})


# What befalls it


def series_folder(root: Path, key: Key = KEY) -> Path:
    return root.joinpath("series", *key)


def manifest(root: Path) -> Path:
    return series_folder(root) / "series.meta"


def chunks(root: Path, key: Key = KEY) -> list[Path]:
    return sorted(series_folder(root, key).glob("chunks/*.chunk"))


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 0x40
    file.write_bytes(content)


def value_place(file: Path, row: int) -> int:
    """Where a value of the signal stands in its file."""
    header = parse_chunk(np.frombuffer(file.read_bytes(), np.uint8), str(file))
    offsets, _ = column_offsets(SeriesSettings.from_json(header.settings).schema, header.rows, header.length)
    return offsets[1] + 8 * row


def damage_a_block(root: Path) -> None:
    (chunk,) = chunks(root, SIGNAL)
    flip(chunk, value_place(chunk, 3))


def tear_a_tail(root: Path) -> None:
    (chunk,) = chunks(root, SIGNAL)
    os.truncate(chunk, value_place(chunk, BLOCK + 9))


def damage_sidecars(root: Path) -> None:
    (zones,), (index,) = (list(series_folder(root, SIGNAL).rglob(f"*.{kind}")) for kind in ("zmap", "vix"))
    zones.unlink()
    flip(index, 200)


def exchange_chunks(root: Path) -> None:
    first, second, _ = chunks(root)
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])


def merge_a_month(root: Path, *, collect: bool = False) -> bytes:
    """One chunk of two; the manifest of before. With ``collect`` the two go for good."""
    with fastk.open(root, policy=NO_TIERS) as store:
        series = store.series(KEY)
        series.put(days(3, 10))
        before = manifest(root).read_bytes()
        series.merge()
        if collect:
            store.gc(grace_seconds=0)
    return before


def damage_a_merged_chunk(root: Path) -> None:
    merge_a_month(root)
    flip(chunks(root)[-1], 700)


def bring_an_old_manifest_back(root: Path) -> None:
    manifest(root).write_bytes(merge_a_month(root, collect=True))


def replace_rows(root: Path) -> None:
    """Files of replaced and deleted rows lie about, and nothing is damaged."""
    with fastk.open(root, policy=NO_TIERS) as store:
        for other in (1, 2):
            store.series(KEY).put(days(1, 1, 2, 3, other=other), on_conflict="replace")
        store.series(KEY).delete_range("2024-02-01", "2024-02-28")


def lose_a_manifest(root: Path) -> None:
    replace_rows(root)
    manifest(root).unlink()


def kill_a_writer(root: Path) -> None:
    """A commit without a manifest lies beside a manifest and a chunk that are damaged."""
    writer = fastk.open(root, disk=RecordingDisk(Journal(root.parent), stop_after=8))
    with suppress(Killed):
        writer.series(KEY).put(joined(days(3, 20), days(12, 1)))
    flip(manifest(root), 99)
    os.truncate(chunks(root)[1], 100)


def damage_a_table(root: Path) -> None:
    replace_rows(root)
    flip(sorted(series_folder(root).glob("chunks.*.table"))[-1], 60)


@dataclass(frozen=True)
class Repair:
    """A store, what befalls it, and what mends it; by ``small_tables`` chunks stand in tables of two."""

    name: str
    damage: Callable[[Path], Any]
    mend: Callable[..., RecoveryReport] = repair
    small_tables: bool = False

    @contextmanager
    def limits(self) -> Iterator[None]:
        """The limits of tables of this story, and no waiting for the real medium."""
        with pytest.MonkeyPatch.context() as patch:
            if self.small_tables:
                patch.setattr(chunk_tables, "INLINE_MAX", 1)
                patch.setattr(chunk_tables, "TABLE_MAX", 2)
                patch.setattr(retired, "INLINE_MAX", 1)
            patch.setattr(os, "fsync", lambda descriptor: None)
            yield

    def __str__(self) -> str:
        return self.name


REPAIRS = (
    Repair("torn_tail", tear_a_tail),
    Repair("damaged_block", damage_a_block),
    Repair("damaged_header", lambda root: flip(chunks(root)[1], 100)),
    Repair("missing_chunk", lambda root: chunks(root)[1].unlink()),
    Repair("exchanged_chunks", exchange_chunks),
    Repair("damaged_chunk_whose_sources_are_there", damage_a_merged_chunk),
    Repair("sidecars_missing_and_damaged", damage_sidecars),
    Repair("lost_manifest", lose_a_manifest),
    Repair("damaged_manifest", lambda root: os.truncate(manifest(root), 50)),
    Repair("old_manifest", bring_an_old_manifest_back),
    Repair("damaged_table", damage_a_table, small_tables=True),
    Repair("damaged_store_file", lambda root: (root / "fastk.store").write_text("?")),
    Repair("killed_writer_and_damage", kill_a_writer),
    Repair("rebuild_of_a_sound_manifest", replace_rows, rebuild_manifests),
    Repair("rebuild_of_tables", replace_rows, rebuild_manifests, small_tables=True),
)


# What is there then


def rows_by_month(root: Path) -> dict[Key, Months]:
    """What a reader gets of each series."""
    try:
        store = fastk.open(root, "r")
    except fastk.FastKError:
        return {key: dict.fromkeys(MONTHS) for key in (KEY, SIGNAL)}
    with store:
        return {key: {month: _rows(store.series(key), month) for month in MONTHS} for key in (KEY, SIGNAL)}


def _rows(series: Any, month: str) -> Rows | None:
    start = np.datetime64(month, "ms")
    end = (np.datetime64(month, "M") + 1).astype("M8[ms]")
    try:
        rows = series.range(start, end, closed="left")
        return {name: rows.column(name).tolist() for name in rows.schema.names}
    except fastk.FastKError:
        return None


def joined_months(seen: dict[Key, Months]) -> dict[Key, Rows]:
    """The rows of series that can be read as a whole."""
    found: dict[Key, Rows] = {}
    for key, months in seen.items():
        rows: Rows = {}
        for month in months.values():
            assert month is not None, f"{key} cannot be read"
            for name, column in month.items():
                rows.setdefault(name, []).extend(column)
        if rows["ts"]:
            found[key] = rows
    return found


class BrokenOff:
    """One repair, broken off as often as wanted upon copies of one damaged store."""

    def __init__(self, story: Repair, folder: Path) -> None:
        self.story = story
        self._folder = folder
        self._copies = 0
        base = folder / "start"
        base.mkdir()
        make_store(base / "root")
        story.damage(base / "root")
        self._start = read_image(base)
        self._before = rows_by_month(base / "root")
        self.journal = Journal(self._copy())
        self._mend(RecordingDisk(self.journal), self.journal.base)
        assert self.journal.effects
        self._after = rows_by_month(self.journal.base / "root")
        self._rows = joined_months(self._after)

    def _copy(self, image: Image | None = None) -> Path:
        self._copies += 1
        return write_image(self._start if image is None else image, self._folder / str(self._copies))

    def _mend(self, disk: Disk, base: Path) -> RecoveryReport:
        return self.story.mend(disk, str(base / "root"))

    # Power cuts and kills

    def power_cuts(self, effort: Effort) -> Tally:
        """The power goes behind each effect of the repair; once it has returned, only the state behind it will do."""
        tally, tried, end = Tally(), set(), len(self.journal.effects)
        for length in range(end + 1):
            tally.points += 1
            for image in possible_disks(self.journal, length, effort):
                key = frozenset(image.items())
                if key not in tried or length == end:
                    tried.add(key)
                    with explained(self.journal, length, image):
                        self._check(image, tally, is_over=length == end)
        return tally

    def killed(self, effort: Effort) -> Tally:
        """The process is killed behind each effect. Another repair or a writer comes next; and the power goes in the
        middle of that repair, and behind it.
        """
        tally, effects = Tally(), len(self.journal.effects)
        for length in range(effects):
            tally.points += 1
            journal = Journal(self._copy())
            with pytest.raises(Killed):
                self._mend(RecordingDisk(journal, stop_after=length), journal.base)
            image, killed = read_image(journal.base), len(journal.effects)
            with explained(journal, killed, image):
                self._check(image, tally)
                self._check_a_writer_first(image)
            repair(RecordingDisk(journal), str(journal.base / "root"))
            for moment, disk in disks_of_a_successor(journal, killed, effects, effort):
                with explained(journal, moment, disk):
                    self._check(disk, tally, is_over=moment == len(journal.effects))
            shutil.rmtree(journal.base)
        return tally

    def _check(self, image: Image, tally: Tally, *, is_over: bool = False) -> None:
        base = self._copy(image)
        seen = rows_by_month(base / "root")
        assert is_between(seen, *([] if is_over else [self._before]), self._after), f"neither before nor after: {seen}"
        self._finish(base)
        tally.images += 1
        tally.outcomes[self._state_of(seen)] += 1

    def _state_of(self, seen: dict[Key, Months]) -> str:
        if self._before == self._after:
            return "unchanged"
        return "new" if seen == self._after else "old" if seen == self._before else "in part"

    def _finish(self, base: Path) -> None:
        """Another repair ends where an undisturbed one does, and a writer goes on."""
        root = base / "root"
        repair(Disk(), str(root))
        assert rows_by_month(root) == self._after
        assert not [each for report in scrub(Disk(), str(root)) for each in report.validation.damage]
        assert rebuilt(read_image(base)) == self._rows
        self._write_on(base)
        shutil.rmtree(base)

    def _write_on(self, base: Path) -> None:
        with fastk.open(base / "root", lock_timeout=0.2) as store:
            store.series(KEY).put(LATER, on_conflict="replace")
            assert not store.gc(grace_seconds=0).problems
        assert without(rebuilt(read_image(base)), LATER["ts"]) == self._rows
        assert without(joined_months(rows_by_month(base / "root")), LATER["ts"]) == self._rows

    def _check_a_writer_first(self, image: Image) -> None:
        """A writer comes before the next repair: it is refused, or what it puts stays."""
        base, later = self._copy(image), days(12, 30)
        with suppress(fastk.FastKError), fastk.open(base / "root", lock_timeout=0.2) as store:
            store.series(KEY).put(later)
        put = rows_by_month(base / "root")[KEY]["2024-12"]
        repair(Disk(), str(base / "root"))
        found = rows_by_month(base / "root")
        if put and put["ts"]:
            assert found[KEY]["2024-12"] == put
        assert without(joined_months(found), later["ts"]) == self._rows
        shutil.rmtree(base)

    # Failed calls and interrupts

    def fail(self, *, each: bool) -> Failures:
        """Let every call that changes something fail, and of those that read some, or (``each``) all of them."""
        calls, found = self._calls, Failures()
        for number, call in enumerate(calls):
            if each or call not in READS or number % 7 == 0:
                code = (BROKEN, FORBIDDEN, NO_ROOM)[number % 3]
                system = FailingSystem(number, OSError(code, os.strerror(code)))
                self._try(found, f"{call} (call {number})", partial(self._run, system))
        return found

    def interrupt(self) -> Failures:
        """Interrupt behind each effect, as a key of the keyboard does."""
        disk, found = InterruptedDisk(), Failures()
        base = self._copy()
        self._mend(disk, base)
        shutil.rmtree(base)
        for number in range(disk.effects):
            self._try(found, f"effect {number}", partial(self._interrupt, number))
        return found

    @property
    def _calls(self) -> list[str]:
        system, base = FailingSystem(), self._copy()
        self._run(system, base)
        shutil.rmtree(base)
        return system.calls

    def _run(self, system: FailingSystem, base: Path) -> RecoveryReport | None:
        """What a repair reports; None where it raises an error, which must name a path."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fastk.io.disk, "os", system)
            patch.setattr(fastk.io.lock, "os", system)
            try:
                return self._mend(Disk(), base)
            except OSError as error:
                if str(base / "root") not in str(error):
                    raise AssertionError(f"the error does not name the path: {error}") from error
                return None

    def _interrupt(self, number: int, base: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            self._mend(InterruptedDisk(number), base)

    def _try(self, found: Failures, what: str, attempt: Callable[[Path], RecoveryReport | None]) -> None:
        found.calls += 1
        base = self._copy()
        try:
            report = attempt(base)
            seen = rows_by_month(base / "root")
            assert is_between(seen, self._before, self._after), f"neither before nor after: {seen}"
            assert report is None or report.unrepaired or seen == self._after, f"not as it was reported: {report}"
            self._finish(base)
        except (Exception, pytest.fail.Exception) as error:
            found.problems.append(f"{what}: {type(error).__name__}: {error}".partition("\n")[0])
