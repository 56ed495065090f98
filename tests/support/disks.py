"""Doubles of the disk: one that remembers every effect, a power cut that plays with them, and a system that fails.

:class:`RecordingDisk` performs on a real folder and writes each effect down. :class:`Journal` then answers: had the
power gone after effect n, what could the disk hold? The model is the pessimist's: whatever was not synced may be
there, be missing, or (the bytes of a file) be torn or have a hole; a name is synced with its folder and bytes with
their file; only a rename is atomic. :class:`FailingSystem` stands below the real disk, in the place of ``os``.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from fastk.io.disk import Disk, Entry
from fastk.io.lock import FileLock

MOST_IMAGES = 16
FATES = ("kept", "lost", "torn", "holed")
_EFFECTS = frozenset(
    {"create", "create_derived", "replace_unnamed", "sync_file", "sync_folder"}
    | {"make_folder", "rename", "remove", "remove_folder"}
)
Image = dict[str, bytes | None]
"""What a disk holds: path below the base -> bytes of a file, or None for a folder."""


class Killed(BaseException):
    """The process ended here: nothing that comes after it happens, cleaning up included."""


@dataclass(frozen=True)
class Effect:
    """One effect on the disk; paths are below the journal's base."""

    kind: str  # make, create, link, write, sync, sync_folder, rename, remove, remove_folder
    path: str
    target: str = ""
    data: bytes = b""

    def __str__(self) -> str:
        return f"{self.kind} {self.path}" + (f" -> {self.target}" if self.target else "")


@dataclass
class _File:
    durable: bytes = b""
    current: bytes = b""


@dataclass
class _Folder:
    entries: dict[str, _File | _Folder] = field(default_factory=dict)


@dataclass
class _NameChange:
    """Entries of one or two folders that change together."""

    parts: list[tuple[_Folder, str, _File | _Folder | None]]
    unsynced: list[_Folder]
    removes_folder: bool = False


class Journal:
    """What a base folder held at first (taken to be durable), and every effect since."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.start: Image = read_image(base)
        self.effects: list[Effect] = []

    def images(self, length: int, seed: int = 0, most: int = MOST_IMAGES) -> Iterator[Image]:
        """The possible contents of the disk after a power cut behind the first ``length`` effects, each once.

        All of them if they are no more than ``most``, else the extremes and as many by chance.
        """
        world = _World(self.start)
        for effect in self.effects[:length]:
            world.apply(effect)
        seen = set()
        for names, bytes_kept in _choices(len(world.pending), len(world.unsynced_files()), seed, most):
            image = world.image(names, bytes_kept)
            key = frozenset(image.items())
            if key not in seen:
                seen.add(key)
                yield image


def _choices(names: int, files: int, seed: int, most: int) -> Iterator[tuple[tuple[bool, ...], tuple[str, ...]]]:
    """Which unsynced names and bytes survive: all combinations if they are few, else the extremes and a sample."""
    if 2**names * len(FATES) ** files <= most:
        yield from product(product((True, False), repeat=names), product(FATES, repeat=files))
        return
    for kept in (True, False):
        for fate in FATES:
            yield (kept,) * names, (fate,) * files
    for odd in range(names):
        for kept in (True, False):
            yield tuple((place == odd) != kept for place in range(names)), ("kept",) * files
    chance = random.Random(seed)
    for _ in range(most):
        yield (
            tuple(chance.random() < 0.5 for _ in range(names)),
            tuple(chance.choice(FATES) for _ in range(files)),
        )


class _World:
    """Files and folders as objects, so that a name and what it names can be lost apart from each other."""

    def __init__(self, start: Image) -> None:
        self.live = _Folder()
        self.start = _Folder()
        self.changes: list[_NameChange] = []
        self.files: list[_File] = []
        self._durable: dict[int, _Folder] = {id(self.live): self.start}
        for path in sorted(start):
            content = start[path]
            folder, name = self._place(path)
            node: _File | _Folder = _Folder() if content is None else _File(content, content)
            folder.entries[name] = node
            self._durable_entries(folder)[name] = node

    def _durable_entries(self, folder: _Folder) -> dict[str, _File | _Folder]:
        return self._durable.setdefault(id(folder), _Folder()).entries

    def _place(self, path: str) -> tuple[_Folder, str]:
        *parents, name = path.split("/")
        folder = self.live
        for parent in parents:
            below = folder.entries[parent]
            assert isinstance(below, _Folder), path
            folder = below
        return folder, name

    def _folder(self, path: str) -> _Folder:
        if not path:
            return self.live
        folder, name = self._place(path)
        found = folder.entries[name]
        assert isinstance(found, _Folder), path
        return found

    def _file(self, path: str) -> _File:
        folder, name = self._place(path)
        found = folder.entries[name]
        assert isinstance(found, _File), path
        return found

    def apply(self, effect: Effect) -> None:
        if effect.kind == "write":
            self._file(effect.path).current += effect.data
        elif effect.kind == "sync":
            file = self._file(effect.path)
            file.durable = file.current
        elif effect.kind == "sync_folder":
            folder = self._folder(effect.path)
            for change in self.changes:
                change.unsynced = [each for each in change.unsynced if each is not folder]
        else:
            self._change_names(effect)

    def _change_names(self, effect: Effect) -> None:
        folder, name = self._place(effect.path)
        parts: list[tuple[_Folder, str, _File | _Folder | None]]
        if effect.kind == "create" and name in folder.entries:  # truncated, under a name that it has already
            file = self._file(effect.path)
            file.durable = file.current = b""
            return
        if effect.kind == "create":
            self.files.append(_File())
            parts = [(folder, name, self.files[-1])]
        elif effect.kind == "make":
            parts = [(folder, name, _Folder())]
        elif effect.kind == "link":
            target_folder, target_name = self._place(effect.target)
            parts = [(target_folder, target_name, folder.entries[name])]
        elif effect.kind == "rename":
            target_folder, target_name = self._place(effect.target)
            parts = [(target_folder, target_name, folder.entries[name]), (folder, name, None)]
        else:
            parts = [(folder, name, None)]
        change = _NameChange(parts, [part[0] for part in parts], effect.kind == "remove_folder")
        self.changes.append(change)
        for where, entry, node in parts:
            _set(where.entries, entry, node)

    @property
    def pending(self) -> list[_NameChange]:
        return [change for change in self.changes if change.unsynced]

    def unsynced_files(self) -> list[_File]:
        return [file for file in self.files if file.durable != file.current]

    def image(self, names: Sequence[bool], fates: Sequence[str]) -> Image:
        entries = {key: dict(folder.entries) for key, folder in self._durable.items()}
        kept = iter(names)
        for change in self.changes:
            if change.unsynced and not next(kept):
                continue
            if change.removes_folder:
                folder, name, _ = change.parts[0]
                gone = entries.get(id(folder), {}).get(name)
                if gone is None or entries.get(id(gone)):
                    continue
            for folder, name, node in change.parts:
                _set(entries.setdefault(id(folder), {}), name, node)
        fate_of = {id(file): fate for file, fate in zip(self.unsynced_files(), fates, strict=True)}
        image: Image = {}
        self._collect(id(self.live), "", entries, fate_of, image)
        return image

    def _collect(
        self, folder: int, prefix: str, entries: dict[int, dict[str, Any]], fate_of: dict[int, str], image: Image
    ) -> None:
        for name, node in entries.get(folder, {}).items():
            path = f"{prefix}{name}"
            if isinstance(node, _Folder):
                image[path] = None
                self._collect(id(node), f"{path}/", entries, fate_of, image)
            else:
                image[path] = _survived(node, fate_of.get(id(node), "kept"))


def _survived(file: _File, fate: str) -> bytes:
    """The bytes of a file after a fate: a hole is what was written out of order, and reads as zeros."""
    if fate in ("kept", "lost"):
        return file.current if fate == "kept" else file.durable
    half = (len(file.durable) + len(file.current)) // 2
    if fate == "torn":
        return file.current[:half]
    end = (half + len(file.current)) // 2
    return file.current[:half] + bytes(end - half) + file.current[end:]


def _set(entries: dict[str, Any], name: str, node: Any) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def read_image(base: Path) -> Image:
    """What a folder holds now."""
    return {
        str(path.relative_to(base)): None if path.is_dir() else path.read_bytes()
        for path in base.rglob("*")
    }  # fmt: skip


def write_image(image: Image, base: Path) -> Path:
    """Bring an image into a fresh folder."""
    base.mkdir()
    for path in sorted(image):
        content = image[path]
        if content is None:
            (base / path).mkdir()
        else:
            (base / path).write_bytes(content)
    return base


class RecordingDisk(Disk):
    """Performs every effect and writes it down. With ``stop_after`` the process is killed behind that many more.

    It does not sync for real: that the real disk does is a test of its own.
    """

    def __init__(self, journal: Journal, stop_after: int | None = None) -> None:
        super().__init__()
        self.journal = journal
        self.killed = False
        self._to_be_synced: set[str] = set()
        self._stop = None if stop_after is None else len(journal.effects) + stop_after

    def _effect(self, kind: str, path: str, target: str = "", data: bytes = b"") -> None:
        """Written down before it is performed, so that it counts only if the process lives on."""
        if self.killed or (self._stop is not None and len(self.journal.effects) >= self._stop):
            self.killed = True
            raise Killed
        self.journal.effects.append(Effect(kind, self._below(path), self._below(target) if target else "", data))

    def _below(self, path: str) -> str:
        relative = os.path.relpath(path, self.journal.base)
        assert not relative.startswith(".."), f"{path} lies outside {self.journal.base}"
        return "" if relative == "." else relative

    def create(self, path: str, buffers: Sequence[Any], *, sync: bool = True) -> None:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "File exists", path)
        self._write_in_steps(path, buffers, sync)

    def create_derived(self, path: str, buffers: Sequence[Any]) -> None:
        self.create(path, buffers, sync=False)
        self._to_be_synced.remove(path)

    def replace_unnamed(self, path: str, buffers: Sequence[Any], *, sync: bool = True) -> None:
        self._write_in_steps(path, buffers, sync)

    def _write_in_steps(self, path: str, buffers: Sequence[Any], sync: bool) -> None:
        self._effect("create", path)
        with open(path, "wb", buffering=0) as file:
            data = b"".join(bytes(memoryview(buffer).cast("B")) for buffer in buffers)
            self._effect("write", path, data=data)
            file.write(data)
            if sync:
                self._effect("sync", path)
            else:
                self._to_be_synced.add(path)

    def sync_file(self, path: str) -> None:
        if path in self._to_be_synced:
            self._to_be_synced.remove(path)
            self._effect("sync", path)

    def sync_folder(self, path: str) -> None:
        if not os.path.relpath(path, self.journal.base).startswith(".."):  # what lies above the base is durable
            self._effect("sync_folder", path)

    def _do_all(self, syncs: Sequence[Callable[[], None]]) -> None:
        """One after the other, so that the journal of a run is that of every run."""
        for sync in syncs:
            sync()

    def make_folder(self, path: str) -> bool:
        if os.path.isdir(path):
            return False
        self._effect("make", path)
        return super().make_folder(path)

    def rename(self, source: str, target: str) -> None:
        self._effect("rename", source, target)
        super().rename(source, target)

    def link(self, source: str, target: str) -> None:
        if not os.path.lexists(source):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", source)
        self._effect("link", source, target)
        super().link(source, target)

    def remove(self, path: str) -> None:
        if os.path.lexists(path):
            self._effect("remove", path)
            super().remove(path)

    def remove_folder(self, path: str) -> bool:
        if not os.path.isdir(path) or os.listdir(path):
            return False
        self._effect("remove_folder", path)
        return super().remove_folder(path)

    def lock(self, path: str, timeout: float) -> FileLock:
        if not os.path.lexists(path):
            self._effect("create", path)
        return _MortalLock(path, timeout, self)


class _MortalLock(FileLock):
    """A lock whose text stands when its holder was killed, as the system would leave it."""

    def __init__(self, path: str, timeout: float, disk: RecordingDisk) -> None:
        self._disk = disk
        super().__init__(path, timeout)

    def release(self, *, leftovers: bool = False) -> None:
        if self._disk.killed:
            os.close(self._descriptor)
        else:
            super().release(leftovers=leftovers)


class ForbiddenDisk(Disk):
    """A medium that takes no change at all, and a test that fails at the first attempt."""

    def _refuse(self, *arguments: Any) -> Any:
        raise AssertionError(f"this must change nothing, but tried {arguments}")

    create = create_derived = replace_unnamed = sync_file = sync_folder = make_folder = _refuse
    rename = link = remove = remove_folder = lock = _refuse


class UnlistedDisk(Disk):
    """Refuses to list the folders of one name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def list(self, path: str) -> list[str]:
        self._check(path)
        return super().list(path)

    def entries(self, path: str) -> dict[str, Entry]:
        self._check(path)
        return super().entries(path)

    def _check(self, path: str) -> None:
        if os.path.basename(path) == self._name:
            raise PermissionError(errno.EACCES, "Permission denied", path)


class InterruptedDisk(Disk):
    """Raises KeyboardInterrupt behind the effect of a number, once: no call of the system is then under way."""

    def __init__(self, interrupt_at: int = -1) -> None:
        super().__init__()
        self.effects = 0
        self._interrupt_at = interrupt_at

    def _then_interrupt(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            self.effects += 1
            if self.effects == self._interrupt_at + 1:
                raise KeyboardInterrupt
            return result

        return call

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._then_interrupt(found) if name in _EFFECTS else found


class HookedDisk(Disk):
    """Calls ``hook(method, path)`` behind every read and map, where other threads or processes may come in between."""

    def __init__(self) -> None:
        super().__init__()
        self.hook: Callable[[str, str], None] = lambda method, path: None

    def read(self, path: str) -> bytes:
        data = super().read(path)
        self.hook("read", path)
        return data

    def map(self, path: str, length: int | None = None) -> Any:
        data = super().map(path, length)
        self.hook("map", path)
        return data


class FailingSystem:
    """The module ``os`` with one call that goes wrong: the one of number ``fail_at`` among those that can.

    ``how`` is the fault: an error, an exception to raise in place of the call or (``after=True``) behind it, or None.
    Put it in the place of ``os`` in :mod:`fastk.io.disk` and :mod:`fastk.io.lock`.
    """

    FALLIBLE = frozenset(
        {"open", "read", "fstat", "writev", "fsync", "mkdir", "replace", "link", "unlink", "rmdir", "listdir"}
        | {"pread", "preadv", "pwrite", "ftruncate", "scandir", "lstat"}
    )

    def __init__(self, fail_at: int = -1, how: BaseException | None = None, *, after: bool = False) -> None:
        self.calls: list[str] = []
        self.fail_at = fail_at
        self.how = how
        self.after = after
        self.longest_write: int | None = None

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.FALLIBLE:
            return real

        def call(*arguments: Any) -> Any:
            mine = len(self.calls)
            self.calls.append(name)
            if mine == self.fail_at and not self.after:
                self._fail(arguments)
            if name == "writev" and self.longest_write is not None:
                descriptor, buffers = arguments
                return os.write(descriptor, memoryview(buffers[0])[: self.longest_write])
            result = real(*arguments)
            if mine == self.fail_at:
                if name == "open":
                    os.close(result)  # nobody gets it: thousands of these would be more than a process may have
                self._fail(arguments)
            return result

        return call

    def _fail(self, arguments: tuple[Any, ...]) -> None:
        if isinstance(self.how, OSError) and isinstance(arguments[0], str):  # calls that know a path name it
            raise OSError(self.how.errno, self.how.strerror, arguments[0])
        if self.how is not None:
            raise self.how
