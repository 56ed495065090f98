"""Merging: the same rows in fewer files, when it is advised, what puts merge by themselves, and who notices."""

import math
import tracemalloc

import numpy as np
import pytest
from builders import DAY, FEBRUARY, HOUR, JANUARY, MARCH, MINUTE, assert_rows, bars, joined, part, temporary_store
from lifecycle_calls import (
    NO_TIERS,
    appended,
    chunk_files,
    chunk_path,
    damage,
    hide,
    pictured,
    random_rows,
    spans,
    unchanged,
)

import fastk
from fastk import (
    ChunkState,
    CompactionDecision,
    CompactionPolicy,
    InvalidData,
    InvalidInput,
    NotFound,
    Schema,
)
from fastk.engine import writer

AUTO = CompactionPolicy(auto_merge=True, tier_fanout=0)
MINE = Schema(
    "mine",
    [("ts", "i8"), ("x", "f8"), ("small", "i2"), ("flag", "?"), ("text", "S3"), ("n", "u8")],
    partition="day",
    zone_maps=["x", "small"],
    value_indexes=["x", "n"],
)
REGISTER = {
    "kline": lambda store: store.register_kline_series("BTC", "1m", MINUTE),
    "scalar": lambda store: store.register_scalar_series(fastk.feature_series_key("BTC", "1m", "x"), MINUTE),
    "trade": lambda store: store.register_trade_series("BTC", "spot"),
    "bbo": lambda store: store.register_bbo_series("BTC", "spot"),
    "book_delta": lambda store: store.register_book_delta_series("BTC", "spot"),
    "mine": lambda store: store.register_series(("X", "own", "mine"), MINE),
}


def shape(series):
    return [(meta.partition_key, meta.count, meta.state, meta.generation) for meta in series.chunk_inventory()]


class TestMerging:
    @pytest.mark.parametrize("register", REGISTER.values(), ids=REGISTER)
    def test_rows_stay_byte_for_byte(self, store, register):
        series = register(store)
        appended(series)
        before, table = pictured(series), series.range().to_numpy().tobytes()
        result = series.merge()
        assert (result.merged, result.chunks, result.sequence) == (8, 2, 10)
        assert len(series.chunk_inventory()) == 2
        assert pictured(series) == before
        assert series.range().to_numpy().tobytes() == table
        series.verify()
        with fastk.open(store.root, "r") as fresh:
            assert pictured(fresh.series(series.key)) == before

    @pytest.mark.parametrize("register", REGISTER.values(), ids=REGISTER)
    def test_sidecars_are_made_anew(self, store, register):
        series = register(store)
        appended(series)
        has_any = bool(series.schema.zone_maps) + bool(series.schema.value_indexes)
        series.merge()
        store.gc(grace_seconds=0)
        assert [meta.sidecar_count for meta in series.chunk_inventory()] == [has_any] * 2
        assert len(chunk_files(store, series)) == 2 + 2 * has_any
        for column in series.schema.value_indexes:
            indexed = series.where(column, fastk.Gte(50), plan="index")
            assert indexed.rows.ts.tolist() == series.where(column, fastk.Gte(50), plan="scan").rows.ts.tolist()
            assert indexed.stats.index_used is fastk.ScalarIndexKind.VALUE_INDEX

    def test_states_and_generations(self, klines):
        for number in range(3):
            klines.append(bars(JANUARY + number * HOUR))
        sealed, active = ChunkState.SEALED, ChunkState.ACTIVE
        assert shape(klines) == [("2024-01", 5, sealed, 1), ("2024-01", 5, active, 2), ("2024-01", 5, active, 3)]
        klines.merge()
        assert shape(klines) == [("2024-01", 15, sealed, 4)]
        assert ".merged." in klines.chunk_inventory()[0].relative_path
        klines.append(bars(JANUARY + DAY))
        assert shape(klines)[1:] == [("2024-01", 5, active, 5)]
        (month,) = klines.month_inventory()
        assert (month.chunk_count, month.sealed_chunk_count, month.active_delta_count) == (2, 1, 1)

    def test_what_is_merged_already_is_no_commit(self, store, klines):
        klines.put(joined(bars(JANUARY), bars(FEBRUARY)))
        check = unchanged(store)
        result = klines.merge()
        assert (result.merged, result.chunks, result.sequence) == (0, 0, 2)
        check()

    def test_an_empty_series_has_nothing_to_merge(self, klines):
        assert klines.merge().merged == 0

    def test_one_partition_by_its_key(self, klines):
        appended(klines)
        assert klines.merge("2024-02").merged == 4
        assert [meta.partition_key for meta in klines.chunk_inventory()] == ["2024-01"] * 4 + ["2024-02"]

    @pytest.mark.parametrize(("key", "merged"), [("2024", 8), ("2024-01", 4), ("2024-01-01", 4), ("2024-01-01T00", 4)])
    def test_the_key_of_a_longer_time_names_all_partitions_within(self, ticks, key, merged):
        appended(ticks)
        assert ticks.merge(key).merged == merged

    def test_the_original_s_names(self, store, klines):
        appended(klines)
        assert store.merge_kline_month("BTC", "1m", "2024-01").merged == 4
        assert store.merge_series(klines.key).merged == 4

    def test_a_damaged_chunk_is_not_merged(self, store, klines):
        """Its rows must not get a new checksum; another partition can be merged meanwhile."""
        appended(klines)
        damage(chunk_path(store, klines, 1))
        check = unchanged(store)
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            with pytest.raises(InvalidData, match="damaged"):
                series.merge()
            check()
            assert series.merge("2024-02").merged == 4

    def test_late_rows_and_deletions_leave_one_sealed_chunk_of_what_they_touch(self, klines):
        klines.put(bars(count=20))
        klines.delete_range(JANUARY + 3 * MINUTE, JANUARY + 5 * MINUTE)
        assert shape(klines) == [("2024-01", 17, ChunkState.SEALED, 2)]
        klines.put(part(bars(), 3, 4))
        assert shape(klines) == [("2024-01", 18, ChunkState.SEALED, 3)]


class TestMergingManyPartitions:
    """A few at a time, so that a series of any size can be merged; no commit changes a row."""

    DAYS, ROWS = 8, 30_000

    @pytest.fixture
    def days(self, store):
        series = store.register_trade_series("BTC", "spot", partition="day")
        for number in range(2 * self.DAYS):
            series.append(random_rows(series.schema, JANUARY + number * DAY // 2 + np.arange(self.ROWS)))
        return series

    def test_holds_few_of_them_in_memory(self, days, monkeypatch):
        of_a_day = 2 * self.ROWS * days.schema.dtype.itemsize
        monkeypatch.setattr(writer, "MERGE_BYTES", of_a_day)
        before, sequence = pictured(days), days.sequence
        tracemalloc.start()
        result = days.merge()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (result.merged, result.chunks, result.sequence) == (16, 8, sequence + 8)
        assert peak < 3 * of_a_day
        assert pictured(days) == before
        assert days.merge().merged == 0

    def test_small_ones_share_a_commit(self, days, monkeypatch):
        monkeypatch.setattr(writer, "MERGE_BYTES", 3 * 2 * self.ROWS * days.schema.dtype.itemsize)
        sequence = days.sequence
        assert days.merge().sequence == sequence + 3

    def test_what_is_merged_already_counts_nothing(self, days, monkeypatch):
        days.merge("2024-01-02")
        monkeypatch.setattr(writer, "MERGE_BYTES", 7 * 2 * self.ROWS * days.schema.dtype.itemsize)
        sequence = days.sequence
        result = days.merge()
        assert (result.merged, result.chunks, result.sequence) == (14, 7, sequence + 1)

    def test_a_damaged_one_leaves_those_before_it_merged_and_no_row_changed(self, store, days, monkeypatch):
        monkeypatch.setattr(writer, "MERGE_BYTES", 1)
        damage(chunk_path(store, days, 5))
        with fastk.open(store.root) as fresh:
            series = fresh.series(days.key)
            with pytest.raises(InvalidData, match="damaged"):
                series.merge()
            assert len(series) == 2 * self.DAYS * self.ROWS
            assert len(series.chunk_inventory()) == 2 * self.DAYS - 2

    def test_a_batch_is_one_commit_all_the_same(self, store, days, monkeypatch):
        monkeypatch.setattr(writer, "MERGE_BYTES", 1)
        sequence = days.sequence
        with store.batch():
            assert days.merge().merged == 16
        assert (days.sequence, len(days.chunk_inventory())) == (sequence + 1, 8)


class TestAdvice:
    def test_fields_and_thresholds_are_the_original_s(self):
        policy = CompactionPolicy()
        assert (policy.delta_chunk_threshold, policy.delta_total_bytes_threshold) == (4, 4 * 1024 * 1024)
        assert (policy.append_count_threshold, policy.auto_merge) == (4, False)
        assert CompactionDecision.__slots__ == (
            "month_key",
            "total_chunks",
            "delta_chunk_count",
            "delta_total_bytes",
            "append_count",
            "should_merge",
            "reasons",
        )

    def test_four_deltas_are_enough(self, store, klines):
        for number in range(5):
            (advice,) = store.kline_compaction_advice("BTC", "1m") if number else [None]
            assert advice is None or not advice.should_merge
            klines.append(bars(JANUARY + number * HOUR))
        (advice,) = store.kline_compaction_advice("BTC", "1m")
        assert advice == CompactionDecision(
            "2024-01",
            5,
            4,
            4 * 5 * 48,
            4,
            should_merge=True,
            reasons=["delta chunk count 4 reached the threshold 4", "append count 4 reached the threshold 4"],
        )
        klines.merge()
        (advice,) = klines.compaction_advice()
        assert advice == CompactionDecision("2024-01", 1, 0, 0, 0, should_merge=False, reasons=[])

    def test_bytes_alone_are_a_reason(self, klines):
        klines.append(bars())
        klines.append(bars(JANUARY + HOUR))
        policy = CompactionPolicy(delta_total_bytes_threshold=5 * 48)
        (advice,) = klines.compaction_advice(policy)
        assert advice.reasons == ["delta bytes 240 reached the threshold 240"]
        assert not klines.compaction_advice(CompactionPolicy(delta_total_bytes_threshold=5 * 48 + 1))[0].should_merge

    def test_one_line_a_partition(self, store, klines):
        appended(klines)
        klines.append(bars(JANUARY + DAY))
        assert [(each.month_key, each.should_merge) for each in store.compaction_advice(klines.key)] == [
            ("2024-01", True),
            ("2024-02", False),
        ]

    def test_the_store_s_policy_decides_for_the_store_s_methods(self, store, klines):
        appended(klines)
        with fastk.open(
            store.root, "r", policy=CompactionPolicy(delta_chunk_threshold=9, append_count_threshold=9)
        ) as other:
            assert not any(each.should_merge for each in other.kline_compaction_advice("BTC", "1m"))
            assert other.compaction_policy.delta_chunk_threshold == 9

    def test_advice_changes_nothing(self, store, klines):
        appended(klines)
        check = unchanged(store)
        assert klines.compaction_advice()
        check()


class TestAutoMerge:
    def test_a_put_merges_where_it_is_advised(self, store):
        with fastk.open(store.root, policy=AUTO) as auto:
            klines = auto.register_kline_series("BTC", "1m", MINUTE)
            sizes = []
            for number in range(10):
                auto.put_kline_chunk("BTC", "1m", bars(JANUARY + number * HOUR))
                sizes.append(len(klines.chunk_inventory()))
            assert sizes == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]
            assert_rows(klines.range(), joined(*[bars(JANUARY + number * HOUR) for number in range(10)]))

    def test_it_is_off_by_default(self, klines):
        appended(klines, puts=12)
        assert len(klines.chunk_inventory()) == 24

    def test_it_merges_the_partitions_of_the_put_alone(self, store, klines):
        appended(klines, puts=12)
        with fastk.open(store.root, policy=AUTO) as auto:
            auto.put_kline_chunk("BTC", "1m", bars(FEBRUARY + DAY))
            assert [meta.partition_key for meta in auto.kline("BTC", "1m").chunk_inventory()] == ["2024-01"] * 12 + [
                "2024-02"
            ]

    @pytest.mark.parametrize("harm", [damage, hide])
    def test_a_damaged_chunk_keeps_nobody_from_writing(self, store, klines, harm):
        appended(klines, puts=6)
        harm(chunk_path(store, klines, 0))
        with fastk.open(store.root, policy=AUTO) as auto:
            assert auto.put_kline_chunk("BTC", "1m", bars(JANUARY + DAY)).accepted == 5
            assert auto.kline("BTC", "1m").put(bars(JANUARY + 2 * DAY)).accepted == 5


def written_row_by_row(order, policy=None, column=None):
    """Rewritten rows a row put, and the most chunks that there were."""
    with temporary_store(policy=policy) as store:
        series = store.register_kline_series("BTC", "1m", MINUTE)
        known, rewritten, most = set(), 0, 0
        for place in order:
            series.put(bars(JANUARY + place * MINUTE, 1))
            metas = series.chunk_inventory()
            rewritten += sum(meta.count for meta in metas if meta.chunk_id not in known)
            known |= {meta.chunk_id for meta in metas}
            most = max(most, len(metas))
        assert series.range().ts.tolist() == [JANUARY + place * MINUTE for place in sorted(order)]
        series.verify()
        return rewritten / len(order), most


class TestTiers:
    ROWS = 300

    @pytest.mark.slow
    @pytest.mark.parametrize("fanout", [2, 4, 16])
    @pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
    def test_rows_are_rewritten_log_n_times_and_a_chunk_a_tier_stays(self, fanout, step):
        tiers = math.log(self.ROWS, fanout) + 1
        order = range(self.ROWS)[::step]
        rewritten, most = written_row_by_row(order, CompactionPolicy(tier_fanout=fanout))
        assert rewritten <= fanout / 2 * tiers
        assert most <= tiers

    @pytest.mark.slow
    def test_in_random_order_few_chunks_stay(self):
        """Chunks never interleave in time: a row among those of a chunk rewrites it, which tiers cannot spare."""
        order = np.random.default_rng(1).permutation(self.ROWS).tolist()
        rewritten, most = written_row_by_row(order)
        assert most <= 8
        assert rewritten <= self.ROWS / 2

    @pytest.mark.slow
    def test_a_long_series_stays_in_few_chunks(self):
        rewritten, most = written_row_by_row(range(3_000))
        assert rewritten <= 8 * (math.log(3_000, 16) + 1)
        assert most <= 3

    def test_the_switch_is_off_at_zero(self):
        assert written_row_by_row(range(40), NO_TIERS) == (1, 40)

    def test_no_chunk_is_made_larger_than_tier_bytes(self, store):
        with fastk.open(store.root, policy=CompactionPolicy(tier_fanout=2, tier_bytes=10 * 48)) as tiered:
            series = tiered.register_kline_series("BTC", "1m", MINUTE)
            for number in range(60):
                series.put(bars(JANUARY + number * MINUTE, 1))
            assert max(spans(series)) <= 10
            assert len(spans(series)) <= 15

    def test_large_puts_are_left_alone(self, klines):
        for number in range(4):
            klines.put(bars(JANUARY + number * 300 * MINUTE, 300 if number == 0 else 1))
        assert spans(klines) == [300, 3]

    def test_the_chunk_methods_keep_one_delta_a_put(self, store, klines):
        for number in range(20):
            store.put_kline_chunk("BTC", "1m", bars(JANUARY + number * MINUTE, 1))
        assert spans(klines) == [1] * 20

    def test_a_damaged_neighbour_keeps_nobody_from_writing(self, store, klines):
        """It stays as it is, and those beside it go on being merged."""
        klines.put(bars(count=1))
        damage(chunk_path(store, klines, 0))
        with fastk.open(store.root) as fresh:
            series, first = fresh.kline("BTC", "1m"), klines.chunk_inventory()[0]
            for place in range(1, 100):
                series.put(part(bars(count=100), place, place + 1))
            assert series.chunk_inventory()[0] == first
            assert len(series) == 100
            assert len(spans(series)) <= 1 + 2
            assert_rows(series.range(JANUARY + MINUTE), part(bars(count=100), 1, 100))

    def test_a_missing_neighbour_keeps_nobody_from_writing(self, store, klines):
        klines.put(bars(count=1))
        chunk_path(store, klines, 0).unlink()
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            for place in range(1, 20):
                series.put(bars(JANUARY + place * MINUTE, 1))
            assert len(series) == 20


class TestBadInput:
    @pytest.mark.parametrize("name", ["delta_chunk_threshold", "delta_total_bytes_threshold", "append_count_threshold"])
    @pytest.mark.parametrize("value", [0, -1, 1.5, True, "4", None], ids=repr)
    def test_thresholds_are_positive_ints(self, name, value):
        with pytest.raises(InvalidInput, match=f"{name} must be an int of 1 or more"):
            CompactionPolicy(**{name: value})

    @pytest.mark.parametrize("value", [-1, 1, 2.0, True, None], ids=repr)
    def test_the_fanout_is_two_or_more_or_none(self, value):
        with pytest.raises(InvalidInput, match="tier_fanout"):
            CompactionPolicy(tier_fanout=value)

    @pytest.mark.parametrize("value", [0, 1, "yes", None], ids=repr)
    def test_auto_merge_is_a_truth_value(self, value):
        with pytest.raises(InvalidInput, match="auto_merge must be True or False"):
            CompactionPolicy(auto_merge=value)

    @pytest.mark.parametrize("key", ["2025-01", "2024-1", "", "2024-01-01", "january"])
    def test_a_key_that_names_no_partition(self, store, klines, key):
        klines.put(bars())
        check = unchanged(store)
        with pytest.raises(NotFound, match="its partitions are named like '2024-02'") as refused:
            klines.merge(key)
        check()
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize("key", [202401, b"2024-01", ["2024-01"]], ids=repr)
    def test_a_key_that_is_no_text(self, klines, key):
        klines.put(bars())
        with pytest.raises(InvalidInput, match="a partition is named by text"):
            klines.merge(key)

    @pytest.mark.parametrize("policy", [4, "auto", {"auto_merge": True}, CompactionPolicy], ids=repr)
    def test_a_policy_that_is_none(self, store, klines, policy):
        with pytest.raises(InvalidInput, match="policy must be a fastk"):
            fastk.open(store.root, policy=policy)
        with pytest.raises(InvalidInput, match="policy must be a fastk"):
            klines.compaction_advice(policy)

    def test_series_that_are_not_registered(self, store):
        store.init()
        calls = (
            lambda: store.merge_kline_month("ETH", "1m", "2024-01"),
            lambda: store.kline_compaction_advice("ETH", "1m"),
            lambda: store.merge_series(("ETH", "x", "y")),
        )
        for call in calls:
            with pytest.raises(NotFound, match="register it first"):
                call()


class TestSealing:
    """The put that begins a later partition merges the last one, in its own commit."""

    def minutes(self, series, count=5, month=JANUARY):
        for number in range(count):
            series.put(bars(month + number * MINUTE, 1))

    def test_a_month_that_was_written_row_by_row_is_one_chunk_when_the_next_begins(self, store, klines):
        self.minutes(klines, 20)
        before, sequence = pictured(klines), klines.put(bars(JANUARY + HOUR, 1)).sequence
        assert spans(klines) == [16, 5]
        result = klines.put(bars(FEBRUARY, 2))
        assert (result.sequence, spans(klines)) == (sequence + 1, [21, 2])
        assert klines.range(end=JANUARY + 20 * MINUTE - 1).to_numpy()["ts"].tobytes() == before["ts"]
        klines.verify()

    def test_only_the_last_one_is_and_only_once(self, klines):
        klines.append(bars(JANUARY, 15))
        klines.append(bars(JANUARY + 15 * MINUTE, 15))
        klines.put(bars(MARCH, 20))
        assert spans(klines) == [30, 20]
        klines.put(bars(JANUARY + HOUR, 1))
        klines.put(bars(MARCH + HOUR, 1))
        klines.put(bars(FEBRUARY, 1))  # before the last one: nothing begins
        assert spans(klines) == [30, 1, 1, 20, 1]

    def test_within_a_batch_too(self, store, klines):
        self.minutes(klines)
        with store.batch():
            klines.put(bars(JANUARY + HOUR, 1))
            klines.put(bars(FEBRUARY, 1))
            klines.put(bars(MARCH, 1))
        assert spans(klines) == [6, 1, 1]

    def test_a_partition_of_one_chunk_stays_as_it_is(self, klines):
        klines.put(joined(bars(JANUARY), bars(FEBRUARY)))
        before = klines.chunk_inventory()
        klines.put(joined(bars(MARCH), bars(MARCH + 31 * DAY)))
        assert klines.chunk_inventory()[:2] == before
        assert spans(klines) == [5] * 4

    def test_not_by_the_chunk_methods(self, store, klines):
        self.minutes(klines)
        chunks = len(spans(klines))
        store.put_kline_chunk("BTC", "1m", bars(FEBRUARY, 1))
        klines.append(bars(MARCH, 1))
        assert len(spans(klines)) == chunks + 2

    @pytest.mark.parametrize(
        "policy", [NO_TIERS, CompactionPolicy(tier_bytes=5 * 48 - 1)], ids=["switched off", "a partition too large"]
    )
    def test_not_where_the_policy_says_so(self, store, klines, policy):
        appended(klines, puts=5)
        with fastk.open(store.root, policy=policy) as other:
            other.kline("BTC", "1m").put(bars(MARCH, 1))
        klines.refresh()
        assert len(spans(klines)) == 11

    @pytest.mark.parametrize("harm", [damage, hide])
    def test_a_damaged_chunk_keeps_nobody_from_writing(self, store, klines, harm):
        appended(klines, puts=3)
        harm(chunk_path(store, klines, 4))
        with fastk.open(store.root) as fresh:
            series = fresh.kline("BTC", "1m")
            assert series.put(bars(MARCH, 1)).accepted == 1
            assert len(spans(series)) == 7
