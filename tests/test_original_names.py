"""Every name of the original within reach exists, takes its arguments in the original's order, and does its thing."""

import inspect

import pytest
from builders import FEBRUARY, HOUR, JANUARY, MINUTE, bars, trades

import fastk
from fastk import FastKStore, InvalidInput, PartitionPolicy, PartitionUnit, ScalarSeriesKey

# The arguments that must stand first, in this order; what follows them is optional.
ARGUMENTS = {
    "register_kline_series": "symbol timeframe timeframe_ms price_scale volume_scale",
    "put_kline_chunk": "symbol timeframe records",
    "get_kline_at": "symbol timeframe ts",
    "get_kline_range": "symbol timeframe start_ts end_ts",
    "get_kline_latest_n": "symbol timeframe n",
    "kline_chunk_inventory": "symbol timeframe",
    "kline_month_inventory": "symbol timeframe",
    "register_scalar_series": "key timeframe_ms",
    "put_scalar_chunk": "key timeframe_ms records zmap_block_size",
    "get_scalar_at": "key ts",
    "get_scalar_range": "key start_ts end_ts",
    "scalar_month_inventory": "key",
    "scalar_chunk_inventory": "key",
    "register_indicator_series": "symbol timeframe name",
    "put_indicator_chunk": "symbol timeframe name records",
    "get_indicator_at": "symbol timeframe name ts",
    "get_indicator_range": "symbol timeframe name start_ts end_ts",
    "indicator_chunk_inventory": "symbol timeframe name",
    "indicator_month_inventory": "symbol timeframe name",
    "indicator_inventory": "symbol timeframe name",
    **{f"register_{kind}_series": "symbol channel timeframe_ms" for kind in ("trade", "bbo", "book_delta")},
    **{
        f"register_{kind}_series_with_partition": "symbol channel timeframe_ms partition"
        for kind in ("trade", "bbo", "book_delta")
    },
    **{f"put_{kind}_chunk": "symbol channel records" for kind in ("trade", "bbo", "book_delta")},
    **{f"get_{kind}_range": "symbol channel start_ts end_ts" for kind in ("trade", "bbo", "book_delta")},
    **{f"get_{kind}_latest_n": "symbol channel n" for kind in ("trade", "bbo", "book_delta")},
    "list_series": "",
    "list_kline_series": "",
    "list_scalar_series": "",
    "list_indicators": "",
    "store_stats": "",
    "init": "",
    "close": "",
    "open": "root mode",
}

TYPES = """
KlineRecord ScalarRecord TradeRecord BboRecord BookDeltaRecord RecordType PartitionUnit PartitionPolicy ChunkState
ChunkMeta ScalarSeriesKey SeriesInventoryEntry MonthInventoryEntry IndicatorInventoryEntry StoreStats FastKStore"""

HELPERS = {
    "indicator_series_key": "symbol timeframe name",
    "feature_series_key": "symbol timeframe name",
    "factor_series_key": "symbol timeframe name",
    "signal_series_key": "symbol timeframe name",
    "risk_series_key": "symbol timeframe name",
    "metric_series_key": "symbol timeframe name",
    "portfolio_series_key": "timeframe name",
    "scoped_scalar_series_key": "symbol timeframe category name",
    "reserved_scalar_categories": "",
}


@pytest.mark.parametrize("method", ARGUMENTS)
def test_arguments_stand_in_the_order_of_the_original(method):
    parameters = list(inspect.signature(getattr(FastKStore, method)).parameters.values())
    names = [each.name for each in parameters if each.name not in ("self", "cls")]
    wanted = ARGUMENTS[method].split()
    assert names[: len(wanted)] == wanted
    for parameter in parameters[1 + len(wanted) :]:
        assert parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD


@pytest.mark.parametrize("name", TYPES.split())
def test_public_types_are_importable_from_the_package(name):
    assert inspect.isclass(getattr(fastk, name))
    assert name in fastk.__all__
    assert name in dir(fastk)


@pytest.mark.parametrize("name", HELPERS)
def test_key_helpers_take_their_arguments_in_order(name):
    assert list(inspect.signature(getattr(fastk, name)).parameters) == HELPERS[name].split()


def test_every_public_name_can_be_had():
    for name in fastk.__all__:
        assert getattr(fastk, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        fastk.absent  # noqa: B018


@pytest.mark.parametrize("category", ["indicator", "feature", "factor", "signal", "risk", "metric"])
def test_key_helpers_name_their_category(category):
    key = getattr(fastk, f"{category}_series_key")("BTC", "1m", "x")
    assert key == ScalarSeriesKey("BTC", "1m", category, "x")
    assert key.series_key == ("BTC", category, "1m@@x")
    assert getattr(fastk, f"{category.upper()}_CATEGORY") == category
    assert category in fastk.reserved_scalar_categories()


def test_the_portfolio_has_a_symbol_of_its_own(store):
    key = fastk.portfolio_series_key("1d", "equity")
    assert key == ("__portfolio__", "1d", "portfolio", "equity")
    assert key.symbol == fastk.PORTFOLIO_SYMBOL
    store.register_scalar_series(key, 86_400_000)
    store.put_scalar_chunk(key, 86_400_000, {"ts": [JANUARY], "value": [100]})
    assert store.get_scalar_at(key, JANUARY).value == 100
    assert [entry.symbol for entry in store.list_series()] == ["__portfolio__"]


def test_constants():
    assert fastk.reserved_scalar_categories() == (
        "indicator",
        "feature",
        "factor",
        "signal",
        "portfolio",
        "risk",
        "metric",
    )
    assert (fastk.KLINE_CATEGORY, fastk.TRADE_CATEGORY) == ("kline", "trade")
    assert (fastk.BBO_CATEGORY, fastk.BOOK_DELTA_CATEGORY) == ("bbo", "book_delta")
    assert fastk.DEFAULT_SCALAR_ZMAP_BLOCK_SIZE == 256
    assert [fastk.RecordType(code).name for code in (1, 2, 10, 11, 12)] == [
        "KLINE",
        "SCALAR",
        "TRADE",
        "BBO",
        "BOOK_DELTA",
    ]
    assert [fastk.ChunkState(code).name for code in (1, 2, 3, 4)] == ["ACTIVE", "SEALED", "MERGING", "REPLACED"]


def test_klines(store):
    store.register_kline_series("BTC", "1m", MINUTE, 100, 10)
    assert store.put_kline_chunk("BTC", "1m", bars(JANUARY, 5)).accepted == 5
    assert store.get_kline_at("BTC", "1m", JANUARY + MINUTE) == fastk.KlineRecord(*[c[1] for c in bars().values()])
    assert store.get_kline_at("BTC", "1m", JANUARY + 1) is None
    assert len(store.get_kline_range("BTC", "1m", JANUARY, JANUARY + MINUTE)) == 2
    assert len(store.get_kline_range("BTC", "1m", JANUARY + MINUTE, JANUARY)) == 0
    assert len(store.get_kline_range("BTC", "1m", None, None)) == 5
    assert store.get_kline_latest_n("BTC", "1m", 2).ts.tolist() == [JANUARY + 3 * MINUTE, JANUARY + 4 * MINUTE]
    assert len(store.get_kline_latest_n("BTC", "1m", 0)) == 0
    assert store.kline_chunk_inventory("BTC", "1m")[0].partition_key == "2024-01"
    assert store.kline_month_inventory("BTC", "1m")[0].record_count == 5
    assert store.kline("BTC", "1m").settings.scales == {"price_scale": 100, "volume_scale": 10}


def test_scalars(store):
    key = fastk.feature_series_key("BTC", "1m", "gap")
    store.register_scalar_series(key, MINUTE)
    store.put_scalar_chunk(key, MINUTE, [fastk.ScalarRecord(JANUARY, 5), fastk.ScalarRecord(FEBRUARY, 6)])
    store.put_scalar_chunk(key, MINUTE, {"ts": [FEBRUARY + 1], "value": [-7]}, 128)
    assert store.get_scalar_at(key, FEBRUARY) == fastk.ScalarRecord(FEBRUARY, 6)
    assert store.get_scalar_range(key, JANUARY, FEBRUARY).value.tolist() == [5, 6]
    assert store.get_scalar_latest_n(key, 1).value.tolist() == [-7]
    assert len(store.scalar_chunk_inventory(key)) == 3
    assert [month.month_key for month in store.scalar_month_inventory(key)] == ["2024-01", "2024-02"]


def test_a_scalar_put_checks_its_timeframe_and_block_size(store):
    key = fastk.feature_series_key("BTC", "1m", "gap")
    store.register_scalar_series(key, MINUTE)
    rows = {"ts": [JANUARY], "value": [5]}
    with pytest.raises(InvalidInput, match="has timeframe_ms 60000, not 1"):
        store.put_scalar_chunk(key, 1, rows)
    for size in (0, -1, 1.5, None, True):
        with pytest.raises(InvalidInput, match="zmap_block_size"):
            store.put_scalar_chunk(key, MINUTE, rows, size)
    assert len(store.scalar(key)) == 0


def test_later_rows_of_a_month_are_added_to_it(store):
    """In the original a second write into a month replaced it, and the earlier rows were lost."""
    store.register_kline_series("BTC", "1m", MINUTE)
    store.register_indicator_series("BTC", "1m", "rsi")
    key = fastk.signal_series_key("BTC", "1m", "dir")
    store.register_scalar_series(key, MINUTE)
    for place in range(3):
        rows = {"ts": [JANUARY + place], "value": [place]}
        store.put_indicator_chunk("BTC", "1m", "rsi", rows)
        store.put_scalar_chunk(key, MINUTE, rows)
    assert store.get_indicator_range("BTC", "1m", "rsi", None, None).value.tolist() == [0, 1, 2]
    assert store.get_scalar_range(key, None, None).value.tolist() == [0, 1, 2]


def test_indicators(store):
    store.register_kline_series("BTC", "1m", MINUTE)
    store.register_indicator_series("BTC", "1m", "rsi_14")
    store.put_indicator_chunk("BTC", "1m", "rsi_14", {"ts": [JANUARY, JANUARY + 1], "value": [5, 6]})
    assert store.get_indicator_at("BTC", "1m", "rsi_14", JANUARY).value == 5
    assert len(store.get_indicator_range("BTC", "1m", "rsi_14", JANUARY, JANUARY)) == 1
    assert len(store.indicator_chunk_inventory("BTC", "1m", "rsi_14")) == 1
    assert store.indicator_month_inventory("BTC", "1m", "rsi_14")[0].record_count == 2
    assert store.indicator_inventory("BTC", "1m", "rsi_14").record_count == 2
    assert [entry.name for entry in store.list_indicators()] == ["rsi_14"]
    assert store.indicator("BTC", "1m", "rsi_14").key == ("BTC", "indicator", "1m@@rsi_14")


SAMPLES = {
    "trade": (fastk.TradeRecord(JANUARY, 2, 3, 4, 5, -1, 7), "hour"),
    "bbo": (fastk.BboRecord(JANUARY, 2, 3, 4, 5, 6, 7), "day"),
    "book_delta": (fastk.BookDeltaRecord(JANUARY, 2, 3, 4, 5, -1, 4, -2, 9), "hour"),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_high_frequency_types(store, kind):
    record, partition = SAMPLES[kind]
    series = getattr(store, f"register_{kind}_series")("BTC", "spot")
    assert series.settings.timeframe_ms == 0
    assert series.settings.partition == partition
    getattr(store, f"put_{kind}_chunk")("BTC", "spot", [record])
    assert list(getattr(store, f"get_{kind}_range")("BTC", "spot", JANUARY, JANUARY)) == [record]
    assert list(getattr(store, f"get_{kind}_latest_n")("BTC", "spot", 5)) == [record]
    assert getattr(store, kind)("BTC", "spot").at(JANUARY) == record
    assert series.key == ("BTC", kind, "spot")


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("partition", ["month", PartitionUnit.DAY, PartitionPolicy("hour")], ids=str)
def test_another_partition(store, kind, partition):
    record, _ = SAMPLES[kind]
    series = getattr(store, f"register_{kind}_series_with_partition")("BTC", "spot", 0, partition)
    assert series.settings.partition == PartitionUnit.parse(partition)
    series.put(record)
    assert series.chunk_inventory()[0].partition_key == series.settings.partition.key(
        series.settings.partition.ordinal(JANUARY, series.settings.time_unit)
    )


def test_scales_of_high_frequency_types(store):
    series = store.register_trade_series("BTC", "spot", 0, price_scale=100, volume_scale=1_000)
    columns = trades([JANUARY, JANUARY + HOUR])
    series.put({**columns, "price": [1.25, 2.5], "qty": [0.001, 7]}, decoded=True)
    assert store.get_trade_range("BTC", "spot", None, None).price.tolist() == [125, 250]
    assert store.get_trade_latest_n("BTC", "spot", 1).decoded("qty").tolist() == [7.0]


def test_a_misspelled_option_is_refused(store):
    for register in (store.register_trade_series, store.register_bbo_series):
        with pytest.raises(TypeError, match="price_scal"):
            register("BTC", "spot", price_scal=100)
    with pytest.raises(TypeError, match="timeunit"):
        store.register_kline_series("BTC", "1m", MINUTE, timeunit="us")
    assert store.list_series() == []
