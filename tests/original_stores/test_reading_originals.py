"""A store of the original is read like any other: every way of reading gives its rows, and no way changes a byte."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from builders import DAY, FEBRUARY, FIXED_FIXTURES, HOUR, JANUARY, MINUTE, contents, use_kernels
from hypothesis import given
from hypothesis import strategies as st
from original_calls import (
    BBO,
    BOOK,
    GOLDEN,
    KLINE,
    SCALAR,
    TRADE,
    assert_holds,
    bars,
    expected_rows,
    fill,
    rows_of,
    trades,
    values,
)
from support.original import OriginalSeries

import fastk
from fastk import Eq, FastKStore, Gt, InSet, InvalidInput, Ne, NotFound, SnapshotExpired, UnsupportedVersion
from fastk.bridge import main as bridge
from fastk.cli import admin


def test_every_record_type_holds_its_rows(folder):
    rows = fill(folder / "old")
    with FastKStore.open(folder / "old", "r") as store:
        for key, expected in rows.items():
            assert_holds(store.series(key), expected)


@pytest.mark.parametrize("verify", ["touch", "open", "never"])
@pytest.mark.parametrize("max_maps", [1, None])
def test_however_it_is_opened(folder, verify, max_maps):
    rows = fill(folder / "old")
    with FastKStore.open(folder / "old", "r", verify=verify, max_maps=max_maps) as store:
        for key, expected in rows.items():
            assert_holds(store.series(key), expected)


def test_version_1_chunks_and_their_json_manifest(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 300), version=1)
    series.put(bars(FEBRUARY, 20), version=1)
    series.save()
    series.save_manifest(series.json_manifest())
    with FastKStore.open(folder, "r") as store:
        assert_holds(store.series(KLINE), rows_of(series))
        settings = store.series(KLINE).settings
        assert dict(settings.scales) == {"price_scale": 100, "volume_scale": 1_000}
        assert settings.timeframe_ms == MINUTE


def test_a_store_of_json_manifests_only_is_known_for_what_it_is(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 3), version=1)
    series.save()
    series.save_manifest(series.json_manifest())
    with pytest.raises(UnsupportedVersion, match="fastk migrate"):
        fastk.open(folder)


def test_columns_are_views_of_the_rows_on_disk(old):
    rows = old.series(KLINE).range(JANUARY, JANUARY + HOUR)
    close = rows.close
    assert close.strides == (48,)
    assert not close.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        close.flags.writeable = True
    assert old.series(TRADE).range(JANUARY, JANUARY + 1_000).side.strides == (48,)


@pytest.mark.slow
@FIXED_FIXTURES
@given(start=st.integers(-10, 4_000), length=st.integers(0, 4_000))
def test_any_range_is_that_of_the_rows(old, start, length):
    low = JANUARY + start * MINUTE
    high = low + length * MINUTE
    expected = [
        row
        for row in [*bars(JANUARY, 300), *bars(JANUARY + DAY, 200), *bars(JANUARY + 2 * DAY, 1)]
        if low <= row[0] <= high
    ]
    found = old.series(KLINE).range(low, min(high, FEBRUARY - 1))
    assert [tuple(row) for row in found] == expected


def test_equal_times_are_all_found(old):
    expected = [row for row in trades(JANUARY, 300) if row[0] == JANUARY + 5_000]
    assert len(expected) == 3
    series = old.series(TRADE)
    assert [tuple(row) for row in series.range(JANUARY + 5_000, JANUARY + 5_000)] == expected
    assert tuple(series.at(JANUARY + 5_000)) == expected[0]
    assert series.at(JANUARY + 5_001) is None


@pytest.mark.parametrize("name", ["plain", pytest.param("compiled", marks=pytest.mark.slow)])
def test_batches_queries_replays_and_matrices(old, name, monkeypatch):
    use_kernels(monkeypatch, name)
    rows = [*values(JANUARY, 700), *values(FEBRUARY, 3_000)]
    series = old.series(SCALAR)
    ts = np.array([row[0] for row in rows])
    asked = np.array([ts[3], ts[3] + 1, ts[-1], ts[701], ts[0]])
    found, hits = series.at_many(asked)
    assert hits.tolist() == [True, False, True, True, True]
    assert found.value.tolist() == [rows[3][1], rows[-1][1], rows[701][1], rows[0][1]]
    pairs = series.ranges(ts[[5, 690]], ts[[9, 710]])
    assert [tuple(row) for row in pairs[1]] == rows[690:711]
    for condition, wanted in (
        (Eq(7), lambda value: value == 7),
        (Gt(48), lambda value: value > 48),
        (InSet([1, 2, 99]), lambda value: value in (1, 2)),
        (Ne(7), lambda value: value != 7),
    ):
        expected = [row for row in rows if wanted(row[1]) and row[0] >= ts[10]]
        for plan in ("auto", "scan", "zones", "index"):
            result = series.where("value", condition, int(ts[10]), None, plan=plan)
            assert [tuple(row) for row in result.rows] == expected
    assert [tuple(row) for batch in series.replay(batch_rows=77) for row in batch] == rows
    assert old.series(TRADE).scan_sequence().scanned_record_count == 900
    assert old.series(KLINE).where("close", Gt(105)).rows.close.tolist() == [
        row[4] for row in bars(JANUARY, 300) + bars(JANUARY + DAY, 200) + bars(FEBRUARY, 150) if row[4] > 105
    ]
    matrix = old.feature_matrix(series=[SCALAR], start=JANUARY, end=JANUARY + HOUR, dtype="int64", fill=0)
    assert matrix.values[:, 0].tolist() == [row[1] for row in rows[:61]]
    merged = fastk.merged_replay([old.series(SCALAR), old.series(TRADE), old.series(BOOK)])
    assert sum(len(batch) for batch in merged) == 3_700 + 900 + 520


def test_listings_and_inventories(old):
    entries = {(each.symbol, each.category, each.name): each for each in old.list_series()}
    assert set(entries) == {KLINE, SCALAR, TRADE, BBO, BOOK}
    assert entries[KLINE].active_delta_count == 3
    assert entries[SCALAR].sidecar_count == 4
    assert old.store_stats().record_count == 651 + 3_700 + 900 + 130 + 520
    months = old.series(KLINE).month_inventory()
    assert [(each.month_key, each.record_count, each.chunk_count) for each in months] == [
        ("2024-01", 501, 3),
        ("2024-02", 150, 1),
    ]
    last = old.series(KLINE).chunk_inventory()[-1]
    assert (last.chunk_id, last.generation, last.relative_path) == (4, 3, "chunks/2024-02.g00000003.chunk")
    assert old.series(BOOK).settings.partition == "day"
    assert old.scalar_query_capabilities(fastk.feature_series_key("BTCUSDT", "1m", "rsi_14")).has_vix


def test_keys_that_the_original_takes_as_folder_names(folder):
    odd = [("btc/usdt", "kline", "1M"), ("BTC USDT", "kline", "1m"), ("A", "my cat", "x/y@@z")]
    for key in odd:
        series = OriginalSeries(folder, "scalar", key, price_scale=1, volume_scale=1)
        series.folder = folder / "series" / "/".join(key)
        series.put(values(JANUARY, 5))
        series.save()
    with FastKStore.open(folder, "r") as store:
        assert [(each.symbol, each.category, each.name) for each in store.list_series()] == sorted(odd)
        for key in odd:
            assert_holds(store.series(key), values(JANUARY, 5))


@pytest.mark.parametrize("symbol", ["..", "../../x", ".", "a//b", "a\\..\\b"])
def test_no_key_leads_out_of_the_store(old, symbol):
    with pytest.raises(InvalidInput, match="no plain folder name"):
        old.series((symbol, "kline", "1m")).range()


def test_a_missing_series_is_not_found(old):
    assert not old.series(("ETH", "kline", "1m")).exists
    with pytest.raises(NotFound):
        old.series(("ETH", "kline", "1m")).range()


def test_nothing_changes_it(root):
    before = contents(root)
    with pytest.raises(UnsupportedVersion, match="fastk migrate"):
        fastk.open(root)
    with FastKStore.open(root, "r") as store:
        series = store.series(KLINE)
        for change in (
            store.init,
            store.gc,
            lambda: store.gc(dry_run=True),
            lambda: store.drop_series(KLINE),
            lambda: store.register_trade_series("A", "b"),
            lambda: series.put(bars(FEBRUARY + DAY, 1)),
            lambda: series.delete_range(),
            lambda: series.merge(),
            lambda: store.batch().__enter__(),
            lambda: store.snapshot("id", "1", root.parent),
        ):
            with pytest.raises(InvalidInput, match="fastk migrate"):
                change()
        for look in (store.validate_store, store.scrub_store, store.repair_store_dry_run, store.health_summary):
            with pytest.raises(UnsupportedVersion, match="fastk migrate"):
                look()
        assert series.verify().chunks == 4
    assert contents(root) == before


def test_a_later_state_is_seen_after_a_refresh(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 10))
    series.save()
    with FastKStore.open(folder, "r") as store:
        handle = store.series(KLINE)
        rows = handle.range()
        series.put(bars(JANUARY + DAY, 5))
        series.save()
        assert len(handle) == 10
        assert handle.refresh()
        assert not handle.refresh()
        assert_holds(handle, bars(JANUARY, 10) + bars(JANUARY + DAY, 5))
        assert len(rows) == 10


def test_a_chunk_that_was_merged_away_is_an_expired_snapshot(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 10))
    series.put(bars(JANUARY + DAY, 5))
    series.save()
    with FastKStore.open(folder, "r") as store:
        handle = store.series(KLINE)
        assert len(handle) == 15
        gone, series.chunks = series.chunks, []
        series.put([row for chunk in gone for row in chunk.rows], file="2024-01.g00000003.chunk", generation=3)
        series.save()
        for chunk in gone:
            (series.folder / "chunks" / chunk.file).unlink()
        with pytest.raises(SnapshotExpired, match="refresh"):
            handle.range().column("open")
        handle.refresh()
        assert_holds(handle, bars(JANUARY, 10) + bars(JANUARY + DAY, 5))


@pytest.mark.slow
def test_a_plain_read_loads_no_compiled_kernels(root):
    code = (
        "import sys, fastk; store = fastk.open(sys.argv[1], 'r'); "
        "print(len(store.kline('BTCUSDT', '1m').range().close), 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["651", "False"]


# The bridge and the admin tool


@pytest.fixture(autouse=True)
def _kept_environment(monkeypatch):
    """The bridge asks for no kernels, for the whole process."""
    monkeypatch.setenv("FASTK_KERNELS", os.environ.get("FASTK_KERNELS", "lazy"))


def ask(capfd, *arguments):
    status = bridge.main(arguments)
    out, err = capfd.readouterr()
    return status, json.loads(out) if out else err


def test_the_bridge_reads_and_refuses_to_write(root, capfd):
    series = ("--root", str(root), "--symbol", "BTCUSDT", "--timeframe", "1m")
    status, answer = ask(
        capfd, "read-kline-range", *series, "--start-ts", str(JANUARY), "--end-ts", str(JANUARY + HOUR)
    )
    assert status == 0
    names = ("ts", "open", "high", "low", "close", "volume")
    assert answer["records"] == [dict(zip(names, row, strict=True)) for row in bars(JANUARY, 61)]
    assert (answer["price_scale"], answer["volume_scale"]) == (100, 1_000)
    assert ask(capfd, "kline-inventory", *series)[1]["record_count"] == 651
    named = (*series, "--category", "feature", "--name", "rsi_14")
    window = ("--start-ts", str(JANUARY), "--end-ts", str(FEBRUARY))
    assert ask(capfd, "read-scalar-range", *named, *window)[1]["total_record_count"] == 3_700
    assert ask(capfd, "scalar-inventory", *named)[1]["capabilities"] == {
        "raw_scan": True,
        "has_zmap": True,
        "has_vix": True,
    }
    query = ("--predicate", "eq", "--value", "7", "--return-values")
    matches = ask(capfd, "query-scalar-predicate", *named, *window, *query)[1]["matches"]
    assert matches == [{"ts": ts, "value": value} for ts, value in values(JANUARY, 700) if value == 7]
    before = contents(root)
    payload = root.parent / "payload.json"
    records = [dict(zip(names, bars(FEBRUARY + DAY, 1)[0], strict=True))]
    document = {"timeframe_ms": MINUTE, "price_scale": 100, "volume_scale": 1_000, "records": records}
    payload.write_text(json.dumps(document))
    status, message = ask(capfd, "write-kline-range", *series, "--input-json", str(payload))
    assert status == 1
    assert "fastk migrate" in message
    assert contents(root) == before


def test_the_admin_tool_lists_and_leaves_damage_to_the_original(root, capfd):
    assert admin.main(["list-series", "--root", str(root)]) == 0
    assert len(json.loads(capfd.readouterr().out)) == 5
    assert admin.main(["validate", "--root", str(root)]) == 1
    assert "fastk migrate" in capfd.readouterr().err


# The original's own store


def test_the_store_that_the_original_wrote(golden):
    with FastKStore.open(golden / "store", "r") as store:
        assert len(store.list_series()) == len(GOLDEN)
        for key, file in GOLDEN.items():
            assert_holds(store.series(key), expected_rows(golden, file))
            assert store.series(key).verify().chunks == len(store.series(key).chunk_inventory())


@pytest.mark.parametrize("plan", ["auto", "scan", "zones", "index"])
def test_queries_of_the_store_that_the_original_wrote(golden, plan):
    key = ("BTCPERP", "indicator", "1m@@mid")
    rows = expected_rows(golden, GOLDEN[key])
    chosen = random.Random(5).choice(rows)[1]
    with FastKStore.open(golden / "store", "r") as store:
        for condition, wanted in ((Eq(chosen), chosen.__eq__), (Gt(chosen), chosen.__lt__)):
            found = store.series(key).where("value", condition, plan=plan).rows
            assert [tuple(row) for row in found] == [row for row in rows if wanted(row[1])]
