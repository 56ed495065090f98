"""Names of the original's files and series. It takes the parts of a key as folder names, just as they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from fastk import kernels
from fastk.errors import InvalidData, InvalidInput
from fastk.format import names

if TYPE_CHECKING:
    from fastk.keys import SeriesKey

_DELTA, _MERGED = re.compile(r"\.delta\.g\d+\.chunk$"), re.compile(r"\.g\d+\.chunk$")


def series_id(key: SeriesKey) -> int:
    """The id that the original gives a series: a hash of its name."""
    return kernels.active.fnv1a(np.frombuffer(":".join(key).encode(), np.uint8))


def series_parts(key: SeriesKey) -> list[str]:
    """The folder names of a series below ``series/``; a slash in a part of the key makes more than three.

    Raises InvalidInput for a key that would lie elsewhere: the original would follow it.
    """
    parts = [folder for part in key for folder in part.split("/")]
    for folder in parts:
        if folder in ("", ".", "..") or "\0" in folder or "\\" in folder:
            raise InvalidInput(f"{key} cannot be a series of the original's: {folder!r} is no plain folder name")
    return parts


def chunk_file_name(partition_key: str, generation: int) -> str:
    """The first chunk of a partition (generation 1), or one that was appended to it later."""
    return f"{partition_key}.chunk" if generation == 1 else f"{partition_key}.delta.g{generation:08d}.chunk"


def is_delta(path: str) -> bool:
    """Whether a chunk's file name is that of an appended one."""
    return _DELTA.search(path) is not None


def is_merged(path: str) -> bool:
    """Whether a chunk's file name is that of one that took the place of others."""
    return not is_delta(path) and _MERGED.search(path) is not None


def file_in_chunks(relative_path: str, manifest: str) -> str:
    """The name in ``chunks/`` that a path in a manifest means; InvalidData for one that means anything else."""
    parts = [part for part in relative_path.replace("\\", "/").split("/") if part]
    if len(parts) != 2 or parts[0] != names.CHUNKS_FOLDER or parts[1] in (".", "..") or "\0" in parts[1]:
        raise InvalidData(f"{manifest} names the file {relative_path!r}, which is none in {names.CHUNKS_FOLDER}/")
    return parts[1]
