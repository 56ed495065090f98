"""What zones spare: which part of a column a query for a narrow range of values would look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.format.sidecars import Zones

    Float64 = NDArray[np.float64]

DEFAULT_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class ZonePruning:
    """The power of a column's zones. ``zones`` counts them; ``mean_width`` is their mean width as a part of the span.

    ``looked_at`` is the part of all rows (0 to 1) that lie in zones which a query for ``share`` of the span of values
    touches, on average over every place of such a range within the span. 1 means that zones spare nothing.
    """

    column: str
    zones: int
    mean_width: float
    looked_at: float
    share: float


def pruning(snapshot: Snapshot, column: str, share: float = DEFAULT_SHARE) -> ZonePruning | None:
    """What the finest zones of a column spare; None of a column that has none, or of a series without rows.

    Cost: the header of each chunk, and its zone map where it has one; columns are not read. Memory: 24 bytes a zone.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
        raise InvalidInput(f"share must be a part of the span of values from 0 to 1, not {share!r}")
    schema = snapshot.settings.schema
    place = schema.position(column)
    if place == 0 or not schema.fields[place].indexed or not snapshot.rows:
        return None
    sidecars = snapshot.chunks.sidecars
    found = [(sidecars.zones(chunk, place), chunk.rows) for chunk in snapshot.all_chunks()]
    lows = np.concatenate([zones.minima for zones, _ in found]).astype(np.float64)
    highs = np.concatenate([zones.maxima for zones, _ in found]).astype(np.float64)
    sizes = np.concatenate([_sizes(zones, rows) for zones, rows in found])
    return _measured(column, lows, highs, sizes, float(share))


def _sizes(zones: Zones, rows: int) -> NDArray[np.int64]:
    """Rows of each zone: the last one may be shorter."""
    sizes = np.full(len(zones.minima), zones.block_rows, np.int64)
    sizes[-1] -= zones.block_rows * sizes.size - rows
    return sizes


def _measured(column: str, lows: Float64, highs: Float64, sizes: NDArray[np.int64], share: float) -> ZonePruning:
    """Zones of NaN alone have no width, and no range touches them."""
    least, greatest = float(np.fmin.reduce(lows)), float(np.fmax.reduce(highs))
    span, room = greatest - least, 1 - share
    if not 0 < span < np.inf or room <= 0:  # one value, or a span beyond float64: each zone is all of it
        return ZonePruning(column, sizes.size, 1.0, 1.0, share)
    lows, highs = (lows - least) / span, (highs - least) / span
    touching = np.clip((np.minimum(highs, room) - np.maximum(lows - share, 0)) / room, 0, 1)
    width, looked_at = float(np.nanmean(highs - lows)), float(np.nansum(touching * sizes)) / int(sizes.sum())
    return ZonePruning(column, sizes.size, width, looked_at, share)
