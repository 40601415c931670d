// Live queries, against the plainest thing that could be right: filter, sort and slice all over again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf, random } from "./house.mjs";
import { open } from "../dist/index.js";

async function tasksOf(t) {
  const ds = await open({ relay: null, storage: "memory" });
  t.after(() => ds.close());
  return { ds, tasks: ds.collection("tasks") };
}

const microtasks = async () => {
  for (let turn = 0; turn < 5; turn++) await undefined;
};

const titles = (query) => query.value.map(({ title }) => title);

test("a query gives what matches, in order, up to the limit, and the same array until it changes", async (t) => {
  const { tasks } = await tasksOf(t);
  for (const [id, title, pri, done] of [["a", "d", 2, false], ["b", "c", 1, false], ["c", "b", 2, true], ["d", "a", 1, false]]) {
    tasks.set({ id, title, pri, done });
  }
  assert.deepEqual(titles(tasks.query()), ["d", "c", "b", "a"]);
  assert.deepEqual(titles(tasks.query({ where: { done: false }, orderBy: "title" })), ["a", "c", "d"]);
  assert.deepEqual(titles(tasks.query({ orderBy: ["title", "desc"], limit: 2 })), ["d", "c"]);
  assert.deepEqual(titles(tasks.query({ orderBy: [["pri", "desc"], "title"] })), ["b", "d", "a", "c"]);
  const open = tasks.query({ where: (task) => !task.done, orderBy: ["pri", "title"] });
  const first = open.value;
  assert.deepEqual(titles(open), ["a", "c", "d"]);
  assert.ok(Object.isFrozen(first));
  assert.equal(open.value, first);
  tasks.patch("c", { pri: 9 });
  assert.equal(open.value, first, "what does not match changes nothing");
  tasks.patch("c", { done: false });
  assert.deepEqual(titles(open), ["a", "c", "d", "b"], "a write shows before the call returns");
});

test("a query keeps its own copy of what it was asked, as JSON has it", async (t) => {
  const { tasks } = await tasksOf(t);
  const where = { tag: { k: "x", none: undefined }, at: new Date(5) };
  for (const id of ["a", "b"]) tasks.set({ id, title: id, ...where });
  const pair = ["title", "desc"];
  const [one, other] = [pair, [pair]].map((orderBy) => tasks.query({ where, orderBy }));
  assert.deepEqual([one, other].map(titles), [["b", "a"], ["b", "a"]], "what was stored finds its record");
  where.tag.k = "y";
  pair[1] = "asc";
  tasks.delete("a");
  tasks.set({ id: "c", title: "c", tag: { k: "x" }, at: new Date(5) });
  assert.deepEqual([one, other].map(titles), [["c", "b"], ["c", "b"]]);
  for (const bad of [1n, () => {}, NaN, [undefined]]) assert.equal(codeOf(() => tasks.query({ where: { tag: bad } })), "invalid-data");
  assert.deepEqual(titles(tasks.query({ where: { nosuch: undefined } })), ["b", "c"]);
});

test("listeners hear once for each batch, never during a call, and no more once it is closed", async (t) => {
  const { ds, tasks } = await tasksOf(t);
  const query = tasks.query({ where: { done: true } });
  const heard = [];
  const off = query.subscribe((value) => heard.push(value.length));
  ds.transact((tx) => {
    for (const id of ["a", "b"]) tx.collection("tasks").set({ id, done: true });
  });
  tasks.set({ id: "c", done: true });
  tasks.set({ id: "d", done: false });
  assert.deepEqual(heard, []);
  await microtasks();
  assert.deepEqual(heard, [3]);
  tasks.set({ id: "e", done: true });
  tasks.delete("e");
  await microtasks();
  assert.deepEqual(heard, [3], "what came and went again is nothing");
  off();
  tasks.delete("a");
  await microtasks();
  assert.deepEqual(heard, [3]);
  assert.equal(query.value.length, 2);
  query.close();
  tasks.delete("b");
  assert.equal(query.value.length, 2, "a closed query stays as it is");
});

test("a field is what a record has itself", async (t) => {
  const { tasks } = await tasksOf(t);
  tasks.set({ id: "a" });
  tasks.set({ id: "b", constructor: "x" });
  const found = (options) => tasks.query(options).value.map(({ id }) => id);
  assert.deepEqual(found({ where: { constructor: "x" } }), ["b"]);
  assert.deepEqual(found({ where: { toString: undefined } }), ["a", "b"]);
  assert.deepEqual(found({ orderBy: "constructor" }), ["a", "b"]);
});

test("bad options throw", async (t) => {
  const { tasks } = await tasksOf(t);
  for (const options of [{ where: 1 }, { where: [] }, { limit: -1 }, { limit: 1.5 }, null, 5, [], { filter: {} }, { orderBy: [] }, { orderBy: 3 }, { orderBy: [["a", "up"]] }]) {
    assert.equal(codeOf(() => tasks.query(options)), "invalid-options", JSON.stringify(options));
  }
});

test("increments give what running it again would give", async (t) => {
  const { ds, tasks } = await tasksOf(t);
  const next = random(7);
  const below = (n) => Math.floor(next() * n);
  const value = () => [undefined, null, true, 3, 1, "x", "y", { n: 1 }][below(8)];
  const compare = (one, other) => rank(one) - rank(other) || (one === other ? 0 : JSON.stringify(one) < JSON.stringify(other) ? -1 : 1);
  const rank = (v) => (v === undefined ? 0 : v === null ? 1 : { boolean: 2, number: 3, string: 4 }[typeof v] ?? 5);
  const queries = [
    { options: { where: { flag: true } }, plain: (all) => all.filter((r) => r.flag === true) },
    { options: { orderBy: ["v", "desc"], limit: 5 }, plain: (all) => all.sort((a, b) => compare(b.v, a.v) || (a.id < b.id ? -1 : 1)).slice(0, 5) },
    { options: { where: (r) => r.n > 3, orderBy: ["n", "v"] }, plain: (all) => all.filter((r) => r.n > 3).sort((a, b) => a.n - b.n || compare(a.v, b.v) || (a.id < b.id ? -1 : 1)) },
  ].map(({ options, plain }) => ({ query: tasks.query(options), plain }));
  for (let step = 0; step < 2000; step++) {
    const id = `k${below(30)}`;
    const write = (to) => {
      const kind = below(4);
      if (kind === 0) to.delete(id);
      else if (kind === 1 && to.has(id)) to.patch(id, { v: value() ?? null, n: below(8) });
      else to.set({ id, v: value(), n: below(8), flag: below(2) === 0 });
    };
    if (below(10) === 0) ds.transact((tx) => { write(tx.collection("tasks")); write(tx.collection("tasks")); });
    else write(tasks);
    if (step % 7 === 0) for (const { query, plain } of queries) assert.deepEqual(query.value, plain([...tasks.values()]), `step ${step}`);
  }
});

test("a predicate that throws stops no write: what it cannot judge does not match, and is reported", async (t) => {
  const { ds, tasks } = await tasksOf(t);
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.constructor.name);
  t.after(() => delete globalThis.reportError);
  tasks.set({ id: "a", tags: ["x"] });
  const query = tasks.query({ where: ({ tags }) => tags.includes("x") });
  tasks.set({ id: "b" });
  tasks.patch("a", { tags: null });
  ds.transact((tx) => tx.collection("tasks").set({ id: "c", tags: ["x"] }));
  assert.deepEqual(query.value.map(({ id }) => id), ["c"]);
  assert.deepEqual([...tasks.keys()], ["a", "b", "c"]);
  assert.equal(ds.status.pending, 4, "what shows is on its way");
  assert.ok(reported.length > 0 && reported.every((name) => name === "TypeError"));
  assert.throws(() => tasks.query({ where: ({ tags }) => tags.includes("x") }), TypeError);
});
