"""Rows whose value is one of a few integers, found by one short call: what a query for single values comes down to.

The value indexes of all chunks are looked into as in :mod:`fastk.query.indexed`, by a guide in place of a search, and
the same call takes ts and values. That is for what is asked again and again and names few rows of verified columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import empty  # by itself: a look less in each query

from fastk.engine.rows import rows_class
from fastk.kernels.codes import MOST_MEMBER_ROWS, MOST_MEMBERS
from fastk.query.expressions import Eq, InSet
from fastk.query.indexed import IndexedRows, known_chunks

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
# Of queries that name too many rows, after so many in a row, only one in as many is tried: it takes a microsecond more.
_PATIENCE = 8


class MemberRows(IndexedRows):
    """Rows with their ts and values: an answer of the kernel, read-only, of which all are views.

    Their counts and places are looked at seldom. To take them out of the answer would be a tenth of the query.
    """

    __slots__ = ("_answer", "_length")

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
    """The look for single values in the chunks of one snapshot that were opened for queries of a column."""

    def __init__(self, chunks: IndexedChunks) -> None:
        self._chunks = chunks
        self._find = chunks.member_finder()
        self._words = len(chunks) + 3 * MOST_MEMBER_ROWS
        self._form: type[MemberRows] = rows_class(MemberRows, chunks.settings.schema)
        self._missed = 0

    def find(self, values: tuple[Any, ...]) -> MemberRows | None:
        """The matching rows; None if they are too many, or the values none of int64."""
        one, two, three, four = values + _PADDING[len(values)]
        if not type(one) is type(two) is type(three) is type(four) is int:
            return None
        if self._missed >= _PATIENCE and self._missed % _PATIENCE:
            self._missed += 1
            return None
        answer = empty(self._words, _WORD)
        try:
            length = self._find(len(values), one, two, three, four, answer)
        except OverflowError:
            return None
        if length < 0:
            self._missed += 1
            return None
        self._missed = 0
        return self._made(answer, length)

    def _made(self, answer: Int64, length: int) -> MemberRows:
        """The rows of an answer. Without ``__init__`` and the name of the flag a query takes a twentieth less."""
        answer.setflags(False)  # type: ignore[call-arg]
        chunks, rows = self._chunks, _new(self._form)
        rows.settings = chunks.settings
        rows._chunks = chunks.reference
        rows._answer = answer
        rows._length = length
        rows._kept = {0: answer[:length], chunks.column: answer[MOST_MEMBER_ROWS : MOST_MEMBER_ROWS + length]}
        rows._held = (chunks.few or chunks.holding(rows._counts)) if length else ()
        return rows


def find_members(snapshot: Snapshot, column: int, predicate: object, start: int, end: int) -> MemberRows | None:
    """The rows that satisfy a condition, if it names a few integers, and this way is open; None for all else.

    It opens when some hundred such queries were asked of one state of a series, and needs compiled kernels.
    """
    if type(predicate) is InSet:
        values = predicate.values
    elif type(predicate) is Eq:
        values = (predicate.value,)
    else:
        return None
    if not 0 < len(values) <= MOST_MEMBERS:
        return None
    chunks = known_chunks(snapshot, column)
    if chunks is None or not chunks.before < start <= chunks.start or not chunks.end <= end < chunks.behind:
        return None
    members = chunks.members or _opened(chunks)
    return None if members is None else members.find(values)


def _opened(chunks: IndexedChunks) -> MemberSearch | None:
    """The search of these chunks, if it was asked for often enough to be made."""
    chunks.asked_for_members += 1
    if chunks.asked_for_members >= _ASKED_BEFORE + _ASKED_A_CHUNK * len(chunks) and chunks.may_find_members:
        chunks.members = MemberSearch(chunks)
    return chunks.members
