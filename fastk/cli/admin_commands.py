"""What the commands of `fastk_admin` do: each one call of the library. All of them work without extras.

What looks for damage is imported where it is used: listings need none of it.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.cli.failures import printable
from fastk.errors import InvalidData, InvalidInput, UnsupportedVersion
from fastk.format import names
from fastk.format.store_file import encode_store_file
from fastk.io.disk import Disk
from fastk.keys import KLINE_CATEGORY, SeriesKey
from fastk.recovery.survey import StoreFile, survey

if TYPE_CHECKING:
    import argparse

    from fastk.recovery.reports import RecoveryReport
    from fastk.recovery.verdicts import Verdict
    from fastk.store.reports import SeriesInventoryEntry
    from fastk.store.series import Series
    from fastk.store.store import FastKStore


class Answer(NamedTuple):
    """What a command found. ``problem`` makes it fail behind the report."""

    report: Any
    problem: str | None = None


def run(options: argparse.Namespace) -> Answer:
    """Run the command of some options."""
    return _COMMANDS[options.command](options)


# Damage


def _validate(options: argparse.Namespace) -> Answer:
    from fastk.recovery import validate

    found = validate.validate(Disk(), options.root, verbose=options.verbose)
    return Answer(found, _problem([verdict for each in found for verdict in each.damage]))


def _scrub(options: argparse.Namespace) -> Answer:
    from fastk.cli.admin_progress import progress
    from fastk.recovery import validate

    with progress("scrubbing") as tell:
        found = validate.scrub(Disk(), options.root, verbose=options.verbose, progress=tell)
    return Answer(found, _problem([verdict for each in found for verdict in each.validation.damage]))


def _problem(damage: list[Verdict]) -> str | None:
    """One line about all that is damaged."""
    if not damage:
        return None
    more = f" (and {len(damage) - 1:,} more)" if len(damage) > 1 else ""
    return printable(f"{damage[0]}{more}")


def _repair(options: argparse.Namespace) -> Answer:
    from fastk.cli.admin_progress import progress
    from fastk.recovery.repair import repair

    with progress("repairing") as tell:
        return _recovery(repair(Disk(), options.root, dry_run=options.dry_run, progress=tell))


def _rebuild(options: argparse.Namespace) -> Answer:
    from fastk.cli.admin_progress import progress
    from fastk.recovery.repair import rebuild_manifests

    with progress("rebuilding") as tell:
        return _recovery(rebuild_manifests(Disk(), options.root, dry_run=options.dry_run, progress=tell))


def _recovery(report: RecoveryReport) -> Answer:
    """What a repair did. Rows that are lost are something wrong, though all that is left is in order now."""
    if report.unrepaired:
        return Answer(report, printable(f"not repaired: {_first_of(report.unrepaired)}"))
    if report.lost_rows:
        from fastk.recovery.reports import how_many

        first = report.lost_rows[0]
        rows = how_many(report.lost_rows)
        return Answer(report, printable(f"{rows} are lost: see lost_rows; the first are of {first.series}"))
    return Answer(report)


def _first_of(problems: list[str]) -> str:
    more = len(problems) - 1
    return f"{problems[0]} (and {more:,} more)" if more else problems[0]


def _list_orphans(options: argparse.Namespace) -> Answer:
    from fastk.recovery import listings

    return Answer(listings.list_orphans(Disk(), options.root))


def _explain_overlap(options: argparse.Namespace) -> Answer:
    from fastk.recovery import listings

    return Answer(listings.explain_overlaps(Disk(), options.root))


def _health(options: argparse.Namespace) -> Answer:
    from fastk.recovery import listings, validate

    found = validate.validate(Disk(), options.root)
    return Answer(listings.summary(found), _problem([verdict for each in found for verdict in each.damage]))


# What is stored


class _ForgivingDisk(Disk):
    """Gives a store file where the root's is missing or damaged, so that what is sound can be listed."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self._store_file = os.path.join(root, names.STORE_FILE)

    def read(self, path: str) -> bytes:
        """The whole content of a file."""
        return encode_store_file() if path == self._store_file else super().read(path)


def open_for_reading(root: str) -> FastKStore:
    """The store, for reading; also one whose store file is gone, and one of the original's."""
    from fastk.store.store import FastKStore

    try:
        state = survey(Disk(), root).store_file
    except UnsupportedVersion:
        return FastKStore.open(root, "r")
    needs_forgiveness = state in (StoreFile.MISSING, StoreFile.CORRUPT)
    return FastKStore.open(root, "r", disk=_ForgivingDisk(root) if needs_forgiveness else None)


def _list_series(options: argparse.Namespace) -> Answer:
    entries = _listed(options.root)
    return Answer(entries, _unreadable(entries))


def _listed(root: str) -> list[SeriesInventoryEntry]:
    from fastk.cli.admin_progress import counting

    with open_for_reading(root) as store, counting("listing series") as tell:
        return store.list_series(progress=tell)


def _unreadable(entries: list[SeriesInventoryEntry]) -> str | None:
    problems = [printable(entry.problem) for entry in entries if entry.problem is not None]
    return f"{len(problems)} of {len(entries)} series cannot be read: {problems[0]}" if problems else None


def _stats(options: argparse.Namespace) -> Answer:
    from fastk.store import reports

    entries = _listed(options.root)
    return Answer(reports.store_stats(entries), _unreadable(entries))


def _inventory(options: argparse.Namespace) -> Answer:
    with open_for_reading(options.root) as store:
        return Answer(store.series(key_of(options)).month_inventory())


def key_of(options: argparse.Namespace) -> SeriesKey:
    """The series that options name; InvalidInput if they name none."""
    bars, other = options.timeframe is not None, (options.category, options.name)
    if bars and other == (None, None):
        return SeriesKey(options.symbol, KLINE_CATEGORY, options.timeframe)
    if not bars and None not in other:
        return SeriesKey(options.symbol, *other)
    raise InvalidInput(f"{options.command} takes --symbol with --timeframe, or with --category and --name")


def _capabilities(options: argparse.Namespace) -> Answer:
    with open_for_reading(options.root) as store:
        series = store.series((options.symbol, options.category, options.name))
        return Answer(series.query_capabilities(_value_column(series)))


def _value_column(series: Series) -> str:
    if "value" not in series.schema.names:
        raise InvalidData(f"series {series.key} holds {series.schema.name} records and no single values")
    return "value"


def _merge(options: argparse.Namespace) -> Answer:
    from fastk.cli import admin_upkeep

    return admin_upkeep.merge(options)


def _advise(options: argparse.Namespace) -> Answer:
    from fastk.cli import admin_upkeep

    return admin_upkeep.advise(options)


def _collect(options: argparse.Namespace) -> Answer:
    from fastk.cli import admin_upkeep

    return admin_upkeep.collect(options)


def _doctor(options: argparse.Namespace) -> Answer:
    from fastk.cli import admin_doctor

    return Answer(admin_doctor.examine(options.root))


_COMMANDS = {
    "validate": _validate,
    "scrub": _scrub,
    "repair": _repair,
    "rebuild-manifest": _rebuild,
    "merge": _merge,
    "compaction-advice": _advise,
    "gc": _collect,
    "list-orphans": _list_orphans,
    "explain-overlap": _explain_overlap,
    "list-series": _list_series,
    "stats": _stats,
    "health": _health,
    "inventory": _inventory,
    "capabilities": _capabilities,
    "doctor": _doctor,
}
