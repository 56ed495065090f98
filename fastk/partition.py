"""Partitions: the UTC year, month, day or hour that a row belongs to, by array arithmetic.

A partition is named by its *ordinal*: years, months, days or hours since 1970-01-01T00:00Z. Ordinals order like time.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from fastk.errors import InvalidInput
from fastk.times import TimeUnit

if TYPE_CHECKING:
    from numpy.typing import NDArray


class PartitionUnit(StrEnum):
    """The span of UTC time that shares chunks. The original knows no ``year``; it suits daily bars."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"
    HOUR = "hour"

    @classmethod
    def parse(cls, value: PartitionUnit | PartitionPolicy | str) -> PartitionUnit:
        """Accept the enum, a policy or its name; refuse anything else with the list of names."""
        try:
            return cls(value.unit if isinstance(value, PartitionPolicy) else value)
        except ValueError:
            raise InvalidInput(f"partition {value!r} is unknown: give 'year', 'month', 'day' or 'hour'") from None

    @property
    def _dtype(self) -> np.dtype[np.datetime64]:
        return _DTYPES[self]

    def ordinal(self, ts: int, unit: TimeUnit) -> int:
        """Ordinal of the partition that holds ``ts``."""
        if self is PartitionUnit.HOUR:
            return ts // (3_600 * unit.per_second)
        return _ordinal_of_day(self, ts // (86_400 * unit.per_second))

    def ordinals(self, ts: NDArray[np.int64], unit: TimeUnit) -> NDArray[np.int64]:
        """Ordinal of each ``ts`` (storable ones: see ``fastk.times.check_storable``)."""
        # Floor division by hand: numpy's own conversion from nanoseconds overflows near the ends of int64.
        if self is PartitionUnit.HOUR:
            return ts // (3_600 * unit.per_second)
        return (ts // (86_400 * unit.per_second)).view("<M8[D]").astype(self._dtype).view(np.int64)

    def starts(self, ordinals: NDArray[np.int64], unit: TimeUnit) -> NDArray[np.int64]:
        """First ``ts`` of each partition."""
        return ordinals.view(self._dtype).astype(unit.dtype).view(np.int64)

    def bounds(self, ordinal: int, unit: TimeUnit) -> tuple[int, int]:
        """First and last ``ts`` of a partition."""
        return _bounds(self, ordinal, unit.per_second)

    def key(self, ordinal: int) -> str:
        """Text of a partition: ``2024``, ``2024-02``, ``2024-02-01`` or ``2024-02-01T05``."""
        return _key(self, ordinal)

    def parse_key(self, key: str) -> int:
        """Ordinal of a partition's text; InvalidInput when it names no partition of this unit."""
        try:
            ordinal = int(np.array([key], self._dtype).view(np.int64)[0])
            if self.key(ordinal) == key and key != "NaT":
                return ordinal
        except ValueError:
            pass
        raise InvalidInput(f"{key!r} names no {self.value}; write it like {self.example}")

    @property
    def example(self) -> str:
        """The text of some partition, for messages."""
        return self.key(self.ordinal(1_706_745_600_000, TimeUnit.MILLISECONDS))


_DTYPES = {unit: np.dtype(f"<M8[{code}]") for unit, code in zip(PartitionUnit, "YMDh", strict=True)}


# Series share their months, and a series that is written asks for the same one again and again.


@lru_cache(1 << 14)
def _key(unit: PartitionUnit, ordinal: int) -> str:
    return str(np.array([ordinal], np.int64).view(_DTYPES[unit])[0])


@lru_cache(1 << 14)
def _ordinal_of_day(unit: PartitionUnit, day: int) -> int:
    return int(unit.ordinals(np.array([day * 86_400_000], np.int64), TimeUnit.MILLISECONDS)[0])


@lru_cache(1 << 14)
def _bounds(unit: PartitionUnit, ordinal: int, per_second: int) -> tuple[int, int]:
    # By way of python integers: the end of the last nanosecond partition does not fit int64.
    edges = np.array([ordinal, ordinal + 1], np.int64).view(_DTYPES[unit]).astype("<M8[s]").view(np.int64)
    return int(edges[0]) * per_second, int(edges[1]) * per_second - 1


class PartitionPolicy:
    """How a series is partitioned; a thin holder of :class:`PartitionUnit` kept for the original's name."""

    __slots__ = ("unit",)

    def __init__(self, unit: PartitionUnit | str) -> None:
        self.unit = PartitionUnit.parse(unit)

    def __repr__(self) -> str:
        return f"PartitionPolicy({self.unit.value!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PartitionPolicy) and other.unit == self.unit

    def __hash__(self) -> int:
        return hash(self.unit)


def split(ts: NDArray[np.int64], partition: PartitionUnit, unit: TimeUnit) -> list[tuple[int, int, int]]:
    """Cut a sorted, storable ``ts`` column into (ordinal, first row, one past the last row), in order of time.

    Cost: a binary search per partition, or one pass over the rows where partitions outnumber them.
    """
    if not ts.size:
        return []
    first, last = partition.ordinal(int(ts[0]), unit), partition.ordinal(int(ts[-1]), unit)
    if first == last:
        return [(first, 0, ts.size)]
    if last - first < ts.size:
        ordinals = np.arange(first, last + 1)
        # Without the first: where that one begins, int64 nanoseconds may not have begun.
        borders = np.searchsorted(ts, partition.starts(ordinals[1:], unit))
        cuts = np.concatenate(([0], borders, [ts.size]))
    else:
        ordinals, starts = np.unique(partition.ordinals(ts, unit), return_index=True)
        cuts = np.append(starts, ts.size)
    pieces = zip(ordinals.tolist(), cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)
    return [piece for piece in pieces if piece[1] < piece[2]]
