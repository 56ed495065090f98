"""The original's maintenance methods, each a few lines over :mod:`fastk.recovery`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidData, NotFound, UnsupportedVersion
from fastk.keys import as_series_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fastk.engine.gate import WriteGate
    from fastk.engine.reader import SeriesReader
    from fastk.engine.writer import Writer
    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey
    from fastk.recovery.locking import WriteLock
    from fastk.recovery.reports import (
        ManifestValidation,
        OrphanArtifact,
        RecoveryReport,
        ScrubSeriesReport,
        SeriesOverlapExplanation,
        StoreHealthSummary,
    )

    Progress = Callable[[int, int], None]


class RecoveryNames:
    """Methods of :class:`fastk.FastKStore` that look for damage and mend it.

    Those that look see the newest committed state, take no lock and change nothing; damage is reported and never
    raised, :meth:`validate_store` excepted.
    """

    if TYPE_CHECKING:  # what the store itself offers to these methods
        root: str
        _disk: Disk
        _gate: WriteGate
        _readers: dict[SeriesKey, SeriesReader]
        _check_open: Callable[[], None]
        _open_writer: Callable[[], Writer]

        @property
        def is_original(self) -> bool:
            """Whether this is a store of the original."""

    def validate_store(self) -> None:
        """Raise InvalidData naming the first damage that a validation finds; None if there is none."""
        damage = [verdict for each in self.validate_manifest_vs_fs() for verdict in each.damage]
        if damage:
            more = f" (and {len(damage) - 1:,} more; see validate_manifest_vs_fs())" if len(damage) > 1 else ""
            raise InvalidData(f"{damage[0]}{more}")

    def validate_manifest_vs_fs(self) -> list[ManifestValidation]:
        """One report a series, by manifests, tables, headers, sizes and presence; columns are not read (see scrub)."""
        return self._validate(verbose=False)

    def validate_manifest_vs_fs_verbose(self) -> list[ManifestValidation]:
        """The same with a note for each retired file, orphan and file of others."""
        return self._validate(verbose=True)

    def _validate(self, *, verbose: bool) -> list[ManifestValidation]:
        from fastk.recovery import validate

        return self._look(lambda: validate.validate(self._disk, self.root, verbose=verbose)) or []

    def _look(self, look: Callable[[], Any]) -> Any:
        """What a look at the store gives; None where nothing was ever written."""
        self._check_looked_after()
        try:
            return look()
        except NotFound:
            return None

    def _check_looked_after(self) -> None:
        self._check_open()
        if self.is_original:
            raise UnsupportedVersion(
                f"{self.root} is a store of the original FastK: look after it with the original's fastk_admin, or make "
                f"a store of this format from it with `fastk migrate`; series.verify() compares its checksums"
            )

    def scrub_store(self, verbose: bool = False, progress: Progress | None = None) -> list[ScrubSeriesReport]:
        """Validate, and compare every block of every column and every sidecar with its checksum.

        ``progress(done, total)`` is called with bytes. Cost: one pass over all files.
        """
        from fastk.recovery import validate

        return self._look(lambda: validate.scrub(self._disk, self.root, verbose=verbose, progress=progress)) or []

    def list_orphans(self) -> list[OrphanArtifact]:
        """Files of FastK's own that no committed state names."""
        from fastk.recovery import listings

        return self._look(lambda: listings.list_orphans(self._disk, self.root)) or []

    def explain_overlaps(self) -> list[SeriesOverlapExplanation]:
        """Chunks that claim the same time, and which a repair keeps; a sound store has none."""
        from fastk.recovery import listings

        return self._look(lambda: listings.explain_overlaps(self._disk, self.root)) or []

    def health_summary(self) -> StoreHealthSummary:
        """Series, damage and leftovers in numbers. Cost: that of a validation."""
        from fastk.recovery import listings

        found: StoreHealthSummary | None = self._look(lambda: listings.health(self._disk, self.root))
        return found or listings.summary([])

    def repair_store(self) -> RecoveryReport:
        """Mend what is damaged, under the store's lock, and say what was lost.

        Damaged files move to ``.fastk.quarantine/``. The series of this store object then read the newest state.
        """
        return self._repair(dry_run=False)

    def repair_store_dry_run(self) -> RecoveryReport:
        """What :meth:`repair_store` would do; touches nothing and takes no lock."""
        return self._repair(dry_run=True)

    def _repair(self, *, dry_run: bool) -> RecoveryReport:
        from fastk.recovery.repair import repair
        from fastk.recovery.reports import RecoveryReport

        try:
            return self._mend(lambda: repair(self._disk, self.root, dry_run=dry_run, lock=self._lock), dry_run)
        except NotFound:  # nothing was ever written
            return RecoveryReport(dry_run=dry_run)

    def rebuild_manifests(self, key: Any = None, *, dry_run: bool = False) -> RecoveryReport:
        """Make the manifests of all series, or of one, anew from their chunk files, sound ones as well."""
        from fastk.recovery.repair import rebuild_manifests

        series = None if key is None else as_series_key(key)
        return self._mend(
            lambda: rebuild_manifests(self._disk, self.root, series, dry_run=dry_run, lock=self._lock), dry_run
        )

    @property
    def _lock(self) -> WriteLock:
        return _LockOutsideBatches(self._gate, self._open_writer)

    def _mend(self, mend: Callable[[], RecoveryReport], dry_run: bool) -> RecoveryReport:
        self._check_looked_after()
        if dry_run:
            return mend()
        self._gate.check_open()
        try:
            return mend()
        finally:
            for reader in list(self._readers.values()):
                reader.unpin()


class _LockOutsideBatches:
    """The store's lock, for a repair: a batch would commit upon the manifests that the repair has replaced."""

    def __init__(self, gate: WriteGate, writer: Callable[[], Writer]) -> None:
        self._writer = writer
        self.leave_files = gate.leave_files

    def hold(self) -> AbstractContextManager[None]:
        """Hold the lock meanwhile; InvalidInput within a batch, LockTimeout if another writer keeps it."""
        return self._writer().alone("a repair")
