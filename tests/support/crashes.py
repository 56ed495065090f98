"""The power goes, or the process is killed, in the middle of a story: what is then there, and how the day goes on.

Two laws are tried on every disk that may be left. The store opens, verifies, and each series is in its old or in its
new state; a writer goes on from there. And were all manifests lost as well, the chunk files alone would give the rows
of the old or the new state: no retired row comes back, none is lost.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fastk.format import names
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests

from .disks import Image, Journal, Killed, RecordingDisk, read_image, write_image
from .operations import KEY, Key, Operation, Picture, Rows, is_between, picture, rows_by_series
from .rebuild import rebuilt
from .torture import TORTURE


@dataclass(frozen=True)
class Effort:
    """How much is tried: images by chance at a crash point; rounds with other chances; disks in the course of all
    successors of killed writers, at least three a successor; and of how many disks one has its manifests rebuilt by
    the library. ``each_fault``: each call fails in every way, not in one.
    """

    images: int = 12
    rounds: int = 1
    successor_images: int = 120
    disks_per_recovery: int = 5
    each_fault: bool = False

    @classmethod
    def wanted(cls) -> Effort:
        """The usual one, or the long one where FASTK_TORTURE is set."""
        return cls(48, 2, 400, 2, each_fault=True) if TORTURE else cls()

    @classmethod
    def of_repairs(cls) -> Effort:
        """Fewer, as each disk is looked at and repaired as a whole."""
        return cls(12, 1, 100, each_fault=True) if TORTURE else cls(images=2, successor_images=30)


@dataclass
class Tally:
    """What was tried, and how the store was found: ``outcomes`` by its manifests, ``rebuilt`` by its chunk files."""

    points: int = 0
    images: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    rebuilt: Counter[str] = field(default_factory=Counter)

    @property
    def figures(self) -> dict[str, int]:
        """The outcomes by their column of the page on reliability."""
        return {"power cuts": self.points, "disks": self.images, **self.outcomes} | {
            f"{state} by files": count for state, count in self.rebuilt.items()
        }


class Story:
    """An operation, told as often as wanted upon copies of one old state below a folder."""

    def __init__(self, operation: Operation, folder: Path) -> None:
        self.operation = operation
        self._folder = folder
        self._copies = 0
        base = folder / "start"
        base.mkdir()
        self.old: Picture = operation.make_old_state(base / "root")
        self.start = read_image(base)
        self.journal = Journal(self.copy())
        self.perform(self.journal)
        assert self.journal.effects
        self.new: Picture = picture(self.journal.base / "root")

    def copy(self, image: Image | None = None) -> Path:
        """A fresh folder with the old state, or another one."""
        self._copies += 1
        return write_image(self.start if image is None else image, self._folder / str(self._copies))

    def perform(self, journal: Journal, stop_after: int | None = None) -> None:
        """Do what the story tells, in the folder of a journal."""
        with self.operation.open(journal.base / "root", RecordingDisk(journal, stop_after)) as store:
            self.operation.perform(store)

    def check(self, image: Image, tally: Tally, *allowed: Picture) -> Picture:
        """Both laws upon one disk, with a writer that goes on; returns what was seen before it."""
        base = self.copy(image)
        seen, rows = picture(base / "root"), rebuilt(image)
        check_states(seen, rows, *allowed)
        after = self.operation.go_on(base / "root", seen, self.new)
        assert rebuilt(read_image(base)) == rows_by_series(after)
        shutil.rmtree(base)
        tally.images += 1
        tally.outcomes[_state_of(seen, self.old, self.new)] += 1
        tally.rebuilt[_state_of(rows, rows_by_series(self.old), rows_by_series(self.new))] += 1
        return seen

    def check_recovery(self, image: Image) -> None:
        """The library rebuilds lost manifests with the rows that the second opinion has, and a writer goes on."""
        rows = rebuilt(image)
        if KEY in rows:
            base = self.copy({path: data for path, data in image.items() if not path.endswith(names.MANIFEST_FILE)})
            rebuild_manifests(Disk(), str(base / "root"))
            seen = picture(base / "root")
            assert rows_by_series(seen) == rows
            after = self.operation.go_on(base / "root", seen, self.new)
            assert rebuilt(read_image(base)) == rows_by_series(after)
            shutil.rmtree(base)

    @property
    def states(self) -> tuple[Picture, ...]:
        """What may be found; a root that is a store already, without the series, is old as well."""
        return (self.old, self.new, {}) if self.old is None else (self.old, self.new)

    def check_rows(self, image: Image, *allowed: dict[Key, Rows]) -> None:
        """The same where a successor may have gone on already, and registered the series anew."""
        base = self.copy(image)
        seen = picture(base / "root")
        assert is_between(rows_by_series(seen), *allowed)
        assert is_between(rebuilt(image), *allowed)
        self.operation.go_on(base / "root", seen, self.new)
        shutil.rmtree(base)


def check_states(seen: Picture, rows: dict[Key, Rows], *allowed: Picture) -> None:
    """A store, and the rows by its chunk files alone, are in one of these states, series by series."""
    assert is_between(seen, *allowed), f"neither the old nor the new state: {seen}"
    assert is_between(rows, *map(rows_by_series, allowed)), (
        f"neither the old nor the new rows without manifests: {rows}"
    )


def _state_of(seen: object, old: object, new: object) -> str:
    if old == new:
        return "unchanged"
    return "new" if seen == new else "old" if seen in (old, {}) else "in part"


def power_cuts(story: Story, effort: Effort) -> Tally:
    """The power goes behind each effect of the mutation; once it has returned, only the new state will do."""
    tally, tried, end = Tally(), set(), len(story.journal.effects)
    for length in range(end + 1):
        tally.points += 1
        for image in possible_disks(story.journal, length, effort):
            key = frozenset(image.items())
            if key not in tried or length == end:
                tried.add(key)
                allowed = (story.new,) if length == end else story.states
                with explained(story.journal, length, image):
                    story.check(image, tally, *allowed)
                    if tally.images % effort.disks_per_recovery == 0:
                        story.check_recovery(image)
    return tally


def possible_disks(journal: Journal, length: int, effort: Effort) -> Iterator[Image]:
    """What the disk may hold after a power cut behind so many effects."""
    for number in range(effort.rounds):
        yield from journal.images(length, seed=length + 1_000 * number, most=effort.images)


def killed_writers(story: Story, effort: Effort) -> Tally:
    """The process is killed behind each effect: nothing that reached the system is lost, and a successor goes on.

    What a killed process left unsynced is visible to the next one, which must not build upon it blindly: the power goes
    at moments of the successor's work, and at its end.
    """
    tally = Tally()
    for length in range(len(story.journal.effects)):
        tally.points += 1
        journal = Journal(story.copy())
        with pytest.raises(Killed):
            story.perform(journal, stop_after=length)
        killed = len(journal.effects)
        with explained(journal, killed, read_image(journal.base)):
            seen = story.check(read_image(journal.base), tally, *story.states)
            after = story.operation.go_on(journal.base / "root", seen, story.new, RecordingDisk(journal))
        _cut_successor(story, journal, killed, after, effort, tally)
        shutil.rmtree(journal.base)
    return tally


def _cut_successor(story: Story, journal: Journal, start: int, after: Picture, effort: Effort, tally: Tally) -> None:
    for length, image in disks_of_a_successor(journal, start, len(story.journal.effects), effort):
        allowed = (after,) if length == len(journal.effects) else (*story.states, after)
        with explained(journal, length, image):
            story.check_rows(image, *map(rows_by_series, allowed))
        tally.images += 1


def disks_of_a_successor(journal: Journal, start: int, successors: int, effort: Effort) -> Iterator[tuple[int, Image]]:
    """Moments spread over the work of one of so many successors, the last one behind its end, and one disk by chance
    at each.
    """
    end, chance = len(journal.effects), random.Random(start)
    count = max(3, effort.successor_images // successors)
    for number in range(1, count + 1):
        length = start + (end - start) * number // count
        yield length, chance.choice(list(journal.images(length, seed=number, most=effort.images)))


@contextmanager
def explained(journal: Journal, length: int, image: Image) -> Iterator[None]:
    """Say with a failure what had happened, and what the disk holds."""
    try:
        yield
    except Exception as error:
        happened = "\n  ".join(map(str, journal.effects[:length]))
        raise AssertionError(f"{error}\nafter the effects\n  {happened}\nthe disk may hold {sorted(image)}") from error
