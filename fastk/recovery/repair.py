"""Repairing a store, and rebuilding manifests. Nothing is deleted but FastK's own temporary files.

Damaged files move to ``.fastk.quarantine/``. One series' trouble hides no other; a failing disk stops everything.
"""

from __future__ import annotations

import os.path
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from fastk.errors import NotFound, UnsupportedVersion
from fastk.format import names
from fastk.format.store_file import encode_store_file
from fastk.recovery.commit import carry_out
from fastk.recovery.locking import StoreLock
from fastk.recovery.places import below
from fastk.recovery.plan import plan_series
from fastk.recovery.quarantine import Quarantine, check_quarantine
from fastk.recovery.reports import RecoveryReport
from fastk.recovery.scan import settled
from fastk.recovery.survey import StoreFile, Survey, counter, survey
from fastk.recovery.verdicts import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey
    from fastk.recovery.locking import WriteLock
    from fastk.recovery.places import Place
    from fastk.recovery.plan import SeriesPlan
    from fastk.recovery.scan import SeriesScan
    from fastk.recovery.survey import Progress

LOCK_TIMEOUT = 10.0


def repair(
    disk: Disk,
    root: str,
    *,
    dry_run: bool = False,
    lock: WriteLock | None = None,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Bring a store to a state that validates; with ``dry_run`` only say how, and touch nothing.

    Manifests that are missing, damaged or old copies are rebuilt from the chunks, and so is what a damaged table
    described. Sound rows of damaged chunks go into new chunks; the others are reported as lost. Sidecars that are
    missing or not sound are made anew. A second repair finds nothing to do.

    ``lock`` is the store's (by default taken from the disk, 10 s). ``progress`` is told the bytes so far and in all.
    Raises NotFound or InvalidInput for what is no store, UnsupportedVersion for a store of another format, InvalidData
    for a symbolic link in the place of the lock or the quarantine, LockTimeout, and OSError where the disk
    fails: then the series in work is in its old state or its new one, and a repair can be repeated. Cost: one pass over
    the store.
    """
    with _held(disk, root, dry_run, lock) as held:
        return _Repair(disk, root, held, dry_run, progress).run()


def rebuild_manifests(
    disk: Disk,
    root: str,
    series: SeriesKey | None = None,
    *,
    dry_run: bool = False,
    lock: WriteLock | None = None,
    progress: Progress | None = None,
) -> RecoveryReport:
    """Make the manifests of all series, or of one, anew from their chunk files; sound ones as well.

    All settings come back, deleted and replaced rows do not, and commits that were never finished stay out. Damaged
    chunks that this meets are treated as by :func:`repair`, and so are arguments and errors; NotFound for a series that
    has no folder.
    """
    with _held(disk, root, dry_run, lock) as held:
        work = _Repair(disk, root, held, dry_run, progress)
        places = [place for place in work.survey.places if series is None or place.key == series]
        if series is not None and not places:
            raise NotFound(f"series {series} has no folder in {root}")
        if series is None:
            work.tell_what_is_hidden()
        return work.run_series(places, rebuild=True)


@contextmanager
def _held(disk: Disk, root: str, dry_run: bool, lock: WriteLock | None) -> Iterator[WriteLock]:
    """Hold the lock meanwhile, unless nothing is to be changed; gives the lock."""
    survey(disk, root)  # before: there is no lock file where there is no store
    check_quarantine(disk, root)
    wanted = lock or StoreLock(disk, root, LOCK_TIMEOUT)
    with nullcontext() if dry_run else wanted.hold():
        yield wanted


class _Repair:
    """One run over a store."""

    def __init__(self, disk: Disk, root: str, lock: WriteLock, dry_run: bool, progress: Progress | None) -> None:
        self._disk = disk
        self._root = root
        self._lock = lock
        self.survey: Survey = survey(disk, root)
        self._count = counter(disk, self.survey, progress)
        self.report = RecoveryReport(dry_run=dry_run)
        if self.survey.store_file is StoreFile.NEWER:
            raise UnsupportedVersion(self.survey.verdicts[0].detail)

    def run(self) -> RecoveryReport:
        """The root first, then each series."""
        self._restore_store_file()
        self._remove_temporary()
        self.tell_what_is_hidden()
        return self.run_series(self.survey.places, rebuild=False)

    def tell_what_is_hidden(self) -> None:
        """What lies in the way between the series: nothing behind it is looked at."""
        left = (each for each in self.survey.verdicts if each.severity is Severity.DAMAGE)
        self.report.unrepaired += [str(each) for each in left if each.path != names.STORE_FILE]

    def run_series(self, places: Sequence[Place], *, rebuild: bool) -> RecoveryReport:
        """Plan and carry out, series by series."""
        for place in places:
            plan = self._plan(place, rebuild)
            if plan is None:
                continue
            _add_to_report(self.report, plan)
            if not self.report.dry_run:
                carry_out(self._disk, plan, self._lock)
        return self.report

    def _plan(self, place: Place, rebuild: bool) -> SeriesPlan | None:
        """What to do with a series. What is read may be anything: whatever it causes stays with the series."""

        def look(scan: SeriesScan) -> SeriesPlan:
            return plan_series(self._disk, scan, rebuild=rebuild, count=self._count)

        try:
            return settled(self._disk, place, look, lambda plan: plan.does_nothing)
        except Exception as error:
            self.report.unrepaired.append(f"{place.series_dir}: {type(error).__name__}: {error}")
            return None

    def _restore_store_file(self) -> None:
        path, state = self.survey.store_file_path, self.survey.store_file
        if state is StoreFile.SOUND:
            if not self.report.dry_run:
                self._disk.sync_folder(self._root)  # a repair that was killed behind its rename may have left it so
            return
        self.report.restored_store_file = True
        if state is StoreFile.CORRUPT:
            self.report.quarantined_paths.append(names.STORE_FILE)
        if self.report.dry_run:
            return
        if state is StoreFile.CORRUPT:
            self._keep_aside(path)
        temporary = os.path.join(self._root, names.STORE_TEMPORARY)
        self._disk.replace_unnamed(temporary, [encode_store_file()])
        self._disk.rename(temporary, path)
        self._disk.sync_folder(self._root)

    def _keep_aside(self, path: str) -> None:
        quarantine = Quarantine(self._disk, self._root, 0, time.time_ns() // 1_000_000)
        if self._disk.entries(self._root)[names.STORE_FILE].kind == "file":
            quarantine.copy(path)
        else:
            quarantine.take(path)
            quarantine.settle()

    def _remove_temporary(self) -> None:
        for path in self.survey.leftovers:
            self.report.removed_temp_files += 1
            self.report.removed_temp_paths.append(below(self._root, path))
            if not self.report.dry_run:
                self._disk.remove(path)


def _add_to_report(report: RecoveryReport, plan: SeriesPlan) -> None:
    """What a plan does, in the terms of the report."""
    place = plan.scan.place
    if plan.has_temporary:
        report.removed_temp_files += 1
        report.removed_temp_paths.append(below(place.root, place.temporary))
    if plan.needs_commit and plan.is_rebuilt:
        report.rebuilt_manifests += 1
        report.adopted_chunks += len(plan.chunks)
        report.rebuilt_manifest_paths.append(below(place.root, place.manifest))
        report.adopted_chunk_paths += [below(place.root, place.chunk(chunk.name)) for chunk in plan.chunks]
    if plan.needs_commit:
        report.orphaned_paths += [below(place.root, place.chunk(name)) for name in plan.set_aside]
    report.overlap_resolutions += plan.resolutions
    report.quarantined_paths += [below(place.root, path) for path in dict.fromkeys(plan.quarantine)]
    report.salvaged_chunk_paths += [below(place.root, place.chunk(each.chunk.name)) for each in plan.salvages]
    report.salvaged_rows += sum(each.kept_rows for each in plan.salvages)
    report.lost_rows += plan.lost
    for bad in plan.bad_sidecars:
        path = below(place.root, place.chunk(bad.name))
        report.rebuilt_sidecar_paths.append(path)
        if bad.problem.code is not Code.MISSING_SIDECAR:
            report.quarantined_paths.append(path)
    report.unrepaired += plan.unrepaired
    report.doubts += plan.doubts
