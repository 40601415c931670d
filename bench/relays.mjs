// What a mutation costs the relay, with 50 readers, beside a Durable Object that does nothing but insert and send.
// The load comes from a program of its own, in Rust, open loop.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { at, run } from "../tools/house.mjs";
import { startRelay } from "../tools/relay.mjs";
import { unpaced } from "./data.mjs";

const program = at("bench", "load", "target", "release", "neap-load");

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
  raw: {
    says: "limit: a Durable Object that inserts each message, commits it alone and sends it to everyone; no order kept, no repeats known, no catch-up",
    protocol: "raw",
    start: (data) => startRelay({ data, build: at("bench", "raw") }),
  },
  neap: {
    says: "the relay: exactly once, digest, catch-up, group commit before the acknowledgement",
    protocol: "neap",
    start: (data) => startRelay({ data, vars: unpaced }),
  },
};

/** Builds the load program. */
export const buildLoad = () => run("cargo", ["build", "--release", "--quiet"], { cwd: at("bench", "load") });

/** One run of a load, `["fan-out", rate]` or `["in-flight"]`, with 50 clients against one relay. */
export async function measure(name, [mode, rate], { seconds, clients }) {
  const { protocol, start } = relays[name];
  const data = mkdtempSync(join(tmpdir(), "neap-bench-"));
  const relay = await start(data);
  try {
    const url = `${relay.url.replace(/^http/, "ws")}/v1/datastores/bench/socket`;
    const numbers = rate === undefined ? [seconds, clients, relay.pid] : [seconds, clients, rate, relay.pid];
    return JSON.parse(execFileSync(program, [mode, protocol, url, ...numbers.map(String)], { encoding: "utf8", timeout: 120_000 }));
  } finally {
    await relay.stop();
    rmSync(data, { recursive: true, force: true });
  }
}
