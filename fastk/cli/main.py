"""The `fastk` command: its arguments, and one way to fail.

A subcommand's module is imported when it runs, so that `fastk --help` costs no pandas. Whatever goes wrong outside of
the program, wrong arguments included, ends as one line on stderr and exit status 1.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fastk.cli import registry
from fastk.errors import FastKError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

INTERRUPTED = 130  # as shells report SIGINT
PIPE_CLOSED = 141  # and SIGPIPE
DEMO_NEEDS = ("pandas", "rich", "bokeh_sampledata")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    _show_any_letter()
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return PIPE_CLOSED
    except (FastKError, OSError) as error:
        print(f"fastk: {_one_line(error)}", file=sys.stderr)
        return 1


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End the program."""
        self.exit(1, f"fastk: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and options."""
    parser = Parser(prog="fastk", description="FastK stores and reads fixed-width market data.")
    parser.add_argument("--version", action="store_true", help="show the version")
    parser.set_defaults(command=functools.partial(_without_command, parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_warmup(commands)
    _add_bridge(commands)
    registry.add_parser(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    demo = commands.add_parser("demo", help="store, read and verify real market data, and show how fast")
    demo.add_argument("--csv", metavar="FILE", type=_path, help="your own bars: time, open, high, low, close[, volume]")
    demo.add_argument("--root", metavar="FOLDER", type=_path, help="keep the store in this new folder")
    demo.add_argument("--keep", action="store_true", help="keep the store in the temporary folder")
    demo.set_defaults(command=_run_demo)


def _add_warmup(commands: argparse._SubParsersAction[Parser]) -> None:
    warmup = commands.add_parser("warmup", help="compile the kernels now, so that no read has to wait for it")
    warmup.set_defaults(command=_run_warmup)


def _add_bridge(commands: argparse._SubParsersAction[Parser]) -> None:
    """For the list only: `fastk.__main__` hands it on before this module is imported."""
    bridge = commands.add_parser("bridge", help="JSON commands for callers in any language; the same as fastk_bridge")
    bridge.set_defaults(command=_run_elsewhere)


def _run_elsewhere(options: argparse.Namespace) -> int:
    raise FastKError("the bridge is not run from here; call fastk_bridge")


def _run_demo(options: argparse.Namespace) -> int:
    missing = [name for name in DEMO_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise FastKError(f"the demo needs {', '.join(missing)}: pip install 'fastk-engine[demo]'")
    _check_environment()
    from fastk.cli import demo

    return demo.run(options)


def _run_warmup(options: argparse.Namespace) -> int:
    _check_environment()
    from fastk.cli import warmup

    return warmup.run(options)


def _check_environment() -> None:
    """A wrong FASTK_KERNELS shows at import, before there is an error of the library's own."""
    try:
        importlib.import_module("fastk.kernels")
    except ValueError as error:
        raise FastKError(str(error)) from None


def _without_command(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if not options.version:
        parser.print_help()
        return 0
    import fastk

    print(f"fastk {fastk.__version__}")
    return 0


def _show_any_letter() -> None:
    """Names of symbols and files may hold letters that the terminal's encoding lacks: they are shown escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _one_line(error: Exception) -> str:
    """The message without line breaks and control characters. The system's errors: what they concern, then why."""
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, FastKError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    line = " ".join(text.split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def _discard_output() -> None:
    """Whoever read the output has gone; without this, the interpreter complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
