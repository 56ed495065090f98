"""What ``--help`` says."""

from __future__ import annotations

from fastk.bridge.commands import BATCH, COMMANDS, INPUT, arguments_of

_HEAD = "usage: fastk_bridge COMMAND --option value ...\n\nJSON commands over a FastK store.\n"
_PREDICATES = """\
P is eq, ne, gt, gte, lt or lte (with --value), between or between-exclusive (with --min and --max), in-set or
not-in-set (with --values)."""
_TIMES = "Times are UTC milliseconds since 1970; ranges include both ends."
_OUTCOME = """\
Success: one JSON object on stdout, exit status 0. Failure: one line on stderr, exit status 1, nothing on stdout."""
_WRITES = "Writes read a JSON payload from PATH or stdin, and store all of it or nothing."
_BATCH = """\
`batch` reads one JSON command a line from stdin and answers each with one line, until stdin ends:
  {"command": "read-kline-range", "root": "store", "symbol": "BTCUSDT", "timeframe": "1m", "start_ts": 0, "end_ts": 9}
Writes have their payload under "input" there; an "id" comes back in the answer."""


def usage() -> str:
    """The usage of the whole program."""
    lines = "".join(f"\n  {line_of(name)}" for name in (*COMMANDS, BATCH))
    return f"{_HEAD}{lines}\n\n{_PREDICATES} {_TIMES}\n\n{_OUTCOME}\n{_WRITES}\n{_BATCH}\n"


def usage_of(name: str) -> str:
    """The usage of one command: its options, and what is to be known of them."""
    options = arguments_of(name)
    names = {option.name for option in options}
    notes = (
        (_PREDICATES, "predicate" in names),
        (_TIMES, "start-ts" in names),
        (_OUTCOME, name != BATCH),
        (_WRITES, INPUT in options),
        (_BATCH, name == BATCH),
    )
    return f"usage: fastk_bridge {line_of(name)}\n\n" + "".join(f"{note}\n" for note, applies in notes if applies)


def line_of(name: str) -> str:
    """A command and its options."""
    shown = [option.usage.replace("predicate TEXT", "predicate P") for option in arguments_of(name)]
    return f"{name} {' '.join(shown)}"
