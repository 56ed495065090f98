"""Published commits of which no chunk file is left, or not every part, told by the files alone. Pure.

Each chunk says upon which commit it was made: that one was published. Where no chunk of it is there, a later commit
took them out and they were collected; or it wrote none (a collection, a manifest rebuilt from sound chunks); or they
are lost. As long as all chunks lie there that others took out, nothing was collected but, perhaps, a chunk without rows
and what it alone named, which leaves two absences. So one absence alone is a loss. A rebuilt manifest passes numbers
over, by which it is told from the others.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from fastk.format import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastk.recovery.chunk_file import ChunkHead

_REGISTRATION = 1


class Absence(NamedTuple):
    """A commit without files, or without those of some ``parts``. Unless it ``is_sure``, it may be as it should be."""

    sequence: int
    parts: tuple[int, ...]
    is_sure: bool

    def __str__(self) -> str:
        if not self.parts:
            return f"commit {self.sequence}"
        return f"part {', '.join(map(str, self.parts))} of commit {self.sequence}"


def absences_of(heads: Sequence[ChunkHead], others: Iterable[int], *, has_tables: bool) -> list[Absence]:
    """What is absent, by the sound chunks of published commits and the ids of the ``others`` that lie beside them.

    Tables may have been collected as well, and leave no trace in chunks: with them nothing is sure.
    """
    there = {head.chunk_id for head in heads} | set(others)
    taken = {chunk_id for head in heads for chunk_id in head.header.superseded.tolist()}
    commits = _absent_commits(heads, there | taken)
    parts = _absent_parts(heads, there | taken)
    nothing_was_collected = not has_tables and taken <= there
    known = _sequences(there) | {head.header.identity.base_sequence for head in heads} | {_REGISTRATION}
    if nothing_was_collected:
        commits = [each for each in commits if not _is_a_rebuild(each, known)]
    is_lone = len(commits) == 1 and (commits[0] - 1 in known or _is_a_rebuild(commits[0] - 1, known))
    whole = [Absence(each, (), nothing_was_collected and is_lone) for each in commits]
    return whole + [Absence(each, found, nothing_was_collected and not commits) for each, found in parts.items()]


def _is_a_rebuild(sequence: int, known: set[int]) -> bool:
    """Whether a manifest was made anew by a commit, by the numbers of others."""
    return names.may_be_of_rebuild(sequence, max(each for each in known if each < sequence))


def _sequences(ids: Iterable[int]) -> set[int]:
    return {names.sequence_and_part(each)[0] for each in ids}


def _absent_commits(heads: Sequence[ChunkHead], known: set[int]) -> list[int]:
    """The commits that others were made upon, and that no chunk is of, whether it is there or was taken out."""
    bases = {head.header.identity.base_sequence for head in heads}
    return sorted(each for each in bases - _sequences(known) if each > _REGISTRATION)


def _absent_parts(heads: Sequence[ChunkHead], known: set[int]) -> dict[int, tuple[int, ...]]:
    """The parts of commits, of which others are there, that are not, and that nobody took out."""
    borne: defaultdict[int, set[int]] = defaultdict(set)
    for chunk_id in known:
        sequence, part = names.sequence_and_part(chunk_id)
        borne[sequence].add(part)
    wanted = {head.sequence: head.header.identity.parts for head in heads}
    absent = {each: tuple(sorted(set(range(parts)) - borne[each])) for each, parts in wanted.items()}
    return {each: parts for each, parts in sorted(absent.items()) if parts}
