"""What session tests share: a small market, and all that a session shows of it."""

import numpy as np
from builders import DAY, FEBRUARY, JANUARY, MINUTE, bars, trades

import fastk
from fastk import Gt, ScopedScalarBinding

KLINE = ("BTC", "kline", "1m")
OTHER = ("ETH", "kline", "1m")
TRADES = ("BTC", "trade", "spot")
FEATURE = fastk.feature_series_key("BTC", "1m", "rsi")
BINDING = ScopedScalarBinding.feature("BTC", "1m", "rsi")
KEYS = (KLINE, OTHER, TRADES, FEATURE)


def values(start=JANUARY, count=40, step=MINUTE):
    """Columns of a scalar that goes up and down."""
    rows = np.arange(count, dtype=np.int64)
    return {"ts": start + rows * step, "value": rows * 37 % 100}


def fill(store):
    """Two kline series, one of trades and a feature, in two months."""
    for symbol in ("BTC", "ETH"):
        series = store.register_kline_series(symbol, "1m", MINUTE, 100)
        series.put(bars(JANUARY, 40))
        series.put(bars(FEBRUARY, 40))
    store.register_trade_series("BTC", "spot").put(trades([JANUARY, JANUARY, JANUARY + 5, JANUARY + DAY]))
    store.register_scalar_series(FEATURE, MINUTE).put(values())
    return store


def columns(rows):
    """All columns of some rows, as lists."""
    return {name: rows[name].tolist() for name in rows.schema.names}


def shown(reader):
    """All that a store or a session shows of the market: ranges, points, queries, replays, a matrix."""
    series = [reader.series(key) for key in KEYS]
    replay = reader.replay_merged(KEYS)
    matrix = reader.feature_matrix([KLINE, OTHER, FEATURE], grid="union")
    return {
        "ranges": [columns(each.range()) for each in series],
        "latest": [columns(each.latest(7)) for each in series],
        "points": [each.at(JANUARY + 3 * MINUTE) for each in series],
        "query": columns(reader.series(FEATURE).where("value", Gt(50)).rows),
        "index": reader.find_scalar_timestamps_via_vix(FEATURE, None, None, fastk.Eq(74)).tolist(),
        "zones": reader.find_scalar_timestamps_via_zmap(FEATURE, None, None, Gt(50)).tolist(),
        "cursor": [columns(batch) for batch in reader.replay_kline("BTC", "1m", batch_rows=17)],
        "events": [(batch.source.tolist(), batch.row.tolist(), batch.ts.tolist()) for batch in replay],
        "matrix": (matrix.ts.tolist(), np.nan_to_num(matrix.values, nan=-1).tolist()),
        "months": [each.month_inventory() for each in series],
    }
