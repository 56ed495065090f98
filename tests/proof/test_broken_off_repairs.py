"""The power goes in the middle of a repair, it is killed, a call fails, or somebody interrupts it.

Each series reads as before the repair or as behind it; the next repair ends where an undisturbed one does, to the row;
the chunk files alone tell the same rows then, and a writer goes on. `make torture` tries more disks and every call.
"""

from collections.abc import Iterator

import pytest
from builders import temporary_folder
from support.crashes import Effort
from support.figures import Note
from support.repairs import REPAIRS, BrokenOff

QUICK = {"missing_chunk", "lost_manifest"}
STORIES = [pytest.param(each, id=str(each), marks=() if str(each) in QUICK else pytest.mark.slow) for each in REPAIRS]


@pytest.fixture(params=STORIES)
def story(request: pytest.FixtureRequest) -> Iterator[BrokenOff]:
    with temporary_folder() as folder, request.param.limits():
        yield BrokenOff(request.param, folder)


def test_a_power_cut_leaves_what_was_there_before_or_behind_it(story: BrokenOff, figures: Note) -> None:
    tally = story.power_cuts(Effort.of_repairs())
    figures("repairs", story.story, tally.figures)
    assert tally.points == len(story.journal.effects) + 1
    assert tally.images == sum(tally.outcomes.values()) > tally.points / 2


@pytest.mark.slow
def test_after_a_kill_another_repair_or_a_writer_goes_on(story: BrokenOff, figures: Note) -> None:
    tally = story.killed(Effort.of_repairs())
    assert tally.points == len(story.journal.effects)
    figures("repairs", story.story, {"kills": tally.points, "disks behind them": tally.images})


@pytest.mark.slow
def test_a_failing_call_costs_no_row(story: BrokenOff, figures: Note) -> None:
    found = story.fail(each=Effort.wanted().each_fault)
    assert not found.problems, "\n".join(found.problems)
    figures("repairs", story.story, {"failed calls": found.calls})


@pytest.mark.slow
def test_an_interrupt_behind_any_effect_costs_no_row(story: BrokenOff, figures: Note) -> None:
    found = story.interrupt()
    assert not found.problems, "\n".join(found.problems)
    figures("repairs", story.story, {"interrupts": found.calls})
