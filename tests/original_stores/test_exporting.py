"""A store exported as one of the original's: an independent reader accepts it, and plain puts give its very files."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from builders import DAY, FEBRUARY, JANUARY, MINUTE, bars, contents, joined, part, temporary_store, trades
from original_calls import GOLDEN, as_columns, assert_holds, expected_rows, fill
from support.original import ACTIVE, SEALED, read_store

import fastk
from fastk import CompactionPolicy, FastKStore, InvalidData, InvalidInput, NotFound, Schema, feature_series_key
from fastk.cli.main import main
from fastk.interop import original
from fastk.io.disk import Disk

BTC = ("BTC", "kline", "1m")


def export(store, **options):
    """The exported store, as the independent reader sees it."""
    target = os.path.join(os.path.dirname(store.root), "exported")
    fastk.export_original(store.root, target, **options)
    return read_store(Path(target))


# Plain puts


def replay_golden_puts(store, golden):
    """The puts that the original was given; the month of klines that it merged comes as a single one."""
    rows = {key: expected_rows(golden, file) for key, file in GOLDEN.items()}
    kline, mid, signal, trade, bbo, book = (rows[key] for key in GOLDEN)
    series = store.register_kline_series("BTCPERP", "1m", MINUTE, 10, 1)
    cuts = [0, 59, 2_059, 2_062, 5_059, len(kline)]
    for start, stop in itertools.pairwise(cuts):
        store.put_kline_chunk("BTCPERP", "1m", as_columns(kline[start:stop], series.schema))
    for category, name, scalars in (("indicator", "mid", mid), ("signal", "dir", signal)):
        key = fastk.scoped_scalar_series_key("BTCPERP", "1m", category, name)
        schema = store.register_scalar_series(key, MINUTE).schema
        for start, stop in ((0, 59), (59, len(scalars))):
            store.put_scalar_chunk(key, MINUTE, as_columns(scalars[start:stop], schema))
    schema = store.register_trade_series("BTCUSDT", "binance_spot").schema
    for start, stop in ((0, 1_000), (1_000, len(trade))):
        store.put_trade_chunk("BTCUSDT", "binance_spot", as_columns(trade[start:stop], schema))
    schema = store.register_bbo_series("BTCUSDT", "binance_spot").schema
    store.put_bbo_chunk("BTCUSDT", "binance_spot", as_columns(bbo, schema))
    schema = store.register_book_delta_series("XBTUSD", "bitmex").schema
    store.put_book_delta_chunk("XBTUSD", "bitmex", as_columns(book, schema))


MERGED = "series/BTCPERP/kline/1m/chunks/2022-02."


def assert_same_files(golden, exported):
    """Chunks and sidecars byte for byte; the merged month is another file, and manifests bear the time of writing."""
    theirs, ours = (
        {name: data for name, data in contents(root).items() if data is not None and not name.endswith("series.meta")}
        for root in (golden / "store", exported)
    )
    merged = {name for name in theirs | ours if name.startswith(MERGED)}
    assert merged == {f"{MERGED}chunk", f"{MERGED}g00000003.chunk"}
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in merged:
            assert theirs.get(name) == ours.get(name), name


def test_the_puts_that_the_original_was_given_become_its_files(golden):
    with temporary_store() as store:
        replay_golden_puts(store, golden)
        read = export(store)
        assert_same_files(golden, Path(os.path.dirname(store.root)) / "exported")
        for key, file in GOLDEN.items():
            assert read[key].rows == expected_rows(golden, file)


@pytest.mark.slow
def test_its_store_there_and_back(golden, folder):
    fastk.migrate(golden / "store", folder / "new")
    fastk.export_original(folder / "new", folder / "back")
    assert_same_files(golden, folder / "back")
    theirs, ours = read_store(golden / "store"), read_store(folder / "back")
    for key, read in theirs.items():
        assert (ours[key].rows, ours[key].scales, ours[key].unit) == (read.rows, read.scales, read.unit)


@pytest.mark.slow
def test_a_made_up_store_there_and_back(folder):
    rows = fill(folder / "old")
    fastk.migrate(folder / "old", folder / "new")
    fastk.export_original(folder / "new", folder / "back")
    theirs, ours = read_store(folder / "old"), read_store(folder / "back")
    for key, read in theirs.items():
        assert ours[key].rows == rows[key]
        assert (ours[key].scales, ours[key].unit, ours[key].timeframe_ms) == (read.scales, read.unit, read.timeframe_ms)
    with FastKStore.open(folder / "back", "r") as store:
        for key in rows:
            assert_holds(store.series(key), rows[key])


def test_ids_generations_and_states_of_plain_puts(store):
    store.register_kline_series("BTC", "1m", MINUTE, 100, 1_000)
    puts = [(JANUARY, 200), (FEBRUARY, 3), (JANUARY + DAY, 5), (FEBRUARY + DAY, 130), (JANUARY + 2 * DAY, 1)]
    for start, count in puts:
        store.put_kline_chunk("BTC", "1m", bars(start, count))
    read = export(store)[BTC]
    assert read.files == [
        ("2024-01.chunk", 1, 1, SEALED),
        ("2024-01.delta.g00000002.chunk", 3, 2, ACTIVE),
        ("2024-01.delta.g00000003.chunk", 5, 3, ACTIVE),
        ("2024-02.chunk", 2, 1, SEALED),
        ("2024-02.delta.g00000002.chunk", 4, 2, ACTIVE),
    ]
    assert (read.active, read.scales, read.timeframe_ms) == (5, (100, 1_000), MINUTE)


# Everything else


def test_merged_and_rewritten_partitions_become_one_sealed_chunk(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    for start in (JANUARY, JANUARY + DAY, FEBRUARY, FEBRUARY + DAY):
        series.append(bars(start, 10))
    series.merge("2024-01")
    series.put(part(bars(FEBRUARY, 20), 3, 5) | {"volume": np.array([1, 2])}, on_conflict="replace")
    series.put(bars(FEBRUARY - 30 * MINUTE, 2))
    read = export(store)[BTC]
    assert [(name, generation, state) for name, _, generation, state in read.files] == [
        ("2024-01.chunk", 1, SEALED),
        ("2024-02.chunk", 1, SEALED),
    ]
    assert read.active == 0
    assert read.rows == [tuple(row) for row in series.range()]


def test_rows_put_before_others(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(JANUARY + DAY, 10))
    series.put(bars(JANUARY, 10))
    series.delete_range(JANUARY + DAY, JANUARY + DAY)
    read = export(store)[BTC]
    assert [name for name, *_ in read.files] == ["2024-01.chunk"]
    assert read.rows == [tuple(row) for row in series.range()]


def test_rows_put_between_others():
    with temporary_store(policy=CompactionPolicy(tier_fanout=0)) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE)
        for start in (JANUARY, JANUARY + 2 * DAY, JANUARY + DAY):
            series.put(bars(start, 10))
        assert len(series.chunk_inventory()) == 3
        assert [name for name, *_ in export(store)[BTC].files] == ["2024-01.chunk"]


def test_trades_that_go_on_at_the_last_ts_become_one_chunk(store):
    series = store.register_trade_series("BTC", "spot")
    series.append(trades([JANUARY, JANUARY + 5], 1))
    series.append(trades([JANUARY + 5, JANUARY + 9], 3))
    read = export(store)["BTC", "trade", "spot"]
    assert [name for name, *_ in read.files] == ["2024-01-01T00.chunk"]
    assert [row[2] for row in read.rows] == [1, 2, 3, 4]


def test_scalars_with_several_puts_a_month_have_one_chunk_and_its_sidecars(store):
    key = feature_series_key("BTC", "1m", "x")
    series = store.register_scalar_series(key, MINUTE)
    ts = JANUARY + MINUTE * np.arange(1_000)
    value = np.arange(1_000) * 7919 % 251 - 100
    for start, stop in ((0, 400), (400, 1_000)):
        store.put_scalar_chunk(key, MINUTE, {"ts": ts[start:stop], "value": value[start:stop]}, zmap_block_size=64)
    read = export(store)[tuple(series.key)]
    assert [name for name, *_ in read.files] == ["2024-01.chunk"]
    assert read.rows == list(zip(ts.tolist(), value.tolist(), strict=True))


@pytest.mark.parametrize("rows", [1, 7, 130])
def test_large_chunks_are_written_in_parts(store, rows, monkeypatch):
    monkeypatch.setattr(original, "_BATCH_ROWS", rows)
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(JANUARY, 400))
    series.put(joined(bars(FEBRUARY, 5), bars(FEBRUARY + DAY, 300)))
    assert export(store)[BTC].rows == [tuple(row) for row in series.range()]


def test_a_series_without_rows(store):
    store.register_kline_series("BTC", "1m", MINUTE)
    assert export(store)[BTC].rows == []


def test_some_series_only(store):
    for symbol in ("BTC", "ETH"):
        store.register_kline_series(symbol, "1m", MINUTE).put(bars())
    assert list(export(store, symbol="E*")) == [("ETH", "kline", "1m")]
    with pytest.raises(NotFound, match=r"no series X/\*/\*"):
        fastk.export_original(store.root, f"{store.root}-2", symbol="X")


# What the original cannot hold


def own_schema(store):
    store.register_series(("X", "own", "y"), Schema("own", [("ts", "i8"), ("x", "f8")]))


REFUSED = {
    "holds 'own' records": own_schema,
    "counts time in ns": lambda store: store.register_kline_series("X", "1m", MINUTE, time_unit="ns"),
    "unique_ts=False": lambda store: store.register_bbo_series("X", "y", unique_ts=False),
    "unique_ts=True": lambda store: store.register_trade_series("X", "y", unique_ts=True),
    "partition is a year": lambda store: store.register_trade_series("X", "y", partition="year"),
    "partition is a day": lambda store: store.register_kline_series("X", "1m", MINUTE, partition="day"),
    "value_scale is 100": lambda store: store.register_scalar_series(feature_series_key("X", "1m", "y"), MINUTE, 100),
    "'chunks' would hide it": lambda store: store.register_kline_series("chunks", "1m", MINUTE),
    "no plain folder name": lambda store: store.register_kline_series("..", "1m", MINUTE),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_the_original_cannot_hold_is_refused_before_anything_is_written(store, message):
    store.register_kline_series("BTC", "1m", MINUTE).put(bars())
    REFUSED[message](store)
    before = contents(os.path.dirname(store.root))
    with pytest.raises(InvalidInput, match=message):
        fastk.export_original(store.root, f"{store.root}-2")
    assert contents(os.path.dirname(store.root)) == before


def test_series_that_would_share_a_folder_are_refused(store):
    for name in ("x", "x/y"):
        store.register_series(("A", "own", name), fastk.SCALAR)
    with pytest.raises(InvalidInput, match="would lie in one folder"):
        fastk.export_original(store.root, f"{store.root}-2")


def test_other_targets_and_sources_are_refused(store, folder, root):
    store.register_kline_series("BTC", "1m", MINUTE).put(bars())
    with pytest.raises(InvalidInput, match="not empty"):
        fastk.export_original(store.root, root)
    with pytest.raises(InvalidInput, match="of the original already"):
        fastk.export_original(root, folder / "new")


def test_damage_names_nothing(store, folder):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars())
    chunk = next(Path(store.root).rglob("*.chunk"))
    data = bytearray(chunk.read_bytes())
    data[-80] ^= 1  # the first byte of the last column
    chunk.write_bytes(data)
    with pytest.raises(InvalidData, match="damaged"):
        fastk.export_original(store.root, folder / "new")
    assert not (folder / "new").exists()


def test_what_a_killed_export_left_is_no_trouble(store, folder):
    store.register_kline_series("BTC", "1m", MINUTE).put(bars())

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastk.export_original(store.root, folder / "new", progress=stop)
    assert os.listdir(folder) == ["new.exporting"]
    fastk.export_original(store.root, folder / "new")
    assert os.listdir(folder) == ["new"]
    assert os.listdir(folder / "new") == ["series"]
    assert len(read_store(folder / "new")[BTC].rows) == 5


def test_an_export_that_fails_between_two_files_leaves_none_open(store, folder):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    for month in (JANUARY, FEBRUARY):
        series.put(bars(month, 10))
    disk, seen = Disk(), []

    def stop(done, total):
        seen.append(len(disk._unsynced))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastk.export_original(store.root, folder / "new", progress=stop, disk=disk)
    assert (seen, disk._unsynced) == ([0, 1], {})


def test_progress_ends_at_its_total(store, folder):
    store.register_kline_series("BTC", "1m", MINUTE).put(bars(count=100))
    seen = []
    fastk.export_original(store.root, folder / "new", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (9_600, 9_600)


# The command


def test_the_command(store, folder, capsys):
    store.register_kline_series("BTC", "1m", MINUTE).put(bars())
    assert main(["export", store.root, str(folder / "new"), "--format", "fastk-v2"]) == 0
    assert json.loads(capsys.readouterr().out)["series"] == [
        {"symbol": "BTC", "category": "kline", "name": "1m", "rows": 5, "chunks": 1}
    ]
    assert len(read_store(folder / "new")[BTC].rows) == 5
    assert main(["export", store.root, str(folder / "new"), "--format", "fastk-v2"]) == 1
    assert "not empty" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", store.root, str(folder / "new"), "--format", "fastk-v9"])
    assert "fastk-v9" in capsys.readouterr().err
