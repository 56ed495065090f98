"""The kernels in numpy: always available, and what serves until the compiled ones are loaded.

Each is loaded when it is first used: a first read uses one or two. None has the name of a module beside it, which once
imported would stand in its place here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checksum import crc32c_blocks as crc32c_blocks
    from .chunks import scan_chunks as scan_chunks
    from .fnv import fnv1a as fnv1a
    from .indexed import chain as chain
    from .indexed import finder as finder
    from .indexed import picker as picker
    from .matrix import align as align
    from .matrix import bundle as bundle
    from .matrix import carry_forward as carry_forward
    from .matrix import equal as equal
    from .matrix import gather as gather
    from .matrix import intersect as intersect
    from .matrix import spread as spread
    from .matrix import unite as unite
    from .members import member_finder as member_finder
    from .merging import interleave as interleave
    from .merging import merge as merge
    from .order import first_disorder as first_disorder
    from .search import bounds as bounds
    from .search import copy_ranges as copy_ranges
    from .search import find as find
    from .search import find_many as find_many
    from .search import group_order as group_order
    from .search import lower_bounds as lower_bounds
    from .search import take as take
    from .search import upper_bounds as upper_bounds
    from .selection import compact as compact
    from .selection import index_bounds as index_bounds
    from .selection import mark as mark
    from .selection import prune as prune
    from .selection import scan as scan
    from .sequence import sequence_breaks as sequence_breaks
    from .zoning import zones as zones

_HOMES = {
    "checksum": "crc32c_blocks",
    "chunks": "scan_chunks",
    "fnv": "fnv1a",
    "indexed": "chain finder picker",
    "matrix": "align bundle carry_forward equal gather intersect spread unite",
    "members": "member_finder",
    "merging": "interleave merge",
    "order": "first_disorder",
    "search": "bounds copy_ranges find find_many group_order lower_bounds take upper_bounds",
    "selection": "compact index_bounds mark prune scan",
    "sequence": "sequence_breaks",
    "zoning": "zones",
}
_HOME_OF = {name: home for home, listed in _HOMES.items() for name in listed.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kernel = globals()[name] = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    return kernel


def __dir__() -> list[str]:
    return sorted(_HOME_OF)
