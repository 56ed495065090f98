"""JSON as the standard has it, and nothing else: what two readers could understand differently is refused."""

from __future__ import annotations

import codecs
import json
import re
import sys
from typing import Any, NoReturn

from fastk.errors import InvalidInput

MOST_BYTES = 256 << 20
"""Of a payload, or of a line of a batch with its line end: 2.5 million bars."""

_SHOWN = 40
_TEXT_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.0-9eE]+')


def parse(data: bytes, what: str) -> Any:
    """The value of one JSON document in UTF-8; InvalidInput, which begins with ``what``, for anything else.

    Repeated keys, NaN, Infinity, a byte order mark, text behind the value, and more than MOST_BYTES or about a thousand
    levels of nesting are refused. Cost of the check for repeated keys: a third of the parsing.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInput(f"{what} is longer than {MOST_BYTES:,} bytes; send it in parts")
    if data.startswith(codecs.BOM_UTF8):
        raise InvalidInput(f"{what} begins with a byte order mark; leave it out")
    try:
        return _DECODER.decode(data.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{what} is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise InvalidInput(f"{what} is nested too deeply") from None
    except (json.JSONDecodeError, InvalidInput) as error:
        raise InvalidInput(f"{what} is no JSON: {error}") from None
    except ValueError:  # of Python: more digits than it converts
        raise InvalidInput(f"{what} holds {_long_integer(data.decode())}") from None


def _long_integer(text: str) -> json.JSONDecodeError:
    """The first integer that Python does not convert, and its place in json's words."""
    for found in _TEXT_OR_NUMBER.finditer(text):
        digits = found[0].removeprefix("-")
        if digits.isdecimal() and len(digits) > sys.get_int_max_str_digits():
            return json.JSONDecodeError(f"an integer of {len(digits):,} digits", text, found.start())
    raise AssertionError("json converts all but such integers")


def shown(value: Any) -> str:
    """A value as a message quotes it: as JSON, cut short."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise InvalidInput(f"the key {shown(twice)} stands twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
