"""A series as a LazyFrame of polars: what polars asks of its source goes to the planner of queries.

Built on polars' IO plugins (``polars.io.plugins.register_io_source``): for each query polars says which columns it
needs, which condition rows must meet, and how many rows are enough.
"""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

from fastk.interop.arrow import BATCH_ROWS, Layout, together
from fastk.interop.optional import need
from fastk.interop.polars_conditions import Demand
from fastk.interop.polars_frames import frame
from fastk.query.candidates import candidates

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from fastk.engine.rows import Rows
    from fastk.engine.snapshot import Snapshot


def scan(series: Any, *, decoded: bool = False) -> pl.LazyFrame:
    """``series.lazy()``, for a handle of a series."""
    lazy: pl.LazyFrame = series.lazy(decoded=decoded)
    return lazy


def lazy_frame(snapshot: Snapshot, decoded: bool) -> pl.LazyFrame:
    """The rows of a snapshot, read when the frame is collected, and as far as its query needs them."""
    settings = snapshot.settings
    register = need("polars.io.plugins", "polars").register_io_source
    shown = {"explain_name": "fastk", "explain_detail": str(settings.key)}
    lazy: pl.LazyFrame = register(
        _Source(snapshot, decoded),
        schema=frame(Layout(settings, None, decoded).schema.empty_table()).schema,
        is_pure=True,  # a snapshot never changes
        **{
            name: text for name, text in shown.items() if name in signature(register).parameters
        },  # polars 1 has them not
    )
    return lazy


class _Source:
    """What polars calls for each query."""

    def __init__(self, snapshot: Snapshot, decoded: bool) -> None:
        self._snapshot = snapshot
        self._decoded = decoded

    def __call__(
        self, columns: list[str] | None, predicate: pl.Expr | None, most_rows: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        """Frames of the rows that a query needs.

        polars has the last word on each row: the planner leaves out rows that cannot meet the condition, and the
        condition is applied to the others. The limit counts rows before the condition, so that both are never planned
        together: polars hands both down only where the limit comes first.
        """
        layout = Layout(self._snapshot.settings, columns, self._decoded)
        size = batch_rows or BATCH_ROWS
        pieces = _limited(self._pieces(layout, predicate if most_rows is None else None, size), most_rows)
        groups = together(pieces, size, self._snapshot.most_pinned_chunks)
        frames = (frame(layout.batch(*group)) for group in groups)
        return frames if predicate is None else (each.filter(predicate) for each in frames)

    def _pieces(self, layout: Layout, predicate: pl.Expr | None, size: int) -> Iterator[Rows]:
        demand = Demand(layout.settings, self._decoded)
        if predicate is not None:
            demand.add(predicate)
        if demand.is_impossible:
            return
        for rows in candidates(self._snapshot, demand.conditions(), *demand.window):
            yield from (rows[low : low + size] for low in range(0, len(rows), size))


def _limited(pieces: Iterator[Rows], most_rows: int | None) -> Iterator[Rows]:
    """The first rows of some pieces, without asking for more pieces than hold them."""
    if most_rows is None:
        yield from pieces
        return
    for each in pieces if most_rows > 0 else ():
        yield each[:most_rows]
        most_rows -= len(each)
        if most_rows <= 0:
            return
