"""What an export wrote, an import reads: the same rows, bit by bit, of every record type and in every format."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from builders import temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import fastk
from fastk.schema.schema import BUILT_IN_SCHEMAS

FORMATS = ["csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "parquet", "feather"]
TYPED = ("parquet", "feather")
MIXED = fastk.Schema(
    "mixed",
    [
        *(("ts", "i8"), ("a", "i8", "a_scale"), ("b", "u8"), ("c", "i2", "c_scale"), ("d", "u1"), ("e", "?")),
        *(("f", "f4"), ("g", "f8"), ("note", "S5")),
    ],
    unique_ts=False,
)
SCHEMAS = {**BUILT_IN_SCHEMAS, "mixed": MIXED}
SCALES = {"price_scale": 100, "volume_scale": 8, "value_scale": 1000, "a_scale": 10, "c_scale": 1}


def column(field, count, ts):
    if field.name == "ts":
        return st.just(ts)
    if field.dtype.kind == "S":
        texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=2)
        notes = texts.map(lambda text: text.encode()[:5].decode(errors="ignore").encode())
        return st.lists(notes, min_size=count, max_size=count).map(lambda each: np.array(each, field.dtype))
    if field.scale is not None and field.dtype.itemsize == 8:  # what float64 holds
        return arrays.arrays(field.dtype, count, elements=st.integers(-(2**45), 2**45))
    return arrays.arrays(field.dtype, count)


@st.composite
def rows_of(draw, schema):
    count = draw(st.integers(1, 8))
    steps = draw(st.lists(st.integers(1, 10**9), min_size=count, max_size=count))
    ts = np.cumsum(np.array(steps, np.int64)) + draw(st.integers(-(10**12), 10**13))
    return {field.name: draw(column(field, count, ts)) for field in schema.fields}


def registered(store, schema, name="a"):
    scales = {scale: SCALES[scale] for scale in schema.scale_names}
    return store.register_series((name, "own", "x"), schema, scales=scales, time_unit="us", timeframe_ms=7)


def assert_same(one, other):
    assert one.settings.schema.fields == other.settings.schema.fields
    for name in one.schema.names:
        left, right = one.range()[name], other.range()[name]
        if left.dtype.kind == "f":  # which bits a NaN has, text does not tell
            np.testing.assert_array_equal(left, right)
            np.testing.assert_array_equal(np.signbit(left[~np.isnan(left)]), np.signbit(right[~np.isnan(right)]))
        else:
            assert left.tobytes() == right.tobytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("raw", [False, True], ids=["natural", "raw"])
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=6)
@given(st.data())
def test_the_same_rows(name, ending, raw, data):
    schema = SCHEMAS[name]
    with temporary_store() as store, tempfile.TemporaryDirectory() as folder:
        series, path = registered(store, schema), Path(folder) / f"rows.{ending}"
        series.put(data.draw(rows_of(schema)))
        result = series.export(path, raw=raw)
        assert result.rows == len(series)
        copy = store.series(("b", "own", "x")) if ending in TYPED else registered(store, schema, "b")
        store.import_files(path, copy.key, raw=raw and ending not in TYPED)
        assert_same(series, copy)
        assert copy.settings.differences(series.settings) == ["symbol is 'b', not 'a'"]


@pytest.mark.parametrize("ending", FORMATS)
def test_epochs_columns_and_ranges(store, tmp_path, ending):
    series = registered(store, fastk.KLINE)
    ts = np.arange(1, 11, dtype=np.int64) * 10**6 * 86400 * 365 * 5
    series.put({name: ts if name == "ts" else np.arange(10) for name in fastk.KLINE.names})
    path = tmp_path / f"bars.{ending}"
    result = series.export(path, ts[2], ts[4], columns=["ts", "close", "open"], times="epoch", raw=True)
    assert result.rows == 3
    path.unlink()
    series.export(path, start="1980-01-01", times="epoch")
    other = registered(store, fastk.KLINE, "b")
    store.import_files(path, other.key, time_unit="us")
    np.testing.assert_array_equal(other.range().ts, ts[ts >= 315532800 * 10**6])


def test_how_text_looks(store, tmp_path):
    series = store.register_trade_series("X", "spot", price_scale=100, volume_scale=8)
    one = {"ts": 1, "recv_ts": 2, "trade_id": 3, "price": -5, "qty": 3, "side": -1, "flags": 255}
    series.put([one, one | {"ts": 1_704_067_200_000, "price": 12345}])
    series.export(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "ts,recv_ts,trade_id,price,qty,side,flags",
        "1970-01-01 00:00:00.001Z,2,3,-0.05,0.375,-1,255",
        "2024-01-01 00:00:00.000Z,2,3,123.45,0.375,-1,255",
    ]
    series.export(tmp_path / "a.jsonl", times="epoch", raw=True, columns=["price", "ts"])
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"price": -5, "ts": 1}, {"price": 12345, "ts": 1_704_067_200_000}]


def test_what_has_no_exact_form(store, tmp_path):
    series = store.register_scalar_series(fastk.signal_series_key("X", "1m", "s"), 60_000, 3)
    series.put({"ts": [1], "value": [2**62 + 1]})
    with pytest.raises(fastk.InvalidInput, match="1/3 has no finite decimals"):
        series.export(tmp_path / "a.csv")
    with pytest.raises(fastk.InvalidInput, match="has no float64 that comes back"):
        series.export(tmp_path / "a.parquet")
    notes = store.register_series(("X", "own", "note"), fastk.Schema("note", [("ts", "i8"), ("note", "S2")]))
    notes.put({"ts": [1], "note": [b"\xff"]})
    with pytest.raises(fastk.InvalidInput, match="is not UTF-8"):
        notes.export(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
    notes.export(tmp_path / "a.parquet")
    store.import_files(tmp_path / "a.parquet", ("Y", "own", "note"))
    assert store.series(("Y", "own", "note")).range().note.tolist() == [b"\xff"]


def test_a_file_that_exists(store, tmp_path, klines):
    path = tmp_path / "a.csv"
    path.write_text("mine")
    with pytest.raises(fastk.InvalidInput, match="exists"):
        klines.export(path)
    assert path.read_text() == "mine"
    klines.export(path, overwrite=True)
    assert path.read_text() == "ts,open,high,low,close,volume\n"
    for wrong in (
        {"columns": []},
        {"columns": "ts"},
        {"columns": ["ts", "ts"]},
        {"columns": ["x"]},
        {"times": "typed"},
    ):
        with pytest.raises(fastk.InvalidInput):
            klines.export(tmp_path / "b.csv", **wrong)
    with pytest.raises(fastk.InvalidInput, match="typed"):
        klines.export(tmp_path / "b.parquet", times="iso")
    with pytest.raises(fastk.InvalidInput, match="tells no format"):
        klines.export(tmp_path / "b.xlsx")
    with pytest.raises(fastk.InvalidInput, match="is a folder"):
        klines.export(tmp_path, file_format="csv")
    assert [each.name for each in tmp_path.iterdir()] == ["a.csv"]


def test_only_a_file_is_replaced(tmp_path, klines):
    (tmp_path / "real.csv").write_text("mine")
    (tmp_path / "link.csv").symlink_to("real.csv")
    klines.export(tmp_path / "link.csv", overwrite=True)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "ts,open,high,low,close,volume\n"
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.csv").symlink_to("/dev/null")
    for name in ("pipe.csv", "device.csv"):
        with pytest.raises(fastk.InvalidInput, match="is no file"):
            klines.export(tmp_path / name, overwrite=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["device.csv", "link.csv", "pipe.csv", "real.csv"]


def test_a_folder_that_takes_no_files(tmp_path, klines, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # for the superuser there is none
    with pytest.raises(fastk.InvalidInput, match=f"no file may be written into {tmp_path}; name another one"):
        klines.export(tmp_path / "a.csv")


def test_an_export_that_fails_leaves_nothing(store, tmp_path, klines):
    klines.put({name: np.arange(1, 4) for name in fastk.KLINE.names})

    def fail(done, total):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        klines.export(tmp_path / "a.csv", progress=fail)
    with pytest.raises(OSError, match="no space left"):
        store.export_files(tmp_path / "all", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_many_series_into_a_folder(store, tmp_path, klines, ticks):
    klines.put({name: np.arange(1, 4) for name in fastk.KLINE.names})
    results = store.export_files(tmp_path / "all", file_format="jsonl")
    assert [(each.series, each.rows) for each in results] == [("BTC/kline/1m", 3), ("BTC/trade/spot", 0)]
    assert all(Path(each.path).is_file() for each in results)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jsonl")) == [
        "all/BTC/kline/1m.jsonl",
        "all/BTC/trade/spot.jsonl",
    ]
    with pytest.raises(fastk.InvalidInput, match="exists"):
        store.export_files(tmp_path / "all")
    with pytest.raises(fastk.NotFound, match="no series match"):
        store.export_files(tmp_path / "none", symbol="ETH")
