"""Metrics count what was read and written, exactly, and are not there at all while they are off."""

import threading

import numpy as np
import pytest
from builders import FEBRUARY, JANUARY, MINUTE, bars
from hypothesis import given
from hypothesis import strategies as st
from session_calls import FEATURE, KEYS, KLINE, OTHER

import fastk
from fastk import Gt, InvalidInput, MetricsLevel, NotFound, StoreMetricsSnapshot
from fastk.session.metrics import Metrics
from fastk.store.series import Series

BAR = 48
PLAIN = {name: value for name, value in vars(Series).items() if name != "__slotnames__"}


def of(store, operation):
    return store.metrics_snapshot().operations[operation]


def test_off_is_the_default_and_leaves_plain_handles(market):
    session = market.read_session().attach(*KEYS)
    for each in (market.kline("BTC", "1m"), session.kline("BTC", "1m")):
        each.range()
        assert type(each) is Series
    assert market.metrics_snapshot() == StoreMetricsSnapshot(MetricsLevel.OFF)
    assert market.metrics_level is MetricsLevel.OFF


@pytest.mark.parametrize("level", ["basic", "detailed"])
def test_turning_off_gives_plain_handles_back(market, level):
    session = market.read_session().attach(KLINE)
    handles = [market.kline("BTC", "1m"), session.kline("BTC", "1m"), session.kline("ETH", "1m")]
    market.set_metrics_level(level)
    assert all(type(each) is not Series for each in handles)
    session.feature_matrix([KLINE])
    market.set_metrics_level("off")
    assert all(type(each) is Series for each in handles)
    assert "feature_matrix" not in vars(market) | vars(session)
    before = market.metrics_snapshot().operations
    assert [len(each.range()) for each in handles] == [80] * 3
    assert market.metrics_snapshot().operations == before
    assert {name: value for name, value in vars(Series).items() if name != "__slotnames__"} == PLAIN  # pickle's own


def test_calls_rows_and_bytes_are_counted(market):
    market.set_metrics_level(MetricsLevel.BASIC)
    series = market.kline("BTC", "1m")
    series.range(JANUARY, JANUARY + 9 * MINUTE)
    market.get_kline_range("ETH", "1m", None, None)
    series.at(JANUARY)
    series.at(JANUARY + 1)
    series.latest(7)
    series.at_many([JANUARY, JANUARY + 1])
    series.ranges([JANUARY, FEBRUARY], [JANUARY + MINUTE, FEBRUARY])
    found = len(market.series(FEATURE).where("value", Gt(50)))
    series.scan_sequence(field="close")
    series.coverage()
    counted = {name: (each.calls, each.rows, each.bytes) for name, each in market.metrics_snapshot().operations.items()}
    assert counted == {
        "range": (2, 90, 90 * BAR),
        "at": (2, 1, BAR),
        "latest": (1, 7, 7 * BAR),
        "at_many": (1, 1, BAR),
        "ranges": (1, 3, 3 * BAR),
        "where": (1, found, found * 16),
        "scan_sequence": (1, 80, 80 * BAR),
        "coverage": (1, 0, 0),
    }
    snapshot = market.metrics_snapshot()
    assert (snapshot.calls, snapshot.rows_read, snapshot.rows_written) == (10, 182 + found, 0)
    assert snapshot.bytes_read == 182 * BAR + found * 16
    assert of(market, "range").p50 is None


def test_writes_are_counted_apart(market):
    market.set_metrics_level("basic")
    series = market.kline("BTC", "1m")
    series.put(bars(FEBRUARY + 100 * MINUTE, 5))
    series.put(bars(FEBRUARY + 100 * MINUTE, 5), on_conflict="skip_identical")
    series.delete_range(None, JANUARY + 2 * MINUTE)
    series.merge()
    snapshot = market.metrics_snapshot()
    assert (snapshot.rows_written, snapshot.bytes_written) == (8, 8 * BAR)
    assert (snapshot.rows_read, snapshot.operations["put"].calls) == (0, 2)


def test_what_failed_is_an_error_and_raises_as_ever(market):
    market.set_metrics_level("detailed")
    with pytest.raises(NotFound):
        market.get_kline_range("XRP", "1m", None, None)
    with pytest.raises(InvalidInput):
        market.kline("BTC", "1m").latest(-1)
    assert (of(market, "range").calls, of(market, "range").errors, of(market, "range").rows) == (1, 1, 0)
    assert of(market, "latest").errors == 1


def test_sessions_count_for_their_store_and_have_operations_of_their_own(market):
    market.set_metrics_level("basic")
    view = market.backtest_view().attach(*KEYS)
    view.prewarm()
    view.refresh()
    view.get_kline_latest_n("BTC", "1m", 3)
    view.replay_kline("BTC", "1m", JANUARY, JANUARY + 4 * MINUTE)
    assert len(view.replay_merged([KLINE, OTHER])) == 160
    matrix = view.feature_matrix([KLINE, OTHER])
    counted = {name: (each.calls, each.rows) for name, each in view.metrics_snapshot().operations.items()}
    assert counted == {
        "attach": (1, 0),
        "prewarm": (1, 0),
        "refresh": (1, 0),
        "latest": (1, 3),
        "replay": (1, 5),
        "replay_merged": (1, 160),
        "feature_matrix": (1, 80),
    }
    assert of(market, "feature_matrix").bytes == matrix.values.nbytes
    assert view.cache_summary().metrics == market.metrics_snapshot()
    assert view.metrics_level is MetricsLevel.Basic


def test_a_reset_counts_from_nothing_and_keeps_the_level(market):
    session = market.read_session()
    session.set_metrics_level("Detailed")
    session.get_kline_range("BTC", "1m", None, None)
    session.reset_metrics()
    assert market.metrics_snapshot() == StoreMetricsSnapshot(MetricsLevel.DETAILED)


def test_handles_and_sessions_made_later_count_too(market):
    market.set_metrics_level("basic")
    assert len(fastk.FastKStore.kline(market, "BTC", "1m").range()) == 80
    market.register_kline_series("NEW", "1m", MINUTE).range()
    market.read_session().attach(KLINE).kline("BTC", "1m").range()
    assert of(market, "range").calls == 3


def test_detailed_tells_how_long_calls_took(market):
    market.set_metrics_level("detailed")
    for _ in range(50):
        market.get_kline_latest_n("BTC", "1m", 3)
    took = of(market, "latest")
    assert took.calls == 50
    assert 0 < took.p50 <= took.p95 <= took.p99 < took.seconds


@given(st.lists(st.integers(8, 1 << 39), min_size=1, max_size=60))
def test_percentiles_are_right_to_a_sixteenth(times):
    metrics = Metrics()
    metrics.level = MetricsLevel.DETAILED
    for time in times:
        metrics.record("x", time, 2, 3)
    found = metrics.snapshot().operations["x"]
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = np.quantile(times, share, method="inverted_cdf")
        assert abs(value * 1e9 / exact - 1) <= 1 / 16 + 1e-9
    assert (found.calls, found.rows, found.bytes) == (len(times), 2 * len(times), 3 * len(times))
    assert found.seconds == pytest.approx(sum(times) / 1e9)


def test_threads_lose_no_count(market):
    market.set_metrics_level("detailed")
    series = market.kline("BTC", "1m")

    def read():
        for _ in range(300):
            series.latest(2)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (of(market, "latest").calls, of(market, "latest").rows) == (1_200, 2_400)
