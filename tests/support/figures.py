"""The tables of docs/reliability.md: which proofs have one, its rows, and what is counted in its columns.

Proofs note what they have really tried by the fixture ``figures``; :mod:`tests.support.reliability` adds that up.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from . import damage
from .operations import OPERATIONS
from .repairs import REPAIRS

STATES = ("old", "new", "in part", "unchanged")
AFTER_A_KILL = ("disks behind them", "failed calls", "interrupts")


class Note(Protocol):
    """The fixture ``figures``."""

    def __call__(self, table: str, row: object, counts: dict[str, int]) -> None: ...


class Table(NamedTuple):
    """A table by the name of its place on the page; ``first`` is the title of the column of the rows' names."""

    first: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    has_sum: bool = True


def _named(things: object) -> tuple[str, ...]:
    return tuple(str(each).replace("_", " ") for each in things)  # type: ignore[attr-defined]


TABLES = {
    "crashes": Table(
        "story",
        _named(OPERATIONS),
        ("power cuts", "disks", *STATES, *(f"{state} by files" for state in STATES), "killed writers", *AFTER_A_KILL),
    ),
    "repairs": Table(
        "story", _named(REPAIRS), ("power cuts", "disks", "old", "new", "unchanged", "kills", *AFTER_A_KILL)
    ),
    "damage": Table("file", _named(damage.FILES), (*damage.WAYS, *damage.OUTCOMES)),
    "fuzzing": Table(
        "made up", (*damage.FILES, "line for the bridge"), ("refused", "taken", "put into a store", "cases kept")
    ),
    "others": Table(
        "proof",
        (
            "writers killed at random, beside two readers",
            "writers killed behind each effect of a story",
            "three processes read beside a writer",
            "eight threads of one store object",
            "everything mixed, beside a model",
        ),
        ("rounds", "steps", "reads compared", "expired"),
        has_sum=False,
    ),
}
