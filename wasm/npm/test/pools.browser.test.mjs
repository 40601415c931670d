// Merge pools in the local copy of a real Chromium: reloads, a gone relay, several tabs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { profile, until } from "./house.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const items = (page) => page.evaluate(() => ds.pool("p", { primary: "id" }).items());
const ids = async (page) => (await items(page)).map(({ id }) => id);

test("items and additions made offline are there after a reload without a relay, and arrive once", async (t) => {
  const { relay, tab, load } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    const pool = ds.pool("p", { primary: "id" });
    for (let n = 0; n < 300; n++) pool.add({ id: `k${String(n).padStart(3, "0")}`, n });
    pool.add({ id: "k007", n: "later" });
    await ds.settled();
    ds.goOffline();
    await pool.add([{ id: "offline" }, { id: "k008", n: "offline" }]).durable;
  });
  const before = await items(page);
  assert.equal(before.length, 301);
  // Everything that is due is on the disk before the page goes.
  await page.evaluate(() => ds.close());
  await load(page);
  await page.evaluate(async (options) => {
    // No connection ever stands.
    globalThis.ds = await neap.open({ ...options, WebSocket: class extends EventTarget { close() {} } });
  }, options);
  assert.deepEqual(await items(page), before);
  assert.equal(await page.evaluate(() => ds.status.pending), 1);
  await page.evaluate(() => ds.close());
  await load(page, options);
  assert.deepEqual(await items(page), before);
  await page.evaluate(() => ds.settled());
  const other = await (await browser.newContext()).newPage();
  t.after(() => other.context().close());
  await load(other, options);
  await other.evaluate(() => ds.pool("p", { primary: "id" }).whenConverged());
  assert.deepEqual(await items(other), before);
  assert.deepEqual(await page.evaluate(() => trouble), []);
  const told = await (await fetch(`${relay.url}/v1/datastores/board/pools/p/items`)).json();
  assert.equal(told.seq, 303, "301 items, two of them twice");
});

test("tabs over one copy have one pool", async (t) => {
  const { relay, tab, load } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(options), await tab(options)];
  for (const page of [one, two]) await page.evaluate(() => ds.pool("p", { primary: "id" }) && ds.ready);
  await one.evaluate(() => ds.pool("p").add([{ id: "a" }, { id: "b" }]).settled);
  await two.evaluate(() => ds.pool("p").add([{ id: "b" }, { id: "c" }]).settled);
  for (const page of [one, two]) await until(async () => (await ids(page)).length === 3, "all three");
  await Promise.all([one, two].map((page) => page.evaluate(() => ds.pool("p").whenConverged())));
  await two.evaluate(() => ds.close());
  await two.close();
  await one.evaluate(() => ds.close());
  await relay.stop();
  await load(one, options);
  assert.deepEqual(await ids(one), ["a", "b", "c"]);
});
