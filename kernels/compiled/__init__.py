"""The kernels compiled by numba, most of them at their first call with each dtype, then taken from a cache on disk.

Kernels which call each other share one file, because the cache goes by the file's time.
"""

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
