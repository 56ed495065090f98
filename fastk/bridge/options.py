"""Options: how each kind of value is written, as an argument and as JSON, and how a command's options are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastk.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastk.times import TimeUnit

    Options = Mapping[str, Any]

_MOST_DIGITS = 4_000  # python refuses to convert more than 4,300


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
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isdecimal() or not digits.isascii() or len(digits) > _MOST_DIGITS:
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


def _time_unit(value: Any) -> TimeUnit:
    from fastk.times import TimeUnit

    if value in list(TimeUnit):
        return TimeUnit(value)
    raise _refused(value, f"is no time unit: give {', '.join(TimeUnit)}")


TEXT = Kind("TEXT", _text, _text)
PATH = Kind("PATH", _path, _path)
INTEGER = Kind("INT", _integer_of_text, _integer_of_json)
INTEGERS = Kind("A,B,...", _integers_of_text, _integers_of_json)
TIME_UNIT = Kind("ms|us|ns", _time_unit, _time_unit)
FLAG = Kind("", _flag, _flag)


def from_arguments(declared: Sequence[Option], arguments: Sequence[str]) -> Options:
    """The options of a command line by their keys, None for those left out, False for flags."""
    # argparse would drop a value `--`, and take 5 ms of a process.
    known = {f"--{option.name}": option for option in declared}
    words = paired(declared, arguments)
    given = {name: value for name, value in words if name in known}
    for name, value in given.items():
        _check_number(name, known[name], value)
    missing = [name for name, option in known.items() if option.required and name not in given]
    if missing:
        raise InvalidInput(f"the following arguments are required: {', '.join(missing)}")
    unknown = [word for word, _ in words if word not in known]
    if unknown:
        raise InvalidInput(f"unrecognized arguments: {' '.join(unknown)}")
    return {option.key: _given_value(name, option, given) for name, option in known.items()}


def _check_number(name: str, option: Option, value: str | None) -> None:
    """Flags take no value, all others one."""
    if option.kind is FLAG and value is not None:
        raise InvalidInput(f"argument {name}: expected no argument")
    if option.kind is not FLAG and value is None:
        raise InvalidInput(f"argument {name}: expected one argument")


def _given_value(name: str, option: Option, given: Mapping[str, Any]) -> Any:
    if option.kind is FLAG:
        return name in given
    return _read(name, option.kind.from_text, given[name]) if name in given else None


def paired(declared: Sequence[Option], arguments: Sequence[str]) -> list[tuple[str, str | None]]:
    """The words of a command line: options with their values, None where they have none, and words that are no option.

    An option takes the next word, whatever that begins with, unless it is an option itself. One that stands twice is
    refused: which of the two is meant, the caller must know.
    """
    flags = {f"--{option.name}": option.kind is FLAG for option in declared}
    words: list[tuple[str, str | None]] = []
    rest = list(reversed(arguments))
    while rest:
        word = rest.pop()
        name, equals, value = word.partition("=")
        if name not in flags:
            words.append((word, None))
        elif equals or flags[name] or not rest or rest[-1] in (*flags, "--help"):
            words.append((name, value if equals else None))
        else:
            words.append((name, rest.pop()))
    _refuse_twice([name for name, _ in words if name in flags])
    return words


def _refuse_twice(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"{name} stands twice")


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
