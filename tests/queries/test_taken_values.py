"""Few rows have their ts and values from the search that finds them: the same that are gathered for any others."""

import numpy as np
import pytest
from builders import HOUR, use_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Between, Eq, Gte, InSet
from fastk.query import indexed

ROWS = 700  # a chunk
DTYPES = ["?", "i1", "u2", "i4", "i8", "u8", "f4", "f8"]


@pytest.fixture(params=["plain", "compiled"], autouse=True)
def kernels(request, monkeypatch):
    use_kernels(monkeypatch, request.param)
    return request.param


def values_of(hour, dtype):
    """Of 0 there is one, of 1 two, of 2 four and so on, up to 8; 9 is in each other hour only. In no order."""
    values = np.repeat(np.arange(9), 1 << np.arange(9))
    others = np.full(ROWS - values.size, 9 - hour % 2)
    return np.random.default_rng(hour).permutation(np.append(values, others)).astype(dtype)


def written(store, dtype, hours):
    series = store.register_series(KEY, values_schema(dtype))
    for hour in range(hours):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), values_of(hour, dtype)))
    return series


@pytest.fixture
def sizes(monkeypatch):
    """How many rows each search found with their values, and -1 of those that did so without."""
    found, find = [], indexed.IndexedChunks.find

    def watched(*arguments, **options):
        rows = find(*arguments, **options)
        if rows is not None and options.get("may_take", True):
            found.append(len(rows) if rows._kept else -1)
        return rows

    monkeypatch.setattr(indexed.IndexedChunks, "find", watched)
    monkeypatch.setattr(indexed, "index_capacity", lambda rows, chunks, ranges, costs: rows)
    return found


def assert_rows(rows, hours, dtype, condition, start=0, end=10**9):
    """All columns of the rows, in the order that a caller may take them."""
    ts = np.concatenate([hour * HOUR + np.arange(ROWS) for hour in range(hours)])
    value = np.concatenate([values_of(hour, dtype) for hour in range(hours)])
    number = np.tile(np.arange(ROWS), hours)
    chosen = condition(value) & (start <= ts) & (ts <= end)
    for name, column in {"number": number, "value": value, "ts": ts, "plain": value}.items():
        taken = rows[name]
        assert taken.dtype == (column.dtype if name != "number" else np.int64)
        assert taken.tolist() == column[chosen].tolist(), name
        assert not taken.flags.writeable
    assert rows["text"].tolist() == [b"%03d" % each for each in number[chosen]]
    assert len(rows) == np.count_nonzero(chosen)


@pytest.mark.parametrize("hours", [1, 5, 11])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_any_dtype_are_those_that_are_gathered(store, sizes, dtype, hours):
    series = written(store, dtype, hours)
    for value in (0, 1, 1, 0, 3, 2, 9, 8, 0, 0, 4):
        if dtype == "?":
            value = min(value, 1)
        rows = series.where("value", Eq(value)).rows
        assert_rows(rows, hours, dtype, lambda column, value=value: column == value)
    assert -1 in sizes
    assert max(sizes) > 0


QUERY = st.tuples(st.integers(0, 9), st.integers(0, 2), st.sampled_from([(None, None), (HOUR, 3 * HOUR + 70)]))


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(queries=st.lists(QUERY, min_size=2, max_size=12))
def test_rows_and_stats_are_the_same_whatever_was_asked_before(tmp_path_factory, queries):
    with fastk.open(tmp_path_factory.mktemp("store")) as store:
        series = written(store, "i4", 5)
        for low, more, (start, end) in queries:
            result = series.where("value", Between(low, low + more), start, end)
            bounds = {} if start is None else {"start": start, "end": end}
            assert_rows(
                result.rows,
                5,
                "i4",
                lambda column, low=low, high=low + more: (low <= column) & (column <= high),
                **bounds,
            )
            with reopened(store) as other:
                first = other.where("value", Between(low, low + more), start, end)
                assert result.stats == first.stats


def test_room_follows_what_was_found_last(store, sizes):
    series = written(store, "i8", 4)

    def asked(*conditions):
        sizes.clear()
        for condition in conditions:
            rows = series.where("value", condition).rows
            _ = rows.ts, rows.value
        return list(sizes)

    few, hundred, many = Eq(0), Eq(5), Gte(8)
    hundred_rows = len(series.where("value", hundred))
    few_rows = len(series.where("value", few))
    assert 2 * 16 < hundred_rows <= 256 < len(series.where("value", many))
    assert few_rows <= 16
    assert asked(few, few, few) == [-1, -1, few_rows]
    assert asked(hundred, hundred) == [-1, hundred_rows]
    assert asked(few, few, few) == [few_rows] * 3
    assert asked(many, many, few, few) == [-1, -1, -1, few_rows]


def test_no_values_are_taken_of_columns_that_are_not_verified(store, sizes):
    """To take them would verify what nobody asked for, or hand out what may be damaged."""
    written(store, "i8", 3)
    with reopened(store) as series:
        for _ in range(3):
            assert len(series.where("value", Eq(0)).rows.ts)
        assert sizes == [-1] * 3
        for _ in range(3):
            assert len(series.where("value", Eq(0)).rows.value)
        assert sizes[3:] == [-1, -1, 3]


def test_other_columns_are_found_when_the_maps_were_let_go(store):
    written(store, "i8", 11)
    with fastk.open(store.root, "r", max_maps=64) as reader:
        series = reader.series(KEY)
        for _ in range(3):
            rows = series.where("value", InSet([0, 9])).rows
            _ = rows.ts, rows.value
        result = series.where("value", Eq(0))
        stats = result.stats
        reader._maps.derived.clear()
        assert_rows(result.rows, 11, "i8", lambda column: column == 0)
        assert result.stats == stats
