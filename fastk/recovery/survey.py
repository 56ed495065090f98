"""What lies in a root: whether it is a store, the folders of its series, and whatever else is there.

No link is followed, and a folder that cannot be read hides no other one.
"""

from __future__ import annotations

import errno
import os.path
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from fastk.errors import InvalidData, InvalidInput, NotFound, UnsupportedVersion
from fastk.format import names
from fastk.format.original.manifest import is_manifest
from fastk.format.store_file import check_store_file
from fastk.recovery.chunk_file import unreadable
from fastk.recovery.places import Place, verdict
from fastk.recovery.reading import patiently, read_stretch
from fastk.recovery.verdicts import Code, Problem, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastk.io.disk import Disk, Entry

    Progress = Callable[[int, int], None]

_OURS = frozenset({names.STORE_FILE, names.LOCK_FILE, names.DROPPED_FOLDER, names.QUARANTINE_FOLDER})
_KINDS = {
    names.LOCK_FILE: ("file", "no writer"),
    names.QUARANTINE_FOLDER: ("folder", "no repair"),
    names.DROPPED_FOLDER: ("folder", "no drop and no gc"),
}
"""What these names stand for, and who cannot do without."""
_LARGEST_STORE_FILE = 1 << 16


class StoreFile(Enum):
    """The state of ``fastk.store``."""

    SOUND = auto()
    MISSING = auto()
    CORRUPT = auto()
    NEWER = auto()


@dataclass
class Survey:
    """A root with its series, in the order of their folder names; ``verdicts`` are about what is no series.

    ``strange_manifests`` would be those of folders that no series of format 3 has.
    """

    root: str
    store_file: StoreFile = StoreFile.SOUND
    places: list[Place] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    strange_manifests: list[str] = field(default_factory=list)

    def say(self, code: Code, path: str, detail: str) -> None:
        """Add a verdict."""
        self.verdicts.append(verdict(self.root, path, Problem(code, detail)))

    @property
    def store_file_path(self) -> str:
        """The path of ``fastk.store``."""
        return os.path.join(self.root, names.STORE_FILE)


def survey(disk: Disk, root: str) -> Survey:
    """Look at a root. NotFound or InvalidInput if it is no store, UnsupportedVersion if it is the original's."""
    if not disk.exists(root):
        raise NotFound(f"there is no folder {root}; check the path")
    if not disk.is_folder(root):
        raise InvalidInput(f"{root} is a file; a store is a folder")
    found = Survey(root)
    entries = patiently(lambda: disk.entries(root))
    found.store_file = _state_of_store_file(disk, found, entries.get(names.STORE_FILE))
    for name, entry in entries.items():
        _look_at(disk, found, name, entry)
    if found.store_file is StoreFile.MISSING:
        _check_is_store(disk, found)
    return found


def _state_of_store_file(disk: Disk, found: Survey, entry: Entry | None) -> StoreFile:
    path = found.store_file_path
    if entry is None:
        found.say(Code.MISSING_STORE_FILE, path, "it is missing, so that the folder does not open as a store")
        return StoreFile.MISSING
    if entry.kind != "file" or entry.size > _LARGEST_STORE_FILE:
        found.say(Code.CORRUPT_STORE_FILE, path, f"it is no store file but a {entry.kind} of {entry.size:,} bytes")
        return StoreFile.CORRUPT
    try:
        check_store_file(patiently(lambda: disk.read(path)), path)
    except UnsupportedVersion as error:
        found.say(Code.NEWER_FORMAT, path, str(error))
        return StoreFile.NEWER
    except InvalidData as error:
        found.say(Code.CORRUPT_STORE_FILE, path, str(error))
        return StoreFile.CORRUPT
    return StoreFile.SOUND


def _look_at(disk: Disk, found: Survey, name: str, entry: Entry) -> None:
    path = os.path.join(found.root, name)
    if name == names.STORE_TEMPORARY and entry.kind == "file":
        found.leftovers.append(path)
        found.say(Code.LEFTOVER, path, "a temporary file of an unfinished commit")
    elif name == names.SERIES_FOLDER:
        _walk(disk, found, path, entry, ())
    elif name in _KINDS and entry.kind != _KINDS[name][0]:
        _say_of_another_kind(found, path, entry, *_KINDS[name])
    elif name not in _OURS:
        found.say(Code.UNKNOWN_FILE, path, "no file of FastK")


def _say_of_another_kind(found: Survey, path: str, entry: Entry, kind: str, who: str) -> None:
    if entry.kind == "link":
        found.say(Code.SYMBOLIC_LINK, path, f"a symbolic link, which {who} follows: remove it")
    else:
        found.say(
            Code.FOREIGN_FILE, path, f"no {kind} but something else ({entry.kind}), which {who} gets past: remove it"
        )


def _walk(disk: Disk, found: Survey, path: str, entry: Entry, parts: tuple[str, ...]) -> None:
    """Collect the series below a folder; ``parts`` are the names of it and those above it below ``series/``."""
    if entry.kind == "link":
        found.say(Code.SYMBOLIC_LINK, path, "a symbolic link, which is not followed: nothing behind it was checked")
    elif entry.kind != "folder":
        found.say(Code.UNKNOWN_FILE, path, "no file of FastK")
    elif len(parts) == 3:
        _add_series(found, path, parts)
    else:
        for name, below in _entries(disk, found, path).items():
            _walk(disk, found, os.path.join(path, name), below, (*parts, name))


def _entries(disk: Disk, found: Survey, path: str) -> dict[str, Entry]:
    try:
        return patiently(lambda: disk.entries(path))
    except OSError as error:
        found.verdicts.append(verdict(found.root, path, unreadable(error)))
        return {}


def _add_series(found: Survey, path: str, parts: tuple[str, ...]) -> None:
    symbol, category, name = parts
    try:
        found.places.append(Place(found.root, path, names.parse_series_path(symbol, category, name)))
    except InvalidData:
        found.say(Code.UNKNOWN_FILE, path, "no series has such a folder name, so that the store does not look at it")
        found.strange_manifests.append(os.path.join(path, names.MANIFEST_FILE))


def _check_is_store(disk: Disk, found: Survey) -> None:
    """A folder with series lost its store file; any other was never a store."""
    manifests = [place.manifest for place in found.places]
    if any(_is_of_original(disk, path) for path in manifests + found.strange_manifests):
        raise UnsupportedVersion(
            f"{found.root} is a store of the original FastK, which is read and never written: look after it with the "
            f"original's fastk_admin, or make a store of this format from it with `fastk migrate`"
        )
    if not found.places:
        raise NotFound(f"there is no store at {found.root}: it has neither {names.STORE_FILE} nor any series")


def _is_of_original(disk: Disk, manifest: str) -> bool:
    try:
        return is_manifest(read_stretch(disk, manifest, 0, 8).tobytes())
    except OSError as error:
        if error.errno == errno.EIO:  # it may be one, and is not to be touched then
            raise
        return False


def counter(disk: Disk, found: Survey, progress: Progress | None) -> Callable[[int], None]:
    """A function to be told the bytes of each file behind it, which tells ``progress`` the bytes so far and in all."""
    if progress is None:
        return lambda size: None
    total, done = sum(_bytes_of(disk, place) for place in found.places), 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        progress(min(done, total), total)

    progress(0, total)
    return count


def _bytes_of(disk: Disk, place: Place) -> int:
    try:
        return sum(entry.size for entry in disk.entries(place.chunks).values())
    except OSError:
        return 0
