"""Single values in the indexes of many chunks: compiled == numpy == every value compared with every member."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernels_indexed import index_of
from test_kernels_selection import assert_guards, both, guarded

from fastk.kernels import compiled
from fastk.kernels.codes import MOST_MEMBER_ROWS, MOST_MEMBERS, UNREACHED
from fastk.kernels.samples import read_only

LIMITS = np.iinfo(np.int64)
# Dense, wide, at both ends of int64 at once, and of one value.
SPANS = [(0, 40), (-(10**15), 10**15), (LIMITS.min, LIMITS.max), (LIMITS.max - 3, LIMITS.max), (7, 7)]


def prepared(kernels: Any, columns: list[Any]) -> Any:
    values, rows = map(list, zip(*map(index_of, columns), strict=True))
    return kernels.member_finder(values, rows, times_of(columns))


def times_of(columns: list[Any]) -> list[Any]:
    return [read_only(np.arange(len(column)) * 7 + 10**6 * place) for place, column in enumerate(columns)]


def searched(find: Any, chunks: int, wanted: list[int]) -> Any:
    """How many rows are found, and counts, ts, values and places; nothing beside the answer is written."""
    answer, whole = guarded(chunks + 3 * MOST_MEMBER_ROWS, np.int64)
    found = find(len(wanted), *wanted, *[wanted[0]] * (MOST_MEMBERS - len(wanted)), answer)
    assert_guards(whole)
    *parts, counts = np.split(answer, MOST_MEMBER_ROWS * np.arange(1, 4))
    return found, counts, *[part[: max(found, 0)] for part in parts]


@both
@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), span=st.sampled_from(SPANS), chunks=st.integers(1, 5), count=st.integers(1, 4))
def test_rows_of_members_chunk_by_chunk(
    kernels: Any, seed: int, span: tuple[int, int], chunks: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    columns = [random.integers(*span, int(random.integers(1, 200)), endpoint=True) for _ in range(chunks)]
    present = np.concatenate(columns)
    wanted = np.where(
        random.random(count) < 0.7, random.choice(present, count), random.integers(*span, count, endpoint=True)
    )
    found, counts, ts, values, places = searched(prepared(kernels, columns), chunks, wanted.tolist())
    rows = [np.flatnonzero(np.isin(column, wanted)) for column in columns]
    if sum(map(len, rows)) > MOST_MEMBER_ROWS:
        assert found == -1
        return
    assert found == sum(map(len, rows))
    reached = [((column.min() <= wanted) & (wanted <= column.max())).any() for column in columns]
    assert counts.tolist() == [
        len(each) if is_reached else UNREACHED for each, is_reached in zip(rows, reached, strict=True)
    ]
    for part, expected in ((ts, times_of(columns)), (values, columns), (places, map(np.arange, map(len, columns)))):
        assert part.tolist() == [
            value for each, row in zip(expected, rows, strict=True) for value in each[row].tolist()
        ]


@both
@pytest.mark.parametrize("rows", [MOST_MEMBER_ROWS - 1, MOST_MEMBER_ROWS, MOST_MEMBER_ROWS + 1])
def test_as_many_rows_as_there_is_room_for(kernels: Any, rows: int) -> None:
    columns = [np.arange(5_000) + 10, np.arange(3_000) + 10]
    columns[0][::-1][: rows - 5] = 3
    columns[1][40:45] = 3
    found, _, ts, *_ = searched(prepared(kernels, columns), 2, [3, 99_999])
    assert found == (rows if rows <= MOST_MEMBER_ROWS else -1)
    if found > 0:
        assert ts.tolist() == [7 * row for row in range(5_000 - rows + 5, 5_000)] + [
            10**6 + 7 * row for row in range(40, 45)
        ]


@both
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 31, 4_095, 65_535, 65_536, 70_000])
def test_every_value_of_an_index_is_found(kernels: Any, length: int) -> None:
    """Around the sizes where the guide gets another slot bit; values that share all their leading bits, too."""
    for column in (np.arange(length) * 3, np.append(np.arange(length - 1), 2**62)):
        find = prepared(kernels, [column])
        for row in {0, 1, length // 2, length - 1} & set(range(length)):
            found, _, _, values, places = searched(find, 1, [int(column[row])])
            assert (found, values.tolist(), places.tolist()) == (1, [column[row]], [row])
        assert searched(find, 1, [int(column[-1]) - 1])[0] == (1 if int(column[-1]) - 1 in column else 0)


@pytest.mark.parametrize("most", [150, 2**32])
@pytest.mark.parametrize("seed", range(30))
def test_an_index_that_was_not_verified_is_searched_within_its_memory(seed: int, most: int) -> None:
    """Values in any order, and rows that the chunk does not have, which are passed over."""
    random = np.random.default_rng(seed)
    values = [random.integers(0, 400, 200) for _ in range(4)]
    rows = [read_only(random.integers(0, most, 200).astype(np.uint32)) for _ in range(4)]
    times = [read_only(np.arange(100)) for _ in range(4)]
    wanted = random.integers(0, 400, 4).tolist()
    for is_sorted in (True, False):
        stored = [read_only(np.sort(each) if is_sorted else each) for each in values]
        found, _, ts, _, places = searched(compiled.member_finder(stored, rows, times), 4, wanted)
        assert found <= MOST_MEMBER_ROWS
        assert (places < 100).all()
        assert ts.tolist() == places.tolist()
        if is_sorted:
            named = [row[np.isin(each, wanted)] for each, row in zip(stored, rows, strict=True)]
            assert found == sum(np.count_nonzero(each < 100) for each in named)


@both
def test_a_value_that_is_none_of_int64_is_an_error(kernels: Any) -> None:
    find = prepared(kernels, [np.arange(40)])
    for wanted in (2**63, -(2**63) - 1, 2**100):
        with pytest.raises(OverflowError):
            searched(find, 1, [3, wanted])
