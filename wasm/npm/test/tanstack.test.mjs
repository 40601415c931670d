// A collection in the real TanStack DB, on the real relay.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createCollection } from "@tanstack/db";
import { open } from "../dist/index.js";
import { neapCollectionOptions } from "../dist/tanstack.js";
import { startRelay } from "../../../tools/relay.mjs";
import { random, source, tempDir, until } from "./house.mjs";

async function pair(t) {
  const relay = await startRelay({ data: tempDir(t) });
  t.after(() => relay.stop());
  const ada = await open({ relay: relay.url, storage: "memory" });
  const ben = await open({ relay: relay.url, storage: "memory", id: ada.id });
  t.after(() => Promise.all([ada.close(), ben.close()]));
  await ada.ready;
  await ben.ready;
  return [ada, ben];
}

function tanstack(t, ds) {
  const tasks = createCollection(neapCollectionOptions(ds.collection("tasks")));
  const told = [];
  const subscription = tasks.subscribeChanges((changes) => told.push(...changes.map(({ type, key }) => `${type} ${key}`)));
  t.after(() => subscription.unsubscribe());
  return { tasks, told };
}

const plain = (row) => row && Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith("$")));

test("it is ready with what is there, and follows both sides without flicker", async (t) => {
  const [ada, ben] = await pair(t);
  ada.collection("tasks").set({ id: "a", n: 1 });
  const { tasks, told } = tanstack(t, ada);
  assert.equal(tasks.status, "ready");
  assert.deepEqual(plain(tasks.get("a")), { id: "a", n: 1 });
  await ada.settled();
  told.length = 0;
  const insert = tasks.insert({ id: "b", n: 2 });
  assert.deepEqual(plain(tasks.get("b")), { id: "b", n: 2 }, "at once");
  await insert.isPersisted.promise;
  assert.deepEqual(ada.collection("tasks").get("b"), { id: "b", n: 2 });
  await until(() => ben.collection("tasks").has("b"), "the record at Ben's");
  await until(() => tasks.get("b").$synced, "that it is confirmed");
  assert.ok(!told.includes("delete b"), "the row never went away");
  assert.equal(told.filter((change) => change === "insert b").length, 1);
  ben.collection("tasks").set({ id: "c", n: 3 });
  await until(() => tasks.has("c"), "Ben's record");
  ben.collection("tasks").delete("a");
  await until(() => !tasks.has("a"), "Ben's deletion");
  await tasks.delete("b").isPersisted.promise;
  await until(() => !ben.collection("tasks").has("b"), "the deletion at Ben's");
  assert.deepEqual([...tasks.keys()], ["c"]);
});

test("an update sends what has changed, so another field of somebody else stays", async (t) => {
  const [ada, ben] = await pair(t);
  const { tasks } = tanstack(t, ada);
  await tasks.insert({ id: "a", title: "t", deep: { x: 1, y: 2 }, gone: true }).isPersisted.promise;
  await until(() => ben.collection("tasks").has("a"), "the record at Ben's");
  ada.goOffline();
  const update = tasks.update("a", (draft) => {
    draft.deep.x = 5;
    delete draft.gone;
  });
  assert.equal((await ben.collection("tasks").patch("a", { title: "Ben's" }).settled).status, "accepted");
  ada.goOnline();
  await update.isPersisted.promise;
  const all = { id: "a", title: "Ben's", deep: { x: 5, y: 2 } };
  await until(() => tasks.get("a").title === "Ben's", "Ben's title");
  assert.deepEqual(plain(tasks.get("a")), all);
  assert.deepEqual(ada.collection("tasks").get("a"), all);
  // A null cannot travel in a merge patch: then the whole record goes.
  await tasks.update("a", (draft) => void (draft.title = null)).isPersisted.promise;
  assert.equal(ada.collection("tasks").get("a").title, null);
});

test("a refusal rolls back with its code, all rows of the call together", async (t) => {
  const [ada, ben] = await pair(t);
  const { tasks, told } = tanstack(t, ada);
  ada.goOffline();
  const insert = tasks.insert([{ id: "a", by: "ada" }, { id: "b", by: "ada" }]);
  assert.equal(tasks.size, 2);
  await ben.collection("tasks").set({ id: "a", by: "ben" }).settled;
  ada.goOnline();
  await assert.rejects(insert.isPersisted.promise, { name: "NeapError", code: "precondition-failed" });
  await until(() => tasks.get("a")?.by === "ben", "Ben's record");
  assert.deepEqual([...tasks.keys()], ["a"]);
  assert.equal(told.filter((change) => change === "insert b").length, 1);
  const bad = tasks.insert({ id: "x", n: Number.NaN });
  await assert.rejects(bad.isPersisted.promise, { code: "invalid-data" });
  assert.equal(tasks.has("x"), false);
});

test("a merge patch between any two states makes the one of the other, or there is none", async () => {
  const { mergePatch } = await source("tanstack/patch.ts");
  const apply = (target, patch) => {
    if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
    const result = typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
    for (const [name, value] of Object.entries(patch)) {
      if (value === null) delete result[name];
      else result[name] = apply(result[name], value);
    }
    return result;
  };
  const next = random(7);
  const value = (depth) => {
    const kind = next(depth > 2 ? 4 : 6);
    if (kind === 0) return next(3);
    if (kind === 1) return next(4) ? "text" : null;
    if (kind === 2) return [next(2), null];
    if (kind === 3) return true;
    return object(depth + 1);
  };
  const object = (depth) => Object.fromEntries(["a", "b", "toString", "constructor"].filter(() => next(2)).map((name) => [name, value(depth)]));
  let none = 0;
  for (let round = 0; round < 5000; round++) {
    const [before, after] = [object(0), object(0)];
    const patch = mergePatch(before, after);
    if (patch) assert.deepEqual(apply(before, patch), after);
    else none += 1;
    if (!patch) assert.match(JSON.stringify(after), /:null/);
  }
  assert.ok(none > 0 && none < 2500, `${none} had none`);
});
