"""Each series' own rows as one sequence, for models that take them as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import InvalidInput
from fastk.matrix.plan import Plan, Target
from fastk.matrix.request import sources_of
from fastk.matrix.saved import PIECE_BYTES, save_sequences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.matrix.request import Request
    from fastk.matrix.same_times import SameTimes


def save(
    request: Request, snapshots: Sequence[Snapshot], known: SameTimes, path: str | PathLike[str], threads: int
) -> None:
    """Write them as a ragged map."""
    sources = sources_of(request, snapshots)
    plans = [Plan(request, [source._replace(first=0)], known, threads) for source in sources]
    widths = {plan.columns for plan in plans}
    if len(widths) > 1:
        raise InvalidInput(f"the series have {sorted(widths)} columns: name as many of each by columns=")
    for plan in plans:
        plan.verify(threads)
    width = widths.pop()
    metadata = {
        "format": "fastk-sequences",
        "version": 1,
        "time_unit": plans[0].unit.value,
        "labels": [source.labels for plan in plans for source in plan.sources],
    }
    lengths = [plan.timelines[0].rows for plan in plans]
    save_sequences(path, request.dtype, lengths, None if width == 1 else width, _pieces(plans), metadata)


def _pieces(plans: list[Plan]) -> Iterator[NDArray[Any]]:
    """The rows of one series after the other, so many at a time as fill a piece."""
    for plan in plans:
        step = max(1, PIECE_BYTES // (plan.columns * plan.dtype.itemsize))
        for start in range(0, plan.timelines[0].rows, step):
            stop = min(start + step, plan.timelines[0].rows)
            out = np.empty((stop - start, plan.columns), plan.dtype)
            plan.fill_rows(start, stop, Target(out))
            yield out.reshape(-1).view(np.uint8)
