"""The facts of one series, read through its handle. Damage ends as words in them, never as an error."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.errors import FastKError
from fastk.inspect.expected import grid_of
from fastk.inspect.facts import Gaps, Hole, PartitionFacts, SeriesFacts
from fastk.inspect.sizes import series_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastk.inspect.expected import Grid
    from fastk.io.disk import Disk
    from fastk.query.pruning import ZonePruning
    from fastk.recovery.places import Place
    from fastk.schema.schema import Schema
    from fastk.schema.settings import SeriesSettings
    from fastk.store.reports import ChunkMeta
    from fastk.store.series import Series

LARGEST_HOLES = 20
_USUAL_COLUMNS = ("value", "close", "price", "bid_price")


def series_facts(disk: Disk, place: Place, series: Series, *, gaps: bool, pruning: bool) -> SeriesFacts:
    """What there is to say of a series but its health.

    Cost: its tables and a listing of its files; with ``pruning`` the headers and zone maps of its chunks; with ``gaps``
    one pass over its times.
    """
    try:
        facts, named = _from_tables(series)
    except (FastKError, OSError) as error:
        return SeriesFacts(*place.key, sizes=series_sizes(disk, place, None), problem=str(error))
    facts = replace(facts, sizes=series_sizes(disk, place, named))
    if pruning:
        facts = _with(facts, lambda: {"pruning": _pruning(series)})
    if gaps and facts.expected:
        facts = _with(facts, lambda: {"gaps": gaps_of(series)})
    return facts


def _with(facts: SeriesFacts, find: Callable[[], dict[str, Any]]) -> SeriesFacts:
    """The facts and one more, or why it could not be found."""
    try:
        return replace(facts, **find())
    except (FastKError, OSError) as error:
        return replace(facts, problem=facts.problem or str(error))


def _from_tables(series: Series) -> tuple[SeriesFacts, set[str]]:
    settings, chunks, span = series.settings, series.chunk_inventory(), series.span
    grid = grid_of(settings, span)
    facts = SeriesFacts(
        *settings.key,
        record_type=settings.schema.name,
        time_unit=settings.time_unit.value,
        timeframe_ms=settings.timeframe_ms,
        partition_unit=settings.partition.value,
        rows=sum(each.count for each in chunks),
        first_ts=None if span is None else span[0],
        last_ts=None if span is None else span[1],
        states=dict(Counter(each.state.name.lower() for each in chunks)),
        generation=max((each.generation for each in chunks), default=0),
        sidecars={"zone_maps": 0, "value_indexes": 0} | _sidecars(settings.schema, chunks),
        partitions=_partitions(settings, chunks, grid),
        expected=None if grid is None else grid.size,
    )
    return facts, {each.relative_path.rpartition("/")[2] for each in chunks}


def _sidecars(schema: Schema, chunks: Iterable[ChunkMeta]) -> dict[str, int]:
    """How many chunks should have each sidecar. A chunk with one only has that which its schema asks for."""
    kinds = [kind for kind in ("zone_maps", "value_indexes") if getattr(schema, kind)]
    counts = Counter(kind for each in chunks for kind in kinds[: each.sidecar_count])
    return dict(counts)


def _partitions(settings: SeriesSettings, chunks: Iterable[ChunkMeta], grid: Grid | None) -> tuple[PartitionFacts, ...]:
    """Those that have rows, in order of time."""
    sums: dict[str, list[int]] = {}
    for each in chunks:
        counts = sums.setdefault(each.partition_key, [0, 0, 0])
        counts[0] += each.count
        counts[1] += 1
        counts[2] += each.file_length
    return tuple(
        PartitionFacts(key, rows, _expected(settings, key, grid), count, size)
        for key, (rows, count, size) in sums.items()
    )


def _expected(settings: SeriesSettings, key: str, grid: Grid | None) -> int | None:
    unit = settings.partition
    return None if grid is None else grid.count(*unit.bounds(unit.parse_key(key), settings.time_unit))


def drawn_column(schema: Schema) -> str | None:
    """The column that stands for a series: its value, close or price, else the first that can be compared."""
    numbers = [each.name for each in schema.fields[1:] if each.indexed]
    return next((name for name in _USUAL_COLUMNS if name in numbers), numbers[0] if numbers else None)


def _pruning(series: Series) -> tuple[ZonePruning, ...]:
    """Of the columns with zone maps; of the one that stands for the series where it has none."""
    schema = series.schema
    columns = schema.zone_maps or tuple(filter(None, [drawn_column(schema)]))
    return tuple(found for found in map(series.pruning, columns) if found is not None)


def gaps_of(series: Series) -> Gaps:
    """What is missing of a series with a timeframe."""
    found = series.coverage()
    longest = np.argsort(-found.hole_counts, kind="stable")[:LARGEST_HOLES]
    return Gaps(
        found.expected_count,
        found.present_count,
        found.unexpected_count,
        found.hole_count,
        tuple(
            Hole(int(found.hole_starts[each]), int(found.hole_ends[each]), int(found.hole_counts[each]))
            for each in longest
        ),
    )
