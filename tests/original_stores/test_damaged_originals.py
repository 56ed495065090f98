"""Damage in a store of the original is an error that says where: no wrong row is handed out, and nothing crashes."""

import json
import os
import shutil
from contextlib import suppress

import pytest
from builders import DAY, FEBRUARY, FIXED_FIXTURES, HOUR, JANUARY, MINUTE, temporary_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from original_calls import KLINE, SCALAR, TRADE, assert_holds, bars, fill, rows_of, trades, values
from support.original import REPLACED, OriginalSeries, fnv1a, value_index, zone_map

from fastk import Between, Eq, FastKError, FastKStore, Gt, InvalidData, UnsupportedVersion


def open_series(root, key=KLINE):
    return FastKStore.open(root, "r").series(key)


def one_series(folder, record_type="kline", key=KLINE, rows=None, **options):
    series = OriginalSeries(folder, record_type, key)
    series.put(rows or bars(JANUARY, 200), **options)
    return series.save()


def change(path, offset, xor=1):
    data = bytearray(path.read_bytes())
    data[offset] ^= xor
    path.write_bytes(data)


# What a reader is told


def test_a_flipped_bit_of_a_row_is_named_with_its_chunk_and_the_others_stay(root):
    chunk = root / "series/BTCUSDT/kline/1m/chunks/2024-01.chunk"
    change(chunk, 128 + 48 * 10 + 8)
    with FastKStore.open(root, "r") as store:
        series = store.series(KLINE)
        rows = series.range()
        for take in (lambda: rows.close, lambda: series.at(JANUARY), lambda: series.range(JANUARY, JANUARY)):
            with pytest.raises(InvalidData, match=r"2024-01\.chunk: all 300 rows .* checksum"):
                take()
        assert series.range(FEBRUARY).close.tolist() == [row[4] for row in bars(FEBRUARY, 150)]
        assert len(store.series(TRADE).range().price) == 900
        with pytest.raises(InvalidData):
            series.verify()


def test_a_truncated_chunk(root):
    chunk = root / "series/BTCUSDT/kline/1m/chunks/2024-01.chunk"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    with pytest.raises(InvalidData, match="truncated"):
        open_series(root).range().column("open")


def test_a_missing_chunk(root):
    (root / "series/BTCUSDT/kline/1m/chunks/2024-01.chunk").unlink()
    with pytest.raises(InvalidData, match="missing, though the manifest names it"):
        open_series(root).range().column("open")


def test_a_chunk_of_another_series_in_its_place(root):
    other = one_series(root, key=("ETH", "kline", "1m"), rows=bars(JANUARY, 300))
    shutil.copy(other.folder / "chunks/2024-01.chunk", root / "series/BTCUSDT/kline/1m/chunks/2024-01.chunk")
    with pytest.raises(InvalidData, match="checksum"):
        open_series(root).range().column("open")


def test_rows_out_of_order_without_a_checksum(folder):
    rows = bars(JANUARY, 10)
    series = one_series(folder, rows=[*rows[:4], rows[5], rows[4], *rows[6:]], version=1)
    series.save_manifest(series.json_manifest())
    with pytest.raises(InvalidData, match=r"row 5 .* is not later than the one before"):
        open_series(folder).range().column("open")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"count": 9}, "number of rows"),
        ({"start_ts": JANUARY + 1}, "first ts"),
        ({"end_ts": JANUARY + HOUR}, "last ts"),
        ({"file_name": "../../other.chunk"}, "none in chunks/"),
    ],
)
def test_a_json_manifest_that_says_otherwise_than_its_chunk(folder, change, problem):
    series = one_series(folder, rows=bars(JANUARY, 10), version=1)
    manifest = json.loads(series.json_manifest())
    manifest["chunks"][0] |= change
    series.save_manifest(json.dumps(manifest).encode())
    with pytest.raises(InvalidData, match=problem):
        open_series(folder).range().column("open")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"series_id": 5}, "series in its header"),
        ({"record_size": 40}, "have not 40 bytes"),
        ({"schema_id": 2}, "schema 2 is unknown"),
        ({"chunk_unit": "rows"}, "no chunks in 'rows'"),
        ({"price_scale": 0}, "price_scale must be"),
        ({"timeframe_ms": -1}, "timeframe_ms must be"),
        ({"symbol": "ETH"}, "is the manifest of ETH/kline/1m"),
        ({"chunks": 7}, "no sound manifest"),
        ({"series_id": 2**64}, "no sound manifest"),
    ],
)
def test_a_json_manifest_that_cannot_be(folder, change, problem):
    series = one_series(folder, rows=bars(JANUARY, 10), version=1)
    series.save_manifest(json.dumps(json.loads(series.json_manifest()) | change).encode())
    with pytest.raises(InvalidData, match=problem):
        open_series(folder).range().column("open")


def test_manifests_of_other_versions(folder):
    series = one_series(folder)
    other = one_series(folder, key=("ETH", "kline", "1m"))
    for data in (b"FKMETA03" + series.manifest()[8:], series.manifest()[:8] + b"\3" + series.manifest()[9:]):
        series.save_manifest(data)
        with pytest.raises(UnsupportedVersion, match="of version"):
            open_series(folder).range()
        assert len(open_series(folder, other.key).range().open) == 200


def test_a_lost_manifest_is_said_and_hides_nothing_else(root):
    (root / "series/BTCUSDT/kline/1m/series.meta").unlink()
    with FastKStore.open(root, "r") as store:
        problems = {each.category: each.problem for each in store.list_series()}
        assert "rebuild-manifest" in problems["kline"]
        assert problems["trade"] is None


def test_a_symbolic_link_is_not_followed(root, folder):
    chunks = root / "series/BTCUSDT/kline/1m/chunks"
    os.rename(chunks, folder / "elsewhere")
    os.symlink(folder / "elsewhere", chunks)
    with pytest.raises(InvalidData, match="symbolic link"):
        open_series(root).range()


# Chunks that claim the same time


def test_the_highest_generation_that_covers_all_wins(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 50))
    series.put(bars(JANUARY + 50 * MINUTE, 50))
    merged = [(ts, *(value + 1 for value in rest)) for ts, *rest in bars(JANUARY, 100)]
    series.put(merged, file="2024-01.g00000003.chunk", generation=3)
    series.put(bars(FEBRUARY, 5))
    series.save()
    assert_holds(open_series(folder), merged + bars(FEBRUARY, 5))


def test_of_two_that_cover_all_the_later_one_wins(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    later = [(ts, *(value + 1 for value in rest)) for ts, *rest in bars(JANUARY, 50)]
    series.put(later, file="2024-01.g00000002.chunk", generation=2)
    series.put(bars(JANUARY, 50), file="2024-01.chunk", generation=1)
    series.save()
    assert_holds(open_series(folder), later)


def test_where_none_covers_all_there_is_no_winner(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 50))
    series.put(bars(JANUARY + 20 * MINUTE, 50))
    series.save()
    with pytest.raises(InvalidData, match="claim the same time"):
        open_series(folder).range()


def test_replaced_chunks_do_not_count(folder):
    series = OriginalSeries(folder, "kline", KLINE)
    series.put(bars(JANUARY, 50), state=REPLACED)
    series.put(bars(JANUARY, 20), file="2024-01.g00000002.chunk", generation=2)
    series.save()
    assert_holds(open_series(folder), bars(JANUARY, 20))


def test_trades_may_go_on_at_the_last_ts(folder):
    series = OriginalSeries(folder, "trade", TRADE)
    series.put(trades(JANUARY, 7))
    series.put(trades(JANUARY + 2_000, 7))
    series.save()
    assert_holds(open_series(folder, TRADE), rows_of(series))


# Sidecars


def shuffled(index):
    """The sound entries of a value index, not in order."""
    entries = [index[place : place + 16] for place in range(0, len(index), 16)]
    return b"".join(entries[::2] + entries[1::2])


def damaged_sidecars(series):
    """Sidecars as they should not be: a false answer each, were they believed."""
    rows = series.chunks[0].rows
    lying = [(ts, value % 3) for ts, value in rows]
    zones, index = zone_map(lying), value_index(lying)
    yield "zmap", b"", "another checksum"
    yield "zmap", zones.data, "another checksum"
    yield "vix", b"", "another checksum"
    yield "vix", index.data, "another checksum"
    yield "zmap", b"", "adopted"
    yield "zmap", zones.data, "adopted"
    yield "vix", b"", "adopted"
    yield "vix", index.data, "adopted"
    yield "vix", index.data, "its own checksum"
    yield "vix", shuffled(series.chunks[0].sidecars[1].data), "its own checksum"
    yield "zmap", zones.data[:40], "its own checksum"
    yield "zmap", zones.data + zones.data[-40:], "its own checksum"


@pytest.mark.parametrize("case", range(12))
def test_no_sidecar_makes_a_wrong_answer(folder, case):
    rows = values(JANUARY, 1_000)
    series = one_series(folder, "scalar", SCALAR, rows, sidecars=True)
    kind, data, how = list(damaged_sidecars(series))[case]
    found = next(each for each in series.chunks[0].sidecars if each.kind == kind)
    if how == "another checksum":
        series.save_manifest(series.manifest())
        found.data = data
        (series.folder / f"chunks/2024-01.chunk.{kind}").write_bytes(data)
    else:
        found.data, found.generation = data, 0 if how == "adopted" else None
        series.save()
    conditions = {Eq(33): range(33, 34), Gt(40): range(41, 100), Between(-50, -45): range(-50, -44)}
    for condition, wanted in conditions.items():
        for plan in ("auto", "zones", "index"):
            result = open_series(folder, SCALAR).where("value", condition, plan=plan).rows
            assert [tuple(row) for row in result] == [row for row in rows if row[1] in wanted]


def test_sound_sidecars_are_used(root):
    series = open_series(root, SCALAR)
    assert series.where("value", Gt(10**6)).stats.rows_checked == 0
    assert series.where("value", Eq(7), plan="index").stats.index_used.value.endswith("ValueIndex")
    assert [entry.last_row for entry in series.zone_map("value")][:3] == [255, 511, 699]
    assert next(iter(series.value_index("value"))).value == -50


def test_missing_sidecars_are_not_missed(root):
    rows = [*values(JANUARY, 700), *values(FEBRUARY, 3_000)]
    for path in (root / "series/BTCUSDT/feature").rglob("*.chunk.*"):
        path.unlink()
    found = open_series(root, SCALAR).where("value", Eq(7)).rows
    assert [tuple(row) for row in found] == [row for row in rows if row[1] == 7]


# Any damage at all


def read_all(root):
    """Every row that can be read, by key; errors of the library are answers as well."""
    found = {}
    with suppress(FastKError), FastKStore.open(root, "r") as store:
        for entry in store.list_series():
            key = entry.symbol, entry.category, entry.name
            with suppress(FastKError):
                found[key] = [tuple(row) for row in store.series(key).range()]
            if key == SCALAR and key in found:
                matches = store.series(key).where("value", Eq(7)).rows
                assert [tuple(row) for row in matches] == [row for row in found[key] if row[1] == 7]
    return found


@pytest.fixture(scope="module")
def sound():
    with temporary_folder() as folder:
        yield folder / "old", fill(folder / "old")


def files_of(root):
    return sorted(path for path in root.rglob("*") if path.is_file())


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=80)
@given(data=st.data())
def test_a_flipped_byte_anywhere_gives_no_wrong_row(sound, data):
    root, rows = sound
    path = data.draw(st.sampled_from(files_of(root)))
    before = path.read_bytes()
    offset, xor = data.draw(st.integers(0, len(before) - 1)), data.draw(st.integers(1, 255))
    try:
        change(path, offset, xor)
        found = read_all(root)
    finally:
        path.write_bytes(before)
    for key, values_found in found.items():
        assert values_found == rows[key]


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=80)
@given(data=st.data())
def test_manifests_that_lie_under_a_right_checksum_crash_nothing(sound, data):
    root, _ = sound
    path = data.draw(st.sampled_from([path for path in files_of(root) if path.name == "series.meta"]))
    before = path.read_bytes()
    body = bytearray(before[24:])
    for _ in range(data.draw(st.integers(1, 3))):
        offset = data.draw(st.integers(0, len(body) - 1))
        body[offset : offset + 1] = data.draw(st.binary(max_size=9))
        body = body or bytearray(1)
    try:
        path.write_bytes(before[:16] + fnv1a(bytes(body)).to_bytes(8, "little") + body)
        read_all(root)
    finally:
        path.write_bytes(before)


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=60)
@given(data=st.data())
def test_a_truncated_or_extended_file_gives_no_wrong_row(sound, data):
    root, rows = sound
    path = data.draw(st.sampled_from(files_of(root)))
    before = path.read_bytes()
    try:
        path.write_bytes(data.draw(st.sampled_from([before[: data.draw(st.integers(0, len(before)))], before + b"\0"])))
        found = read_all(root)
    finally:
        path.write_bytes(before)
    for key, values_found in found.items():
        assert values_found == rows[key]


@pytest.mark.slow
@settings(FIXED_FIXTURES, max_examples=60)
@given(offset=st.integers(0, 10_000), xor=st.integers(1, 255), cut=st.booleans())
def test_damage_of_the_oldest_stores_crashes_nothing(offset, xor, cut):
    """They have no checksums, so that a changed price is a price; times and numbers of rows are compared."""
    with temporary_folder() as folder:
        series = one_series(folder, rows=bars(JANUARY, 20), version=1)
        series.save_manifest(series.json_manifest())
        paths = files_of(folder)
        path = paths[offset % 2]
        if cut:
            path.write_bytes(path.read_bytes()[: offset % path.stat().st_size])
        else:
            change(path, offset % path.stat().st_size, xor)
        for rows in read_all(folder).values():
            assert [row[0] for row in rows] == sorted({row[0] for row in rows})


def test_an_extended_day_is_in_the_time_of_its_first_row(folder):
    """The original's repairs forget custom partitions: what was written in days then is said to be in hours."""
    series = OriginalSeries(folder, "trade", TRADE, unit="hour")
    series.put([row for day in (0, 5) for row in trades(JANUARY + day * HOUR, 10)], file="2024-01-01.chunk")
    series.chunks[0].partition = "2024-01"
    series.save()
    assert_holds(open_series(folder, TRADE), rows_of(series))
    assert len(open_series(folder, TRADE).range(JANUARY + DAY).ts) == 0
