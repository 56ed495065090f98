"""`fastk export`: a store, or some of its series, in another format. A format is an entry of :data:`FORMATS`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.cli.failures import check_environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


class Format(NamedTuple):
    """What ``--format`` names: how it is described, and what writes it."""

    what: str
    run: Callable[[argparse.Namespace], int]


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """All options."""
    what = "write a store, or some of its series, in another format"
    parser = commands.add_parser("export", help=what, description=what)
    parser.add_argument("store", metavar="STORE", help="the root of a store")
    parser.add_argument("target", metavar="TARGET", help="a new folder")
    formats = "; ".join(f"{name}: {each.what}" for name, each in FORMATS.items())
    parser.add_argument("--format", required=True, choices=FORMATS, help=formats)
    for part in ("symbol", "category", "name"):
        parser.add_argument(f"--{part}", default="*", metavar="PATTERN", help="only the series that match")
    parser.add_argument("--json", action="store_true", help="print JSON, as when the output is no terminal")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Export in the format that was named."""
    check_environment()
    return FORMATS[options.format].run(options)


def _to_original(options: argparse.Namespace) -> int:
    from fastk.cli.admin_progress import progress
    from fastk.store.original_export import export_original

    patterns = {part: getattr(options, part) for part in ("symbol", "category", "name")}
    with progress("exporting") as tell:
        report = export_original(options.store, options.target, progress=tell, **patterns)
    if options.json or not sys.stdout.isatty():
        print(json.dumps(asdict(report), indent=2))
    else:
        print(f"{report.rows:,} rows of {len(report.series):,} series are in {report.target}, read back and compared")
    return 0


FORMATS = {"fastk-v2": Format("a store that the original (FastK in Rust) opens", _to_original)}
