// Pools on a disk that tabs share: what one tab has stored of them no other takes away, and nothing is acknowledged before.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { open } from "../dist/index.js";
import { profile, until } from "./house.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const terms = { primary: "id", retain: "converged" };
const openPool = (page) => page.evaluate((terms) => void (globalThis.pool = ds.pool("p", terms)), terms);
const items = (page) => page.evaluate(() => pool.size);

async function member(t, relay, id) {
  const ds = await open({ relay, id, storage: "memory" });
  t.after(() => ds.close());
  await ds.ready;
  return [ds, ds.pool("p", terms)];
}

for (const what of ["has not opened it", "comes later and knows nothing", "opens it when the relay has let go of all items"])
  test(`a tab keeps what another tab has stored of a pool, though it ${what}`, async (t) => {
    const { relay, tab, load, origin } = await profile(t, browser);
    const options = { relay: relay.url, id: "board" };
    const [other, pool] = await member(t, relay.url, "board");
    const early = what.startsWith("comes") ? undefined : await tab(options);
    const holder = await tab(options);
    await openPool(holder);
    const late = early ?? (await tab(options));
    for (const page of [holder, late]) await page.evaluate(() => ds.ready);
    for (let n = 0; n < 5; n += 1) pool.add({ id: `other ${n}` });
    await holder.evaluate(() => {
      for (const id of ["mine 0", "mine 1"]) pool.add({ id });
      return ds.settled();
    });
    await until(async () => pool.size === 7 && (await items(holder)) === 7, "all items everywhere");
    await pool.whenConverged();
    await holder.evaluate(() => pool.whenConverged().then(() => ds.close()));
    await holder.close();
    if (what.startsWith("opens")) {
      await openPool(late);
      await late.evaluate(() => pool.whenConverged());
    }
    // More than a log may hold: the tab that is left writes all pages anew.
    for (let n = 0; n < 40; n += 1) other.collection("tasks").set({ id: `${n}`, text: "x".repeat(50_000) });
    await other.settled();
    await until(() => late.evaluate(() => tasks.size === 40), "the records");
    await late.evaluate(() => ds.close());
    await late.goto(`${origin}/blank`);
    await load(late);
    await late.evaluate(async ([options, terms]) => {
      const ready = start(options);
      await ready;
      ds.goOffline();
      globalThis.pool = ds.pool("p", terms);
    }, [options, terms]);
    assert.equal(await items(late), 7, "offline");
    await late.evaluate(() => (ds.goOnline(), ds.ready));
    await late.evaluate(() => pool.whenConverged());
    assert.equal(await items(late), 7, "and with the relay, which has none of them");
    assert.deepEqual(await late.evaluate(() => trouble), []);
  });

test("a tab whose neighbour is busy with a pool delivers its edits, and stores what it hears", async (t) => {
  const { relay, tab } = await profile(t, browser);
  const options = { relay: relay.url, id: "board" };
  const [, pool] = await member(t, relay.url, "board");
  const holder = await tab(options);
  await openPool(holder);
  await holder.evaluate(() => ds.ready);
  let isOver = false;
  const busy = (async () => {
    for (let n = 0; !isOver; n += 1) {
      pool.add({ id: `${n}` });
      await new Promise((done) => setTimeout(done, 5));
    }
  })();
  await until(async () => (await items(holder)) > 20, "the pool is busy");
  const late = await tab(options);
  await late.evaluate(async () => {
    await ds.ready;
    for (let n = 0; n < 30; n += 1) await tasks.set({ id: `${n}`, text: "x".repeat(50_000) }).settled;
    await ds.settled();
  });
  await late.evaluate(() => ds.close());
  isOver = true;
  await busy;
  await until(async () => (await items(holder)) === pool.size, "all items");
  assert.deepEqual(await holder.evaluate(() => trouble), []);
});

test("items are acknowledged when they are on the disk: until then the relay keeps them", async (t) => {
  const { relay, tab, origin } = await profile(t, browser);
  const page = await tab({ relay: relay.url, id: "board" });
  await openPool(page);
  const [, pool] = await member(t, relay.url, "board");
  await page.evaluate(() => ds.ready);
  await page.evaluate(() => pool.whenConverged());
  const holder = await page.context().newPage();
  await holder.goto(`${origin}/blank`);
  await holder.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    const db = await new Promise((done) => (indexedDB.open(name).onsuccess = ({ target }) => done(target.result)));
    const store = db.transaction([...db.objectStoreNames], "readwrite").objectStore("meta");
    const hold = () => (globalThis.isOver ? undefined : (store.get("confirmed").onsuccess = hold));
    hold();
  });
  for (let n = 0; n < 5; n += 1) pool.add({ id: `${n}` });
  await until(async () => (await items(page)) === 5, "the items are shown");
  // As long as a convergence takes, and more.
  await new Promise((done) => setTimeout(done, 700));
  assert.equal(pool.converged, false);
  await holder.evaluate(() => void (globalThis.isOver = true));
  await pool.whenConverged();
  assert.equal(await items(page), 5);
});
