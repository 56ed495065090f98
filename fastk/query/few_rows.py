"""The rows of a short window that match, compared with numpy: any other way takes longer to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.rows import FilledRows, rows_class
from fastk.kernels.codes import NONE, SOME
from fastk.kernels.plain.selection import are_within
from fastk.query.stats import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import RowsBetween, Snapshot
    from fastk.query.values import ValueSet
    from fastk.schema.settings import SeriesSettings

    # A chunk, from where to where its rows lie in the window, and which of those match, counted from there.
    Part = tuple[MappedChunk, int, int, NDArray[np.intp]]


class FewRows(FilledRows):
    """Rows of a few chunks by their places, their own source. They keep those chunks mapped.

    ``searched`` tells of each chunk that was looked at how it was judged, and how many of its rows lay in the window.
    """

    __slots__ = ("_parts", "_searched")

    def __init__(self, settings: SeriesSettings, parts: list[Part], searched: list[tuple[int, int]]) -> None:
        self.settings = settings
        self._kept = {}
        self._parts = parts
        self._searched = searched

    def __len__(self) -> int:
        return sum([len(places) for _, _, _, places in self._parts])

    @property
    def _tally(self) -> Tally:
        compared = [rows for verdict, rows in self._searched if verdict == SOME]
        return Tally(
            chunks=len(self._searched),
            chunks_pruned=len(self._searched) - len(compared),
            rows_checked=sum(compared),
            zones_helped=any(rows > 0 for verdict, rows in self._searched if verdict != SOME),
            fallback_scan=len(compared) > 0,
        )

    def _assemble(self, index: int) -> NDArray[Any]:
        return self._keep(index, self._gather(index))

    def _fill(self, index: int, out: NDArray[Any]) -> None:
        out[:] = self._gather(index)

    def _gather(self, index: int) -> NDArray[Any]:
        """One column, verified where it is read. To take it from a slice is cheaper than to move the places."""
        pieces = []
        for chunk, low, high, places in self._parts:
            column = chunk.dense[index]
            if column is None:
                column = chunk.ensure_runs_verified(index, places + low, places + (low + 1))
            pieces.append(column[low:high][places])
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty(0, self.settings.schema.fields[index].dtype)


def search_few(snapshot: Snapshot, column: int, values: ValueSet, windows: Sequence[RowsBetween]) -> FewRows:
    """The matching ones among some rows of chunks, whose spans of values may decide."""
    parts: list[Part] = []
    searched = []
    for chunk, low, high in windows:
        verdict = values.judge(*snapshot.chunks.sidecars.span(chunk, column)) if low < high else NONE
        searched.append((verdict, high - low))
        if verdict == NONE:
            continue
        if verdict == SOME:
            matches = are_within(chunk.dense_rows(column, low, high), *values.numbers)
            places = (~matches if values.negated else matches).nonzero()[0]
        else:
            places = np.arange(high - low)
        if len(places):
            parts.append((chunk, low, high, places))
    rows: FewRows = rows_class(FewRows, snapshot.settings.schema)(snapshot.settings, parts, searched)
    return rows
