// The local copy in the real IndexedDB of a real Chromium: reloads, several tabs, killed tabs, damage.

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
test("offline edits survive a reload, and arrive exactly once", async (t) => {
  const { relay, tab, load } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "online" }).settled;
    ds.goOffline();
    for (let n = 0; n < 50; n++) tasks.set({ id: `off-${n}` });
    tasks.patch("off-7", { patched: true });
    const last = tasks.delete("off-9");
    await last.durable;
  });
  await load(page, { ...options, relay: "http://127.0.0.1:9" });
  assert.equal(await page.evaluate(() => tasks.size), 0, "another relay is another datastore");
  await load(page, options);
  await page.evaluate(() => ds.settled());
  assert.equal(await page.evaluate(() => tasks.size), 50);
  assert.equal(await page.evaluate(() => ds.seq), 53);
  assert.deepEqual(await page.evaluate(() => tasks.get("off-7")), { id: "off-7", patched: true });
  assert.deepEqual(await page.evaluate(() => trouble), []);
  assert.equal((await status(page)).storage, "indexeddb");
});

for (const order of ["closed first", "closed afterwards", "kept open"])
  test(`what is gone begins anew when the app that has heard so opens it again, and only then; the old one ${order}`, async (t) => {
    const { relay, tab, load } = await setting(t);
    const options = { relay: relay.url, id: "board" };
    const address = `${relay.url}/v1/datastores/board`;
    const page = await tab(options);
    await page.evaluate(async () => {
      await ds.ready;
      await tasks.set({ id: "old" }).settled;
      ds.goOffline();
      await tasks.set({ id: "kept" }).durable;
    });
    assert.equal((await fetch(address, { method: "DELETE" })).status, 204);
    for (let visit = 0; visit < 2; visit++) {
      await load(page, options);
      await page.waitForFunction(() => expired === 1);
      assert.deepEqual(await keys(page), ["kept", "old"]);
      assert.equal((await status(page)).pending, 1);
      assert.equal((await fetch(address)).status, 404, "nobody has made it");
    }
    const resets = await page.evaluate(
      async ([options, order]) => {
        const before = ds;
        if (order === "closed first") await before.close();
        await start(options);
        const resets = [];
        ds.on("reset", ({ reason }) => resets.push(reason));
        await ds.ready;
        if (order === "closed afterwards") await before.close();
        if (order === "kept open") await before.settled();
        return resets;
      },
      [options, order],
    );
    assert.deepEqual(resets, ["epoch"]);
    await until(async () => (await (await fetch(address)).json()).records === 1, "the pending edit");
    await page.evaluate(() => ds.settled());
    assert.deepEqual(await keys(page), ["kept"]);
    assert.deepEqual(await page.evaluate(() => [ds.seq, refused, trouble]), [1, [], []]);
  });

test("edits made under one primary field are not sent under another, however the page is opened again", async (t) => {
  const { relay, tab, load } = await setting(t);
  const options = { relay: relay.url, id: "board", storage: "indexeddb" };
  const address = `${relay.url}/v1/datastores/board`;
  const page = await tab();
  // It goes before it has said anything.
  await page.evaluate(async (given) => {
    await start(given);
    ds.goOffline();
    await tasks.set({ key: "a" }).durable;
  }, { ...options, primary: "key" });
  await fetch(`${relay.url}/v1/datastores`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: "board" }) });
  for (const primary of ["id", undefined]) {
    await load(page, { ...options, primary });
    await until(async () => (await page.evaluate(() => trouble.length)) > 0, "a word of it");
    const found = await page.evaluate(() => [trouble, ds.primary, ds.status.pending, [...tasks], ds.status.connection]);
    assert.deepEqual(found, [["options-mismatch"], "key", 1, [["a", { key: "a" }]], "offline"]);
  }
  assert.equal((await (await fetch(address)).json()).seq, 0, "nothing was sent");
  await fetch(address, { method: "DELETE" });
  await load(page, options);
  await page.evaluate(() => ds.settled());
  const { primary, seq } = await (await fetch(address)).json();
  assert.deepEqual([primary, seq], ["key", 1]);
  assert.deepEqual(await page.evaluate(() => [trouble, refused]), [[], []]);
  const alone = { relay: null, id: "own", storage: "indexeddb" };
  await load(page, { ...alone, primary: "key" });
  await page.evaluate(() => tasks.set({ key: "a" }).durable);
  await load(page, { ...alone, primary: "id" });
  await until(() => page.evaluate(() => trouble.length > 0), "a word of it where no relay is asked");
  assert.deepEqual(await page.evaluate(() => [trouble, ds.primary, ds.status.pending]), [["options-mismatch"], "key", 1]);
});

test("with the relay gone a page starts from its disk: records, pending edits, honest status", async (t) => {
  const { relay, tab, load } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    for (let n = 0; n < 3000; n++) tasks.set({ id: `k${n}`, n });
    await ds.settled();
    ds.goOffline();
    await tasks.patch("k1", { n: "offline" }).durable;
  });
  const digest = await page.evaluate(() => ds.digest);
  const seq = await page.evaluate(() => ds.seq);
  await relay.stop();
  await load(page, options);
  assert.equal(await page.evaluate(() => tasks.size), 3000);
  assert.equal(await page.evaluate(() => tasks.get("k1").n), "offline");
  assert.equal(await page.evaluate(() => ds.digest), digest);
  const found = await status(page);
  assert.equal(found.pending, 1);
  assert.equal(found.seq, seq);
  assert.equal(found.storage, "indexeddb");
  assert.ok(found.offlineUntil > new Date());
  assert.deepEqual(await page.evaluate(() => tasks.meta("k1")), { seq: 2, pending: true });
  await until(async () => (await status(page)).connection === "offline", "offline");
});

test("tabs share one copy; a dead tab's edits are sent by another", async (t) => {
  const { relay, tab } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(options), await tab(options)];
  await Promise.all([one, two].map((page) => page.evaluate(() => ds.ready)));
  const ids = await Promise.all([one, two].map((page) => page.evaluate(() => tasks.set({ id: crypto.randomUUID() }).id.split("-")[0])));
  assert.notEqual(ids[0], ids[1], "each tab is a replica of its own");
  await one.evaluate(async () => {
    await ds.settled();
    ds.goOffline();
    await tasks.set({ id: "from-one" }).durable;
  });
  await one.close({ runBeforeUnload: false });
  await until(() => two.evaluate(() => tasks.meta("from-one").seq !== null), "the dead tab's edit");
  await two.evaluate(() => ds.settled());
  const three = await tab(options);
  await three.evaluate(() => ds.ready);
  const author = await three.evaluate(() => tasks.set({ id: "from-three" }).id.split("-")[0]);
  assert.notEqual(author, ids[1]);
  await until(async () => (await keys(two)).length === 4, "all four");
  assert.deepEqual(await keys(three), await keys(two));
  assert.deepEqual(await two.evaluate(() => trouble), []);
});

test("two tabs that hear the same store it once, and what they stored can be read", async (t) => {
  const { relay, tab } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(options), await tab(options)];
  await Promise.all([one, two].map((page) => page.evaluate(() => ds.ready)));
  for (let round = 0; round < 4; round++) {
    await Promise.all([one, two].map((page, who) => page.evaluate(async ([who, round]) => {
      for (let n = 0; n < 400; n++) tasks.set({ id: `${who}-${n}`, round, text: "x".repeat(900) });
      await ds.settled();
    }, [who, round])));
  }
  await until(async () => {
    const [a, b] = await Promise.all([one, two].map((page) => page.evaluate(() => ds.digest)));
    return a === b;
  }, "equal digests");
  const digest = await one.evaluate(() => ds.digest);
  await Promise.all([one, two].map((page) => page.evaluate(() => ds.close())));
  const three = await tab({ ...options });
  await three.evaluate(() => ds.goOffline());
  assert.equal(await three.evaluate(() => tasks.size), 800);
  assert.equal(await three.evaluate(() => ds.digest), digest);
  const bytes = await three.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    const db = await new Promise((done) => (indexedDB.open(name).onsuccess = (event) => done(event.target.result)));
    const all = db.transaction(["log", "pages", "outbox"]);
    const read = (store) => new Promise((done) => (all.objectStore(store).getAll().onsuccess = (event) => done(event.target.result)));
    const [log, pages, outbox] = await Promise.all([read("log"), read("pages"), read("outbox")]);
    db.close();
    const sum = (list) => list.reduce((total, { length }) => total + length, 0);
    return { log: sum(log.flatMap(({ frames }) => frames)), pages: sum(pages.map(({ sealed }) => sealed)), outbox: outbox.length };
  });
  assert.equal(bytes.outbox, 0, "what is settled has left the outbox");
  assert.ok(bytes.log < 2_000_000, `the log is folded into pages: ${JSON.stringify(bytes)}`);
  assert.deepEqual(await three.evaluate(() => trouble), []);
});

test("checkpoints made while a slow disk still writes lose no page", async (t) => {
  const { relay, tab, load } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const [page, writer] = [await tab(), await tab({ ...options, storage: "memory" })];
  await page.evaluate(async (given) => {
    const { get, set } = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, "oncomplete");
    globalThis.held = [];
    Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
      get,
      set(fn) {
        set.call(this, (event) => (globalThis.isSlow ? held.push(() => fn(event)) : fn(event)));
      },
    });
    globalThis.release = () => {
      globalThis.isSlow = false;
      for (const fn of held.splice(0)) fn();
    };
    await start(given);
    await ds.ready;
  }, options);
  // Each round is longer than a log may be.
  const write = async (round) => {
    const seq = await writer.evaluate(async (round) => {
      for (let n = 0; n < 1500; n++) tasks.set({ id: `${round}-${n}`, text: "x".repeat(900) });
      await ds.settled();
      return ds.seq;
    }, round);
    await until(() => page.evaluate((seq) => ds.seq === seq, seq), `seq ${seq}`);
  };
  await write("before");
  await page.evaluate(() => void (globalThis.isSlow = true));
  for (const round of ["first", "second", "third"]) await write(round);
  assert.ok((await page.evaluate(() => held.length)) > 0, "a write was under way");
  await page.evaluate(() => release());
  await write("after");
  const digest = await writer.evaluate(() => ds.digest);
  await page.evaluate(() => ds.close());
  await load(page);
  await page.evaluate(async (given) => {
    await start({ ...given, WebSocket: class { constructor() { throw new Error("no network"); } } });
  }, options);
  assert.equal(await page.evaluate(() => tasks.size), 5 * 1500);
  assert.equal(await page.evaluate(() => ds.digest), digest);
});

test("a damaged copy that claims to be newer than the relay is replaced", async (t) => {
  const { relay, tab, load, origin } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    for (let n = 0; n < 20; n++) await tasks.set({ id: `k${n}` }).settled;
    await ds.close();
  });
  await page.goto(`${origin}/blank`);
  await page.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    const db = await new Promise((done) => (indexedDB.open(name).onsuccess = (event) => done(event.target.result)));
    const writing = db.transaction(["meta", "log"], "readwrite");
    const meta = writing.objectStore("meta");
    meta.get("confirmed").onsuccess = ({ target: { result } }) => meta.put({ ...result, seq: 1000 }, "confirmed");
    writing.objectStore("log").put({ from: 20, to: 1000, frames: [new Uint8Array([1, 2, 3])] }, 1000);
    await new Promise((done) => (writing.oncomplete = done));
    db.close();
  });
  await load(page, options);
  await until(() => page.evaluate(() => trouble.includes("storage-damaged")), "storage-damaged");
  await page.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "after" }).settled;
    await ds.close();
  });
  await load(page, options);
  assert.deepEqual(await page.evaluate(() => trouble), []);
  await page.evaluate(() => ds.goOffline());
  assert.equal(await page.evaluate(() => tasks.size), 21);
});

test("damaged records are fetched again; the outbox is not harmed", async (t) => {
  const { relay, tab, load, origin } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    for (let n = 0; n < 20; n++) tasks.set({ id: `k${n}` });
    await ds.settled();
    ds.goOffline();
    await tasks.set({ id: "pending" }).durable;
    await ds.close();
  });
  const tear = async () => {
    await page.goto(`${origin}/blank`);
    await page.evaluate(async () => {
      const [{ name }] = await indexedDB.databases();
      const db = await new Promise((done) => (indexedDB.open(name).onsuccess = (event) => done(event.target.result)));
      const writing = db.transaction(["log", "pages"], "readwrite");
      for (const store of ["log", "pages"]) {
        writing.objectStore(store).openCursor().onsuccess = ({ target: { result: cursor } }) => {
          if (!cursor) return;
          const torn = (bytes) => bytes.slice(0, bytes.length / 2).map((byte) => byte ^ 0x55);
          cursor.update(store === "log" ? { ...cursor.value, frames: cursor.value.frames.map(torn) } : { ...cursor.value, sealed: torn(cursor.value.sealed) });
          cursor.continue();
        };
      }
      await new Promise((done) => (writing.oncomplete = done));
      db.close();
    });
  };
  await tear();
  await load(page, options);
  await until(() => page.evaluate(() => trouble.includes("storage-damaged")), "storage-damaged");
  await page.evaluate(() => ds.settled());
  assert.equal(await page.evaluate(() => tasks.size), 21);
  await until(() => page.evaluate(async () => { await ds.close(); return true; }), "closed");
  await load(page, options);
  await page.evaluate(() => ds.goOffline());
  assert.equal(await page.evaluate(() => tasks.size), 21, "what was fetched again is stored again");
  assert.deepEqual(await page.evaluate(() => trouble), []);
});

test("a newer package's copy is left alone, at opening and under the open page", async (t) => {
  const { relay, tab, load } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    ds.goOffline();
    await tasks.set({ id: "queued" }).durable;
    globalThis.upgrade = async () => {
      const [{ name, version }] = await indexedDB.databases();
      const opening = indexedDB.open(name, version + 1);
      await new Promise((done) => (opening.onsuccess = done));
      opening.result.close();
    };
    await upgrade();
    await tasks.set({ id: "later" }).durable;
    ds.goOnline();
    await ds.settled();
  });
  assert.deepEqual(await page.evaluate(() => trouble), ["storage-newer"]);
  assert.deepEqual(await keys(page), ["later", "queued"]);
  await load(page, options);
  await page.evaluate(() => ds.ready.then(() => tasks.set({ id: "in-memory" }).settled));
  assert.deepEqual(await page.evaluate(() => trouble), ["storage-newer"]);
  assert.equal((await status(page)).storage, "memory");
  assert.equal((await status(page)).seq, 3);
  const rows = await page.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    const db = await new Promise((done) => (indexedDB.open(name).onsuccess = (event) => done(event.target.result)));
    const request = db.transaction("outbox").objectStore("outbox").count();
    return new Promise((done) => (request.onsuccess = () => (db.close(), done(request.result))));
  });
  assert.equal(rows, 1, "what the newer one will deliver is still there");
});

test("the first edit without a connection asks the browser to keep the copy, once", async (t) => {
  const { relay, tab } = await setting(t);
  const page = await tab();
  const asked = await page.evaluate(async (url) => {
    const asked = [];
    StorageManager.prototype.persist = () => (asked.push(globalThis.tasks?.size ?? 0), Promise.reject(new Error("no")));
    await start({ relay: url, id: "board" });
    await ds.ready;
    await tasks.set({ id: "online" }).settled;
    ds.goOffline();
    for (const id of ["a", "b"]) await tasks.set({ id }).durable;
    return asked;
  }, relay.url);
  assert.deepEqual(asked, [2]);
  assert.deepEqual(await page.evaluate(() => trouble), []);
});

test("forget waits for nobody who is just opening", { timeout: 20_000 }, async (t) => {
  const { relay, tab } = await setting(t);
  const options = { relay: relay.url, id: "board" };
  const [one, two] = [await tab(), await tab(options)];
  await one.evaluate((options) => {
    const asked = new Promise((resolve) => {
      LockManager.prototype.request = () => new Promise(resolve);
    });
    globalThis.opening = start(options);
    return asked;
  }, options);
  await two.evaluate(() => ds.forget());
});

test("what reaches the wire is on the disk; what is settled leaves it with its effect", async (t) => {
  const { relay, tab } = await setting(t);
  const page = await tab();
  const log = await page.evaluate(async (url) => {
    const log = [];
    const numbers = new Map();
    const number = (transaction) => {
      if (!numbers.has(transaction)) numbers.set(transaction, numbers.size + 1);
      return numbers.get(transaction);
    };
    const begin = IDBDatabase.prototype.transaction;
    IDBDatabase.prototype.transaction = function (...args) {
      const transaction = begin.apply(this, args);
      transaction.addEventListener("complete", () => log.push(`complete ${numbers.get(transaction)}`));
      return transaction;
    };
    for (const name of ["put", "delete"]) {
      const real = IDBObjectStore.prototype[name];
      IDBObjectStore.prototype[name] = function (...args) {
        log.push(`${name} ${this.name} ${number(this.transaction)} ${this.transaction.durability}`);
        return real.apply(this, args);
      };
    }
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
      log.push("send");
      return send.call(this, data);
    };
    await start({ relay: url, id: "board" });
    await ds.ready;
    await tasks.set({ id: "first" }).settled;
    await new Promise((done) => setTimeout(done, 200));
    numbers.clear();
    log.length = 0;
    const mutation = tasks.set({ id: "a" });
    mutation.durable.then(() => log.push("durable"));
    await mutation.settled;
    log.push("settled");
    await new Promise((done) => setTimeout(done, 200));
    return log;
  }, relay.url);
  const outbox = log.slice(0, 4);
  assert.deepEqual(outbox.slice(0, 2), ["put outbox 1 strict", "complete 1"], log.join("; "));
  assert.deepEqual([...outbox.slice(2)].sort(), ["durable", "send"]);
  const [, , , , settled, ...rest] = log;
  assert.equal(settled, "settled");
  assert.deepEqual(rest.sort(), ["complete 2", "delete outbox 2 relaxed", "put log 2 relaxed", "put meta 2 relaxed", "put replicas 2 relaxed"]);
});


test("forget erases; users do not see each other's copies", async (t) => {
  const { relay, tab, load } = await setting(t);
  const options = { relay: relay.url, id: "board", user: "ada" };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    ds.goOffline();
    await tasks.set({ id: "ada's" }).durable;
    await ds.close();
  });
  await load(page, { ...options, user: "ben" });
  await page.evaluate(() => ds.ready);
  assert.deepEqual(await keys(page), []);
  await page.evaluate(() => ds.forget());
  await load(page, options);
  await page.evaluate(() => ds.settled());
  assert.deepEqual(await keys(page), ["ada's"]);
  await page.evaluate(() => ds.forget());
  assert.deepEqual(await page.evaluate(async () => (await indexedDB.databases()).length), 0);
});
