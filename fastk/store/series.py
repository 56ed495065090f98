"""A series handle: the object for hot loops."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from fastk.arrays import is_integer, row_count
from fastk.errors import FastKError, InvalidInput, NotFound
from fastk.times import INT64_MAX, INT64_MIN, to_ts, to_ts_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import polars
    import pyarrow.dataset
    from numpy.typing import NDArray

    from fastk.engine import lookup
    from fastk.engine.compaction import CompactionDecision, CompactionPolicy
    from fastk.engine.conflicts import OnConflict
    from fastk.engine.edit import SeriesEdit
    from fastk.engine.reader import SeriesReader
    from fastk.engine.results import MergeResult, PutResult
    from fastk.engine.rows import Rows
    from fastk.engine.writer import Writer
    from fastk.interop.files.layout import Times as TimeForm
    from fastk.keys import SeriesKey
    from fastk.query.expressions import ScalarPredicate, ScalarPredicateExpr
    from fastk.query.planner import PlanName
    from fastk.query.pruning import ZonePruning
    from fastk.query.results import QueryResult
    from fastk.query.scalars import ScalarQueryCapabilities, ValueIndexEntry, ZoneMapEntry
    from fastk.replay.coverage import Coverage
    from fastk.replay.cursor import ReplayCursor
    from fastk.replay.sequences import SequenceScanReport
    from fastk.schema.columns import Columns
    from fastk.schema.schema import Schema
    from fastk.schema.settings import SeriesSettings
    from fastk.session.metrics import Metrics
    from fastk.store import reports
    from fastk.store.exporting import ExportResult
    from fastk.times import TimeLike, TimeSpan

    Closed = Literal["both", "left", "right", "neither"]
    Times = NDArray[np.int64] | NDArray[np.datetime64] | Sequence[TimeLike]

DEFAULT_SCALAR_ZMAP_BLOCK_SIZE = 256
DEFAULT_SEQUENCE_LIMIT = 10_000
DEFAULT_COVERAGE_LIMIT = 100_000
MOST_ZONE_ROWS = 1 << 20
_NARROWING = {"both": (0, 0), "left": (0, 1), "right": (1, 0), "neither": (1, 1)}


class Series:
    """One series of a store. Cheap to make, safe to share between threads; nothing is read until it is used.

    All reads of one store object see the same committed state of the series, its *snapshot*, pinned at the first use;
    :meth:`refresh` and writes through the same store object move on to the newest.
    """

    __slots__ = ("_metrics", "_reader", "_writer")

    _metrics: Metrics  # set while metrics are on: fastk.store.measured

    def __init__(self, reader: SeriesReader, writer: Callable[[], Writer]) -> None:
        self._reader = reader
        self._writer = writer

    # What it is

    @property
    def key(self) -> SeriesKey:
        """Symbol, category and name."""
        return self._reader.files.key

    @property
    def settings(self) -> SeriesSettings:
        """What was fixed at registration: schema, scales, time unit, partition. NotFound if not registered."""
        return self._reader.snapshot.settings

    @property
    def schema(self) -> Schema:
        """The record type."""
        return self.settings.schema

    @property
    def exists(self) -> bool:
        """Whether the series is registered (as far as the snapshot knows)."""
        return self._reader.is_registered()

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last stored ts; None while there are no rows."""
        return self._reader.snapshot.span

    @property
    def sequence(self) -> int:
        """The commit number of the snapshot."""
        return self._reader.snapshot.manifest.sequence

    def __len__(self) -> int:
        return self._reader.snapshot.rows

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        try:
            if not self.exists:
                return f"<series {self.key}, not registered>"
        except FastKError:
            return f"<series {self.key}, closed or damaged>"
        return f"<series {self.key}: {len(self):,} rows in {self._reader.snapshot.chunk_count:,} chunks>"

    def _repr_html_(self) -> str:
        from fastk.interop.notebook import series_html

        try:
            return series_html(repr(self).strip("<>"), self.range())
        except FastKError:  # not registered, damaged or closed: a representation must not fail
            return series_html(repr(self).strip("<>"), None)

    # Reads

    def range(self, start: TimeLike | None = None, end: TimeLike | None = None, *, closed: Closed = "both") -> Rows:
        """Rows with ``start <= ts <= end``, ascending; None leaves an end open, ``closed`` may exclude one.

        Times are ints in the series' unit, datetime64, aware datetimes or ISO text (zone-less means UTC). No rows when
        start > end. Cost: about 1 us and a verification of blocks that were never touched before.
        """
        if closed == "both":
            low, high = INT64_MIN if start is None else start, INT64_MAX if end is None else end
            if type(low) is int and type(high) is int:
                return (self._reader.pinned or self._reader.pin()).range(low, high)
        return self._reader.snapshot.range(*self._bounds(start, end, closed))

    def _bounds(self, start: TimeLike | None, end: TimeLike | None, closed: str) -> tuple[int, int]:
        if not isinstance(closed, str) or closed not in _NARROWING:
            raise InvalidInput(f"closed={closed!r} is unknown: give {', '.join(map(repr, _NARROWING))}")
        after, before = _NARROWING[closed]
        low = INT64_MIN if start is None else self._ts(start) + after
        high = INT64_MAX if end is None else self._ts(end) - before
        return low, high

    def _ts(self, value: TimeLike) -> int:
        return value if type(value) is int else to_ts(value, self.settings.time_unit)

    def at(self, ts: TimeLike) -> Any:
        """The row with this ts as a record, the first of several; None if there is none."""
        return (self._reader.pinned or self._reader.pin()).at(ts if type(ts) is int else self._ts(ts))

    def latest(self, count: int = 1) -> Rows:
        """The last ``count`` rows, ascending; fewer if the series has fewer."""
        tail = self._reader.tail
        if tail is None:
            return self._latest(count)
        rows, chunk, form = tail
        if type(count) is not int or not 0 < count <= rows:
            return self._latest(count)
        chunk.used = True  # here, not in a method of the snapshot: a twentieth of a read of 1,024 rows and their sum
        latest = form()
        latest._chunk, latest._start, latest._stop = chunk, rows - count, rows
        return latest

    def _latest(self, count: Any) -> Rows:
        """The same for any count, and where the last chunk is not at hand; it will be for the next time."""
        count = row_count(count)
        if count and self._reader.tail is None:
            self._reader.find_tail()
        return self._reader.snapshot.latest(count)

    def at_many(self, ts: Times) -> lookup.Matches:
        """The rows of many timestamps: ``rows, found = series.at_many(array)``; ``rows`` are those found, as asked."""
        from fastk.engine import lookup  # here, because most processes never batch: it is 2% of `import numpy`

        return lookup.at_many(self._reader.snapshot, self._keys(ts))

    def ranges(self, starts: Times, ends: Times) -> lookup.RangesResult:
        """The rows of many ranges, inclusive at both ends: ``result[i]``, or all of them in ``result.rows``."""
        from fastk.engine import lookup

        return lookup.ranges(self._reader.snapshot, self._keys(starts), self._keys(ends))

    def _keys(self, values: Times) -> NDArray[np.int64]:
        return to_ts_array(values, self.settings.time_unit, zoneless_is_utc=True)

    # Other libraries

    def lazy(self, *, decoded: bool = False) -> polars.LazyFrame:
        """The rows of the snapshot as a LazyFrame of polars, which are read when it is collected.

        Only columns that the query needs are read. Conditions on ``ts`` and on single columns (comparisons,
        ``is_between``, ``is_in``, and conjunctions of them) choose the rows by zone maps and value indexes, a limit
        ends the reading; polars does the rest. ``decoded`` gives natural units (float64) for columns with a scale.
        """
        from fastk.interop.polars_lazy import lazy_frame

        return lazy_frame(self._reader.snapshot, decoded)

    def arrow_dataset(self, *, decoded: bool = False) -> pyarrow.dataset.Dataset:
        """The series as a dataset of pyarrow: its scanners take ``columns=`` and ``filter=``, and leave out the rest.

        Each scan sees the snapshot that is pinned when it begins.
        """
        from fastk.interop.arrow import dataset

        return dataset(lambda: self._reader.snapshot, decoded)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """All rows as a stream of Arrow's C interface, chunk by chunk, over the mapped columns."""
        return self.range().__arrow_c_stream__(requested_schema)

    # Queries

    def where(
        self,
        column: str,
        predicate: ScalarPredicateExpr | ScalarPredicate,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        closed: Closed = "both",
        plan: PlanName = "auto",
    ) -> QueryResult:
        """The rows between two times whose value in a column satisfies a condition, as ``.rows``; and ``.stats``.

        ``series.where("volume", fastk.Gt(1000)).rows.close``. Conditions are Eq, Ne, Gt, Gte, Lt, Lte, Between, InSet
        and NotInSet, on stored (not decoded) values. ``plan`` is "auto" (the cheapest, chunk by chunk), or forces
        "scan", "zones" or "index". InvalidInput if start > end, or if the column cannot be compared with such values.
        """
        where = _query()
        if start is not None or end is not None:
            check_order(start, end)
            if not type(start) is type(end) is int:
                start = None if start is None else self._ts(start)
                end = None if end is None else self._ts(end)
                check_order(start, end)
        snapshot = self._reader.pinned or self._reader.pin()
        if start is None and end is None and closed == "both":
            return where(snapshot, column, predicate, INT64_MIN, INT64_MAX, plan)
        return where(snapshot, column, predicate, *self._bounds(start, end, closed), plan)

    def query_capabilities(self, column: str) -> ScalarQueryCapabilities:
        """Whether all chunks should have a zone map and a value index of a column, as the manifest tells it."""
        from fastk.query import results

        return results.capabilities(self._reader.snapshot, column)

    def zone_map(self, column: str) -> Iterator[ZoneMapEntry]:
        """The finest zones of a column, block by block."""
        from fastk.query import results

        return results.zone_map(self._reader.snapshot, column)

    def value_index(self, column: str) -> Iterator[ValueIndexEntry]:
        """The value indexes of a column, chunk by chunk: every value in ascending order, and its ts."""
        from fastk.query import results

        return results.value_index(self._reader.snapshot, column)

    def pruning(self, column: str, share: float = 0.01) -> ZonePruning | None:
        """Which part of the rows a query for ``share`` of the span of a column's values would look at, by its zones.

        None where the column has no zones, or the series no rows. Cost: headers and zone maps; no column is read.
        """
        from fastk.query import pruning

        return pruning.pruning(self._reader.snapshot, column, share)

    # Replay

    def replay(
        self, start: TimeLike | None = None, end: TimeLike | None = None, *, batch_rows: int | None = None
    ) -> ReplayCursor:
        """A cursor over the rows between two times in stored order, of the snapshot as it is now.

        ``cursor.next_batch(n)``, or ``for batch in cursor`` in batches of ``batch_rows`` (65,536); batches are
        :class:`fastk.Rows`. InvalidInput if start > end.
        """
        from fastk.replay.cursor import DEFAULT_BATCH_ROWS, ReplayCursor, ReplayOptions

        low, high = self._window(start, end, "replay")
        rows = DEFAULT_BATCH_ROWS if batch_rows is None else batch_rows
        return ReplayCursor(self._reader.snapshot, ReplayOptions(low, high, rows))

    def _window(self, start: TimeLike | None, end: TimeLike | None, what: str) -> tuple[int, int]:
        """Both ends as ints within int64; InvalidInput if start > end, also where there is no such series."""
        check_order(start, end, what)
        start, end = (None if time is None else self._ts(time) for time in (start, end))
        check_order(start, end, what)
        return max(INT64_MIN if start is None else start, INT64_MIN), min(INT64_MAX if end is None else end, INT64_MAX)

    def scan_sequence(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        field: str | None = None,
        limit: int = DEFAULT_SEQUENCE_LIMIT,
    ) -> SequenceScanReport:
        """Compare the sequence numbers of adjacent rows: gaps, duplicates and violations, with their true totals.

        ``field`` is any integer column (default: the schema's sequence field). Each of the three lists holds the first
        ``limit`` findings. InvalidInput if start > end. Cost: one pass over the column.
        """
        from fastk.replay import sequences

        low, high = self._window(start, end, "scan")
        return sequences.scan_sequence(self._reader.snapshot, low, high, field, limit)

    def coverage(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        step: TimeSpan | None = None,
        origin: TimeLike | None = None,
        sessions: tuple[Times, Times] | None = None,
        expected: Times | None = None,
        buckets: bool = False,
        limit: int = DEFAULT_COVERAGE_LIMIT,
    ) -> Coverage:
        """Which expected times between two times (both included) have rows, as intervals and holes.

        Expected is every ``step`` (default: the timeframe; an int in the series' unit, or a timedelta) from ``origin``
        on, in both directions (default: the first stored ts); or every step of ``sessions=(opens, closes)``, closes
        excluded; or each of the times in ``expected``. Open ends are those of the series, of the sessions or of the
        list. With ``buckets`` any row from one expected time to before the next fills it, which suits trades; sessions
        of a series without a timeframe are filled by any row. ``limit`` bounds the lists, never the totals.
        InvalidInput for more times than int64 can count. Cost: one pass over ts.
        """
        from fastk.replay import coverage, slots

        low, high = self._window(start, end, "coverage")
        phase = None if origin is None else self._ts(origin)
        snapshot = self._reader.snapshot
        expected_slots = slots.expected_slots(
            snapshot, low, high, step=step, origin=phase, sessions=sessions, expected=expected, buckets=buckets
        )
        return coverage.coverage(snapshot, expected_slots, limit)

    # Files

    def export(
        self,
        path: str | os.PathLike[str],
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        file_format: str | None = None,
        columns: Sequence[str] | None = None,
        raw: bool = False,
        times: TimeForm | None = None,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> ExportResult:
        """Write the rows between two times into a CSV, JSON lines, Parquet or Arrow file, told by its name.

        Values are in natural units, exactly: decimals in text (.csv, .jsonl, also .gz, .zst), float64 elsewhere.
        ``raw`` gives the stored integers. ``times`` are "iso" text (default of text), "typed" (default of Parquet and
        Arrow), or "epoch" integers in the series' unit. InvalidInput for what has no exact form there, and for a file
        that exists, unless ``overwrite``. The file gets its name when it is whole. Parquet and Arrow files of all
        columns carry the settings of the series, so that an import makes the same series again.

        Memory: a batch of 262,144 rows.
        """
        from fastk.store.exporting import What, export_series

        what = What(start, end, columns, raw, times)
        return export_series(self, os.fspath(path), what, file_format, overwrite=overwrite, progress=progress)

    # Writes

    def put(
        self,
        rows: Any,
        *,
        on_conflict: OnConflict = "error",
        decoded: bool = False,
        zoneless: Literal["utc"] | None = None,
        zone_rows: int = DEFAULT_SCALAR_ZMAP_BLOCK_SIZE,
    ) -> PutResult:
        """Put rows at their places in time, in any number of partitions, as one commit: all of them, or none.

        ``rows`` is a mapping of columns, a structured array, a 2-D integer array in field order, rows of a store, or a
        list of records or dicts; ascending in ts. ``decoded=True`` takes natural units (floats, Decimals) for the
        columns that have a scale. Zone-less times are refused unless ``zoneless="utc"``. What would not be stored
        exactly is refused. ``zone_rows`` is the size of the blocks of zone maps, where the series has any.

        ``on_conflict`` says what becomes of rows whose key (ts; ts and sequence; or all rows of a ts, by the record
        type) is stored already. ``"error"`` refuses the put. ``"skip_identical"`` passes over rows that are stored just
        so, and refuses others: an ingest can be run again. ``"replace"`` puts the new rows in the place of stored ones.
        A refusal is :class:`fastk.Conflict`, counts what it found, and changes nothing.

        Cost: four syncs, and the data once; 60 ns a value to be indexed. Rows among stored ones rewrite the chunks of
        their partitions that they touch. Small neighbours are merged, and the last partition when a later one begins
        (``policy.tier_fanout`` of the store).
        """
        check_policy(on_conflict)
        return self._write(rows, on_conflict, decoded, zoneless, zone_rows)

    def append(
        self,
        rows: Any,
        *,
        decoded: bool = False,
        zoneless: Literal["utc"] | None = None,
        zone_rows: int = DEFAULT_SCALAR_ZMAP_BLOCK_SIZE,
    ) -> PutResult:
        """Put rows that come behind all that their partitions hold, one new chunk a partition; or InvalidInput.

        This is what the ``put_*_chunk`` methods of the store do. Where ts may be equal, rows may go on at the last
        stored ts if the sequence field tells them from those stored there.
        """
        return self._write(rows, None, decoded, zoneless, zone_rows)

    def _write(
        self, rows: Any, on_conflict: OnConflict | None, decoded: bool, zoneless: object, zone_rows: int
    ) -> PutResult:
        writer = self._writer()
        columns = self._to_columns(rows, decoded, zoneless)
        return writer.put(self._reader, columns, on_conflict, _checked_zone_rows(zone_rows))

    def _to_columns(self, rows: Any, decoded: bool, zoneless: object) -> Columns:
        if zoneless not in (None, "utc"):
            raise InvalidInput(f"zoneless={zoneless!r} is unknown: give 'utc' or leave it out")
        is_frame, to_columns = _conversion()
        settings, zoneless_is_utc = self.settings, zoneless == "utc"
        if is_frame(rows):
            from fastk.interop.incoming import frame_columns

            rows = frame_columns(rows, settings, decoded=decoded, zoneless_is_utc=zoneless_is_utc)
        return to_columns(rows, settings, decoded=decoded, zoneless_is_utc=zoneless_is_utc)

    def delete_range(
        self, start: TimeLike | None = None, end: TimeLike | None = None, *, closed: Closed = "both"
    ) -> PutResult:
        """Delete the rows between two times, as one commit; ``.deleted`` counts them. Times as in :meth:`range`.

        Chunks that lie in the range whole are taken out unread, those at its ends are rewritten. The files stay for the
        grace period, and snapshots that were pinned before go on seeing the rows.
        """
        return self._writer().delete(self._reader, *self._clamped(start, end, closed))

    def replace_range(
        self,
        start: TimeLike | None,
        end: TimeLike | None,
        rows: Any,
        *,
        closed: Closed = "both",
        decoded: bool = False,
        zoneless: Literal["utc"] | None = None,
        zone_rows: int = DEFAULT_SCALAR_ZMAP_BLOCK_SIZE,
    ) -> PutResult:
        """Delete the rows between two times and put others there, as one commit; all new rows must lie there.

        Nothing is written if they are the stored ones already: all then count as identical.
        """
        writer = self._writer()
        columns = self._to_columns(rows, decoded, zoneless)
        window = self._clamped(start, end, closed)
        return writer.replace(self._reader, *window, columns, _checked_zone_rows(zone_rows))

    def _clamped(self, start: TimeLike | None, end: TimeLike | None, closed: str) -> tuple[int, int]:
        start, end = (None if time is None else self._ts(time) for time in (start, end))
        check_order(start, end, "range")
        low, high = self._bounds(start, end, closed)
        return max(low, INT64_MIN), min(high, INT64_MAX)

    # Compaction

    def merge(self, partition_key: str | None = None) -> MergeResult:
        """Make one chunk of each partition that has several; the rows stay byte for byte.

        One commit takes as many partitions as 64 MiB of rows are, or a larger one alone; that is what is in memory at a
        time. No commit changes a row, so that one that fails (InvalidData: a chunk is damaged) leaves those before it
        merged. Within a batch all are one commit, held in memory until its end. The result sums up.

        ``partition_key`` names one partition, or all of a longer time: "2024-02-01", "2024-02" or "2024" for a series
        in days. Snapshots that were pinned before go on reading the files before, which stay for the grace period.
        """
        return self._writer().merge(self._reader, lambda edit: self._partitions(edit, partition_key))

    def compaction_advice(self, policy: CompactionPolicy | None = None) -> list[CompactionDecision]:
        """For each partition, whether a policy (default: the original's thresholds) advises merging it, and why."""
        from fastk.engine.compaction import CompactionPolicy, checked_policy
        from fastk.engine.edit import SeriesEdit

        edit = SeriesEdit(self._reader.snapshot, checked_policy(policy) or CompactionPolicy())
        return edit.decide(edit.stored_partitions())

    def _partitions(self, edit: SeriesEdit, partition_key: str | None) -> list[int]:
        """Those of the stored partitions that a key names; NotFound if it names none."""
        stored = edit.stored_partitions()
        if partition_key is None:
            return stored
        unit = self.settings.partition
        if not isinstance(partition_key, str):
            raise InvalidInput(f"a partition is named by text like {unit.example!r}, not by {partition_key!r}")
        found = [ordinal for ordinal in stored if _is_within(unit.key(ordinal), partition_key)]
        if not found:
            raise NotFound(
                f"{self.key} has no rows in {partition_key!r}; its partitions are named like {unit.example!r}"
            )
        return found

    # Upkeep

    def refresh(self) -> bool:
        """Move to the newest committed state; False if the snapshot is that already. Rows handed out do not change."""
        return self._reader.refresh()

    def verify(self) -> reports.VerificationReport:
        """Read every column of the snapshot's chunks and compare every checksum, also those compared before.

        Raises InvalidData at the first damage. Cost: one pass over the files at memory or disk speed.
        """
        from fastk.store import reports

        begin, chunks, blocks, size = time.perf_counter(), 0, 0, 0
        snapshot = self._reader.snapshot
        try:
            for chunk in snapshot.all_chunks():
                blocks += chunk.verify_all(again=True)
                size += chunk.header.file_length
                chunks += 1
        finally:  # what queries keep remembers what was verified before
            snapshot.chunks.maps.let_go(snapshot.settings.series_id, (), ())
        return reports.VerificationReport(chunks, blocks, size, time.perf_counter() - begin)

    def chunk_inventory(self) -> list[reports.ChunkMeta]:
        """All chunks in order of time."""
        from fastk.store import reports

        return reports.chunk_inventory(self._reader.snapshot)

    def month_inventory(self) -> list[reports.MonthInventoryEntry]:
        """Chunks summed up by UTC month."""
        from fastk.store import reports

        return reports.month_inventory(self._reader.snapshot)


def check_policy(on_conflict: object) -> None:
    """Refuse what is no policy for keys that are stored already."""
    from fastk.engine.conflicts import POLICIES

    if on_conflict not in POLICIES:
        raise InvalidInput(f"on_conflict={on_conflict!r} is unknown: give {', '.join(map(repr, POLICIES))}")


def _checked_zone_rows(zone_rows: object) -> int:
    if is_integer(zone_rows) and 1 <= zone_rows <= MOST_ZONE_ROWS:
        return int(zone_rows)
    raise InvalidInput(f"zone_rows (zmap_block_size) must be an int from 1 to {MOST_ZONE_ROWS:,}, not {zone_rows!r}")


def _is_within(key: str, span: str) -> bool:
    """Whether a partition's key is the span's, or that of a part of it: 2024-02-01 lies within 2024-02."""
    return key == span or key.startswith((f"{span}-", f"{span}T"))


def check_order(start: TimeLike | None, end: TimeLike | None, what: str = "query") -> None:
    """Refuse a reversed window, as far as it shows before the series' time unit is known."""
    if (type(start) is type(end) is int or (is_integer(start) and is_integer(end))) and start > end:
        raise InvalidInput(f"the {what}'s start {start} lies after its end {end}")


@cache
def _conversion() -> tuple[Callable[[Any], bool], Callable[..., Columns]]:
    """What makes columns of what callers hand in, loaded at the first write."""
    from fastk.schema.columns import is_frame, to_columns

    return is_frame, to_columns


@cache
def _query() -> Callable[..., QueryResult]:
    """What answers queries, loaded at the first. An import in each of them took a microsecond of 15."""
    from fastk.query.results import where

    return where
