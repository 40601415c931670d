// What a large datastore costs: to wake, nothing more than a small one; to hold, no memory.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, test } from "node:test";
import { contractBuild, long, native, relay, set } from "./house.mjs";
import { next } from "./wire.mjs";

const skip = native && "it is the object on workerd that sleeps and wakes";
const many = long ? 1_000_000 : 50_000;
const each = 500;
let build;
before(async () => {
  build = skip ? undefined : await contractBuild();
});

/** Ends the logs of all databases, as whoever closes them last does. */
function settle(data) {
  const dir = join(data, "objects", "neap-Datastore");
  for (const name of readdirSync(dir).filter((name) => /^[0-9a-f]+\.sqlite$/.test(name))) {
    const db = new DatabaseSync(join(dir, name));
    db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    db.close();
  }
}

const median = (values) => values.sort((x, y) => x - y)[Math.floor(values.length / 2)];

async function fill(r, id, records) {
  const a = await r.socket(id);
  await a.greet();
  const text = "x".repeat(each - 40);
  for (let i = 0; i < records; i += 1_000) {
    a.acked = a.turn;
    a.push(Array.from({ length: Math.min(1_000, records - i) }, (_, j) => set("c", `${i + j}`, { text })));
    await a.outcome(a.turn);
    a.frames.length = 0;
  }
  a.socket.close();
  await a.whenClosed();
}

test("an object wakes as fast with many records as with few, and holds none of them in memory", { skip }, async (t) => {
  const r = await relay(t, { build, vars: { NEAP_RATE_MUTATIONS: "1000000", NEAP_RATE_BYTES: "1000000000", NEAP_MAX_RECORDS: `${many + 1}` } });
  await r.call("POST", "/v1/datastores", { id: "warm" });
  await fill(r, "few", 10);
  await fill(r, "many", many);
  const wakes = { few: [], many: [] };
  for (let round = 0; round < 5; round += 1) {
    await r.kill();
    // What a power cut leaves in the log of a database is read first, and has nothing to do with its size. An
    // object that goes to sleep leaves none.
    settle(r.data);
    await r.restart();
    // The process is warm; the objects are not.
    for (let i = 0; i < 5; i += 1) await r.call("PUT", "/v1/datastores/warm/collections/c/records/k", { round });
    for (const id of round % 2 ? ["few", "many"] : ["many", "few"]) {
      const start = performance.now();
      assert.equal((await r.call("PUT", `/v1/datastores/${id}/collections/c/records/5`, { round })).status, 200);
      wakes[id].push(performance.now() - start);
    }
  }
  const [few, most] = [median(wakes.few), median(wakes.many)];
  t.diagnostic(`to the first answered write: ${few.toFixed(1)} ms with 10 records, ${most.toFixed(1)} ms with ${many}`);
  assert(most <= Math.max(few * 1.5, few + 10));

  // Somebody takes all of it, page by page, while others write.
  const reader = await r.socket("many");
  reader.take = (frame) => reader.frames.push(frame);
  let isRead = false;
  const others = (async () => {
    let written = 0;
    for (; !isRead; written += 1) assert.equal((await r.call("PUT", "/v1/datastores/many/collections/c/records/new", { written })).status, 200);
    return written;
  })();
  await readAll(reader);
  isRead = true;
  assert(await others > 0);
  assert.equal((await r.call("GET", "/v1/datastores/many")).body.records, many + 1);
  const { memory } = (await r.call("POST", "/v1/datastores/few/contract", "counts")).body;
  t.diagnostic(`${many} records, ${((many * each) / 1e6).toFixed(0)} MB: ${(memory / 2 ** 20).toFixed(1)} MiB of wasm memory`);
  assert(memory < 64 * 2 ** 20);
});

async function readAll(raw) {
  raw.live = async () => {
    for (let seen = 0; ; ) {
      const page = await raw.wait("a page", (frame, at) => at >= seen && frame.kind === "page", 60_000);
      if (page.last) return;
      // Those that came ahead of the question stay.
      raw.frames.splice(1, raw.frames.indexOf(page));
      seen = 1;
      raw.send(next(page.cursor));
    }
  };
  await raw.greet();
}
