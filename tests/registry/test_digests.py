"""Digests follow what a store holds, whatever files hold it."""

import hashlib
import json

import hypothesis.strategies as st
import numpy as np
import pytest
from builders import DAY, JANUARY, bars, part, temporary_folder
from dataset_stories import fill
from hypothesis import given, settings

import fastk
from fastk.io.disk import Disk
from fastk.registry.digest import combined, digest_store

SCHEMA = fastk.Schema("mixed", [("ts", "i8"), ("x", "f8"), ("flag", "?"), ("tag", "S3"), ("n", "u2")], unique_ts=False)
COUNT = 40
ROWS = {
    "ts": JANUARY + np.arange(COUNT) // 2 * DAY,
    "x": np.where(np.arange(COUNT) % 5, np.arange(COUNT) / 3, np.nan),
    "flag": np.arange(COUNT) % 3 == 0,
    "tag": np.array([b"abc"[: row % 4] for row in range(COUNT)], "S3"),
    "n": np.arange(COUNT).astype("u2"),
}


def digests(root):
    return {series.key: series.digest for series in digest_store(Disk(), str(root))}


def digest_of(rows, borders=(), **options):
    """The digest of rows that were put in parts."""
    with temporary_folder() as folder:
        with fastk.open(folder / "store") as store:
            series = store.register_series(("A", "own", "b"), SCHEMA, **options)
            for start, stop in zip((0, *borders), (*borders, len(rows["ts"])), strict=True):
                if start < stop:
                    series.append(part(rows, start, stop))
        (digest,) = digests(folder / "store").values()
        return digest


@pytest.mark.slow
@settings(max_examples=25)
@given(
    st.lists(st.integers(1, COUNT // 2 - 1).map(lambda each: each * 2), max_size=6, unique=True).map(sorted),
    st.sampled_from(["year", "month", "day"]),
)
def test_the_same_rows_in_other_files_have_the_same_digest(borders, partition):
    assert digest_of(ROWS, borders, partition=partition) == digest_of(ROWS)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("row", [0, COUNT // 2, COUNT - 1])
def test_another_value_has_another_digest(name, row):
    changed = {column: values.copy() for column, values in ROWS.items()}
    changed[name][row] = {"ts": changed["ts"][row] + 1, "x": -0.5, "flag": not changed["flag"][row]}.get(name, 9)
    changed = {column: values[np.argsort(changed["ts"], kind="stable")] for column, values in changed.items()}
    assert digest_of(changed) != digest_of(ROWS)


def test_rows_in_another_order_have_another_digest():
    order = np.arange(COUNT)
    order[:2] = 1, 0  # of one ts
    assert digest_of({name: column[order] for name, column in ROWS.items()}) != digest_of(ROWS)


def test_values_that_stand_in_another_column_have_another_digest(tmp_path):
    found = []
    for names in (("a", "b"), ("b", "a")):
        with temporary_folder() as folder, fastk.open(folder) as store:
            fields = [("ts", "i8"), *((name, "i8") for name in names)]
            series = store.register_series(("A", "own", "b"), fastk.Schema("two", fields))
            series.put({"ts": [1], "a": [2], "b": [3]})
            found.append(digests(folder))
    assert found[0] != found[1]


def test_what_gives_rows_their_meaning_counts(tmp_path):
    def of(key=("A", "kline", "1d"), timeframe=DAY, **options):
        with temporary_folder() as folder, fastk.open(folder) as store:
            store.register_series(key, fastk.KLINE, timeframe_ms=timeframe, **options).put(bars(step=DAY))
            return tuple(digests(folder).values())

    meanings = {
        of(),
        of(key=("B", "kline", "1d")),
        of(timeframe=1),
        of(scales={"price_scale": 100}),
        of(time_unit="us"),
        of(unique_ts=False),
    }
    assert len(meanings) == 6


def test_only_what_is_stored_counts_not_how(tmp_path):
    def of(change):
        with temporary_folder() as folder, fastk.open(folder) as store:
            change(fill(store))
            return digests(folder)

    expected = of(lambda store: None)
    kline = ("BTCUSDT", "kline", "1d")
    assert of(lambda store: store.series(kline).merge()) == expected
    assert of(lambda store: store.series(kline).replace_range(None, None, store.series(kline).range())) == expected
    assert of(lambda store: store.series(kline).delete_range(0, JANUARY)) != expected
    assert of(lambda store: store.drop_series(kline)) == {key: expected[key] for key in expected if key != kline}


def test_a_program_without_fastk_can_compute_it(tmp_path):
    """The specification in docs/versions.md, written out."""
    with fastk.open(tmp_path) as store:
        series = store.register_kline_series("BTCUSDT", "1d", DAY, 100, 1)
        rows = bars(JANUARY, 5, DAY)
        series.put(part(rows, 0, 2))
        series.put(part(rows, 2, 5))
    head = {
        "symbol": "BTCUSDT",
        "category": "kline",
        "name": "1d",
        "record_type": "kline",
        "record_type_code": 1,
        "fields": [
            ["ts", "<i8", None],
            *([name, "<i8", "price_scale"] for name in ("open", "high", "low", "close")),
            ["volume", "<i8", "volume_scale"],
        ],
        "unique_ts": True,
        "sequence_field": None,
        "timeframe_ms": DAY,
        "time_unit": "ms",
        "scales": {"price_scale": 100, "volume_scale": 1},
        "rows": 5,
    }
    parts = [json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()]
    parts += [rows[name].astype("<i8").tobytes() for name in ("ts", "open", "high", "low", "close", "volume")]
    series_digest = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in parts))
    (found,) = digest_store(Disk(), str(tmp_path))
    assert found.digest == "sha256:" + series_digest.hexdigest()
    assert combined([found]) == "sha256:" + hashlib.sha256(series_digest.digest()).hexdigest()


def test_more_chunks_than_stay_mapped_and_more_series_than_threads(store, monkeypatch):
    monkeypatch.setattr("fastk.registry.digest._MAPS", 2)
    for number in range(12):
        series = store.register_series((f"S{number:02}", "kline", "1d"), fastk.KLINE, partition="day")
        series.put(bars(count=7, step=DAY))
    found = digest_store(Disk(), store.root)
    assert [series.symbol for series in found] == [f"S{number:02}" for number in range(12)]
    assert len({series.digest for series in found}) == 12
