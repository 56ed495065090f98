"""What keeps a store in shape: batches of commits, merging, and the removal of files that nobody needs any more."""

from __future__ import annotations

import os.path
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fastk.errors import FastKError, InvalidInput, LockTimeout, NotFound, StoreClosed
from fastk.io.disk import SyncFailed
from fastk.keys import KLINE_CATEGORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.engine.compaction import CompactionDecision, CompactionPolicy
    from fastk.engine.files import Unlisted
    from fastk.engine.reader import SeriesReader
    from fastk.engine.results import GcReport, MergeResult
    from fastk.engine.writer import Writer
    from fastk.keys import SeriesKey
    from fastk.store.series import Series


class Upkeep:
    """Methods of :class:`fastk.FastKStore` that are about files rather than rows."""

    if TYPE_CHECKING:  # what the store itself offers to these methods
        root: str
        series: Callable[[Any], Series]
        init: Callable[[], Any]
        _given_policy: CompactionPolicy | None
        _grace_ms: int
        _check_open: Callable[[], None]
        _open_writer: Callable[[], Writer]
        _readers: dict[SeriesKey, SeriesReader]
        _series_folders: Callable[[Unlisted], Iterator[tuple[SeriesKey, str]]]

        @property
        def _writer(self) -> Writer: ...

    @cached_property
    def compaction_policy(self) -> CompactionPolicy:
        """When merging is advised, and what puts merge by themselves; given when the store was opened."""
        from fastk.engine.compaction import CompactionPolicy

        return self._given_policy or CompactionPolicy()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Commit many changes together: ``with store.batch(): ...`` writes at its end, one commit a series.

        Any number of puts, deletions and merges of any number of series. What they may not do is refused at once, by
        the state that the batch has so far; reads go on seeing the committed state. If the block raises, nothing is
        written. Each series is atomic by itself; when a failure of the disk interrupts the commits, some series may be
        in their new state and the others in their old one. Registrations and drops take effect at once.

        The store's lock is held meanwhile: other threads' writes wait. Cost: the syncs of a commit (a file each, its
        folders) a series that changed, however many puts it had.
        """
        writer = self._open_writer()
        self.init()
        with writer.batch():
            yield

    def merge_series(self, key: Any, partition_key: str | None = None) -> MergeResult:
        """:meth:`fastk.Series.merge` of any series."""
        return self.series(key).merge(partition_key)

    def compaction_advice(self, key: Any) -> list[CompactionDecision]:
        """:meth:`fastk.Series.compaction_advice` of any series, by the store's policy."""
        return self.series(key).compaction_advice(self.compaction_policy)

    def merge_kline_month(self, symbol: str, timeframe: str, month_key: str) -> MergeResult:
        """Merge a month (``2024-01``) of bars."""
        return self.merge_series((symbol, KLINE_CATEGORY, timeframe), month_key)

    def kline_compaction_advice(self, symbol: str, timeframe: str) -> list[CompactionDecision]:
        """The advice for each month of a kline series."""
        return self.compaction_advice((symbol, KLINE_CATEGORY, timeframe))

    def gc(self, *, dry_run: bool = False, grace_seconds: float | None = None) -> GcReport:
        """Remove files that were retired longer than the grace period ago, and those that nothing names.

        Writers do the first by themselves, with the next commit of a series. ``grace_seconds`` overrides the store's; a
        reader that pinned its snapshot before that may then find it expired. Files of other programs are never touched.
        ``dry_run`` only reports. A series or folder that cannot be read is a ``problem`` of the report and left alone.
        """
        from fastk.engine.results import GcReport

        grace_ms = self._grace_ms if grace_seconds is None else _checked_grace(grace_seconds)
        self._check_open()
        writer = self._writer if dry_run else self._open_writer()
        if not dry_run:
            self.init()
            with writer.alone("gc"):
                pass  # a lock that cannot be had is an error of the store, and no problem of each series
        reports, problems = list[GcReport](), list[str]()
        for key, _ in self._series_folders(lambda path, error: problems.append(str(error))):
            self.series(key)
            with _noting(problems), suppress(NotFound):
                reports.append(writer.collect(self._readers[key], grace_ms, dry_run=dry_run))
        with _noting(problems):
            reports.append(writer.collect_dropped(grace_ms, dry_run=dry_run))
        return GcReport(
            dry_run,
            sum(report.removed_files for report in reports),
            sum(report.removed_bytes for report in reports),
            sum(report.retired_files for report in reports),
            [os.path.relpath(path, self.root) for report in reports for path in report.removed_paths],
            problems,
        )


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    """Note what is wrong with one series, and go on with the others."""
    try:
        yield
    except (LockTimeout, StoreClosed, SyncFailed, InvalidInput):  # true of every series
        raise
    except (FastKError, OSError) as error:
        problems.append(str(error))


def _checked_grace(seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e9:
        raise InvalidInput(f"grace_seconds must be a number of seconds from 0 to 10**9, not {seconds!r}")
    return int(seconds * 1000)
