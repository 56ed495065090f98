"""Queries over many small chunks compare all of them at once; what they keep between queries never makes them wrong."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from builders import HOUR, use_kernels
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Between, Eq, Gt, InSet, InvalidData, Lt, Ne, NotInSet
from fastk.query import at_once, compared, search

ROWS = 100  # a chunk
CHUNKS = 8


@pytest.fixture(params=["plain", "compiled"], autouse=True)
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    monkeypatch.setattr(search, "_few_chunks", lambda *_: 0)  # windows of few rows have a way of their own
    return request.param


def values_of(hour):
    """A hundred values in no order; each hour shares half of them with the next one."""
    return np.arange(ROWS) * 37 % ROWS + 50 * hour


@pytest.fixture
def series(store):
    """Eight hours, a chunk each."""
    series = store.register_series(KEY, values_schema())
    for hour in range(CHUNKS):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), values_of(hour)))
    return series


@pytest.fixture
def built(monkeypatch):
    """How many chunks were opened together, each time that they were."""
    counts, build = [], compared.ComparedChunks.__init__

    def watched(chunks, snapshot, refs, column):
        counts.append(len(refs))
        build(chunks, snapshot, refs, column)

    monkeypatch.setattr(compared.ComparedChunks, "__init__", watched)
    return counts


def found(series, condition, *window, plan="auto"):
    """The rows of a query, asked twice: the first one of a window goes chunk by chunk."""
    first, again = (series.where("plain", condition, *window, plan=plan).rows for _ in range(2))
    assert content(first) == content(again)
    return content(again)


def content(rows):
    return list(zip(rows.ts.tolist(), rows.plain.tolist(), rows.text.tolist(), strict=True))


CONDITIONS = [
    Gt(390),
    Lt(1_000),
    Lt(-1),
    Eq(207),
    Ne(207),
    Between(120, 340),
    InSet([1, 205, 206, 449]),
    InSet(range(-30, 480, 5)),
    NotInSet([60]),
]


@pytest.mark.parametrize("window", [(), (HOUR, 5 * HOUR + 60), (HOUR + 7, 4 * HOUR + 9), (2 * HOUR + ROWS, 6 * HOUR)])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_rows_and_the_stats_are_those_of_chunk_by_chunk(series, monkeypatch, built, condition, window):
    together = found(series, condition, *window), series.where("plain", condition, *window).stats
    assert len(built) == 1
    monkeypatch.setattr(compared, "_FEWEST_CHUNKS", CHUNKS + 1)
    series._reader.snapshot.chunks.maps.derived.clear()
    assert together == (found(series, condition, *window), series.where("plain", condition, *window).stats)
    assert together[0] == found(series, condition, *window, plan="scan")
    assert len(built) == 1


def test_chunks_are_opened_once_for_all_queries_within_them(series, built):
    for condition in (Eq(3), Ne(3), Gt(100)):
        assert found(series, condition) == found(series, condition, plan="scan")
        assert found(series, condition, HOUR, 4 * HOUR) == found(series, condition, HOUR, 4 * HOUR, plan="scan")
    assert built == [CHUNKS]


@pytest.mark.parametrize(
    ("values", "most_rows", "together"), [(96, ROWS - 1, True), (97, ROWS, True), (97, ROWS - 1, False)]
)
def test_numpy_searches_long_chunks_one_by_one_for_many_values(
    series, monkeypatch, kernels, values, most_rows, together
):
    monkeypatch.setattr(compared, "_MOST_ROWS_SEARCHED", most_rows)
    condition, searched = InSet(range(0, 2 * values, 2)), []
    find = compared.ComparedChunks.find
    monkeypatch.setattr(compared.ComparedChunks, "find", lambda *given: searched.append(find(*given)) or searched[-1])
    assert found(series, condition) == found(series, condition, plan="scan")
    assert (searched[-1] is not None) == (together or kernels == "compiled")


def test_windows_that_are_asked_for_once_go_one_by_one(series, built):
    for hour in range(4):
        window = hour * HOUR, (hour + 3) * HOUR
        assert len(series.where("plain", Between(60, 70), *window).rows) == 11 * (hour < 2) + 11 * (hour < 1)
    assert built == []


def test_rows_are_there_when_all_else_is_forgotten(series):
    for _ in range(2):
        rows = series.where("plain", InSet([60, 260, 261])).rows
    expected = content(series.where("plain", InSet([60, 260, 261]), plan="scan").rows)
    series._reader.snapshot.chunks.maps.clear()
    assert content(rows) == expected


def test_rows_keep_the_chunks_mapped_that_they_are_of(series, monkeypatch):
    monkeypatch.setattr(at_once, "_FEW_CHUNKS", CHUNKS - 1)
    for _ in range(2):
        some, none = (series.where("plain", condition).rows for condition in (InSet([60, 260]), Eq(-1)))
    chunks = list(map(weakref.ref, series._reader.snapshot.all_chunks()))
    series._reader.snapshot.chunks.maps.clear()
    gc.collect()
    assert [place for place, chunk in enumerate(chunks) if chunk() is not None] == [0, 1, 4, 5]
    assert (len(some), len(none)) == (4, 0)


def test_few_chunks_and_large_ones_go_one_by_one(store, series, built, monkeypatch):
    assert len(found(series, Eq(60), 0, 2 * HOUR - 1)) == 2
    monkeypatch.setattr(compared, "_MOST_ROWS_A_CHUNK", ROWS - 1)
    assert len(found(series, Eq(60))) == 2
    assert built == []


def test_nothing_stays_mapped_beyond_the_budget(store, series, built):
    for budget in (4 * CHUNKS, CHUNKS):  # of the smaller one it would be more than a quarter
        with fastk.open(store.root, "r", max_maps=budget) as reader:
            assert len(found(reader.series(KEY), Eq(60))) == 2
    assert built == [CHUNKS]


def test_every_state_has_its_own_rows(series):
    assert len(found(series, Between(60, 70))) == 22
    kept = series.where("plain", Between(60, 70)).rows
    series.delete_range(HOUR, 2 * HOUR - 1)
    assert len(found(series, Between(60, 70))) == 11
    series.put(columns_of(HOUR + np.arange(ROWS), values_of(1)))
    assert len(found(series, Between(60, 70))) == 22
    assert len(kept.plain) == 22


def test_a_series_that_moves_before_each_query_is_searched_chunk_by_chunk(series, built):
    assert len(found(series, Eq(60))) == 2
    for count in range(1, 4):
        series.append(columns_of([CHUNKS * HOUR + count], [60]))
        assert len(series.where("plain", Eq(60)).rows) == 2 + count
    assert built == [CHUNKS]
    assert len(found(series, Eq(60))) == 5
    assert built == [CHUNKS, CHUNKS + 3]


def damage(store, hour):
    """Change a byte of one value of the column that has no sidecars."""
    path = sorted(Path(store.root).rglob("*.chunk"))[hour]
    content = bytearray(path.read_bytes())
    values = values_of(hour).astype(np.int64).tobytes()
    content[content.index(values, content.index(values) + 1) + 8] ^= 1
    path.write_bytes(content)


def test_damage_is_an_error_where_values_are_compared_and_nowhere_else(store, series):
    damage(store, 3)
    with reopened(store) as damaged:
        assert len(found(damaged, Lt(150))) == 50 + 2 * 100  # the spans of the other hours decide
        for _ in range(2):
            with pytest.raises(InvalidData, match="column 'plain' is damaged"):
                damaged.where("plain", Eq(207))
        assert len(found(damaged, Eq(207), 4 * HOUR)) == 1


def test_damage_that_verifying_found_is_not_forgotten(store, series):
    with reopened(store) as damaged:
        assert len(found(damaged, Eq(207))) == 2
        damage(store, 3)
        with pytest.raises(InvalidData):
            damaged.verify()
        with pytest.raises(InvalidData, match="column 'plain' is damaged"):
            damaged.where("plain", Eq(207))


@pytest.mark.parametrize("dtype", ["?", "f8", "u8"])
def test_other_values_than_integers_of_64_bits(store, dtype):
    values = {"?": [False, True], "f8": [np.nan, -0.0, 1.5, np.inf], "u8": [0, 2**63, 2**64 - 1]}[dtype]
    mixed = store.register_series(KEY, values_schema(dtype))
    for hour in range(CHUNKS):
        mixed.put(columns_of(hour * HOUR + np.arange(ROWS), np.resize(np.array(values, dtype), ROWS + hour)[hour:]))
    for condition in (Eq(1), Ne(1), Gt(0), Lt(1)) * 2:
        together, one_by_one = (mixed.where("plain", condition, plan=plan).rows for plan in ("auto", "scan"))
        assert together.ts.tolist() == one_by_one.ts.tolist()
        np.testing.assert_array_equal(together.plain, one_by_one.plain)
