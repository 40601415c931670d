// Several tabs of one person in a real Chromium: what one has pending shows in the others.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { profile, until } from "./house.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const shows = (page, key, wanted) =>
  page.waitForFunction(([key, wanted]) => JSON.stringify(tasks.get(key)) === JSON.stringify(wanted), [key, wanted]);
const isPending = (page, key) => page.evaluate((key) => tasks.meta(key).pending, key);

/** Notes what a tab is told of a key from here on. */
const watch = (page) =>
  page.evaluate(() => {
    globalThis.seen = [];
    tasks.subscribe(({ changes }) => seen.push(...changes.map(({ key, after, origin }) => [key, after, origin])));
  });

test("an edit shows in the other tabs at once, offline too, and settles without a flicker", async (t) => {
  const { relay, tab } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(options), await tab(options)];
  for (const page of [one, two]) await page.evaluate(() => ds.ready.then(() => ds.goOffline()));
  await watch(two);
  await one.evaluate(() => {
    tasks.set({ id: "a", n: 1 });
    tasks.patch("a", { n: 2 }, { ifSeq: 1 });
    return tasks.patch("a", { m: 3 }).durable;
  });
  const last = { id: "a", m: 3 };
  await one.waitForFunction(() => tasks.get("a") !== undefined);
  const wanted = await one.evaluate(() => tasks.get("a"));
  await shows(two, "a", wanted);
  assert.equal(wanted.m, last.m);
  assert.equal(await isPending(two, "a"), true);
  assert.equal(await two.evaluate(() => ds.status.pending), 0, "it is not its own");

  await one.evaluate(() => (ds.goOnline(), ds.settled()));
  assert.equal(await isPending(two, "a"), true, "it is still offline");
  await two.evaluate(() => ds.goOnline());
  await two.waitForFunction(() => !tasks.meta("a").pending);
  assert.deepEqual(await two.evaluate(() => tasks.get("a")), wanted);
  const seen = await two.evaluate(() => seen);
  assert.deepEqual(seen.at(-1), ["a", wanted, "remote"]);
  assert.ok(seen.every(([key, after, origin]) => key === "a" && after !== null && origin === "remote"), JSON.stringify(seen));
  const count = seen.length;
  await two.evaluate(() => tasks.set({ id: "b" }).settled);
  assert.equal(await two.evaluate(() => seen.filter(([key]) => key === "a").length), count);
});

test("live tabs see each edit once, in both directions", async (t) => {
  const { relay, tab } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const tabs = [await tab(options), await tab(options), await tab(options)];
  for (const page of tabs) await page.evaluate(() => ds.ready);
  await Promise.all(tabs.map(watch));
  await Promise.all(tabs.map((page, who) => page.evaluate(async (who) => {
    for (let n = 0; n < 30; n++) {
      tasks.set({ id: `${who}-${n}`, n });
      if (n % 7 === 0) await new Promise((done) => setTimeout(done));
    }
    await ds.settled();
  }, who)));
  await until(async () => {
    const digests = await Promise.all(tabs.map((page) => page.evaluate(() => `${ds.digest} ${tasks.size}`)));
    return digests.every((digest) => digest === digests[0] && digest.endsWith(" 90"));
  }, "equal digests");
  for (const page of tabs) {
    const seen = await page.evaluate(() => seen.map(([key, after]) => (after ? key : "gone")));
    assert.equal(seen.length, new Set(seen).size, "each key is told once");
    assert.equal(seen.length, 90);
    await page.waitForFunction(() => [...tasks.keys()].every((key) => !tasks.meta(key).pending));
    assert.deepEqual(await page.evaluate(() => trouble), []);
  }
});

test("a tab that opens late asks what is pending; a refusal takes it away everywhere", async (t) => {
  const { relay, tab } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const one = await tab(options);
  await one.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "a", by: "somebody" }).settled;
    ds.goOffline();
    tasks.set({ id: "new" });
    await tasks.set({ id: "a", by: "one" }, { ifSeq: 1 }).durable;
  });
  const other = await tab({ ...options, storage: "memory" });
  await other.evaluate(() => ds.ready.then(() => tasks.set({ id: "a", by: "other" }).settled));
  assert.equal(await other.evaluate(() => tasks.has("new")), false, "a tab in memory is no sibling");
  const late = await tab(options);
  await late.evaluate(() => ds.goOffline());
  await shows(late, "new", { id: "new" });
  await one.evaluate(() => (ds.goOnline(), ds.settled()));
  await late.evaluate(() => (ds.goOnline(), ds.ready));
  for (const page of [one, late, other]) {
    await shows(page, "a", { id: "a", by: "other" });
    await shows(page, "new", { id: "new" });
    await page.waitForFunction(() => !tasks.meta("a").pending && !tasks.meta("new").pending);
  }
  assert.equal(await one.evaluate(() => refused.length), 1);
  assert.equal(await late.evaluate(() => refused.length), 0, "its author is told, nobody else");
});

test("what a dead tab has left is delivered by another that runs, exactly once, refusals told there", async (t) => {
  const { relay, tab } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const [one, two, three] = [await tab(options), await tab(options), await tab(options)];
  for (const page of [one, two, three]) await page.evaluate(() => ds.ready);
  await one.evaluate(() => tasks.set({ id: "taken" }).settled);
  await until(() => two.evaluate(() => tasks.has("taken")), "taken");
  for (const page of [two, three]) await page.evaluate(() => ds.goOffline());
  await one.evaluate(async () => {
    ds.goOffline();
    for (let n = 0; n < 20; n++) tasks.set({ id: `k${n}`, n });
    tasks.set({ id: "taken", by: "one" }, { ifAbsent: true });
    await tasks.patch("k3", { patched: true }).durable;
  });
  await shows(two, "k3", { id: "k3", n: 3, patched: true });
  await one.close({ runBeforeUnload: false });
  const heirs = async () => Promise.all([two, three].map((page) => page.evaluate(() => ds.status.pending)));
  await until(async () => (await heirs()).sort().join() === "0,22", "one of them counts it as its own");
  assert.equal(await two.evaluate(() => tasks.size), 21);
  for (const page of [two, three]) await page.evaluate(() => (ds.goOnline(), ds.settled()));
  for (const page of [two, three]) {
    await page.waitForFunction(() => [...tasks.keys()].every((key) => !tasks.meta(key).pending));
    assert.equal(await page.evaluate(() => ds.seq), 22, "nothing arrived twice");
    assert.deepEqual(await page.evaluate(() => tasks.get("k3")), { id: "k3", n: 3, patched: true });
    assert.deepEqual(await page.evaluate(() => trouble), []);
  }
  const told = await Promise.all([two, three].map((page) => page.evaluate(() => refused)));
  assert.deepEqual(told.flat().map(({ ops }) => ops[0].data), [{ id: "taken", by: "one" }], "told once, with its data");
});

test("a tab that is reloaded leaves its edits to another; forget waits for nobody", async (t) => {
  const { relay, tab, load } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(options), await tab(options)];
  for (const page of [one, two]) await page.evaluate(() => ds.ready.then(() => ds.goOffline()));
  await one.evaluate(() => tasks.set({ id: "a" }).durable);
  await load(one, options);
  await shows(one, "a", { id: "a" });
  await two.evaluate(() => ds.goOnline());
  await until(() => one.evaluate(() => tasks.meta("a").seq === 1 && !tasks.meta("a").pending), "delivered");
  await two.evaluate(() => ds.forget());
  await until(() => one.evaluate(() => ds.status.storage === "memory"), "memory");
  await one.evaluate(() => tasks.set({ id: "b" }).settled);
  assert.equal(await one.evaluate(() => ds.seq), 2);
});
