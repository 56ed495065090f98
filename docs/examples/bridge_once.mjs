// A call of the JSON bridge from Node: one process a command. Bars are written from standard input of the bridge, read
// back, and a command that fails is told from one that succeeds.
//   node bridge_once.mjs [store]
import { spawnSync } from "node:child_process";

const root = process.argv[2] ?? "node-store";

/** @param {string} command @param {Record<string, string | number>} options @param {object} [payload] */
function bridge(command, options, payload) {
  const words = Object.entries({ root, ...options }).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const input = payload === undefined ? "" : JSON.stringify(payload);
  const done = spawnSync("fastk_bridge", [command, ...words], { input, encoding: "utf8", maxBuffer: 2 ** 30 });
  if (done.error) throw done.error; // fastk_bridge was not found
  if (done.status !== 0) throw new Error(done.stderr.trim()); // one line: fastk_bridge failed: ...
  return JSON.parse(done.stdout);
}

const series = { symbol: "BTCUSDT", timeframe: "1m" };
const start = Date.UTC(2024, 1, 1);
const records = Array.from({ length: 3 }, (_, minute) => ({
  ts: start + 60_000 * minute, open: 4_200_000, high: 4_200_100, low: 4_199_900, close: 4_200_000 + minute, volume: 5,
}));

const written = bridge("write-kline-range", series, { timeframe_ms: 60_000, price_scale: 100, volume_scale: 1_000, records });
console.log(`written: ${written.written_record_count}, registered: ${written.registered}`);

const read = bridge("read-kline-range", { ...series, "start-ts": start, "end-ts": start + 59_999 });
console.log(`first close: ${read.records[0].close / read.price_scale}`);

try {
  bridge("read-kline-range", { symbol: "ETHUSDT", timeframe: "1m", "start-ts": 0, "end-ts": 1 });
} catch (error) {
  console.log(`refused: ${error.message.slice(0, 60)}...`);
}
