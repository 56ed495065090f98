"""`fastk_admin doctor`: the machine, the file system and the versions, and what is not promised there."""

from __future__ import annotations

import os.path
import platform
import re
import shutil
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import fastk
from fastk import kernels
from fastk.errors import NotFound
from fastk.format import names
from fastk.format.binary import VERSION
from fastk.recovery.listings import fsync_guarantee

_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|glusterfs|lustre|fuse(\..*)?")
_MEMORY = ("tmpfs", "ramfs")
_FEW_FILES, _FEW_MAPS, _LITTLE_SPACE = 256, 65_530, 1 << 30
_LIMIT_ON_MAPS = "/proc/sys/vm/max_map_count"
_MOUNTS = "/proc/self/mountinfo"


@dataclass(slots=True)
class DoctorReport:
    """What a store finds here; None where it cannot be told. ``warnings`` are what FastK does not promise.

    ``free_bytes`` and the fields before it are about the root, or the current folder where none was given.
    """

    root: str
    is_store: bool
    file_system: str | None
    mount_point: str | None
    free_bytes: int | None
    lock_holder: str | None
    crashed_writers: int
    fsync_guarantee: str
    most_open_files: int | None
    most_maps: int | None
    kernel_cache_is_writable: bool
    fastk: str
    format: int
    python: str
    numpy: str | None
    numba: str | None
    crc32c: str | None
    platform: str
    warnings: list[str] = field(default_factory=list)


def examine(root: str | None) -> DoctorReport:
    """Look at the system, and at the file system of a root; nothing is written. NotFound if there is no such folder."""
    folder = os.path.abspath(root or ".")
    if not os.path.isdir(folder):
        raise NotFound(f"there is no folder {folder}; check the path")
    file_system, mount_point = file_system_of(folder, _mounts())
    holder, crashes = _lock_text(os.path.join(folder, names.LOCK_FILE))
    report = DoctorReport(
        root=folder,
        is_store=os.path.isfile(os.path.join(folder, names.STORE_FILE)),
        file_system=file_system,
        mount_point=mount_point,
        free_bytes=_free_bytes(folder),
        lock_holder=holder,
        crashed_writers=crashes,
        fsync_guarantee=fsync_guarantee(sys.platform),
        most_open_files=_most_open_files(),
        most_maps=_most_maps(),
        kernel_cache_is_writable=_kernel_cache_is_writable(),
        fastk=fastk.__version__,
        format=VERSION,
        python=platform.python_version(),
        numpy=_version("numpy"),
        numba=_version("numba"),
        crc32c=_version("crc32c"),
        platform=platform.platform(),
    )
    report.warnings = list(warnings_of(report))
    return report


def warnings_of(report: DoctorReport) -> list[str]:
    """What is not promised under such circumstances."""
    kind, found = report.file_system or "", []
    if _NETWORK.fullmatch(kind):
        found.append(f"{kind} is no local disk: locks, renames and maps are not promised there")
    if kind in _MEMORY:
        found.append(f"{kind} is memory: nothing there survives a restart")
    if sys.platform == "win32":
        found.append("Windows: stores cannot be written there")
    if report.free_bytes is not None and report.free_bytes < _LITTLE_SPACE:
        found.append(f"only {report.free_bytes:,} bytes are free")
    if report.most_open_files is not None and report.most_open_files < _FEW_FILES:
        found.append(f"only {report.most_open_files} files may be open at a time")
    if report.most_maps is not None and report.most_maps < _FEW_MAPS:
        found.append(f"only {report.most_maps} files may be mapped at a time ({_LIMIT_ON_MAPS})")
    if report.crashed_writers:
        found.append(f"{report.crashed_writers} writers ended without releasing the lock; that is safe")
    if report.numba is None:
        found.append("numba is missing: queries and batch reads are slower")
    if not report.kernel_cache_is_writable:
        found.append("compiled kernels cannot be kept: each process compiles them anew (set NUMBA_CACHE_DIR)")
    return found


def _mounts() -> str:
    try:
        return Path(_MOUNTS).read_text(errors="replace")
    except OSError:
        return ""


def file_system_of(path: str, mounts: str) -> tuple[str | None, str | None]:
    """The kind of the file system that holds a path, and where it is mounted, by the system's list of mounts."""
    best: tuple[str | None, str | None] = (None, None)
    real = os.path.realpath(path)
    for line in mounts.splitlines():
        left, separator, right = line.partition(" - ")
        words, kinds = left.split(), right.split()
        if not separator or len(words) < 5 or not kinds:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[4])
        if _is_below(real, point) and len(point) >= len(best[1] or ""):
            best = (kinds[0], point)
    return best


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _free_bytes(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _lock_text(path: str) -> tuple[str | None, int]:
    """The holder that the lock file names, and how many ended without releasing it. Information only."""
    if not os.path.isfile(path):
        return None, 0
    with open(path, errors="replace") as file:
        text = file.read(400)
    crashes = re.match(r"crashes (\d+)\n", text)
    return text.partition("\n")[2].strip() or None, int(crashes[1]) if crashes else 0


def _most_open_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _most_maps() -> int | None:
    try:
        return int(Path(_LIMIT_ON_MAPS).read_text())
    except (OSError, ValueError):
        return None


def _kernel_cache_is_writable() -> bool:
    """Where numba keeps what it compiled: beside the kernels, or in a folder of the user's."""
    wanted = os.environ.get("NUMBA_CACHE_DIR")
    folders = [wanted] if wanted else [os.path.dirname(kernels.__file__), os.path.expanduser("~")]
    return any(os.access(folder, os.W_OK) for folder in folders)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
