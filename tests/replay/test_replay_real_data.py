"""Real trades, quotes and bars: merged in one order, scanned, and measured against their sessions."""

import numpy as np
import pytest
from builders import MINUTE
from test_docs import CHECKOUT, blocks_of, execute
from test_real_data import floats, read_csv, read_parquet

import fastk


def store_trades(store, shared):
    table = read_parquet(shared / "data" / "btcusdt-trades-20210108.parquet")
    prices, sizes = (table[name].astype(float).round(8) for name in ("price", "quantity"))
    series = store.register_trade_series(
        "BTCUSDT", "binance", price_scale=fastk.find_scale(prices), volume_scale=fastk.find_scale(sizes)
    )
    ts = table["timestamp"].astype("M8[ms]").astype(np.int64)
    columns = {"ts": ts, "recv_ts": ts, "trade_id": table["trade_id"].astype(np.int64), "price": prices, "qty": sizes}
    series.put(columns | {name: np.zeros(len(ts), np.int8) for name in ("side", "flags")}, decoded=True)
    return series, prices


def store_quotes(store, shared):
    table = read_parquet(shared / "data" / "btcusdt-quotes-20210108.parquet")
    values = {name: table[name].astype(float).round(8) for name in ("bid", "bid_size", "ask", "ask_size")}
    scales = [
        fastk.find_scale(values[name], values[other]) for name, other in (("bid", "ask"), ("bid_size", "ask_size"))
    ]
    series = store.register_bbo_series(
        "BTCUSDT", "binance", unique_ts=False, price_scale=scales[0], volume_scale=scales[1]
    )
    ts = table["timestamp"].astype("M8[ms]").astype(np.int64)
    fields = {"bid_price": "bid", "bid_qty": "bid_size", "ask_price": "ask", "ask_qty": "ask_size"}
    columns = {"ts": ts, "recv_ts": ts, "sequence": np.arange(len(ts))}
    series.put(columns | {name: values[source] for name, source in fields.items()}, decoded=True)
    return series, values


def store_bars(store, trades):
    """Bars of a minute, summed up from the trades as a caller would."""
    rows = trades.range()
    minutes, first = np.unique(rows.ts // MINUTE, return_index=True)
    last = np.append(first[1:], len(rows)) - 1
    price = rows.price
    series = store.register_kline_series("BTCUSDT", "1m", MINUTE, price_scale=trades.settings.scale_of("price"))
    series.put(
        {
            "ts": minutes * MINUTE,
            "open": price[first],
            "high": np.maximum.reduceat(price, first),
            "low": np.minimum.reduceat(price, first),
            "close": price[last],
            "volume": np.add.reduceat(rows.qty, first),
        }
    )
    return series


def test_bars_trades_and_quotes_of_a_day_in_one_replay(shared, store):
    (trades, prices), (quotes, values) = store_trades(store, shared), store_quotes(store, shared)
    bars = store_bars(store, trades)
    handles = [bars, trades, quotes]
    batches = list(fastk.merged_replay(handles, batch_rows=500))
    source, row, ts = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("source", "row", "ts"))
    kinds = np.array([2, 1, 0])  # at one ts: quotes, trades, bars
    everything = np.concatenate([handle.range().ts for handle in handles])
    owner = np.repeat(np.arange(3), [len(handle) for handle in handles])
    places = np.concatenate([np.arange(len(handle)) for handle in handles])
    numbers = np.concatenate([np.zeros(len(bars), int), trades.range().trade_id, quotes.range().sequence])
    order = np.lexsort((places, numbers, kinds[owner], everything))
    np.testing.assert_array_equal(ts, everything[order])
    np.testing.assert_array_equal(source, owner[order])
    np.testing.assert_array_equal(row, places[order])
    decoded = np.concatenate([batch.decoded("price") for batch in batches])
    np.testing.assert_array_equal(decoded[source == 1], prices[row[source == 1]])
    bids = np.concatenate([batch.decoded("bid_price") for batch in batches])
    np.testing.assert_array_equal(bids[source == 2], values["bid"])
    assert np.isnan(bids[source != 2]).all()


def write_csv(path, table, columns):
    """Columns of a table, in which floats have lost some of their last digits, with eight decimals."""
    texts = {
        name: np.char.mod("%.8f", values) if values.dtype.kind == "f" else values.astype(str)
        for name, values in ((name, table[name]) for name in columns)
    }
    lines = [",".join(columns), *map(",".join, zip(*texts.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")


def test_the_page_about_research_reads_real_trades_and_quotes(shared, tmp_path, monkeypatch):
    """The very lines of the page, behind the block that makes files up."""
    monkeypatch.chdir(tmp_path)
    for name, columns in (
        ("trades", ["timestamp", "trade_id", "price", "quantity", "buyer_maker"]),
        ("quotes", ["timestamp", "bid", "bid_size", "ask", "ask_size"]),
    ):
        table = dict(read_parquet(shared / "data" / f"btcusdt-{name}-20210108.parquet"))
        table["timestamp"] = table["timestamp"].astype("M8[ms]").astype(np.int64)
        write_csv(tmp_path / f"{name}.csv", table, columns)
    page = [block for block in blocks_of(CHECKOUT / "docs" / "research.md") if block.language == "python"]
    (begin,) = (place for place, block in enumerate(page) if 'fastk.open("tape")' in block.text)
    namespace = {"np": np, "fastk": fastk}
    printed = [execute(block, namespace) for block in page[begin : begin + 2]]
    assert printed[1].startswith("47 bars, 2,001 trades, 451 quotes; half of the trades within ")
    namespace["tape"].close()


def test_the_ids_of_real_trades(shared, store):
    trades, _ = store_trades(store, shared)
    report = store.scan_trade_id_sequence("BTCUSDT", "binance", None, None)
    steps = np.diff(trades.range().trade_id)
    assert report.scanned_record_count == 2_001
    assert report.gap_count == np.count_nonzero(steps > 1)
    assert report.duplicate_count == np.count_nonzero(steps == 0)
    assert report.violation_count == np.count_nonzero(steps < 0)
    assert [gap.missing_count for gap in report.gaps] == (steps[steps > 1] - 1).tolist()


@pytest.mark.slow
def test_a_month_of_currency_bars_has_its_weekends_as_holes(shared, store):
    table = read_csv(shared / "data" / "usdjpy-1m-201302.csv")
    prices = floats(table, "open", "high", "low", "close")
    series = store.register_kline_series("USDJPY", "1m", MINUTE, price_scale=1_000)
    series.put({"ts": table["timestamp"], **prices, "volume": np.zeros(len(table["timestamp"]), int)}, decoded=True)
    ts = series.range().ts
    found = series.coverage()
    steps = np.diff(ts)
    assert found.hole_starts.tolist() == (ts[:-1][steps > MINUTE] + MINUTE).tolist()
    assert found.hole_counts.tolist() == (steps[steps > MINUTE] // MINUTE - 1).tolist()
    assert (found.present_count, found.unexpected_count) == (len(ts), 0)
    assert (found.hole_counts > 40 * 60).sum() == 4  # weekends
    days = ts[np.append(0, np.flatnonzero(steps > 40 * 60 * MINUTE) + 1)]
    closes = np.append(ts[np.flatnonzero(steps > 40 * 60 * MINUTE)], ts[-1]) + MINUTE
    weeks = series.coverage(sessions=(days, closes))
    assert weeks.missing_count == found.missing_count - found.hole_counts[found.hole_counts > 40 * 60].sum()
