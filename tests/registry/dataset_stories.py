"""What the tests of the registry and of versions share: rows, small stores, and all that a reader sees of a store."""

import numpy as np
from builders import DAY, JANUARY, bars, trades

import fastk

MONTHS = [JANUARY + month * 31 * DAY for month in range(4)]


def dataset(dataset_id="binance-um", version="2024-02", **changes):
    """A row of the table of datasets."""
    values = {
        "fastk_root": f"/data/datasets/{dataset_id}/{version}",
        "source": "binance",
        "market": "um-futures",
        "start_ts": JANUARY,
        "end_ts": JANUARY + DAY,
        "schema_version": "1",
        "created_at": 1_000,
    }
    return fastk.DatasetManifestRecord(dataset_id, version, **(values | changes))


def feature(feature_id="rsi_14", **changes):
    """A row of the table of features."""
    values = {
        "name": "RSI",
        "version": "1",
        "input_dataset_id": "binance-um",
        "input_dataset_version": "2024-02",
        "fastk_series_key": "BTCUSDT/feature/1m@@rsi_14",
        "config_hash": "c0ffee",
        "created_at": 2_000,
    }
    return fastk.FeatureRegistryRecord(feature_id, **(values | changes))


def factor(factor_id="momentum", **changes):
    """A row of the table of factors."""
    values = {
        "name": "Momentum",
        "version": "1",
        "input_dataset_id": "binance-um",
        "input_dataset_version": "2024-02",
        "fastk_series_key": "BTCUSDT/factor/1m@@momentum",
        "config_hash": "decade",
        "created_at": 3_000,
        "input_feature_refs": ["rsi_14", "ma_20"],
        "formula": "rank(rsi_14)",
    }
    return fastk.FactorRegistryRecord(factor_id, **(values | changes))


def fill(store):
    """Bars of two symbols in three months and several deltas, trades, and a scalar: 14 chunks."""
    for symbol in ("BTCUSDT", "ETHUSDT"):
        series = store.register_kline_series(symbol, "1d", DAY, 100, 1)
        for month in MONTHS[:3]:
            series.put(bars(month, 5, DAY))
        series.append(bars(MONTHS[2] + 6 * DAY, 3, DAY))
    store.register_trade_series("BTCUSDT", "spot").put(trades([JANUARY + 7, JANUARY + 7, JANUARY + 9 * 3_600_000]))
    key = fastk.feature_series_key("BTCUSDT", "1d", "rsi_14")
    store.register_scalar_series(key, DAY).put(np.array([(JANUARY, 5), (JANUARY + DAY, -3)]))
    return store


def picture(store):
    """Every row of every series."""
    seen = {}
    for entry in store.list_series():
        assert entry.problem is None, entry.problem
        series = store.series((entry.symbol, entry.category, entry.name))
        rows = series.range()
        seen[series.key] = {name: rows[name].tolist() for name in series.schema.names}
    return seen


def picture_of(root):
    """The same of a root, opened anew and verified."""
    with fastk.open(root, "r") as store:
        for entry in store.list_series():
            store.series((entry.symbol, entry.category, entry.name)).verify()
        return picture(store)


def message(call, *arguments, **options):
    """What a refusal of FastK says."""
    try:
        call(*arguments, **options)
    except fastk.FastKError as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("accepted")
