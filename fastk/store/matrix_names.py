"""Matrices of a store's series, each method a few lines over :mod:`fastk.matrix`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.store.series import Series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from numpy.typing import DTypeLike, NDArray

    from fastk.matrix.build import Progress
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

        **Rows.** ``grid`` is "union" (each ts that any series has), "intersection", "first" (those of the first series),
        an ascending array of times, or a step (an int in the series' unit, or a timedelta). With ``align="exact"`` a
        row of the matrix takes the row of the same ts; with ``"asof"`` the last one at or before it, also from before
        ``start``, if it is no more than ``tolerance`` old: never one that comes later. Of rows with equal ts the last
        counts.

        **Values.** Integers are divided by the scale of their column as registered; or by ``scale``: an int for all, a
        mapping or list by series; "raw" divides nothing. ``dtype="float32"`` rounds the float64 value; ``"int64"`` holds
        stored integers. ``fill`` stands where there is no row: a number, or ``fastk.ffill(limit)``, which carries the
        value of the row before on.

        **Form.** ``layout`` "TF" is (rows, columns), "FT" (columns, rows), "TSF" (rows, symbols, features). ``out`` is
        filled instead of new memory. ``mask`` adds where stored values stand. ``progress(done, total)`` is called now
        and then with counts of rows, from any of the ``threads`` (default: all cores), one at a time.

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
        return build.build(plan, out, threads=count, with_mask=bool(mask), progress=progress)

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
        align: str,
        tolerance: Any,
        dtype: Any,
        layout: Any,
    ) -> Request:
        from fastk.matrix import fill as fills
        from fastk.matrix import request

        listed = series if series is None or isinstance(series, (str, tuple)) else [self._key(each) for each in series]
        keys = request.keys_of(listed, symbols, features, timeframe, category)
        return request.Request(
            keys, start, end, columns, scale, grid, fill, align, tolerance, fills.checked_dtype(dtype),
            request.checked_layout(layout),
        )  # fmt: skip

    def _key(self, series: Any) -> Any:
        """The key of a handle; anything else as it is."""
        if not isinstance(series, Series):
            return series
        if self.series(series.key) is not series:
            raise InvalidInput(f"{series.key} is a handle of another store object")
        return series.key

    def _plan(self, request: Request, threads: int) -> Plan:
        from fastk.matrix.plan import Plan

        snapshots = [self.series(key)._reader.snapshot for key in request.keys]
        return Plan(request, snapshots, self._same_times, threads)
