"""One chunk file, as far as its header and its ends can be trusted."""

from __future__ import annotations

import errno
import os.path
from typing import TYPE_CHECKING, NamedTuple

from fastk.errors import FastKError, InvalidData, UnsupportedVersion
from fastk.format import names
from fastk.format.chunk import TRAILER_BYTES, ChunkHeader, check_end, column_offsets, parse_header
from fastk.format.tables import ChunkKind
from fastk.recovery.verdicts import Code, Problem
from fastk.schema.settings import SeriesSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastk.io.disk import Disk, Entry


class ChunkHead(NamedTuple):
    """The verified header of a chunk, and the settings in it."""

    header: ChunkHeader
    settings: SeriesSettings

    @property
    def chunk_id(self) -> int:
        """Its identity within the series."""
        return self.header.identity.chunk_id

    @property
    def sequence(self) -> int:
        """The commit that wrote it."""
        return names.sequence_and_part(self.chunk_id)[0]

    @property
    def name(self) -> str:
        """The file name that it was given."""
        identity = self.header.identity
        key = self.settings.partition.key(identity.partition)
        return names.chunk_file_name(key, ChunkKind(identity.kind).label, identity.chunk_id)


class ChunkFile(NamedTuple):
    """A chunk file. ``head`` is None if it does not verify.

    ``problem`` says what is wrong with the file by itself: with its header, or with its length and end.
    """

    path: str
    size: int
    head: ChunkHead | None = None
    problem: Problem | None = None

    @property
    def is_whole(self) -> bool:
        """Whether header, length and end are right; columns were not looked at."""
        return self.problem is None

    @property
    def has_own_name(self) -> bool:
        """Whether the file bears the name that it was given; one that was set aside has a suffix behind it."""
        name = os.path.basename(self.path).removesuffix(names.ORPHAN_SUFFIX)
        return self.head is not None and self.head.name == name


def read_chunk_file(disk: Disk, path: str, entry: Entry | None) -> ChunkFile:
    """Look at a chunk file, which may be anything. Never raises; costs a map and the header's CRC."""
    problem = not_a_file(entry)
    if entry is None or problem is not None:
        return ChunkFile(path, 0, problem=problem)
    if not entry.size:
        return ChunkFile(path, 0, problem=Problem(Code.TORN_TAIL, "the file is empty", 0))
    try:
        return _parse(disk.map(path), path)
    except OSError as error:
        return ChunkFile(path, entry.size, problem=unreadable(error))
    except UnsupportedVersion as error:
        return ChunkFile(path, entry.size, problem=Problem(Code.NEWER_FORMAT, str(error), 0))
    except (FastKError, ValueError, ArithmeticError) as error:
        return ChunkFile(path, entry.size, problem=Problem(Code.CORRUPT_HEADER, str(error), 0))


def not_a_file(entry: Entry | None) -> Problem | None:
    """What is wrong with a name that should be a file's."""
    if entry is None:
        return Problem(Code.MISSING_FILE, "it is missing, though the manifest names it")
    if entry.kind == "link":
        return Problem(Code.SYMBOLIC_LINK, "a symbolic link, which is not followed; put the file in its place")
    if entry.kind != "file":
        return Problem(Code.FOREIGN_FILE, f"there is no file under this name, but something else ({entry.kind})")
    return None


def unreadable(error: OSError) -> Problem:
    """Why the system gives no bytes: the medium lost them, or something else that is not the file's fault."""
    if isinstance(error, FileNotFoundError):
        return Problem(Code.MISSING_FILE, "it went away while it was looked at")
    code = Code.UNREADABLE if error.errno == errno.EIO else Code.INACCESSIBLE
    return Problem(code, f"it cannot be read: {error.strerror or error}")


def _parse(data: NDArray[np.uint8], path: str) -> ChunkFile:
    header = parse_header(data, path)
    head = ChunkHead(header, SeriesSettings.from_json(header.settings))
    _check_shape(head, path)
    return ChunkFile(path, data.size, head, _problem_of_end(data, header, path))


def _check_shape(head: ChunkHead, path: str) -> None:
    """A header that verifies describes what it says, unless somebody made it up."""
    header, schema = head.header, head.settings.schema
    _, end = column_offsets(schema, header.rows, header.length)
    if end + TRAILER_BYTES != header.file_length or header.crcs.shape[0] != len(schema.fields):
        raise InvalidData(f"{path} does not hold the columns that its settings describe")
    if header.identity.series_id != head.settings.series_id:
        raise InvalidData(f"{path} names two series")
    _ = head.name  # ValueError for a kind or a partition that does not exist


def _problem_of_end(data: NDArray[np.uint8], header: ChunkHeader, path: str) -> Problem | None:
    if data.size < header.file_length:
        return Problem(Code.TORN_TAIL, f"cut to {data.size:,} of {header.file_length:,} bytes", data.size)
    if data.size > header.file_length:
        extra = data.size - header.file_length
        return Problem(Code.EXCESS_TAIL, f"{extra:,} bytes stand behind its end", header.file_length)
    try:
        check_end(data, header, path)
    except InvalidData as error:
        return Problem(Code.TORN_TAIL, str(error), header.file_length - TRAILER_BYTES)
    return None
