"""`fastk import`: files of other programs into a series."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from fastk.cli.failures import check_environment, printable
from fastk.cli.json_output import plain, print_json, wants_json
from fastk.errors import FastKError

if TYPE_CHECKING:
    from fastk.schema.schema import Schema
    from fastk.store.import_report import ImportReport

_DESCRIPTION = """Put the rows of CSV, JSON lines, Parquet or Arrow files into one series, exactly or not at all. Every
line is read and checked first; the first that is wrong is named by file and line, and nothing is written. Killed on the
way, the same command goes on."""

_EXAMPLES = """examples:
  # bars, times in UTC without saying so; the scales of prices and volumes are found
  fastk import my-store 'BTCUSDT-1m-*.csv.gz' --symbol BTCUSDT --category kline --name 1m --map ts=timestamp --zone UTC

  # the same without a header line, times in milliseconds, columns by position
  fastk import my-store dump.csv --symbol BTCUSDT --category kline --name 1m --no-header \\
      --map ts=1,open=2,high=3,low=4,close=5,volume=6 --time-unit ms

  # trades: what a word means, what all rows have, and noise of binary floats rounded away
  fastk import my-store trades.parquet --symbol BTCUSDT --category trade --name spot \\
      --map ts=timestamp,recv_ts=timestamp,qty=quantity,side=buyer_maker \\
      --values side=True:-1,False:1 --set flags=0 --round qty=8

  # only look
  fastk import my-store quotes.csv --symbol EURUSD --category bbo --name fx --dry-run

  # a record type of your own
  fastk import my-store rates.jsonl --symbol BTC --category funding --name 8h \\
      --field rate:i8:rate_scale --field interval:i2 --time-unit s
"""


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """All options."""
    parser = commands.add_parser(
        "import",
        help="put CSV, JSON lines, Parquet or Arrow files into a series",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("store", metavar="STORE", help="the root of a store, or of a new one")
    parser.add_argument("files", metavar="FILE", nargs="+", help="files, or patterns in quotes; .gz and .zst as well")
    _add_series(parser)
    _add_reading(parser)
    _add_times(parser)
    _add_writing(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, as when the output is no terminal")
    parser.set_defaults(command=run)


def _add_series(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the series", "made if it is not there; one that is there keeps its settings")
    for part in ("symbol", "category", "name"):
        group.add_argument(f"--{part}", required=True)
    group.add_argument("--type", help="kline, scalar, trade, bbo, book_delta, or custom: of the file's columns")
    group.add_argument(
        "--field", action="append", default=[], metavar="NAME:DTYPE[:SCALE]", help="a field of a type of your own"
    )
    group.add_argument("--sequence-field", metavar="NAME", help="of such a type: what tells rows of one ts apart")
    group.add_argument("--timeframe-ms", type=int, metavar="N", help="the time from row to row")
    group.add_argument("--store-unit", choices=("ms", "us", "ns"), help="in which the series counts time (ms)")
    group.add_argument("--partition", choices=("year", "month", "day", "hour"))
    group.add_argument(
        "--unique-ts", action=argparse.BooleanOptionalAction, default=None, help="whether a ts comes once only"
    )
    group.add_argument(
        "--scale",
        action="append",
        default=[],
        metavar="FIELD=N",
        help="values are stored as whole numbers times N; 'auto' (the default of a new series) finds N",
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the files")
    group.add_argument("--format", choices=("csv", "jsonl", "parquet", "arrow"), help="where names do not tell it")
    group.add_argument("--delimiter", metavar="C", help="between cells of CSV (',', or a tab in .tsv)")
    group.add_argument("--no-header", action="store_true", help="CSV without names: columns are 1, 2, ...")
    group.add_argument("--columns", metavar="A,B,...", help="names of the columns of CSV without a header line")
    group.add_argument("--skip-lines", type=int, default=0, metavar="N", help="lines of CSV before the header")
    repeated: dict[str, Any] = {"action": "append", "default": []}
    group.add_argument("--map", **repeated, metavar="FIELD=COLUMN", help="which column a field takes; ts=date+time")
    group.add_argument("--set", **repeated, metavar="FIELD=VALUE", help="what all rows have; 'row' numbers them")
    group.add_argument("--values", **repeated, metavar="FIELD=WORD:VALUE,...", help="what words stand for")
    group.add_argument("--round", **repeated, metavar="FIELD=DECIMALS", help="round, half to even")
    group.add_argument("--raw", action="store_true", help="numbers are stored integers, not natural units")


def _add_times(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("times", "nothing is guessed")
    group.add_argument("--zone", help="of times that name none: UTC, Europe/Berlin, ...")
    group.add_argument("--time-unit", choices=("s", "ms", "us", "ns"), help="of times that are numbers")
    group.add_argument("--time-format", metavar="FORMAT", help="of other text, such as '%%d.%%m.%%Y %%H:%%M'")
    group.add_argument(
        "--time-field", action="append", metavar="NAME", help="a field beside ts that holds times (recv_ts)"
    )


def _add_writing(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("writing")
    group.add_argument("--on-conflict", choices=("error", "skip_identical", "replace"), default="error")
    group.add_argument("--atomic", action="store_true", help="one commit of all rows, which are held in memory")
    group.add_argument("--dry-run", action="store_true", help="read, check and report; write nothing")
    group.add_argument("--batch-rows", type=int, metavar="N", help="rows a commit (500000)")
    group.add_argument("--scratch", metavar="FOLDER", help="for temporary files (default: beside the store)")


def run(options: argparse.Namespace) -> int:
    """Import, and print the report."""
    check_environment()
    from fastk.cli.rows_progress import progress
    from fastk.store.store import FastKStore

    with FastKStore.open(options.store) as store, progress() as tell:
        report = store.import_files(
            options.files,
            (options.symbol, options.category, options.name),
            _schema(options),
            file_format=options.format,
            delimiter=_delimiter(options.delimiter),
            header=not options.no_header,
            columns=options.columns.split(",") if options.columns else (),
            skip_lines=options.skip_lines,
            mapping=_pairs(options.map, "--map"),
            constants=_pairs(options.set, "--set"),
            values=_words(options.values),
            rounding={name: _whole(f"--round {name}", text) for name, text in _pairs(options.round, "--round").items()},
            time_unit=options.time_unit,
            time_format=options.time_format,
            zone=options.zone,
            time_fields=tuple(options.time_field or ("recv_ts",)),
            raw=options.raw,
            scales=_scales(options.scale),
            timeframe_ms=options.timeframe_ms,
            store_unit=options.store_unit,
            partition=options.partition,
            unique_ts=options.unique_ts,
            on_conflict=options.on_conflict,
            atomic=options.atomic,
            dry_run=options.dry_run,
            batch_rows=options.batch_rows,
            scratch=options.scratch,
            progress=tell,
        )
    if wants_json(options):
        print_json(plain(report) | {"is_sound": report.is_sound})
    else:
        _show(report)
    if not report.is_sound:
        first, *more = report.problems
        raise FastKError(f"{first}{f' (and {len(more)} more)' if more else ''}")
    return 0


def _schema(options: argparse.Namespace) -> Schema | str | None:
    if not options.field:
        if options.sequence_field:
            raise FastKError("--sequence-field is of a type of your own: declare its fields with --field")
        return options.type or None
    if options.type in ("kline", "scalar", "trade", "bbo", "book_delta"):
        raise FastKError(f"--type {options.type} has fields of its own: leave --field or --type out")
    from fastk.schema.schema import Schema

    fields = [each.split(":") for each in options.field]
    return Schema(options.type or "custom", [("ts", "i8"), *fields], sequence_field=options.sequence_field)


def _delimiter(text: str | None) -> str | None:
    return {"\\t": "\t", "tab": "\t"}.get(text or "", text)


def _pairs(given: list[str], option: str) -> dict[str, str]:
    """``a=1,b=2`` and more of it as a mapping."""
    found: dict[str, str] = {}
    for pair in (each for text in given for each in text.split(",")):
        name, equals, value = pair.partition("=")
        if not equals or not name or name in found:
            raise FastKError(f"{option} {pair!r} is no FIELD=VALUE, or the second of its name")
        found[name] = value
    return found


def _words(given: list[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for text in given:
        name, _, pairs = text.partition("=")
        words = dict(pair.rpartition(":")[::2] for pair in pairs.split(","))
        if not name or not all(words) or not all(words.values()):
            raise FastKError(f"--values {text!r} is no FIELD=WORD:VALUE,WORD:VALUE")
        found[name] = words
    return found


def _whole(what: str, text: str) -> int:
    if not text.isdecimal():
        raise FastKError(f"{what}={text} is no whole number")
    return int(text)


def _scales(given: list[str]) -> dict[str, int | str] | str | None:
    if given == ["auto"]:
        return "auto"
    pairs = _pairs(given, "--scale")
    return {name: text if text == "auto" else _whole(f"--scale {name}", text) for name, text in pairs.items()} or None


def _show(report: ImportReport) -> None:
    lines = [
        ("series", f"{report.series} ({report.record_type})"),
        ("files", f"{len(report.files):,}"),
        ("rows", f"{report.rows:,}"),
        ("from", report.first or "-"),
        ("to", report.last or "-"),
        ("scales", ", ".join(f"{name} {scale:,}" for name, scale in report.scales.items()) or "-"),
        ("out of order", f"{report.out_of_order:,}"),
        ("duplicates", f"{report.duplicates:,}"),
        ("gaps", f"{report.gaps:,} ({report.missing:,} rows missing)" if report.gaps else "0"),
        ("longest gap", " to ".join(report.longest_gap or ["-"])),
    ]
    if not report.dry_run:
        lines += [(name, f"{getattr(report, name):,}") for name in ("accepted", "identical", "replaced", "resumed")]
    for name, value in lines:
        print(printable(f"{name:13}{value}"))
    for problem in report.problems:
        print(printable(f"wrong        {problem}"))
    if report.dry_run:
        print("nothing was written")
