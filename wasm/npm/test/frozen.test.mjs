// Tabs that are frozen or kept aside for a return, and tabs that have no locks, in a real Chromium: one place on the
// disk has one owner, whoever believes to be it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { tabs } from "./devtools.mjs";
import { profile, serveHome, until } from "./house.mjs";

const tag = (page) => page.evaluate(() => tasks.set({ id: "tag" }).id.split("-")[0]);
const head = async (relay) => (await (await fetch(`${relay.url}/v1/datastores/board`)).json()).seq;
const isQuiet = (page) => until(() => page.evaluate(() => [...tasks.keys()].every((key) => !tasks.meta(key).pending)), "quiet");

async function home(t) {
  const { relay, origin } = await serveHome(t);
  return { relay, origin, options: { relay: relay.url, id: "board" }, tab: await tabs(t, origin) };
}

/** Leaves six edits on the disk of a tab that is offline, and notes what becomes of the last. */
const leave = (page) =>
  page.evaluate(async () => {
    await ds.settled();
    ds.goOffline();
    globalThis.late = [];
    for (let n = 0; n < 5; n++) tasks.set({ id: `k${n}` });
    const last = tasks.patch("k4", { n: 4 });
    void last.settled.then((outcome) => late.push(outcome));
    await last.durable;
  });

/** Two tabs, of which one has slept while the other has delivered its six edits and made one of its own. */
async function assertDelivered(relay, one, two, before) {
  // One edit while it is still waking up, one after that.
  await one.evaluate(() => (tasks.set({ id: "tag" }), ds.goOnline(), ds.settled()));
  assert.notEqual(await tag(one), before, "its old name is another's");
  for (const page of [one, two]) {
    await until(() => page.evaluate(() => ds.seq === 10), "every edit once, and no more");
    await isQuiet(page);
    assert.deepEqual(await page.evaluate(() => tasks.get("k4")), { id: "k4", n: 4, two: true });
    assert.deepEqual(await page.evaluate(() => [trouble, ds.status.pending, ds.status.storage]), [[], 0, "indexeddb"]);
  }
  assert.deepEqual(await one.evaluate(() => late), [], "who has delivered it was told");
  assert.equal(await one.evaluate(() => tasks.set({ id: "on" }).settled.then(({ status }) => status)), "accepted");
  const digest = (page) => until(() => page.evaluate(() => ds.seq === 11 && ds.digest), "the last");
  assert.equal(await digest(one), await digest(two));
}

test("what a frozen tab has left is delivered by another, once, and it wakes up under another name", async (t) => {
  const { relay, options, tab } = await home(t);
  const [one, two] = [await tab(options), await tab(options)];
  await two.evaluate(() => ds.ready);
  const before = await tag(one);
  await leave(one);
  await one.freeze();
  await until(async () => (await head(relay)) === 7, "its edits at the relay");
  await two.evaluate(() => tasks.patch("k4", { two: true }).settled);
  await one.thaw();
  await assertDelivered(relay, one, two, before);
});

/** A tab makes an edit, `between`, when the mark of the place to which it moves is there, in the very moment before it goes there. */
const inBetween = (page) =>
  page.evaluate(() => {
    const { put } = IDBObjectStore.prototype;
    globalThis.between = new Promise((resolve) => {
      IDBObjectStore.prototype.put = function (row, key) {
        if (this.name === "replicas" && !row.id) this.transaction.addEventListener("complete", () => resolve(tasks.set({ id: "between" })));
        return put.call(this, row, key);
      };
    });
  });

test("what is edited while a tab moves to a place of its own is settled there, and so is what follows", async (t) => {
  const { relay, options, tab } = await home(t);
  const [one, two] = [await tab(options), await tab(options)];
  await two.evaluate(() => ds.ready);
  await leave(one);
  await inBetween(one);
  await one.freeze();
  await until(async () => (await head(relay)) === 6, "its edits at the relay");
  await one.thaw();
  const accepted = (mutation) => mutation.settled.then(({ status }) => status);
  await one.evaluate(() => between.then(() => ds.goOnline()));
  assert.equal(await one.evaluate(`() => between.then(${accepted})`), "accepted");
  assert.equal(await one.evaluate(`() => (${accepted})(tasks.set({ id: "after" }))`), "accepted");
  assert.equal(await head(relay), 8);
});

test("what is edited while a tab moves, and it is closed in that very moment, is not lost", async (t) => {
  const { relay, options, tab } = await home(t);
  const [one, two] = [await tab(options), await tab(options)];
  await two.evaluate(() => ds.ready);
  await leave(one);
  await inBetween(one);
  await one.evaluate(() => void (globalThis.closed = between.then(() => ds.close())));
  await one.freeze();
  await until(async () => (await head(relay)) === 6, "its edits at the relay");
  await one.thaw();
  await one.evaluate(() => closed);
  const three = await tab(options);
  await until(async () => (await head(relay)) === 7, "the last, by a third");
  assert.deepEqual(await three.evaluate(() => [tasks.has("between"), trouble]), [true, []]);
});

for (const isTold of [true, false]) test(`a page kept aside for a return gives its place free, and comes back, ${isTold ? "told" : "not told"} that it is frozen`, async (t) => {
  const { relay, origin, options, tab } = await home(t);
  const [one, two] = [await tab(), await tab(options)];
  if (!isTold) await one.evaluate(() => delete Document.prototype.onfreeze);
  await one.evaluate((given) => start(given), options);
  await two.evaluate(() => ds.ready);
  const before = await tag(one);
  await leave(one);
  await one.evaluate(() => addEventListener("pageshow", ({ persisted }) => (globalThis.isBack = persisted)));
  await one.go(`${origin}/blank`);
  await until(async () => (await head(relay)) === 7, "its edits at the relay");
  await two.evaluate(() => tasks.patch("k4", { two: true }).settled);
  await one.back();
  await until(() => one.evaluate(() => globalThis.isLoaded), "the page");
  assert.equal(await one.evaluate(() => globalThis.isBack), true, "this browser keeps such pages");
  await assertDelivered(relay, one, two, before);
});

test("a page kept aside whose place nobody has taken comes back as it was", async (t) => {
  const { relay, origin, options, tab } = await home(t);
  const one = await tab(options);
  const before = await tag(one);
  await leave(one);
  await one.evaluate(() => addEventListener("pageshow", ({ persisted }) => (globalThis.isBack = persisted)));
  await one.go(`${origin}/blank`);
  await one.back();
  await until(() => one.evaluate(() => globalThis.isBack), "the page");
  assert.equal(await tag(one), before);
  await one.evaluate(() => (ds.goOnline(), ds.settled()));
  assert.deepEqual(await one.evaluate(() => [tasks.size, late.length, trouble, ds.status.storage]), [6, 1, [], "indexeddb"]);
  assert.equal(await head(relay), 8);
});

test("what an app saves while its page goes is on the disk, be it kept aside or thrown away", async (t) => {
  const { relay, origin, options, tab } = await home(t);
  const other = await tab(options);
  await other.evaluate(() => ds.ready);
  for (const [go, saved] of [[(page) => page.go(`${origin}/blank`), 1], [(page) => page.close(), 3]]) {
    const page = await tab(options);
    await page.evaluate(async () => {
      await ds.ready;
      ds.goOffline();
      addEventListener("pagehide", ({ persisted }) => tasks.set({ id: persisted ? "aside" : "away" }));
      document.addEventListener("visibilitychange", () => tasks.set({ id: "hidden" }));
    });
    await go(page);
    await until(async () => (await head(relay)) >= saved, `${saved} edits`);
  }
  await until(() => other.evaluate(() => ["aside", "away", "hidden"].every((id) => tasks.has(id))), "all of it");
});

test("a datastore that is closed or forgotten while its page is kept aside is so once the page is back", async (t) => {
  for (const end of ["close", "forget"]) {
    const { relay, origin, options, tab } = await home(t);
    const page = await tab(options);
    await leave(page);
    await page.evaluate((end) => document.addEventListener("freeze", () => (tasks.set({ id: "late" }), (globalThis.ended = ds[end]()))), end);
    await page.go(`${origin}/blank`);
    await page.back();
    await until(() => page.evaluate(() => globalThis.ended?.then(() => true)), end);
    assert.equal(await page.evaluate(() => indexedDB.databases().then(({ length }) => length)), end === "close" ? 1 : 0);
    await page.evaluate((given) => start(given).then(() => ds.ready).then(() => ds.settled()), options);
    assert.equal(await page.evaluate(() => Boolean(tasks.get("late"))), end === "close");
    assert.equal(await head(relay), end === "close" ? 7 : 0);
  }
});

test("a datastore that is closed while its page wakes up leaves its place free", async (t) => {
  const { origin, options, tab } = await home(t);
  const page = await tab(options);
  const before = await tag(page);
  await leave(page);
  await page.evaluate(() => addEventListener("pageshow", () => (globalThis.ended = ds.close())));
  await page.go(`${origin}/blank`);
  await page.back();
  await until(() => page.evaluate(() => globalThis.ended?.then(() => true)), "the end");
  assert.deepEqual(await page.evaluate(() => navigator.locks.query().then(({ held }) => held)), []);
  await page.evaluate((given) => start(given).then(() => ds.settled()), options);
  assert.equal(await tag(page), before);
});

test("what a tab had to deliver for another when it was frozen is delivered by a third, once", async (t) => {
  const { relay, options, tab } = await home(t);
  const [one, two] = [await tab(options), await tab(options)];
  await leave(one);
  await two.evaluate(() => ds.settled().then(() => ds.goOffline()));
  await one.close();
  await until(() => two.evaluate(() => ds.status.pending === 6), "the edits of the tab that is gone");
  await two.freeze();
  const three = await tab(options);
  await until(async () => (await head(relay)) === 6, "its edits at the relay");
  await two.thaw();
  await two.evaluate(() => (ds.goOnline(), ds.settled()));
  for (const page of [two, three]) await until(() => page.evaluate(() => tasks.get("k4")?.n === 4 && ds.status.pending === 0), "all, and nothing to do");
  assert.equal(await head(relay), 6);
  assert.deepEqual(await two.evaluate(() => trouble), []);
});

test("what is edited in the very moment in which a page sleeps over its outbox being stored anew is not lost", async (t) => {
  const { relay, options, tab } = await home(t);
  const page = await tab(options);
  await page.evaluate(async () => {
    await tasks.set({ id: "a" }).settled;
    ds.goOffline();
    await tasks.set({ id: "b" }).durable;
  });
  await fetch(`${relay.url}/v1/datastores/board`, { method: "DELETE" });
  await fetch(`${relay.url}/v1/datastores`, { method: "POST", body: JSON.stringify({ id: "board" }) });
  // The datastore that is made anew is another one, whose seqs say nothing: what is pending is stored anew for it.
  await page.evaluate(async () => {
    const { delete: remove } = IDBObjectStore.prototype;
    const slept = new Promise((resolve) => {
      IDBObjectStore.prototype.delete = function (range) {
        if (this.name === "outbox" && range instanceof IDBKeyRange) {
          IDBObjectStore.prototype.delete = remove;
          ds.goOffline();
          globalThis.late = tasks.set({ id: "late" });
          document.dispatchEvent(new Event("freeze"));
          resolve();
        }
        return remove.call(this, range);
      };
    });
    ds.goOnline();
    await slept;
    document.dispatchEvent(new Event("resume"));
    await late.durable;
  });
  await until(() => stored(page, "outbox").then(({ length }) => length >= 2), "both on the disk");
  await page.close();
  const other = await tab(options);
  await other.evaluate(() => ds.settled());
  await until(() => other.evaluate(() => tasks.has("b") && tasks.has("late")), "both edits");
});

test("a page that is frozen again while it wakes up holds nothing", async (t) => {
  const { options, tab } = await home(t);
  const one = await tab(options);
  const place = await one.evaluate(() => navigator.locks.query().then(({ held }) => held[0].name));
  const two = await tab(options);
  const before = await tag(one);
  for (const page of [one, two]) await page.evaluate(() => ds.settled());
  await until(async () => (await stored(one, "outbox")).length === 0, "nothing left");
  const names = (state) => two.evaluate((state) => navigator.locks.query().then((all) => all[state].map(({ name }) => name)), state);
  await one.freeze();
  await until(async () => !(await names("held")).includes(place), "its lock");
  await two.evaluate((place) => new Promise((isIn) => void navigator.locks.request(place, () => (isIn(), new Promise((out) => (globalThis.out = out))))), place);
  await one.evaluate(() => {
    const { request } = LockManager.prototype;
    LockManager.prototype.request = function (name, given, hold) {
      // It is told a moment before it is frozen: what it has asked for by then is answered while the place is still held.
      const asleep = () => (document.dispatchEvent(new Event("freeze")), (globalThis.isDown = true));
      return request.call(this, name, given, (lock) => (lock || setTimeout(asleep, 5), hold(lock)));
    };
  });
  await one.thaw();
  await until(() => one.evaluate(() => globalThis.isDown), "it wakes up, and finds its place held");
  await one.freeze();
  await two.evaluate(() => out());
  await until(async () => !(await names("held")).includes(place) && !(await names("pending")).includes(place), "the place is free");
  await one.thaw();
  await one.evaluate(() => (tasks.set({ id: "on" }), ds.settled()));
  assert.equal(await tag(one), before);
  assert.deepEqual(await one.evaluate(() => [trouble, ds.status.storage]), [[], "indexeddb"]);
});

test("a page that is frozen while it opens holds up nobody, and opens once it is back", async (t) => {
  const { options, tab } = await home(t);
  const two = await tab(options);
  await two.evaluate(() => tasks.set({ id: "a" }).settled);
  for (const moment of ["it looks for a place", "it reads", "it has read"]) {
    const one = await tab();
    await one.evaluate((moment) => {
      const { transaction } = IDBDatabase.prototype;
      // It is told a moment before it is frozen.
      const sleep = () => globalThis.isDown || (document.dispatchEvent(new Event("freeze")), (globalThis.isDown = true));
      IDBDatabase.prototype.transaction = function (stores, mode, ...more) {
        const begun = transaction.call(this, stores, mode, ...more);
        if (moment === "it has read") begun.addEventListener("complete", () => mode === "readwrite" && sleep());
        else if ((moment === "it reads") === (mode === "readwrite")) queueMicrotask(sleep);
        return begun;
      };
    }, moment);
    await one.evaluate((options) => void (globalThis.opening = start(options)), options);
    await until(() => one.evaluate(() => globalThis.isDown), moment);
    await one.freeze();
    await two.evaluate((id) => tasks.set({ id }).settled, moment);
    const three = await tab(options);
    assert.equal(await three.evaluate((id) => tasks.get(id)?.id, moment), moment);
    await three.close();
    await one.thaw();
    await one.evaluate(() => opening);
    await one.evaluate((id) => tasks.set({ id: `${id}, and is back` }).settled, moment);
    assert.deepEqual(await one.evaluate(() => [trouble, ds.status.storage]), [[], "indexeddb"], moment);
    await one.close();
  }
});

test("a place that a tab has only begun to look after when it is frozen is looked after by another", async (t) => {
  const { relay, options, tab } = await home(t);
  const [one, two] = [await tab(options), await tab(options)];
  await leave(one);
  await two.evaluate(() => {
    ds.goOffline();
    const { open } = IDBFactory.prototype;
    globalThis.begun = new Promise((resolve) => {
      // The next database that this page opens is for the place of the tab that goes.
      IDBFactory.prototype.open = function (...given) {
        IDBFactory.prototype.open = open;
        const opening = open.apply(this, given);
        opening.addEventListener("success", () => {
          const { transaction } = opening.result;
          opening.result.transaction = function (...of) {
            const begun = transaction.apply(this, of);
            document.dispatchEvent(new Event("freeze"));
            resolve();
            return begun;
          };
        });
        return opening;
      };
    });
  });
  await two.evaluate(() => ds.settled());
  await one.close();
  await two.evaluate(() => begun);
  await until(() => two.evaluate(() => ds.status.pending === 0), "it has been given away");
  const three = await tab(options);
  await until(async () => (await head(relay)) === 6, "its edits at the relay");
  await two.evaluate(() => document.dispatchEvent(new Event("resume")));
  await two.evaluate(() => (ds.goOnline(), ds.settled()));
  for (const page of [two, three]) await until(() => page.evaluate(() => tasks.get("k4")?.n === 4 && ds.status.pending === 0), "all, and nothing to do");
  assert.deepEqual(await two.evaluate(() => [trouble, ds.status.storage]), [[], "indexeddb"]);
});

/** What a page finds in a store of its copy. */
const stored = (page, store) =>
  page.evaluate((store) => indexedDB.databases().then(([{ name }]) => new Promise((resolve) => {
    indexedDB.open(name).onsuccess = ({ target: { result: db } }) => {
      db.transaction(store).objectStore(store).getAll().onsuccess = ({ target }) => (db.close(), resolve(target.result.map(Object.keys)));
    };
  })), store);

test("a frozen tab that left nothing goes on as it was", async (t) => {
  const { relay, options, tab } = await home(t);
  const one = await tab(options);
  const place = await one.evaluate(() => navigator.locks.query().then(({ held }) => held[0].name));
  const two = await tab(options);
  const before = await tag(one);
  for (const page of [one, two]) await page.evaluate(() => ds.settled());
  for (let n = 0; n < 3; n++) {
    await until(async () => (await stored(one, "outbox")).length === 0, "nothing left");
    await one.freeze();
    await two.evaluate((n) => tasks.set({ id: `two${n}` }).settled, n);
    // Somebody looks in whether there is something to deliver, and takes a while.
    const lookIn = (place) => new Promise((isIn) => void navigator.locks.request(place, () => (isIn(), new Promise((out) => setTimeout(out, 50)))));
    await two.evaluate(lookIn, place);
    await one.thaw();
    await one.evaluate((n) => (tasks.set({ id: `one${n}` }), ds.settled()), n);
    assert.equal(await tag(one), before);
    await one.evaluate(() => ds.settled());
  }
  assert.equal(await head(relay), 10);
  assert.deepEqual(await one.evaluate(() => trouble), []);
  // Other versions of the package read these names.
  for (const row of await stored(one, "replicas")) assert.deepEqual(row.sort(), ["account", "contact", "id", "owner", "primary", "spare", "sum"]);
});

test("a frozen tab whose copy is erased meanwhile goes on in memory, says so, and makes none anew", async (t) => {
  const { options, tab } = await home(t);
  const [one, two] = [await tab(), await tab()];
  for (const page of [one, two]) await page.evaluate(async (given) => {
    const { transaction } = IDBDatabase.prototype;
    globalThis.underWay = 0;
    IDBDatabase.prototype.transaction = function (...given) {
      const begun = transaction.apply(this, given);
      underWay += 1;
      for (const end of ["complete", "abort"]) begun.addEventListener(end, () => (underWay -= 1));
      return begun;
    };
    await start(given);
    await ds.ready;
  }, options);
  // A browser closes no database of a page that it has frozen over a transaction, and erases none that is not closed.
  for (const page of [one, two]) await until(() => page.evaluate(() => underWay === 0), "a quiet disk");
  await one.freeze();
  await two.evaluate(() => ds.forget());
  await one.thaw();
  await until(() => one.evaluate(() => ds.status.storage === "memory"), "memory");
  assert.deepEqual(await one.evaluate(() => trouble), ["storage-lost"]);
  assert.equal(await one.evaluate(() => tasks.set({ id: "a" }).settled.then(({ status }) => status)), "accepted");
  assert.deepEqual(await one.evaluate(() => indexedDB.databases()), []);
});

test("without locks a tab takes what another has left, also from one that still runs: each edit once", async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const { relay, context, tab } = await profile(t, browser);
  await context.addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
  const options = { relay: relay.url, id: "board" };
  const dead = await tab(options);
  await dead.evaluate(() => ds.ready.then(() => (ds.goOffline(), tasks.set({ id: "dead" }).durable)));
  await dead.close({ runBeforeUnload: false });
  const one = await tab(options);
  await one.evaluate(() => ds.settled());
  assert.equal(await head(relay), 1, "the dead tab's edit");
  await one.evaluate(() => (ds.goOffline(), tasks.set({ id: "one" }).durable));
  const two = await tab(options);
  await two.evaluate(() => ds.settled());
  assert.equal(await head(relay), 2, "the running tab's edit, by the other");
  await one.evaluate(() => tasks.set({ id: "more" }).durable);
  await one.evaluate(() => (ds.goOnline(), ds.settled()));
  for (const page of [one, two]) {
    await until(() => page.evaluate(() => ds.seq === 3 && tasks.size === 3), "three edits");
    await isQuiet(page);
    assert.deepEqual(await page.evaluate(() => trouble), []);
  }
  assert.equal(await head(relay), 3);
});
