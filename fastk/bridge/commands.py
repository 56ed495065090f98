"""The ten commands as declarations: names, options, payloads, and where the function is that does each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.bridge.options import FLAG, INTEGER, INTEGERS, PATH, TEXT, TIME_UNIT, Option
from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from fastk.bridge.answers import Answer
    from fastk.bridge.options import Options
    from fastk.store.store import FastKStore


class Shape(NamedTuple):
    """What a payload holds beside other fields, which are ignored: integers, and records of integers."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    columns: tuple[str, ...]


class Command(NamedTuple):
    """One command. The function that does it has its name, in ``module`` of this package."""

    name: str
    module: str
    options: tuple[Option, ...]
    payload: Shape | None = None

    def execute(self, store: FastKStore, options: Options, document: Any = None) -> Answer:
        """Do it. ``document`` is the parsed payload, for a command that takes one."""
        action = getattr(import_module(f"fastk.bridge.{self.module}"), self.name.replace("-", "_"))
        if self.payload is None:
            answer: Answer = action(store, options)
        else:
            from fastk.bridge.payload import checked

            answer = action(store, options, checked(document, self.payload))
        return answer


ROOT = Option("root", PATH)
INPUT = Option("input-json", PATH, required=False)

_SERIES = (ROOT, Option("symbol", TEXT), Option("timeframe", TEXT), Option("time-unit", TIME_UNIT, required=False))
_INDICATOR = (*_SERIES, Option("indicator-name", TEXT))
_SCALAR = (*_SERIES, Option("category", TEXT), Option("name", TEXT))
_WINDOW = (Option("start-ts", INTEGER), Option("end-ts", INTEGER))
_PREDICATE = (
    Option("predicate", TEXT),
    Option("value", INTEGER, required=False),
    Option("min", INTEGER, required=False),
    Option("max", INTEGER, required=False),
    Option("values", INTEGERS, required=False),
    Option("return-values", FLAG, required=False),
)

_BARS = Shape(("timeframe_ms", "price_scale", "volume_scale"), (), ("ts", "open", "high", "low", "close", "volume"))
_VALUES = Shape((), (), ("ts", "value"))
_TIMED_VALUES = Shape((), ("timeframe_ms",), ("ts", "value"))

COMMANDS = {
    command.name: command
    for command in (
        Command("read-kline-range", "reads", (*_SERIES, *_WINDOW)),
        Command("write-kline-range", "writes", _SERIES, _BARS),
        Command("kline-inventory", "inventories", _SERIES),
        Command("read-indicator-range", "reads", (*_INDICATOR, *_WINDOW)),
        Command("write-indicator-range", "writes", _INDICATOR, _VALUES),
        Command("indicator-inventory", "inventories", _INDICATOR),
        Command("read-scalar-range", "reads", (*_SCALAR, *_WINDOW)),
        Command("query-scalar-predicate", "queries", (*_SCALAR, *_WINDOW, *_PREDICATE)),
        Command("write-scalar-range", "writes", _SCALAR, _TIMED_VALUES),
        Command("scalar-inventory", "inventories", _SCALAR),
    )
}
BATCH = "batch"
BATCH_OPTIONS = (ROOT._replace(required=False),)


def command_named(name: Any, others: tuple[str, ...] = ()) -> Command:
    """The command of a name; InvalidInput if there is none, which names the ``others`` too that there are."""
    if not isinstance(name, str) or name not in COMMANDS:
        raise InvalidInput(f"there is no command {str(name)[:40]!r}; there are {', '.join((*COMMANDS, *others))}")
    return COMMANDS[name]


def arguments_of(name: str) -> tuple[Option, ...]:
    """The options that a command, or the batch, takes as arguments."""
    if name == BATCH:
        return BATCH_OPTIONS
    command = command_named(name, (BATCH,))
    return command.options if command.payload is None else (*command.options, INPUT)
