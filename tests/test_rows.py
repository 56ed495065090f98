"""What a read returns: columns, records and pieces of the same rows, without a copy where they lie in one chunk."""

import gc
import pickle
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
from builders import (
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    MINUTE,
    assert_rows,
    bars,
    joined,
    part,
    temporary_store,
    trades,
    use_kernels,
)

import fastk
from fastk import InvalidInput, KlineRecord, Rows, Schema
from fastk.engine.chunk_index import ChunkRef

NAMES = ("ts", "open", "high", "low", "close", "volume")


@pytest.fixture
def series():
    """Three months of bars: 4 and 3 in two chunks of January, 5 in February, 2 in March."""
    with temporary_store() as store:
        handle = store.register_kline_series("BTC", "1m", MINUTE, price_scale=100, volume_scale=8)
        handle.put(bars(JANUARY, 4))
        handle.append(joined(bars(JANUARY + 4 * MINUTE, 3), bars(FEBRUARY, 5), bars(MARCH, 2)))
        yield handle


EXPECTED = joined(bars(JANUARY, 4), bars(JANUARY + 4 * MINUTE, 3), bars(FEBRUARY, 5), bars(MARCH, 2))
PICKED = [2, 9, 0, 9]


def forms(series):
    """Rows of each kind with the columns that they should hold."""
    ts = EXPECTED["ts"]
    yield series.range(FEBRUARY, FEBRUARY + 9 * MINUTE), part(EXPECTED, 7, 12)
    yield series.range(), EXPECTED
    yield series.range(int(ts[2]), int(ts[8])), part(EXPECTED, 2, 9)
    yield series.latest(6), part(EXPECTED, 8, 14)
    yield series.range(5, 4), part(EXPECTED, 0, 0)
    yield series.at_many(ts[PICKED]).rows, {name: column[PICKED] for name, column in EXPECTED.items()}
    yield series.ranges(ts[[1, 6]], ts[[2, 7]]).rows, {name: column[[1, 2, 6, 7]] for name, column in EXPECTED.items()}
    yield series.range()[3:9], part(EXPECTED, 3, 9)
    yield series.at_many(ts).rows[2:5], part(EXPECTED, 2, 5)


FORMS = [
    "one chunk",
    "joined",
    "part of joined",
    "latest",
    "empty",
    "points",
    "ranges",
    "cut of joined",
    "cut of points",
]
EACH_FORM = pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)


@pytest.fixture
def rows_and_columns(series, form):
    return list(forms(series))[form]


@EACH_FORM
def test_columns_by_index_attribute_and_call(rows_and_columns):
    rows, columns = rows_and_columns
    assert isinstance(rows, Rows)
    assert len(rows) == len(columns["ts"])
    assert bool(rows) == bool(len(rows))
    assert_rows(rows, columns)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(rows, name), columns[name])
        np.testing.assert_array_equal(rows.column(name), columns[name])
        assert rows[name].ndim == 1


@EACH_FORM
def test_columns_cannot_be_written(rows_and_columns):
    rows, _ = rows_and_columns
    for name in NAMES:
        assert not rows[name].flags.writeable
        with pytest.raises(ValueError, match=r"read-only|assignment|broadcast|bounds"):
            rows[name][0:1] = np.zeros(1 if len(rows) else 5, np.int64)


@EACH_FORM
def test_every_slice_is_that_of_the_columns(rows_and_columns):
    rows, columns = rows_and_columns
    length = len(rows)
    for start in (None, 0, 1, length - 1, length, length + 5, -1, -3, -length - 5):
        for stop in (None, 0, 1, 4, length, length + 5, -1, -2, -length - 5):
            cut = rows[start:stop]
            assert isinstance(cut, Rows)
            assert_rows(cut, {name: column[start:stop] for name, column in columns.items()})


def test_slices_of_slices(series):
    rows = series.range()
    assert_rows(rows[2:12][1:9][2:-1], part(EXPECTED, 5, 10))
    assert_rows(rows[:][:], EXPECTED)


@pytest.mark.parametrize("step", [2, -1, 3])
def test_a_step_is_refused(series, step):
    with pytest.raises(InvalidInput, match="without a step"):
        series.range()[::step]


@EACH_FORM
def test_rows_by_number_from_both_ends(rows_and_columns):
    rows, columns = rows_and_columns
    for place in range(-len(rows), len(rows)):
        for number in (place, np.int64(place)):
            record = rows[number]
            assert type(record) is KlineRecord
            assert list(record) == [int(columns[name][place]) for name in NAMES]
            assert all(type(value) is int for value in record)
    for place in (len(rows), -len(rows) - 1, 10**30):
        with pytest.raises(IndexError, match=f"of {len(rows)}"):
            rows[place]


@EACH_FORM
def test_iterating_gives_the_same_records(rows_and_columns):
    rows, columns = rows_and_columns
    records = list(rows)
    assert records == [rows[place] for place in range(len(rows))]
    assert [list(record) for record in records] == np.column_stack(list(columns.values())).tolist()
    assert list(rows) == records


@pytest.mark.parametrize("key", [1.0, None, (1, 2), [1], "absent", b"close", np.array([1, 2])], ids=repr)
def test_what_indexes_no_row_is_refused(series, key):
    with pytest.raises(InvalidInput):
        series.range()[key]


@EACH_FORM
def test_an_unknown_column_is_named_with_those_there_are(rows_and_columns):
    rows, _ = rows_and_columns
    expected = "'vol'.*ts, open, high, low, close, volume"
    with pytest.raises(
        AttributeError, match="rows of kline: ts, open, high, low, close, volume' object has no attribute 'vol'"
    ):
        rows.vol  # noqa: B018
    for ask in (rows.__getitem__, rows.column, rows.decoded):
        with pytest.raises(InvalidInput, match=expected):
            ask("vol")
    assert not hasattr(rows, "__array_interface__")


@EACH_FORM
def test_decoded_columns_are_in_natural_units(rows_and_columns):
    rows, columns = rows_and_columns
    assert rows.decoded("close").tolist() == (columns["close"] / 100).tolist()
    assert rows.decoded("volume").tolist() == (columns["volume"] / 8).tolist()
    assert rows.decoded("ts").tolist() == columns["ts"].astype(float).tolist()


@EACH_FORM
def test_a_structured_array_is_a_copy_of_all_columns(rows_and_columns):
    rows, columns = rows_and_columns
    table = rows.to_numpy()
    assert table.dtype == rows.schema.dtype
    assert table.dtype.itemsize == 48
    assert table.flags.owndata
    for name in NAMES:
        np.testing.assert_array_equal(table[name], columns[name])
    table["close"] = 0
    assert_rows(rows, columns)


@EACH_FORM
def test_segments_are_the_rows_in_pieces(rows_and_columns):
    rows, columns = rows_and_columns
    pieces = list(rows.segments)
    assert sum(map(len, pieces)) == len(rows)
    assert all(isinstance(piece, Rows) and len(piece) for piece in pieces)
    if pieces:
        assert_rows(pieces[0], part(columns, 0, len(pieces[0])))
        for name in NAMES:
            np.testing.assert_array_equal(np.concatenate([piece[name] for piece in pieces]), columns[name])
        assert len(rows.segments) == len(pieces)
        assert len(rows.segments[-1]) == len(pieces[-1])
        assert [len(piece) for piece in rows.segments[0:1]] == [len(pieces[0])]
        with pytest.raises(IndexError):
            rows.segments[len(pieces)]


def test_segments_share_memory_with_the_chunks(series):
    rows = series.range()
    assert [len(piece) for piece in rows.segments] == [4, 3, 5, 2]
    whole = [series.range(int(piece.ts[0]), int(piece.ts[-1])) for piece in rows.segments]
    for piece, chunk in zip(rows.segments, whole, strict=True):
        assert np.shares_memory(piece.close, chunk.close)
        assert not piece.close.flags.owndata
        assert piece.close.ctypes.data % 64 == 0
    assert not np.shares_memory(rows.close, whole[0].close)
    assert rows.close is rows.close


def test_columns_of_one_chunk_are_views(series):
    rows = series.range(FEBRUARY, FEBRUARY + 2 * MINUTE)
    assert np.shares_memory(rows.close, series.range(FEBRUARY).segments[0].close)
    assert np.shares_memory(rows[1:].close, rows.close)
    assert np.shares_memory(rows.close, series.latest(7)[0:5].close)


# Buffers


@EACH_FORM
def test_a_buffer_is_filled_and_returned(rows_and_columns):
    rows, columns = rows_and_columns
    for name in NAMES:
        buffer = np.full(len(rows), -1)
        assert rows.column(name, out=buffer) is buffer
        np.testing.assert_array_equal(buffer, columns[name])


@pytest.mark.parametrize("kernels", ["plain", "compiled"])
@EACH_FORM
def test_a_buffer_may_be_part_of_a_larger_array(rows_and_columns, kernels, monkeypatch):
    use_kernels(monkeypatch, kernels)
    rows, columns = rows_and_columns
    matrix = np.full((len(rows), 3), -1)
    for place, name in enumerate(["open", "close"]):
        rows.column(name, out=matrix[:, place])
    np.testing.assert_array_equal(matrix[:, 0], columns["open"])
    np.testing.assert_array_equal(matrix[:, 1], columns["close"])
    assert (matrix[:, 2] == -1).all()
    backwards = np.zeros(len(rows), np.int64)
    rows.column("close", out=backwards[::-1])
    np.testing.assert_array_equal(backwards, columns["close"][::-1])


@EACH_FORM
def test_a_buffer_that_does_not_fit_is_refused(rows_and_columns):
    rows, _ = rows_and_columns
    read_only = np.zeros(len(rows), np.int64)
    read_only.flags.writeable = False
    wrong = [np.zeros(len(rows) + 1, np.int64), np.zeros((len(rows), 1), np.int64), np.zeros(len(rows)), read_only]
    wrong += [np.zeros(len(rows), ">i8"), np.zeros(len(rows), np.uint64), [0] * len(rows), bytearray(8 * len(rows))]
    for buffer in wrong:
        with pytest.raises(InvalidInput, match=f"writable int64 array of shape \\({len(rows)},\\)"):
            rows.column("close", out=buffer)


# Lifetime and looks


@pytest.mark.slow
@EACH_FORM
def test_rows_outlive_their_store(form):
    with temporary_store() as store:
        handle = store.register_kline_series("BTC", "1m", MINUTE, price_scale=100, volume_scale=8)
        handle.put(bars(JANUARY, 4))
        handle.append(joined(bars(JANUARY + 4 * MINUTE, 3), bars(FEBRUARY, 5), bars(MARCH, 2)))
        rows, columns = list(forms(handle))[form]
        taken = rows.close
        store.close()
        gc.collect()
        np.testing.assert_array_equal(taken, columns["close"])


def test_rows_do_not_change_with_the_series(series):
    rows, last = series.range(), series.latest(2)
    series.put(bars(MARCH + 2 * MINUTE, 5))
    assert_rows(rows, EXPECTED)
    assert_rows(last, part(EXPECTED, 12, 14))
    assert len(series.range()) == 19


def test_looks(series):
    assert repr(series.range()) == ("<14 rows of BTC/kline/1m, 2024-01-01T00:00:00.000Z to 2024-03-01T00:01:00.000Z>")
    assert repr(series.range(FEBRUARY, FEBRUARY)).startswith("<1 rows of BTC/kline/1m, 2024-02-01T00:00:00.000Z to")
    assert repr(series.range(5, 4)) == "<0 rows of BTC/kline/1m>"
    assert repr(series) == "<series BTC/kline/1m: 14 rows in 4 chunks>"
    assert repr(series.at(JANUARY)).startswith("KlineRecord(ts=1704067200000, open=1000, high=1007")


def test_large_numbers_are_shown_in_full():
    with temporary_store() as store:
        series = store.register_scalar_series(("X", "feature", "1m@@f"), MINUTE)
        series.put({"ts": np.arange(45_031) * MINUTE, "value": np.arange(45_031)})
        assert "45,031 rows" in repr(series.range())
        assert "45,031 rows" in repr(series)


def test_a_field_called_like_a_method_yields_to_it():
    clashing = ["segments", "column", "decoded", "to_numpy", "schema", "settings"]
    with temporary_store() as store:
        schema = Schema("clash", [("ts", "i8"), *((name, "i8") for name in clashing)])
        series = store.register_series(("X", "own", "c"), schema)
        series.put(np.arange(7 * 3).reshape(3, 7))
        rows = series.range()
        for place, name in enumerate(clashing, 1):
            assert rows[name].tolist() == rows.column(name).tolist() == [place, 7 + place, 14 + place]
            assert rows[1][name] == getattr(rows[1], name) == 7 + place
        assert len(rows.segments) == 1
        assert callable(rows.to_numpy)
        assert rows.schema is series.schema


def test_empty_rows_know_their_schema(series):
    for rows in (series.range(5, 4), series.latest(0), series.range()[3:3], series.at_many([1]).rows):
        assert len(rows) == 0
        assert list(rows) == []
        assert rows.schema.names == NAMES
        assert rows.settings.key == ("BTC", "kline", "1m")
        assert rows.to_numpy().shape == (0,)
        assert list(rows.segments) == []


def test_the_rows_of_a_series_without_rows():
    with temporary_store() as store:
        series = store.register_kline_series("BTC", "1m", MINUTE)
        assert len(series) == 0
        assert bool(series)
        assert series.span is None
        assert series.at(5) is None
        for rows in (series.range(), series.latest(3), series.at_many([1, 2]).rows, series.ranges([1], [2])[0]):
            assert_rows(rows, part(bars(), 0, 0))


def test_more_chunks_than_maps():
    """Rows over more chunks than the budget of maps open their pieces as they are used."""
    columns = {name: np.arange(40, dtype=np.int64) for name in NAMES}
    columns["ts"] = np.arange(40, dtype=np.int64) * 3_600_000
    with temporary_store(max_maps=3) as store:
        series = store.register_kline_series("BTC", "1h", 3_600_000, partition="hour")
        series.put(columns)
        rows = series.range()
        assert len(store._maps) <= 3
        assert_rows(rows, columns)
        assert [list(row) for row in rows] == np.column_stack(list(columns.values())).tolist()
        assert len(store._maps) <= 3
        pieces = list(rows.segments)
        assert [int(piece.close[0]) for piece in pieces] == list(range(40))
        assert_rows(rows[5:30], part(columns, 5, 30))
        assert_rows(series.at_many(columns["ts"][::-1]).rows, {name: each[::-1] for name, each in columns.items()})


def test_the_latest_rows_of_many_series_keep_no_more_chunks_mapped_than_the_budget_allows():
    with temporary_store(max_maps=3) as store:
        every = [store.register_kline_series(f"S{number}", "1h", HOUR) for number in range(10)]
        for series in every:
            series.put(bars(JANUARY, 20, HOUR))
        for _ in range(2):
            mapped = [weakref.ref(series.latest(2)._chunk) for series in every]
            assert sum(chunk() is not None for chunk in mapped) <= 3
        for series in every:
            assert_rows(series.latest(2), part(bars(JANUARY, 20, HOUR), 18, 20))


def test_a_look_at_a_damaged_last_chunk_is_refused_only_where_it_is_needed(klines):
    klines.put(bars(JANUARY, 3))
    (place,) = Path(klines._reader.files.chunks).glob("*.chunk")
    place.write_bytes(b"damaged")
    with fastk.open(klines._reader.files.folder.partition("/series/")[0], "r") as store:
        series = store.series(klines._reader.files.key)
        assert len(series.latest(0)) == 0
        for count in (-1, "x", True, None, 1.5):
            with pytest.raises(InvalidInput, match="number of rows"):
                series.latest(count)
        with pytest.raises(fastk.InvalidData):
            series.latest(1)


def test_a_put_to_one_series_forgets_no_tail_of_another():
    with temporary_store() as store:
        one, other = (store.register_kline_series(symbol, "1m", MINUTE) for symbol in ("A", "B"))
        for series in (one, other):
            series.put(bars(JANUARY, 3))
            series.latest(1)
        one.put(bars(JANUARY + 3 * MINUTE, 3))  # merges, and lets a chunk go
        assert one._reader.tail is None
        assert other._reader.tail is not None


def test_garbage_that_closes_the_store_while_maps_are_looked_after_is_no_deadlock(klines):
    klines.put(bars(JANUARY, 3))
    maps = klines._reader.snapshot.chunks.maps

    class Closing:
        tail = None

        def __hash__(self):  # called under the lock
            maps.clear()
            self.tail = None  # as readers do that are closed
            return 1

    closing = Closing()
    holding = threading.Thread(target=maps.hold_tail, args=({}, closing, "tail"), daemon=True)
    holding.start()
    holding.join(timeout=60)
    assert not holding.is_alive()
    assert closing.tail is None
    assert klines.latest(1).ts.tolist() == bars(JANUARY, 3)["ts"][-1:].tolist()


def test_a_state_that_is_past_keeps_no_chunk_mapped_that_a_commit_took_out(klines):
    klines.put(bars(JANUARY, 3))
    past = klines._reader.snapshot
    last = weakref.ref(klines.latest(1)._chunk)
    assert klines._reader.tail is not None
    klines.put(bars(JANUARY + 3 * MINUTE, 3))  # merges both
    assert (klines._reader.tail, last()) == (None, None)
    assert_rows(past.latest(3), bars(JANUARY, 3))
    assert_rows(klines.latest(4), part(joined(bars(JANUARY, 3), bars(JANUARY + 3 * MINUTE, 3)), 2, 6))


def test_a_slice_of_many_chunks_looks_at_few(monkeypatch):
    with temporary_store(max_maps=3) as store:
        series = store.register_kline_series("BTC", "1h", HOUR, partition="hour")
        series.put(bars(JANUARY, 200, HOUR))
        rows, looks, count = series.range(), [], ChunkRef.rows.fget
        monkeypatch.setattr(ChunkRef, "rows", property(lambda ref: looks.append(ref) or count(ref)))
        assert rows[150:151].ts.tolist() == [JANUARY + 150 * HOUR]
        assert rows[3:6].ts.tolist() == [JANUARY + hour * HOUR for hour in (3, 4, 5)]
        assert len(looks) < 10


@pytest.mark.parametrize("verify", ["touch", "open", "never"])
def test_rows_are_the_same_however_they_are_verified(verify):
    with temporary_store(verify=verify) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE)
        series.put(bars(JANUARY, 10_000))
        assert_rows(
            series.range(JANUARY + 4_000 * MINUTE, JANUARY + 4_200 * MINUTE), part(bars(JANUARY, 10_000), 4_000, 4_201)
        )
        assert_rows(series.range(), bars(JANUARY, 10_000))
        report = series.verify()
        assert (report.chunks, report.blocks) == (1, 18)
        assert report.bytes > 10_000 * 48


def test_rows_of_another_name_are_other_classes_but_the_same_face(series):
    assert fastk.Rows is Rows
    assert isinstance(series.range(), fastk.Rows)


def test_rows_become_one_array_and_are_not_pickled(klines):
    klines.put(bars())
    rows = klines.range()
    assert np.array_equal(np.asarray(rows), rows.to_numpy())
    with pytest.raises(TypeError, match="to_numpy"):
        pickle.dumps(rows)
    with pytest.raises(TypeError, match="to_numpy"):
        pickle.dumps(klines.where("close", fastk.Gte(0)))


def test_a_representation_never_fails():
    with temporary_store(max_maps=4) as store:
        series = store.register_trade_series("BTC", "spot")
        series.put(trades(JANUARY + HOUR * np.arange(40)))
        answers = series.range(), series.latest(30), series.at_many(JANUARY + HOUR * np.arange(40)).rows
        store.close()
        assert all("rows of BTC/trade/spot" in repr(rows) for rows in answers)
        assert "BTC/trade/spot" in repr(series)


def test_rows_of_many_columns_are_named_after_the_first_ones(tmp_path):
    names = [f"feature_{place}" for place in range(9)]
    schema = Schema("signals", (("ts", "int64"), *((name, "float64") for name in names)))
    with fastk.open(tmp_path) as store:
        series = store.register_series(fastk.feature_series_key("BTCUSDT", "1m", "all"), schema, timeframe_ms=60_000)
        series.put({"ts": [0], **{name: [1.0] for name in names}})
        with pytest.raises(AttributeError, match=r"'rows of signals: ts, feature_0, feature_1, \.\.\.' object has no"):
            series.range().feature  # noqa: B018
