"""The batch: one JSON command a line in, one answer a line out, by one process that keeps its stores open.

``{"id": 7, "command": "read-kline-range", "root": "...", "symbol": "...", ...}``: options under their names with
underscores, integers as JSON integers, ``values`` as a list, the payload of a write as the object ``input``. An ``id``,
any JSON scalar, comes back as the first field of the answer, also of an error; ``root`` may be left out where the batch
was started with one. Failures are ``{"error": {"type": ..., "message": ...}}``, and the next line is read, also after
one that is too long. Blank lines are skipped. Each command sees the newest committed state, whoever committed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastk.bridge import strict_json
from fastk.bridge.answers import compact
from fastk.bridge.commands import command_named
from fastk.bridge.failures import one_line, type_of
from fastk.bridge.options import from_object
from fastk.bridge.stored import open_store
from fastk.errors import InvalidInput, StoreClosed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from fastk.bridge.answers import Answer
    from fastk.store.store import FastKStore

_MOST_STORES = 8
_PIECE = 1 << 20


class Batch:
    """Commands over stores that stay open, the least recently used of many closed."""

    def __init__(self, root: str | None, limits: strict_json.Limits = strict_json.USUAL) -> None:
        self._root = root
        self._limits = limits
        self._stores: dict[str, FastKStore] = {}

    def answers(self, stream: BinaryIO) -> Iterator[bytes]:
        """The answer to each line that is not blank, without its line end."""
        most_bytes = self._limits.most_bytes
        return (self.answer(line) for line in _lines(stream, most_bytes) if not _is_blank(line, most_bytes))

    def answer(self, line: bytes) -> bytes:
        """The answer to one line."""
        identity: dict[str, Any] = {}
        try:
            request = strict_json.parse(line, "the line", self._limits)
            if type(request) is not dict:
                raise InvalidInput("a command must be a JSON object")
            identity = _identity(request)
            return b"".join(self._execute(request).pieces(identity))
        except Exception as error:
            return compact({**identity, "error": {"type": type_of(error), "message": one_line(error)}}).encode()

    def _execute(self, request: dict[str, Any]) -> Answer:
        if "command" not in request:
            raise InvalidInput("command is missing")
        command = command_named(request.pop("command"))
        if command.payload is not None and "input" not in request:
            raise InvalidInput("input is missing")
        document = request.pop("input") if command.payload is not None else None
        if self._root is not None:
            request.setdefault("root", self._root)
        options = from_object(command.options, request)
        root = options["root"]
        try:
            return command.execute(self._store(root), options, document)
        except (OSError, StoreClosed):  # the store may be shut for writing, or its folder gone: the next one reopens it
            self._close(root)
            raise

    def _store(self, root: str) -> FastKStore:
        store = self._stores.pop(root, None) or open_store(root)
        self._stores[root] = store
        if len(self._stores) > _MOST_STORES:
            self._close(next(iter(self._stores)))
        return store

    def _close(self, root: str) -> None:
        store = self._stores.pop(root, None)
        if store is not None:
            store.close()

    def close(self) -> None:
        """Close all stores."""
        for root in list(self._stores):
            self._close(root)


def _lines(stream: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    """The lines of a stream; of one that is too long, as much as it takes to be refused."""
    while line := stream.readline(most_bytes + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = stream.readline(_PIECE)


def _is_blank(line: bytes, most_bytes: int) -> bool:
    """What follows the blanks of a line that is too long is not known."""
    return len(line) <= most_bytes and not line.strip(b" \t\r\n")


def _identity(request: dict[str, Any]) -> dict[str, Any]:
    """The id to repeat, taken out of the command; empty if it has none. InvalidInput for what cannot be repeated."""
    if "id" not in request:
        return {}
    identity = {"id": request.pop("id")}
    if isinstance(identity["id"], dict | list):
        raise InvalidInput("id must be a text, a number, true, false or null")
    try:
        compact(identity).encode()
    except ValueError:  # a number beyond all floats, or half a surrogate pair
        raise InvalidInput("id holds what JSON in UTF-8 cannot express") from None
    return identity
