"""Real market data goes in by the forms that users have it in, and comes back exactly."""

import csv

import numpy as np
import pytest
from builders import MINUTE, assert_rows

import fastk
from fastk import InvalidInput


def read_csv(path):
    """Columns of a CSV file as text."""
    with open(path, newline="") as file:
        header, *lines = csv.reader(file)
    return dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))


def floats(columns, *names):
    return {name: np.array(columns[name], float) for name in names}


@pytest.mark.slow
def test_bars_of_three_months(shared, store):
    table = read_csv(shared / "data" / "btc-perp-1m-20211231-20220201.csv")
    prices = floats(table, "open", "high", "low", "close")
    volume = floats(table, "volume")["volume"].round(6)  # some carry the noise of sums: 500881.25232499995
    series = store.register_kline_series(
        "BTC-PERP",
        "1m",
        MINUTE,
        price_scale=fastk.find_scale(*prices.values()),
        volume_scale=fastk.find_scale(volume),
    )
    columns = {"ts": table["timestamp"], **prices, "volume": volume}
    with pytest.raises(InvalidInput, match="zoneless='utc'"):
        series.put(columns, decoded=True)
    result = series.put(columns, decoded=True, zoneless="utc")
    assert (result.accepted, result.chunks) == (45_031, 3)
    assert [(month.month_key, month.record_count) for month in series.month_inventory()] == [
        ("2021-12", 59),
        ("2022-01", 44_640),
        ("2022-02", 332),
    ]
    rows = series.range()
    assert (np.diff(rows.ts) == MINUTE).all()
    for name, column in (*prices.items(), ("volume", volume)):
        np.testing.assert_array_equal(rows.decoded(name), column)
    assert len(series.range("2022-01-01", "2022-02-01", closed="left")) == 44_640
    assert series.at("2021-12-31T23:01:00").open == 46319 * series.settings.scale_of("open")
    assert series.latest(332).segments[0].ts[0] == rows.ts[-332]
    assert series.verify().chunks == 3
    with fastk.open(store.root, "r") as reader:
        assert_rows(reader.kline("BTC-PERP", "1m").range(), {name: rows[name] for name in rows.schema.names})


@pytest.mark.slow
def test_bars_with_gaps_and_offsets(shared, store):
    table = read_csv(shared / "data" / "usdjpy-1m-201302.csv")
    prices = floats(table, "open", "high", "low", "close")
    series = store.register_kline_series("USDJPY", "1m", MINUTE, price_scale=1_000)
    series.put({"ts": table["timestamp"], **prices, "volume": np.zeros(len(table["timestamp"]), int)}, decoded=True)
    rows = series.range()
    assert len(rows) == len(table["timestamp"]) == 28_761
    assert [month.month_key for month in series.month_inventory()] == ["2013-02", "2013-03"]
    assert [f"{ts}+00:00" for ts in rows.ts.view("M8[ms]").astype("M8[s]").astype(str)] == [
        stamp.replace(" ", "T") for stamp in table["timestamp"]
    ]
    for name, column in prices.items():
        np.testing.assert_array_equal(rows.decoded(name), column)
    weekend = series.range("2013-02-09", "2013-02-10")
    assert len(weekend) == np.isin(rows.ts, weekend.ts).sum()
    assert series.at("2013-02-09T12:00") is None


def test_quotes_of_a_day(shared, store):
    table = read_csv(shared / "data" / "usdjpy-quotes-20130101.csv")
    schema = fastk.Schema(
        "quote", [("ts", "i8"), ("bid", "f8"), ("ask", "i8", "price")], unique_ts=False, partition="day"
    )
    series = store.register_series(("USDJPY", "quote", "truefx"), schema, scales={"price": 1_000})
    prices = floats(table, "bid", "ask")
    series.put({"ts": table["timestamp"], **prices}, decoded=True)
    rows = series.range()
    assert len(rows) == 1_000
    np.testing.assert_array_equal(rows.bid, prices["bid"])
    np.testing.assert_array_equal(rows.decoded("ask"), prices["ask"])
    assert series.range("2013-01-01T22:00:00.295", "2013-01-01T22:00:00.295").bid[0] == 86.655


def read_parquet(path):
    """Columns of a Parquet file; its prices and sizes carry noise such as 0.00031099999999999997."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(path)
    return {name: table.column(name).to_numpy() for name in table.column_names}


def test_trades_that_share_a_millisecond(shared, store):
    table = read_parquet(shared / "data" / "btcusdt-trades-20210108.parquet")
    prices, quantities = (table[name].astype(float).round(8) for name in ("price", "quantity"))
    scales = {"price_scale": fastk.find_scale(prices), "volume_scale": fastk.find_scale(quantities)}
    series = store.register_trade_series("BTCUSDT", "binance", **scales)
    ts = table["timestamp"].astype("M8[ms]")
    assert len(np.unique(ts)) < len(ts) == 2_001
    side = np.where(table["buyer_maker"].astype(str) == "True", -1, 1)
    columns = {"ts": ts, "recv_ts": ts.astype(np.int64), "trade_id": table["trade_id"].astype(np.int64)}
    columns |= {"price": prices, "qty": quantities, "side": side, "flags": np.zeros(len(ts), np.uint8)}
    cut = 1 + int(np.flatnonzero(np.diff(ts.astype(np.int64)) == 0)[500])
    assert ts[cut] == ts[cut - 1]
    series.put({name: column[:cut] for name, column in columns.items()}, decoded=True, zoneless="utc")
    series.put({name: column[cut:] for name, column in columns.items()}, decoded=True, zoneless="utc")
    rows = series.range()
    np.testing.assert_array_equal(rows.ts.view("M8[ms]"), ts)
    np.testing.assert_array_equal(rows.decoded("price"), prices)
    np.testing.assert_array_equal(rows.decoded("qty"), quantities)
    np.testing.assert_array_equal(rows.trade_id, columns["trade_id"])
    np.testing.assert_array_equal(rows.side, side)
    shared_ts = int(ts[cut].astype(np.int64))
    expected = columns["trade_id"][ts == ts[cut]]
    assert series.range(shared_ts, shared_ts).trade_id.tolist() == expected.tolist()
    assert series.at(shared_ts).trade_id == expected[0]


def test_best_bids_and_offers(shared, store):
    table = read_parquet(shared / "data" / "btcusdt-quotes-20210108.parquet")
    values = {name: table[name].astype(float).round(8) for name in ("bid", "bid_size", "ask", "ask_size")}
    series = store.register_bbo_series(
        "BTCUSDT",
        "binance",
        unique_ts=False,
        price_scale=fastk.find_scale(values["bid"], values["ask"]),
        volume_scale=fastk.find_scale(values["bid_size"], values["ask_size"]),
    )
    ts = table["timestamp"].astype("M8[ms]")
    fields = {"bid_price": "bid", "bid_qty": "bid_size", "ask_price": "ask", "ask_qty": "ask_size"}
    columns = {"ts": ts, "recv_ts": ts.astype(np.int64), **{name: values[source] for name, source in fields.items()}}
    series.put({**columns, "sequence": np.arange(len(ts))}, decoded=True, zoneless="utc")
    rows = series.range()
    assert len(rows) == 451
    for name, source in fields.items():
        np.testing.assert_array_equal(rows.decoded(name), values[source])
    np.testing.assert_array_equal(rows.ts.view("M8[ms]"), ts)


GOLDEN = {
    "kline_BTCPERP_1m": lambda store: store.register_kline_series("BTCPERP", "1m", MINUTE, 10, 1),
    "scalar_BTCPERP_1m_indicator_mid": lambda store: store.register_scalar_series(
        fastk.indicator_series_key("BTCPERP", "1m", "mid"), MINUTE
    ),
    "scalar_BTCPERP_1m_signal_dir": lambda store: store.register_scalar_series(
        fastk.signal_series_key("BTCPERP", "1m", "dir"), MINUTE
    ),
    "trade_BTCUSDT_binance_spot": lambda store: store.register_trade_series("BTCUSDT", "binance_spot"),
    "bbo_BTCUSDT_binance_spot": lambda store: store.register_bbo_series("BTCUSDT", "binance_spot"),
    "delta_XBTUSD_bitmex": lambda store: store.register_book_delta_series("XBTUSD", "bitmex"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_rows_that_the_original_was_given(shared, store, name):
    path = shared / "golden" / "rust-store-v2" / "expected" / f"{name}.csv"
    table = np.loadtxt(path, np.int64, delimiter=",", skiprows=1)
    series = GOLDEN[name](store)
    half = len(table) // 2
    while table[half, 0] == table[half - 1, 0]:
        half += 1
    series.put(table[:half])
    series.put(table[half:])
    assert_rows(series.range(), dict(zip(series.schema.names, table.T, strict=True)))
    picked = np.random.default_rng(1).integers(0, len(table), 200)
    rows, found = series.at_many(table[picked, 0])
    assert found.all()
    assert rows.ts.tolist() == table[picked, 0].tolist()
    for place in picked[:20].tolist():
        ts = int(table[place, 0])
        assert series.range(ts, ts).to_numpy().tolist() == [tuple(row) for row in table[table[:, 0] == ts].tolist()]
