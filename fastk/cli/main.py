"""The `fastk` command: its arguments, and one way to fail.

A subcommand's module is imported when it runs, so that `fastk --help` costs no pandas. Whatever goes wrong outside of
the program, wrong arguments included, ends as one line on stderr and exit status 1.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fastk.cli import completion, examples, export, import_files, inspecting, migrate, registry
from fastk.cli.failures import INTERRUPTED, PIPE_CLOSED, check_environment, discard_output, one_line, prepare_process
from fastk.errors import FastKError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEMO_NEEDS = ("pandas", "rich", "bokeh_sampledata")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    prepare_process()
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        status = command(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return PIPE_CLOSED
    except ModuleNotFoundError as error:
        if "pip install" not in str(error):  # a library of FastK's own
            raise
        print(f"fastk: {one_line(error)}", file=sys.stderr)
        return 1
    except (FastKError, OSError, MemoryError) as error:
        print(f"fastk: {one_line(error)}", file=sys.stderr)
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
    _add_bench(commands)
    _add_elsewhere(commands)
    inspecting.add_parsers(commands)
    registry.add_parser(commands)
    import_files.add_parser(commands)
    export.add_parser(commands)
    migrate.add_parser(commands)
    completion.add_parser(commands)
    examples.show(parser, examples.PROGRAM)
    for name, text in examples.COMMANDS.items():
        examples.show(commands.choices[name], text)
    return parser


def _add_demo(commands: argparse._SubParsersAction[Parser]) -> None:
    demo = commands.add_parser("demo", help="store, read and verify real market data, and show how fast")
    demo.add_argument("--csv", metavar="FILE", type=_path, help="your own bars: time, open, high, low, close[, volume]")
    demo.add_argument("--root", metavar="FOLDER", type=_path, help="keep the store in this new folder")
    demo.add_argument("--keep", action="store_true", help="keep the store in the temporary folder")
    demo.add_argument("--json", action="store_true", help="print the figures for programs")
    demo.set_defaults(command=_run_demo)


def _add_warmup(commands: argparse._SubParsersAction[Parser]) -> None:
    warmup = commands.add_parser("warmup", help="compile the kernels now, so that no read has to wait for it")
    warmup.add_argument("--json", action="store_true", help="print the seconds for programs")
    warmup.set_defaults(command=_run_warmup)


def _add_bench(commands: argparse._SubParsersAction[Parser]) -> None:
    bench = commands.add_parser("bench", help="how long each read of a store takes here: percentiles, and a chart")
    bench.add_argument("store", nargs="?", metavar="STORE", help="it is only read (default: one that is made for this)")
    bench.add_argument("--series", type=int, default=8, metavar="N", help="how many series are sampled (default 8)")
    bench.add_argument("--seconds", type=float, default=0.5, metavar="S", help="for each operation (default 0.5)")
    bench.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample (default 0)")
    bench.add_argument("--json", action="store_true", help="print the profile for programs")
    bench.set_defaults(command=_run_bench)


def _add_elsewhere(commands: argparse._SubParsersAction[Parser]) -> None:
    """For the list only: `fastk.__main__` hands these on before this module is imported."""
    admin = commands.add_parser("admin", help="validate, scrub, repair and look at a store; the same as fastk_admin")
    bridge = commands.add_parser("bridge", help="JSON commands for callers in any language; the same as fastk_bridge")
    doctor = commands.add_parser("doctor", help="what this machine and file system promise a store, and what not")
    for name, parser in (("fastk_admin", admin), ("fastk_bridge", bridge), ("fastk_admin doctor", doctor)):
        parser.set_defaults(command=functools.partial(_run_elsewhere, name))


def _run_elsewhere(program: str, options: argparse.Namespace) -> int:
    raise FastKError(f"it is not run from here; call {program}")


def _run_demo(options: argparse.Namespace) -> int:
    missing = [name for name in DEMO_NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise FastKError(f"the demo needs {', '.join(missing)}: pip install 'fastk-engine[demo]'")
    check_environment()
    from fastk.cli import demo

    return demo.run(options)


def _run_warmup(options: argparse.Namespace) -> int:
    check_environment()
    from fastk.cli import warmup

    return warmup.run(options)


def _run_bench(options: argparse.Namespace) -> int:
    check_environment()
    from fastk.cli import bench

    return bench.run(options)


def _without_command(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if not options.version:
        parser.print_help()
        return 0
    import fastk

    print(f"fastk {fastk.__version__}")
    return 0


def _path(text: str) -> Path:
    return Path(text).expanduser()
