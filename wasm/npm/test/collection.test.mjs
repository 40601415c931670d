// A datastore without a relay: what the app sees of its own writes. The built package with its real core.

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, random } from "./house.mjs";
import { NeapError, open } from "../dist/index.js";

async function local(t, options = {}) {
  const ds = await open({ relay: null, storage: "memory", ...options });
  t.after(() => ds.close());
  return ds;
}

const microtasks = async () => {
  for (let turn = 0; turn < 5; turn++) await undefined;
};
const macrotask = () => new Promise((resolve) => setTimeout(resolve, 5));

test("what is set is there at once, frozen, and the same object until it changes", async (t) => {
  const tasks = (await local(t)).collection("tasks");
  const mine = { id: "a", title: "one", tags: ["x"] };
  tasks.set(mine);
  const first = tasks.get("a");
  assert.deepEqual(first, mine);
  assert.notEqual(first, mine);
  assert.ok(Object.isFrozen(first) && Object.isFrozen(first.tags));
  assert.equal(tasks.get("a"), first);
  await macrotask();
  assert.equal(tasks.get("a"), first);
  tasks.patch("a", { title: "two" });
  assert.deepEqual(tasks.get("a"), { id: "a", title: "two", tags: ["x"] });
  assert.equal(tasks.get("a"), tasks.get("a"));
  tasks.delete("a");
  assert.equal(tasks.get("a"), undefined);
  assert.equal(tasks.has("a"), false);
});

test("it reads as a Map in the order of the keys' bytes", async (t) => {
  const tasks = (await local(t)).collection("tasks");
  const keys = ["b", "a", "ä", "😀", "\uffff", "Z", "10", "9"];
  for (const id of keys) tasks.set({ id });
  assert.equal(tasks.size, keys.length);
  const sorted = [...keys].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  assert.deepEqual([...tasks.keys()], sorted);
  assert.deepEqual([...tasks.values()].map(({ id }) => id), sorted);
  assert.deepEqual([...tasks], sorted.map((id) => [id, { id }]));
  assert.deepEqual([...tasks.entries()], [...tasks]);
  for (const [key, record] of tasks) assert.equal(tasks.get(key), record);
  tasks.delete("Z");
  tasks.set({ id: "c" });
  assert.equal(tasks.size, keys.length);
  assert.deepEqual([...tasks.keys()], [...sorted.filter((key) => key !== "Z"), "c"].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))));
  assert.equal(tasks.get("nope"), undefined);
  assert.equal(tasks.get(undefined), undefined);
  assert.equal(tasks.has("\ud800"), false);
});

test("size is right amid sets that have not crossed yet, and each collection is its own", async (t) => {
  const ds = await local(t);
  for (let n = 0; n < 1500; n++) {
    ds.collection(n % 2 ? "odd" : "even").set({ id: `k${n}` });
    if (n % 100 === 0) assert.equal(ds.collection("even").size, n / 2 + 1);
  }
  assert.equal(ds.collection("odd").size, 750);
  assert.equal(ds.status.pending, 1500);
  assert.equal(ds.collection("odd"), ds.collection("odd"));
});

test("bad input throws its code, changes nothing and makes no mutation", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  tasks.set({ id: "a", n: 1 });
  const cases = [
    ["invalid-key", () => tasks.set({})],
    ["invalid-key", () => tasks.set({ id: "" })],
    ["invalid-key", () => tasks.set({ id: 7 })],
    ["invalid-key", () => tasks.set({ id: "x".repeat(513) })],
    ["invalid-key", () => tasks.patch("", {})],
    ["invalid-key", () => tasks.patch(undefined, {})],
    ["invalid-key", () => tasks.delete(7)],
    ["invalid-key", () => tasks.delete("")],
    ["invalid-data", () => tasks.set({ id: "a", f() {} })],
    ["invalid-data", () => tasks.set(null)],
    ["invalid-data", () => tasks.set([])],
    ["invalid-data", () => tasks.patch("a", { n: NaN })],
    ["invalid-data", () => tasks.patch("a", "text")],
    ["invalid-key", () => tasks.set({ id: "\ud800" })],
    ["invalid-key", () => tasks.set({ id: "\udc00", f() {} })],
    ["invalid-key", () => tasks.set({ id: 7n })],
    ["invalid-key", () => tasks.patch("\ud800", {})],
    ["invalid-key", () => ds.transact((tx) => tx.collection("tasks").set({ id: "\ud800" }))],
    ["too-large", () => tasks.set({ id: "a", t: "x".repeat(256 * 1024) })],
    ["too-large", () => tasks.patch("a", { t: "x".repeat(256 * 1024) })],
    ["key-mismatch", () => tasks.patch("a", { id: "b" })],
    ["key-mismatch", () => tasks.patch("a", { id: null })],
    ["invalid-options", () => tasks.set({ id: "a" }, { ifSeq: "1" })],
    ["invalid-options", () => tasks.set({ id: "a" }, { ifSeq: 1, ifAbsent: true })],
    ["invalid-options", () => tasks.delete("a", { ifPresent: false })],
    ["invalid-options", () => tasks.patch("a", {}, {})],
    ["invalid-options", () => tasks.set({ id: "a" }, null)],
    ["invalid-options", () => tasks.subscribe()],
    ["invalid-options", () => tasks.query().subscribe({})],
    ["invalid-options", () => ds.on("status", "fn")],
    ["invalid-options", () => ds.on("unknown", () => {})],
    ["invalid-options", () => ds.on("toString", () => {})],
    ["invalid-options", () => ds.off("unknown", () => {})],
    ["invalid-options", () => ds.transact()],
    ["invalid-options", () => tasks.transact({})],
    ["invalid-name", () => ds.collection("no name")],
    ["invalid-name", () => ds.collection("")],
  ];
  for (const [code, fn] of cases) {
    assert.equal(codeOf(fn), code, fn.toString());
    assert.throws(fn, NeapError);
  }
  assert.deepEqual([...tasks], [["a", { id: "a", n: 1 }]]);
  assert.equal(ds.status.pending, 1);
  tasks.patch("a", { id: "a", n: 2 });
  assert.equal(tasks.get("a").n, 2);
});

test("patch is JSON Merge Patch: the examples of RFC 7396 that fit a record", async (t) => {
  const tasks = (await local(t)).collection("tasks");
  const examples = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [before, patch, after] of examples) {
    tasks.set({ id: "k", ...before });
    tasks.patch("k", patch);
    assert.deepEqual(tasks.get("k"), { id: "k", ...after });
  }
});

test("what a replica predicts to be refused shows nothing and stays pending", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  tasks.patch("nope", { n: 1 });
  tasks.set({ id: "a" }, { ifPresent: true });
  tasks.set({ id: "a", n: 1 });
  tasks.set({ id: "a", n: 2 }, { ifAbsent: true });
  assert.deepEqual([...tasks], [["a", { id: "a", n: 1 }]]);
  assert.equal(ds.status.pending, 4);
  tasks.set({ id: "a", n: 3 }, { ifSeq: 7 });
  assert.equal(tasks.get("a").n, 3, "ifSeq means the own pending write");
  assert.deepEqual(tasks.meta("a"), { seq: null, pending: true });
  assert.deepEqual(tasks.meta("z"), { seq: null, pending: false });
});

test("subscribers hear once for each batch, after the call, of each key once", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  const batches = [];
  const end = tasks.subscribe(({ changes }) => batches.push(changes));
  tasks.set({ id: "a", n: 1 });
  tasks.set({ id: "b", n: 1 });
  tasks.patch("a", { n: 2 });
  tasks.set({ id: "gone" });
  tasks.delete("gone");
  assert.equal(batches.length, 0);
  await microtasks();
  assert.deepEqual(batches, [
    [
      { key: "a", before: undefined, after: { id: "a", n: 2 }, origin: "local" },
      { key: "b", before: undefined, after: { id: "b", n: 1 }, origin: "local" },
    ],
  ]);
  assert.equal(batches[0][0].after, tasks.get("a"));
  const before = tasks.get("a");
  tasks.delete("a");
  await microtasks();
  assert.deepEqual(batches[1], [{ key: "a", before, after: undefined, origin: "local" }]);
  assert.equal(batches[1][0].before, before);
  end();
  tasks.set({ id: "c" });
  await macrotask();
  assert.equal(batches.length, 2);
});

test("a subscriber may write, and one that throws harms nobody else", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  const thrown = [];
  globalThis.reportError = (error) => thrown.push(error.message);
  t.after(() => delete globalThis.reportError);
  let heard = 0;
  tasks.subscribe(() => {
    throw new Error("mine");
  });
  tasks.subscribe(({ changes }) => {
    heard += 1;
    if (changes[0].key === "a") tasks.set({ id: "b" });
  });
  tasks.set({ id: "a" });
  await macrotask();
  assert.equal(heard, 2);
  assert.deepEqual(thrown, ["mine", "mine"]);
  assert.ok(tasks.has("b"));
});

test("records before a change are known also where nobody has read them", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  ds.transact((tx) => {
    for (let n = 0; n < 10; n++) tx.collection("tasks").set({ id: `k${n}`, n });
  });
  await macrotask();
  const heard = [];
  tasks.subscribe(({ changes }) => heard.push(...changes));
  tasks.set({ id: "k1", n: "new" });
  tasks.patch("k2", { n: "new" });
  tasks.delete("k3");
  await microtasks();
  assert.deepEqual(heard.map(({ key, before, after }) => [key, before?.n, after?.n]), [
    ["k1", 1, "new"],
    ["k2", 2, "new"],
    ["k3", 3, undefined],
  ]);
});

test("a transaction is one mutation; reads in it see its writes", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  tasks.set({ id: "a", n: 1 });
  tasks.set({ id: "z", n: 1 });
  const batches = [];
  tasks.subscribe(({ changes }) => batches.push(changes.map(({ key }) => key)));
  const mutation = ds.transact((tx) => {
    const inside = tx.collection("tasks");
    inside.set({ id: "b", n: 2 });
    assert.deepEqual(inside.get("b"), { id: "b", n: 2 });
    assert.equal(tasks.get("b"), undefined);
    inside.patch("b", { m: 3 });
    assert.deepEqual(inside.get("b"), { id: "b", n: 2, m: 3 });
    inside.delete("a");
    assert.equal(inside.has("a"), false);
    assert.equal(tasks.has("a"), true);
    assert.equal(inside.size, 2);
    assert.deepEqual([...inside.keys()], ["b", "z"]);
    assert.deepEqual([...inside.values()].map(({ id }) => id), ["b", "z"]);
    tx.collection("other").set({ id: "o" });
  });
  assert.match(mutation.id, /^[0-9a-f]{16}-3$/);
  assert.equal(ds.status.pending, 3);
  assert.deepEqual([...tasks.keys()], ["b", "z"]);
  assert.equal(ds.collection("other").size, 1);
  await microtasks();
  assert.deepEqual(batches, [["b", "a"]]);
});

test("a throw inside a transaction undoes it all", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  tasks.set({ id: "a", n: 1 });
  const mine = new Error("mine");
  let later;
  const bad = [
    [mine, (tx) => { tx.collection("tasks").set({ id: "a", n: 2 }); throw mine; }],
    ["invalid-options", async (tx) => { tx.collection("tasks").set({ id: "a", n: 2 }); }],
    ["invalid-options", (tx) => { tx.collection("tasks").set({ id: "b" }); ds.transact(() => {}); }],
    ["invalid-options", (tx) => { tx.collection("tasks").set({ id: "b" }); tasks.set({ id: "c" }); }],
    ["invalid-key", (tx) => { tx.collection("tasks").set({ id: "b" }); tx.collection("tasks").set({}); }],
    ["key-mismatch", (tx) => { tx.collection("tasks").patch("a", { id: "b" }); }],
    ["too-large", (tx) => { for (let n = 0; n < 5; n++) tx.collection("tasks").set({ id: `b${n}`, t: "x".repeat(200_000) }); }],
    ["too-large", (tx) => { for (let n = 0; n < 10_001; n++) tx.collection("tasks").delete(`b${n}`); }],
  ];
  for (const [code, fn] of bad) assert.equal(codeOf(() => ds.transact(fn)), code);
  assert.deepEqual([...tasks], [["a", { id: "a", n: 1 }]]);
  assert.equal(ds.status.pending, 1);
  ds.transact((tx) => (later = tx.collection("tasks")) && undefined);
  for (const fn of [() => later.set({ id: "q" }), () => later.get("a"), () => later.size]) assert.equal(codeOf(fn), "invalid-options");
  tasks.set({ id: "d" });
  assert.equal(tasks.size, 2);
});

test("an async function is refused at the call, undone, and leaves no rejection behind", async (t) => {
  const ds = await local(t);
  const later = [];
  const unhandled = (error) => later.push(error.message);
  process.on("unhandledRejection", unhandled);
  t.after(() => process.off("unhandledRejection", unhandled));
  const run = async (tx) => {
    tx.collection("tasks").set({ id: "a" });
    await undefined;
    tx.collection("tasks").set({ id: "b" });
  };
  assert.equal(codeOf(() => ds.transact(run)), "invalid-options");
  assert.equal(codeOf(() => ds.transact(async () => Promise.reject(new Error("its own")))), "invalid-options");
  await macrotask();
  await macrotask();
  assert.deepEqual(later, []);
  assert.equal(ds.status.pending, 0);
  assert.deepEqual([...ds.collection("tasks")], []);
});

test("one function listens as often as it was told to, and each end ends one", async (t) => {
  const ds = await local(t);
  let heard = 0;
  const listener = () => (heard += 1);
  const ends = [ds.on("status", listener), ds.on("status", listener)];
  const after = async (id) => {
    heard = 0;
    ds.collection("tasks").set({ id });
    await macrotask();
    return heard;
  };
  assert.equal(await after("a"), 2);
  ends[0]();
  ends[0]();
  assert.equal(await after("b"), 1);
  ds.off("status", listener);
  assert.equal(await after("c"), 0);
});

test("sets that cross together, and what comes between them, are one mutation all the same", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  const heard = [];
  tasks.subscribe(({ changes }) => heard.push(changes.map(({ key, before, after }) => [key, before?.n, after?.n])));
  ds.transact((tx) => {
    const inside = tx.collection("tasks");
    for (let n = 0; n < 2000; n++) inside.set({ id: `k${n % 1000}`, n });
    assert.equal(inside.size, 1000);
  });
  assert.equal(ds.status.pending, 1);
  assert.equal(tasks.get("k7").n, 1007);
  await macrotask();
  assert.equal(heard.length, 1);
  assert.deepEqual(heard[0].find(([key]) => key === "k7"), ["k7", undefined, 1007]);

  ds.transact((tx) => {
    const inside = tx.collection("tasks");
    inside.set({ id: "k1", n: -1 });
    inside.patch("k1", { m: 1 });
    assert.deepEqual(inside.get("k1"), { id: "k1", n: -1, m: 1 });
    inside.set({ id: "k2", n: -2 });
    assert.equal(codeOf(() => inside.patch("k2", { id: "other" })), "key-mismatch");
    inside.delete("k3");
    inside.set({ id: "k3", n: -3 });
  });
  await macrotask();
  assert.deepEqual(heard[1].sort(), [["k1", 1001, -1], ["k2", 1002, -2], ["k3", 1003, -3]]);
  assert.deepEqual([tasks.get("k1"), tasks.get("k2"), tasks.get("k3")], [{ id: "k1", n: -1, m: 1 }, { id: "k2", n: -2 }, { id: "k3", n: -3 }]);
  ds.undo();
  assert.deepEqual([tasks.get("k1"), tasks.get("k2"), tasks.get("k3")], [{ id: "k1", n: 1001 }, { id: "k2", n: 1002 }, { id: "k3", n: 1003 }]);

  // Too many and too much are told, also to a function that swallows it, and leave nothing behind.
  const [big, before] = ["x".repeat(200_000), tasks.size];
  const swallow = (tx) => {
    try {
      for (let n = 0; n < 5; n++) tx.collection("tasks").set({ id: `big${n}`, big });
    } catch {
      tx.collection("tasks").set({ id: "small" });
    }
  };
  assert.equal(codeOf(() => ds.transact(swallow)), "too-large");
  assert.equal(codeOf(() => ds.transact((tx) => { for (let n = 0; n < 10_001; n++) tx.collection("tasks").set({ id: "one", n }); })), "too-large");
  assert.equal(tasks.size, before);
  assert.equal(ds.status.pending, 3);
});

test("a transaction that is predicted to be refused shows nothing", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  ds.transact((tx) => {
    tx.collection("tasks").set({ id: "a" });
    tx.collection("tasks").patch("nope", { n: 1 });
    tx.collection("tasks").set({ id: "b" });
  });
  assert.deepEqual([...tasks], []);
  assert.equal(ds.status.pending, 1);
});

test("with memory storage a mutation is durable at once; without a relay it never settles", async (t) => {
  const ds = await local(t);
  const mutation = ds.collection("tasks").set({ id: "a" });
  await mutation.durable;
  assert.equal(mutation.durable, mutation.durable, "a promise is one, as React's use wants it");
  assert.equal(await Promise.race([mutation.settled, macrotask().then(() => "open")]), "open");
  assert.equal(await Promise.race([ds.settled(), macrotask().then(() => "open")]), "open");
  const ids = Array.from({ length: 600 }, (_, n) => ds.collection("tasks").set({ id: `k${n}` }).id);
  assert.equal(new Set([...ids, mutation.id]).size, 601);
});

test("status is one object until it changes, and its event comes once for a batch", async (t) => {
  const ds = await local(t);
  const first = ds.status;
  assert.deepEqual(first, { connection: "offline", pending: 0, seq: 0, head: 0, storage: "memory", offlineUntil: null });
  assert.equal(ds.status, first);
  await macrotask();
  const heard = [];
  const end = ds.on("status", (status) => heard.push(status));
  ds.collection("tasks").set({ id: "a" });
  ds.collection("tasks").set({ id: "b" });
  assert.equal(ds.status.pending, 2, "and to look at it takes nothing from who listens");
  await macrotask();
  assert.deepEqual(heard, [ds.status]);
  assert.equal(ds.status, ds.status);
  end();
});

test("after close everything throws closed, and what waits for the relay rejects it", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  const open = tasks.set({ id: "a" });
  open.settled.finally(() => assert.fail("what was pending at close stays open"));
  const waiting = assert.rejects(ds.settled(), { code: "closed" });
  const ready = assert.rejects(ds.ready, { code: "closed" });
  const heard = [];
  ds.on("status", ({ connection, pending }) => heard.push([connection, pending]));
  const closing = ds.close();
  assert.deepEqual(heard, [], "never during a call");
  await closing;
  assert.deepEqual(heard, [["closed", 1]], "what it was is told as it was at last");
  await Promise.all([waiting, ready, open.durable]);
  for (const fn of [() => tasks.set({ id: "b" }), () => tasks.delete("a"), () => tasks.patch("a", {}), () => ds.transact(() => {}), () => ds.goOffline()])
    assert.equal(codeOf(fn), "closed");
  await assert.rejects(ds.settled(), { code: "closed" });
  assert.equal(ds.status.connection, "closed");
  assert.deepEqual(tasks.get("a"), { id: "a" });
  await ds.close();
  await ds.forget();
});

test("a transaction in which the datastore is closed makes nothing", async (t) => {
  const ds = await local(t);
  const tasks = ds.collection("tasks");
  const close = (tx) => {
    tx.collection("tasks").set({ id: "a" });
    void ds.close();
  };
  assert.equal(codeOf(() => ds.transact(close)), "closed");
  assert.deepEqual([tasks.size, ds.status.pending], [0, 0]);
});

test("bad options reject", async () => {
  const cases = [
    ["invalid-name", { id: "a b" }],
    ["invalid-options", { kind: "other" }],
    ["invalid-options", { ttl: 0 }],
    ["invalid-options", { ttl: 1.5 }],
    ["invalid-options", { primary: "" }],
    ["invalid-options", { primary: "x".repeat(65) }],
    ["invalid-options", { sliding: 1 }],
    ["invalid-options", { storage: "disk" }],
    ["invalid-options", { relay: "nonsense" }],
    ["invalid-options", { relay: "https://example.com/path" }],
    ["invalid-options", { relay: "https://ada:secret@example.com" }],
    ["invalid-options", { relay: undefined }],
    ["invalid-options", { token: 7 }],
    ["invalid-options", { user: "\ud800" }],
    ["invalid-options", { storage: "indexeddb", token: () => "x" }],
    ["invalid-options", { reley: null }],
    ["invalid-options", { relay: "https://example.com", WebSocket: "ws" }],
    ["invalid-options", { relay: null, WebSocket: 5 }],
  ];
  for (const [code, options] of cases) await assert.rejects(open({ relay: null, ...options }), { code }, JSON.stringify(options));
  const ds = await open({ relay: null, primary: "key", kind: "permanent" });
  assert.match(ds.id, /^[0-9a-f]{32}$/);
  assert.equal(ds.primary, "key");
  assert.equal(ds.kind, "permanent");
  ds.collection("c").set({ key: "a" });
  assert.equal(codeOf(() => ds.collection("c").set({ id: "a" })), "invalid-key");
  await ds.close();
});

test("random writes read back as from a plain Map, through every way of reading", async (t) => {
  for (let seed = 1; seed <= 12; seed++) {
    const dice = random(seed);
    const ds = await local(t);
    const tasks = ds.collection("tasks");
    const naive = new Map();
    const heard = new Map();
    if (seed % 2) tasks.subscribe(({ changes }) => changes.forEach(({ key, after }) => (after ? heard.set(key, after) : heard.delete(key))));
    const write = (to, key, n) => {
      switch (dice(4)) {
        case 0:
          to.delete(key);
          return naive.delete(key);
        case 1:
          to.patch(key, { n, [`m${dice(3)}`]: dice(2) ? null : n });
          return undefined;
        default:
          to.set({ id: key, n });
          return naive.set(key, { id: key, n });
      }
    };
    for (let step = 0; step < 400; step++) {
      const key = `k${dice(30)}`;
      const roll = dice(10);
      if (roll < 6) {
        const known = naive.get(key);
        write(tasks, key, step);
        if (naive.get(key) === known && known) naive.set(key, tasks.get(key));
      } else if (roll === 6) {
        ds.transact((tx) => {
          for (let n = 0; n < 5; n++) {
            const inner = `k${dice(30)}`;
            tx.collection("tasks").set({ id: inner, step, n });
            naive.set(inner, { id: inner, step, n });
          }
        });
      } else if (roll === 7) await macrotask();
      else if (roll === 8) assert.equal(tasks.size, naive.size);
      else assert.deepEqual([...tasks], [...naive].sort(([a], [b]) => (a < b ? -1 : 1)));
    }
    await macrotask();
    assert.deepEqual([...tasks], [...naive].sort(([a], [b]) => (a < b ? -1 : 1)));
    if (seed % 2) assert.deepEqual([...heard].sort(([a], [b]) => (a < b ? -1 : 1)), [...tasks]);
  }
});
