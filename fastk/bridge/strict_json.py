"""JSON as the standard has it, and nothing else: what two readers could understand differently is refused."""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
from typing import Any, NamedTuple, NoReturn

from fastk.errors import InvalidInput

_SHOWN = 40
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_TEXT = re.compile(rb'"[^"]*"')
_STRUCTURE = b'[]{}"'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_TEXT_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|[-+.0-9eE]+')


class Limits(NamedTuple):
    """What is read: of a payload, or of a line of a batch with its line end, so many bytes (2.5 million bars); and
    objects and lists within each other so many levels deep, of which Python parses about a thousand."""

    most_bytes: int = 256 << 20
    most_levels: int = 1_000


USUAL = Limits()


def limits_of_environment() -> Limits:
    """The limits that FASTK_BRIDGE_MAX_BYTES and FASTK_BRIDGE_MAX_DEPTH set; InvalidInput if they are no numbers."""
    return Limits(
        _limit("FASTK_BRIDGE_MAX_BYTES", USUAL.most_bytes), _limit("FASTK_BRIDGE_MAX_DEPTH", USUAL.most_levels)
    )


def _limit(name: str, usual: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text)):
        raise InvalidInput(f"{name} must be a whole number of 1 or more, not {shown(text)}")
    return int(text)


def parse(data: bytes, what: str, limits: Limits = USUAL) -> Any:
    """The value of one JSON document in UTF-8; InvalidInput, which begins with ``what``, for anything else.

    Repeated keys, NaN, Infinity, a byte order mark, text behind the value, and what is beyond the limits are refused.
    Cost of the check for repeated keys: a third of the parsing; of that for nesting: less than a tenth.
    """
    if len(data) > limits.most_bytes:
        raise InvalidInput(f"{what} is longer than {limits.most_bytes:,} bytes; send it in parts")
    if _is_deeper(data, limits.most_levels):
        raise InvalidInput(f"{what} is nested too deeply: more than {limits.most_levels:,} levels")
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


def _is_deeper(data: bytes, levels: int) -> bool:
    """Whether objects and lists stand within each other so deep. Texts are left out first; two quotes that come
    together may go, whichever they are: what is within a text stays within one."""
    if data.count(b"[") + data.count(b"{") <= levels:
        return False
    if b"\\" in data:
        data = _ESCAPE.sub(b"", data)
    brackets = _TEXT.sub(b"", data.translate(None, _OTHERS).replace(b'""', b""))
    import numpy as np

    steps = 3 - (np.frombuffer(brackets, np.uint8) & 6).astype(np.int8)  # 1 for [ and {, -1 for ] and }
    return int(steps.cumsum(dtype=np.int64).max(initial=0)) > levels


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
