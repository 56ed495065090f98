"""Which chunk files make up a series, told by the files alone. Pure.

A writer sets the files of an unfinished commit aside before it publishes the next one, so that what a commit was made
upon (its base) was published, and all before it. Of the commits above the highest base at most the newest complete one
can have been; and every commit names the chunks that it took out.
"""

from __future__ import annotations

import os.path
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fastk.format import names
from fastk.recovery.overlaps import Choice, Stretch, choose, groups_of, in_order
from fastk.recovery.verdicts import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.format.manifest import Manifest
    from fastk.keys import SeriesKey
    from fastk.recovery.chunk_file import ChunkFile, ChunkHead
    from fastk.schema.settings import SeriesSettings


class SoundFile(NamedTuple):
    """A chunk file whose header verifies, and which bears its own name."""

    file: ChunkFile
    head: ChunkHead

    @property
    def name(self) -> str:
        """Its file name."""
        return os.path.basename(self.file.path)

    @property
    def stretch(self) -> Stretch:
        """The time that it covers."""
        header = self.head.header
        return Stretch(
            self.name, header.start_ts, header.end_ts, header.rows, header.identity.generation, self.head.chunk_id
        )


@dataclass
class Adoption:
    """What becomes of each chunk file.

    ``live`` are the chunks of the series, in order. ``dead`` were taken out by the commit that ``dead_by`` gives by id,
    and ``empty`` are without rows, there to say so. ``stray`` ones are not among those that the manifest names, though
    no chunk says who took them out. ``unpublished`` files belong to commits that nobody saw, as far as files tell;
    ``spans`` tells the rows of the sound ones. ``losers`` interleave with others that count, by ``choices``.
    ``unsound`` files cannot be told; ``foreign`` ones are sound chunks of something else. ``published`` is the highest
    commit that readers saw; killed writers left ``unfinished`` ones below it. ``is_by_manifest`` says that the manifest
    was sound and up to date.
    """

    settings: SeriesSettings
    published: int
    unfinished: range
    is_by_manifest: bool
    live: list[SoundFile] = field(default_factory=list)
    dead: list[SoundFile] = field(default_factory=list)
    empty: list[SoundFile] = field(default_factory=list)
    stray: list[SoundFile] = field(default_factory=list)
    dead_by: dict[int, int] = field(default_factory=dict)
    unpublished: list[str] = field(default_factory=list)
    spans: dict[str, Span] = field(default_factory=dict)
    unsound: list[ChunkFile] = field(default_factory=list)
    foreign: list[ChunkFile] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)

    def counts(self, sequence: int) -> bool:
        """Whether a commit was published."""
        return sequence <= self.published and sequence not in self.unfinished

    @property
    def losers(self) -> list[Stretch]:
        """The chunks that interleave with others and do not count."""
        return [each for choice in self.choices for each in choice.losers]


def adopt(
    files: Sequence[ChunkFile],
    key: SeriesKey,
    manifest: Manifest | None = None,
    retired: dict[int, int] | None = None,
    named: frozenset[int] | None = None,
) -> Adoption | None:
    """Sort the chunk files of a folder (those set aside as well); None if none of them is a sound chunk of ``key``.

    A sound ``manifest`` tells the series, and what was published; ``retired`` are the chunks that it let go, with the
    commits that did so, and ``named`` the chunks that it has (None if a damaged table keeps them). All are left aside
    if files were made upon a later commit: then it is an old copy.
    """
    sound = [SoundFile(file, file.head) for file in files if file.head is not None and file.has_own_name]
    settings = manifest.settings if manifest is not None else _most_frequent(sound, key)
    if settings is None:
        return None
    mine = [each for each in sound if each.head.settings.key == key and _id(each) == settings.series_id]
    base = highest_base(mine)
    if manifest is not None and base > manifest.sequence:
        manifest, retired, named = None, None, None
    present = [each for each in mine if not each.name.endswith(names.ORPHAN_SUFFIX)]
    if manifest is not None:
        result = Adoption(settings, manifest.sequence, range(0), is_by_manifest=True)
    else:
        newest = _newest_complete(present, base)
        result = Adoption(settings, newest, range(base + 1, newest), is_by_manifest=False)
    _sort_sound(result, present, retired or {}, named)
    _sort_others(result, files, {each.file.path for each in mine})
    _resolve(result)
    return result


def _id(file: SoundFile) -> int:
    return file.head.settings.series_id


def _most_frequent(sound: Sequence[SoundFile], key: SeriesKey) -> SeriesSettings | None:
    """The settings of the series that most chunks belong to; of equal ones, that of the newest commit."""
    own = [each for each in sound if each.head.settings.key == key]
    count = Counter(map(_id, own))
    best = max(own, key=lambda each: (count[_id(each)], each.head.chunk_id), default=None)
    return None if best is None else best.head.settings


def highest_base(files: Sequence[SoundFile]) -> int:
    """The highest commit that any of the chunks was made upon."""
    return max((each.head.header.identity.base_sequence for each in files), default=0)


def _newest_complete(files: Sequence[SoundFile], base: int) -> int:
    """The newest commit whose parts are all there, whole; the base if there is none above it."""
    parts: defaultdict[int, set[int]] = defaultdict(set)
    wanted: dict[int, int] = {}
    for each in files:
        if each.file.is_whole:
            parts[each.head.sequence].add(each.head.header.identity.part)
            wanted[each.head.sequence] = each.head.header.identity.parts
    complete = (sequence for sequence, found in parts.items() if len(found) == wanted[sequence])
    return max((sequence for sequence in complete if sequence > base), default=base)


def _sort_sound(
    result: Adoption, present: list[SoundFile], retired: dict[int, int], named: frozenset[int] | None
) -> None:
    adopted = [each for each in present if result.counts(each.head.sequence)]
    doubtful = [each for each in present if not result.counts(each.head.sequence)]
    result.unpublished += [each.name for each in doubtful]
    result.spans = {
        each.name: Span(each.head.header.start_ts, each.head.header.end_ts, each.head.header.rows) for each in doubtful
    }
    result.dead_by = retired | {
        chunk_id: each.head.sequence for each in adopted for chunk_id in each.head.header.superseded.tolist()
    }
    for each in adopted:
        if not each.head.header.rows:
            result.empty.append(each)
        elif each.head.chunk_id in result.dead_by:
            result.dead.append(each)
        elif named is not None and each.head.chunk_id not in named:
            result.stray.append(each)
        else:
            result.live.append(each)


def _sort_others(result: Adoption, files: Sequence[ChunkFile], mine: set[str]) -> None:
    """Files that are no sound chunk of the series, by the commit that their names bear."""
    for file in files:
        name = os.path.basename(file.path)
        parsed = names.parse_chunk_file_name(name)
        if file.path in mine or parsed is None:
            continue
        if file.head is not None:
            result.foreign.append(file)
        elif result.counts(names.sequence_and_part(parsed.identity)[0]):
            result.unsound.append(file)
        else:
            result.unpublished.append(name)


def _resolve(result: Adoption) -> None:
    """Put the live chunks in order, and leave one of those that claim the same time."""
    unique_ts = result.settings.schema.unique_ts
    found = {each.name: each for each in result.live}
    stretches = [each.stretch for each in result.live]
    result.choices = [choose(group, unique_ts=unique_ts) for group in groups_of(stretches, unique_ts=unique_ts)]
    losers = {each.name for each in result.losers}
    result.live = [found[each.name] for each in in_order(stretches) if each.name not in losers]
