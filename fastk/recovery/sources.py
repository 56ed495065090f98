"""Where else the rows of a damaged chunk lie: in itself, under another name, or in the chunks that it was merged from.

These were retired by its commit, and stay beside it for the grace period. No row of theirs is taken unproven:

- Where the damaged chunk's header is sound, each block of rows is compared with the checksums in it. So the sources
  need not be all of it: a put that merges its neighbours has rows of its own besides.
- Where it is not, and the manifest says that rows have not changed since before that commit, the sources are the rows.
- Else the header is made again from the sources, and its checksum must be the one that the manifest knows.
"""

from __future__ import annotations

import errno
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.format import names, tables
from fastk.format.chunk import ChunkIdentity, encode_chunk
from fastk.recovery.blocks import Blocks
from fastk.recovery.chunk_file import ChunkFile, read_chunk_file
from fastk.recovery.reading import other_than_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fastk.format.manifest import Manifest
    from fastk.io.disk import Disk
    from fastk.recovery.examine import BadChunk, NamedChunk
    from fastk.recovery.scan import SeriesScan
    from fastk.schema.settings import SeriesSettings


def saved_rows(disk: Disk, bad: BadChunk) -> list[NDArray[Any]]:
    """The rows of a damaged chunk that verify, from itself and from its sources, column by column.

    OSError if these are not as many as when it was looked at: what is lost was told by then.
    """
    rows = _saved_rows(disk, bad)
    if len(rows[0]) != bad.kept_rows:
        raise other_than_before(bad.file.path)
    return rows


def _saved_rows(disk: Disk, bad: BadChunk) -> list[NDArray[Any]]:
    if bad.head is not None:
        return _completed(disk, bad).sound_rows()
    parts = [_blocks(disk, source).sound_rows() for source in bad.sources]
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _completed(disk: Disk, bad: BadChunk) -> Blocks:
    """The blocks of a chunk whose header is sound, damaged ones taken from its sources where these have them."""
    blocks = _blocks(disk, bad.file)
    if bad.sources and not blocks.are_sound:
        sources = [_blocks(disk, source) for source in bad.sources]
        blocks.complete(lambda place: np.concatenate([source.column_bytes(place) for source in sources]))
    return blocks


def _blocks(disk: Disk, file: ChunkFile) -> Blocks:
    assert file.head is not None
    return Blocks(disk, file.path, file.head)


class Sources:
    """Finds the rows of damaged chunks of one series. ``retired`` are the entries of the chunks that were taken out."""

    def __init__(self, disk: Disk, scan: SeriesScan, settings: SeriesSettings, retired: tables.Table) -> None:
        self._disk = disk
        self._scan = scan
        self._settings = settings
        self._retired = retired

    def rescue(self, bad: BadChunk) -> BadChunk:
        """The same chunk with what was found, and fewer lost rows. OSError where a medium gives no bytes."""
        if bad.head is None:
            bad = self._found_elsewhere(bad)
        if not bad.lost:
            return bad
        sources = self._sources_of(bad.chunk)
        if bad.head is not None and sources:
            found = bad._replace(sources=sources)
            return found._replace(lost=_completed(self._disk, found).lost())
        if not _add_up(sources, bad.chunk):
            return bad
        lost = [span for source in sources for span in _blocks(self._disk, source).lost()]
        if self._is_unchanged(bad.chunk) or (not lost and self._is_proven(bad.chunk, sources)):
            return bad._replace(sources=sources, lost=lost)
        return bad

    def _look_at(self, name: str) -> ChunkFile:
        """A file that may hold the rows; OSError if nobody can tell, because the rows are not lost then."""
        file = read_chunk_file(self._disk, self._scan.place.chunk(name), self._scan.chunks.get(name))
        if file.is_hidden and file.problem is not None:
            raise OSError(errno.EIO, file.problem.detail, file.path)
        return file

    # Under another name

    def _found_elsewhere(self, bad: BadChunk) -> BadChunk:
        """A chunk whose own place holds something else: its file, if it lies under another name."""
        file = self._misplaced.get((bad.chunk.chunk_id, int(bad.chunk.item["header_crc"])))
        return bad if file is None else bad._replace(file=file, lost=_blocks(self._disk, file).lost())

    @cached_property
    def _misplaced(self) -> dict[tuple[int, int], ChunkFile]:
        """The sound chunks of the series that do not bear their own names, by id and checksum of the header."""
        scan, found = self._scan, {}
        for name in (*scan.chunk_names, *scan.orphan_names):
            file = self._look_at(name)
            if file.head is not None and file.head.settings.series_id == self._settings.series_id:
                is_set_aside = name.endswith(names.ORPHAN_SUFFIX)
                if is_set_aside or not file.has_own_name:
                    found[file.head.chunk_id, file.head.header.crc] = file
        return found

    # In the chunks that it was merged from

    def _sources_of(self, chunk: NamedChunk) -> tuple[ChunkFile, ...]:
        """The retired chunks of the same partition that the commit of a chunk took out; no more rows than it has."""
        files = [file for file in self._taken_out_by(chunk) if file.head is not None and file.has_own_name]
        return tuple(files) if _row_count(files) <= chunk.span.rows else ()

    def _taken_out_by(self, chunk: NamedChunk) -> list[ChunkFile]:
        entries = self._retired[self._retired["partition"] == chunk.item["partition"]]
        found = []
        for entry in entries[entries["retired_by"] == _commit_of(chunk)]:
            file = self._look_at(self._name_of(entry))
            if file.head is not None and _lies_within(file, chunk):
                found.append(file)
        return sorted(found, key=_place_in_time)

    def _name_of(self, entry: np.void) -> str:
        key = self._settings.partition.key(int(entry["partition"]))
        return names.chunk_file_name(key, tables.ChunkKind(int(entry["kind"])).label, int(entry["identity"]))

    def _is_unchanged(self, chunk: NamedChunk) -> bool:
        """Whether a sound manifest says that the commit of a chunk changed no row."""
        manifest = self._scan.manifest
        return manifest is not None and manifest.content_sequence < _commit_of(chunk) <= manifest.sequence

    def _is_proven(self, chunk: NamedChunk, sources: Sequence[ChunkFile]) -> bool:
        """Whether the header made again from the sources is the one that was committed."""
        manifest = self._scan.manifest
        if manifest is None:
            return False
        parts = [_blocks(self._disk, source).sound_rows() for source in sources]
        columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
        part = names.sequence_and_part(chunk.chunk_id)[1]
        superseded = self._superseded_by(_commit_of(chunk)) if part == 0 else []
        return any(
            encode_chunk(self._settings.json, self._settings.schema, columns, identity, superseded).header_crc
            == int(chunk.item["header_crc"])
            for identity in self._identities(manifest, chunk, part)
        )

    def _superseded_by(self, commit: int) -> list[int]:
        """The chunks that a commit took out, in the order in which it named them."""
        retired = self._scan.retired
        is_taken = (retired["kind"] < tables.RetiredKind.CHUNK_TABLE) & (retired["retired_by"] == commit)
        ids: list[int] = retired["identity"][is_taken].tolist()
        return [each for each in ids if names.sequence_and_part(each)[0] < commit]

    def _identities(self, manifest: Manifest, chunk: NamedChunk, part: int) -> Iterator[ChunkIdentity]:
        """What the header may have said: upon which commit it was made is not known for sure."""
        ids = np.concatenate([self._scan.items["chunk_id"], self._retired["identity"]])
        commit, commits = _commit_of(chunk), ids >> np.uint64(names.PART_BITS)
        parts = int((ids[commits == commit] & np.uint64(names.MAX_PARTS - 1)).max(initial=part)) + 1
        known = {commit - 1, manifest.content_sequence, *commits.tolist(), *self._scan.retired["retired_by"].tolist()}
        bases = {commit - 1, max((each for each in known if each < commit), default=0)}
        item = chunk.item
        for base in bases:
            yield ChunkIdentity(
                self._settings.series_id,
                chunk.chunk_id,
                base,
                part,
                parts,
                int(item["generation"]),
                int(item["kind"]),
                int(item["partition"]),
            )


def _row_count(files: Sequence[ChunkFile]) -> int:
    return sum(file.head.header.rows for file in files if file.head is not None)


def _add_up(files: Sequence[ChunkFile], chunk: NamedChunk) -> bool:
    """Whether chunks, in order, are as many rows as another one, of the same span."""
    heads, span = [file.head.header for file in files if file.head is not None], chunk.span
    if not heads or sum(head.rows for head in heads) != span.rows:
        return False
    return (heads[0].start_ts, max(head.end_ts for head in heads)) == (span.start_ts, span.end_ts)


def _commit_of(chunk: NamedChunk) -> int:
    return names.sequence_and_part(chunk.chunk_id)[0]


def _lies_within(file: ChunkFile, chunk: NamedChunk) -> bool:
    assert file.head is not None
    header, span = file.head.header, chunk.span
    assert span.start_ts is not None
    assert span.end_ts is not None
    return header.rows > 0 and span.start_ts <= header.start_ts and header.end_ts <= span.end_ts


def _place_in_time(file: ChunkFile) -> tuple[int, int, int]:
    assert file.head is not None
    header = file.head.header
    return header.start_ts, header.end_ts, header.identity.chunk_id
