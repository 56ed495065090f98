"""Files for others, which come whole or not at all, in the place of a file alone, and never within a store."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fastk.errors import InvalidInput
from fastk.format import names

if TYPE_CHECKING:
    from collections.abc import Iterator


def checked_target(path: str) -> str:
    """Where a file is to lie, links followed; InvalidInput if none may be written there."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if os.path.isdir(target):
        raise InvalidInput(f"{path} is a folder; name a file")
    if os.path.exists(target) and not os.path.isfile(target):  # a device or a pipe would be replaced by a file
        raise InvalidInput(f"{path} is no file, and nothing else is written to; name a file")
    if not os.path.isdir(folder):
        raise InvalidInput(f"there is no folder {folder}; make it, or name another file")
    if not os.access(folder, os.W_OK):
        raise InvalidInput(f"no file may be written into {folder}; name another one")
    refuse_in_store(path)
    return target


def refuse_in_store(path: str) -> None:
    """InvalidInput if a file or folder of others would lie in a store."""
    folder = os.path.dirname(os.path.realpath(path))
    while folder != os.path.dirname(folder):
        if os.path.lexists(os.path.join(folder, names.STORE_FILE)):
            raise InvalidInput(
                f"{path} lies in the store {folder}, where only its own files belong; write it elsewhere"
            )
        folder = os.path.dirname(folder)


@contextmanager
def whole_file(path: str) -> Iterator[str]:
    """A temporary name beside the target of ``path``: what lies there becomes the file, durably, unless it fails."""
    target = checked_target(path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise
