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
from fastk.recovery.absences import absences_of
from fastk.recovery.overlaps import Choice, Stretch, choose, groups_of, in_order
from fastk.recovery.verdicts import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.format.manifest import Manifest
    from fastk.keys import SeriesKey
    from fastk.recovery.absences import Absence
    from fastk.recovery.chunk_file import ChunkFile, ChunkHead
    from fastk.schema.settings import SeriesSettings


class SoundFile(NamedTuple):
    """A chunk file whose header verifies, and which bears its own name, or another chunk of its series does."""

    file: ChunkFile
    head: ChunkHead

    @property
    def name(self) -> str:
        """The file name that it was given."""
        return self.head.name

    @property
    def file_name(self) -> str:
        """The file name that it bears."""
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
    commit that readers saw; killed writers left ``unfinished`` ones below it, and files of ``absent`` ones are missing.
    ``is_by_manifest`` says that the manifest was sound and up to date.
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
    absent: list[Absence] = field(default_factory=list)

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
    missing: frozenset[int] = frozenset(),
    *,
    has_tables: bool = False,
) -> Adoption | None:
    """Sort the chunk files of a folder (those set aside as well); None if none of them is a sound chunk of ``key``.

    A sound ``manifest`` tells the series, and what was published; ``retired`` are the chunks that it let go, with the
    commits that did so, ``named`` the chunks that it has (None if a damaged table keeps them), and ``missing`` those
    without a file. All are left aside if files prove it an old copy. ``has_tables`` tells of files of tables.
    """
    sound = sound_files(files)
    settings = manifest.settings if manifest is not None else _most_frequent(sound, key)
    if settings is None:
        return None
    mine = [each for each in sound if each.head.settings.key == key and _id(each) == settings.series_id]
    base = highest_base(mine)
    if manifest is not None and sign_of_age(mine, manifest, missing) is not None:
        manifest, retired, named = None, None, None
    present = present_files(mine)
    if manifest is not None:
        result = Adoption(settings, manifest.sequence, range(0), is_by_manifest=True)
    else:
        newest = _newest_complete(present, base)
        result = Adoption(settings, newest, range(base + 1, newest), is_by_manifest=False)
    _sort_sound(result, present, retired or {}, named)
    _sort_others(result, files, {each.file.path for each in mine})
    if not result.is_by_manifest:
        result.absent = _absences(result, present, has_tables=has_tables)
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


def sound_files(files: Sequence[ChunkFile]) -> list[SoundFile]:
    """The sound chunks among files; of those under another name only such as changed places with each other."""
    found = [SoundFile(file, file.head) for file in files if file.head is not None]
    by_name = {each.file_name: each for each in found}
    return [each for each in found if each.file.has_own_name or _changed_places(each, by_name)]


def _changed_places(sound: SoundFile, by_name: dict[str, SoundFile]) -> bool:
    """Whether the file's own name is borne by another chunk of its series that is out of place."""
    other = by_name.get(sound.name)
    return other is not None and not other.file.has_own_name and _id(other) == _id(sound)


def present_files(files: Sequence[SoundFile]) -> list[SoundFile]:
    """Without those that were set aside."""
    return [each for each in files if not each.file_name.endswith(names.ORPHAN_SUFFIX)]


def sign_of_age(files: Sequence[SoundFile], manifest: Manifest, missing: frozenset[int]) -> str | None:
    """What tells by chunks of a series that its manifest is an old copy; None if nothing does.

    Chunks are removed only when the commit that took them out is published and durable.
    """
    base = highest_base(files)
    if base > manifest.sequence:
        return f"chunks were made upon commit {base}"
    later = present_files([each for each in files if each.head.sequence > manifest.sequence])
    complete = complete_commits(later)
    for each in later:
        if each.head.sequence in complete and missing.intersection(each.head.header.superseded.tolist()):
            return f"commit {each.head.sequence} took the place of chunks that it names, and these are gone"
    return None


def complete_commits(files: Sequence[SoundFile]) -> set[int]:
    """The commits whose parts are all there, whole."""
    parts: defaultdict[int, set[int]] = defaultdict(set)
    wanted: dict[int, int] = {}
    for each in files:
        if each.file.is_whole:
            parts[each.head.sequence].add(each.head.header.identity.part)
            wanted[each.head.sequence] = each.head.header.identity.parts
    return {sequence for sequence, found in parts.items() if len(found) == wanted[sequence]}


def _newest_complete(files: Sequence[SoundFile], base: int) -> int:
    """The newest complete commit; the base if there is none above it."""
    return max((sequence for sequence in complete_commits(files) if sequence > base), default=base)


def _sort_sound(
    result: Adoption, present: list[SoundFile], retired: dict[int, int], named: frozenset[int] | None
) -> None:
    adopted = [each for each in present if result.counts(each.head.sequence)]
    doubtful = [each for each in present if not result.counts(each.head.sequence)]
    result.unpublished += [each.file_name for each in doubtful]
    result.spans = {
        each.file_name: Span(each.head.header.start_ts, each.head.header.end_ts, each.head.header.rows)
        for each in doubtful
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


def _absences(result: Adoption, present: list[SoundFile], *, has_tables: bool) -> list[Absence]:
    heads = [each.head for each in present if result.counts(each.head.sequence)]
    beside = (names.parse_chunk_file_name(os.path.basename(file.path)) for file in result.unsound)
    return absences_of(heads, [each.identity for each in beside if each is not None], has_tables=has_tables)


def _resolve(result: Adoption) -> None:
    """Put the live chunks in order, and leave one of those that claim the same time."""
    unique_ts = result.settings.schema.unique_ts
    found = {each.name: each for each in result.live}
    stretches = [each.stretch for each in result.live]
    result.choices = [choose(group, unique_ts=unique_ts) for group in groups_of(stretches, unique_ts=unique_ts)]
    losers = {each.name for each in result.losers}
    result.live = [found[each.name] for each in in_order(stretches) if each.name not in losers]


def what_may_be_back(adoption: Adoption, series_dir: str) -> list[str]:
    """In words, the live rows that chunks without a sound header may have taken the place of.

    The first chunk of a partition took nothing out of it. A whole partition that such a commit deleted is not told.
    """
    found = []
    for file in adoption.unsound:
        parsed = names.parse_chunk_file_name(os.path.basename(file.path))
        if parsed is None or not parsed.kind or parsed.identity in adoption.dead_by:
            continue
        older = _older_in_partition(adoption, parsed)
        if older:
            start, end = min(each.start_ts for each in older), max(each.end_ts for each in older)
            found.append(
                f"{series_dir}: {os.path.basename(file.path)} cannot be read, nor which chunks it took out: of the "
                f"rows between ts {start} and {end}, those that it replaced or deleted may have come back; put its "
                f"rows again"
            )
    return found


def _older_in_partition(adoption: Adoption, chunk: names.ChunkName) -> list[Stretch]:
    partition = adoption.settings.partition
    sequence, _ = names.sequence_and_part(chunk.identity)
    return [
        each.stretch
        for each in adoption.live
        if each.head.sequence < sequence and partition.key(each.head.header.identity.partition) == chunk.partition_key
    ]
