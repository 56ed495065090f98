"""The chunks and sidecars that a series names, looked at one by one.

Thorough: every block of every column, and every sidecar, is compared with its checksum.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from fastk.format import sidecars, tables
from fastk.format.sidecars import SidecarOwner
from fastk.recovery.blocks import Blocks
from fastk.recovery.chunk_file import ChunkFile, ChunkHead, read_chunk_file, unreadable
from fastk.recovery.sidecar_file import problem_of_sidecar
from fastk.recovery.verdicts import Code, Problem, Severity, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from fastk.format.sidecars import SidecarKind
    from fastk.io.disk import Disk
    from fastk.recovery.scan import SeriesScan
    from fastk.recovery.verdicts import Verdict
    from fastk.schema.settings import SeriesSettings

_AROUND_ROWS = (Code.TORN_TAIL, Code.EXCESS_TAIL, Code.CORRUPT_HEADER, Code.UNREADABLE_BLOCK)
"""What may be wrong with a file whose header is known all the same: its rows are looked at one by one."""
_COMPARED = ("start_ts", "end_ts", "rows", "file_length", "partition", "generation", "kind")


class NamedChunk(NamedTuple):
    """A chunk as a series names it: its item of the chunk table, and its file's name."""

    item: np.void
    name: str

    @property
    def chunk_id(self) -> int:
        """Its identity within the series."""
        return int(self.item["chunk_id"])

    @property
    def span(self) -> Span:
        """Its rows."""
        return Span(int(self.item["start_ts"]), int(self.item["end_ts"]), int(self.item["rows"]))


def named_chunks(scan: SeriesScan) -> list[NamedChunk]:
    """What the manifest of a series names, in order."""
    return list(map(NamedChunk, scan.items, scan.item_names))


class BadChunk(NamedTuple):
    """A named chunk whose file is not what was committed. ``lost`` are the rows that it does not give.

    ``file`` is what stands in its place, or the chunk itself where that was found elsewhere. ``sources`` are chunks
    that it was merged from, which hold its rows one after the other.
    """

    chunk: NamedChunk
    file: ChunkFile
    problem: Problem
    lost: list[Span]
    sources: tuple[ChunkFile, ...] = ()

    @property
    def head(self) -> ChunkHead | None:
        """Its header, if the file has the one that was committed."""
        head = self.file.head
        return head if head is not None and head.header.crc == int(self.chunk.item["header_crc"]) else None

    @property
    def kept_rows(self) -> int:
        """How many rows verify in all columns."""
        return self.chunk.span.rows - sum(span.rows for span in self.lost)


class BadSidecar(NamedTuple):
    """A sidecar that its chunk should have, and that is missing or not its own."""

    chunk: NamedChunk
    head: ChunkHead
    kind: SidecarKind
    problem: Problem

    @property
    def name(self) -> str:
        """Its file name."""
        return self.chunk.name + self.kind.suffix


@dataclass
class Examination:
    """What was found, and how much was looked at: files, and bytes of those."""

    verdicts: list[Verdict] = field(default_factory=list)
    bad_chunks: list[BadChunk] = field(default_factory=list)
    bad_sidecars: list[BadSidecar] = field(default_factory=list)
    chunks: int = 0
    sidecars: int = 0
    bytes: int = 0


class Examiner:
    """Looks at chunks of one series. ``count`` is told the bytes of each file behind it.

    Costs a map and a header a file; thorough, one pass over all bytes.
    """

    def __init__(
        self,
        disk: Disk,
        scan: SeriesScan,
        settings: SeriesSettings,
        *,
        thorough: bool,
        count: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.found = Examination()
        self._disk = disk
        self._scan = scan
        self._settings = settings
        self._thorough = thorough
        self._count = count

    def examine(self, chunks: Sequence[NamedChunk]) -> Examination:
        """Look at all of them. Whatever lies on the disk, nothing is raised."""
        for chunk in chunks:
            file = read_chunk_file(self._disk, self._scan.place.chunk(chunk.name), self._scan.chunks.get(chunk.name))
            self.found.chunks += 1
            self._add_bytes(file.size)
            if self._is_bad(chunk, file) or file.head is None:
                continue
            for kind in sidecars.KINDS:
                if int(chunk.item["sidecars"]) & kind.bit:
                    self._examine_sidecar(chunk, file.head, kind)
        return self.found

    def _add_bytes(self, size: int) -> None:
        self.found.bytes += size
        self._count(size)

    def _is_bad(self, chunk: NamedChunk, file: ChunkFile) -> bool:
        problem = problem_of_chunk(file, chunk.item, self._settings)
        if self._thorough and file.head is not None and (problem is None or problem.code in _AROUND_ROWS):
            return self._has_bad_blocks(chunk, file, file.head, problem)
        if problem is not None:
            self._add_chunk(chunk, file, [(problem, chunk.span)], [chunk.span])
        return problem is not None

    def _has_bad_blocks(self, chunk: NamedChunk, file: ChunkFile, head: ChunkHead, tail: Problem | None) -> bool:
        """Compare all blocks of a file whose header is the one that was committed."""
        try:
            blocks = Blocks(self._disk, file.path, head)
        except OSError as error:
            self._add_chunk(chunk, file._replace(head=None), [(unreadable(error), chunk.span)], [chunk.span])
            return True
        if tail is None and blocks.are_sound:
            return False
        damage = blocks.damage() if tail is None else [(tail, chunk.span), *blocks.damage()]
        self._add_chunk(chunk, file, damage, blocks.lost())
        return True

    def _add_chunk(
        self, chunk: NamedChunk, file: ChunkFile, damage: list[tuple[Problem, Span]], lost: list[Span]
    ) -> None:
        self.found.bad_chunks.append(BadChunk(chunk, file, damage[0][0], lost))
        self.found.verdicts += [self._scan.place.verdict(problem, file.path, span) for problem, span in damage]

    def _examine_sidecar(self, chunk: NamedChunk, head: ChunkHead, kind: SidecarKind) -> None:
        name, owner, schema = chunk.name + kind.suffix, SidecarOwner.of(head.header), head.settings.schema
        path, entry = self._scan.place.chunk(name), self._scan.chunks.get(name)
        problem = problem_of_sidecar(self._disk, path, entry, kind, owner, schema, thorough=self._thorough)
        if entry is not None:
            self.found.sidecars += 1
            self._add_bytes(entry.size)
        if problem is not None:
            self.found.bad_sidecars.append(BadSidecar(chunk, head, kind, problem))
            self.found.verdicts.append(self._scan.place.verdict(problem, path, severity=Severity.NOTE))


def problem_of_chunk(file: ChunkFile, item: np.void, settings: SeriesSettings) -> Problem | None:
    """What is wrong with the file of a named chunk, by its header and its length."""
    if file.head is None:
        committed = int(item["file_length"])
        if file.problem is not None and file.problem.code is Code.CORRUPT_HEADER and file.size < committed:
            return Problem(Code.TORN_TAIL, f"cut to {file.size:,} of {committed:,} bytes", file.size)
        return file.problem
    header = file.head.header
    if header.crc != int(item["header_crc"]) or header.identity.series_id != settings.series_id:
        return Problem(Code.FOREIGN_FILE, _whose(file.head, settings))
    return _mismatch(file.head, item, settings) or file.problem


def _whose(head: ChunkHead, settings: SeriesSettings) -> str:
    if head.header.identity.series_id != settings.series_id:
        return f"it is a chunk of another series: {head.settings.key}, id {head.settings.series_id:016x}"
    return f"it is {head.name} of this series, but not what was committed under its own name"


def _mismatch(head: ChunkHead, item: np.void, settings: SeriesSettings) -> Problem | None:
    """The manifest and the header of the very chunk that it names must agree."""
    own, stored = item_of(head)[0].item(), item.item()
    pairs = zip(tables.CHUNK.names or (), own, stored, strict=True)
    differences = [name for name, one, other in pairs if one != other and name in _COMPARED]
    schema, wanted = head.settings.schema, settings.schema
    if schema is not wanted and schema.values() != wanted.values():  # equal ones are mostly one object
        differences.append("settings")
    if not differences:
        return None
    return Problem(Code.METADATA_MISMATCH, f"its header and the manifest differ in {', '.join(differences)}")


def item_of(head: ChunkHead) -> tables.Table:
    """What a chunk table says of the chunk with this header, sidecars left out."""
    header = head.header
    supersedes = tables.Supersedes.NOTHING
    if header.superseded.size:
        supersedes = tables.Supersedes.CHUNKS if header.rows else tables.Supersedes.ONLY
    span = (header.start_ts, header.end_ts)
    return tables.chunk_item(header.identity, span, header.rows, header.file_length, header.crc, supersedes)
