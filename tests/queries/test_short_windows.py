"""Windows of few rows are compared without a look at sidecars: the same rows and stats as chunk by chunk."""

from pathlib import Path

import numpy as np
import pytest
from builders import HOUR, use_kernels
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Between, Eq, Gt, Gte, InSet, Lt, Ne, NotInSet
from fastk import kernels as fastk_kernels
from fastk.engine.sidecars import SeriesSidecars
from fastk.errors import InvalidData
from fastk.format import chunk_tables
from fastk.query import search

ROWS = 100  # a chunk
CHUNKS = 4


@pytest.fixture(params=["plain", "compiled"], autouse=True)
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param


@pytest.fixture
def series(store):
    """Four hours, a chunk each, with a value index; each hour shares half of its values with the next one."""
    series = store.register_series(KEY, values_schema())
    for hour in range(CHUNKS):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), np.arange(ROWS) * 37 % ROWS + 50 * hour))
    return series


@pytest.fixture
def searched(monkeypatch):
    """A list that grows by one for each chunk of a short window."""
    chunks, look = [], search.search_few

    def watched(*arguments):
        found = look(*arguments)
        chunks.extend(found._searched)
        return found

    monkeypatch.setattr(search, "search_few", watched)
    return chunks


def content(rows):
    return list(zip(rows.ts.tolist(), rows.value.tolist(), rows.text.tolist(), strict=True))


WINDOWS = [
    (10, 60, 1),
    (None, 60, 1),
    (3 * HOUR + 7, None, 1),
    (HOUR + 80, 2 * HOUR + 20, 2),
    (90, HOUR - 1, 1),
    (ROWS, HOUR - 1, 0),
    (50, HOUR, 2),
]
CONDITIONS = [
    Gt(75),
    Lt(1_000),
    Lt(-1),
    Eq(120),
    Ne(120),
    Gte(50),
    Between(60, 140, False),
    InSet([1, 51, 52, 149, 160]),
    NotInSet([60, 110]),
    InSet([]),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_rows_and_the_stats_are_those_of_chunk_by_chunk(series, monkeypatch, searched, condition, window):
    start, end, chunks = window
    short = series.where("plain", condition, start, end)
    assert len(searched) == chunks
    monkeypatch.setattr(search, "_few_chunks", lambda *_: 0)
    long = series.where("plain", condition, start, end)
    assert len(searched) == chunks
    assert (
        content(short.rows)
        == content(long.rows)
        == content(series.where("plain", condition, start, end, plan="scan").rows)
    )
    assert short.stats == long.stats


@pytest.mark.parametrize(
    ("dtype", "values"), [("?", [0, 1, 1, 0]), ("f8", [1, np.nan, np.inf, -1]), ("f4", [0, np.nan, 0.1, 9])]
)
@pytest.mark.parametrize("condition", [Eq(1), Ne(1), Eq(0), NotInSet([0, 1])])
def test_other_columns_are_compared_as_they_are(store, searched, dtype, values, condition):
    series = store.register_series(KEY, values_schema(dtype))
    series.put(columns_of(range(4), np.array(values, dtype)))
    found, scanned = (series.where("value", condition, 0, 5, plan=plan).rows.ts.tolist() for plan in ("auto", "scan"))
    assert found == scanned
    assert len(searched) == 1


def test_no_sidecar_is_opened(series, monkeypatch):
    def opened(*_):
        raise AssertionError("a short window needs no sidecar")

    monkeypatch.setattr(SeriesSidecars, "value_index", opened)
    monkeypatch.setattr(SeriesSidecars, "zones", opened)
    assert series.where("value", Gt(75), 0, 50).stats.rows_checked == 51
    with pytest.raises(AssertionError, match="needs no sidecar"):
        series.where("value", Gt(75), 0, 50, plan="index")


@pytest.mark.parametrize(
    ("column", "condition", "compiled", "plain"),
    [
        ("value", Eq(7), 2, 16),
        ("plain", Eq(7), 3, 16),
        ("plain", InSet([7, 9]), 2, 8),
        ("plain", InSet([3, 7, 9, 11]), 2, 4),
    ],
)
def test_as_many_chunks_as_pay_are_short_windows(store, searched, kernels, column, condition, compiled, plain):
    most = plain if kernels == "plain" else compiled
    series = store.register_series(KEY, values_schema())
    for hour in range(17):
        series.put(columns_of(hour * HOUR + np.arange(20), np.arange(20)))
    for chunks, few in ((most, most), (most + 1, 0)):
        searched.clear()
        found = series.where(column, condition, 0, chunks * HOUR - 1).rows.ts.tolist()
        assert found == series.where(column, condition, 0, chunks * HOUR - 1, plan="scan").rows.ts.tolist()
        assert len(found) == chunks * (len(condition.values) if isinstance(condition, InSet) else 1)
        assert len(searched) == few


def test_rows_of_short_windows_keep_no_more_chunks_mapped_than_others(store, searched, kernels):
    series = store.register_series(KEY, values_schema())
    for hour in range(6):
        series.put(columns_of(hour * HOUR + np.arange(20), np.arange(20)))
    with fastk.FastKStore.open(store.root, "r", max_maps=8) as frugal:
        for chunks, few in ((2, 2), (3, 0)):  # a quarter of the maps
            searched.clear()
            assert len(frugal.series(KEY).where("plain", Eq(7), 0, chunks * HOUR - 1)) == chunks
            assert len(searched) == few


@pytest.mark.parametrize(("condition", "queries"), [(Eq(7), 3), (InSet([5, 7]), 2)])
def test_short_windows_of_many_chunks_load_the_kernels_at_last(store, monkeypatch, condition, queries):
    series = store.register_series(KEY, values_schema())
    for hour in range(8):
        series.put(columns_of(hour * HOUR + np.arange(20), np.arange(20)))
    use_kernels(monkeypatch, "plain")
    monkeypatch.setenv("FASTK_KERNELS", "lazy")
    monkeypatch.setattr(fastk_kernels, "_missed", fastk_kernels._LOADING - 2e-5)
    for _ in range(10):
        series.where("plain", condition, 0, 2 * HOUR - 1)  # which kernels would not serve either
    for _ in range(queries):
        assert fastk_kernels.active is fastk_kernels.plain
        series.where("plain", condition, 0, 8 * HOUR - 1)
    assert fastk_kernels.active is not fastk_kernels.plain


def test_longer_windows_go_other_ways(store, searched):
    series = store.register_series(KEY, values_schema())
    series.put(columns_of(np.arange(20_000), np.arange(20_000) % 100))
    some, many = InSet([1, 3, 5, 7]), InSet([1, 3, 5, 7, 9])
    for condition, last, short in (
        (Eq(5), 8_000, True),
        (Eq(5), 8_001, False),
        (some, 2_300, True),
        (some, 2_400, False),
        (many, 10, False),
    ):
        searched.clear()
        series.where("value", condition, 1, last)
        assert (len(searched) == 1) == short, (condition, last)
    series.where("value", Eq(5))
    series.where("value", Eq(5), 1, 10, plan="index")
    assert not searched


def test_the_rows_are_there_when_the_maps_are_forgotten(series):
    rows = series.where("value", Gte(75), HOUR + 80, 2 * HOUR + 20).rows
    expected = content(series.where("value", Gte(75), HOUR + 80, 2 * HOUR + 20, plan="scan").rows)
    series._reader.snapshot.chunks.maps.clear()
    assert content(rows) == expected
    assert content(rows[3:9]) == expected[3:9]


@pytest.mark.parametrize(("condition", "rows_found"), [(Gte(75), 35), (Gte(150), 0), (Gte(-1), 60)])
def test_columns_are_read_only_and_kept_and_go_into_buffers(series, condition, rows_found):
    rows = series.where("value", condition, 80, HOUR + 39).rows
    assert len(rows) == rows_found
    for field in rows.schema.fields:
        buffer = np.empty(len(rows), field.dtype)
        assert rows.column(field.name, out=buffer) is buffer
        column = rows[field.name]
        assert column is rows[field.name]
        assert (column.dtype, column.shape) == (field.dtype, (len(rows),))
        assert not column.flags.writeable
        assert buffer.tolist() == column.tolist()


def test_a_column_that_is_damaged_is_an_error_where_it_is_compared_or_taken(store, series):
    chunk = next(iter(series._reader.snapshot.all_chunks()))
    place = Path(chunk.path)
    stored = chunk.columns[chunk.settings.schema.position("plain")]
    sound = place.read_bytes()
    at = sound.index(
        stored.tobytes(), sound.index(stored.tobytes()) + 1
    )  # behind those of ``value``, which are the same
    place.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
    with reopened(store) as damaged:
        rows = damaged.where("value", Gte(20), 10, HOUR + 10).rows
        with pytest.raises(InvalidData, match="column 'plain' is damaged"):
            rows.plain  # noqa: B018
        assert rows.ts.tolist() == series.where("value", Gte(20), 10, HOUR + 10, plan="scan").rows.ts.tolist()
        with pytest.raises(InvalidData, match="column 'plain' is damaged"):
            damaged.where("plain", Gte(20), 10, HOUR + 10)
        assert len(damaged.where("plain", Gte(20), HOUR, HOUR + 10).rows.plain) == 11


@pytest.mark.parametrize("in_a_leaf", [256, 3])
def test_few_chunks_are_those_that_overlap_in_one_leaf_or_none(store, monkeypatch, in_a_leaf):
    monkeypatch.setattr(chunk_tables, "INLINE_MAX", in_a_leaf)
    monkeypatch.setattr(chunk_tables, "TABLE_MAX", in_a_leaf)
    series = store.register_series(KEY, values_schema())
    for hour in range(5):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), np.arange(ROWS)))
    snapshot = series._reader.snapshot
    assert (len(snapshot.leaf_ends) > 1) == (in_a_leaf < 5)
    for start in range(-HOUR, 6 * HOUR, HOUR // 2):
        for end in range(start - HOUR, 6 * HOUR, HOUR // 2):
            refs = snapshot.overlapping(start, end) if start <= end else []
            few = len(refs) <= 2 and len({id(leaf) for leaf, _ in refs}) <= 1
            expected = [snapshot.window(*ref, start, end) for ref in refs] if few else []
            assert snapshot.few_between(start, end, 2, 10**9) == expected, (start, end)
