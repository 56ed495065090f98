"""Feature matrices as frames and tables of other libraries: a column for each label, named by its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.interop.arrow import arrow_array, pyarrow
from fastk.interop.optional import need
from fastk.interop.pandas_frames import times_index
from fastk.interop.polars_frames import frame

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from fastk.matrix.matrix import FeatureMatrix


def to_pandas(matrix: FeatureMatrix, index: bool, copy: bool) -> pd.DataFrame:
    """A matrix as a frame: one block, over the same memory unless it is to be copied."""
    table = np.array(matrix.table) if copy else matrix.table
    times = times_index(matrix.ts.copy() if copy else matrix.ts, matrix.time_unit)
    made: pd.DataFrame = need("pandas", "pandas").DataFrame(table, index=times, columns=_names(matrix), copy=False)
    return made if index else made.reset_index()


def to_arrow(matrix: FeatureMatrix) -> pa.Table:
    """A matrix as a table; columns of layout "FT" are its memory, others are copied out of rows."""
    library = pyarrow()
    times = arrow_array(matrix.ts, library.timestamp(matrix.time_unit.value, "UTC"))
    kind = library.from_numpy_dtype(matrix.values.dtype)
    columns = [arrow_array(matrix.table[:, place], kind) for place in range(len(matrix.labels))]
    return library.Table.from_arrays([times, *columns], names=["ts", *_names(matrix)])


def to_polars(matrix: FeatureMatrix) -> pl.DataFrame:
    """A matrix as a frame of polars, as :func:`to_arrow`."""
    return frame(to_arrow(matrix))


def _names(matrix: FeatureMatrix) -> list[Any]:
    return [str(label) for label in matrix.labels]
