"""The kernels in numpy: always available, and what serves until the compiled ones are loaded."""

from .checksum import crc32c_blocks
from .merge import merge
from .order import first_disorder
from .search import bounds, copy_ranges, find, lower_bounds, take, upper_bounds
from .selection import compact, index_bounds, mark, prune, scan
from .sequence import sequence_breaks
from .zones import zones

__all__ = [
    "bounds",
    "compact",
    "copy_ranges",
    "crc32c_blocks",
    "find",
    "first_disorder",
    "index_bounds",
    "lower_bounds",
    "mark",
    "merge",
    "prune",
    "scan",
    "sequence_breaks",
    "take",
    "upper_bounds",
    "zones",
]
