"""Which files these are: formats by the endings of names, compressions, and the names that a pattern stands for."""

from __future__ import annotations

import glob
import os.path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastk.errors import InvalidInput, NotFound
from fastk.interop.optional import need

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

FormatName = Literal["csv", "jsonl", "parquet", "arrow"]
FORMATS: tuple[FormatName, ...] = ("csv", "jsonl", "parquet", "arrow")
_ENDINGS: dict[str, FormatName] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
TEXT_FORMATS = ("csv", "jsonl")


class FileKind(NamedTuple):
    """The format of a file, and the compression around it (of text alone: the others compress within)."""

    format: FormatName
    compression: str | None


def pyarrow(module: str = "pyarrow") -> Any:
    """The library that reads and writes the files, or a module of it."""
    return need(module, "files")


def kind_of(path: str, wanted: str | None = None) -> FileKind:
    """What a file is by its name, or by ``wanted`` (a name in :data:`FORMATS`); InvalidInput if neither tells."""
    stem, ending = os.path.splitext(path.lower())
    compression = _COMPRESSIONS.get(ending)
    if compression is not None:
        ending = os.path.splitext(stem)[1]
    if wanted is not None and wanted not in FORMATS:
        raise InvalidInput(f"format {wanted!r} is unknown: give {', '.join(FORMATS)}")
    found = next((name for name in FORMATS if name == wanted), _ENDINGS.get(ending))
    if found is None:
        raise InvalidInput(
            f"{path}: {ending or 'no ending'!r} tells no format (known are {', '.join(_ENDINGS)}, and .gz, .zst or "
            f".bz2 behind text): say which it is, {', '.join(FORMATS)}"
        )
    if compression is not None and found not in TEXT_FORMATS:
        raise InvalidInput(f"{path}: a {found} file is compressed within, not as a whole: unpack it first")
    return FileKind(found, compression)


def delimiter_of(path: str) -> str:
    """What stands between the cells of a CSV file if nobody says."""
    return "\t" if ".tsv" in os.path.basename(path).lower() else ","


def expand(files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    """Absolute paths of files in the order given, those of a pattern (``*``, ``?``, ``[...]``, ``**``) by name.

    NotFound for a file or a pattern that is not there; InvalidInput for a folder or a file that comes twice.
    """
    given = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    paths = [path for each in given for path in _matching(os.path.expanduser(os.fspath(each)))]
    if not paths:
        raise InvalidInput("no files were given")
    seen: set[str] = set()
    for path in paths:
        if os.path.isdir(path):
            raise InvalidInput(f"{path} is a folder: give its files, such as {os.path.join(path, '*.csv')!r}")
        if not os.path.isfile(path):
            raise InvalidInput(f"{path} is no file, and a pipe cannot be read again: save what comes out of it first")
        if path in seen:
            raise InvalidInput(f"{path} is given twice")
        seen.add(path)
    return paths


def _matching(path: str) -> list[str]:
    if os.path.exists(path):
        return [os.path.abspath(path)]
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not found:
        raise NotFound(f"{path}: no such file")
    return [os.path.abspath(each) for each in found]
