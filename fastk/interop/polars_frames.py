"""Rows as frames of polars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk.interop.arrow import to_arrow
from fastk.interop.optional import need

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    import pyarrow as pa

    from fastk.engine.rows import Rows


def polars() -> Any:
    """The library."""
    return need("polars", "polars")


def to_polars(rows: Rows, columns: Sequence[str] | None, decoded: bool) -> pl.DataFrame:
    """Rows as a frame over the same memory."""
    return frame(to_arrow(rows, columns, decoded))


def frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """A table as a frame over the same memory, its pieces left apart."""
    made: pl.DataFrame = polars().from_arrow(table, rechunk=False)
    return made
