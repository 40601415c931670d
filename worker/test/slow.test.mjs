// One reader that stalls for ever, among others that do not: what it costs the relay, the others, and itself.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Bare, long, relay, set, until } from "./house.mjs";
import { decode, hello, next, read } from "./wire.mjs";

const MIB = 1024 * 1024;
// NEAP_RUNS=1 gives one of the five at a time, to a machine that is shared.
const plan = long ? { readers: 50, bytes: 200e6, runs: Number(process.env.NEAP_RUNS ?? 5) } : { readers: 10, bytes: 15e6, runs: 1 };
const size = 50_000;

/** Reads deltas as fast as they come and says so; keeps only when each of them came, and how late. */
class Reader extends Bare {
  unread = 0;
  delays = [];
  seq = 0;
  owed = 0;

  take(payload) {
    this.unread += payload.length;
    if (this.unread >= 256 * 1024) {
      this.send(read(this.unread));
      this.unread = 0;
    }
    const frame = decode(payload);
    if (frame.kind === "delta") {
      assert.equal(frame.from, this.seq, "deltas follow each other without gaps");
      this.seq = frame.to;
      this.owed += payload.length;
      const at = /^{"id":"\d+","at":([\d.]+)/.exec(frame.rows.at(-1).data);
      if (at) this.delays.push(performance.now() - Number(at[1]));
      return;
    }
    this.frames.push(frame);
  }
}

async function reader(r, id) {
  const one = await Reader.open(r.url(), id);
  one.send(hello({ authors: [{ id: randomBytes(16) }] }));
  await until("its page", () => one.frames.length === 2);
  return one;
}

const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))[1]) * 1024;

/** Passes the bytes with or without a stalled reader; gives what it cost. */
async function pass(t, { stalls }) {
  const r = await relay(t, { vars: { NEAP_RATE_BYTES: "1000000000", NEAP_RATE_MUTATIONS: "1000000" } });
  const a = await r.socket("a");
  await a.greet();
  const readers = [];
  for (let i = 0; i < plan.readers; i += 1) readers.push(await reader(r, "a"));
  const [stalled] = readers;
  if (stalls) stalled.tcp.pause();
  const others = readers.slice(1);
  const before = rss(r.pid());
  let most = before;
  const n = Math.ceil(plan.bytes / size);
  const text = randomBytes(size / 2).toString("hex");
  for (let i = 1; i <= n; i += 1) {
    a.acked = a.turn;
    a.frames.length = 0;
    await a.outcome(a.push([set("c", `${i % 20}`, { at: performance.now(), text })]));
    most = Math.max(most, rss(r.pid()));
  }
  await until("the others have heard all", () => others.every(({ seq }) => seq === n), 60_000);
  const delays = others.flatMap((one) => one.delays).sort((x, y) => x - y);
  assert(delays.length >= n, "lateness was seen");
  const spent = { growth: most - before, p99: delays[Math.floor(delays.length * 0.99)] };
  if (stalls) await resumes(r, stalled, n);
  for (const one of readers) one.tcp.destroy();
  a.socket.close();
  return spent;
}

/** It hears what it was owed, that it is behind, and by pages what it has missed. */
async function resumes(r, stalled, n) {
  stalled.tcp.resume();
  await until("it hears that it is behind", () => stalled.frames.at(-1).kind === "behind");
  assert(stalled.owed <= MIB, `${stalled.owed} bytes were kept for it`);
  assert(stalled.seq < n);
  let cursor = { after: stalled.seq, floor: stalled.seq };
  let taken = stalled.frames.length;
  for (let last = null; !last; ) {
    stalled.send(next(cursor));
    // Some come ahead.
    const place = await until("a page", () => stalled.frames.findIndex(({ kind }, at) => at >= taken && kind === "page") + 1);
    const page = stalled.frames[place - 1];
    assert.deepEqual(page.from, cursor, "each follows on the one before");
    taken = place;
    ({ cursor, last } = page);
    if (last) assert.equal(last.digest, (await r.call("GET", "/v1/datastores/a")).body.digest, "it ends equal");
  }
  stalled.seq = cursor.after;
  assert.equal((await r.call("PUT", "/v1/datastores/a/collections/c/records/new", {})).status, 200);
  await until("it hears what is new", () => stalled.seq === n + 1);
}

const median = (values) => values.sort((x, y) => x - y)[Math.floor(values.length / 2)];

test("a reader that stalls costs a bounded number of bytes, the others nothing, and catches up", async (t) => {
  const runs = [];
  for (let i = 0; i < plan.runs; i += 1) {
    runs.push({ without: await pass(t, { stalls: false }), with: await pass(t, { stalls: true }) });
  }
  const of = (which, what) => median(runs.map((run) => run[which][what]));
  const growth = [of("without", "growth"), of("with", "growth")];
  const p99 = [of("without", "p99"), of("with", "p99")];
  t.diagnostic(`${plan.bytes / 1e6} MB to ${plan.readers} readers, none stalled / one: RSS +${(growth[0] / 1e6).toFixed(1)} / +${(growth[1] / 1e6).toFixed(1)} MB, p99 of the others ${p99[0].toFixed(1)} / ${p99[1].toFixed(1)} ms`);
  assert(growth[1] <= growth[0] + 60e6);
  if (long) assert(p99[1] <= Math.max(p99[0] * 1.2, p99[0] + 10));
});
