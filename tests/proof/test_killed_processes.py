"""Writers killed by SIGKILL at random moments, again and again, while other processes read.

Whatever the moment: what was acknowledged is there, what was not is there whole or not at all, the lock is free, the
store validates, and its chunk files alone tell the same rows. Each round goes on where the one before was killed.
"""

import itertools
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import temporary_folder
from support import story
from support.figures import Note
from support.processes import Child, children
from support.torture import amounts

from fastk.format import names
from fastk.io.disk import Disk
from fastk.recovery.repair import rebuild_manifests
from fastk.recovery.validate import scrub

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stores are written on POSIX systems only")
MOST_EFFECTS, MOST_LINES = 80, 8


def kill_one_writer(root: Path, seed: int, positions: list[int], chance: np.random.Generator) -> int:
    """Let a writer go on, and kill it; returns how many steps were acknowledged."""
    by_itself = chance.random() < 0.5
    effects = int(chance.integers(MOST_EFFECTS)) if by_itself else None
    writer = Child(story.write, str(root), seed, positions, effects, 10_000)
    acknowledged = min(positions)
    if not by_itself:
        for _ in range(int(chance.integers(1, MOST_LINES))):
            acknowledged = writer.hear()
        writer.kill()
    for acknowledged in writer.rest():  # noqa: B007 - the last one counts
        pass
    assert writer.end() == -signal.SIGKILL
    return acknowledged


def check_sound(root: Path) -> None:
    found = [verdict for report in scrub(Disk(), str(root)) for verdict in report.validation.damage]
    assert not found, "\n".join(map(str, found))


def check_files_alone(root: Path, told: story.Story, acknowledged: int) -> None:
    """Without its manifests, a copy of the store still tells all that was acknowledged."""
    copy = root.with_name("copy")
    shutil.copytree(root, copy)
    for manifest in copy.rglob(names.MANIFEST_FILE):
        manifest.unlink()
    rebuild_manifests(Disk(), str(copy))
    assert len(list(story.positions_of(copy, told, acknowledged))) == len(story.KEYS)
    shutil.rmtree(copy)


@pytest.mark.slow
@pytest.mark.parametrize("chapters", amounts(1, 10, 30))
def test_killed_writers_lose_nothing_and_leave_nothing_half_done(chapters: int, figures: Note) -> None:
    for chapter in range(chapters):
        with temporary_folder() as folder:
            counts = tell_a_chapter(folder / "store", chapter, 8 if chapters == 1 else 20)
            figures("others", "writers killed at random, beside two readers", counts)


def tell_a_chapter(root: Path, seed: int, rounds: int) -> dict[str, int]:
    """Kill after kill, and what was counted."""
    chance, told, positions = np.random.default_rng(seed), story.Story(seed), [0] * len(story.KEYS)
    story.make_store(root)
    with children(*[(story.read, str(root), seed)] * 2) as readers:
        for _ in range(rounds):
            acknowledged = kill_one_writer(root, seed, positions, chance)
            check_sound(root)
            positions = list(story.positions_of(root, told, acknowledged))
            check_files_alone(root, told, acknowledged)
        answers = [reader.ask("that is all") for reader in readers]
    assert min(positions) > rounds
    for reads, _, seen in answers:
        assert reads
        assert all(step <= position for step, position in zip(seen, positions, strict=True))
    reads, expired, _ = zip(*answers, strict=True)
    return {"rounds": rounds, "steps": min(positions), "reads compared": sum(reads), "expired": sum(expired)}


def test_every_moment_of_a_story_can_be_the_last_one(figures: Note) -> None:
    """One effect after the other, not by chance: also the effects between two steps that are rarely hit."""
    told = story.Story(0)
    with temporary_folder() as folder:
        story.make_store(folder / "store")
        for effects in itertools.count(step=13):
            root = folder / f"killed behind {effects}"
            shutil.copytree(folder / "store", root)
            writer = Child(story.write, str(root), 0, [0, 0], effects, 6)
            acknowledged = max(writer.rest(), default=0)
            ended = writer.end()
            check_sound(root)
            list(story.positions_of(root, told, acknowledged))
            check_files_alone(root, told, acknowledged)
            figures("others", "writers killed behind each effect of a story", {"rounds": 1, "steps": acknowledged})
            if ended == 0:
                break
    assert effects > 50
