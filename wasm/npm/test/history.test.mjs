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

test("loads that nobody has looked at are taken back as they came", async (t) => {
  const { ds, tasks } = await local(t);
  for (const n of [1, 2, 3]) ds.transact((tx) => ["a", `b${n}`].forEach((id) => tx.collection("tasks").set({ id, n })));
  assert.ok(ds.undo());
  assert.equal(read(tasks), "a2 b11 b22");
  ds.transact((tx) => tx.collection("tasks").set({ id: "a", n: 4 }));
  ds.transact((tx) => tx.collection("tasks").set({ id: "a", n: 5 }));
  const states = [];
  while (ds.undo()) states.push(read(tasks));
  assert.deepEqual(states, ["a4 b11 b22", "a2 b11 b22", "a1 b11", ""]);
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

test("what was written again as it was is one's own still", async (t) => {
  const relay = await startRelay({ data: mkdtempSync(join(tmpdir(), "neap-")) });
  t.after(() => relay.stop());
  const ds = await open({ relay: relay.url, id: "again", storage: "memory" });
  t.after(() => ds.close());
  const tasks = ds.collection("tasks");
  const again = [
    () => tasks.set({ ...tasks.get("a") }, { ifPresent: true }),
    () => tasks.set({ ...tasks.get("a") }, { ifSeq: tasks.meta("a").seq }),
    () => ds.transact((tx) => {
      tx.collection("tasks").delete("a");
      tx.collection("tasks").set({ id: "a", n: 2 });
    }),
  ];
  for (const write of again) {
    for (const n of [1, 2]) await tasks.set({ id: "a", n }).settled;
    const { seq } = await write().settled;
    assert.ok(seq > 0, "the relay wrote it");
    assert.equal((await ds.undo().settled).status, "accepted");
    assert.equal(read(tasks), "a1");
    assert.equal((await ds.redo().settled).status, "accepted");
    assert.equal(read(tasks), "a2");
  }
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

test("a change of nothing ends no redo, and pushes nothing out of the history", async (t) => {
  const { ds, tasks } = await local(t);
  tasks.set({ id: "a", n: 1 });
  tasks.patch("a", { n: 2 });
  ds.undo();
  for (let n = 0; n < 500; n += 1) {
    tasks.patch("a", { n: 1 });
    ds.transact(() => {});
  }
  assert.ok(ds.redo());
  assert.equal(read(tasks), "a2");
  assert.ok(ds.undo() && ds.undo());
  assert.equal(tasks.size, 0);
});

test("alone one takes back whatever one has made, refused and repeated edits among it", async (t) => {
  const relay = await startRelay({ port: 0, data: mkdtempSync(join(tmpdir(), "neap-history-")) });
  t.after(() => relay.stop());
  const ada = await open({ relay: relay.url, id: "undo", storage: "memory" });
  t.after(() => ada.close());
  const mine = ada.collection("tasks");
  for (const isOffline of [false, true]) {
    if (isOffline) ada.goOffline();
    const made = [
      mine.set({ id: "a", n: 1 }),
      mine.set({ id: "a", n: 2 }, { ifAbsent: true }),
      mine.patch("a", { n: 3 }),
      mine.delete("b"),
      mine.set({ id: "b", n: 4 }),
      mine.set({ id: "b", n: 4 }),
    ];
    ada.goOnline();
    await Promise.all(made.map(({ settled }) => settled));
    const states = [];
    while (ada.canUndo) {
      assert.equal((await ada.undo().settled).status, "accepted");
      states.push(read(mine));
    }
    assert.deepEqual(states, ["a3 b4", "a3", "a1", ""]);
  }
});

/** Two replicas of one datastore, one of which is away for a while. */
async function pair(t) {
  const relay = await startRelay({ port: 0, data: mkdtempSync(join(tmpdir(), "neap-history-")) });
  t.after(() => relay.stop());
  const [ada, bob] = await Promise.all([0, 1].map(() => open({ relay: relay.url, id: "undo", storage: "memory" })));
  t.after(() => Promise.all([ada.close(), bob.close()]));
  const equal = () => until(() => ada.seq === bob.seq && ada.status.pending + bob.status.pending === 0 && ada.digest === bob.digest);
  const [mine, theirs] = [ada.collection("tasks"), bob.collection("tasks")];
  /** `act` happens while Ada is away; gives what `act.mine` gave. */
  const meanwhile = async (act) => {
    await equal();
    ada.goOffline();
    const made = act.mine();
    await act.theirs().settled;
    ada.goOnline();
    await equal();
    return made;
  };
  return { ada, mine, theirs, equal, meanwhile };
}

test("what others wrote before a mutation, while it was on its way, undo does not overwrite", async (t) => {
  const { ada, mine, theirs, equal, meanwhile } = await pair(t);
  await mine.set({ id: "a", n: 1 }).settled;
  await meanwhile({ mine: () => mine.delete("a"), theirs: () => theirs.patch("a", { n: 2 }) });
  assert.equal(read(mine), "");
  const { code } = await ada.undo().settled;
  assert.equal(code, "precondition-failed", "n was 2 when it was deleted, and 1 is all that was seen");
  await meanwhile({ mine: () => mine.set({ id: "b", n: 3 }), theirs: () => theirs.set({ id: "b", n: 4 }) });
  assert.equal((await ada.undo().settled).code, "precondition-failed");
  await equal();
  assert.equal(read(theirs), "b3", "it is not deleted for everybody");
  // What somebody else wrote elsewhere is in nobody's way.
  await meanwhile({ mine: () => mine.patch("b", { n: 5 }), theirs: () => theirs.set({ id: "c", n: 6 }) });
  assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "b3 c6");
});

test("an undo of what is on its way is refused where somebody else has come in between", async (t) => {
  const { ada, mine, theirs, equal, meanwhile } = await pair(t);
  await mine.set({ id: "a", n: 1 }).settled;
  const both = (act) => () => [act(), ada.undo(), mine.set({ id: "after", n: 9 })];
  for (const act of [() => mine.delete("a"), () => mine.set({ id: "a", n: 7 })]) {
    const made = await meanwhile({ mine: both(act), theirs: () => theirs.patch("a", { n: 2 }) });
    const [own, undone, after] = await Promise.all(made.map(({ settled }) => settled));
    assert.deepEqual([own.status, undone.code, after.status], ["accepted", "precondition-failed", "accepted"]);
    assert.notEqual(mine.get("a")?.n, 1, "what was overwritten comes back in nobody's name");
    await theirs.set({ id: "a", n: 1 }).settled;
  }
  // Where nobody has, it goes through, and so does what undoes it in its turn.
  const made = await meanwhile({
    mine: () => [mine.delete("a"), ada.undo(), ada.redo(), ada.undo()],
    theirs: () => theirs.set({ id: "b", n: 2 }),
  });
  for (const { settled } of made) assert.equal((await settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "a1 after9 b2");
});

test("of two writes in the same moment undo overwrites neither", async (t) => {
  const { ada, mine, theirs, equal } = await pair(t);
  await mine.set({ id: "a", n: 1 }).settled;
  await equal();
  const their = theirs.patch("a", { n: 2 });
  const own = mine.delete("a");
  await Promise.all([their.settled, own.settled]);
  await equal();
  const undone = await ada.undo().settled;
  await equal();
  const isFirst = (await own.settled).seq < (await their.settled).seq;
  assert.deepEqual([undone.status, mine.get("a")], isFirst ? ["accepted", { id: "a", n: 1 }] : ["refused", undefined]);
});

test("alone one takes back whatever one has done while away", async (t) => {
  const { ada, mine, theirs, equal } = await pair(t);
  await equal();
  ada.goOffline();
  for (let n = 0; n < 30; n += 1) mine.set({ id: `k${n % 3}`, n });
  mine.delete("k0");
  ada.goOnline();
  await equal();
  for (let n = 0; n < 31; n += 1) assert.equal((await ada.undo().settled).status, "accepted");
  await equal();
  assert.equal(read(theirs), "");
  assert.equal(ada.canUndo, false);
});
