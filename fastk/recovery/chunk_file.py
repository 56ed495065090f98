"""One chunk file, as far as its header and its ends can be trusted."""

from __future__ import annotations

import errno
import os.path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fastk.errors import FastKError, InvalidData, UnsupportedVersion
from fastk.format import names
from fastk.format.chunk import (
    CHUNK_MAGIC,
    LARGEST_HEADER,
    TRAILER_BYTES,
    TRAILER_MAGIC,
    ChunkHeader,
    check_end,
    column_offsets,
    parse_header,
)
from fastk.format.tables import ChunkKind
from fastk.recovery.reading import read_stretch
from fastk.recovery.verdicts import Code, Problem
from fastk.schema.settings import SeriesSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.io.disk import Disk, Entry


_PAGE = 4096


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

    ``problem`` says what is wrong with the file by itself: with its header, or with its length and end. ``has_end``
    tells of a file without a head that it was not cut: its last bytes are a chunk's.
    """

    path: str
    size: int
    head: ChunkHead | None = None
    problem: Problem | None = None
    has_end: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether header, length and end are right; columns were not looked at."""
        return self.problem is None

    @property
    def is_hidden(self) -> bool:
        """Whether the system gives nothing of it: what it holds is unknown, and may be sound."""
        return self.problem is not None and self.problem.code in (Code.UNREADABLE, Code.INACCESSIBLE)

    @property
    def has_own_name(self) -> bool:
        """Whether the file bears the name that it was given; one that was set aside has a suffix behind it."""
        name = os.path.basename(self.path).removesuffix(names.ORPHAN_SUFFIX)
        return self.head is not None and self.head.name == name


class _Ends(NamedTuple):
    """The ends of a file: its header, as far as one stands there, and its last bytes; None if the medium lost those."""

    path: str
    size: int
    ahead: NDArray[np.uint8]
    behind: NDArray[np.uint8] | None
    problem: Problem | None


def read_chunk_file(disk: Disk, path: str, entry: Entry | None) -> ChunkFile:
    """Look at a chunk file, which may be anything. Never raises; costs two reads, of the header and of the end."""
    problem = not_a_file(entry)
    if entry is None or problem is not None:
        return ChunkFile(path, 0, problem=problem)
    if not entry.size:
        return ChunkFile(path, 0, problem=Problem(Code.TORN_TAIL, "the file is empty", 0))
    try:
        ends = _read_ends(disk, path, entry.size)
    except OSError as error:
        return ChunkFile(path, entry.size, problem=unreadable(error))
    except FastKError as error:
        return ChunkFile(path, entry.size, problem=Problem(Code.CORRUPT_HEADER, str(error), 0))
    try:
        return _parse(ends)
    except (FastKError, ValueError, ArithmeticError) as error:
        return _with_mended_magic(ends) or _without_head(ends, error)


def _read_ends(disk: Disk, path: str, size: int) -> _Ends:
    """Read what a header takes and the end, and no byte of a column, which may be a lost one."""
    ahead = read_stretch(disk, path, 0, min(_PAGE, size))
    length = int(ahead[12:16].view("<u4")[0]) if ahead.size >= 16 else 0
    if _PAGE < length <= min(size - TRAILER_BYTES, LARGEST_HEADER):
        ahead = np.concatenate([ahead, read_stretch(disk, path, _PAGE, length - _PAGE)])
    start = max(0, size - TRAILER_BYTES)
    try:
        return _Ends(path, size, ahead, read_stretch(disk, path, start, size - start), None)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        problem = Problem(Code.UNREADABLE_BLOCK, f"its end cannot be read: {error.strerror}", start)
        return _Ends(path, size, ahead, None, problem)


def _without_head(ends: _Ends, error: Exception) -> ChunkFile:
    """A file of a newer format ends as one, too; where one end says so alone, a digit of it is damaged."""
    has_end = ends.behind is not None and ends.behind[-len(TRAILER_MAGIC) :].tobytes() == TRAILER_MAGIC
    is_newer = isinstance(error, UnsupportedVersion) and not has_end
    code = Code.NEWER_FORMAT if is_newer else Code.CORRUPT_HEADER
    return ChunkFile(ends.path, ends.size, problem=Problem(code, str(error), 0), has_end=has_end)


def _with_mended_magic(ends: _Ends) -> ChunkFile | None:
    """A file of which the first bytes alone are damaged: the header verifies with the right ones in their place."""
    ahead = np.frombuffer(CHUNK_MAGIC + ends.ahead[len(CHUNK_MAGIC) :].tobytes(), np.uint8)
    try:
        head = _head_of(ends._replace(ahead=ahead))
    except (FastKError, ValueError, ArithmeticError):
        return None
    problem = Problem(Code.CORRUPT_HEADER, "its first bytes are damaged", 0)
    return ChunkFile(ends.path, ends.size, head, problem)


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
    words = f"it cannot be read: {error.strerror or error}"
    if error.errno != errno.EIO:
        return Problem(Code.INACCESSIBLE, words)
    return Problem(Code.UNREADABLE, f"{words}; its medium may be failing: copy the file away and repair again")


def _parse(ends: _Ends) -> ChunkFile:
    head = _head_of(ends)
    return ChunkFile(ends.path, ends.size, head, ends.problem or _problem_of_end(ends, head.header))


def _head_of(ends: _Ends) -> ChunkHead:
    header = parse_header(ends.ahead, ends.path, ends.size)
    head = ChunkHead(header, SeriesSettings.from_json(header.settings))
    _check_shape(head, ends.path)
    return head


def _check_shape(head: ChunkHead, path: str) -> None:
    """A header that verifies describes what it says, unless somebody made it up."""
    header, schema = head.header, head.settings.schema
    _, end = column_offsets(schema, header.rows, header.length)
    if end + TRAILER_BYTES != header.file_length or header.crcs.shape[0] != len(schema.fields):
        raise InvalidData(f"{path} does not hold the columns that its settings describe")
    if header.identity.series_id != head.settings.series_id:
        raise InvalidData(f"{path} names two series")
    _ = head.name  # ValueError for a kind or a partition that does not exist


def _problem_of_end(ends: _Ends, header: ChunkHeader) -> Problem | None:
    size, length = ends.size, header.file_length
    if size < length:
        return Problem(Code.TORN_TAIL, f"cut to {size:,} of {length:,} bytes", size)
    if size > length:
        return Problem(Code.EXCESS_TAIL, f"{size - length:,} bytes stand behind its end", length)
    assert ends.behind is not None
    try:
        check_end(ends.behind, size, header, ends.path)
    except InvalidData as error:
        return Problem(Code.TORN_TAIL, str(error), length - TRAILER_BYTES)
    return None
