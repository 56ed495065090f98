"""What is in the store: series by pattern, their chunks and months, sums; and taking a series out again."""

import gc
import os
from functools import partial
from pathlib import Path

import pytest
from builders import (
    DAY,
    FEBRUARY,
    HOUR,
    JANUARY,
    MARCH,
    MINUTE,
    bars,
    joined,
    temporary_folder,
    temporary_store,
    trades,
)
from support.disks import UnlistedDisk

import fastk
from fastk import ChunkState, InvalidInput, NotFound, SnapshotExpired, StoreStats
from fastk.engine.reader import SeriesReader

KEY = ("BTC", "kline", "1m")


@pytest.fixture
def filled(store):
    """Two symbols with klines, scalars and trades."""
    for symbol in ("ETH", "BTC"):
        store.register_kline_series(symbol, "5m", 5 * MINUTE).put(bars(JANUARY, 3))
        series = store.register_kline_series(symbol, "1m", MINUTE)
        series.put(bars(JANUARY, 10))
        series.append(joined(bars(JANUARY + 10 * MINUTE, 5), bars(FEBRUARY, 5)))
        store.register_indicator_series(symbol, "1m", "rsi_14")
        key = fastk.feature_series_key(symbol, "1m", "gap")
        store.register_scalar_series(key, MINUTE).put({"ts": [JANUARY], "value": [5]})
        store.register_trade_series(symbol, "spot").put(trades([JANUARY, JANUARY, JANUARY + HOUR]))
    return store


def keys(entries):
    return [(entry.symbol, entry.category, entry.name) for entry in entries]


EACH = [
    ("feature", "1m@@gap"),
    ("indicator", "1m@@rsi_14"),
    ("kline", "1m"),
    ("kline", "5m"),
    ("trade", "spot"),
]


def test_series_are_sorted_by_symbol_category_and_name(filled):
    assert keys(filled.list_series()) == [(symbol, *rest) for symbol in ("BTC", "ETH") for rest in EACH]


@pytest.mark.parametrize(
    ("patterns", "count"),
    [
        ({"symbol": "BTC"}, 5),
        ({"symbol": "B*"}, 5),
        ({"symbol": "?TH"}, 5),
        ({"symbol": "[BE]T[CH]"}, 10),
        ({"symbol": "btc"}, 0),
        ({"category": "kline"}, 4),
        ({"name": "1m@@*"}, 4),
        ({"name": "*m"}, 4),
        ({"symbol": "BTC", "category": "kline", "name": "1m"}, 1),
        ({"symbol": "XRP"}, 0),
        ({"symbol": ""}, 0),
    ],
    ids=str,
)
def test_patterns_choose_series(filled, patterns, count):
    assert len(filled.list_series(**patterns)) == count
    assert len(filled.list_series(*(patterns.get(name, "*") for name in ("symbol", "category", "name")))) == count


def test_a_name_is_a_pattern_for_itself(store):
    for symbol in ("A[1]", "A1"):
        store.register_kline_series(symbol, "1m", MINUTE)
    assert keys(store.list_series("A[1]")) == [("A1", "kline", "1m"), ("A[1]", "kline", "1m")]
    assert [each.symbol for each in fastk.inspect_store(store, "A[[]1]/*").series] == ["A[1]"]
    assert {each.symbol for each in fastk.inspect_store(store, "A[1]/kline/1m").series} == {"A1", "A[1]"}


def test_sorting_goes_by_names_and_not_by_their_folders(store):
    names = ["a", "Z", "é", "1M", "1m", "zz", "..", "_"]
    for name in names:
        store.register_kline_series("BTC", name, MINUTE)
    assert [entry.name for entry in store.list_series()] == sorted(names)


def test_the_line_of_a_series(filled):
    entry = next(each for each in filled.list_series("BTC", "kline", "1m"))
    assert entry == fastk.SeriesInventoryEntry("BTC", "kline", "1m", "kline", MINUTE, 3, 20, 0, 1)
    assert entry.problem is None
    trade = next(each for each in filled.list_series("BTC", "trade"))
    assert (trade.record_type, trade.timeframe_ms, trade.chunk_count, trade.record_count) == ("trade", 0, 2, 3)


def test_listings_by_kind(filled):
    assert keys(filled.list_kline_series()) == keys(filled.list_series(category="kline"))
    assert {entry.category for entry in filled.list_scalar_series()} == {"feature", "indicator"}
    assert [(each.symbol, each.timeframe, each.name) for each in filled.list_indicators()] == [
        ("BTC", "1m", "rsi_14"),
        ("ETH", "1m", "rsi_14"),
    ]
    assert len(filled.list_indicators("BTC")) == len(filled.list_indicators("BTC", "1m")) == 1
    assert filled.list_indicators("BTC", "5m") == []


def test_a_kind_is_known_by_its_type_and_not_by_its_category(store):
    store.register_series(("BTC", "my_bars", "1m"), fastk.KLINE)
    store.register_series(("BTC", "kline", "odd"), fastk.SCALAR)
    stats = store.store_stats()
    assert (stats.kline_series_count, stats.scalar_series_count) == (1, 1)


def test_sums_over_the_store(filled):
    assert filled.store_stats() == StoreStats(
        series_count=10,
        kline_series_count=4,
        scalar_series_count=4,
        chunk_count=2 * (1 + 3 + 1 + 2),
        record_count=2 * (3 + 20 + 1 + 3),
        sidecar_count=2 * 2,
        active_delta_count=2,
    )


def told(work):
    """The answer of a long work, and what its progress was."""
    steps = []
    return work(progress=lambda done, total: steps.append((done, total))), steps


def test_progress_counts_the_series_that_are_listed(filled):
    assert told(filled.list_series) == (filled.list_series(), [(done, 10) for done in range(11)])
    assert told(filled.store_stats) == (filled.store_stats(), [(done, 10) for done in range(11)])
    entries, steps = told(partial(filled.list_series, "BTC", name="1m"))
    assert (keys(entries), steps) == ([KEY], [(0, 1), (1, 1)])


def test_progress_counts_series_that_are_unreadable_or_were_never_finished(filled):
    with open(f"{filled.root}/series/BTC/kline/1m/series.meta", "r+b") as file:
        file.truncate(50)
    os.remove(f"{filled.root}/series/ETH/indicator/1m@@rsi_14/series.meta")
    with fastk.open(filled.root, "r") as reader:
        entries, steps = told(reader.list_series)
        assert (len(entries), steps) == (9, [(done, 10) for done in range(11)])
        assert told(reader.store_stats)[0].series_count == 8


def test_an_empty_store(store):
    assert store.list_series() == store.list_indicators() == store.list_kline_series() == []
    assert store.store_stats() == StoreStats(0, 0, 0, 0, 0, 0, 0)


def test_a_listing_is_of_the_newest_state_and_moves_no_snapshot(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    with fastk.open(store.root, "r") as reader:
        pinned = reader.series(KEY)
        assert len(pinned) == 0
        series.put(bars())
        assert reader.list_series()[0].record_count == 5
        assert reader.store_stats().record_count == 5
        assert len(pinned) == 0


def test_a_listing_keeps_nothing_of_the_series_that_it_looked_at(filled):
    def readers():
        every = (each for each in gc.get_objects() if type(each) is SeriesReader)
        return [each.files.key for each in every if each.files.folder.startswith(str(filled.root))]

    filled.close()
    with fastk.open(filled.root, "r") as reader:
        reader.series(KEY).range()
        before = sorted(readers())
        assert len(reader.list_series()) == 10
        assert reader.store_stats().series_count == 10
        assert sorted(readers()) == before
        assert KEY in before


def test_one_unreadable_manifest_hides_nothing_else(filled):
    with open(f"{filled.root}/series/BTC/kline/1m/series.meta", "r+b") as file:
        file.truncate(50)
    with fastk.open(filled.root, "r") as reader:
        entries = dict(zip(keys(reader.list_series()), reader.list_series(), strict=True))
        assert len(entries) == 10
        broken = entries.pop(KEY)
        assert "series.meta" in broken.problem
        assert (broken.record_type, broken.record_count) == ("?", 0)
        assert all(entry.problem is None for entry in entries.values())
        assert reader.store_stats().series_count == 9
        assert len(reader.kline("ETH", "1m")) == 20
        with pytest.raises(fastk.InvalidData, match=r"series\.meta"):
            reader.kline("BTC", "1m").range()
        reader.list_indicators()


@pytest.mark.parametrize(("folder", "hidden"), [("BTC", ("BTC", "?", "?")), ("kline", ("BTC", "kline", "?"))])
def test_a_folder_that_cannot_be_listed_hides_nothing_else(filled, folder, hidden):
    with fastk.open(filled.root, "r", disk=UnlistedDisk(folder)) as reader:
        entries = dict(zip(keys(reader.list_series()), reader.list_series(), strict=True))
        assert "Permission denied" in entries[hidden].problem
        sound = [entry for entry in entries.values() if entry.problem is None]
        assert len(sound) == (5 if folder == "BTC" else 6)
        assert reader.store_stats().series_count == len(sound)
        assert keys(reader.list_series("ETH", "feature")) == [("ETH", *EACH[0])]


def test_a_store_whose_series_cannot_be_listed_at_all_is_an_error(filled):
    with (
        fastk.open(filled.root, "r", disk=UnlistedDisk("series")) as reader,
        pytest.raises(PermissionError, match="series"),
    ):
        reader.list_series()


def test_an_unreadable_indicator_does_not_break_their_listing(filled):
    with open(f"{filled.root}/series/BTC/indicator/1m@@rsi_14/series.meta", "r+b") as file:
        file.truncate(50)
    with fastk.open(filled.root, "r") as reader:
        assert [each.symbol for each in reader.list_indicators()] == ["ETH"]


def test_foreign_files_between_the_series_are_passed_over(filled):
    root = filled.root
    for path in ("series/notes.txt", "series/BTC/notes.txt", "series/BTC/kline/notes.txt", "series/BTC/kline/1m/x.tmp"):
        with open(f"{root}/{path}", "w") as file:
            file.write("mine")
    with fastk.open(root, "r") as reader:
        assert len(reader.list_series()) == 10


# Chunks and months


def test_the_first_chunk_is_sealed_and_deltas_are_active(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    for step in range(3):
        series.append(bars(JANUARY + step * 5 * MINUTE, 5))
    series.append(joined(bars(JANUARY + HOUR, 1), bars(FEBRUARY, 2)))
    chunks = store.kline_chunk_inventory("BTC", "1m")
    assert [(chunk.partition_key, chunk.state, chunk.generation, chunk.count) for chunk in chunks] == [
        ("2024-01", ChunkState.SEALED, 1, 5),
        ("2024-01", ChunkState.ACTIVE, 2, 5),
        ("2024-01", ChunkState.ACTIVE, 3, 5),
        ("2024-01", ChunkState.ACTIVE, 4, 1),
        ("2024-02", ChunkState.SEALED, 1, 2),
    ]
    assert len({chunk.chunk_id for chunk in chunks}) == 5
    for chunk in chunks:
        path = f"{store.root}/series/BTC/kline/1m/{chunk.relative_path}"
        with open(path, "rb") as file:
            assert len(file.read()) == chunk.file_length
        assert (".delta." in chunk.relative_path) == (chunk.state == ChunkState.ACTIVE)
        assert chunk.relative_path.startswith(f"chunks/{chunk.partition_key}")
        assert series.range(chunk.start_ts, chunk.end_ts).ts[[0, -1]].tolist() == [chunk.start_ts, chunk.end_ts]
        assert chunk.sidecar_count == 0


def test_a_month_sums_up_its_chunks(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars(MARCH, 4))
    series.put(bars(JANUARY, 5))
    series.append(bars(JANUARY + HOUR, 6))
    months = store.kline_month_inventory("BTC", "1m")
    assert months == [
        fastk.MonthInventoryEntry("2024-01", 2, 11, 1, 1, 0),
        fastk.MonthInventoryEntry("2024-03", 1, 4, 1, 0, 0),
    ]


def test_months_of_hours_and_days(store):
    hours = store.register_trade_series("BTC", "spot")
    hours.put(trades([JANUARY, JANUARY + HOUR, FEBRUARY]))
    hours.append(trades([JANUARY + HOUR + 5], first_id=9))
    assert [(month.month_key, month.chunk_count, month.record_count) for month in hours.month_inventory()] == [
        ("2024-01", 3, 3),
        ("2024-02", 1, 1),
    ]
    days = store.register_trade_series_with_partition("BTC", "daily", 0, "day")
    days.put(trades([JANUARY, JANUARY + DAY, FEBRUARY]))
    assert [chunk.partition_key for chunk in days.chunk_inventory()] == ["2024-01-01", "2024-01-02", "2024-02-01"]


def test_inventories_of_a_series_without_rows(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    assert series.chunk_inventory() == series.month_inventory() == []


def test_inventories_of_a_missing_series(store):
    for ask in (store.kline_chunk_inventory, store.kline_month_inventory):
        with pytest.raises(NotFound):
            ask("BTC", "1m")


# Indicators


def test_an_indicator_needs_its_klines(store):
    for ask in (
        lambda: store.register_indicator_series("BTC", "1m", "rsi_14"),
        lambda: store.put_indicator_chunk("BTC", "1m", "rsi_14", {"ts": [1], "value": [1]}),
    ):
        with pytest.raises(NotFound, match="belongs to a kline series, and BTC/kline/1m is not in the store"):
            ask()
    assert store.list_series() == []


def test_an_indicator_counts_time_as_its_klines(store):
    store.register_kline_series("BTC", "1m", MINUTE, time_unit="us")
    series = store.register_indicator_series("BTC", "1m", "rsi_14", 100)
    assert (series.settings.timeframe_ms, series.settings.time_unit) == (MINUTE, "us")
    assert series.settings.scale_of("value") == 100


def test_the_inventory_of_an_indicator(store):
    store.register_kline_series("BTC", "1m", MINUTE)
    store.register_indicator_series("BTC", "1m", "rsi_14")
    entry = store.indicator_inventory("BTC", "1m", "rsi_14")
    assert entry == fastk.IndicatorInventoryEntry("BTC", "1m", "rsi_14", MINUTE, 0, 0, None, None)
    store.put_indicator_chunk("BTC", "1m", "rsi_14", {"ts": [5, 9], "value": [1, 2]})
    entry = store.indicator_inventory("BTC", "1m", "rsi_14")
    assert (entry.chunk_count, entry.record_count, entry.coverage_start_ts, entry.coverage_end_ts) == (1, 2, 5, 9)


# Dropping


def test_a_dropped_series_is_gone_and_its_neighbours_stay(filled):
    filled.drop_series(KEY)
    assert ("BTC", "kline", "1m") not in keys(filled.list_series())
    assert len(filled.list_series()) == 9
    assert not filled.kline("BTC", "1m").exists
    with pytest.raises(NotFound):
        filled.get_kline_range("BTC", "1m", None, None)
    assert len(filled.kline("BTC", "5m")) == 3
    with pytest.raises(NotFound, match="BTC/kline/1m is not in the store"):
        filled.drop_series(KEY)


def test_a_series_may_be_registered_anew_after_it_was_dropped(store):
    first = store.register_kline_series("BTC", "1m", MINUTE, price_scale=10)
    first.put(bars(JANUARY, 5))
    old_id = first.settings.series_id
    store.drop_series(KEY)
    second = store.register_kline_series("BTC", "1m", MINUTE, price_scale=1000)
    assert len(second) == 0
    assert second.settings.series_id != old_id
    second.put(bars(JANUARY, 3))
    assert second.settings.scales["price_scale"] == 1000
    assert len(store.kline("BTC", "1m").range()) == 3


def test_an_older_handle_and_a_new_one_see_the_same_series(store):
    older = store.register_kline_series("BTC", "1m", MINUTE)
    older.put(bars(JANUARY, 5))
    store.drop_series(KEY)
    newer = store.register_kline_series("BTC", "1m", MINUTE)
    assert len(older) == len(newer) == 0
    older.put(bars(JANUARY, 3))
    assert len(newer) == len(older) == 3
    newer.put(bars(JANUARY + HOUR, 3))
    assert len(older) == len(newer) == 6


def test_an_older_handle_is_closed_with_its_store(store):
    older = store.register_kline_series("BTC", "1m", MINUTE)
    store.drop_series(KEY)
    store.register_kline_series("BTC", "1m", MINUTE).put(bars())
    store.close()
    with pytest.raises(fastk.StoreClosed):
        older.range()


def test_rows_of_a_dropped_series_stay_readable(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars())
    rows = series.range()
    store.drop_series(KEY)
    assert rows.close.tolist() == bars()["close"].tolist()


def test_another_reader_goes_on_with_what_it_pinned(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(joined(bars(JANUARY, 5), bars(FEBRUARY, 5)))
    with fastk.open(store.root, "r") as reader:
        pinned = reader.kline("BTC", "1m")
        assert len(pinned) == 10
        store.drop_series(KEY)
        assert pinned.range().ts.tolist() == joined(bars(JANUARY, 5), bars(FEBRUARY, 5))["ts"].tolist()
        assert reader.refresh() == 1
        with pytest.raises(NotFound):
            reader.kline("BTC", "1m").range()
        with pytest.raises(NotFound):
            pinned.range()


def test_a_writer_notices_that_its_series_was_replaced(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    series.put(bars())
    with fastk.open(store.root) as other:
        other.drop_series(KEY)
        other.register_kline_series("BTC", "1m", MINUTE)
    with pytest.raises(SnapshotExpired, match="call refresh"):
        series.put(bars(JANUARY + HOUR))
    store.refresh()
    store.kline("BTC", "1m").put(bars(JANUARY + HOUR))
    assert store.kline("BTC", "1m").span[0] == JANUARY + HOUR


def test_dropped_files_are_removed_after_the_grace_period():
    with temporary_store(grace_seconds=0) as store:
        for symbol in ("A", "B", "C"):
            store.register_kline_series(symbol, "1m", MINUTE).put(bars())
            store.drop_series((symbol, "kline", "1m"))
        store.register_kline_series("D", "1m", MINUTE).put(bars())
        assert keys(store.list_series()) == [("D", "kline", "1m")]
    with temporary_folder() as folder:
        with fastk.open(folder) as store:
            store.register_kline_series("A", "1m", MINUTE).put(bars())
            store.drop_series(("A", "kline", "1m"))
            assert list(folder.glob(".fastk.dropped/*/chunks/*.chunk"))
        with fastk.open(folder, grace_seconds=0) as store:
            store.register_kline_series("B", "1m", MINUTE)
            store.drop_series(("B", "kline", "1m"))
            assert not list(folder.glob(".fastk.dropped/*/chunks/*.chunk"))


def test_dropping_needs_the_right_to_write(store):
    store.register_kline_series("BTC", "1m", MINUTE)
    with fastk.open(store.root, "r") as reader, pytest.raises(InvalidInput, match="mode='rw'"):
        reader.drop_series(KEY)
    assert len(store.list_series()) == 1


def test_a_series_of_a_newer_format_is_not_dropped(store):
    """What this version cannot read it must not put aside under a wrong name."""
    store.register_kline_series("BTC", "1m", MINUTE).put(bars())
    (path,) = Path(store.root).rglob("series.meta")
    content = path.read_bytes()
    path.write_bytes(content.replace(content[:8], content[:5] + b"004", 1))
    with pytest.raises(fastk.UnsupportedVersion):
        store.drop_series(KEY)
    path.write_bytes(content)
    store.refresh()
    assert len(store.kline("BTC", "1m")) == len(bars()["ts"])


def test_a_folder_that_cannot_be_listed_has_the_name_that_the_key_has(tmp_path):
    with fastk.open(tmp_path / "store") as store:
        store.register_kline_series("BTC/usdt", "1m", 60_000)
    (folder,) = (tmp_path / "store" / "series").iterdir()
    assert folder.name != "BTC/usdt"
    with fastk.open(tmp_path / "store", "r", disk=UnlistedDisk(folder.name)) as reader:
        for entries in (reader.list_series(), reader.list_series("BTC/usdt"), reader.list_series("*/usdt")):
            assert keys(entries) == [("BTC/usdt", "?", "?")]
