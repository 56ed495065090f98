"""Every command of the three programs, as argparse parsers: what the reference and shell completion go through."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from fastk.bridge.commands import BATCH, COMMANDS, arguments_of
from fastk.bridge.options import FLAG
from fastk.cli import admin, main

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastk.bridge.options import Option

# The bridge's usage has one line a command, without a word on each: those stand here.
_BRIDGE = {
    "read-kline-range": "the bars of a window",
    "write-kline-range": "store bars",
    "kline-inventory": "what is stored of a series of bars",
    "read-indicator-range": "the values of an indicator in a window",
    "write-indicator-range": "store values of an indicator",
    "indicator-inventory": "what is stored of an indicator",
    "read-scalar-range": "the values of a scalar series in a window",
    "query-scalar-predicate": "the times at which a value satisfies a condition",
    "write-scalar-range": "store values of a scalar series",
    "scalar-inventory": "what is stored of a scalar series",
    "batch": "many commands in one process, one line of JSON each",
}


def programs() -> list[argparse.ArgumentParser]:
    """The parsers of the programs, `fastk` first, which holds the others as commands."""
    parser = main.build_parser()
    commands = subcommands(parser)
    commands["admin"], commands["bridge"] = admin.build_parser("fastk admin"), bridge_parser("fastk bridge")
    commands["doctor"] = subcommands(admin.build_parser("fastk"))["doctor"]
    return [parser, admin.build_parser(), bridge_parser("fastk_bridge")]


def bridge_parser(program: str) -> argparse.ArgumentParser:
    """The declarations of the bridge, which itself reads its arguments without argparse."""
    parser = argparse.ArgumentParser(program, description="JSON commands over a FastK store.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in (*COMMANDS, BATCH):
        command = commands.add_parser(name, help=_BRIDGE[name])
        for option in arguments_of(name):
            _add(command, option)
    return parser


def _add(command: argparse.ArgumentParser, option: Option) -> None:
    kind: dict[str, Any] = {"metavar": option.kind.placeholder}
    if option.kind is FLAG:
        kind = {"action": "store_true"}
    command.add_argument(f"--{option.name}", required=option.required, **kind)


# argparse has no public way to ask a parser what was added to it: its private names are used from here on only.


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser by their names; empty where it has none."""
    found = _groups_of_commands(parser)
    return found[0].choices if found else {}


def summaries(parser: argparse.ArgumentParser) -> Mapping[str, str]:
    """What the help of a parser says of each command."""
    listed = [choice for group in _groups_of_commands(parser) for choice in group._choices_actions]
    return {choice.dest: choice.help or "" for choice in listed}


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Options and positional arguments of one command, without ``--help`` and without those that help hides."""
    left_out = (argparse._SubParsersAction, argparse._HelpAction)
    found = [action for action in parser._actions if not isinstance(action, left_out)]
    return [action for action in found if action.help != argparse.SUPPRESS]


def _groups_of_commands(parser: argparse.ArgumentParser) -> list[argparse._SubParsersAction[argparse.ArgumentParser]]:
    return [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
