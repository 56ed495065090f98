"""Options: how each kind of value is written, as an argument and as JSON, and how a command's options are read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Options = Mapping[str, Any]

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")  # python refuses to convert more digits than 4,300


class Kind(NamedTuple):
    """A kind of value: its placeholder in the usage, and its readers, which raise InvalidInput."""

    placeholder: str
    from_text: Callable[[str], Any]
    from_json: Callable[[Any], Any]


class Option(NamedTuple):
    """One option of a command; ``name`` as on the command line, without its dashes."""

    name: str
    kind: Kind
    required: bool = True

    @property
    def key(self) -> str:
        """Its name in JSON and in code."""
        return self.name.replace("-", "_")

    @property
    def usage(self) -> str:
        """As the usage shows it."""
        shown = f"--{self.name} {self.kind.placeholder}".rstrip()
        return shown if self.required else f"[{shown}]"


def is_int64(value: Any) -> bool:
    """Whether a JSON value is an integer (5.0 and true are none) that 64 bits hold."""
    return type(value) is int and -(2**63) <= value < 2**63


def _refused(value: Any, reason: str) -> InvalidInput:
    from fastk.bridge.strict_json import shown

    return InvalidInput(f"{shown(value)} {reason}")


def _integer_of_text(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise _refused(text, "is no decimal integer")
    if not is_int64(int(text)):
        raise _refused(text, "does not fit a signed 64-bit integer")
    return int(text)


def _integer_of_json(value: Any) -> int:
    if not is_int64(value):
        raise _refused(value, "is no signed 64-bit integer")
    return int(value)


def _integers_of_text(text: str) -> list[int]:
    """``1,-2, 3``; blanks around the items do not matter, and a blank text is no items."""
    return [_integer_of_text(item.strip(" ")) for item in text.split(",")] if text.strip(" ") else []


def _integers_of_json(value: Any) -> list[int]:
    if type(value) is not list:
        raise _refused(value, "is no list of integers")
    return [_integer_of_json(item) for item in value]


def _text(value: Any) -> str:
    if type(value) is not str or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _refused(value, "is no text in UTF-8")
    return value


def _path(value: Any) -> str:
    """Names of files need not be UTF-8."""
    if type(value) is not str or not value:
        raise _refused(value, "is no path")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise _refused(value, "is neither true nor false")
    return value


TEXT = Kind("TEXT", _text, _text)
PATH = Kind("PATH", _path, _path)
INTEGER = Kind("INT", _integer_of_text, _integer_of_json)
INTEGERS = Kind("A,B,...", _integers_of_text, _integers_of_json)
FLAG = Kind("", _flag, _flag)


def from_arguments(declared: Sequence[Option], arguments: Sequence[str]) -> Options:
    """The options of a command line by their keys, None for those left out."""
    import argparse  # here, because a batch and the usage do without it: 6 ms of a process

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise InvalidInput(message)

    parser = Parser(add_help=False, allow_abbrev=False)
    for option in declared:
        action = "store_true" if option.kind is FLAG else "store"
        parser.add_argument(f"--{option.name}", action=action, required=option.required)
    found = vars(parser.parse_args(joined(declared, arguments)))
    for option in declared:
        if isinstance(found[option.key], str):
            found[option.key] = _read(f"--{option.name}", option.kind.from_text, found[option.key])
    return found


def joined(declared: Sequence[Option], arguments: Sequence[str]) -> list[str]:
    """The arguments with every value joined to its option, so that a value may begin with a dash.

    An option takes the next argument unless that is an option itself. One that stands twice is refused: which of the
    two is meant, the caller must know.
    """
    flags = {f"--{option.name}": option.kind is FLAG for option in declared}
    words, rest = [], list(reversed(arguments))
    while rest:
        word = rest.pop()
        if flags.get(word) is False and rest and rest[-1] not in (*flags, "--help"):
            word = f"{word}={rest.pop()}"
        words.append(word)
    names = [name for name in (word.partition("=")[0] for word in words) if name in flags]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"{name} stands twice")
    return words


def from_object(declared: Sequence[Option], given: Mapping[str, Any]) -> Options:
    """The options of a JSON object, whose keys are options only; None for those left out, False for flags."""
    known = {option.key: option for option in declared}
    for key in given:
        if key not in known:
            raise InvalidInput(f"the key {key[:40]!r} is unknown here; known: {', '.join(known)}")
    for key, option in known.items():
        if option.required and key not in given:
            raise InvalidInput(f"{key} is missing")
    absent = {key: False if option.kind is FLAG else None for key, option in known.items()}
    return absent | {key: _read(key, known[key].kind.from_json, value) for key, value in given.items()}


def _read(name: str, reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reader(value)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from None
