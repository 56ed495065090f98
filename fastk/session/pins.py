"""The series of a read session, each pinned to one committed state until the session moves."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fastk.engine.reader import SeriesReader
from fastk.errors import FastKError, NotFound, StoreClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from fastk.engine.chunk_index import Leaf
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.keys import SeriesKey

_MOST_NAMED = 20


class PinnedReader(SeriesReader):
    """One series as a session sees it, in the place of the store's own reader.

    Pinned is what the store object sees: its snapshot, or else the state that is committed now. Of the latter only the
    manifest's bytes are kept, and parsed at the first use: a session may attach many series and read few. Chunks and
    what is verified of them are shared with the store object.
    """

    __slots__ = ("_data", "_held", "source")

    def __init__(self, source: SeriesReader) -> None:
        self.files = source.files
        self.pinned, self._prefix = source.state()
        self.tail = None
        self.source = source
        self._data = b""
        if self.pinned is None:
            self._data = source.committed()
            self._prefix = self.files.identity(self._data)
        self._held: dict[int, MappedChunk] = {}
        self._lock = threading.RLock()
        self._closed = False

    def pin(self) -> Snapshot:
        """The snapshot, parsed if it was not yet. StoreClosed after the store was closed or the series detached."""
        with self._lock:
            if self._closed:
                raise StoreClosed(f"{self.files.key} is no longer attached: the store was closed, or the session reset")
            if self.pinned is None:
                self.pinned = self.source.snapshot_from(self._data)
                self._data = b""
            return self.pinned

    def newer(self) -> bytes | None:
        """The manifest of a state that is newer than the pinned one; None if there is none. One small read."""
        data = self.source.committed()
        return None if self.files.identity(data) == self._prefix else data

    def refresh(self) -> bool:
        """Move to the newest committed state; False if it is the pinned one."""
        self.pin()  # refuses what is no longer attached
        data = self.newer()
        if data is not None:
            self.move_to(self.source.snapshot_from(data), data)
        return data is not None

    def move_to(self, state: Snapshot, data: bytes) -> None:
        """Pin the state of a manifest."""
        with self._lock:
            self._set(None if self._closed else state)
            self._prefix = self.files.identity(data)
            self._data = b""
            self._held = {}

    def hold(self, chunk_ids: Collection[int] | None = None) -> None:
        """Map some chunks of the pinned state (None: all) and keep them: their files may go now.

        What cannot be mapped, or is more than sessions may keep, is left out, and its readers are told.
        """
        snapshot, held = self.snapshot, self._held
        with suppress(FastKError, OSError):
            for leaf in snapshot.leaves():
                for place, chunk_id in enumerate(leaf.ids):
                    if chunk_id not in held and (chunk_ids is None or chunk_id in chunk_ids):
                        with suppress(FastKError, OSError):
                            _hold_chunk(snapshot, leaf, place, held)

    def close(self) -> None:
        """Read nothing any more."""
        with self._lock:
            self._closed = True
            self._set(None)
            self._data = b""
            self._held = {}


def _hold_chunk(snapshot: Snapshot, leaf: Leaf, place: int, held: dict[int, MappedChunk]) -> None:
    chunks = snapshot.chunks
    if len(chunks.maps.held) < chunks.maps.most_held:
        chunk = held[leaf.ids[place]] = chunks.held[leaf.ids[place]] = snapshot.open_chunk(leaf, place)
        chunks.maps.held.add(chunk)


class Pins:
    """The attached series by key, in the order in which they were attached. Safe to share between threads."""

    def __init__(self, reader_of: Callable[[SeriesKey], SeriesReader]) -> None:
        self._reader_of = reader_of
        self._pinned: dict[SeriesKey, PinnedReader] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pinned)

    def __iter__(self) -> Iterator[PinnedReader]:
        return iter(list(self._pinned.values()))

    def attach(self, keys: Iterable[SeriesKey]) -> list[PinnedReader]:
        """Pin the series that are not pinned yet: all of them, or none. Returns those that were not.

        NotFound names all that are not in the store; InvalidData is of the first whose manifest is damaged.
        """
        with self._lock:
            new: dict[SeriesKey, PinnedReader] = {}
            unknown: list[SeriesKey] = []
            for key in keys:
                if key not in self._pinned and key not in new:
                    try:
                        new[key] = PinnedReader(self._reader_of(key))
                    except NotFound:
                        unknown.append(key)
            _refuse(unknown, "nothing was attached")
            self._pinned.update(new)
            return list(new.values())

    def refresh(self) -> int:
        """Move every series to its newest committed state, all of them or none; returns how many moved.

        NotFound names those that were dropped meanwhile.
        """
        with self._lock:
            newer: list[tuple[PinnedReader, bytes]] = []
            unknown: list[SeriesKey] = []
            for key, reader in self._pinned.items():
                try:
                    data = reader.newer()
                except NotFound:
                    unknown.append(key)
                else:
                    newer += [] if data is None else [(reader, data)]
            _refuse(unknown, "the session did not move")
            states = [(reader, reader.source.snapshot_from(data), data) for reader, data in newer]
            for reader, state, data in states:
                reader.move_to(state, data)
            return len(states)

    def hold_all(self, chunks: int) -> None:
        """Keep the chunks of all series mapped, so many, if they are no more than sessions may keep."""
        for reader in self:
            if chunks <= reader.snapshot.chunks.maps.most_held:
                reader.hold()

    def hold(self, series_id: int, key: SeriesKey | None, chunk_ids: Collection[int] | None) -> None:
        """Keep chunks of a series (None: all), if it is attached: their files are about to be removed.

        ``key`` is None for a series that was dropped. Others are found at once, so that appending to one series costs
        the same whatever else is attached.
        """
        with self._lock:
            found = [*self._pinned.values()] if key is None else filter(None, [self._pinned.get(key)])
            for reader in found:
                with suppress(FastKError):
                    if reader.snapshot.settings.series_id == series_id:
                        reader.hold(chunk_ids)

    def detach(self) -> None:
        """Let go of all series. Their handles raise StoreClosed from then on."""
        with self._lock:
            for reader in self:
                reader.close()
            self._pinned.clear()

    def forget_queries(self) -> None:
        """Let go of the indexes, zones and spans that queries have loaded; the next query loads them again."""
        snapshots = self._parsed()
        _forget(snapshots, [snapshot.chunks.indexes for snapshot in snapshots])
        for snapshot in snapshots:
            snapshot.chunks.sidecars.try_again()
            for chunk in list(snapshot.mapped.values()):
                for kept in (chunk.zones, chunk.spans, chunk.spreads):
                    kept.clear()

    def forget_maps(self) -> None:
        """Unmap all chunks; the next read maps them again. What was verified stays so."""
        snapshots = self._parsed()
        _forget(snapshots, [snapshot.mapped for snapshot in snapshots])

    def _parsed(self) -> list[Snapshot]:
        """The snapshots of series that were used."""
        return [snapshot for reader in self if (snapshot := reader.pinned) is not None]

    def mapped(self) -> tuple[int, int]:
        """How many chunks of the pinned states are mapped at the moment, and the bytes of their files."""
        tables = [(snapshot.table, snapshot.mapped) for snapshot in self._parsed() if snapshot.mapped]
        sizes = [
            size
            for table, mapped in tables
            for chunk_id, size in zip(table["chunk_id"].tolist(), table["file_length"].tolist(), strict=True)
            if chunk_id in mapped
        ]
        return len(sizes), sum(sizes)


def _forget(snapshots: list[Snapshot], owners: list[dict[int, Any]]) -> None:
    for snapshot in snapshots[:1]:  # all are of one store, and share its budget
        snapshot.chunks.maps.forget(owners)


def _refuse(unknown: list[SeriesKey], outcome: str) -> None:
    if not unknown:
        return
    named = ", ".join(map(str, unknown[:_MOST_NAMED]))
    more = f" and {len(unknown) - _MOST_NAMED:,} more" if len(unknown) > _MOST_NAMED else ""
    are = "is" if len(unknown) == 1 else "are"
    raise NotFound(f"{named}{more} {are} not in the store, so that {outcome}; see list_series()")
