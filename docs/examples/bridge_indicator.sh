#!/bin/sh
# An indicator by the JSON bridge, in shell: bars go in, a program that knows nothing of FastK calculates a moving average
# from the JSON that comes out, the values go back in, and are asked. Needs fastk_bridge and any python3.
# Leaves a store in the folder shell-store (or the one that is named as argument).
set -eu
series="--root ${1:-shell-store} --symbol BTCUSDT --timeframe 1h"
start=1704067200000 end=1706745599999 # January 2024

# A program that makes bars, and one that turns bars into a moving average: JSON in, JSON out, no FastK.
make_bars='
import json
bars = [dict(ts=1704067200000 + 3600000 * i, open=c, high=c, low=c, close=c, volume=1)
        for i in range(744) for c in [4200000 + abs(i % 400 - 200) * 25]]
print(json.dumps(dict(timeframe_ms=3600000, price_scale=100, volume_scale=1, records=bars)))'
average='
import json, sys
bars = json.load(sys.stdin)["records"]
means = [(bars[i]["ts"], sum(bar["close"] for bar in bars[i - 23 : i + 1])) for i in range(23, len(bars))]
print(json.dumps(dict(records=[dict(ts=ts, value=round(total / 24)) for ts, total in means])))'

python3 -c "$make_bars" | fastk_bridge write-kline-range $series
fastk_bridge read-kline-range $series --start-ts $start --end-ts $end |
  python3 -c "$average" |
  fastk_bridge write-indicator-range $series --indicator-name sma_24
fastk_bridge query-scalar-predicate $series --category indicator --name sma_24 \
  --start-ts $start --end-ts $end --predicate gt --value 4204600 --return-values
