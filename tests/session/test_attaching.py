"""What a session attaches, and how it says no: all that was asked for, or nothing."""

import threading

import pytest
from builders import JANUARY, MINUTE, bars
from session_calls import BINDING, FEATURE, KEYS, KLINE, OTHER, TRADES, columns, shown

import fastk
from fastk import BacktestKlineBinding, InvalidData, InvalidInput, NotFound, SessionResetMode, StoreClosed
from fastk.engine.cache import MapCache


def attached(session):
    return [tuple(key) for key in session.attached()]


WAYS = {
    "a key": (lambda session: session.attach(KLINE), [KLINE]),
    "keys, a binding and a handle": (
        lambda session: session.attach(KLINE, BINDING, session.series(TRADES)),
        [KLINE, tuple(FEATURE.series_key), TRADES],
    ),
    "a kline": (lambda session: session.attach_kline("BTC", "1m"), [KLINE]),
    "a kline by the original's longer name": (lambda session: session.attach_kline_series("BTC", "1m"), [KLINE]),
    "many klines": (
        lambda session: session.attach_kline_many([("BTC", "1m"), BacktestKlineBinding("ETH", "1m")]),
        [KLINE, OTHER],
    ),
    "symbols": (lambda session: session.attach_symbols_for_timeframe("1m", ["ETH", "BTC"]), [OTHER, KLINE]),
    "symbols before the timeframe": (
        lambda session: session.attach_symbols_for_timeframe(("ETH", "BTC"), "1m"),
        [OTHER, KLINE],
    ),
    "a scalar by names": (
        lambda session: session.attach_scalar("BTC", "1m", "feature", "rsi"),
        [tuple(FEATURE.series_key)],
    ),
    "a scalar by key": (lambda session: session.attach_scalar(FEATURE), [tuple(FEATURE.series_key)]),
    "a scalar by key only": (lambda session: session.attach_scalar_key(FEATURE), [tuple(FEATURE.series_key)]),
    "many scalars": (lambda session: session.attach_scalar_many([BINDING, FEATURE]), [tuple(FEATURE.series_key)]),
    "trades": (lambda session: session.attach_trade("BTC", "spot"), [TRADES]),
}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_session_attaches(market, way):
    attach, expected = WAYS[way]
    session = market.read_session()
    assert attach(session) is session
    assert attached(session) == expected


def test_an_indicator_is_attached_by_its_own_name(market):
    market.register_indicator_series("BTC", "1m", "ema")
    session = market.read_session().attach_indicator("BTC", "1m", "ema")
    assert session.attached() == [fastk.indicator_series_key("BTC", "1m", "ema").series_key]


def test_attaching_twice_changes_nothing(market):
    session = market.read_session().attach(KLINE)
    handle, before = session.kline("BTC", "1m"), columns(session.kline("BTC", "1m").range())
    market.kline("BTC", "1m").delete_range()
    session.attach(KLINE, OTHER).attach_kline("BTC", "1m")
    assert attached(session) == [KLINE, OTHER]
    assert session.kline("BTC", "1m") is handle
    assert columns(handle.range()) == before


def test_one_unknown_series_attaches_none_and_all_unknown_ones_are_named(market):
    session = market.read_session().attach(TRADES)
    with pytest.raises(NotFound, match=r"XRP/kline/1m, BTC/kline/5m are not in the store, so that nothing was att"):
        session.attach_kline_many([("BTC", "1m"), ("XRP", "1m"), ("BTC", "5m")])
    assert attached(session) == [TRADES]


def test_very_many_unknown_series_are_counted(market):
    with pytest.raises(NotFound, match="S19/kline/1m and 80 more are not"):
        market.read_session().attach_symbols_for_timeframe("1m", [f"S{number}" for number in range(100)])


def test_a_damaged_manifest_attaches_none(market):
    path = market._reader_of(fastk.SeriesKey(*OTHER)).files.manifest
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"!!!!")
    with fastk.open(market.root, "r") as other:
        session = other.read_session()
        with pytest.raises(InvalidData, match=r"series\.meta"):
            session.attach(KLINE, OTHER)
        assert attached(session) == []


@pytest.mark.parametrize(
    ("attach", "message"),
    [
        (lambda session: session.attach_kline(" ", "1m"), "symbol is blank"),
        (lambda session: session.attach_kline("BTC", ""), "timeframe is blank"),
        (lambda session: session.attach_scalar("BTC", "1m", "feature", ""), "name is blank"),
        (lambda session: session.attach_scalar("BTC"), "timeframe is blank"),
        (lambda session: session.attach("BTC"), "no series key"),
        (lambda session: session.attach(None), "no series key"),
        (lambda session: session.attach(KLINE, ("", "kline", "1m")), "symbol must be text"),
        (lambda session: session.attach_kline_many("BTC"), "a list of series"),
        (lambda session: session.attach_kline_many([("BTC", "1m"), "ETH"]), "no kline series"),
        (lambda session: session.attach_kline_many(7), "a list of series"),
        (lambda session: session.attach_scalar_many([("BTC", "1m")]), "no scalar series"),
        (lambda session: session.attach_scalar_key("BTC"), "no scalar series"),
        (lambda session: session.reset("everything"), "QueryOnly, Logical, FullDetach"),
        (lambda session: session.set_metrics_level("loud"), "'off', 'basic' or 'detailed'"),
        (lambda session: session.prewarm(threads=0), "threads"),
    ],
)
def test_what_names_no_series_is_refused(market, attach, message):
    session = market.read_session()
    with pytest.raises(InvalidInput, match=message):
        attach(session)
    assert attached(session) == []


def test_series_that_are_not_attached_are_read_as_the_store_sees_them(market):
    session = market.read_session().attach(OTHER)
    assert shown(session) == shown(market)
    market.kline("BTC", "1m").delete_range(None, JANUARY)
    assert session.get_kline_at("BTC", "1m", JANUARY) is None
    assert attached(session) == [OTHER]


def test_handles_of_series_that_are_not_attached_stay_valid_when_others_are(market):
    session = market.read_session()
    handle, other = session.series(OTHER), session.series(KLINE)
    session.attach(KLINE)
    assert session.series(OTHER) is handle
    assert session.series(KLINE) is not other
    assert session.feature_matrix([handle, KLINE]).values.shape == (80, 10)


def test_a_session_for_attached_series_only_finds_no_other(market):
    session = market.read_session(attached_only=True).attach(OTHER)
    assert len(session.get_kline_range("ETH", "1m", None, None)) == 80
    with pytest.raises(NotFound, match="BTC/kline/1m is not attached to this session"):
        session.get_kline_range("BTC", "1m", None, None)


@pytest.mark.parametrize("key", [KLINE, OTHER], ids=["attached", "not attached"])
def test_a_session_cannot_write(market, key):
    series = market.read_session().attach(KLINE).series(key)
    for write in (
        lambda: series.put(bars(JANUARY + 50 * MINUTE)),
        lambda: series.append(bars(JANUARY + 50 * MINUTE)),
        lambda: series.delete_range(),
        lambda: series.replace_range(None, None, bars()),
        series.merge,
    ):
        with pytest.raises(InvalidInput, match="a read session does not write"):
            write()
    assert not hasattr(market.read_session(), "put_kline_chunk")


def test_a_closed_store_closes_its_sessions(market):
    session = market.read_session().attach(*KEYS)
    series = session.kline("BTC", "1m")
    rows = series.range()
    market.close()
    for use in (
        lambda: series.range(),
        lambda: series.at(JANUARY),
        lambda: session.get_kline_range("BTC", "1m", None, None),
        lambda: session.attach(KLINE),
        session.prewarm,
        session.refresh,
        market.read_session,
        market.backtest_view,
    ):
        with pytest.raises(StoreClosed):
            use()
    assert len(rows.close) == 80


def test_a_closed_store_closes_sessions_of_series_that_were_dropped(market):
    session = market.read_session().attach(OTHER)
    market.drop_series(OTHER)
    series = session.series(OTHER)
    assert len(series) == 80
    market.close()
    with pytest.raises(StoreClosed):
        series.range()


@pytest.mark.parametrize("mode", SessionResetMode)
@pytest.mark.parametrize("spelling", [lambda mode: mode, lambda mode: mode.value], ids=["member", "name"])
def test_reads_after_a_reset_are_right(market, mode, spelling):
    session = market.read_session().attach(*KEYS)
    before = shown(session)
    session.reset(spelling(mode))
    assert len(attached(session)) == (0 if mode is SessionResetMode.FULL_DETACH else len(KEYS))
    assert shown(session) == before


def test_a_reset_goes_through_the_maps_once_for_all_series(market, monkeypatch):
    """The budget keeps its maps in one ring: a pass over it for each series was a minute for ten thousand series."""
    session = market.read_session().attach(*KEYS)
    session.prewarm()
    passes = []
    forget = MapCache.forget
    monkeypatch.setattr(MapCache, "forget", lambda maps, owners: (passes.append(maps), forget(maps, owners)))
    session.reset("Logical")
    assert len(passes) == 2  # value indexes, then chunks
    assert session.cache_summary().mapped_chunk_count == len(market._maps) == 0


def test_what_a_reset_lets_go_of(market):
    session = market.read_session().attach(*KEYS)
    session.prewarm()
    chunk = next(iter(session.series(FEATURE)._reader.snapshot.mapped.values()))
    assert chunk.zones
    session.reset(SessionResetMode.QueryOnly)
    assert not chunk.zones
    assert session.cache_summary().mapped_chunk_count == 7
    session.reset(SessionResetMode.Logical)
    summary = session.cache_summary()
    assert (summary.attached_count, summary.mapped_chunk_count, summary.mapped_bytes) == (4, 0, 0)


def test_handles_of_a_detached_series_say_so(market):
    with market.read_session().attach(KLINE) as session:
        series = session.kline("BTC", "1m")
    with pytest.raises(StoreClosed, match="no longer attached"):
        series.range()
    assert len(session.kline("BTC", "1m")) == 80


def test_threads_may_attach_at_the_same_time(market):
    session = market.read_session()
    threads = [threading.Thread(target=session.attach, args=KEYS) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(attached(session)) == len(KEYS)
    assert shown(session) == shown(market)
