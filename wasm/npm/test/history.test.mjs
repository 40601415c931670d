// Undo and redo, alone and beside somebody else, on the real relay.

import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { until } from "./house.mjs";
import { open } from "../dist/index.js";
import { startRelay } from "../../../tools/relay.mjs";

async function local(t) {
  const ds = await open({ relay: null, storage: "memory" });
  t.after(() => ds.close());
  return { ds, tasks: ds.collection("tasks") };
}

const read = (tasks) => [...tasks.values()].map(({ id, n }) => `${id}${n}`).join(" ");

test("undo takes back what was made, newest first, and redo makes it again", async (t) => {
  const { ds, tasks } = await local(t);
  assert.equal(ds.undo(), null);
  assert.equal(ds.canUndo, false);
  tasks.set({ id: "a", n: 1 });
  tasks.patch("a", { n: 2 });
  ds.transact((tx) => {
    tx.collection("tasks").delete("a");
    tx.collection("tasks").set({ id: "b", n: 3 });
  });
  const states = [read(tasks)];
  while (ds.undo()) states.push(read(tasks));
  assert.deepEqual(states, ["b3", "a2", "a1", ""]);
  assert.deepEqual([ds.canUndo, ds.canRedo], [false, true]);
  while (ds.redo()) states.push(read(tasks));
  assert.deepEqual(states.slice(4), ["a1", "a2", "b3"]);
  ds.undo();
  tasks.set({ id: "c", n: 4 });
  assert.equal(ds.redo(), null, "a new edit ends what could be made again");
  assert.ok(ds.undo() && ds.undo());
  assert.equal(read(tasks), "a1");
});

test("a transaction that sets a key twice goes back to what was there before both, beside many others", async (t) => {
  const { ds, tasks } = await local(t);
  tasks.set({ id: "a", n: 1 });
  const many = Array.from({ length: 2000 }, (_, n) => ({ id: `m${n}`, n }));
  ds.transact((tx) => {
    const inside = tx.collection("tasks");
    for (const record of [...many, { id: "a", n: 2 }, { id: "b", n: 2 }]) inside.set(record);
    assert.equal(inside.get("a").n, 2, "from here on what is set is seen at once");
    for (const record of [{ id: "a", n: 3 }, { id: "b", n: 3 }]) inside.set(record);
    assert.deepEqual([inside.get("a").n, inside.size], [3, 2002]);
  });
  assert.deepEqual([tasks.size, tasks.get("b").n], [2002, 3]);
  ds.undo();
  assert.equal(read(tasks), "a1");
  ds.redo();
  assert.deepEqual([tasks.size, tasks.get("a").n, tasks.get("m1999").n], [2002, 3, 1999]);
  ds.undo();
  ds.undo();
  assert.equal(tasks.size, 0);
});

test("what changed nothing is not undone", async (t) => {
  const { ds, tasks } = await local(t);
  tasks.set({ id: "a", n: 1 });
  tasks.patch("a", { n: 1 });
  tasks.delete("nothing");
  tasks.patch("nothing", { n: 1 });
  assert.ok(ds.undo());
  assert.equal(read(tasks), "");
});

test("undo never overwrites what somebody else has written since, and goes on across settled turns", async (t) => {
  const relay = await startRelay({ port: 0, data: mkdtempSync(join(tmpdir(), "neap-history-")) });
  t.after(() => relay.stop());
  const [ada, bob] = await Promise.all([0, 1].map(() => open({ relay: relay.url, id: "undo", storage: "memory" })));
  t.after(() => Promise.all([ada.close(), bob.close()]));
  const [mine, theirs] = [ada.collection("tasks"), bob.collection("tasks")];
  const equal = (other = bob) => until(() => ada.seq === other.seq && ada.status.pending + other.status.pending === 0 && ada.digest === other.digest);

  mine.set({ id: "a", n: 1 });
  await mine.set({ id: "a", n: 2 }).settled;
  assert.equal((await ada.undo().settled).status, "accepted");
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "");

  await mine.set({ id: "a", n: 3 }).settled;
  await equal();
  await theirs.patch("a", { n: 4 }).settled;
  await equal();
  const refused = [];
  ada.on("refused", ({ code }) => refused.push(code));
  const seen = await ada.undo().settled;
  assert.deepEqual([seen.status, seen.code], ["refused", "precondition-failed"]);
  assert.equal(read(mine), "a4");

  // Somebody else's write that this replica has not seen yet: the relay refuses.
  await mine.set({ id: "b", n: 1 }).settled;
  await equal();
  ada.goOffline();
  await theirs.set({ id: "b", n: 2 }).settled;
  const blind = ada.undo();
  assert.equal(mine.get("b"), undefined, "it is shown until the relay has spoken");
  ada.goOnline();
  assert.equal((await blind.settled).status, "refused");
  await equal();
  assert.equal(read(mine), "a4 b2");
  assert.deepEqual(refused, ["precondition-failed", "precondition-failed"]);

  // In another life of the id the same seq can be somebody else's, and the same record theirs.
  await fetch(`${relay.url}/v1/datastores/undo`, { method: "DELETE" });
  await until(() => bob.status.connection === "offline" && ada.status.connection === "offline");
  const eve = await open({ relay: relay.url, id: "undo", storage: "memory" });
  t.after(() => eve.close());
  await eve.ready;
  ada.goOffline();
  await mine.set({ id: "c", n: 1 }).durable;
  ada.goOnline();
  await ada.settled();
  await equal(eve);
  assert.ok(ada.undo(), "what was pending goes on, and can be taken back");
  assert.equal(ada.undo(), null, "what was settled in the old life cannot");
});

/** Two replicas of one datastore, which one of them has been away from for a while. */
async function pair(t) {
  const relay = await startRelay({ port: 0, data: mkdtempSync(join(tmpdir(), "neap-history-")) });
  t.after(() => relay.stop());
  const [ada, bob] = await Promise.all([0, 1].map(() => open({ relay: relay.url, id: "undo", storage: "memory" })));
  t.after(() => Promise.all([ada.close(), bob.close()]));
  const equal = () => until(() => ada.seq === bob.seq && ada.status.pending + bob.status.pending === 0 && ada.digest === bob.digest);
  const [mine, theirs] = [ada.collection("tasks"), bob.collection("tasks")];
  /** `act` happens while Ada is away. */
  const meanwhile = async (act) => {
    await equal();
    ada.goOffline();
    const mutation = act.mine();
    await act.theirs().settled;
    ada.goOnline();
    const outcome = await mutation.settled;
    await equal();
    return outcome;
  };
  return { ada, mine, theirs, equal, meanwhile };
}

test("what others wrote before a mutation, while it was on its way, is there again when it is taken back", async (t) => {
  const { ada, mine, theirs, equal, meanwhile } = await pair(t);
  await mine.set({ id: "a", n: 1 }).settled;
  await meanwhile({ mine: () => mine.delete("a"), theirs: () => theirs.patch("a", { n: 2 }) });
  assert.equal(read(mine), "");
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "a2", "not what was there when it was deleted");
  assert.equal((await ada.redo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "");

  await meanwhile({ mine: () => mine.set({ id: "b", n: 3 }), theirs: () => theirs.set({ id: "b", n: 4 }) });
  assert.equal(read(mine), "b3");
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "b4", "it is not deleted for everybody");

  // A patch of one field goes over theirs of another one.
  await meanwhile({ mine: () => mine.patch("b", { n: 5 }), theirs: () => theirs.patch("b", { more: true }) });
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.deepEqual(theirs.get("b"), { id: "b", n: 4, more: true });
});

test("a mutation that came to have an effect on its way is the next to be taken back", async (t) => {
  const { ada, mine, theirs, equal, meanwhile } = await pair(t);
  await mine.set({ id: "a", n: 1 }).settled;
  const outcome = await meanwhile({ mine: () => mine.delete("b"), theirs: () => theirs.set({ id: "b", n: 2 }) });
  assert.equal(outcome.seq, 3);
  assert.equal(read(mine), "a1");
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "a1 b2");
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "b2");
  assert.equal(ada.canUndo, false);
});

test("of two writes in the same moment the other's is never taken back", async (t) => {
  const { ada, mine, theirs, equal } = await pair(t);
  for (let n = 0; n < 20; n += 1) {
    await mine.set({ id: "a", n }).settled;
    await equal();
    const both = [theirs.patch("a", { theirs: n }), mine.delete("a")];
    const [their, own] = await Promise.all(both.map(({ settled }) => settled));
    await equal();
    const undone = await ada.undo().settled;
    await equal();
    const wanted = their.status === "accepted" && their.seq < own.seq ? { id: "a", n, theirs: n } : { id: "a", n };
    assert.deepEqual(mine.get("a"), undone.status === "accepted" ? wanted : undefined);
    await mine.delete("a").settled;
  }
});

test("what cannot be taken back in one mutation is refused, and what was made before it can be", async (t) => {
  const { ds, tasks } = await local(t);
  tasks.set({ id: "other", n: 0 });
  const title = "x".repeat(100);
  ds.transact((tx) => {
    for (let n = 0; n < 4000; n += 1) tx.collection("tasks").set({ id: `t${n}`, title });
  });
  ds.transact((tx) => {
    for (let n = 4000; n < 8000; n += 1) tx.collection("tasks").set({ id: `t${n}`, title });
  });
  ds.transact((tx) => {
    for (let n = 0; n < 8000; n += 1) tx.collection("tasks").delete(`t${n}`);
  });
  const refused = [];
  ds.on("refused", ({ code }) => refused.push(code));
  const { status, code } = await ds.undo().settled;
  assert.deepEqual([status, code, tasks.size], ["refused", "too-large", 1]);
  // Those stand under what could not be taken back.
  assert.deepEqual([(await ds.undo().settled).code, (await ds.undo().settled).code], ["precondition-failed", "precondition-failed"]);
  ds.undo();
  assert.deepEqual([tasks.size, refused], [0, ["too-large", "precondition-failed", "precondition-failed"]]);
});

test("a repeated change of nothing ends no redo", async (t) => {
  const { ds, tasks } = await local(t);
  tasks.set({ id: "a", n: 1 });
  tasks.patch("a", { n: 2 });
  ds.undo();
  tasks.patch("a", { n: 1 });
  assert.ok(ds.redo());
  assert.equal(read(tasks), "a2");
});
