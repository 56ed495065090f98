"""Made-up rows of every record type, stores of the original with them, and comparisons."""

import csv

import numpy as np
from builders import DAY, FEBRUARY, HOUR, JANUARY, MINUTE
from support.original import OriginalSeries

KLINE = ("BTCUSDT", "kline", "1m")
SCALAR = ("BTCUSDT", "feature", "1m@@rsi_14")
TRADE = ("BTCUSDT", "trade", "spot")
BBO = ("ethusdt", "bbo", "Spot")
BOOK = ("XBTUSD", "book_delta", "bitmex")


def bars(start, count):
    return [(start + i * MINUTE, 100 + i, 110 + i, 90 - i, 105 + i % 7, 1_000 * i) for i in range(count)]


def values(start, count):
    return [(start + i * MINUTE, (i * 7919) % 100 - 50) for i in range(count)]


def trades(start, count):
    """Some share a ts."""
    return [
        (start + i // 3 * 1_000, start + i, 10**12 + i, 50_000 - i, i, 1 - i % 2 * 2, i % 256) for i in range(count)
    ]


def quotes(start, count):
    return [(start + i * 10, start + i * 10 + 1, 100 - i, i, 101 + i, 2 * i, 7 * i) for i in range(count)]


def deltas(start, count):
    return [
        (start + i // 2 * 50, start + i, i // 4, 5_000 + i, i * i, (-1) ** i, i % 5 - 2, i % 1000 - 500, 2**32 - 1 - i)
        for i in range(count)
    ]


def fill(root):
    """A series of each record type, with appended, merged and several chunks; gives all rows by key."""
    kline = OriginalSeries(root, "kline", KLINE)
    kline.put(bars(JANUARY, 300))
    kline.put(bars(JANUARY + DAY, 200))
    kline.put(bars(JANUARY + 2 * DAY, 1))
    kline.put(bars(FEBRUARY, 150), file="2024-02.g00000003.chunk", generation=3, state=1)
    scalar = OriginalSeries(root, "scalar", SCALAR, price_scale=1, volume_scale=1)
    scalar.put(values(JANUARY, 700), sidecars=True)
    scalar.put(values(FEBRUARY, 3_000), sidecars=True, block_rows=100)
    trade = OriginalSeries(root, "trade", TRADE, timeframe_ms=0, price_scale=10, volume_scale=1)
    trade.put(trades(JANUARY, 300))
    trade.put(trades(JANUARY + 10 * MINUTE, 200))
    trade.put(trades(JANUARY + HOUR, 400))
    bbo = OriginalSeries(root, "bbo", BBO, timeframe_ms=0)
    bbo.put(quotes(JANUARY, 129))
    bbo.put(quotes(JANUARY + DAY, 1))
    book = OriginalSeries(root, "book_delta", BOOK, timeframe_ms=0, unit="day")
    book.put(deltas(JANUARY, 500))
    book.put(deltas(JANUARY + HOUR, 20))
    found = {}
    for each in (kline, scalar, trade, bbo, book):
        each.save()
        found[each.key] = rows_of(each)
    return found


def rows_of(series):
    return [row for chunk in sorted(series.chunks, key=lambda each: each.rows[0][0]) for row in chunk.rows]


def assert_holds(series, rows):
    """A series holds these rows, by every way of reading."""
    found = series.range()
    assert len(series) == len(found) == len(rows)
    for place, name in enumerate(series.schema.names):
        expected = [row[place] for row in rows]
        assert found.column(name).tolist() == expected
        assert [value for part in found.segments for value in part.column(name).tolist()] == expected
    assert [tuple(record) for record in found] == rows
    assert [tuple(record) for record in series.latest(5)] == rows[-5:]


def expected_rows(golden, file):
    """The rows that were put into the store that the original wrote."""
    with open(golden / "expected" / f"{file}.csv", newline="") as lines:
        return [tuple(map(int, line)) for line in list(csv.reader(lines))[1:]]


GOLDEN = {
    ("BTCPERP", "kline", "1m"): "kline_BTCPERP_1m",
    ("BTCPERP", "indicator", "1m@@mid"): "scalar_BTCPERP_1m_indicator_mid",
    ("BTCPERP", "signal", "1m@@dir"): "scalar_BTCPERP_1m_signal_dir",
    ("BTCUSDT", "trade", "binance_spot"): "trade_BTCUSDT_binance_spot",
    ("BTCUSDT", "bbo", "binance_spot"): "bbo_BTCUSDT_binance_spot",
    ("XBTUSD", "book_delta", "bitmex"): "delta_XBTUSD_bitmex",
}


def as_columns(rows, schema):
    """Rows as columns of a schema's dtypes."""
    return {
        field.name: np.array([row[place] for row in rows], field.dtype) for place, field in enumerate(schema.fields)
    }
