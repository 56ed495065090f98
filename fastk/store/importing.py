"""Files into a series: read and checked whole, then put in order of ts, batch by batch; an interrupted import goes on.

The rows of the files are kept in a folder beside the store until they are stored, see :mod:`fastk.interop.files.spill`.
So nothing is written before every line is known to be sound, the input may have any order, and memory holds a batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from fastk.engine.results import PutResult
from fastk.errors import Conflict, InvalidInput
from fastk.interop.files import spill as spilling
from fastk.interop.files.conversion import Converter
from fastk.interop.files.places import Places
from fastk.interop.files.reading import Reading
from fastk.interop.files.survey import Settling, Survey
from fastk.io.lock import FileLock
from fastk.schema.settings import SeriesSettings
from fastk.store.import_report import ImportReport
from fastk.store.import_target import Target, Wish, target_of
from fastk.times import format_ts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.interop.files.options import ReadOptions
    from fastk.interop.files.spill import Spill
    from fastk.store.import_options import How
    from fastk.store.series import Series
    from fastk.store.store import FastKStore

SCRATCH_SUFFIX = ".import-"


class Import:
    """One import of files into a series."""

    def __init__(self, store: FastKStore, paths: list[str], series: Series, options: ReadOptions, how: How) -> None:
        self._store = store
        self._paths = paths
        self._series = series
        self._options = options
        self._how = how
        self._places: Places | None = None
        self.report = ImportReport(str(series.key), paths, how.dry_run)

    def run(self, wish: Wish) -> ImportReport:
        """All of it."""
        target = target_of(self._series, wish, self._paths[0], self._options)
        with self._scratch(self._identity(target, wish)) as folder:
            resumed = spilling.is_whole(folder)
            if not resumed:
                self._read(target, folder)
            spill = spilling.Spill(folder, target.settings.schema)
            settings = target.settings.changed(scales={**target.settings.scales, **spill.scales})
            self._survey(spill, settings)
            if not self._how.dry_run:
                self._write(spill, settings, target, resumed)
        return self.report

    # Where rows wait

    def _identity(self, target: Target, wish: Wish) -> str:
        """Text that is the same for an import of the same files in the same way, begun or not."""
        files = [(path, os.path.getsize(path), os.stat(path).st_mtime_ns) for path in self._paths]
        settings = target.settings.changed(series_id=0, created_at=0, scales={}).json.decode()
        how = self._how.batch_rows, self._how.dry_run
        parts = files, self._options.identity(), settings, str(wish.scales), how
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=list).encode()).hexdigest()[:16]

    @contextmanager
    def _scratch(self, identity: str) -> Iterator[str]:
        """The folder of this import, held alone. It stays if rows are in it that are still to be stored."""
        root = os.path.abspath(self._store.root)
        base = root + SCRATCH_SUFFIX + identity
        if self._how.scratch is not None:
            base = os.path.join(os.path.abspath(self._how.scratch), os.path.basename(base))
        os.makedirs(base, exist_ok=True)
        lock = FileLock(os.path.join(base, "lock"), 0)
        rows = os.path.join(base, "rows")
        try:
            yield rows
        except (InvalidInput, ValueError):  # refused: to do the same once more helps nobody
            shutil.rmtree(base)
            raise
        except BaseException:
            if not spilling.is_whole(rows):
                shutil.rmtree(base)
            raise
        else:
            shutil.rmtree(base)
        finally:
            lock.release()

    # Reading and looking

    def _read(self, target: Target, folder: str) -> None:
        spilling.remove(folder)
        settings = target.settings
        converter = Converter(settings.schema, settings.time_unit, settings.scales, target.found, self._options)
        reading = Reading(
            self._paths, self._options, converter, tolerant=self._how.dry_run, progress=self._how.progress
        )
        writer = spilling.SpillWriter(folder, settings.schema)
        try:
            for piece in reading.pieces():
                writer.append(piece.columns, piece.arrivals, converter.scales)
            writer.finish({"places": reading.places.as_json(), "problems": reading.problems})
        finally:
            writer.close()
        if not reading.rows and not reading.problems:
            raise InvalidInput(f"there are no rows in {', '.join(self._paths)}")

    def _survey(self, spill: Spill, settings: SeriesSettings) -> None:
        """Go through the rows as they will be put, before any is."""
        self.report.problems = spill.about["problems"]
        survey = Survey()
        places = Places.from_json(spill.about["places"])
        self._settling = Settling(settings.schema, settings.time_unit, self._how.on_conflict, places.of)
        step = settings.timeframe_ms * settings.time_unit.per_second // 1000
        try:
            for batch in spill.batches(self._how.batch_rows):
                settled = self._settling.settle(batch)
                survey.add(settled, step)
                self._how.progress("checking", survey.rows, survey.rows, spill.rows)
        except InvalidInput as error:
            if not self._how.dry_run:
                raise
            self.report.problems.append(str(error))
        self._tell(survey, spill, settings)

    def _tell(self, survey: Survey, spill: Spill, settings: SeriesSettings) -> None:
        report, unit = self.report, settings.time_unit
        report.rows, report.out_of_order = spill.rows, spill.out_of_order
        report.duplicates = spill.rows - survey.rows if not report.problems else 0
        report.gaps, report.missing = survey.gaps, survey.missing
        if survey.span is not None:
            report.first, report.last = (format_ts(ts, unit) for ts in survey.span)
        if survey.longest_gap is not None:
            report.longest_gap = [format_ts(ts, unit) for ts in survey.longest_gap]
        report.record_type, report.scales = settings.schema.name, dict(settings.scales)

    # Writing

    def _write(self, spill: Spill, settings: SeriesSettings, target: Target, resumed: bool) -> None:
        if target.is_new:
            self._register(settings)
        stored = 0 if self._how.atomic else spill.rows_stored
        self.report.resumed = stored
        done = 0
        with self._store.batch() if self._how.atomic else nullcontext():
            for batch in spill.batches(self._how.batch_rows):
                rows = batch.arrivals.size
                done += rows
                if done <= stored:
                    continue
                self._put(self._settling.settle(batch).columns, settings, resumed)
                if not self._how.atomic:
                    spill.note_stored(done)
                self._how.progress("storing", done, done, spill.rows)

    def _register(self, settings: SeriesSettings) -> None:
        self._store.register_series(
            settings.key,
            settings.schema,
            timeframe_ms=settings.timeframe_ms,
            scales=settings.scales,
            time_unit=settings.time_unit,
        )

    def _put(self, columns: Any, settings: SeriesSettings, resumed: bool) -> None:
        rows = dict(zip(settings.schema.names, columns, strict=True))
        result = self._put_or_skip(rows, len(columns[0]), resumed)
        self.report.accepted += result.accepted
        self.report.identical += result.identical
        self.report.replaced += result.replaced
        self.report.commits += 1

    def _put_or_skip(self, rows: Any, count: int, resumed: bool) -> PutResult:
        """Put a batch; one that an interrupted import had stored, but not noted, is passed over."""
        try:
            return self._series.put(rows, on_conflict=self._how.on_conflict)
        except Conflict as conflict:
            if resumed and conflict.identical == count:
                return PutResult(0, count, 0, 0, 0, self._series.sequence)
            raise self._with_count(conflict) from None

    def _with_count(self, conflict: Conflict) -> Conflict:
        before = self.report.resumed + self.report.accepted + self.report.identical + self.report.replaced
        if not before or self._how.atomic:
            return conflict
        return Conflict(
            f"{conflict}; {before:,} rows of the files, all before these, are stored",
            rows=conflict.rows,
            identical=conflict.identical,
            conflicting=conflict.conflicting,
        )
