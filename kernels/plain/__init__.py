"""The kernels in numpy: always available, and what serves until the compiled ones are loaded."""

from .checksum import crc32c_blocks
from .chunks import scan_chunks
from .fnv import fnv1a
from .indexed import chain, find_indexed, pick
from .matrix import align, bundle, carry_forward, equal, gather, intersect, spread, unite
from .merge import interleave, merge
from .order import first_disorder
from .search import bounds, copy_ranges, find, find_many, group_order, lower_bounds, take, upper_bounds
from .selection import compact, index_bounds, mark, prune, scan
from .sequence import sequence_breaks
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
    "find_indexed",
    "find_many",
    "first_disorder",
    "fnv1a",
    "gather",
    "group_order",
    "index_bounds",
    "interleave",
    "intersect",
    "lower_bounds",
    "mark",
    "merge",
    "pick",
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
