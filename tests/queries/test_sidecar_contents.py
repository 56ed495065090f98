"""What zone maps and value indexes hold, what inventories and capabilities say of them, and where they go at last."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from builders import DAY, FEBRUARY, JANUARY, MARCH, MINUTE, bars, contents, temporary_store
from hypothesis import given, settings
from hypothesis import strategies as st
from query_calls import KEY, columns_of, reopened, values_schema

import fastk
from fastk import Between, Eq, Gt, InvalidInput, NotFound, ScalarQueryCapabilities, ValueIndexEntry, ZoneMapEntry
from fastk.engine.files import SeriesFiles
from fastk.format import tables
from fastk.query.stats import ScalarIndexKind

NAN = math.nan
COARSE_ROWS = 4_096


def same(found, expected):
    """Equal records of numbers, NaN equal to itself."""
    return repr(list(found)) == repr(list(expected))


def zones_of(ts, values, size):
    """Zone map entries of one chunk."""
    for first in range(0, len(ts), size):
        rows = values[first : first + size]
        numbers = rows[rows == rows]
        least, greatest = (numbers.min(), numbers.max()) if numbers.size else (np.float64(NAN),) * 2
        last = first + len(rows) - 1
        yield ZoneMapEntry(first, last, int(ts[first]), int(ts[last]), least.item(), greatest.item())


@settings(max_examples=25)
@given(
    values=st.lists(st.sampled_from([NAN, -1.5, 0.0, 2.0, math.inf]), min_size=1, max_size=40),
    cut=st.integers(0, 40),
    zone_rows=st.integers(1, 12),
)
def test_each_block_and_each_value_stands_there_once(values, cut, zone_rows):
    values, ts = np.array(values), np.arange(len(values)) // 2
    pieces = [rows for rows in (slice(0, cut), slice(cut, None)) if len(values[rows])]
    with temporary_store() as store:
        series = store.register_series(KEY, values_schema("f8"))
        columns = {name: np.asarray(column) for name, column in columns_of(ts, values).items()}
        for rows in pieces:
            series.append({name: column[rows] for name, column in columns.items()}, zone_rows=zone_rows)
        zones = [zones_of(ts[rows], values[rows], zone_rows) for rows in pieces]
        assert same(series.zone_map("value"), itertools.chain(*zones))
        pairs = [zip(values[rows].tolist(), ts[rows].tolist(), strict=True) for rows in pieces]
        indexes = [sorted(pair for pair in each if pair[0] == pair[0]) for each in pairs]
        assert list(series.value_index("value")) == [ValueIndexEntry(*pair) for each in indexes for pair in each]


@pytest.mark.parametrize("zone_rows", [1, 7, 256, 4_095, 4_096, 4_097, 1 << 20])
def test_zones_are_as_fine_as_asked_but_never_coarser_than_those_of_the_chunk(store, zone_rows):
    series = store.register_series(KEY, values_schema())
    values = np.random.default_rng(2).integers(-99, 99, 5_000)
    series.put(columns_of(np.arange(5_000), values), zone_rows=zone_rows)
    assert same(series.zone_map("value"), zones_of(np.arange(5_000), values, min(zone_rows, COARSE_ROWS)))
    assert same(series.zone_map("plain"), zones_of(np.arange(5_000), values, COARSE_ROWS))


def test_columns_without_sidecars_have_the_zones_of_the_chunk_and_no_index(klines):
    klines.put(bars(count=10))
    assert same(
        klines.zone_map("ts"), [ZoneMapEntry(0, 9, JANUARY, JANUARY + 9 * MINUTE, JANUARY, JANUARY + 9 * MINUTE)]
    )
    assert [(zone.min, zone.max) for zone in klines.zone_map("low")] == [(997, 1_087)]
    assert list(klines.value_index("low")) == []


def test_text_has_neither(store):
    series = store.register_series(KEY, values_schema())
    series.put(columns_of([1], [1]))
    assert list(series.zone_map("text")) == list(series.value_index("text")) == []
    assert series.query_capabilities("text") == ScalarQueryCapabilities(False, False, False)


@pytest.mark.parametrize("zone_rows", [0, -1, (1 << 20) + 1, 1.0, True, "256", None])
def test_blocks_of_no_or_too_many_rows_are_refused(klines, refuse, zone_rows):
    message = refuse(klines, bars(), match="zone_rows", zone_rows=zone_rows)
    assert repr(zone_rows) in message


class TestInventories:
    @pytest.fixture
    def series(self, store):
        """Scalars of three months, one of them in two chunks."""
        key = fastk.feature_series_key("BTC", "1m", "rsi")
        series = store.register_scalar_series(key, MINUTE)
        for start in (JANUARY, JANUARY + DAY, FEBRUARY, MARCH):
            store.put_scalar_chunk(key, MINUTE, {"ts": [start], "value": [5]}, 256)
        return series

    def test_count_the_sidecars_of_each_chunk(self, store, series):
        assert [chunk.sidecar_count for chunk in series.chunk_inventory()] == [2, 2, 2, 2]
        assert [month.sidecar_count for month in series.month_inventory()] == [4, 2, 2]
        assert [entry.sidecar_count for entry in store.list_series()] == [8]
        assert store.store_stats().sidecar_count == 8
        assert len(sidecar_files(store)) == 8

    def test_count_what_the_schema_asks_for(self, store):
        for zone_maps, value_indexes in itertools.product([[], ["close"], ["close", "volume"]], repeat=2):
            name = f"{len(zone_maps)}{len(value_indexes)}"
            series = store.register_kline_series(name, "1m", MINUTE, zone_maps=zone_maps, value_indexes=value_indexes)
            series.put(bars())
            (chunk,) = series.chunk_inventory()
            assert chunk.sidecar_count == bool(zone_maps) + bool(value_indexes)

    def test_a_put_without_rows_writes_none(self, store, series):
        before = contents(store.root)
        series.put({"ts": [], "value": []})
        assert contents(store.root) == before


class TestCapabilities:
    def test_are_those_of_the_chunks(self, store):
        series = store.register_kline_series(
            "BTC", "1m", MINUTE, zone_maps=["close"], value_indexes=["close", "volume"]
        )
        assert series.query_capabilities("close") == ScalarQueryCapabilities(True, False, False)  # no chunk, no sidecar
        series.put(bars())
        found = {name: series.query_capabilities(name) for name in ("close", "volume", "low", "ts")}
        assert found == {
            "close": ScalarQueryCapabilities(True, True, True),
            "volume": ScalarQueryCapabilities(True, False, True),
            "low": ScalarQueryCapabilities(True, False, False),
            "ts": ScalarQueryCapabilities(True, False, False),
        }

    def test_need_a_series_and_a_column(self, store, klines):
        with pytest.raises(InvalidInput, match="'price' is no column of kline"):
            klines.query_capabilities("price")
        with pytest.raises(NotFound, match="ETH/kline/1m"):
            store.kline("ETH", "1m").query_capabilities("close")


def sidecar_files(store):
    return [path for path in Path(store.root).rglob("*.chunk.*") if path.suffix in (".zmap", ".vix")]


class TestTheEnd:
    """Sidecars go where their chunks go."""

    @pytest.fixture
    def series(self, store):
        series = store.register_series(KEY, values_schema())
        series.put(columns_of(np.arange(100), np.arange(100)))
        return series

    def test_retired_chunks_take_theirs_along(self, store, series):
        (item,) = series._reader.snapshot.table
        retired = np.zeros(1, tables.RETIRED)
        for name, value in (("identity", item["chunk_id"]), ("kind", item["kind"]), ("partition", item["partition"])):
            retired[name] = value
        files = SeriesFiles(store.root, series.key).retired(retired[0], series.schema.partition)
        on_disk = [str(path) for path in Path(store.root).rglob("*.chunk*")]
        assert len(on_disk) == 3
        assert sorted(files) == sorted(on_disk)

    def test_a_dropped_series_keeps_them_for_those_who_still_read_it(self, store, series):
        with reopened(store) as reader:
            assert len(reader) == 100
            store.drop_series(KEY)
            found = reader.where("value", Eq(42), plan="index")
            assert found.stats.index_used is ScalarIndexKind.VALUE_INDEX
            assert found.rows.number.tolist() == [42]

    def test_a_new_series_of_the_name_does_not_lend_its_own(self, store, series):
        """The chunk is mapped already; beside its old name lie sidecars of another one by now."""
        with reopened(store) as reader:
            assert len(reader.where("value", Gt(49), plan="scan")) == 50
            store.drop_series(KEY)
            store.register_series(KEY, values_schema()).put(columns_of(np.arange(100), np.arange(100)[::-1] + 7))
            for plan in ("index", "zones", "auto"):
                assert reader.where("value", Between(5, 6), plan=plan).rows.number.tolist() == [5, 6]

    def test_after_the_grace_period_they_are_gone(self, store, series):
        with fastk.open(store.root, grace_seconds=0) as impatient:
            impatient.drop_series(KEY)
            other = impatient.register_series(("Y", "own", "z"), values_schema())
            other.put(columns_of([1], [1]))
            impatient.drop_series(other.key)
        assert sidecar_files(store) == []
