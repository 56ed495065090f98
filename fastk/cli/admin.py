"""`fastk_admin`: its arguments, and one way to fail.

A report goes to stdout, as JSON (``--json``, or where stdout is no terminal) or as tables. What is wrong goes to stderr
in one line, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fastk.cli import examples
from fastk.cli.failures import INTERRUPTED, PIPE_CLOSED, check_environment, discard_output, one_line, prepare_process
from fastk.cli.json_output import print_json, wants_json
from fastk.errors import FastKError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.cli.admin_commands import Answer

PROGRAM = "fastk_admin"

COMMANDS = {
    "validate": "compare manifests, tables, headers and sizes with the files that are there",
    "scrub": "the same, and compare every checksum of every file",
    "repair": "mend what is damaged; damaged files are kept in .fastk.quarantine",
    "rebuild-manifest": "make the manifests anew from the chunks, sound ones as well",
    "list-orphans": "files that no committed state names",
    "explain-overlap": "chunks that claim the same time, and which of them counts",
    "merge": "make one chunk of each partition that has several, of one series or of all",
    "compaction-advice": "for each partition, whether merging it is advised, and why",
    "gc": "remove files that no state younger than the grace period names",
    "list-series": "all series and what they hold",
    "stats": "sums over all series",
    "health": "series, damage and leftovers in numbers",
    "inventory": "the months of one series",
    "capabilities": "how a series of single values can be queried",
    "doctor": "the machine, the file system and the versions, and what is not promised here",
}
_VERBOSE = ("validate", "scrub")
_DRY_RUN = ("scrub", "repair", "rebuild-manifest", "gc")
_OF_A_SERIES = ("inventory", "capabilities")
_OF_ANY_SERIES = ("merge", "compaction-advice")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(1, f"{PROGRAM} failed: {message}; see {self.prog} --help\n")


def build_parser(program: str = PROGRAM) -> argparse.ArgumentParser:
    """All commands and options."""
    parser = Parser(prog=program, description="Looks after a FastK store.", allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description, allow_abbrev=False)
        _add_options(command, name)
    examples.show(parser, examples.ADMIN)
    return parser


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--root", metavar="PATH", type=_path, required=name != "doctor", help="the store's folder")
    command.add_argument("--json", action="store_true", help="JSON also on a terminal")
    if name in _VERBOSE:
        command.add_argument("--verbose", action="store_true", help="notes on retired and orphaned files as well")
    if name in _DRY_RUN:
        command.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    if name in _OF_A_SERIES or name in _OF_ANY_SERIES:
        _add_series(command, name)
    if name == "merge":
        command.add_argument("--partition", metavar="KEY", help="of the series, such as 2024-01; default: all")
    if name == "gc":
        command.add_argument(
            "--grace-seconds", type=float, metavar="N", help="keep what was retired since (default: 3600)"
        )


def _add_series(command: argparse.ArgumentParser, name: str) -> None:
    command.add_argument("--symbol", required=name in _OF_A_SERIES)
    command.add_argument("--category", required=name == "capabilities")
    command.add_argument("--name", help="the full stored name, such as 15m@@rsi_14", required=name == "capabilities")
    if name != "capabilities":
        command.add_argument("--timeframe", help="of bars, in the place of --category and --name")


def _path(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path of a folder")
    return str(Path(text).expanduser().absolute())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    prepare_process()
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return _run(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return PIPE_CLOSED
    except (FastKError, OSError, MemoryError) as error:
        return _fail(one_line(error))


def _run(options: argparse.Namespace) -> int:
    check_environment()
    from fastk.cli import admin_commands

    answer = admin_commands.run(options)
    _show(answer, options)
    sys.stdout.flush()
    return 0 if answer.problem is None else _fail(answer.problem)


def _fail(problem: str) -> int:
    print(f"{PROGRAM} failed: {problem}", file=sys.stderr)
    return 1


def _show(answer: Answer, options: argparse.Namespace) -> None:
    if wants_json(options):
        print_json(answer.report)
    else:
        from fastk.cli import admin_tables

        admin_tables.show(options.command, answer.report)
