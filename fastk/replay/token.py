"""Where a merged replay stands, as a short text that another process can go on from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastk.errors import InvalidInput
from fastk.times import INT64_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastk.engine.snapshot import Snapshot

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Token:
    """What is replayed, and after which event to go on.

    ``series`` are (symbol, category, name, series id, content sequence): rows change with the last of these only.
    ``start`` and ``end`` are None where they are open. ``after`` is (ts, source, place) of the last event, None before
    the first; ``events`` counts those before.
    """

    unit: str
    start: int | None
    end: int | None
    priority: list[str]
    series: list[list[Any]]
    events: int
    after: list[int] | None

    @property
    def text(self) -> str:
        """JSON."""
        return json.dumps({"fastk_replay": _VERSION, **asdict(self)}, separators=(",", ":"))


def parse_token(text: object) -> Token:
    """Read a token's text; InvalidInput for anything else."""
    try:
        if not isinstance(text, str):
            raise TypeError
        stored = json.loads(text)
        version = stored.pop("fastk_replay")
        token = Token(**stored)
        _check(token)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InvalidInput("resume= takes the text that `replay.token` or `batch.token(i)` gave") from None
    if version != _VERSION:
        raise InvalidInput(f"the token is of version {version!r}; this library knows version {_VERSION}")
    return token


def _check(token: Token) -> None:
    """Raise ValueError for what no replay wrote."""
    ends = [end for end in (token.start, token.end) if end is not None]
    numbers = [*ends, token.events, *(token.after or [])]
    names = [token.unit, *token.priority, *(part for each in token.series for part in each[:4])]
    sound = all(type(number) is int for number in numbers) and all(isinstance(name, str) for name in names)
    if not sound or any(len(each) != 5 or type(each[4]) is not int for each in token.series):
        raise ValueError
    if not 0 <= token.events <= INT64_MAX:
        raise ValueError
    if token.after is not None and (len(token.after) != 3 or not 0 <= token.after[1] < len(token.series)):
        raise ValueError


def identities(snapshots: Sequence[Snapshot]) -> list[list[Any]]:
    """What tells the rows of these snapshots from all others."""
    return [
        [*each.settings.key, f"{each.settings.series_id:016x}", each.manifest.content_sequence] for each in snapshots
    ]


def check_same_rows(token: Token, snapshots: Sequence[Snapshot]) -> None:
    """Refuse to go on over other rows than those that the token was made over, and say which differ."""
    then, now = token.series, identities(snapshots)
    if [each[:3] for each in then] != [each[:3] for each in now]:
        listed = ", ".join("/".join(each[:3]) for each in then[:5]) + (", ..." if len(then) > 5 else "")
        raise InvalidInput(f"the token was made for the {len(then):,} series {listed}, in this order")
    for old, new in zip(then, now, strict=True):
        name = "/".join(old[:3])
        if old[3] != new[3]:
            raise InvalidInput(f"{name} was registered anew after the token was made; start the replay anew")
        if old[4] != new[4]:
            raise InvalidInput(
                f"the rows of {name} were changed after the token was made (content sequence {old[4]} then, {new[4]} "
                f"now); go on over the same version of the store, or start the replay anew"
            )
