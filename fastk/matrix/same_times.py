"""Which chunks hold the same timestamps: proven once by comparing them, then known.

The features of a symbol have the times of its bars, and often so do all symbols. What is found for one series then
holds for all, and nobody reads a timestamp of the others again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastk import kernels
from fastk.io.mapping import drop_pages
from fastk.matrix import parallel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot

    Fingerprint = tuple[int, int, int, bytes, bytes]
    Name = tuple[int, int]


class Times:
    """The timestamps of one chunk or of several that hold the same. Compared by identity."""

    __slots__ = ("fingerprint",)

    def __init__(self, fingerprint: Fingerprint) -> None:
        self.fingerprint = fingerprint


class Place(NamedTuple):
    """A chunk of a snapshot."""

    snapshot: Snapshot
    ref: ChunkRef

    @property
    def name(self) -> Name:
        """Identity of the chunk, which never comes back."""
        return self.snapshot.settings.series_id, self.ref.chunk_id

    def open(self) -> MappedChunk:
        """The chunk, mapped."""
        return self.snapshot.open_chunk(*self.ref)


class SameTimes:
    """What one store object knows of this. About 200 bytes a chunk that ever was in a matrix."""

    def __init__(self) -> None:
        self._known: dict[Name, Times] = {}

    def of(self, places: list[Place], threads: int) -> list[Times]:
        """The timestamps of each place; equal objects for equal ones."""
        known = self._known
        found = [known.get(place.name) for place in places]
        if None in found or len({times.fingerprint for times in set(found) if times}) < len(set(found)):
            self._learn(places, threads)
            found = [known[place.name] for place in places]
        return [times for times in found if times is not None]

    def _learn(self, places: list[Place], threads: int) -> None:
        """Compare all places that may hold the same and are not known to."""
        alike: dict[Fingerprint, list[Place]] = {}
        for place in places:
            times = self._known.get(place.name)
            fingerprint = times.fingerprint if times else _read_fingerprint(place)
            self._known.setdefault(place.name, times or Times(fingerprint))
            alike.setdefault(fingerprint, []).append(place)
        while alike:
            alike = self._compare(alike.values(), threads)

    def _compare(self, groups: Iterable[list[Place]], threads: int) -> dict[Fingerprint, list[Place]]:
        """Compare all places of each group with its first one; gives those which differ from it, grouped again.

        Fingerprints of different timestamps are equal once in four thousand million pairs, or by intent.
        """
        pairs = [(group[0], other) for group in groups for other in group[1:] if not self._are_same(group[0], other)]
        parallel.each(self._compare_pair, pairs, threads)
        rest: dict[Fingerprint, list[Place]] = {}
        for first, other in pairs:
            if not self._are_same(first, other):
                rest.setdefault(self._known[other.name].fingerprint, []).append(other)
        return rest

    def _are_same(self, one: Place, other: Place) -> bool:
        return self._known[one.name] is self._known[other.name]

    def _compare_pair(self, pair: tuple[Place, Place]) -> None:
        one, other = pair[0].open(), pair[1].open()
        if kernels.active.equal(one.dense_rows(0, 0, one.rows), other.dense_rows(0, 0, other.rows)):
            self._known[pair[1].name] = self._known[pair[0].name]
        drop_pages(other.columns[0])


def _read_fingerprint(place: Place) -> Fingerprint:
    """What the verified header says of the timestamps: equal for equal ones."""
    chunk = place.open()
    header = chunk.header
    drop_pages(chunk.columns[0])
    return header.rows, header.start_ts, header.end_ts, header.first_ts.tobytes(), header.crcs[0].tobytes()
