"""The rows of a short window that match, compared with numpy: any other way takes longer to begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.kernels.codes import NONE, SOME
from fastk.kernels.plain.selection import are_within
from fastk.query.stats import Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Span = tuple[Any, Any, bool]  # least and greatest value, and whether there is NaN

    from fastk.engine.mapped import MappedChunk
    from fastk.query.values import ValueSet


class FewRows:
    """Rows of a few chunks by their places, as a source of columns. They keep their chunks mapped."""

    def __init__(self) -> None:
        self.rows = 0
        self._tally = Tally()
        self._parts: list[tuple[MappedChunk, NDArray[np.intp]]] = []

    def search(self, chunk: MappedChunk, low: int, high: int, column: int, values: ValueSet, span: Span) -> None:
        """Add the matching ones among some rows of one more chunk, whose span of values may decide."""
        tally = self._tally
        tally.chunks += 1
        verdict = values.judge(*span) if low < high else NONE
        if verdict == SOME:
            tally.rows_checked += high - low
            tally.fallback_scan = True
            compared = chunk.dense_rows(column, low, high).view(values.lows.dtype)  # bool as uint8
            matches = are_within(compared, values.lows, values.highs)
            places = (~matches if values.negated else matches).nonzero()[0] + low
        else:
            tally.chunks_pruned += 1
            tally.zones_helped |= low < high
            places = np.arange(low, low if verdict == NONE else high)
        if len(places):
            self.rows += len(places)
            self._parts.append((chunk, places))

    def fill(self, index: int, out: NDArray[Any]) -> None:
        """Write one column of the rows, verified where it is read."""
        stop = 0
        for chunk, places in self._parts:
            first, stop = stop, stop + len(places)
            column = chunk.dense[index]
            if column is None:
                column = chunk.ensure_runs_verified(index, places, places + 1)
            column.take(places, out=out[first:stop], mode="clip")
