"""The kernels in numpy: always available, and what serves until the compiled ones are loaded."""

from .checksum import crc32c_blocks
from .order import first_disorder
from .search import bounds, copy_ranges, find, lower_bounds, take, upper_bounds
from .zones import zones

__all__ = [
    "bounds",
    "copy_ranges",
    "crc32c_blocks",
    "find",
    "first_disorder",
    "lower_bounds",
    "take",
    "upper_bounds",
    "zones",
]
