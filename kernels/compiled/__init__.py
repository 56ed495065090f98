"""The kernels compiled by numba, most of them at their first call with each dtype, then taken from a cache on disk."""

from typing import Any

from numba import config

from .checksum import crc32c_blocks
from .fnv import fnv1a
from .matrix import align, carry_forward, equal, intersect, unite
from .order import first_disorder
from .sequence import sequence_breaks

_config: Any = config
if _config.DISABLE_JIT:  # Python itself cannot run the instructions
    from ..plain.chunks import scan_chunks
    from ..plain.indexed import chain, finder, picker
    from ..plain.matrix import bundle, gather, spread
    from ..plain.members import member_finder
    from ..plain.merging import interleave, merge
    from ..plain.search import bounds, copy_ranges, find, find_many, group_order, lower_bounds, take, upper_bounds
    from ..plain.selection import compact, index_bounds, mark, prune, scan
    from ..plain.zoning import zones
else:
    from .chunks import scan_chunks
    from .columns import bundle
    from .compact import compact
    from .indexed import chain, finder, picker
    from .interleave import interleave
    from .matrix import gather, spread
    from .members import member_finder
    from .merge import merge
    from .search import bounds, copy_ranges, find, find_many, group_order, lower_bounds, take, upper_bounds
    from .selection import index_bounds, mark, prune, scan
    from .zones import zones

__all__ = [
    "align",
    "bounds",
    "bundle",
    "carry_forward",
    "chain",
    "compact",
    "copy_ranges",
    "crc32c_blocks",
    "equal",
    "find",
    "find_many",
    "finder",
    "first_disorder",
    "fnv1a",
    "gather",
    "group_order",
    "index_bounds",
    "interleave",
    "intersect",
    "lower_bounds",
    "mark",
    "member_finder",
    "merge",
    "picker",
    "prune",
    "scan",
    "scan_chunks",
    "sequence_breaks",
    "spread",
    "take",
    "unite",
    "upper_bounds",
    "zones",
]
