// Replicas keep to the rates that the relay states, and nobody has to tell them twice.

import assert from "node:assert/strict";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { tempDir } from "./house.mjs";

const [perSecond, burst] = process.env.NEAP_LONG === "1" ? [1_000, 2_000] : [5_000, 10_000];
const many = 30_000;

test(`${many} mutations at ${perSecond} a second are all taken, none sooner than it may`, async (t) => {
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_RATE_MUTATIONS: `${perSecond}:${burst}` } });
  t.after(() => relay.stop());
  let connects = 0;
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args);
      connects += 1;
    }
  }
  const ds = await open({ relay: relay.url, storage: "memory", WebSocket: Counted });
  t.after(() => ds.close());
  const errors = [];
  ds.on("error", ({ code }) => errors.push(code));
  await ds.ready;
  const start = performance.now();
  const items = ds.collection("items");
  const last = Array.from({ length: many }, (_, n) => items.set({ id: `${n}`, n })).at(-1);
  assert.equal((await last.settled).status, "accepted");
  await ds.settled();
  const seconds = (performance.now() - start) / 1000;
  const least = (many - burst) / perSecond;
  t.diagnostic(`${many} in ${seconds.toFixed(1)} s; ${least} s at least`);
  assert.ok(seconds >= least * 0.99, `${seconds} s`);
  assert.deepEqual([ds.seq, connects, errors], [many, 1, []]);
});
