"""Compiled kernels come when they are worth their loading, and whatever was begun without them goes on with them."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from builders import JANUARY, MINUTE, bars

import fastk
from fastk import kernels

ROWS = 20_000
TIMES = JANUARY + MINUTE * np.arange(0, ROWS, 7)


@pytest.fixture(autouse=True)
def _not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTK_KERNELS", "lazy")
    monkeypatch.setattr(kernels, "active", kernels.plain)
    monkeypatch.setattr(kernels, "_missed", 0.0)


@pytest.fixture
def store(tmp_path: Any) -> Iterator[Any]:
    with fastk.open(tmp_path / "store") as store:
        for symbol in ("A", "B"):
            rows = bars(count=ROWS)
            store.register_kline_series(symbol, "1m", MINUTE).put(rows)
            feature = store.register_scalar_series(fastk.feature_series_key(symbol, "1m", "x"), MINUTE)
            feature.put({"ts": rows["ts"], "value": np.arange(ROWS) * 7919 % 1_000})
        yield store


class TestWorth:
    def test_savings_add_up_until_loading_is_paid(self) -> None:
        for _ in range(4):
            assert kernels.load_when_worth(0.1) is kernels.plain
        assert kernels.load_when_worth(0.1) is kernels.active is not kernels.plain
        assert kernels.load_when_worth(0.0) is kernels.active

    def test_one_large_piece_of_work_is_worth_it_at_once(self) -> None:
        assert kernels.load_when_worth(60.0) is not kernels.plain

    def test_never_is_never(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FASTK_KERNELS", "never")
        assert kernels.load_when_worth(60.0) is kernels.plain

    @pytest.mark.parametrize(
        "work",
        [
            lambda store: store.kline("A", "1m").at_many(TIMES),
            lambda store: store.kline("A", "1m").ranges(TIMES, TIMES + MINUTE),
            lambda store: store.scalar(fastk.feature_series_key("A", "1m", "x")).where("value", fastk.Gt(900)),
            lambda store: store.feature_matrix([fastk.feature_series_key(s, "1m", "x") for s in "AB"]),
            lambda store: fastk.merged_replay([store.kline(s, "1m") for s in "AB"]).next_batch(),
        ],
        ids=["points", "ranges", "query", "matrix", "replay"],
    )
    def test_a_little_work_is_done_without_and_much_of_it_with_them(
        self, store: Any, work: Callable[[Any], Any]
    ) -> None:
        work(store)
        assert not kernels.loaded()
        assert kernels._missed > 0
        kernels._missed = kernels._LOADING
        work(store)
        assert kernels.loaded()

    def test_a_query_counts_what_it_did_and_leaves_the_loading_to_the_next_one(self, store: Any) -> None:
        series = store.scalar(fastk.feature_series_key("A", "1m", "x"))
        kernels._missed = kernels._LOADING - 1e-9
        series.where("value", fastk.Ne(-1), plan="scan")
        assert kernels._missed > kernels._LOADING
        assert not kernels.loaded()
        series.where("value", fastk.Gt(2_000))
        assert kernels.loaded()


class TestWhatWasBegunWithout:
    """Each is made by numpy, and read after the kernels were loaded; numpy alone gives the same."""

    @pytest.mark.parametrize("plan", ["auto", "scan", "index", "zones"])
    def test_rows_of_a_query_are_gathered(self, store: Any, plan: Any) -> None:
        series = store.scalar(fastk.feature_series_key("A", "1m", "x"))
        for condition in (fastk.Gt(995), fastk.Ne(3), fastk.InSet([1, 2, 3])):
            expected = series.where("value", condition, plan=plan).rows.to_numpy()
            found = series.where("value", condition, plan=plan)
            kernels.load()
            np.testing.assert_array_equal(found.rows.to_numpy(), expected)
            np.testing.assert_array_equal(series.where("value", condition, plan=plan).rows.to_numpy(), expected)

    def test_batches_are_gathered(self, store: Any) -> None:
        series = store.kline("A", "1m")
        points, ranges = series.at_many(TIMES), series.ranges(TIMES, TIMES + MINUTE)
        expected = series.at_many(TIMES).rows.close.copy(), series.ranges(TIMES, TIMES + MINUTE).rows.close.copy()
        kernels.load()
        np.testing.assert_array_equal(points.rows.close, expected[0])
        np.testing.assert_array_equal(ranges.rows.close, expected[1])

    def test_a_worker_gathers_its_windows(self, store: Any) -> None:
        matrix = store.feature_matrix([fastk.feature_series_key(symbol, "1m", "x") for symbol in "AB"])
        worker = pickle.loads(pickle.dumps(matrix.dataset(length=32)))
        places = (0, 17, len(worker) - 1)
        expected = [worker[place] for place in places]
        kernels.load()
        for place, values in zip(places, expected, strict=True):
            np.testing.assert_array_equal(worker[place], values)
            np.testing.assert_array_equal(values, matrix.values[place : place + 32])

    def test_a_replay_goes_on(self, store: Any) -> None:
        whole, halved = (fastk.merged_replay([store.kline(s, "1m") for s in "AB"]) for _ in range(2))
        expected = whole.next_batch(2 * ROWS)
        first = halved.next_batch(ROWS // 3)
        kernels.load()
        rest = halved.next_batch(2 * ROWS)
        for name in ("source", "row", "ts"):
            parts = [getattr(batch, name) for batch in (first, rest)]
            np.testing.assert_array_equal(np.concatenate(parts), getattr(expected, name))
        both = np.concatenate([first.column("close"), rest.column("close")])
        np.testing.assert_array_equal(both, expected.column("close"))
