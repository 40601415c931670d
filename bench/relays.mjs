// What a mutation costs a relay, with 50 readers, beside a Durable Object that does nothing but insert and send.
// The load comes from a program of its own, in Rust, open loop.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { at, run } from "../tools/house.mjs";
import { startRelay } from "../tools/relay.mjs";
import { unpaced } from "./data.mjs";

const program = at("bench", "load", "target", "release", "neap-load");
const bundles = at("bench", "build");

const worker = (name, protocol, says) => ({ says, protocol, start: (data) => startRelay({ data, build: join(bundles, name) }) });

export const relays = {
  null: {
    says: "ceiling of the load program: a server of its own that repeats to all and stores nothing",
    protocol: "raw",
    async start() {
      const server = spawn(program, ["null"], { stdio: ["ignore", "pipe", "inherit"] });
      const [line] = await once(server.stdout, "data");
      return { url: String(line).trim(), pid: server.pid, stop: () => server.kill() };
    },
  },
  raw: worker("raw", "raw", "limit: a Durable Object that inserts each message, commits it alone and sends it to everyone; no order kept, no repeats known, no catch-up"),
  neap: {
    says: "the relay: exactly once, digest, catch-up, group commit before the acknowledgement",
    protocol: "neap",
    start: (data) => startRelay({ data, vars: unpaced }),
  },
  partyserver: worker("party", "raw", "broadcasts what it hears; stores, orders and acknowledges nothing"),
  "y-partyserver": worker("y-party", "yjs", "merges each update into a document in memory and sends it on; saved 2 to 10 s later, acknowledged never"),
  tinybase: worker("tinybase", "tinybase", "WsServerDurableObject: passes frames on; stores and acknowledges nothing"),
  "tinybase-persisted": worker("tinybase-persisted", "tinybase", "WsServerDurableObject with its SQLite persister, fragmented: merges and stores; the frame leaves before it is stored, nothing is acknowledged"),
  tldraw: worker("tldraw", "tldraw", "TLSocketRoom over SQLiteSyncStorage: checks, orders, stores, acknowledges; frames of a reader are gathered for 16 ms"),
};

const pick = (...names) => Object.fromEntries(names.map((name) => [name, relays[name]]));

/** Those that acknowledge what they have stored. */
export const durable = pick("null", "raw", "neap", "tldraw");

/** Neap and the limits at a rate that no peer takes in. */
export const swift = pick("null", "raw", "neap");

/** Builds the load program. */
export const buildLoad = () => run("cargo", ["build", "--release", "--quiet"], { cwd: at("bench", "load") });

/** Bundles the peers' workers, each into a directory of its own. */
export async function buildWorkers() {
  const { build } = await import("esbuild");
  const names = ["raw", "party", "y-party", "tinybase", "tinybase-persisted", "tldraw"];
  if (!existsSync(bundles)) mkdirSync(bundles);
  await build({
    entryPoints: names.map((name) => ({ in: at("bench", "workers", `${name}.js`), out: join(name, "index") })),
    outdir: bundles,
    bundle: true,
    format: "esm",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:workers"],
    logLevel: "warning",
  });
}

/** One run of a load, `["fan-out", rate]` or `["in-flight"]`, with so many clients against one relay; `look` sees it before it ends. */
export async function measure(name, [mode, rate], { seconds, clients }, look = () => {}) {
  const { protocol, start } = relays[name];
  const data = mkdtempSync(join(tmpdir(), "neap-bench-"));
  const relay = await start(data);
  try {
    const url = `${relay.url.replace(/^http/, "ws")}/v1/datastores/bench/socket`;
    const numbers = rate === undefined ? [seconds, clients, relay.pid] : [seconds, clients, rate, relay.pid];
    const told = execFileSync(program, [mode, protocol, url, ...numbers.map(String)], { encoding: "utf8", timeout: 120_000 });
    await look(url);
    return JSON.parse(told);
  } finally {
    await relay.stop();
    rmSync(data, { recursive: true, force: true });
  }
}
