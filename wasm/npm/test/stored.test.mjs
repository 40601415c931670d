// What stands on the disk: torn byte by byte, and in every format that there ever was.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { launch } from "../../../tools/chromium.mjs";
import { profile, serve, sourceText, until } from "./house.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const keys = (page) => page.evaluate(() => [...tasks.keys()]);

/** Changes one row of a store, the `place`th: how is told by name. */
const damage = (page, store, place, how) =>
  page.evaluate(async ([store, place, how]) => {
    const flipped = (bytes) => bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 4 : byte));
    const torn = {
      flip: flipped,
      cut: (bytes) => bytes.slice(0, -3),
    }[how];
    const change = (value) => {
      if (value instanceof Uint8Array) return torn(value);
      if (Array.isArray(value)) return value.map(change);
      const name = ["sealed", "bytes", "frames", "account", "info"].find((name) => value[name] !== undefined);
      return { ...value, [name]: change(value[name]) };
    };
    const [{ name }] = await indexedDB.databases();
    const db = await new Promise((done) => (indexedDB.open(name).onsuccess = (event) => done(event.target.result)));
    const writing = db.transaction(store, "readwrite");
    const rows = writing.objectStore(store);
    let at = 0;
    rows.openCursor().onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) return;
      if (at++ === place) {
        if (how === "gone") cursor.delete();
        else cursor.update(how === "foreign" ? "not ours" : how === "id" ? { ...cursor.value, id: flipped(cursor.value.id) } : change(cursor.value));
      }
      cursor.continue();
    };
    await new Promise((done) => (writing.oncomplete = done));
    db.close();
    if (at <= place) throw new Error(`${store} has ${at} rows`);
  }, [store, place, how]);

const seqOf = async (relay, id) => (await (await fetch(`${relay.url}/v1/datastores/${id}`)).json()).seq;

/** A page whose disk holds pages, a log, and an outbox of three blocks, and that is closed. */
async function filled({ tab, load, origin, relay }, id) {
  const options = { relay: relay.url, id };
  const page = await tab(options);
  await page.evaluate(async () => {
    await ds.ready;
    for (let n = 0; n < 20; n++) tasks.set({ id: `k${n}` });
    await ds.settled();
    await ds.forget();
  });
  await load(page, options);
  await page.evaluate(async () => {
    await ds.ready;
    await tasks.set({ id: "logged" }).settled;
    ds.goOffline();
    for (const id of ["x", "y", "z"]) await tasks.set({ id }).durable;
    await ds.close();
  });
  await page.goto(`${origin}/blank`);
  return { page, options };
}

test("records that are torn anywhere are fetched again; the outbox arrives once", async (t) => {
  const setting = await profile(t, browser);
  const kinds = [["pages", 0], ["log", 0], ["meta", 0]].flatMap(([store, place]) => ["flip", "cut", "foreign"].map((how) => [store, place, how]));
  for (const [store, place, how] of kinds) {
    const id = `${store}-${how}`;
    const { page, options } = await filled(setting, id);
    await damage(page, store, place, how);
    await setting.load(page, options);
    await page.evaluate(() => ds.ready.then(() => ds.settled()));
    assert.deepEqual(await page.evaluate(() => trouble), ["storage-damaged"], id);
    assert.equal((await keys(page)).length, 24, id);
    assert.equal(await seqOf(setting.relay, id), 24, id);
    await page.evaluate(() => ds.close());
    await setting.load(page, options);
    assert.equal((await keys(page)).length, 24, `${id}: stored again`);
    assert.deepEqual(await page.evaluate(() => trouble), [], id);
    await page.evaluate(() => ds.forget());
    await page.close();
  }
});

test("a torn outbox is told; what stands before and behind it arrives once", async (t) => {
  const setting = await profile(t, browser);
  const losing = [["outbox", 0, "x"], ["outbox", 1, "y"], ["outbox", 2, "z"]];
  const kinds = losing.flatMap(([store, place, lost]) => ["flip", "cut", "foreign"].map((how) => [store, place, how, [lost]]));
  kinds.push(["outbox", 1, "gone", ["y"]], ["replicas", 0, "flip", []], ["replicas", 0, "cut", []]);
  // Under another id nobody can tell whether they had arrived.
  kinds.push(["replicas", 0, "id", ["x", "y", "z"]], ["replicas", 0, "foreign", ["x", "y", "z"]]);
  for (const [store, place, how, lost] of kinds) {
    const id = `${store}-${place}-${how}`;
    const { page, options } = await filled(setting, id);
    await damage(page, store, place, how);
    await setting.load(page, options);
    await page.evaluate(async () => {
      await ds.ready;
      await tasks.set({ id: "after" }).settled;
      await ds.settled();
    });
    assert.deepEqual(await page.evaluate(() => trouble), lost.length > 0 ? ["outbox-damaged"] : [], id);
    const wanted = ["x", "y", "z"].filter((key) => !lost.includes(key));
    assert.deepEqual((await keys(page)).filter((key) => key >= "x"), wanted, id);
    assert.equal(await seqOf(setting.relay, id), 21 + wanted.length + 1, id);
    await page.evaluate(() => ds.close());
    await setting.load(page, options);
    await page.evaluate(() => ds.ready);
    assert.deepEqual(await page.evaluate(() => trouble), [], `${id}: told once`);
    assert.equal(await seqOf(setting.relay, id), 21 + wanted.length + 1, id);
    await page.evaluate(() => ds.forget());
    await page.close();
  }
});

test("pages that come in parts: one missing in between is noticed, and one that cannot be read ends in memory", async (t) => {
  const { relay, tab, load, origin } = await profile(t, browser);
  const options = { relay: relay.url, id: "large" };
  const count = 11_000; // in eleven pages, one more than the first two parts have
  const page = await tab(options);
  await page.evaluate(async (count) => {
    await ds.ready;
    for (let at = 0; at < count; at += 1000)
      ds.transact((tx) => Array.from({ length: 1000 }, (_, n) => tx.collection("tasks").set({ id: `k${at + n}`, text: "x".repeat(40) })));
    await ds.settled();
    await ds.forget();
  }, count);
  // What a catch-up brings comes into pages.
  await load(page, options);
  await page.evaluate(() => ds.ready.then(() => ds.close()));
  const opened = async (trouble, storage) => {
    await page.evaluate(() => ds.ready);
    assert.deepEqual(await page.evaluate(() => [trouble, ds.status.storage, tasks.size]), [trouble, storage, count]);
    await page.evaluate(() => ds.close());
  };
  for (const expected of [["storage-damaged"], []]) {
    if (expected.length > 0) {
      await page.goto(`${origin}/blank`);
      // Before and behind it nothing else is out of place.
      await damage(page, "pages", 7, "gone");
    }
    await load(page, options);
    await opened(expected, "indexeddb");
  }
  await load(page);
  const parts = await page.evaluate(async (options) => {
    let parts = 0;
    const { getAll } = IDBObjectStore.prototype;
    IDBObjectStore.prototype.getAll = function (...range) {
      const asked = getAll.apply(this, range);
      // The disk fails when the first parts are there already.
      if (this.name === "pages" && ++parts === 2) asked.addEventListener("success", () => this.transaction.abort());
      return asked;
    };
    await start(options);
    return parts;
  }, options);
  assert.ok(parts > 1, `${parts} parts`);
  await opened(["storage-failed"], "memory");
  await load(page, options);
  await opened([], "indexeddb");
});

test("an outbox under another id is stored with that id, also where the confirmed records of its batch fit to nothing", async (t) => {
  const text = await sourceText("storage/indexeddb.ts");
  const origin = await serve(t, { "/": "<!doctype html>", "/storage.js": text });
  const page = await browser.newPage();
  await page.goto(origin);
  const [verdict, was, is] = await page.evaluate(async () => {
    const { openIndexedDb } = await import("/storage.js");
    const disk = await openIndexedDb("neap/test");
    const { replica } = await disk.load();
    const nothing = { blocks: [], gone: [], renumbered: false, replica: undefined, epoch: "e", steps: [], known: undefined, checkpoint: undefined };
    const block = (byte) => ({ first: 1, last: 1, bytes: Uint8Array.of(byte), sum: byte });
    await disk.write({ ...nothing, replica, blocks: [block(1)] });
    const step = { from: 7, to: 8, frames: [Uint8Array.of(9)], sums: [9] };
    const renamed = { ...replica, id: replica.spare, account: Uint8Array.of(5), sum: 5 };
    const verdict = await disk.write({ ...nothing, renumbered: true, replica: renamed, blocks: [block(2)], steps: [step] });
    await disk.close();
    const found = await (await openIndexedDb("neap/test")).load();
    const plain = ({ id, account }, blocks) => ({ id: [...id], account: account && [...account], blocks: blocks.map(({ bytes }) => [...bytes]) });
    return [verdict, plain(renamed, [block(2)]), plain(found.replica, found.blocks)];
  });
  assert.equal(verdict, "gap");
  assert.deepEqual(is, was);
});

const fixtures = new URL("fixtures/", import.meta.url);
for (const name of readdirSync(fixtures).filter((name) => name.endsWith(".json"))) {
  test(`a copy of ${name} is read, offline too, and its outbox arrives once`, async (t) => {
    const { relay, tab, load, origin } = await profile(t, browser);
    const options = { relay: relay.url, id: "fixture", kind: "permanent" };
    const page = await tab();
    await page.goto(`${origin}/blank`);
    const fixture = JSON.parse(readFileSync(new URL(name, fixtures), "utf8"));
    await page.evaluate(async ([place, { version, stores }]) => {
      const value = (text) => {
        if (Array.isArray(text)) return text.map(value);
        if (typeof text !== "object" || text === null) return text;
        if (text.base64 !== undefined) return Uint8Array.from(atob(text.base64), (char) => char.charCodeAt(0));
        return Object.fromEntries(Object.entries(text).map(([key, inner]) => [key, value(inner)]));
      };
      const opening = indexedDB.open(place, version);
      opening.onupgradeneeded = () => {
        for (const [name, rows] of Object.entries(stores)) {
          const store = opening.result.createObjectStore(name);
          for (const [key, row] of rows) store.put(value(row), key);
        }
      };
      await new Promise((done) => (opening.onsuccess = done));
      opening.result.close();
    }, [["neap", relay.url, "fixture", ""].map(encodeURIComponent).join("/"), fixture]);

    await load(page);
    await page.evaluate(async (given) => {
      await start({ ...given, WebSocket: class { constructor() { throw new Error("no network"); } } });
    }, options);
    const shown = await keys(page);
    assert.equal(shown.length, 42, "40 set, one logged, one deleted, two pending");
    assert.deepEqual(await page.evaluate(() => tasks.get("k7")), { id: "k7", n: 7, patched: true });
    assert.equal(await page.evaluate(() => ds.status.pending), 3);
    // It connects once the disk knows of it.
    await until(() => page.evaluate(() => trouble.length > 0), "a word of the road");
    assert.deepEqual(await page.evaluate(() => trouble), ["unreachable"]);
    // Written anew in today's format, beside what is old.
    await page.evaluate(() => tasks.set({ id: "today" }).durable.then(() => ds.close()));

    const asked = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: "fixture", kind: "permanent" }) };
    assert.equal((await fetch(`${relay.url}/v1/datastores`, asked)).status, 201);
    await load(page, options);
    await page.evaluate(() => ds.ready.then(() => ds.settled()));
    await until(async () => (await page.evaluate(() => ds.status.pending)) === 0, "settled");
    assert.deepEqual(await keys(page), ["a", "b", "today"], "another life, which has what was pending");
    assert.equal(await seqOf(relay, "fixture"), 3, "the patch found no record there");
    assert.deepEqual(await page.evaluate(() => refused.map(({ ops }) => ops[0].key)), ["k7"]);
    assert.deepEqual(await page.evaluate(() => trouble), []);
  });
}

test("a tab that does not let go of an older format blocks nobody: memory, and an error that says so", async (t) => {
  const { relay, tab } = await profile(t, browser);
  const page = await tab();
  await page.evaluate(async (url) => {
    const place = ["neap", url, "board", ""].map(encodeURIComponent).join("/");
    globalThis.holder = await new Promise((done) => (indexedDB.open(place, 1).onsuccess = (event) => done(event.target.result)));
    await start({ relay: url, id: "board" });
    ds.on("error", ({ message }) => (globalThis.message = message));
    await ds.ready;
    await tasks.set({ id: "a" }).settled;
  }, relay.url);
  assert.deepEqual(await page.evaluate(() => [trouble, ds.status.storage]), [["storage-failed"], "memory"]);
});
