"""What becomes of one partition in a commit: an ordered list of chunks that stay, and of rows that are to be written.

Stored chunks are looked at from the last one backwards, as far as a change reaches: an append sees the last few.
"""

from __future__ import annotations

from itertools import islice, takewhile, tee
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastk.engine import conflicts
from fastk.engine.chunk_index import ChunkRef
from fastk.errors import InvalidData, InvalidInput
from fastk.format.tables import ChunkKind, ChunkState, generation_behind
from fastk.times import format_ts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastk.engine.compaction import CompactionDecision, CompactionPolicy
    from fastk.engine.conflicts import OnConflict
    from fastk.engine.snapshot import Snapshot
    from fastk.schema.columns import Columns


UNREADABLE = (InvalidData, OSError)
"""What a stored chunk raises that is damaged, or of which the system gives nothing."""


class Counts(NamedTuple):
    """What became of the rows of a put."""

    accepted: int = 0
    identical: int = 0
    replaced: int = 0


class Piece(NamedTuple):
    """Rows from ``start`` to ``end``: a stored chunk, or columns that are to be written."""

    start: int
    end: int
    rows: int
    sealed: bool
    generation: int
    stored: ChunkRef | None = None
    columns: Columns | None = None


class NewChunk(NamedTuple):
    """A chunk that a commit writes."""

    partition: int
    columns: Columns
    kind: ChunkKind
    generation: int


class PartitionEdit:
    """The next state of one partition of a series. ``pieces`` ascend in time and do not interleave."""

    def __init__(self, newest: Snapshot, partition: int) -> None:
        settings = newest.settings
        self.partition = partition
        self.pieces: list[Piece] = []
        self._newest = newest
        self._settings = settings
        self._waiting = newest.runs(*settings.partition.bounds(partition, settings.time_unit))
        self._seen: list[ChunkRef] = []
        self._generation = generation_behind(max((run.highest_generation for run in self._waiting), default=0))

    def copy(self) -> PartitionEdit:
        """The same, to be changed without changing this one."""
        other = object.__new__(PartitionEdit)
        other.__dict__.update(self.__dict__)
        other.pieces, other._waiting, other._seen = self.pieces.copy(), self._waiting.copy(), self._seen.copy()
        return other

    # What is stored

    def _pull(self, count: int = 1) -> bool:
        """Bring the last of the waiting chunks (as many, or fewer) before the pieces; False if none waits."""
        if not self._waiting:
            return False
        run = self._waiting.pop()
        middle = max(run.low, run.high - count)
        if run.low < middle:
            self._waiting.append(run._replace(high=middle))
        pulled = [_stored_piece(ChunkRef((run.leaf, place))) for place in range(middle, run.high)]
        self.pieces[:0] = pulled
        self._seen += [piece.stored for piece in pulled if piece.stored is not None]
        return True

    def _reach(self, ts: int) -> None:
        """Pull every chunk that ends at ``ts`` or later, and some before these, if there are any."""
        count = 1
        while (not self.pieces or self.pieces[0].end >= ts) and self._pull(count):
            count *= 2

    def pull_all(self) -> list[Piece]:
        """All pieces of the partition."""
        while self._waiting:
            self._pull(self._waiting[-1].high)
        return self.pieces

    def _columns(self, piece: Piece) -> Columns:
        """The rows of a piece; stored ones are verified."""
        if piece.columns is not None:
            return piece.columns
        assert piece.stored is not None
        chunk = self._newest.open_chunk(*piece.stored)
        # Also where the store was opened with verify="never": what is damaged must not get a new checksum.
        return [chunk.ensure_verified(place, 0, chunk.rows) for place in range(len(chunk.columns))]

    def _joined(self, low: int, high: int) -> Columns:
        """The rows of a run of pieces."""
        return conflicts.joined([self._columns(piece) for piece in self.pieces[low:high]])

    def _replace(self, low: int, high: int, columns: Columns, *, sealed: bool | None = None) -> None:
        """Put rows in the place of a run of pieces; nothing in its place if there are no rows."""
        if sealed is None:
            sealed = any(piece.sealed for piece in self.pieces[low:high])
        ts = columns[0]
        rows = len(ts)
        self.pieces[low:high] = (
            [Piece(int(ts[0]), int(ts[-1]), rows, sealed, self._generation, columns=columns)] if rows else []
        )

    # Putting rows

    def append(self, new: Columns) -> Counts:
        """Put rows that must come behind all that the partition holds; InvalidInput if any does not."""
        self._reach(int(new[0][0]))
        if self.pieces and new[0][0] <= self.pieces[-1].end:
            self._check_continuation(self.pieces[-1].end, new)
        self._replace(len(self.pieces), len(self.pieces), new, sealed=not self.pieces)
        self._fold_last()
        return Counts(len(new[0]))

    def _fold_last(self) -> None:
        """Join pieces at the end that become one chunk anyway, like to like: so a batch of many appends has few."""
        while len(self.pieces) > 1 and self.pieces[-2].columns and self.pieces[-2].rows <= self.pieces[-1].rows:
            self._replace(len(self.pieces) - 2, len(self.pieces), self._joined(len(self.pieces) - 2, len(self.pieces)))

    def _check_continuation(self, end: int, new: Columns) -> None:
        """Rows may go on at the last stored ts if the sequence field tells them from the stored ones."""
        settings, first = self._settings, int(new[0][0])
        schema, unit, key = settings.schema, settings.time_unit, settings.key
        if first < end or schema.unique_ts:
            raise InvalidInput(
                f"{key}: rows from ts {first} ({format_ts(first, unit)}) overlap existing "
                f"coverage: {settings.partition} {settings.partition.key(self.partition)} is stored up to ts {end} "
                f"({format_ts(end, unit)}); only later rows can be appended to it. Nothing was written; "
                f"to put late rows as well, give on_conflict="
            )
        if schema.sequence_field is None:
            raise InvalidInput(
                f"{key}: ts {first} overlaps existing coverage: rows of one ts belong together where no sequence "
                f"field tells them apart. Nothing was written"
            )
        place = schema.position(schema.sequence_field)
        stored = [self._columns(piece) for piece in self.pieces if piece.end == first]
        held = np.concatenate([columns[place][columns[0].searchsorted(first) :] for columns in stored])
        both = np.intersect1d(new[place][: new[0].searchsorted(first, "right")], held)
        if both.size:
            raise InvalidInput(
                f"{key}: ts {first} with {schema.sequence_field} {both[0]} is stored already (overlaps existing "
                f"coverage). Nothing was written"
            )

    def insert(self, new: Columns, on_conflict: OnConflict, policy: CompactionPolicy) -> Counts:
        """Put rows at their places in time; Conflict if the policy forbids what is stored under their keys."""
        first, last = int(new[0][0]), int(new[0][-1])
        self._reach(first)
        low = sum(piece.end < first for piece in self.pieces)
        high = sum(piece.start <= last for piece in self.pieces)
        if low < high:
            return self._insert_among(low, high, new, on_conflict, policy)
        self._insert_between(low, new, policy)
        return Counts(len(new[0]))

    def _insert_between(self, index: int, new: Columns, policy: CompactionPolicy) -> None:
        """Put rows before the piece at ``index``, together with small neighbours on one side of it."""
        behind = len(self.pieces) - index
        self._replace(index, index, new, sealed=not self.pieces)
        rows = len(new[0])
        before = self._count_to_take(rows, self._pieces_before(behind), policy)
        later = self.pieces[len(self.pieces) - behind :] if not before else []
        after = self._count_to_take(rows, later, policy)
        if before or after:
            index = len(self.pieces) - 1 - behind
            low, high = index - before, index + 1 + after
            self._replace(low, high, self._joined(low, high))

    def _pieces_before(self, behind: int) -> Iterator[Piece]:
        """The pieces before the one that has so many behind it, nearest first; pulled as they are wanted."""
        step = behind + 2
        while step <= len(self.pieces) or self._pull():
            yield self.pieces[-step]
            step += 1

    def _count_to_take(self, rows: int, neighbours: Iterable[Piece], policy: CompactionPolicy) -> int:
        """How many neighbours (nearest first) new rows are merged with.

        One that cannot be read ends the row of them: it stays as it is, and keeps nobody from writing.
        """
        row_bytes = self._settings.schema.dtype.itemsize
        looked_at, again = tee(neighbours)
        wanted = policy.neighbours_to_take(rows, (piece.rows for piece in looked_at), row_bytes)
        sound = list(takewhile(self._is_sound, islice(again, wanted)))
        if len(sound) == wanted:
            return wanted
        return policy.neighbours_to_take(rows, (piece.rows for piece in sound), row_bytes)

    def _is_sound(self, piece: Piece) -> bool:
        """Whether the rows can be read; what was verified once costs nothing the next time."""
        try:
            self._columns(piece)
        except UNREADABLE:
            return False
        return True

    def _insert_among(
        self, low: int, high: int, new: Columns, on_conflict: OnConflict, policy: CompactionPolicy
    ) -> Counts:
        """Put rows where stored ones touch their span: the pieces between ``low`` and ``high``."""
        stored, settings = self._joined(low, high), self._settings
        begin, end = _bounds(stored, int(new[0][0]), int(new[0][-1]))
        meeting = conflicts.meet([column[begin:end] for column in stored], new, settings)
        conflicts.check_allowed(meeting, new[0], on_conflict, settings)
        kept = np.flatnonzero(~meeting.identical)
        replaced = int(meeting.conflicting.sum())
        counts = Counts(kept.size - replaced, len(new[0]) - kept.size, replaced)
        if kept.size:
            outdated = np.zeros(len(stored[0]), bool)
            outdated[begin:end] = meeting.outdated
            places = np.where(meeting.conflicting, meeting.places + begin, -1)[kept]
            self._interleave(low, high, [column[kept] for column in new], outdated, places, policy)
        return counts

    def _interleave(
        self,
        low: int,
        high: int,
        new: Columns,
        outdated: conflicts.Mask,
        places: conflicts.Places,
        policy: CompactionPolicy,
    ) -> None:
        """Rewrite the pieces up to ``high`` from the first one that loses rows, or has any behind the first new one.

        Those before it end at the first new ts at the latest, so that the new rows go behind them. ``outdated`` and
        ``places`` count rows from the piece at ``low`` on.
        """
        begin, base, first = low, 0, int(new[0][0])
        while begin < high and not self._is_touched(self.pieces[begin], first, outdated[base:]):
            base += self.pieces[begin].rows
            begin += 1
        if begin == high:
            self._insert_between(high, new, policy)
            return
        places = np.where(places < 0, -1, places - base)
        self._replace(begin, high, conflicts.interleave(self._joined(begin, high), outdated[base:], new, places))

    def _is_touched(self, piece: Piece, first: int, outdated: conflicts.Mask) -> bool:
        return piece.end > first or bool(outdated[: piece.rows].any())

    # Other changes

    def between(self, start: int, end: int) -> Columns:
        """The rows with ``start <= ts <= end``."""
        self._reach(start)
        parts = []
        for piece in self.pieces:
            if piece.start <= end and piece.end >= start:
                columns = self._columns(piece)
                low, high = _bounds(columns, start, end)
                parts.append([column[low:high] for column in columns])
        return conflicts.joined(parts or [[np.empty(0, field.dtype) for field in self._settings.schema.fields]])

    def delete(self, start: int, end: int) -> int:
        """Take the rows with ``start <= ts <= end`` out; returns how many."""
        self._reach(start)
        deleted = 0
        for index in reversed(range(len(self.pieces))):
            piece = self.pieces[index]
            if piece.start > end or piece.end < start:
                continue
            rows: Columns = [np.empty(0, np.int64)]
            if piece.start < start or piece.end > end:
                rows = _without(self._columns(piece), start, end)
            if len(rows[0]) < piece.rows:
                deleted += piece.rows - len(rows[0])
                self._replace(index, index + 1, rows)
        return deleted

    def merge(self) -> int:
        """Make one sealed chunk of all; returns how many there were (1 or 0: nothing to do).

        InvalidData if a stored one is damaged; then nothing changes.
        """
        pieces = self.pull_all()
        count = len(pieces)
        if count > 1:
            self._replace(0, count, self._joined(0, count), sealed=True)
        return count

    def seal(self, policy: CompactionPolicy) -> None:
        """Make one chunk of all, if the policy says so of their size. InvalidData as from :meth:`merge`."""
        pieces = self.pull_all()
        if policy.seals(sum(piece.rows for piece in pieces), self._settings.schema.dtype.itemsize):
            self.merge()

    def decide(self, policy: CompactionPolicy) -> CompactionDecision:
        """Whether merging is advised."""
        pieces, settings = self.pull_all(), self._settings
        deltas = [piece.rows for piece in pieces if not piece.sealed]
        base = min((piece.generation for piece in pieces if piece.sealed), default=0)
        appends = max((piece.generation for piece in pieces), default=base) - base
        return policy.decide(
            settings.partition.key(self.partition), len(pieces), deltas, appends, settings.schema.dtype.itemsize
        )

    # The result

    def settle(self) -> None:
        """Chunk tables order by the first ts, and of equal ones the stored chunk comes first: rows that are to be
        written before stored chunks of the same first ts become one with these."""
        for index in reversed(range(len(self.pieces))):
            stop = index + 1
            while stop < len(self.pieces) and self.pieces[stop].start == self.pieces[index].start:
                stop += 1
            if stop > index + 1 and self.pieces[index].columns is not None:
                self._replace(index, stop, self._joined(index, stop))

    @property
    def changes_files(self) -> bool:
        """Whether chunks are taken out or rows are to be written."""
        return any(piece.columns is not None for piece in self.pieces) or bool(self.removed)

    @property
    def removed(self) -> list[ChunkRef]:
        """The stored chunks that are not among the pieces any more."""
        kept = {piece.stored.chunk_id for piece in self.pieces if piece.stored is not None}
        return [ref for ref in self._seen if ref.chunk_id not in kept]

    @property
    def added(self) -> list[NewChunk]:
        """The chunks to be written: neighbouring pieces without a file become one."""
        return [
            NewChunk(self.partition, columns, self._kind(sealed), self._generation)
            for sealed, columns in self._unwritten()
        ]

    def _kind(self, sealed: bool) -> ChunkKind:
        if not sealed:
            return ChunkKind.DELTA
        return ChunkKind.MERGED if self.removed else ChunkKind.FIRST

    def _unwritten(self) -> Iterator[tuple[bool, Columns]]:
        run: list[Piece] = []
        for piece in (*self.pieces, None):
            if piece is not None and piece.columns is not None:
                run.append(piece)
            elif run:
                yield any(each.sealed for each in run), conflicts.joined([each.columns or [] for each in run])
                run = []


def _bounds(columns: Columns, start: int, end: int) -> tuple[int, int]:
    """The rows with ``start <= ts <= end``."""
    return int(columns[0].searchsorted(start)), int(columns[0].searchsorted(end, "right"))


def _without(columns: Columns, start: int, end: int) -> Columns:
    low, high = _bounds(columns, start, end)
    return [np.concatenate([column[:low], column[high:]]) for column in columns]


def _stored_piece(ref: ChunkRef) -> Piece:
    leaf, place = ref
    sealed = leaf.table["state"].item(place) == ChunkState.SEALED
    generation = leaf.table["generation"].item(place)
    return Piece(leaf.starts[place], leaf.ends[place], leaf.rows[place], sealed, generation, ref)
