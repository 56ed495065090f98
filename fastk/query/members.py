"""Rows whose value is one of a few integers, found by one short call: what a query for single values comes down to.

The value indexes of all chunks are looked into as in :mod:`fastk.query.indexed`, by a guide in place of a search, and
the same call takes ts and values. That is for what is asked again and again, and names few rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import empty  # by itself: a look less in each query

from fastk import kernels
from fastk.engine.rows import rows_class
from fastk.kernels.codes import MOST_MEMBER_ROWS, MOST_MEMBERS
from fastk.query.expressions import Eq, InSet
from fastk.query.indexed import IndexedRows, open_indexed
from fastk.times import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastk.engine.snapshot import Snapshot
    from fastk.query.indexed import IndexedChunks

    Int64 = NDArray[np.int64]

_WORD = np.dtype(np.int64)
_new = object.__new__
_PADDING = [(0,) * (MOST_MEMBERS - count) for count in range(MOST_MEMBERS + 1)]
# To make the guides takes what so many queries gain by them, and some more for each chunk.
_ASKED_BEFORE, _ASKED_A_CHUNK = 64, 4
# After a query that named too many rows, so many are not tried: to try takes a microsecond.
_LEFT_OUT = 7


class MemberRows(IndexedRows):
    """Rows with their ts and values: an answer of the kernel, read-only, of which all are views.

    Their counts and places are looked at seldom. To take them out of the answer would be a sixth of the query.
    """

    __slots__ = ("_answer", "_length")  # the properties stand in place of slots of RowsAtOnce

    _answer: Int64
    _length: int

    def __len__(self) -> int:
        return self._length

    @property
    def _places(self) -> NDArray[np.uint32]:  # type: ignore[override]
        return self._answer[2 * MOST_MEMBER_ROWS :][: self._length].astype(np.uint32)

    @property
    def _counts(self) -> Int64:  # type: ignore[override]
        return self._answer[3 * MOST_MEMBER_ROWS :]

    @property
    def _span(self) -> tuple[int, int]:  # type: ignore[override]
        return 0, len(self._counts)


class MemberSearch:
    """The look for single values in the chunks that were opened for queries of a column.

    It keeps their maps alive, but not what keeps it: a cycle would let go of maps when Python finds it.
    """

    def __init__(self, chunks: IndexedChunks) -> None:
        self._find = chunks.member_finder()
        self._words = 3 * MOST_MEMBER_ROWS + len(chunks)
        self._form: type[MemberRows] = rows_class(MemberRows, chunks.settings.schema)
        self._left_out = 0

    def find(self, chunks: IndexedChunks, values: tuple[Any, ...]) -> MemberRows | None:
        """The matching rows; None if they are too many, or the values none of int64."""
        one, two, three, four = values + _PADDING[len(values)]
        if not type(one) is type(two) is type(three) is type(four) is int:
            return None
        if self._left_out > 0:
            self._left_out -= 1
            return None
        answer = empty(self._words, _WORD)
        try:
            length = self._find(len(values), one, two, three, four, answer)
        except OverflowError:
            return None
        if length < 0:
            self._left_out = _LEFT_OUT
            return None
        # Without ``__init__`` and the name of the flag a query takes a twentieth less.
        answer.setflags(False)  # type: ignore[call-arg]
        rows = _new(self._form)
        rows.settings = chunks.settings
        rows._chunks = chunks.reference
        rows._answer = answer
        rows._length = length
        rows._kept = {0: answer[:length], chunks.column: answer[MOST_MEMBER_ROWS : MOST_MEMBER_ROWS + length]}
        rows._held = (chunks.few or chunks.holding(rows._counts)) if length else ()
        return rows


def find_members(snapshot: Snapshot, column: int, predicate: object, start: int, end: int) -> MemberRows | None:
    """The rows of a whole series that satisfy a condition, if it names a few integers, and this way is open; else None.

    It opens after 64 such queries of one state of a series, and 4 more for each chunk, and needs compiled kernels.
    """
    if type(predicate) is InSet:
        values = predicate.values
    elif type(predicate) is Eq:
        values = (predicate.value,)
    else:
        return None
    if start > INT64_MIN or end < INT64_MAX or not 0 < len(values) <= MOST_MEMBERS or kernels.active is kernels.plain:
        return None
    key = snapshot.settings.series_id, column, kernels.active, open_indexed
    chunks: IndexedChunks | None = snapshot.chunks.maps.derived.get(key)
    if chunks is None or chunks.snapshot is not snapshot or chunks.before >= start or chunks.behind <= end:
        return None
    members = chunks.members or _opened(chunks)
    return None if members is None else members.find(chunks, values)


def _opened(chunks: IndexedChunks) -> MemberSearch | None:
    """The search of these chunks, if it was asked for often enough to be made, and can be."""
    chunks.asked_for_members += 1
    if chunks.asked_for_members >= _ASKED_BEFORE + _ASKED_A_CHUNK * len(chunks):
        chunks.asked_for_members = 0
        if chunks.may_find_members():
            chunks.members = MemberSearch(chunks)
    return chunks.members
