"""What a feature matrix is, once it is filled."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastk.arrays import is_integer
from fastk.errors import InvalidInput
from fastk.times import format_ts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    import pandas
    import polars
    import pyarrow
    from numpy.typing import NDArray

    from fastk.keys import SeriesKey
    from fastk.matrix.dataset import Recipe, WindowDataset
    from fastk.matrix.request import MatrixLabel
    from fastk.times import TimeUnit

_FIRST_AXIS = {"TF": 0, "FT": 1, "TSF": 0}


class MatrixCoverage(NamedTuple):
    """What a series has in the range of a matrix: rows, grid rows that found one, and the first and last ts."""

    key: SeriesKey
    rows: int
    matched: int
    first_ts: int | None
    last_ts: int | None


class FeatureMatrix:
    """Columns of many series side by side, row by row at the times of one grid.

    ``values`` is C-contiguous: (rows, columns) in layout "TF", (columns, rows) in "FT", (rows, symbols, features) in
    "TSF". It is read-only, except where it is the caller's own array. ``ts`` are the times of the rows, ``labels`` the
    columns in order, ``divisors`` what stored integers were divided by (in a matrix of int64: are to be divided by).
    ``mask``, if asked for, is of the shape of ``values`` and says where a stored value stands, carried ones included.
    ``coverage`` has an entry a series.
    """

    def __init__(
        self,
        *,
        values: NDArray[Any],
        ts: NDArray[np.int64],
        labels: Sequence[MatrixLabel],
        layout: str,
        time_unit: TimeUnit,
        divisors: Sequence[int],
        coverage: Sequence[MatrixCoverage],
        mask: NDArray[np.bool_] | None = None,
        path: str | None = None,
        digest: str | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self._values = values
        self.ts = ts
        self.labels = list(labels)
        self.layout = layout
        self.time_unit = time_unit
        self.divisors = list(divisors)
        self.coverage = list(coverage)
        self.mask = mask
        self.path = path
        self.digest = digest
        self.recipe = recipe

    @property
    def values(self) -> NDArray[Any]:
        """The array: read-only, unless it is one that the caller gave to be filled. Change a copy of it."""
        return self._values

    def __len__(self) -> int:
        return int(self.ts.size)

    def __repr__(self) -> str:
        size = " x ".join(f"{length:,}" for length in self.values.shape)
        span = ""
        if len(self):
            first, last = (format_ts(int(self.ts[row]), self.time_unit) for row in (0, -1))
            span = f", {first} to {last}"
        return f"<FeatureMatrix {size} {self.values.dtype}, layout {self.layout}{span}>"

    def _repr_html_(self) -> str:
        from fastk.interop.notebook import matrix_html

        return matrix_html(self)

    def to_pandas(self, *, index: bool = True, copy: bool = True) -> pandas.DataFrame:
        """The matrix as a frame of pandas, a column a label; ``ts`` in UTC as its index, or as a column.

        With ``copy=False`` the frame and the matrix share their memory.
        """
        from fastk.interop.matrices import to_pandas

        return to_pandas(self, index, copy)

    def to_polars(self) -> polars.DataFrame:
        """The matrix as a frame of polars: ``ts`` and a column a label; without a copy in layout "FT"."""
        from fastk.interop.matrices import to_polars

        return to_polars(self)

    def to_arrow(self) -> pyarrow.Table:
        """The matrix as a table of Arrow, as :meth:`to_polars`."""
        from fastk.interop.matrices import to_arrow

        return to_arrow(self)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The matrix as a stream of Arrow's C interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def windows(self, length: int, stride: int = 1) -> NDArray[Any]:
        """Every run of ``length`` rows, each ``stride`` rows after the one before, without a copy; read-only.

        Window w covers rows ``w * stride`` to ``w * stride + length - 1``, laid out as the matrix: ``result[w]`` is
        ``values[rows]`` ("TF", "TSF") or ``values[:, rows]`` ("FT"). No windows if there are fewer rows than one needs.
        """
        axis = _FIRST_AXIS[self.layout]
        length, stride = checked_window(length, stride)
        if len(self) < length:
            shape = list(self.values.shape)
            shape[axis] = length
            return np.empty((0, *shape), self.values.dtype)
        windows = np.lib.stride_tricks.sliding_window_view(self.values, length, axis)
        # The window's rows come last: back to where rows stand, behind the number of the window.
        found: NDArray[Any] = np.moveaxis(np.moveaxis(windows, axis, 0)[::stride], -1, axis + 1)
        return found

    def save(self, path: str | PathLike[str]) -> FeatureMatrix:
        """Write the matrix to a new folder in mmap-ninja's format, and give it mapped from there.

        ``mmap_ninja.numpy.open_existing(path)`` opens it, too. The folder is there whole and durable, or not at all;
        InvalidInput if the name is taken.
        """
        from fastk.matrix.saved import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str], *, verify: bool = False) -> FeatureMatrix:
        """Map a saved matrix, read-only; with ``verify`` its checksums are compared first (one pass over it)."""
        from fastk.matrix.saved import load

        return load(path, verify=verify)

    def dataset(
        self,
        length: int,
        stride: int = 1,
        *,
        inputs: Sequence[int | MatrixLabel] | None = None,
        targets: Sequence[int | MatrixLabel] | None = None,
        horizon: int = 1,
        transform: Any = None,
    ) -> WindowDataset:
        """Its windows as a map-style dataset, as PyTorch's DataLoader takes them; see :class:`fastk.WindowDataset`."""
        from fastk.matrix.dataset import WindowDataset

        return WindowDataset.of(self, length, stride, inputs, targets, horizon, transform)

    def column(self, label: int | str | MatrixLabel) -> NDArray[Any]:
        """One column by its place, its label or the text of that; a view."""
        found: NDArray[Any] = self.table[:, self.place(label)]
        return found

    @property
    def table(self) -> NDArray[Any]:
        """The values as a view of rows x columns, in any layout."""
        if self.layout == "FT":
            return self.values.T
        return self.values.reshape(len(self), len(self.labels))

    @cached_property
    def _places(self) -> dict[int | str | MatrixLabel, int]:
        """The places of columns by label, and by its text."""
        return {name: place for place, label in enumerate(self.labels) for name in (label, str(label))}

    def place(self, label: int | str | MatrixLabel) -> int:
        """The place of a column."""
        if is_integer(label):
            if -len(self.labels) <= label < len(self.labels):
                return int(label) % len(self.labels)
        else:
            with suppress(KeyError, TypeError):
                return self._places[label]
        raise InvalidInput(
            f"{label!r} is no column of the matrix; its labels are {', '.join(map(str, self.labels[:8]))}"
        )


def checked_window(length: object, stride: object) -> tuple[int, int]:
    """Length and stride of windows, both 1 or more."""
    for name, value in (("length", length), ("stride", stride)):
        if not is_integer(value) or value < 1:
            raise InvalidInput(f"{name} of windows must be an int of 1 or more, not {value!r}")
    return int(length), int(stride)  # type: ignore[call-overload]
