"""`fastk inspect` and `fastk report`: what is in a store, as tables or JSON, and as a page to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastk.cli.admin_progress import counting
from fastk.cli.failures import check_environment, printable
from fastk.cli.json_output import plain, print_json, wants_json
from fastk.errors import FastKError, InvalidData

if TYPE_CHECKING:
    import argparse

    from fastk.inspect.facts import SeriesFacts, StoreFacts


def add_parsers(commands: argparse._SubParsersAction[Any]) -> None:
    """Both commands and their options."""
    inspect = _add(commands, "inspect", "what is in a store: series, coverage, sizes, gaps, health")
    inspect.add_argument("--series", metavar="GLOB", action="append", help="those that match, such as 'BTC*/kline/*'")
    inspect.add_argument("--gaps", action="store_true", help="look for missing rows of series with a timeframe")
    inspect.set_defaults(command=_inspect)
    report = _add(commands, "report", "the same and charts, as one page that needs no network")
    report.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the page to write")
    report.add_argument("--series", metavar="GLOB", action="append", help="the series to draw; default: the longest")
    report.add_argument("--title", metavar="TEXT", help="default: the name of the store's folder")
    report.add_argument("--no-gaps", action="store_true", help="read no times, and leave out what is missing")
    report.set_defaults(command=_report)


def _add(commands: argparse._SubParsersAction[Any], name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what)
    parser.add_argument("store", metavar="STORE", type=_root, help="the store's folder")
    parser.add_argument("--scrub", action="store_true", help="read every byte and compare every checksum")
    parser.add_argument("--json", action="store_true", help="print JSON, as when the output is no terminal")
    return parser


def _root(text: str) -> str:
    return str(Path(text).expanduser().absolute())


def _inspect(options: argparse.Namespace) -> int:
    check_environment()
    from fastk.cli.admin_commands import open_for_reading
    from fastk.inspect.whole_store import inspect_store

    with open_for_reading(options.store) as store, counting("inspecting") as tell:
        facts = inspect_store(store, options.series or (), gaps=options.gaps, scrub=options.scrub, progress=tell)
    if wants_json(options):
        print_json(as_json(facts))
    else:
        from fastk.cli import inspecting_tables

        inspecting_tables.show(facts, in_detail=bool(options.series))
    _fail_if_damaged(facts)
    return 0


def _report(options: argparse.Namespace) -> int:
    check_environment()
    from fastk.cli.admin_commands import open_for_reading
    from fastk.report.page import write_report

    with open_for_reading(options.store) as store, counting("inspecting") as tell:
        written = write_report(
            store,
            options.output.expanduser(),
            series=options.series or (),
            title=options.title,
            gaps=not options.no_gaps,
            scrub=options.scrub,
            progress=tell,
        )
    series = len(written.facts.series)
    if wants_json(options):
        answer = {"path": written.path, "bytes": written.bytes, "series": series}
        print_json(answer | {"is_sound": written.facts.is_sound})
    else:
        print(printable(f"{written.path}: {written.bytes:,} bytes, {series:,} series"))
    _fail_if_damaged(written.facts)
    return 0


def as_json(facts: StoreFacts) -> dict[str, Any]:
    """All facts as objects, and the sums over them."""
    sums = {"rows": facts.rows, "chunks": facts.chunks, "sizes": _sized(facts), "is_sound": facts.is_sound}
    found: dict[str, Any] = plain(facts)
    return found | sums | {"series": [_series_json(each) for each in facts.series]}


def _series_json(series: SeriesFacts) -> dict[str, Any]:
    sums = {"key": series.key, "chunks": series.chunks, "sizes": _sized(series), "present": series.present}
    found: dict[str, Any] = plain(series) | sums | {"is_sound": series.is_sound}
    if series.gaps is not None:
        found["gaps"]["missing"] = series.gaps.missing
    return found


def _sized(facts: StoreFacts | SeriesFacts) -> dict[str, int]:
    sizes: dict[str, int] = plain(facts.sizes)
    return sizes | {"total": facts.sizes.total}


def _fail_if_damaged(facts: StoreFacts) -> None:
    """What is damaged ends as one line on stderr and exit status 1, behind the report."""
    sys.stdout.flush()
    problems = [str(each) for each in facts.verdicts]
    problems += [f"{each.key}: {each.problem}" for each in facts.series if each.problem and not each.damage]
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise InvalidData(f"{problems[0]}{more}")
    if not facts.is_sound:
        raise FastKError("the store is damaged")
