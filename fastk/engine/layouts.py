"""The layouts of stores that can be read: format 3, and the original's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastk.engine.chunks import SeriesChunks
from fastk.engine.files import SeriesFiles, series_folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastk.engine.files import Unlisted
    from fastk.io.disk import Disk
    from fastk.keys import SeriesKey


class Layout(NamedTuple):
    """How the series of a store are found, where their files lie, and how their chunks are mapped.

    Everything above a snapshot is the same for all.
    """

    files: type[SeriesFiles]
    folders: Callable[[Disk, str, Unlisted], Iterator[tuple[SeriesKey, str]]]
    chunks: type[SeriesChunks]


FORMAT_3 = Layout(SeriesFiles, series_folders, SeriesChunks)


def find_original(disk: Disk, root: str) -> Layout | None:
    """The layout of the original's stores, if the folder is one."""
    from fastk.engine.original.files import OriginalFiles, is_original_store, original_folders

    if not is_original_store(disk, root):
        return None
    from fastk.engine.original.chunks import OriginalChunks

    return Layout(OriginalFiles, original_folders, OriginalChunks)
