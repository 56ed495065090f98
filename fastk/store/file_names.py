"""Files in and out, as methods of the store; see :mod:`fastk.store.importing` and :mod:`fastk.store.exporting`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastk.keys import as_series_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from fastk.engine.conflicts import OnConflict
    from fastk.interop.files.layout import Times
    from fastk.interop.files.reading import Progress
    from fastk.keys import ScalarSeriesKey, SeriesKey
    from fastk.partition import PartitionPolicy, PartitionUnit
    from fastk.schema.schema import Schema
    from fastk.store import exporting, reports
    from fastk.store.import_report import ImportReport
    from fastk.store.series import Series
    from fastk.times import TimeLike, TimeUnit

    Path = str | os.PathLike[str]
    Key = SeriesKey | ScalarSeriesKey | tuple[str, str, str]


class FileNames:
    """Methods of :class:`fastk.FastKStore` for files of other programs."""

    if TYPE_CHECKING:  # what the store itself offers to these methods
        series: Callable[[Any], Series]
        list_series: Callable[..., list[reports.SeriesInventoryEntry]]

    def import_files(
        self,
        files: Path | Iterable[Path],
        key: Key,
        schema: Schema | str | None = None,
        *,
        file_format: str | None = None,
        delimiter: str | None = None,
        header: bool = True,
        columns: Sequence[str] = (),
        skip_lines: int = 0,
        mapping: Mapping[str, str | int] | None = None,
        constants: Mapping[str, Any] | None = None,
        values: Mapping[str, Mapping[str, Any]] | None = None,
        rounding: Mapping[str, int] | None = None,
        time_unit: str | None = None,
        time_format: str | None = None,
        zone: str | None = None,
        time_fields: Sequence[str] = ("recv_ts",),
        raw: bool = False,
        scales: Mapping[str, int | str] | str | int | None = None,
        timeframe_ms: int | None = None,
        store_unit: TimeUnit | str | None = None,
        partition: PartitionUnit | PartitionPolicy | str | None = None,
        unique_ts: bool | None = None,
        zone_maps: Iterable[str] | None = None,
        value_indexes: Iterable[str] | None = None,
        on_conflict: OnConflict = "error",
        atomic: bool = False,
        dry_run: bool = False,
        batch_rows: int | None = None,
        scratch: Path | None = None,
        progress: Progress | None = None,
    ) -> ImportReport:
        """Put the rows of CSV, JSON lines, Parquet or Arrow files into one series, in any order, exactly or not at all.

        ``files`` are paths or patterns; the format is told by their names (.csv, .csv.gz, .csv.zst, .jsonl, .parquet,
        .arrow, .feather) or by ``file_format``. A series that is not there is registered: ``schema`` is a
        :class:`fastk.Schema`, the name of a built-in type (default: the category of the key), or "custom" for one made
        of the file's columns; ``timeframe_ms`` (default: what the name of bars says), ``store_unit`` (its unit of
        time), ``partition`` and the rest as in :meth:`register_series`. ``scales`` of fields or scales are whole
        divisors, or "auto" (the default of a new series): the smallest power of ten that stores every value exactly.

        Fields take the columns of their names. ``mapping={"close": "Close"}`` names others (a number for files without
        header; "date+time" joins two), ``constants={"flags": 0}`` what all rows have ("row": their number), and
        ``values={"side": {"buy": 1, "sell": -1}}`` what words stand for. ``rounding={"volume": 4}`` rounds to so many
        decimals, half to even, which nothing else does. CSV without a header line: ``header=False``, or ``columns``
        with their names. Values are in natural units; ``raw`` takes stored integers.

        Times without a zone need ``zone``, numbers ``time_unit`` (s, ms, us, ns), other text ``time_format`` (as
        ``strptime``). ``time_fields`` hold times beside ``ts``.

        First every line is read and checked: InvalidInput for the first that is wrong, by file and line, and nothing is
        written. Then rows are put in order of ts, ``batch_rows`` (500,000) a commit, under ``on_conflict`` as in
        :meth:`fastk.Series.put`, which holds for rows of one key within the files as well. An import that was killed
        goes on where it was when it is called again in the same way; ``atomic`` makes it one commit, which holds all
        rows in memory. Meanwhile the rows lie in a folder beside the store, or in ``scratch``. ``dry_run`` writes
        nothing, and reports the first ten things that are wrong.

        Cost: about a microsecond a row of five columns of text, and the put; temporary files of the rows' size.
        """
        from fastk.interop.files.formats import expand
        from fastk.interop.files.options import ReadOptions, text_mapping
        from fastk.replay.cursor import checked_batch_rows
        from fastk.store.import_target import Wish
        from fastk.store.importing import DEFAULT_BATCH_ROWS, How, Import, silent
        from fastk.store.series import check_policy

        check_policy(on_conflict)
        options = ReadOptions(
            format=file_format,
            delimiter=delimiter,
            header=header,
            columns=tuple(columns),
            skip_lines=skip_lines,
            mapping=text_mapping(mapping, "mapping"),
            constants=text_mapping(constants, "constants"),
            values={name: text_mapping(words, "values") for name, words in (values or {}).items()},
            rounding=dict(rounding or {}),
            time_unit=time_unit,
            time_format=time_format,
            zone=zone,
            time_fields=tuple(time_fields),
            raw=raw,
        )
        wish = Wish(schema, scales, timeframe_ms, store_unit, partition, unique_ts, zone_maps, value_indexes)
        how = How(
            on_conflict,
            dry_run=dry_run,
            atomic=atomic,
            batch_rows=DEFAULT_BATCH_ROWS if batch_rows is None else checked_batch_rows(batch_rows),
            scratch=None if scratch is None else os.fspath(scratch),
            progress=progress or silent,
        )
        store: Any = self
        return Import(store, expand(files), self.series(as_series_key(key)), options, how).run(wish)

    def export_files(
        self,
        folder: Path,
        symbol: str = "*",
        category: str = "*",
        name: str = "*",
        *,
        file_format: str = "parquet",
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        raw: bool = False,
        times: Times | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[exporting.ExportResult]:
        """Write each series that matches into a file of a new folder: ``SYMBOL/CATEGORY/NAME.parquet`` and so on.

        The options are those of :meth:`fastk.Series.export`. The folder gets its name when all of it is there.
        """
        from fastk.store.exporting import What, export_folder

        entries = self.list_series(symbol, category, name)
        found = [self.series((each.symbol, each.category, each.name)) for each in entries]
        what = What(start, end, None, raw, times)
        return export_folder(found, os.fspath(folder), what, file_format, progress=progress)
