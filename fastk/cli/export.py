"""`fastk export`: a store, or some of its series, in another format. A format is an entry of :data:`FORMATS`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.cli.failures import check_environment, printable
from fastk.cli.json_output import print_json, wants_json
from fastk.errors import FastKError, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.store.exporting import ExportResult

_EXAMPLES = """examples:
  fastk export my-store btc.csv.gz --symbol BTCUSDT --category kline --name 1m --start 2024-01-01 --end 2024-02-01
  fastk export my-store trades.parquet --symbol BTCUSDT --category trade --name spot --raw
  fastk export my-store everything --format parquet --category kline
"""


class Format(NamedTuple):
    """What ``--format`` names: how it is described, and what writes it."""

    what: str
    run: Callable[[argparse.Namespace], int]


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """All options."""
    what = "write a store, or some of its series, in another format"
    parser = commands.add_parser(
        "export",
        help=what,
        description=f"{what[0].upper()}{what[1:]}. One series goes into a file, several into a new folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("store", metavar="STORE", help="the root of a store")
    parser.add_argument("target", metavar="TARGET", help="a file, or a new folder")
    formats = "; ".join(f"{name}: {each.what}" for name, each in FORMATS.items())
    parser.add_argument("--format", choices=FORMATS, help=f"{formats}. Default: what the ending of TARGET says")
    for part in ("symbol", "category", "name"):
        parser.add_argument(f"--{part}", default="*", metavar="PATTERN", help="only the series that match")
    _add_file_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, as when the output is no terminal")
    parser.set_defaults(command=run)


def _add_file_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files", "of csv, jsonl, parquet and arrow")
    group.add_argument("--start", metavar="TIME", help="the first time, in ISO 8601 or in the series' unit")
    group.add_argument("--end", metavar="TIME", help="the last time, included")
    group.add_argument("--columns", metavar="A,B,...", help="only these; of one series")
    group.add_argument("--raw", action="store_true", help="stored integers, not natural units")
    group.add_argument("--times", choices=("iso", "epoch", "typed"), help="ts as text, integers or typed timestamps")
    group.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def run(options: argparse.Namespace) -> int:
    """Export in the format that was named."""
    check_environment()
    return _to_files(options) if options.format is None else FORMATS[options.format].run(options)


def _to_files(options: argparse.Namespace) -> int:
    from fastk.cli.rows_progress import progress
    from fastk.store.store import FastKStore

    with FastKStore.open(options.store, "r") as store, progress() as tell:
        patterns = options.symbol, options.category, options.name
        chosen = store.list_series(*patterns)
        window = {"start": _time(options.start), "end": _time(options.end)}
        told = None if tell is None else lambda done, total: tell("exporting", done, done, total)
        how: dict[str, Any] = {**window, "raw": options.raw, "times": options.times, "progress": told}
        if not chosen:
            raise NotFound("no series match: there is nothing to export; see fastk inspect")
        if len(chosen) == 1 and os.path.splitext(options.target)[1]:
            entry = chosen[0]
            columns = options.columns.split(",") if options.columns else None
            series = store.series((entry.symbol, entry.category, entry.name))
            form = {"file_format": options.format, "columns": columns, "overwrite": options.overwrite}
            results = [series.export(options.target, **form, **how)]
        else:
            _check_folder(options, len(chosen))
            results = store.export_files(options.target, *patterns, file_format=options.format, **how)
    return _print(options, results)


def _to_original(options: argparse.Namespace) -> int:
    from fastk.cli.admin_progress import progress
    from fastk.store.original_export import export_original

    patterns = {part: getattr(options, part) for part in ("symbol", "category", "name")}
    _refuse_file_options(options)
    with progress("exporting") as tell:
        report = export_original(options.store, options.target, progress=tell, **patterns)
    if wants_json(options):
        print_json(report)
    else:
        print(f"{report.rows:,} rows of {len(report.series):,} series are in {report.target}, read back and compared")
    return 0


def _refuse_file_options(options: argparse.Namespace) -> None:
    for name in ("start", "end", "columns", "raw", "times", "overwrite"):
        if getattr(options, name):
            raise FastKError(f"--{name} belongs to files; a store of the original takes whole series")


def _check_folder(options: argparse.Namespace, count: int) -> None:
    what = (
        f"{count:,} series match, which go" if count > 1 else f"{options.target} names no kind of file: the series goes"
    )
    if options.columns or options.overwrite:
        raise FastKError(f"{what} into a new folder: leave --columns and --overwrite out")
    if options.format is None:
        raise FastKError(f"{what} into a new folder: say --format, or name {'one series' if count > 1 else 'a file'}")


def _time(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.lstrip("-").isdecimal() else text


def _print(options: argparse.Namespace, results: list[ExportResult]) -> int:
    if wants_json(options):
        print_json(results)
    else:
        for result in results:
            print(printable(f"{result.rows:,} rows of {result.series} are in {result.path}"))
    return 0


FORMATS = {
    "csv": Format("text with a header line (.csv, .csv.gz, .csv.zst)", _to_files),
    "jsonl": Format("an object a line", _to_files),
    "parquet": Format("Parquet", _to_files),
    "arrow": Format("Arrow IPC, Feather", _to_files),
    "fastk-v2": Format("a store that the original (FastK in Rust) opens", _to_original),
}
