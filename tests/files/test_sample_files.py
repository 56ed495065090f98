"""Every file of the sample data, as somebody who has only that file would bring it in."""

import csv
from decimal import Decimal

import numpy as np
import pyarrow.parquet as pq
import pytest

import fastk

pytestmark = pytest.mark.slow


def cells(path, name):
    with open(path, newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def assert_decimals(series, name, texts):
    scale = series.settings.scale_of(name)
    assert [Decimal(value) / scale for value in series.range()[name].tolist()] == [Decimal(text) for text in texts]


def test_bars_whose_volume_has_noise(store, shared):
    path, key = shared / "data" / "btc-perp-1m-20211231-20220201.csv", ("BTCPERP", "kline", "1m")
    options = {"mapping": {"ts": "timestamp"}, "zone": "UTC"}
    with pytest.raises(fastk.InvalidInput, match=r"csv, line \d+: column 'volume': '\d+\.\d+': it has more decimals"):
        store.import_files(path, key, **options)
    assert not store.series(key).exists
    report = store.import_files(path, key, rounding={"volume": 4}, **options)
    assert (report.rows, report.gaps, report.duplicates) == (45_031, 0, 0)
    assert report.scales == {"price_scale": 1000, "volume_scale": 10_000}
    for name in ("open", "high", "low", "close"):
        assert_decimals(store.series(key), name, cells(path, name))
    assert_decimals(store.series(key), "volume", [str(round(Decimal(text), 4)) for text in cells(path, "volume")])


def test_bars_without_volume(store, shared):
    path, key = shared / "data" / "usdjpy-1m-201302.csv", ("USDJPY", "kline", "1m")
    report = store.import_files(path, key, mapping={"ts": "timestamp"}, constants={"volume": 0})
    assert (report.rows, report.first, report.last) == (28_761, "2013-02-01T00:00:00.000Z", "2013-03-01T00:00:00.000Z")
    assert report.missing + report.rows == 28 * 24 * 60 + 1
    assert_decimals(store.series(key), "close", cells(path, "close"))


def test_quotes_that_share_milliseconds(store, shared):
    path, key = shared / "data" / "usdjpy-quotes-20130101.csv", ("USDJPY", "bbo", "fx")
    mapping = {"ts": "timestamp", "recv_ts": "timestamp", "bid_price": "bid", "ask_price": "ask"}
    constants = {"bid_qty": 0, "ask_qty": 0, "sequence": "row"}
    options = {"mapping": mapping, "constants": constants}
    with pytest.raises(fastk.InvalidInput, match=r"line 443: ts 2013-01-01T22:19:37\.406Z comes again"):
        store.import_files(path, key, **options)
    store.import_files(path, key, unique_ts=False, **options)
    series = store.series(key)
    assert series.range().sequence.tolist() == list(range(1, 1001))
    assert_decimals(series, "bid_price", cells(path, "bid"))
    assert_decimals(series, "ask_price", cells(path, "ask"))


def test_trades(store, shared):
    path, key = shared / "data" / "btcusdt-trades-20210108.parquet", ("BTCUSDT", "trade", "spot")
    mapping = {"ts": "timestamp", "recv_ts": "timestamp", "qty": "quantity", "side": "buyer_maker"}
    options = {"mapping": mapping, "constants": {"flags": 0}, "values": {"side": {"True": -1, "False": 1}}}
    with pytest.raises(fastk.InvalidInput, match=r"parquet, row \d+: column 'quantity': 0\.\d+: it has more dec"):
        store.import_files(path, key, **options)
    report = store.import_files(path, key, rounding={"qty": 6}, **options)
    table = pq.read_table(path)
    rows = store.series(key).range()
    assert report.rows == len(table) == 2_001
    np.testing.assert_array_equal(rows.trade_id, np.array(table["trade_id"].to_pylist(), np.int64))
    np.testing.assert_array_equal(rows.decoded("price"), table["price"].to_numpy())
    np.testing.assert_array_equal(rows.decoded("qty"), np.round(table["quantity"].to_numpy(), 6))
    np.testing.assert_array_equal(rows.side == -1, np.array(table["buyer_maker"].to_pylist()) == "True")


def test_quotes_of_a_book(store, shared):
    path, key = shared / "data" / "btcusdt-quotes-20210108.parquet", ("BTCUSDT", "bbo", "spot")
    names = {"bid_price": "bid", "bid_qty": "bid_size", "ask_price": "ask", "ask_qty": "ask_size"}
    mapping = {"ts": "timestamp", "recv_ts": "timestamp", **names}
    options = {"unique_ts": False, "rounding": {"bid_qty": 6, "ask_qty": 6}}
    store.import_files(path, key, mapping=mapping, constants={"sequence": "row"}, **options)
    table, rows = pq.read_table(path), store.series(key).range()
    for name, column in names.items():
        np.testing.assert_allclose(rows.decoded(name), table[column].to_numpy(), rtol=0, atol=5e-7)
