"""A store that is prepared once, for other tools: bars, features and a signal go in; then everybody only reads.

Shows: one writer that loads everything; the store reopened read-only; a second Python process that takes columns of
several series and hands them on as a plain `.npy` file; a tool without FastK that maps this file with numpy; and a
caller of the JSON bridge, which could be written in any language. Leaves a store in the folder `prepared-store` (or
the one that is named as argument).
"""

import json
import subprocess
import sys

import numpy as np

import fastk

HOUR = 3_600_000
START, HOURS = 1_704_067_200_000, 2_000  # 2024-01-01

RESEARCH = """
import sys, numpy as np, fastk
with fastk.open(sys.argv[1], mode="r") as store:
    names = [entry.name for entry in store.list_series("ETHUSDT", "feature")]
    columns = [store.series(("ETHUSDT", "feature", name)).range(int(sys.argv[2])).decoded("value") for name in names]
np.save("features.npy", np.column_stack(columns))
"""


def prepare(root: str) -> None:
    """The one writer."""
    close = 220_000 + np.cumsum(np.random.default_rng(5).integers(-500, 501, HOURS))
    ts = START + HOUR * np.arange(HOURS)
    with fastk.open(root) as store:
        bars = store.register_kline_series("ETHUSDT", "1h", HOUR, price_scale=100)
        bars.put({"ts": ts, "volume": np.ones_like(close)} | dict.fromkeys(("open", "high", "low", "close"), close))
        averages = {}
        for window in (24, 168):
            averages[window] = np.convolve(close, np.ones(window), "valid") / window / 100
            key = fastk.feature_series_key("ETHUSDT", "1h", f"sma_{window:03}")
            feature = store.register_scalar_series(key, HOUR, value_scale=10_000)
            feature.put({"ts": ts[window - 1 :], "value": np.round(averages[window], 4)}, decoded=True)
        trend = np.sign(averages[24][168 - 24 :] - averages[168]).astype(int)
        signal = store.register_scalar_series(fastk.signal_series_key("ETHUSDT", "1h", "trend"), HOUR)
        signal.put({"ts": ts[167:], "value": trend})


def main(root: str) -> None:
    """The writer, then four kinds of readers."""
    prepare(root)
    first = START + 167 * HOUR  # where the longest average begins

    with fastk.open(root, mode="r") as store:  # takes no lock, needs no permission to write
        stats = store.store_stats()
        print(f"prepared: {stats.series_count} series, {stats.record_count:,} rows")
        up = store.series(("ETHUSDT", "signal", "1h@@trend")).where("value", fastk.Eq(1))
        print(f"trend is 1 in {len(up):,} hours")

    subprocess.run([sys.executable, "-c", RESEARCH, root, str(first)], check=True)  # another process
    matrix = np.load("features.npy", mmap_mode="r")  # another tool: numpy alone
    print(f"features.npy: {matrix.shape[0]:,} rows x {matrix.shape[1]} features, {matrix.dtype}")

    bridge = [sys.executable, "-m", "fastk", "bridge", "query-scalar-predicate", "--root", root]
    options = "--symbol ETHUSDT --timeframe 1h --category signal --name trend --predicate eq --value 1"
    window = ["--start-ts", str(first), "--end-ts", str(START + HOUR * HOURS)]
    told = subprocess.run([*bridge, *options.split(), *window], check=True, capture_output=True).stdout
    matches = json.loads(told)["matches"]
    assert [match["ts"] for match in matches] == up.rows.ts.tolist()
    print(f"the bridge finds {len(matches):,} hours")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "prepared-store")
