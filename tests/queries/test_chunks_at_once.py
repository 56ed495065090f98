"""Queries that ask the value indexes of many chunks at once: what they keep between queries never makes them wrong."""

import tracemalloc
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from builders import HOUR
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Between, Eq, Gt, InSet, InvalidData, kernels
from fastk.engine import mapped
from fastk.engine.cache import MapCache
from fastk.kernels import compiled
from fastk.query import indexed, search

ROWS = 2_500  # a chunk
CHUNKS = 6


def values_of(hour):
    """Every value of an hour's rows is different, and none stands in order."""
    return np.arange(ROWS) * 7_919 % ROWS * 10 + hour


@pytest.fixture
def series(store):
    """Six hours, a chunk each."""
    series = store.register_series(KEY, values_schema())
    for hour in range(CHUNKS):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), values_of(hour)))
    return series


@pytest.fixture
def built(monkeypatch):
    """How many chunks were opened together, each time that they were."""
    counts, build = [], indexed.IndexedChunks.__init__

    def watched(chunks, snapshot, refs, *further):
        counts.append(len(refs))
        build(chunks, snapshot, refs, *further)

    monkeypatch.setattr(indexed.IndexedChunks, "__init__", watched)
    return counts


def found(series, condition, *window):
    rows = series.where("value", condition, *window).rows
    return list(zip(rows.ts.tolist(), rows.value.tolist(), strict=True))


def expected(hours, low, high, start=0, end=CHUNKS * HOUR):
    rows = ((hour * HOUR + row, value) for hour in hours for row, value in enumerate(values_of(hour).tolist()))
    return [(ts, value) for ts, value in rows if low <= value <= high and start <= ts <= end]


@pytest.mark.parametrize(("rows", "opened"), [(1_440, [CHUNKS]), (60, [])])
def test_chunks_of_a_day_of_minutes_are_opened_together_and_smaller_ones_are_not(store, built, rows, opened):
    small = store.register_series(KEY, values_schema())
    for hour in range(CHUNKS):
        small.append(columns_of(hour * HOUR + np.arange(rows), np.arange(rows)))
    assert len(found(small, Eq(7))) == CHUNKS
    assert built == opened


def test_chunks_are_opened_once_for_all_queries_within_them(series, built):
    for low in (500, 900, 0):
        assert found(series, Between(low, low + 50)) == expected(range(CHUNKS), low, low + 50)
    for start, end in (
        (HOUR, 2 * HOUR + 99),
        (HOUR + 7, HOUR + 2_000),
        (3 * HOUR + ROWS, 4 * HOUR - 1),
        (9 * HOUR, 9 * HOUR),
    ):
        assert found(series, Between(10, 90), start, end) == expected(range(CHUNKS), 10, 90, start, end)
    assert built == [CHUNKS]


FIRST_ROWS, LAST_ROWS = (0, CHUNKS - 1), (20_810, 20_809 + CHUNKS)  # the values of each chunk's


def found_at_the_ends(series, start, end):
    return found(series, InSet([*range(CHUNKS), *range(20_810, 20_810 + CHUNKS)]), start, end)


def expected_at_the_ends(start, end):
    return sorted(row for ends in (FIRST_ROWS, LAST_ROWS) for row in expected(range(CHUNKS), *ends, start, end))


@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("edge", [0, ROWS - 1])
def test_windows_begin_and_end_with_a_row_or_beside_it(series, built, edge, beside):
    assert len(found_at_the_ends(series, 0, CHUNKS * HOUR)) == 2 * CHUNKS
    for start, end in [(-1, 5), (0, 3), (0, 5), (0, CHUNKS), (1, 3), (2, 2), (2, 5)]:
        window = start * HOUR + edge + beside, end * HOUR + edge + beside
        assert found_at_the_ends(series, *window) == expected_at_the_ends(*window)
    assert built == [CHUNKS]


@pytest.mark.parametrize("window", [(ROWS - 1, 3 * HOUR - 1), (ROWS, 3 * HOUR)])
def test_a_window_that_reaches_one_row_more_than_those_that_are_open_opens_its_own(series, built, window):
    assert found_at_the_ends(series, ROWS, 3 * HOUR - 1) == expected_at_the_ends(ROWS, 3 * HOUR - 1)
    assert found_at_the_ends(series, *window) == expected_at_the_ends(*window)
    assert built == [2, 3]


def test_a_window_beyond_those_that_are_open_opens_its_own(series, built, monkeypatch):
    monkeypatch.setattr(search, "_few_chunks", lambda *_: 0)  # of so few rows, without kernels
    assert found(series, Eq(13), HOUR, 3 * HOUR + 2_000) == expected([3], 13, 13)
    assert found(series, Eq(14), 2 * HOUR, 4 * HOUR + 2_000) == expected([4], 14, 14)
    assert found(series, Eq(10), 0) == expected([0], 10, 10)
    assert built == [3, 3, CHUNKS]


def test_damage_beside_a_window_is_no_matter_of_its_queries(store, series):
    path = sorted(Path(store.root).rglob("*.chunk"))[2]
    content = bytearray(path.read_bytes())
    content[20] ^= 1  # of its header
    path.write_bytes(content)
    with reopened(store) as damaged:
        for hour in (1, 3, 4):
            window = hour * HOUR, hour * HOUR + 2_000
            assert found(damaged, Eq(10 + hour), *window) == expected([hour], 10 + hour, 10 + hour)
        with pytest.raises(InvalidData):
            found(damaged, Eq(10), HOUR, 3 * HOUR)


def test_every_state_has_its_own_rows(store, series):
    low, high = 40, 60
    assert found(series, Between(low, high)) == expected(range(CHUNKS), low, high)
    kept = series.where("value", Between(low, high)).rows
    series.delete_range(HOUR, 2 * HOUR - 1)
    assert found(series, Between(low, high)) == expected([0, 2, 3, 4, 5], low, high)
    series.put(columns_of(HOUR + np.arange(ROWS), values_of(1)))
    assert found(series, Between(low, high)) == expected(range(CHUNKS), low, high)
    series.merge()
    assert found(series, Between(low, high)) == expected(range(CHUNKS), low, high)
    assert kept.value.tolist() == [value for _, value in expected(range(CHUNKS), low, high)]
    store.drop_series(KEY)
    store.register_series(KEY, values_schema()).put(columns_of(range(ROWS), values_of(0)))
    assert found(store.series(KEY), Between(low, high)) == expected([0], low, high)


def test_nothing_stays_mapped_beyond_the_budget(store, series, built):
    for budget in (4 * CHUNKS, CHUNKS):  # of the smaller one it would be more than a quarter
        with fastk.open(store.root, "r", max_maps=budget) as reader:
            for _ in range(3):
                assert found(reader.series(KEY), Eq(22)) == expected([2], 22, 22)
    assert built == [CHUNKS]


def test_maps_that_are_let_go_are_not_kept_by_what_was_made_of_them(store, series):
    with fastk.open(store.root, "r") as reader:
        found(reader.series(KEY), Eq(22))
        maps = reader._maps
        assert maps.derived
        owner, chunk_id = next(islice(maps._ring, 1))
        maps.budget = 1
        maps.add(owner, -1, owner[chunk_id])
        assert not maps.derived


def test_sets_of_a_few_values(series):
    wanted = [23, 1_204, 999_999, 5, 14]
    rows = sorted(row for value in wanted for row in expected(range(CHUNKS), value, value))
    assert found(series, InSet(wanted)) == rows


def test_a_damaged_column_is_an_error_where_its_rows_are_taken(store, series, monkeypatch):
    monkeypatch.setattr(mapped, "WHOLE_SEARCH_BYTES", 0)
    path = sorted(Path(store.root).rglob("*.chunk"))[2]
    content = bytearray(path.read_bytes())
    place = content.index((values_of(2)[:4]).astype(np.int64).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with reopened(store) as damaged:
        rows = damaged.where("value", Between(40, 60)).rows
        with pytest.raises(InvalidData, match="column 'value' is damaged"):
            _ = rows.value
        assert rows.number.tolist() == [ts % HOUR for ts, _ in expected(range(CHUNKS), 40, 60)]
        elsewhere = damaged.where("value", Between(40, 60), 3 * HOUR).rows
        assert elsewhere.value.tolist() == [value for _, value in expected(range(3, CHUNKS), 40, 60)]


def test_chunks_without_a_match_are_neither_read_nor_packed_again(store, series, monkeypatch):
    """Of 400 chunks, looking at those that have no match took twenty times as long as the query."""
    monkeypatch.setattr(mapped, "WHOLE_SEARCH_BYTES", 0)
    for path in sorted(Path(store.root).rglob("*.chunk"))[:3]:
        content = bytearray(path.read_bytes())
        content[content.index(values_of(int(path.name[11:13]))[:4].astype(np.int64).tobytes())] ^= 1
        path.write_bytes(content)
    with reopened(store) as damaged:
        packed = []
        for name in ("finder", "picker"):
            prepare = getattr(kernels.load(), name)
            watched = partial(watched_preparing, prepare, packed, name)
            monkeypatch.setattr(kernels.active, name, watched)
        for value in (13, 23, 33):  # of the fourth chunk, which is whole
            assert found(damaged, Eq(value)) == expected([3], value, value)
        assert packed == ["finder", "picker", "picker"]  # of ts, of value


def watched_preparing(prepare, names, name, *columns):
    names.append(name)
    return prepare(*columns)


def test_found_columns_are_read_only(series):
    for _ in range(2):  # verified as they are taken, and then before
        rows = series.where("value", Eq(13)).rows
        for column in (rows.ts, rows.value):
            assert not column.flags.writeable
            with pytest.raises(ValueError, match="cannot set WRITEABLE"):
                column.setflags(write=True)


def test_many_matches_are_compared_instead(series, built):
    rows = series.where("value", Gt(5))
    assert rows.stats.fallback_scan
    assert len(rows) == len(expected(range(CHUNKS), 6, 10**9))


@pytest.mark.parametrize("searches", [1, 4, 5])
def test_many_chunks_go_some_at_a_time(series, monkeypatch, searches):
    """One call keeps the interpreter's lock, and must not keep it for long."""
    monkeypatch.setattr(compiled.indexed, "_MOST_SEARCHES", searches)
    monkeypatch.setattr(compiled.indexed, "_FEW_CHUNKS", searches // 64)
    kernels.load()
    assert found(series, Between(500, 530)) == expected(range(CHUNKS), 500, 530)
    assert found(series, InSet([2, 507, 24_993])) == sorted(
        row for value in (2, 507, 24_993) for row in expected(range(CHUNKS), value, value)
    )


def test_a_query_of_another_thread_may_add_while_a_commit_takes_out():
    maps = MapCache(8)

    class Raced(tuple):
        """A key; whoever looks at it loses the race to another thread."""

        __slots__ = ()

        def __getitem__(self, place):
            maps.derived[len(maps.derived), 1, True] = "added meanwhile"
            return super().__getitem__(place)

    maps.derived[Raced((7, 0, True))] = maps.derived[7, 1, True] = "made of maps that go"
    maps.let_go(7, (), ())
    assert list(maps.derived.values()) == ["added meanwhile"]


def test_a_result_keeps_its_rows_and_not_the_room_for_more(series):
    results = [series.where("value", Eq(71)) for _ in range(2)]
    tracemalloc.start()
    try:
        results += [series.where("value", Eq(71)) for _ in range(50)]
        assert tracemalloc.get_traced_memory()[0] < 50 * 4_000
    finally:
        tracemalloc.stop()
    assert {len(result) for result in results} == {1}
