"""The rows that a query found: bits until columns are asked for, then gathered into exactly sized arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk import kernels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fastk.engine.chunk_index import ChunkRef
    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.query.stats import Tally


class _Part(NamedTuple):
    """The rows of one chunk: ``matches`` of those from ``low`` to ``high``, named by bits; None stands for all."""

    ref: ChunkRef
    low: int
    high: int
    matches: int
    words: NDArray[np.uint64] | None


class Selection:
    """Rows of some chunks in order, as a source of columns. They keep their chunks mapped unless those are many.

    ``tally`` counts what finding them took.
    """

    def __init__(self, snapshot: Snapshot, tally: Tally) -> None:
        self.rows = 0
        self._tally = tally
        self._snapshot = snapshot
        self._parts: list[_Part] = []
        self._pinned: list[MappedChunk] = []

    def add(
        self, ref: ChunkRef, chunk: MappedChunk, low: int, high: int, count: int, words: NDArray[np.uint64] | None
    ) -> None:
        """Add some rows of one more chunk."""
        self.rows += count
        self._parts.append(_Part(ref, low, high, count, words))
        if len(self._parts) <= self._snapshot.most_pinned_chunks:
            self._pinned.append(chunk)
        else:
            self._pinned.clear()

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Write one column of the rows, verified where it is read."""
        compact, position = kernels.active.compact, 0
        for chunk, (_, low, high, matches, words) in zip(self._chunks(), self._parts, strict=True):
            target = out[position : position + matches]
            position += matches
            if words is None:
                target[:] = chunk.column(index, low, high)
                continue
            column = chunk.dense[index]
            if column is None:
                starts = (np.flatnonzero(words) + (low >> 6)) << 6
                column = chunk.ensure_runs_verified(index, starts, np.minimum(starts + 64, high))
            compact(column, words, low, target)

    def _chunks(self) -> Iterable[MappedChunk]:
        return self._pinned or (self._snapshot.open_chunk(*part.ref) for part in self._parts)
