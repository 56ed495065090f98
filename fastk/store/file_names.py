"""Files in and out, as methods of the store; see :mod:`fastk.store.importing` and :mod:`fastk.store.exporting`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fastk.keys import as_series_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from fastk.interop.files.layout import Times
    from fastk.keys import ScalarSeriesKey, SeriesKey
    from fastk.schema.schema import Schema
    from fastk.store import exporting, reports
    from fastk.store.import_options import ImportOptions
    from fastk.store.import_report import ImportReport
    from fastk.store.series import Series
    from fastk.times import TimeLike

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
        **options: Unpack[ImportOptions],
    ) -> ImportReport:
        """Put the rows of CSV, JSON lines, Parquet or Arrow files into one series, in any order, exactly or not at all.

        ``files`` are paths or patterns; the format is told by their names (.csv, .csv.gz, .csv.zst, .jsonl, .parquet,
        .arrow, .feather). A series that is not there is registered: ``schema`` is a :class:`fastk.Schema`, the name of
        a built-in type (default: the category of the key), or "custom" for one made of the file's columns. All
        ``options`` are named and explained by :class:`fastk.ImportOptions`.

        Fields take the columns of their names; ``mapping={"close": "Last"}`` names others, ``constants={"flags": 0}``
        what all rows have, ``values={"side": {"buy": 1, "sell": -1}}`` what words stand for. Values are in natural
        units. A new series finds its scales: the smallest powers of ten that store every value exactly. Times without
        a zone need ``zone``, numbers ``time_unit``, text of other forms ``time_format``.

        First every line is read and checked: InvalidInput for the first that is wrong, by file and line, and nothing is
        written. Then rows are put in order of ts, ``batch_rows`` a commit, under ``on_conflict`` as in
        :meth:`fastk.Series.put`, which holds for rows of one key within the files as well. An import that was killed
        goes on where it was when it is called again in the same way; ``atomic`` makes it one commit. ``dry_run`` writes
        nothing, and reports the first ten things that are wrong.

        Cost: 2.5 to 5 us a row of six columns of CSV; temporary files of the rows' size, beside the store or in
        ``scratch``; memory for a batch.
        """
        from fastk.interop.files.formats import expand
        from fastk.store.import_options import split_options
        from fastk.store.importing import Import
        from fastk.store.series import check_policy

        check_policy(options.get("on_conflict", "error"))
        reading, wish, how = split_options(schema, options)
        store: Any = self
        return Import(store, expand(files), self.series(as_series_key(key)), reading, how).run(wish)

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
