"""The page on the command line, from the parsers: ``python -m fastk.cli.reference docs/cli.md`` writes it anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fastk.cli import commands

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_HEAD = """\
# Command line

<!-- Made by `python -m fastk.cli.reference docs/cli.md`. Do not edit. -->

`fastk` is one program with a command for each task. `fastk_admin` and `fastk_bridge` are its commands `admin` and
`bridge` under names of their own, and `python -m fastk` and `fastk-engine` are `fastk`. Every command has `--help`.

Results go to stdout. What is wrong goes to stderr in one line, and the exit status is 1: 130 after an interrupt, 141
when nobody reads the output. `--json` prints JSON, and so do most commands without it where the output is no terminal:
all but demo, warmup and bench, which are for people first. [Looking after a store](admin.md) and
[the bridge](bridge.md) say more of theirs.
"""


def page() -> str:
    """The page in Markdown."""
    parser = commands.programs()[0]
    return "\n".join([_HEAD, *(line for part in _tree(parser, 2) for line in part), ""]).rstrip() + "\n"


def _tree(parser: argparse.ArgumentParser, level: int) -> Iterator[list[str]]:
    """The commands of a parser and theirs, in the order of its help, headings one level deeper each time."""
    summaries = commands.summaries(parser)
    for name, command in commands.subcommands(parser).items():
        yield _section(command, level, summaries.get(name, ""))
        yield from _tree(command, level + 1)


def _section(command: argparse.ArgumentParser, level: int, summary: str) -> list[str]:
    """One command: its line, what it is for, its arguments, and its examples."""
    said = command.description or summary
    lines = [f"{'#' * level} {command.prog}", ""]
    if not commands.subcommands(command):
        lines += ["```text", _line(command), "```", ""]
    lines += [_sentence(said), ""] if said else []
    explained = [argument for argument in commands.arguments(command) if argument.help]
    if explained:
        lines += ["| argument | meaning |", "|---|---|", *(_row(argument) for argument in explained), ""]
    if command.epilog:
        lines += ["```text", command.epilog.strip("\n"), "```", ""]
    return lines


def _line(command: argparse.ArgumentParser) -> str:
    """The command with all that it takes. Options come first; those in brackets may be left out."""
    found = commands.arguments(command)
    options = [action for action in found if action.option_strings]
    required = [_spelt(action) for action in options if action.required]
    others = [f"[{_spelt(action)}]" for action in options if not action.required]
    places = [_spelt(action) for action in found if not action.option_strings]
    return " ".join([command.prog, *required, *others, *places])


def _spelt(action: argparse.Action) -> str:
    value = _value(action)
    if action.option_strings:
        return f"{max(action.option_strings, key=len)} {value}".rstrip()
    return {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}.get(str(action.nargs), value)


def _value(action: argparse.Action) -> str:
    """What stands for the value of an argument; nothing for a flag."""
    if action.nargs == 0:
        return ""
    if action.metavar is not None:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper().replace("_", "-")


def _row(action: argparse.Action) -> str:
    spelt = " ".join(filter(None, (", ".join(action.option_strings), _value(action))))
    return f"| `{_cell(spelt)}` | {_cell(_plain(action.help or '') % vars(action))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _sentence(text: str) -> str:
    """Capital and full stop, as help has neither."""
    text = _plain(text.strip())
    return text[0].upper() + text[1:] + ("" if text.endswith((".", ":", "`")) else ".")


def _plain(text: str) -> str:
    """Without what Markdown would take for markup of its own."""
    return text.replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
