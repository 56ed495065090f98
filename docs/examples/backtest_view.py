"""What a backtest reads: bars and an indicator, attached by a plan, prewarmed, and unchanged while others write.

Shows: a view of the store that attaches all series of a plan or none; snapshots of inventory, health and capabilities;
points, ranges and conditions on the attached state; how the view moves on. The indicator is calculated outside, the
data are made up, and a store is left in the folder `backtest-store` (or the one that is named as argument).
"""

import sys

import numpy as np

import fastk
from fastk import BacktestKlineBinding, BacktestPreparePlan, ScopedScalarBinding

MINUTE = 60_000
START = 1_706_745_600_000  # 2024-02-01T00:00:00Z
PERIOD = 30


def bars(first: int, count: int) -> dict[str, np.ndarray]:
    """A wave of minutes, in cents; the same minute is the same bar in every run."""
    minutes = np.arange(first, first + count)
    close = 4_200_000 + np.rint(90_000 * np.sin(minutes / 97) + 20_000 * np.sin(minutes / 11)).astype(np.int64)
    volume = 1 + minutes % 500
    return {"ts": START + MINUTE * minutes, "open": close - 40, "high": close + 90, "low": close - 110,
            "close": close, "volume": volume}  # fmt: skip


def distance(close: np.ndarray) -> np.ndarray:
    """How far the close lies above the mean of the last minutes, in cents: calculated by the caller, not the store."""
    means = np.convolve(close, np.ones(PERIOD) / PERIOD, "valid")
    return np.rint(close[PERIOD - 1 :] - means).astype(np.int64)


def write(store: fastk.FastKStore, first: int, count: int) -> None:
    """Append bars, and the indicator of those that have enough bars before them."""
    store.put_kline_chunk("BTCUSDT", "1m", bars(first, count))
    rows = store.kline("BTCUSDT", "1m").latest(count + PERIOD - 1)
    store.put_indicator_chunk("BTCUSDT", "1m", "distance", {"ts": rows.ts[PERIOD - 1 :], "value": distance(rows.close)})


def main(root: str) -> None:
    """A store is filled, a view attached and read, more is written, and the view moves."""
    with fastk.open(root) as store:
        store.register_kline_series("BTCUSDT", "1m", MINUTE, price_scale=100)
        store.register_indicator_series("BTCUSDT", "1m", "distance", value_scale=100)
        write(store, 0, 10_000)

        view = store.backtest_view(attached_only=True)
        plan = BacktestPreparePlan(
            kline=[BacktestKlineBinding("BTCUSDT", "1m")],
            scalar=[ScopedScalarBinding.indicator("BTCUSDT", "1m", "distance")],
            prewarm=True,
        )
        view.initialize(plan)
        found = view.capability_snapshot()
        health = found.health
        print(f"attached: {len(found.inventory)} series, {len(found.scalar_capabilities)} with scalar capabilities")
        print(f"health: {health.clean_series_count} clean, {health.issue_series_count} with issues, "
              f"{health.orphan_count} orphans")  # fmt: skip

        write(store, 10_000, 500)  # the market goes on; the view does not see it
        last = view.get_latest_n("BTCUSDT", "1m", 3)
        assert last.ts.tolist() == (START + MINUTE * np.array([9_997, 9_998, 9_999])).tolist()
        far = view.find_scalar_timestamps_via_zmap(
            "BTCUSDT", "1m", "indicator", "distance", fastk.Gt(25_000), None, None
        )
        entry = view.get_kline_at("BTCUSDT", "1m", int(far[0]))
        print(f"far above the mean: {len(far):,} minutes, first at {entry.close / 100:,.2f}")
        tail = view.get_indicator_range("BTCUSDT", "1m", "distance", START + 9_990 * MINUTE, None)
        print(f"last distances: {tail.decoded('value')[-3:].tolist()}")

        print(f"moved: {view.refresh()} of {len(view.attached())} series, "
              f"{len(view.kline('BTCUSDT', '1m')):,} bars now")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "backtest-store")
