"""Series into files of other programs."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastk.errors import InvalidInput, NotFound
from fastk.format import names
from fastk.interop.files.formats import FileKind, kind_of
from fastk.interop.files.layout import Layout
from fastk.interop.files.writing import write_file
from fastk.interop.whole_file import refuse_in_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastk.engine.rows import Rows
    from fastk.interop.files.layout import Times
    from fastk.store.series import Series
    from fastk.times import TimeLike

    Progress = Callable[[int, int], None]

_BATCH_ROWS = 1 << 18
BUILDING_SUFFIX = ".exporting"


@dataclass(frozen=True, slots=True)
class ExportResult:
    """One series in one file."""

    series: str
    path: str
    rows: int


@dataclass(frozen=True)
class What:
    """Which rows and columns are exported, and as what; see :meth:`fastk.Series.export`."""

    start: TimeLike | None = None
    end: TimeLike | None = None
    columns: Sequence[str] | None = None
    raw: bool = False
    times: Times | None = None


def export_series(
    series: Series,
    path: str,
    what: What,
    file_format: str | None,
    *,
    overwrite: bool,
    progress: Progress | None = None,
) -> ExportResult:
    """Write one series into a file."""
    kind = kind_of(path, file_format)
    layout = Layout(series.settings, kind.format, columns=what.columns, raw=what.raw, times=what.times)
    batches = _batches(series, what, progress)
    rows = write_file(path, kind, layout, batches, overwrite=overwrite)
    return ExportResult(str(series.key), os.path.abspath(path), rows)


def _batches(series: Series, what: What, progress: Progress | None) -> Iterator[Rows]:
    cursor = series.replay(what.start, what.end, batch_rows=_BATCH_ROWS)
    for rows in cursor:
        yield rows
        if progress is not None:
            progress(cursor.position, len(cursor))


def export_folder(
    chosen: list[Series], folder: str, what: What, file_format: str, progress: Progress | None = None
) -> list[ExportResult]:
    """Write series into a new folder, ``SYMBOL/CATEGORY/NAME.format`` each; it gets its name when all are there."""
    target = os.path.abspath(folder)
    if not chosen:
        raise NotFound("no series match: there is nothing to export; see list_series()")
    if os.path.lexists(target):
        raise InvalidInput(f"{target} exists: name a new folder")
    refuse_in_store(target)
    building = target + BUILDING_SUFFIX
    shutil.rmtree(building, ignore_errors=True)  # of an export that was killed
    kind = kind_of("", file_format)
    try:
        results = [_into(building, series, kind, what, progress) for series in chosen]
        os.rename(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return [ExportResult(each.series, target + each.path.removeprefix(building), each.rows) for each in results]


def _into(building: str, series: Series, kind: FileKind, what: What, progress: Progress | None) -> ExportResult:
    path = os.path.join(building, *names.series_path(series.key)) + f".{kind.format}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return export_series(series, path, what, kind.format, overwrite=False, progress=progress)
