"""`fastk completion`: a script that lets a shell complete the commands and options of all three programs."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from fastk.errors import FastKError

SHELLS = ("bash", "zsh", "fish")
NEEDS = "shtab"
_EXAMPLES = """\
in ~/.bashrc:                   eval "$(fastk completion bash)"
in ~/.zshrc, after compinit:    eval "$(fastk completion zsh)"
in ~/.config/fish/config.fish:  fastk completion fish | source"""
# What an argument of one of these names is, a shell can complete: a file or a folder.
_PATHS = frozenset({"FILE", "FOLDER", "OUTPUT", "PATH", "ROOT", "SOURCE", "STORE", "TARGET"})


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """The one argument."""
    what = "print a script that lets a shell complete commands and options"
    parser = commands.add_parser("completion", help=what, description=what, epilog=_EXAMPLES)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to run the script")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    print(script(options.shell))
    return 0


def script(shell: str) -> str:
    """The script for one of ``SHELLS``; it is made from the parsers as they are now."""
    try:
        shtab = importlib.import_module(NEEDS)
    except ImportError:
        raise FastKError(f"shell completion needs {NEEDS}: pip install 'fastk-engine[cli]'") from None
    from fastk.cli import commands

    programs = commands.programs()
    for program in programs:
        _mark_paths(program, shtab.FILE)
    return "\n".join(shtab.complete(program, shell, f"_complete_{program.prog}") for program in programs)


def _mark_paths(parser: argparse.ArgumentParser, as_path: Any) -> None:
    """Let the shell offer files wherever a command takes one."""
    from fastk.cli import commands

    for action in commands.arguments(parser):
        if action.metavar in _PATHS:
            action.complete = as_path  # type: ignore[attr-defined]
    for command in commands.subcommands(parser).values():
        _mark_paths(command, as_path)
