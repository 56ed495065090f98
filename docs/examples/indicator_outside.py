"""An indicator that is calculated outside of the store: read bars, calculate with numpy, write it back, ask it.

Shows: bars as zero-copy columns; an RSI as a series of its own, beside the bars; exact decimals through a scale;
rows where the indicator is above a level, and the bars at those times. Needs numpy only, makes its own data, and
leaves a store in the folder `indicator-store` (or the one that is named as argument).
"""

import sys

import numpy as np

import fastk

MINUTE = 60_000
PERIOD = 14


def bars(days: int) -> dict[str, np.ndarray]:
    """A random walk of minutes, in cents and in thousandths of a coin."""
    rng = np.random.default_rng(2024)
    close = 4_200_000 + np.cumsum(rng.integers(-900, 901, days * 1_440))
    open_ = np.concatenate([close[:1], close[:-1]])
    return {
        "ts": milliseconds("2024-01-01") + MINUTE * np.arange(close.size),
        "open": open_,
        "high": np.maximum(open_, close) + 100,
        "low": np.minimum(open_, close) - 100,
        "close": close,
        "volume": rng.integers(1, 5_000, close.size),
    }


def milliseconds(date: str) -> int:
    """A UTC date as the milliseconds that the store counts."""
    return int(np.datetime64(date, "ms").astype(np.int64))


def rsi(close: np.ndarray, period: int) -> np.ndarray:
    """The relative strength index by plain means, from 0 to 100; one value for each bar from `period` on."""
    moves = np.diff(close.astype(np.float64))
    sums = [np.convolve(np.maximum(side, 0), np.ones(period), "valid") for side in (moves, -moves)]
    return 100 * sums[0] / np.maximum(sums[0] + sums[1], 1)


def main(root: str) -> None:
    """Bars in, an indicator out, and what it says."""
    with fastk.open(root) as store:
        klines = store.register_kline_series("BTCUSDT", "1m", MINUTE, price_scale=100, volume_scale=1_000)
        klines.put(bars(days=60))

        rows = klines.range()  # here the calculation begins: any program, any library
        values = np.round(rsi(rows.close, PERIOD), 2)

        indicator = store.register_indicator_series("BTCUSDT", "1m", f"rsi_{PERIOD}", value_scale=100)
        indicator.put({"ts": rows.ts[PERIOD:], "value": values}, decoded=True)
        assert np.array_equal(indicator.range().decoded("value"), values)  # to the last decimal

        hot = indicator.where("value", fastk.Gt(85 * 100))  # stored integers: 85.00 is 8,500
        price = klines.at_many(hot.rows.ts).rows.decoded("close")
        print(f"{len(klines):,} bars, {len(indicator):,} values of rsi_{PERIOD}")
        print(f"above 85: {len(hot):,} minutes, at prices from {price.min():,.2f} to {price.max():,.2f}")
        print(f"rows looked at to find them: {hot.stats.rows_checked:,}, by {hot.stats.index_used.value}")

        day = indicator.where("value", fastk.Lt(15 * 100), "2024-02-10", "2024-02-11", closed="left")
        print(f"below 15 on 10 February: {[str(ts)[11:16] for ts in day.rows.ts[:4].view('datetime64[ms]')]}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "indicator-store")
