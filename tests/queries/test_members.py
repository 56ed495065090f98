"""Queries for a few integers that are asked again and again get a short way of their own, with the same answers."""

import gc
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from builders import HOUR, use_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Eq, InSet, InvalidData, InvalidInput
from fastk.engine import mapped
from fastk.query import indexed, members
from fastk.query.indexed import IndexedChunks

ROWS = 700  # a chunk
FEW = 32


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    use_kernels(monkeypatch, "compiled")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Opened for the third query, when the first two have verified what they took."""
    monkeypatch.setattr(members, "_ASKED_BEFORE", 3)
    monkeypatch.setattr(members, "_ASKED_A_CHUNK", 0)


@pytest.fixture
def ways(monkeypatch):
    """How many rows each query found by the short way, and None of those that it did not answer."""
    found, find = [], members.MemberSearch.find

    def watched(search, chunks, values):
        rows = find(search, chunks, values)
        found.append(None if rows is None else len(rows))
        return rows

    monkeypatch.setattr(members.MemberSearch, "find", watched)
    return found


def values_of(hour):
    """Of 0 there is one, of 1 two, of 2 four and so on, up to 8; 9 is in each other hour only. In no order."""
    values = np.repeat(np.arange(9), 1 << np.arange(9))
    others = np.full(ROWS - values.size, 9 - hour % 2)
    return np.random.default_rng(hour).permutation(np.append(values, others))


def written(store, hours, dtype="i8"):
    series = store.register_series(KEY, values_schema(dtype))
    for hour in range(hours):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), values_of(hour).astype(dtype)))
    return series


def open_way(series):
    """Ask until both columns are verified and the way is open."""
    for _ in range(4):
        rows = series.where("value", InSet(range(10))).rows
        _ = rows.ts, rows.value
        rows = series.where("value", Eq(0)).rows
        _ = rows.ts, rows.value
    return series


def assert_found(rows, hours, wanted, get_values=values_of):
    """All columns of the rows, others first."""
    ts = np.concatenate([hour * HOUR + np.arange(ROWS) for hour in range(hours)])
    value, number = np.concatenate([get_values(hour) for hour in range(hours)]), np.tile(np.arange(ROWS), hours)
    chosen = np.isin(value, wanted)
    for name, column in {"number": number, "value": value, "plain": value, "ts": ts}.items():
        assert rows[name].tolist() == column[chosen].tolist(), name
        assert rows[name].dtype == np.int64
        assert not rows[name].flags.writeable
        assert rows.column(name, np.empty(len(rows), np.int64)).tolist() == column[chosen].tolist()
        assert rows[1:3][name].tolist() == column[chosen][1:3].tolist()
        assert rows.to_numpy()[name].tolist() == column[chosen].tolist()
    assert [row.value for row in rows] == value[chosen].tolist()
    assert rows["text"].tolist() == [b"%03d" % each for each in number[chosen]]
    assert len(rows) == np.count_nonzero(chosen)


WANTED = [[0], [1], [0, 1], [1, 0, 1], [2, 0, 7_000, -1], [2, 2], [3], [-5, 12], [0, 9]]


@pytest.mark.parametrize("hours", [1, 5, 11])
def test_rows_and_stats_are_those_of_any_other_way(store, ways, monkeypatch, hours):
    monkeypatch.setattr(members, "_LEFT_OUT", 0)
    series = open_way(written(store, hours))
    ways.clear()
    for wanted in WANTED:
        result = series.where("value", InSet(wanted))
        assert_found(result.rows, hours, wanted)
        with reopened(store) as other:
            assert result.stats == other.where("value", InSet(wanted)).stats
        assert len(result) == len(result.rows)
    count = {number: hours << number for number in range(3)}
    expected = [count[0], count[1], count[0] + count[1], count[0] + count[1], count[0] + count[2], count[2]]
    assert ways[:6] == [each if each <= FEW else None for each in expected]
    assert ways[7] == 0
    assert ways[8] is None


VALUES = st.lists(st.integers(-2, 12) | st.sampled_from([2**63 - 1, -(2**63)]), min_size=1, max_size=5)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(asked=st.lists(VALUES, min_size=1, max_size=12), hours=st.sampled_from([1, 3, 9]))
def test_any_values_in_any_order_find_the_same_rows(tmp_path_factory, asked, hours):
    with fastk.open(tmp_path_factory.mktemp("store")) as store:
        series = open_way(written(store, hours))
        for wanted in asked:
            assert_found(series.where("value", InSet(wanted)).rows, hours, wanted)


@pytest.mark.parametrize("spread", [1, 2**40, 2**59])
@pytest.mark.parametrize("offset", [0, -(2**61)])
def test_values_may_lie_anywhere_in_int64(store, ways, spread, offset):
    def spread_values(hour):
        return values_of(hour) * spread + offset

    series = store.register_series(KEY, values_schema())
    for hour in range(3):
        series.put(columns_of(hour * HOUR + np.arange(ROWS), spread_values(hour)))
    for _ in range(4):
        for condition in (InSet([number * spread + offset for number in range(10)]), Eq(offset)):
            rows = series.where("value", condition).rows
            _ = rows.ts, rows.value
    ways.clear()
    for number in (0, 1, 2, 3):
        wanted = [number * spread + offset, -(2**63), 2**63 - 1]
        assert_found(series.where("value", InSet(wanted)).rows, 3, wanted, spread_values)
    assert ways == [3, 6, 12, 24]


@pytest.mark.parametrize("wanted", [[2**63], [-(2**63) - 1, 0], [2**90, 0, 1]])
def test_what_is_none_of_int64_is_refused_as_ever(store, wanted):
    series = open_way(written(store, 2))
    with pytest.raises(InvalidInput, match="is not among the integers"):
        series.where("value", InSet(wanted))


@pytest.mark.parametrize("wanted", [[1.0], [True, 0], [None, 0], ["1"]])
def test_what_is_no_integer_is_refused_as_ever(store, wanted):
    series = open_way(written(store, 2))
    with pytest.raises(InvalidInput, match="integers are compared with integers"):
        series.where("value", InSet(wanted))


def test_integers_of_numpy_windows_plans_and_more_values_go_other_ways(store, ways):
    series = open_way(written(store, 3))
    ways.clear()
    assert len(series.where("value", Eq(0), HOUR)) == 2
    assert len(series.where("value", Eq(0), None, HOUR)) == 1
    assert len(series.where("value", Eq(0), 0, 3 * HOUR)) == 3
    assert len(series.where("value", Eq(0), plan="scan")) == 3
    assert len(series.where("value", InSet([0, 10, 11, 12, 13]))) == 3
    assert len(series.where("value", InSet([]))) == 0
    assert ways == []
    assert len(series.where("value", InSet([np.int64(0), 1]))) == 9
    assert ways == [None]


@pytest.mark.parametrize("dtype", ["i4", "u8", "f8", "?"])
def test_columns_of_other_dtypes_go_other_ways(store, ways, dtype):
    series = open_way(written(store, 2, dtype)) if dtype != "?" else written(store, 2, dtype)
    assert len(series.where("value", Eq(0))) == 2
    assert ways == []


def test_many_chunks_go_other_ways(store, ways, monkeypatch):
    """One call keeps the interpreter's lock, and must not keep it for long."""
    series = written(store, 5)
    monkeypatch.setattr(indexed, "MOST_MEMBER_CHUNKS", 4)
    open_way(series)
    assert_found(series.where("value", Eq(1)).rows, 5, [1])
    assert ways == []
    monkeypatch.setattr(indexed, "MOST_MEMBER_CHUNKS", 5)
    assert_found(open_way(series).where("value", Eq(1)).rows, 5, [1])
    assert ways[-1] == 10


def test_threads_share_what_was_opened(store, ways):
    series, failures = written(store, 5), []

    def ask(value):
        try:
            for _ in range(200):
                assert_found(series.where("value", InSet([value, 7_000])).rows, 5, [value])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=ask, args=(value,)) for value in (0, 1, 2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ways) > 100


def test_without_kernels_it_is_not_opened(store, ways, monkeypatch):
    use_kernels(monkeypatch, "plain")
    series = open_way(written(store, 3))
    assert_found(series.where("value", Eq(1)).rows, 3, [1])
    assert ways == []


@pytest.mark.parametrize("taken", [(), ("ts",), ("value",), ("number",)])
@pytest.mark.parametrize("verify", ["touch", "open"])
def test_it_opens_whatever_is_taken_and_found(store, ways, taken, verify):
    """Columns are verified for it; queries that name no row verify nothing by themselves."""
    written(store, 3)
    with reopened(store, verify=verify) as series:
        for _ in range(6):
            rows = series.where("value", InSet([12, 0] if taken else [12])).rows
            _ = [rows[name] for name in taken]
        assert ways == [len(rows)] * 3
        assert_found(series.where("value", Eq(1)).rows, 3, [1])


def test_more_than_some_bytes_are_not_verified_for_it(store, ways, monkeypatch):
    monkeypatch.setattr(indexed, "_MOST_VERIFIED", 2 * 3 * 8 * ROWS - 1)
    monkeypatch.setattr(mapped, "WHOLE_SEARCH_BYTES", 0)
    written(store, 3)
    with reopened(store) as series:
        for _ in range(12):
            assert len(series.where("value", Eq(12)).rows) == 0
        assert ways == []
        _ = [piece[name] for piece in series.range().segments for name in ("ts", "value")]
        for _ in range(6):
            assert len(series.where("value", Eq(0))) == 3
        assert set(ways) == {3}


def test_who_compares_no_checksum_goes_other_ways(store, ways):
    """What an index and a column say may differ then, and each way has its own answer."""
    written(store, 3)
    with reopened(store, verify="never") as series:
        for _ in range(12):
            assert len(series.where("value", Eq(0)).rows.value) == 3
    assert ways == []


def test_maps_are_let_go_without_the_collector_of_cycles(store):
    series = open_way(written(store, 3))
    derived = series._reader.snapshot.chunks.maps.derived
    chunks = next(each for each in derived.values() if isinstance(each, IndexedChunks))
    assert chunks.members is not None
    gone = weakref.ref(chunks)
    del chunks
    gc.collect()
    gc.disable()
    try:
        derived.clear()
        assert gone() is None
    finally:
        gc.enable()


def test_damage_is_an_error_where_its_rows_are_taken(store, ways):
    written(store, 3)
    path = sorted(Path(store.root).rglob("*.chunk"))[1]
    content = bytearray(path.read_bytes())
    content[content.index(values_of(1)[:4].astype(np.int64).tobytes())] ^= 1
    path.write_bytes(content)
    with reopened(store) as series:
        for _ in range(8):
            with pytest.raises(InvalidData, match="column 'value' is damaged"):
                _ = series.where("value", Eq(0)).rows.value
        assert ways == []


def test_each_state_has_its_own_rows(store, ways):
    series = open_way(written(store, 3))
    kept = series.where("value", Eq(1)).rows
    series.append(columns_of(3 * HOUR + np.arange(ROWS), values_of(3)))
    assert_found(series.where("value", Eq(1)).rows, 4, [1])
    open_way(series)
    assert_found(series.where("value", Eq(1)).rows, 4, [1])
    assert ways[-1] == 8
    series.delete_range(0, HOUR - 1)
    assert len(series.where("value", Eq(0))) == 3
    assert_found(kept, 3, [1])


def test_rows_outlive_what_found_them(store):
    written(store, 11)
    with fastk.open(store.root, "r") as reader:
        rows = open_way(reader.series(KEY)).where("value", Eq(1)).rows
        reader._maps.derived.clear()
        assert rows.number.tolist() == [row for hour in range(11) for row in np.flatnonzero(values_of(hour) == 1)]
    assert_found(rows, 11, [1])


def test_after_a_set_that_names_many_rows_seven_are_not_tried(store, ways):
    series = open_way(written(store, 3))
    ways.clear()
    looked = []
    find = series._reader.snapshot.chunks.maps
    search = next(each.members for each in find.derived.values() if getattr(each, "members", None))
    kernel = search._find

    def watched(*arguments):
        looked.append(arguments[0])
        return kernel(*arguments)

    search._find = watched
    for _ in range(40):
        assert len(series.where("value", Eq(6))) == 3 * 64
    assert len(looked) == 5
    for _ in range(9):
        assert len(series.where("value", Eq(0))) == 3
    assert ways[-1] == 3
