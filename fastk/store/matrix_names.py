"""Matrices of a store's series, each method a few lines over :mod:`fastk.matrix`."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.store.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from numpy.typing import DTypeLike, NDArray

    from fastk.matrix.build import Progress
    from fastk.matrix.dataset import Recipe
    from fastk.matrix.fill import ForwardFill
    from fastk.matrix.matrix import FeatureMatrix
    from fastk.matrix.plan import Plan
    from fastk.matrix.request import Layout, Request, Scale
    from fastk.matrix.same_times import SameTimes
    from fastk.times import TimeLike


class MatrixNames:
    """Methods of :class:`fastk.FastKStore` that put columns of many series side by side."""

    if TYPE_CHECKING:  # what the store itself offers to these methods
        root: str
        series: Callable[[Any], Series]

    @cached_property
    def _same_times(self) -> SameTimes:
        from fastk.matrix.same_times import SameTimes

        return SameTimes()

    def feature_matrix(
        self,
        series: Iterable[Any] | None = None,
        *,
        symbols: Iterable[str] | None = None,
        features: Iterable[Any] | None = None,
        timeframe: str | None = None,
        category: str = "feature",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Any = None,
        scale: Scale = None,
        grid: Any = "union",
        fill: float | ForwardFill = float("nan"),
        align: str = "exact",
        tolerance: Any = None,
        dtype: DTypeLike = "float64",
        layout: Layout = "TF",
        out: NDArray[Any] | None = None,
        threads: int | None = None,
        mask: bool = False,
        progress: Progress | None = None,
    ) -> FeatureMatrix:
        """Columns of many series as one array, aligned on one grid of times.

        **Which.** ``series`` are keys or handles; or each of ``features`` of each of ``symbols``: a feature is
        ``(category, name)`` of the series, or a scalar's own name, with ``timeframe`` and ``category``. ``columns`` are
        the columns taken of each (or a mapping by series); without it all numbers but ts. ``start`` and ``end`` as in
        :meth:`Series.range`, both inclusive.

        **Rows.** ``grid`` is "union" (each ts that any series has), "intersection", "first" (those of the first
        series), an ascending array of times, or a step (an int in the series' unit, or a timedelta). With
        ``align="exact"`` a row of the matrix takes the row of the same ts; with ``"asof"`` the last one at or before
        it, also from before ``start``, if it is no more than ``tolerance`` old: never one that comes later. Of rows
        with equal ts the last counts.

        **Values.** Integers are divided by the scale of their column as registered; or by ``scale``: an int for all, a
        mapping or list by series; "raw" divides nothing. ``dtype="float32"`` rounds the float64 value; ``"int64"``
        holds stored integers. ``fill`` stands where there is no row: a number, or ``fastk.ffill(limit)``, which
        carries the value of the row before on.

        **Form.** ``layout`` "TF" is (rows, columns), "FT" (columns, rows), "TSF" (rows, symbols, features). The values
        are read-only, unless ``out`` is filled instead of new memory. ``mask`` adds where stored values stand.
        ``progress(done, total)`` is called now and then with counts of rows, from any of the ``threads`` (default: all
        cores), one at a time.

        All series are read from the snapshots that the store object has pinned. Raises InvalidInput for what does not
        fit together, also if memory does not suffice; NotFound for a series that is not there; InvalidData for damage,
        before anything is written. Cost: the bytes of the columns once, at the speed of memory; series that have the
        same timestamps, as the features of one symbol do, are aligned once.
        """
        from fastk.matrix import build, parallel

        count = parallel.checked_threads(threads)
        request = self._request(
            series, symbols, features, timeframe, category, start, end, columns, scale, grid, fill, align, tolerance,
            dtype, layout,
        )  # fmt: skip
        plan = self._plan(request, count)
        recipe = self._recipe(plan)
        return build.build(plan, out, threads=count, with_mask=bool(mask), progress=progress, recipe=recipe)

    def save_feature_matrix(
        self,
        path: str | PathLike[str],
        series: Iterable[Any] | None = None,
        *,
        symbols: Iterable[str] | None = None,
        features: Iterable[Any] | None = None,
        timeframe: str | None = None,
        category: str = "feature",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Any = None,
        scale: Scale = None,
        grid: Any = "union",
        fill: float | ForwardFill = float("nan"),
        align: str = "exact",
        tolerance: Any = None,
        dtype: DTypeLike = "float64",
        layout: Layout = "TF",
        threads: int | None = None,
        mask: bool = False,
        progress: Progress | None = None,
    ) -> FeatureMatrix:
        """The same matrix, written to a new folder block by block: for those larger than memory. Gives it mapped.

        The folder is as :meth:`FeatureMatrix.save` writes it; it is there whole and durable, or not at all. About
        16 MiB of it are in memory at a time, beside the grid (8 bytes a row); in layout "FT" columns that are longer
        than that are aligned one by one. A mask is written in a second pass, and each row counts twice to ``progress``.
        """
        from fastk.matrix import build, parallel

        count = parallel.checked_threads(threads)
        request = self._request(
            series, symbols, features, timeframe, category, start, end, columns, scale, grid, fill, align, tolerance,
            dtype, layout,
        )  # fmt: skip
        plan = self._plan(request, count)
        return build.save_built(plan, path, threads=count, with_mask=bool(mask), progress=progress)

    def save_sequences(
        self,
        path: str | PathLike[str],
        series: Iterable[Any],
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        columns: Any = None,
        scale: Scale = None,
        dtype: DTypeLike = "float64",
        threads: int | None = None,
    ) -> None:
        """Write each series' own rows, one sequence a series, to a new folder: a ragged map of mmap-ninja.

        ``mmap_ninja.ragged.RaggedMmap(path)[i]`` is series i: (rows,) if one column is taken of each, else (rows,
        columns), which must be as many of each. Values, scales and errors as in :meth:`feature_matrix`.
        """
        from fastk.matrix import parallel, sequences

        count = parallel.checked_threads(threads)
        request = self._request(
            series, None, None, None, "", start, end, columns, scale, "union", 0, "exact", None, dtype, "TF"
        )
        snapshots = [self.series(key)._reader.snapshot for key in request.keys]
        sequences.save(request, snapshots, self._same_times, path, count)

    def _request(
        self,
        series: Iterable[Any] | None,
        symbols: Iterable[str] | None,
        features: Iterable[Any] | None,
        timeframe: str | None,
        category: str,
        start: Any,
        end: Any,
        columns: Any,
        scale: Any,
        grid: Any,
        fill: Any,
        align: Any,
        tolerance: Any,
        dtype: Any,
        layout: Any,
    ) -> Request:
        from fastk.matrix import fill as fills
        from fastk.matrix import request

        scale = scale.tolist() if hasattr(scale, "tolist") else scale  # of numpy: what follows knows lists and ints
        listed = series if series is None or isinstance(series, (str, tuple)) else self._keys(series)
        keys = request.keys_of(listed, symbols, features, timeframe, category)
        # What a dataset asks again must not change with the lists and arrays of the caller.
        with suppress(TypeError):  # no copy can be made of what is refused anyway, as handles and generators
            from copy import deepcopy

            columns, scale, grid = deepcopy((columns, scale, grid))
        return request.Request(
            keys, start, end, columns, scale, grid, fill, align, tolerance, fills.checked_dtype(dtype),
            request.checked_layout(layout),
        )  # fmt: skip

    def _keys(self, series: Any) -> list[Any]:
        """The keys of handles; anything else as it is."""
        try:
            listed = list(series)
        except TypeError:
            raise InvalidInput(f"series must be a list of keys or handles, not {series!r}") from None
        for each in listed:
            if isinstance(each, Series) and self.series(each.key) is not each:
                raise InvalidInput(f"{each.key} is a handle of another store object")
        return [each.key if isinstance(each, Series) else each for each in listed]

    def _plan(self, request: Request, threads: int) -> Plan:
        from fastk.matrix.plan import Plan

        snapshots = [self.series(key)._reader.snapshot for key in request.keys]
        return Plan.of(request, snapshots, self._same_times, threads)

    def _recipe(self, plan: Plan) -> Recipe:
        from fastk.matrix.dataset import Recipe, contents_of

        return Recipe(self.root, plan.request, contents_of(plan), _plan_again)


def _plan_again(root: str, request: Request) -> Plan:
    """The plan of a matrix in another process."""
    from fastk.store.store import open_store

    return open_store(root, "r")._plan(request, 1)
