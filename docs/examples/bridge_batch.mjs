// The bridge kept open: one process for many commands, one JSON object a line each way. Answers come in the order of the
// commands; the id that a command bears comes back in its answer.
//   node bridge_batch.mjs [store]
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A bridge process. `call` gives the answer as a promise, which an error of the bridge rejects. */
class Bridge {
  #waiting = new Map();
  #next = 1;

  /** @param {string} root */
  constructor(root) {
    this.process = spawn("fastk_bridge", ["batch", "--root", root], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.process.stdout }).on("line", (line) => this.#answered(JSON.parse(line)));
    for (const part of [this.process, this.process.stdin]) part.on("error", (error) => this.#fail(error));
    this.process.on("close", () => this.#fail(new Error("the bridge has ended")));
  }

  /** @param {string} command @param {object} options @returns {Promise<any>} */
  call(command, options) {
    const id = this.#next++;
    this.process.stdin.write(`${JSON.stringify({ id, command, ...options })}\n`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Ends the process when it has answered everything. */
  close() {
    this.process.stdin.end();
  }

  #answered({ id, error, ...answer }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) reject(Object.assign(new Error(error.message), { name: error.type }));
    else resolve(answer);
  }

  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const bridge = new Bridge(process.argv[2] ?? "node-store");
const signal = { symbol: "BTCUSDT", timeframe: "1m", category: "signal", name: "trend" };
const start = Date.UTC(2024, 1, 1);
const records = Array.from({ length: 1_000 }, (_, i) => ({ ts: start + 60_000 * i, value: Math.sign((i % 300) - 150) }));
const window = { start_ts: start, end_ts: start + 60_000 * 999 };

await bridge.call("write-scalar-range", { ...signal, input: { timeframe_ms: 60_000, records } });
const queries = [-1, 0, 1].map((value) =>
  bridge.call("query-scalar-predicate", { ...signal, ...window, predicate: "eq", value }));
for (const { predicate, stats } of await Promise.all(queries)) {
  console.log(`signal ${predicate.Eq}: ${stats.rows_matched} minutes`);
}
await bridge.call("read-kline-range", { ...window, symbol: "ETHUSDT", timeframe: "1m" })
  .catch((error) => console.log(`${error.name}: ${error.message.slice(0, 38)}...`));
bridge.close();
