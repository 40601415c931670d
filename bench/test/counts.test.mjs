// What does not depend on the clock: frames and bytes of the wire, and calls into WebAssembly, for each operation.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startRelay } from "../../tools/relay.mjs";
import { records, unpaced } from "../data.mjs";
import { renewed } from "../joiners.mjs";
import { countCalls } from "../wasm.mjs";

const wasm = countCalls();
const { open } = await import("neap");

/** A WebSocket class that counts binary frames and their bytes, both ways. */
function counting() {
  const sum = { up: 0, upBytes: 0, down: 0, downBytes: 0 };
  class Counted extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string") return;
        sum.down += 1;
        sum.downBytes += data.byteLength ?? data.size;
      });
    }

    send(data) {
      if (typeof data !== "string") {
        sum.up += 1;
        sum.upBytes += data.byteLength;
      }
      super.send(data);
    }
  }
  return { WebSocket: Counted, now: () => ({ ...sum }) };
}

async function relayed(t) {
  const data = await mkdtemp(join(tmpdir(), "neap-counts-"));
  const relay = await startRelay({ data, vars: unpaced });
  t.after(async () => {
    await relay.stop();
    await rm(data, { recursive: true, force: true });
  });
  const join_ = async () => {
    const wire = counting();
    const ds = await open({ relay: relay.url, id: "counts", kind: "permanent", storage: "memory", WebSocket: wire.WebSocket });
    t.after(() => ds.close());
    await ds.ready;
    return { ds, tasks: ds.collection("tasks"), wire };
  };
  return join_;
}

const minus = (after, before) => Object.fromEntries(Object.entries(after).map(([key, value]) => [key, value - before[key]]));
const reaches = async (ds, seq) => {
  while (ds.seq < seq) await new Promise((done) => setTimeout(done, 5));
};
const bytesOf = (some) => Buffer.byteLength(JSON.stringify(some));

test("a mutation alone is a frame up, one down, and one to each reader", async (t) => {
  const person = await relayed(t);
  const [ann, ben] = [await person(), await person()];
  const all = records(20);
  const before = [ann.wire.now(), ben.wire.now()];
  for (const record of all) await ann.tasks.set(record).settled;
  await reaches(ben.ds, ann.ds.seq);
  const [author, reader] = [minus(ann.wire.now(), before[0]), minus(ben.wire.now(), before[1])];
  t.diagnostic(JSON.stringify({ author, reader, json: bytesOf(all) }));
  assert.deepEqual([author.up, author.down, reader.up, reader.down], [20, 20, 0, 20]);
  // What a record's JSON does not say: author, turn, collection, key, seq, digest. The author is told its own record
  // as well, since what a mutation came to is the relay's to say.
  for (const [what, bytes] of Object.entries({ up: author.upBytes, "down to the author": author.downBytes, "to the reader": reader.downBytes }))
    assert.ok(bytes <= bytesOf(all) + 20 * 45, `${bytes} bytes ${what}`);
});

test("a thousand mutations of one turn share their frames", async (t) => {
  const person = await relayed(t);
  const [ann, ben] = [await person(), await person()];
  const before = [ann.wire.now(), ben.wire.now()];
  for (const record of records(1000)) ann.tasks.set(record);
  await ann.ds.settled();
  await reaches(ben.ds, ann.ds.seq);
  const [author, reader] = [minus(ann.wire.now(), before[0]), minus(ben.wire.now(), before[1])];
  t.diagnostic(JSON.stringify({ author, reader }));
  for (const [what, frames] of Object.entries({ up: author.up, down: author.down, "to the reader": reader.down })) assert.ok(frames <= 20, `${frames} frames ${what}`);
});

test("catching up costs at most 1.1 times the JSON of the records, later 1.2 times that of what has changed", async (t) => {
  const person = await relayed(t);
  const all = records(5000);
  const ann = await person();
  ann.ds.transact((tx) => all.forEach((record) => tx.collection("tasks").set(record)));
  await ann.ds.settled();
  const ben = await person();
  const whole = ben.wire.now();
  t.diagnostic(`${(whole.downBytes / bytesOf(all)).toFixed(3)} × the JSON, ${whole.up} frames up, ${whole.down} down`);
  assert.ok(whole.downBytes <= 1.1 * bytesOf(all), `${whole.downBytes} bytes`);
  for (const changes of [10, 1000]) {
    ben.ds.goOffline();
    const news = renewed(all, changes).map((record) => ({ ...record, pri: changes }));
    ann.ds.transact((tx) => news.forEach((record) => tx.collection("tasks").set(record)));
    await ann.ds.settled();
    const before = ben.wire.now();
    ben.ds.goOnline();
    await reaches(ben.ds, ann.ds.seq);
    const { downBytes } = minus(ben.wire.now(), before);
    t.diagnostic(`${changes} changed: ${(downBytes / bytesOf(news)).toFixed(3)} × their JSON`);
    assert.ok(downBytes <= 1.2 * bytesOf(news), `${downBytes} bytes for ${bytesOf(news)}`);
  }
});

test("calls into WebAssembly: a handful for all that is written in a turn, none for a read", async (t) => {
  const ds = await open({ relay: null, storage: "memory" });
  const tasks = ds.collection("tasks");
  const all = records(1000);
  const turn = () => new Promise((done) => setTimeout(done));
  const counted = async (work, operations = all.length) => {
    const before = wasm.calls();
    await work();
    await turn();
    return (wasm.calls() - before) / operations;
  };
  const alone = async () => {
    for (const record of all.slice(0, 100)) {
      tasks.set({ ...record, pri: 12 });
      await turn();
    }
  };
  const calls = {
    bulk: await counted(() => ds.transact((tx) => all.forEach((record) => tx.collection("tasks").set(record)))),
    write: await counted(() => all.forEach((record) => tasks.set({ ...record, pri: 11 }))),
    "write in a turn of its own": await counted(alone, 100),
    get: await counted(() => all.forEach(({ id }) => tasks.get(id))),
    iterate: await counted(() => [...tasks]),
    "iterate again": await counted(() => [...tasks]),
  };
  t.diagnostic(JSON.stringify(calls));
  await ds.close();
  assert.ok(calls.bulk > 0, "nothing was counted");
  assert.ok(calls.bulk <= 0.1 && calls.write <= 0.1, JSON.stringify(calls));
  assert.ok(calls["write in a turn of its own"] <= 20, JSON.stringify(calls));
  assert.deepEqual([calls.get, calls.iterate, calls["iterate again"]], [0, 0, 0]);
});
