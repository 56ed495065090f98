"""Chunks that interleave in time, and which of them count. Pure.

Sound stores have none: this decides where damage has brought chunks back that others took the place of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Stretch(NamedTuple):
    """The time that a chunk covers, and what it competes with."""

    name: str
    start_ts: int
    end_ts: int
    rows: int
    generation: int
    chunk_id: int


class Choice(NamedTuple):
    """Which chunks of a group that interleaves count, and which do not."""

    winners: list[Stretch]
    losers: list[Stretch]
    reason: str


def in_order(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Chunks in the order in which a series holds them; where times are equal, commit order is row order."""
    return sorted(stretches, key=lambda each: (each.start_ts, each.end_ts, each.chunk_id))


def groups_of(stretches: Iterable[Stretch], *, unique_ts: bool) -> list[list[Stretch]]:
    """The groups of chunks that interleave. Where ts may be equal, neighbours may share one."""
    groups: list[list[Stretch]] = []
    end = 0
    for each in in_order(stretches):
        if groups and each.start_ts < end + unique_ts:
            groups[-1].append(each)
            end = max(end, each.end_ts)
        else:
            groups.append([each])
            end = each.end_ts
    return [group for group in groups if len(group) > 1]


def choose(group: Sequence[Stretch], *, unique_ts: bool) -> Choice:
    """The original's choice: of those that cover the whole contested window, the one of the highest generation, then
    span, rows and name. Where none does, newer commits go before older ones."""
    low, high = contested_window(group)
    covering = [each for each in group if each.start_ts <= low and each.end_ts >= high]
    if covering:
        winner = max(covering, key=lambda each: (each.generation, each.end_ts - each.start_ts, each.rows, each.name))
        losers = [each for each in group if each is not winner]
        return Choice([winner], losers, "the highest generation that covers the contested time")
    winners = _newest_first(group, unique_ts=unique_ts)
    losers = [each for each in group if each not in winners]
    return Choice(winners, losers, "no chunk covers the contested time: the newest commit wins")


def is_replaced(loser: Stretch, winners: Iterable[Stretch], *, unique_ts: bool) -> bool:
    """Whether a later commit had taken the place of a chunk that does not count, so that no row is lost with it.

    Chunks of one state never interleave: the commit of a later winner, or one before that, took the loser out.
    """
    return any(each.chunk_id > loser.chunk_id and _interleave(each, loser, unique_ts) for each in winners)


def contested_window(group: Sequence[Stretch]) -> tuple[int, int]:
    """From the first ts that two chunks of a group claim to the last one."""
    starts = sorted(each.start_ts for each in group)
    ends = sorted(each.end_ts for each in group)
    return starts[1], ends[-2]


def _newest_first(group: Sequence[Stretch], *, unique_ts: bool) -> list[Stretch]:
    kept: list[Stretch] = []
    for each in sorted(group, key=lambda each: -each.chunk_id):
        if not any(_interleave(each, other, unique_ts) for other in kept):
            kept.append(each)
    return in_order(kept)


def _interleave(one: Stretch, other: Stretch, unique_ts: bool) -> bool:
    first, second = in_order((one, other))
    return second.start_ts < first.end_ts + unique_ts
