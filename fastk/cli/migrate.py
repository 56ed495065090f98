"""`fastk migrate`: a store of this format made from one of the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk.cli.failures import check_environment, printable
from fastk.cli.json_output import plain, print_json, wants_json
from fastk.errors import FastKError

if TYPE_CHECKING:
    import argparse

    from fastk.store.migration_report import MigrationReport, SeriesMigration

_DESCRIPTION = """Make a store of this format from one of the original (FastK in Rust, formats 1 and 2), which stays as
it is. Every row is compared after it was written; only then the target gets its name. Killed on the way, the same
command goes on. The exit status is 1 if the source is damaged: the report says which rows are not there."""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """All options."""
    what = "make a store of this format from one of the original"
    parser = commands.add_parser("migrate", help=what, description=_DESCRIPTION)
    parser.add_argument("source", metavar="SOURCE", help="the root of a store of the original")
    parser.add_argument("target", metavar="TARGET", help="a new folder")
    parser.add_argument("--dry-run", action="store_true", help="verify the source and report, and write nothing")
    parser.add_argument("--json", action="store_true", help="print JSON, as when the output is no terminal")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Migrate, and print the report."""
    check_environment()
    from fastk.cli.admin_progress import progress
    from fastk.store.migration import migrate

    with progress("verifying" if options.dry_run else "migrating") as tell:
        report = migrate(options.source, options.target, dry_run=options.dry_run, progress=tell)
    if wants_json(options):
        print_json(plain(report) | {"is_complete": report.is_complete})
    else:
        _show(report)
    if not report.is_complete:
        first, *more = report.problems
        raise FastKError(f"{first}{f' (and {len(more):,} more)' if more else ''}")
    return 0


def _show(report: MigrationReport) -> None:
    lines = [_line(each) for each in report.series]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for problem in report.problems:
        print(printable(problem))
    for path in report.unnamed_files:
        print(printable(f"{path} was never committed, and is left out"))
    print(_summary(report))


def _line(series: SeriesMigration) -> tuple[str, ...]:
    state = "complete" if series.is_complete else "left out" if series.problem else "rows are lost"
    key = printable(f"{series.symbol}/{series.category}/{series.name}")
    return key, series.record_type, f"{series.migrated_rows:,} of {series.rows:,} rows", state


def _summary(report: MigrationReport) -> str:
    rows = f"{report.rows:,} rows of {len(report.series):,} series"
    if report.dry_run:
        return f"{rows} would go to {report.target}; nothing was written"
    return f"{rows} are in {report.target}, compared one by one{'' if report.is_new else ' once more'}"
