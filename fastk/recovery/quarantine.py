"""Where damaged files go: ``.fastk.quarantine/{series id}-{ms}/`` below the root. Nothing is ever deleted there."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from fastk.errors import InvalidData
from fastk.format import names

if TYPE_CHECKING:
    from fastk.io.disk import Disk


def quarantined_files(disk: Disk, root: str, series_id: int) -> list[str]:
    """Names of the files of a series that earlier repairs moved there: their sequence numbers never come back."""
    folder, found = os.path.join(root, names.QUARANTINE_FOLDER), []
    for name, entry in disk.entries(folder).items():
        parsed = names.parse_dropped_folder_name(name)
        if entry.kind == "folder" and parsed is not None and parsed[0] == series_id:
            found += list(disk.entries(os.path.join(folder, name)))
    return found


def check_quarantine(disk: Disk, root: str) -> None:
    """Raise InvalidData if something else lies in the place of its folder."""
    entry = disk.entries(root).get(names.QUARANTINE_FOLDER)
    if entry is not None and entry.kind != "folder":
        what = "a symbolic link" if entry.kind == "link" else "no folder"
        path = os.path.join(root, names.QUARANTINE_FOLDER)
        raise InvalidData(
            f"{path} is {what}, and damaged files go there, never out of the store: remove it, and repair again"
        )


class Quarantine:
    """A folder for the files of one series and one repair, made when the first file comes."""

    def __init__(self, disk: Disk, root: str, series_id: int, now: int) -> None:
        self._disk = disk
        self._root = root
        self._series_id = series_id
        self._now = now
        self._folder = ""
        self._left: set[str] = set()

    def _make(self) -> str:
        if not self._folder:
            above = os.path.join(self._root, names.QUARANTINE_FOLDER)
            if self._disk.make_folder(above):
                self._disk.sync_folder(self._root)
            check_quarantine(self._disk, self._root)
            while not self._disk.make_folder(folder := os.path.join(above, self._name())):
                self._now += 1
            self._disk.sync_folder(above)
            self._folder = folder
        return self._folder

    def _name(self) -> str:
        return names.dropped_folder_name(self._series_id, self._now)

    def take(self, path: str) -> None:
        """Move a file, or whatever is under that name, there; durable after :meth:`settle`."""
        self._disk.rename(path, os.path.join(self._make(), os.path.basename(path)))
        self._left.add(os.path.dirname(path))

    def copy(self, path: str) -> None:
        """Put a durable copy of a file there, which is about to be replaced under its name."""
        data = self._disk.read(path)
        self._disk.create(os.path.join(self._make(), os.path.basename(path)), [data])
        self._disk.sync_folder(self._folder)

    def settle(self) -> None:
        """Make the moves durable: there first, so that no file is lost in between."""
        if self._left:
            self._disk.sync_folder(self._folder)
        for folder in sorted(self._left):
            self._disk.sync_folder(folder)
        self._left.clear()
