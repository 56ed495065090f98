"""Facts of stores that are small enough to be counted by hand."""

import numpy as np
import pytest
from builders import DAY, FEBRUARY, JANUARY, MINUTE, bars, contents, temporary_store, trades
from inspected import EIGHT_BARS, HOLE, bytes_of, files_of, put_eight_bars, spoil, spoil_rows

import fastk
from fastk import Hole, NotFound, PartitionFacts, inspect_store
from fastk.inspect.months import expected_rows, month_rows


def only(facts):
    (series,) = facts.series
    return series


def test_rows_span_and_partitions(store):
    put_eight_bars(store)
    series = only(inspect_store(store))
    assert (series.key, series.record_type, series.timeframe_ms) == ("BTC/kline/1m", "kline", MINUTE)
    assert (series.rows, series.first_ts, series.last_ts) == (8, JANUARY, FEBRUARY + 2 * MINUTE)
    assert series.states == {"sealed": 2}
    january, february = (path.stat().st_size for path in files_of(store, "*/*/*/chunks/*.chunk"))
    assert series.partitions == (
        PartitionFacts("2024-01", 5, 31 * 24 * 60, 1, january),
        PartitionFacts("2024-02", 3, 3, 1, february),
    )
    assert series.expected == 31 * 24 * 60 + 3
    assert series.present == 8 / (31 * 24 * 60 + 3)
    assert series.gaps is None
    assert series.is_sound


def test_gaps_are_looked_for_on_request(store):
    put_eight_bars(store)
    gaps = only(inspect_store(store, gaps=True)).gaps
    assert (gaps.expected, gaps.present, gaps.missing, gaps.unexpected) == (HOLE + 8, 8, HOLE, 0)
    assert gaps.largest == (Hole(JANUARY + 5 * MINUTE, FEBRUARY - MINUTE, HOLE),)


def test_the_largest_gaps_come_first(store):
    series = store.register_kline_series("BTC", "1m", MINUTE)
    kept = np.array([0, 2, 6, 8, 11])
    series.put({name: column[kept] for name, column in bars(count=12).items()})
    gaps = only(inspect_store(store, gaps=True)).gaps
    assert [hole.count for hole in gaps.largest] == [3, 2, 1, 1]
    assert gaps.holes == 4


def test_nothing_is_expected_without_a_timeframe(store):
    store.register_trade_series("BTC", "spot").put(trades([JANUARY, JANUARY + DAY]))
    series = only(inspect_store(store, gaps=True))
    assert (series.expected, series.present, series.gaps) == (None, None, None)
    assert [each.key for each in series.partitions] == ["2024-01-01T00", "2024-01-02T00"]
    assert [each.expected for each in series.partitions] == [None, None]


def test_sizes_by_category(store):
    put_eight_bars(store)
    scalar = store.register_series(("BTC", "signal", "1m@@x"), fastk.SCALAR)
    scalar.put({"ts": [JANUARY, FEBRUARY], "value": [1, 2]})
    scalar.delete_range(FEBRUARY, None)  # its chunk and sidecars are retired
    bars_sizes, sizes = (each.sizes for each in inspect_store(store).series)
    assert bars_sizes.total == bytes_of(store, "BTC/kline/**/*")
    assert (bars_sizes.zone_maps, bars_sizes.value_indexes, bars_sizes.unnamed) == (0, 0, 0)
    january = "BTC/signal/*/chunks/2024-01*"
    assert sizes.chunks == only_file(store, f"{january}.chunk")
    assert sizes.zone_maps == only_file(store, f"{january}.zmap")
    assert sizes.value_indexes == only_file(store, f"{january}.vix")
    assert sizes.unnamed > 0
    assert sizes.total == bytes_of(store, "BTC/signal/**/*")


def only_file(store, pattern):
    (path,) = files_of(store, pattern)
    return path.stat().st_size


def test_chunk_states_and_sidecars():
    with temporary_store(policy=fastk.CompactionPolicy(tier_fanout=0)) as store:
        scalar = store.register_series(("BTC", "signal", "1m@@x"), fastk.SCALAR)
        for minute in range(3):
            scalar.put({"ts": [JANUARY + minute * MINUTE], "value": [minute]})
        series = only(inspect_store(store))
    assert series.states == {"sealed": 1, "active": 2}
    assert series.sidecars == {"zone_maps": 3, "value_indexes": 3}
    assert series.chunks == 3


def test_series_are_chosen_by_patterns(store):
    for symbol in ("BTC", "ETH", "SOL"):
        put_eight_bars(store, symbol)
    facts = inspect_store(store, ["B*", "*/kline/2h", "SOL/*"])
    assert [each.symbol for each in facts.series] == ["BTC", "SOL"]
    assert facts.series_count == 3
    with pytest.raises(NotFound, match="no series matches 'DOGE'"):
        inspect_store(store, "DOGE")


def test_an_empty_store_and_a_series_without_rows(store):
    store.init()
    assert inspect_store(store).series == ()
    store.register_kline_series("BTC", "1m", MINUTE)
    series = only(inspect_store(store, gaps=True))
    assert (series.rows, series.first_ts, series.expected, series.pruning) == (0, None, None, ())
    assert series.is_sound


def test_a_damaged_series_hides_no_other(store):
    for symbol in ("BTC", "ETH"):
        put_eight_bars(store, symbol)
    (manifest,) = files_of(store, "BTC/kline/1m/series.meta")
    spoil(manifest, 40)
    with fastk.open(store.root, "r") as reader:
        btc, eth = inspect_store(reader, gaps=True).series
    assert "series.meta" in btc.problem
    assert btc.damage[0].code == "corrupt_manifest"
    assert btc.sizes.chunks == eth.sizes.chunks
    assert eth.is_sound
    assert eth.gaps.missing == HOLE


def test_only_a_scrub_reads_every_byte(store):
    put_eight_bars(store)
    chunk = files_of(store, "*/*/*/chunks/*.chunk")[0]
    spoil_rows(chunk, *EIGHT_BARS["volume"][:5])
    assert inspect_store(store).is_sound
    facts = inspect_store(store, scrub=True)
    assert not facts.is_sound
    assert [each.code for each in facts.verdicts] == ["corrupt_block"]


def test_times_that_cannot_be_read_cost_the_gaps_alone(store):
    series = put_eight_bars(store)
    (january, _) = files_of(store, "*/*/*/chunks/*.chunk")
    spoil_rows(january, *EIGHT_BARS["ts"][:5])
    with fastk.open(store.root, "r") as reader:
        found = only(inspect_store(reader, gaps=True))
    assert found.rows == len(series)
    assert found.gaps is None
    assert january.name in found.problem


def test_looking_changes_nothing(store):
    put_eight_bars(store)
    before = contents(store.root)
    inspect_store(store, gaps=True, scrub=True)
    assert contents(store.root) == before


def test_progress_counts_series(store):
    for symbol in ("BTC", "ETH"):
        put_eight_bars(store, symbol)
    told = []
    inspect_store(store, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize("partition", ["year", "month", "day"])
def test_months_whatever_the_partition(store, partition):
    series = store.register_series(("BTC", "bars", "1d"), fastk.KLINE, timeframe_ms=DAY, partition=partition)
    series.put(bars(JANUARY + 29 * DAY, count=33, step=DAY))  # 2 of January, 29 of February, 2 of March
    january = (2024 - 1970) * 12
    assert month_rows(only(inspect_store(store)), series) == {january: 2, january + 1: 29, january + 2: 2}
    assert expected_rows(series, np.arange(january - 1, january + 4)) == [0, 2, 29, 2]
