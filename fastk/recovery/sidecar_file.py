"""One sidecar, compared with the chunk that it should have been made from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.errors import FastKError, InvalidData, UnsupportedVersion
from fastk.format.binary import CRC_BYTES
from fastk.format.sidecars import FRONT_BYTES, ZONE_MAP, ZONE_ROWS, parse_value_index, parse_zone_map, read_owner
from fastk.recovery.chunk_file import not_a_file, unreadable
from fastk.recovery.reading import patiently, read_stretch, read_through
from fastk.recovery.verdicts import Code, Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.format.sidecars import SidecarKind, SidecarOwner
    from fastk.io.disk import Disk, Entry
    from fastk.schema.schema import Schema


def problem_of_sidecar(
    disk: Disk,
    path: str,
    entry: Entry | None,
    kind: SidecarKind,
    owner: SidecarOwner,
    schema: Schema,
    *,
    thorough: bool,
) -> Problem | None:
    """What is wrong with a sidecar; None for a sound one. Never raises. ``thorough`` compares the checksum as well."""
    if entry is None:
        return Problem(Code.MISSING_SIDECAR, "it is missing; queries compare rows instead")
    problem = not_a_file(entry)
    if problem is not None:
        return Problem(Code.DAMAGED_SIDECAR, problem.detail)
    if not entry.size:
        return Problem(Code.DAMAGED_SIDECAR, "the file is empty", 0)
    try:
        data = _map(disk, path, kind, entry.size) if thorough else patiently(lambda: disk.map(path))
        return _compare(data, path, kind, owner, schema, thorough)
    except UnsupportedVersion as error:
        return _newer(disk, path, kind, entry.size, str(error))
    except InvalidData as error:
        return Problem(Code.DAMAGED_SIDECAR, str(error))
    except OSError as error:
        return unreadable(error)


def _newer(disk: Disk, path: str, kind: SidecarKind, size: int, words: str) -> Problem:
    """A file of a newer format, unless the digits of its format alone are damaged: with ours its checksum holds."""
    with suppress(InvalidData, OSError):
        front = np.frombuffer(kind.magic + read_stretch(disk, path, 8, FRONT_BYTES - 8).tobytes(), np.uint8)
        read_owner(front, kind, path, size)
        read_through(disk, path, 0, size)
        data = patiently(lambda: disk.map(path))
        crc = kernels.crc32c(data[8:-CRC_BYTES], kernels.crc32c(kind.magic))
        if crc == int.from_bytes(data[-CRC_BYTES:].tobytes(), "little"):
            return Problem(Code.DAMAGED_SIDECAR, "the digits of its format are damaged", 5)
    return Problem(Code.NEWER_FORMAT, words)


def _map(disk: Disk, path: str, kind: SidecarKind, size: int) -> NDArray[np.uint8]:
    """A sidecar that was read once, all of it; InvalidData before that if it is not as long as its head says."""
    read_owner(read_stretch(disk, path, 0, min(FRONT_BYTES, size)), kind, path, size)
    read_through(disk, path, 0, size)
    return patiently(lambda: disk.map(path))


def _compare(
    data: NDArray[np.uint8], path: str, kind: SidecarKind, owner: SidecarOwner, schema: Schema, thorough: bool
) -> Problem | None:
    found, _ = read_owner(data, kind, path)
    if found != owner:
        _check_crc(data, path)
        if (found.series_id, found.chunk_id) == (owner.series_id, owner.chunk_id):
            return Problem(Code.STALE_SIDECAR, "it was made from an earlier content of its chunk")
        return Problem(Code.FOREIGN_FILE, f"it belongs to chunk {found.chunk_id} of series {found.series_id:016x}")
    if thorough and kind is ZONE_MAP:
        parse_zone_map(data, owner, schema, path)
    elif thorough:
        parse_value_index(data, owner, schema, path)
    return None


def _check_crc(data: NDArray[np.uint8], path: str) -> None:
    """A damaged owner is no other owner."""
    if kernels.crc32c(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:].tobytes(), "little"):
        raise InvalidData(f"{path} is damaged: its checksum differs")


def sound_owner(disk: Disk, path: str, entry: Entry | None, kind: SidecarKind) -> SidecarOwner | None:
    """The chunk that a sidecar was made from, whose rows it knows; None for one that does not verify."""
    if entry is None or entry.kind != "file" or not entry.size:
        return None
    try:
        data = _map(disk, path, kind, entry.size)
        owner, _ = read_owner(data, kind, path)
        _check_crc(data, path)
    except (FastKError, OSError):
        return None
    return owner


def zone_rows_of(disk: Disk, path: str, entry: Entry | None) -> int:
    """The rows of a zone in a zone map that was there, as far as it can be told; else what is usual."""
    if entry is None or entry.kind != "file" or not entry.size:
        return ZONE_ROWS
    try:
        data = _map(disk, path, ZONE_MAP, entry.size)
        _check_crc(data, path)
        return read_owner(data, ZONE_MAP, path)[1] or ZONE_ROWS
    except (InvalidData, OSError):
        return ZONE_ROWS
