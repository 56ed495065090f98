"""Conditions on any column of any series: the rows that match, and what finding them took."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from fastk.engine.rows import Rows
from fastk.format.sidecars import VALUE_INDEX, ZONE_MAP
from fastk.query.members import find_members
from fastk.query.planner import checked_plan
from fastk.query.scalars import ScalarQueryCapabilities, ValueIndexEntry, ZoneMapEntry, check_predicate
from fastk.query.search import search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.engine.mapped import MappedChunk
    from fastk.engine.snapshot import Snapshot
    from fastk.format.sidecars import ValueIndex, Zones
    from fastk.query.search import Found
    from fastk.query.stats import ScalarPredicateQueryStats


class QueryResult:
    """``rows`` are the matching rows, ascending in ts and in stored order where ts are equal.

    A column of them is gathered when it is first taken.
    """

    __slots__ = ("_found", "rows")

    def __init__(self, rows: Rows, found: Found) -> None:
        self.rows = rows
        self._found = found

    @property
    def stats(self) -> ScalarPredicateQueryStats:
        """What finding them took."""
        return self._found._tally.stats(len(self.rows))

    def __repr__(self) -> str:
        return f"QueryResult(rows={self.rows!r})"

    def __reduce__(self) -> Any:
        return self.rows.__reduce__()  # which says why not, and what to pickle

    def __len__(self) -> int:
        return len(self.rows)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The rows as a stream of Arrow's C interface; ``result.rows.to_pandas()`` and its kin are the other ways."""
        return self.rows.__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        return self.rows._repr_html_()


def where(snapshot: Snapshot, column: str, predicate: object, start: int, end: int, plan: str = "auto") -> QueryResult:
    """The rows with ``start <= ts <= end`` whose value in a column satisfies a condition.

    Cost: 7 to 20 us in a window of few rows; 2 us and 0.1 us a chunk for a few integers that are asked for again and
    again; 6 to 10 us and 0.1 us a chunk for other few matches where all chunks have a value index; about as much, and
    0.5 us a chunk, where many small ones are compared; else 5 to 10 us a chunk, plus what the cheapest plan takes; see
    the planner.
    """
    place = snapshot.settings.schema.position(column)
    members = find_members(snapshot, place, predicate, start, end) if plan == "auto" else None
    if members is not None:
        return QueryResult(members, members)
    return QueryResult(*search(snapshot, place, check_predicate(predicate), start, end, checked_plan(plan)))


def capabilities(snapshot: Snapshot, column: str) -> ScalarQueryCapabilities:
    """What queries of a column can use: sidecars count if the series has chunks, and each of them should have its own.

    Linear in chunks.
    """
    schema = snapshot.settings.schema
    indexed = schema.fields[schema.position(column)].indexed
    bits = snapshot.table["sidecars"]
    common = int(np.bitwise_and.reduce(bits)) if bits.size else 0
    return ScalarQueryCapabilities(
        raw_scan=indexed,
        has_zmap=column in schema.zone_maps and bool(common & ZONE_MAP.bit),
        has_vix=column in schema.value_indexes and bool(common & VALUE_INDEX.bit),
    )


def zone_map(snapshot: Snapshot, column: str) -> Iterator[ZoneMapEntry]:
    """The finest zones of a column, chunk by chunk."""
    schema, sidecars = snapshot.settings.schema, snapshot.chunks.sidecars
    place = schema.position(column)
    chunks = snapshot.all_chunks() if schema.fields[place].indexed else ()
    return chain.from_iterable(_zone_entries(chunk, sidecars.zones(chunk, place)) for chunk in chunks)


def _zone_entries(chunk: MappedChunk, zones: Zones) -> Iterator[ZoneMapEntry]:
    ts = chunk.column(0, 0, chunk.rows)
    for block, (least, greatest) in enumerate(zip(zones.minima.tolist(), zones.maxima.tolist(), strict=True)):
        first = block * zones.block_rows
        last = min(first + zones.block_rows, chunk.rows) - 1
        yield ZoneMapEntry(first, last, int(ts[first]), int(ts[last]), least, greatest)


def value_index(snapshot: Snapshot, column: str) -> Iterator[ValueIndexEntry]:
    """The entries of a column's value indexes, chunk by chunk; none of chunks without one."""
    place = snapshot.settings.schema.position(column)
    return chain.from_iterable(
        _index_entries(chunk, snapshot.chunks.sidecars.value_index(chunk, place)) for chunk in snapshot.all_chunks()
    )


def _index_entries(chunk: MappedChunk, index: ValueIndex | None) -> Iterator[ValueIndexEntry]:
    if index is not None:
        ts = chunk.column(0, 0, chunk.rows)
        times = np.take(ts, index.rows, mode="clip")  # of an index that was not verified, rows may be anything
        yield from map(ValueIndexEntry, index.values.tolist(), times.tolist())
