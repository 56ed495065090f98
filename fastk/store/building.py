"""Folders that are made under a temporary name beside the one that they get when they are whole."""

from __future__ import annotations

import os.path
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastk.errors import InvalidInput, LockTimeout
from fastk.format import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastk.io.disk import Disk


def check_free(disk: Disk, target: str) -> None:
    """Raise InvalidInput unless a folder may be made under a name."""
    if disk.exists(target) and (not disk.is_folder(target) or disk.is_link(target) or disk.list(target)):
        raise InvalidInput(f"{target} is there already and not empty: name a new or empty folder")
    parent = os.path.dirname(target)
    if not disk.is_folder(parent):
        raise InvalidInput(f"there is no folder {parent}; make it, or name another target")


@contextmanager
def alone(disk: Disk, building: str) -> Iterator[None]:
    """Make the temporary folder, and keep others from it meanwhile; LockTimeout if one of them is at work.

    Behind it, unless it failed, no lock file is left there.
    """
    disk.make_folder(building)
    path = os.path.join(building, names.BUILDING_LOCK_FILE)
    try:
        lock = disk.lock(path, 0)
    except LockTimeout as error:
        raise LockTimeout(f"another process is making {building}: {error}") from None
    try:
        yield
    finally:
        lock.release()
    disk.remove(path)
    disk.remove(os.path.join(building, names.LOCK_FILE))


def publish(disk: Disk, building: str, target: str) -> None:
    """Give the folder its name, durably."""
    disk.rename(building, target)
    disk.sync_folder(os.path.dirname(target))
