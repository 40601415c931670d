// A disk that fails, is lost or was never to be had: memory takes over, an error says so, and no edit is lost or told twice.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { profile, until } from "./house.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const setting = (t, options) => profile(t, browser, options);

const keys = (page) => page.evaluate(() => [...tasks.keys()]);
const status = (page) => page.evaluate(() => ds.status);
/** From here on the disk of a page takes nothing. */
const fill = (page) =>
  page.evaluate(() => {
    IDBDatabase.prototype.transaction = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });

const breaks = {
  "no IndexedDB to be had: memory, an error says so, and all works": () => {
    IDBFactory.prototype.open = () => {
      throw new DOMException("refused", "SecurityError");
    };
  },
  "an IndexedDB that never answers is done without": () => {
    IDBFactory.prototype.open = () => ({});
    const { setTimeout } = window;
    window.setTimeout = (fn, ms) => setTimeout(fn, ms / 50);
  },
};
for (const [what, broken] of Object.entries(breaks))
  test(what, async (t) => {
    const { relay, tab } = await setting(t);
    const page = await tab();
    await page.evaluate(broken);
    await page.evaluate(async (url) => {
      await start({ relay: url, id: "board" });
      await ds.ready;
      await tasks.set({ id: "a" }).settled;
    }, relay.url);
    assert.equal((await status(page)).storage, "memory");
    assert.deepEqual(await page.evaluate(() => trouble), ["storage-failed"]);
  });

test("the disk is taken away under the open page: memory, an error, nothing lost", async (t) => {
  const { relay, tab } = await setting(t);
  const page = await tab({ relay: relay.url, id: "board" });
  await page.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "a" }).settled;
    const [{ name }] = await indexedDB.databases();
    await new Promise((done) => (indexedDB.deleteDatabase(name).onsuccess = done));
    tasks.set({ id: "b" });
    await tasks.set({ id: "c" }).durable;
    await ds.settled();
  });
  assert.equal((await status(page)).storage, "memory");
  assert.deepEqual(await page.evaluate(() => trouble), ["storage-lost"]);
  assert.deepEqual(await keys(page), ["a", "b", "c"]);
});

test("a disk that fails under the open page is erased all the same by forget", async (t) => {
  const { relay, tab } = await setting(t);
  const page = await tab({ relay: relay.url, id: "board" });
  await page.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "a" }).durable;
  });
  await fill(page);
  await page.evaluate(() => tasks.set({ id: "b" }).durable);
  assert.equal((await status(page)).storage, "memory");
  assert.deepEqual(await page.evaluate(() => trouble), ["storage-full"]);
  assert.deepEqual(await page.evaluate(() => ds.forget().then(() => indexedDB.databases())), []);
});

test("what is forgotten while it is pending is delivered by nobody, and other tabs show it no more", async (t) => {
  const { relay, tab } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(options), await tab(options)];
  await two.evaluate(() => ds.ready);
  await one.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "x" }).settled;
    ds.goOffline();
    tasks.delete("x");
    await tasks.set({ id: "p" }).durable;
  });
  await until(() => two.evaluate(() => tasks.has("p") && !tasks.has("x")), "what is pending in the other tab");
  await one.evaluate(() => ds.forget());
  await until(() => two.evaluate(() => !tasks.has("p") && tasks.has("x")), "that it is gone");
  await two.evaluate(() => tasks.set({ id: "after" }).settled);
  const { records } = await (await fetch(`${relay.url}/v1/datastores/board/collections/tasks/records`)).json();
  assert.deepEqual(records.map(({ key }) => key).sort(), ["after", "x"]);
  assert.deepEqual(await two.evaluate(() => [trouble, ds.status.pending, [...tasks.keys()]]), [["storage-lost"], 0, ["after", "x"]]);
});

test("who closes while the disk takes nothing hears of it", async (t) => {
  const { relay, tab } = await setting(t);
  const page = await tab({ relay: relay.url, id: "board" });
  await page.evaluate(() => ds.ready);
  // Nothing else is on its way to the disk.
  await page.evaluate(() => new Promise((done) => setTimeout(done, 1000)));
  await fill(page);
  assert.deepEqual(await page.evaluate(() => trouble), []);
  await page.evaluate(() => (tasks.set({ id: "a" }), ds.close()));
  await until(() => page.evaluate(() => trouble.length > 0), "an error");
  assert.deepEqual(await page.evaluate(() => trouble), ["storage-full"]);
});

for (const [edits, when] of [[50, "before"], [50, "afterwards"], [5000, "before"], [5000, "afterwards"]])
  test(`a page whose disk fails delivers ${edits} edits itself, hears of each, and they are not told again; another tab came ${when}`, { timeout: 60_000 }, async (t) => {
    const { relay, tab } = await setting(t);
    const options = { relay: relay.url, id: "board" };
    const one = await tab(options);
    const another = async () => {
      const page = await tab(options);
      await page.evaluate(async () => {
        window.told = [];
        ds.on("refused", ({ code }) => told.push(code));
        await ds.ready;
      });
      return page;
    };
    await one.evaluate(() => ds.ready);
    let two = when === "before" ? await another() : undefined;
    await one.evaluate(async (edits) => {
      window.told = [];
      ds.on("refused", ({ code }) => told.push(code));
      ds.goOffline();
      window.all = Array.from({ length: edits }, (_, n) => tasks.set({ id: `on disk ${n}` }, n % 2 ? { ifAbsent: true } : undefined));
      await all.at(-1).durable;
    }, edits);
    await fill(one);
    await one.evaluate(() => all.push(tasks.set({ id: "too late" })));
    await until(async () => (await status(one)).storage === "memory", "memory");
    two ??= await another();
    const seq = async () => (await (await fetch(`${relay.url}/v1/datastores/board`)).json()).seq;
    assert.deepEqual([await seq(), (await status(one)).pending], [0, edits + 1], "nobody speaks for a page that lives");
    const outcomes = await one.evaluate(async () => {
      ds.goOnline();
      const outcomes = await Promise.all(all.map(({ settled }) => settled));
      return [outcomes.filter(({ status }) => status === "accepted").length, new Set(outcomes.map(({ seq }) => seq)).size];
    });
    assert.deepEqual(outcomes, [edits + 1, edits + 1], "accepted, each under a seq of its own");
    await until(async () => (await keys(two)).length === edits + 1, "the other tab hears of them");
    assert.deepEqual(await one.evaluate(() => [told, trouble]), [[], ["storage-full"]]);
    // The disk still holds them. Whoever takes that over says nothing that has been said.
    await one.close();
    await until(() => two.evaluate(async () => ds.status.pending === 0 && (await navigator.locks.query()).held.length === 1), "the other tab has taken over");
    const three = await another();
    await three.evaluate(() => ds.settled());
    for (const page of [two, three]) assert.deepEqual([await page.evaluate(() => [told, trouble]), (await keys(page)).length], [[[], []], edits + 1]);
    assert.equal(await seq(), edits + 1);
  });

test("who cannot read the disk at opening leaves its place to others", async (t) => {
  const { relay, tab } = await setting(t);
  const page = await tab();
  await page.evaluate(async (relay) => {
    const { get } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.get = () => {
      throw new DOMException("broken", "UnknownError");
    };
    await start({ relay, id: "board" });
    IDBObjectStore.prototype.get = get;
  }, relay.url);
  await until(() => page.evaluate(() => navigator.locks.query().then(({ held }) => held.length === 0)), "the lock free");
  assert.equal((await status(page)).storage, "memory");
  assert.deepEqual(await page.evaluate(() => trouble), ["storage-failed"]);
});

/** In the page: the `failing`th call of a kind aborts its transaction, as a full disk does in the middle or at the end. */
const failAt = ({ failing, kind }) => {
  let count = 0;
  const wrap = (prototype, name) => {
    const real = prototype[name];
    prototype[name] = function (...args) {
      count += 1;
      if (count !== failing) return real.apply(this, args);
      (this.transaction ?? this).abort();
      if (kind === "request") throw new DOMException("full", "QuotaExceededError");
    };
  };
  if (kind === "commit") wrap(IDBTransaction.prototype, "commit");
  else for (const name of ["put", "delete"]) wrap(IDBObjectStore.prototype, name);
};

for (const [kind, code] of [["request", "storage-full"], ["commit", "storage-failed"]]) {
  test(`a transaction that fails at any ${kind} costs no edit: memory takes over, or the next start has it`, async (t) => {
    const { relay, tab, load } = await setting(t);
    for (let failing = 1; failing <= 6; failing++) {
      const options = { relay: relay.url, id: `board-${failing}` };
      const page = await tab(options);
      await page.evaluate(() => ds.ready.then(() => tasks.set({ id: "before" }).settled));
      await page.evaluate(failAt, { failing, kind });
      await page.evaluate(async () => {
        for (let n = 0; n < 5; n++) await tasks.set({ id: `k${n}` }).durable;
        await ds.settled();
      });
      await until(() => page.evaluate((code) => trouble.includes(code), code), code);
      assert.equal((await status(page)).storage, "memory");
      await load(page, options);
      await page.evaluate(() => ds.ready.then(() => ds.settled()));
      assert.deepEqual(await keys(page), ["before", "k0", "k1", "k2", "k3", "k4"]);
      const told = await (await fetch(`${relay.url}/v1/datastores/${options.id}`)).json();
      assert.equal(told.seq, 6, "nothing arrived twice");
      await page.close();
    }
  });
}
