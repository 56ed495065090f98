"""Bytes on the disk by category, from listings alone."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from fastk.format import names
from fastk.format.sidecars import VALUE_INDEX, ZONE_MAP
from fastk.inspect.facts import Sizes

if TYPE_CHECKING:
    from collections.abc import Set

    from fastk.io.disk import Disk, Entry
    from fastk.recovery.places import Place

_CATEGORY = {ZONE_MAP.suffix: "zone_maps", VALUE_INDEX.suffix: "value_indexes"}


def series_sizes(disk: Disk, place: Place, named: Set[str] | None) -> Sizes:
    """The files of a series. ``named`` are those of its current chunks; None counts every chunk as one of them."""
    sizes = dict.fromkeys(("chunks", "zone_maps", "value_indexes", "tables", "unnamed"), 0)
    for name, entry in _entries(disk, place.chunks).items():
        if entry.kind == "file":
            sizes[_category(name, named)] += entry.size
    for name, entry in _entries(disk, place.folder).items():
        if entry.kind == "file":
            sizes["tables" if _is_table(name) else "unnamed"] += entry.size
    return Sizes(**sizes)


def _entries(disk: Disk, path: str) -> dict[str, Entry]:
    """What a folder holds; nothing of one that cannot be read."""
    try:
        return disk.entries(path)
    except OSError:
        return {}


def _is_table(name: str) -> bool:
    return name == names.MANIFEST_FILE or names.parse_table_file_name(name) is not None


def _category(name: str, named: Set[str] | None) -> str:
    bare, suffix = os.path.splitext(name)
    chunk, category = (bare, _CATEGORY[suffix]) if suffix in _CATEGORY else (name, "chunks")
    is_named = names.parse_chunk_file_name(chunk) is not None if named is None else chunk in named
    return category if is_named else "unnamed"


def folder_bytes(disk: Disk, path: str) -> int:
    """All files below a folder, no link followed; 0 where there is none."""
    total = 0
    for name, entry in _entries(disk, path).items():
        total += folder_bytes(disk, os.path.join(path, name)) if entry.kind == "folder" else entry.size
    return total
