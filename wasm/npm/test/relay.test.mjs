// Replicas in Node against the real relay on real workerd.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, connect } from "node:net";
import { test } from "node:test";
import { startRelay } from "../../../tools/relay.mjs";
import { open } from "../dist/index.js";
import { random, tempDir, until } from "./house.mjs";

async function relayOf(t, vars = {}) {
  const relay = await startRelay({ data: tempDir(t), vars });
  t.after(() => relay.stop());
  return relay;
}

async function replica(t, relay, options = {}) {
  const ds = await open({ relay: relay.url, storage: "memory", ...options });
  ds.trouble = [];
  ds.on("error", (error) => ds.trouble.push(error.code));
  t.after(() => ds.close());
  return ds;
}

/** All replicas hold the same, and know it. */
async function converge(...all) {
  await Promise.all(all.map((ds) => ds.settled()));
  const head = Math.max(...all.map((ds) => ds.seq));
  await until(() => all.every((ds) => ds.seq === head && ds.digest === all[0].digest), "equal digests");
}

const rows = (ds, name = "tasks") => [...ds.collection(name)];

test("a replica that reads is never left behind, however much passes", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  await ada.ready;
  const bob = await replica(t, relay, { id: ada.id });
  await bob.ready;
  const seen = new Set();
  bob.on("status", ({ connection }) => seen.add(connection));
  const text = "x".repeat(200_000);
  for (let i = 0; i < 40; i += 1) await ada.collection("tasks").set({ id: `${i % 3}`, i, text }).settled;
  await converge(ada, bob);
  assert.equal(bob.seq, 40);
  assert.deepEqual([...seen], ["live"], "8 MB came as deltas");
});

test("what one replica writes the other sees, with one digest", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  await ada.ready;
  assert.equal(ada.status.connection, "live");
  assert.match(ada.epoch, /^[0-9a-f]{16}$/);
  assert.ok(ada.expiresAt.getTime() > Date.now() + 3_500_000);
  assert.deepEqual(ada.status.offlineUntil, ada.expiresAt);
  const ben = await replica(t, relay, { id: ada.id });
  await ben.ready;
  const heard = [];
  ben.collection("tasks").subscribe(({ changes }) => heard.push(...changes));
  const outcome = await ada.collection("tasks").set({ id: "a", title: "one" }).settled;
  assert.deepEqual(outcome, { status: "accepted", seq: 1 });
  await converge(ada, ben);
  assert.deepEqual(rows(ben), [["a", { id: "a", title: "one" }]]);
  assert.deepEqual(heard, [{ key: "a", before: undefined, after: { id: "a", title: "one" }, origin: "remote" }]);
  assert.equal(ben.epoch, ada.epoch);
  assert.deepEqual(ben.collection("tasks").meta("a"), { seq: 1, pending: false });
  assert.deepEqual(await ben.collection("tasks").delete("a").settled, { status: "accepted", seq: 2 });
  assert.deepEqual(await ben.collection("tasks").delete("a").settled, { status: "accepted", seq: null });
  await converge(ada, ben);
  assert.deepEqual(rows(ada), []);
});

test("edits made offline go out on return, a chain of conditions among them", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  await ada.ready;
  const tasks = ada.collection("tasks");
  const { seq } = await tasks.set({ id: "a", n: 0 }).settled;
  ada.goOffline();
  assert.equal(ada.status.connection, "offline");
  const chain = [
    tasks.patch("a", { n: 1 }, { ifSeq: seq }),
    tasks.patch("a", { n: 2 }, { ifSeq: seq }),
    tasks.set({ id: "b" }, { ifAbsent: true }),
    tasks.delete("b", { ifPresent: true }),
    tasks.patch("a", { n: 3 }, { ifSeq: seq + 999 }),
  ];
  assert.deepEqual(rows(ada), [["a", { id: "a", n: 3 }]]);
  assert.equal(ada.status.pending, 5);
  ada.goOnline();
  const outcomes = await Promise.all(chain.map(({ settled }) => settled));
  assert.deepEqual(outcomes.map(({ status }) => status), Array(5).fill("accepted"));
  assert.equal(ada.status.pending, 0);
});

test("a refusal is told with its data, and is gone from the view in the same batch", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  await ada.ready;
  const ben = await replica(t, relay, { id: ada.id });
  await ben.ready;
  const { seq } = await ada.collection("tasks").set({ id: "a", by: "ada" }).settled;
  await converge(ada, ben);
  ben.goOffline();
  const late = ben.collection("tasks").set({ id: "a", by: "ben" }, { ifSeq: seq });
  assert.equal(ben.collection("tasks").get("a").by, "ben");
  await ada.collection("tasks").patch("a", { by: "ada again" }).settled;
  const log = [];
  ben.collection("tasks").subscribe(({ changes }) => log.push(["changes", changes[0].after.by]));
  ben.on("refused", (refused) => log.push(["refused", ben.collection("tasks").get("a").by, refused]));
  ben.goOnline();
  const outcome = await late.settled;
  assert.equal(outcome.status, "refused");
  assert.equal(outcome.code, "precondition-failed");
  await until(() => log.length >= 2, "both calls");
  assert.deepEqual(log, [
    ["changes", "ada again"],
    ["refused", "ada again", { id: late.id, code: "precondition-failed", message: outcome.message, ops: [{ op: "set", collection: "tasks", key: "a", data: { id: "a", by: "ben" } }] }],
  ]);
  await converge(ada, ben);
});

test("a transaction takes one seq, or is refused as a whole", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  const good = ada.transact((tx) => {
    for (let n = 0; n < 100; n++) tx.collection("tasks").set({ id: `k${n}`, n });
    tx.collection("lists").set({ id: "l" });
  });
  assert.deepEqual(await good.settled, { status: "accepted", seq: 1 });
  const bad = ada.transact((tx) => {
    tx.collection("tasks").delete("k1");
    tx.collection("tasks").patch("nope", {});
  });
  assert.equal((await bad.settled).code, "not-found");
  assert.equal(ada.collection("tasks").size, 100);
  assert.deepEqual(await ada.transact(() => {}).settled, { status: "accepted", seq: null });
  assert.equal(ada.seq, 1);
});

test("kind and primary must fit: options-mismatch, nothing sent, nothing lost", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay, { primary: "key" });
  await ada.ready;
  await ada.collection("tasks").set({ key: "a" }).settled;
  const ben = await replica(t, relay, { id: ada.id, primary: "id" });
  ben.collection("tasks").set({ id: "mine" });
  await until(() => ben.trouble.length > 0, "the error");
  assert.deepEqual(ben.trouble, ["options-mismatch"]);
  assert.deepEqual(rows(ben), [["mine", { id: "mine" }]]);
  assert.equal(ben.status.pending, 1);
  assert.equal(ben.status.connection, "offline");
  const eve = await replica(t, relay, { id: ada.id });
  await eve.ready;
  assert.equal(eve.primary, "key");
});

test("a deleted datastore is expired to its replicas; the outbox stays readable", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  await ada.ready;
  await ada.collection("tasks").set({ id: "a" }).settled;
  let expired = 0;
  ada.on("expired", () => (expired += 1));
  assert.equal((await fetch(`${relay.url}/v1/datastores/${ada.id}`, { method: "DELETE" })).status, 204);
  await until(() => expired === 1, "expired");
  ada.collection("tasks").set({ id: "b" });
  assert.equal(ada.status.pending, 1);
  assert.equal(ada.status.connection, "offline");
  assert.equal(ada.collection("tasks").size, 2);
});

test("an id that lives again: reset, and what was pending goes on exactly once", async (t) => {
  const relay = await relayOf(t);
  const ada = await replica(t, relay);
  await ada.ready;
  const { seq } = await ada.collection("tasks").set({ id: "old" }).settled;
  ada.goOffline();
  const kept = ada.collection("tasks").set({ id: "kept" });
  const stale = ada.collection("tasks").patch("old", { n: 1 }, { ifSeq: seq });
  const before = kept.id;
  await fetch(`${relay.url}/v1/datastores/${ada.id}`, { method: "DELETE" });
  await fetch(`${relay.url}/v1/datastores`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: ada.id }) });
  const ben = await replica(t, relay, { id: ada.id });
  await ben.collection("tasks").set({ id: "new" }).settled;
  const resets = [];
  const refused = [];
  ada.on("reset", ({ reason }) => resets.push(reason));
  ada.on("refused", ({ id }) => refused.push(id));
  ada.goOnline();
  assert.equal((await kept.settled).status, "accepted");
  assert.equal((await stale.settled).status, "refused");
  await converge(ada, ben);
  assert.deepEqual(rows(ben).map(([key]) => key), ["kept", "new"]);
  assert.deepEqual(resets, ["epoch"]);
  assert.equal(kept.id, before);
  assert.deepEqual(refused, [stale.id]);
});

test("a relay that is killed and comes back: every mutation arrives once", async (t) => {
  const data = tempDir(t);
  let relay = await startRelay({ data });
  t.after(() => relay.stop());
  const port = Number(new URL(relay.url).port);
  const ada = await replica(t, relay);
  await ada.ready;
  const counts = ada.collection("counts");
  let accepted = 0;
  for (let round = 0; round < 3; round++) {
    const sent = Array.from({ length: 200 }, (_, n) => counts.set({ id: `${round}-${n}` }));
    await sent[20].settled;
    await relay.kill();
    await until(() => ada.status.connection !== "live", "offline");
    relay = await startRelay({ data, port });
    const outcomes = await Promise.all(sent.map(({ settled }) => settled));
    accepted += outcomes.filter(({ status }) => status === "accepted").length;
  }
  assert.equal(accepted, 600);
  assert.equal(ada.seq, 600);
  const ben = await replica(t, relay, { id: ada.id });
  await ben.ready;
  await converge(ada, ben);
  assert.equal(ben.collection("counts").size, 600);
});

const jwt = (claims, secret) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
};

test("tokens: a function is asked at each connection; another user's token is not sent", async (t) => {
  const relay = await relayOf(t, { NEAP_SECRET: "secret" });
  const id = "board";
  const claims = { ds: id, scope: ["read", "write"], sub: "ada", exp: Math.floor(Date.now() / 1000) + 60 };
  let asked = 0;
  const ada = await replica(t, relay, { id, user: "ada", token: async () => (asked++, jwt(claims, "secret")) });
  await ada.ready;
  assert.equal((await ada.collection("tasks").set({ id: "a" }).settled).status, "accepted");
  ada.goOffline();
  ada.goOnline();
  await until(() => ada.status.connection === "live", "live again");
  assert.equal(asked, 2);
  const ben = await replica(t, relay, { id, user: "ben", token: jwt(claims, "secret") });
  await until(() => ben.trouble.includes("user-mismatch"), "user-mismatch");
  const eve = await replica(t, relay, { id, token: jwt({ ...claims, sub: "eve" }, "wrong") });
  await until(() => eve.trouble.includes("unauthorized"), "unauthorized");
  const reader = await replica(t, relay, { id, token: jwt({ ...claims, scope: ["read"], sub: "rita" }, "secret") });
  await reader.ready;
  assert.equal(reader.collection("tasks").size, 1);
  const failing = await replica(t, relay, { id, token: () => Promise.reject(new Error("no network")), user: "x" });
  await until(() => failing.trouble.includes("token-failed"), "token-failed");
});

/** A line to the relay that can be cut and held up. */
async function troubledLine(t, relay) {
  const port = Number(new URL(relay.url).port);
  const pairs = new Set();
  const line = { held: false, cut: () => pairs.forEach(([one, other]) => (one.destroy(), other.destroy())) };
  const server = createServer((client) => {
    const up = connect(port, "127.0.0.1");
    const pair = [client, up];
    pairs.add(pair);
    const pass = (from, to) => {
      from.on("data", (bytes) => line.held || to.write(bytes));
      from.on("error", () => {});
      from.on("close", () => (to.destroy(), pairs.delete(pair)));
    };
    pass(client, up);
    pass(up, client);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => (line.cut(), server.close()));
  return Object.assign(line, { url: `http://127.0.0.1:${server.address().port}` });
}

test("replicas on lines that are cut at random converge, and nothing is lost or doubled", async (t) => {
  const relay = await relayOf(t);
  const first = await replica(t, relay);
  await first.ready;
  const dice = random(11);
  const lines = await Promise.all([1, 2, 3].map(() => troubledLine(t, relay)));
  const all = await Promise.all(lines.map((line) => replica(t, line, { id: first.id })));
  let made = 0;
  const outcomes = [];
  for (let step = 0; step < 300; step++) {
    const who = dice(all.length);
    const tasks = all[who].collection("tasks");
    const roll = dice(20);
    if (roll === 0) lines[who].cut();
    else if (roll === 1) all[who].goOffline();
    else if (roll === 2) all[who].goOnline();
    else if (roll < 6) outcomes.push(tasks.patch(`k${dice(20)}`, { by: who }).settled);
    else {
      made += 1;
      tasks.set({ id: `own-${who}-${step}`, step });
      tasks.set({ id: `k${dice(20)}`, step });
    }
    if (dice(4) === 0) await new Promise((resolve) => setTimeout(resolve, dice(8)));
  }
  for (const ds of all) ds.goOnline();
  await converge(first, ...all);
  assert.equal(rows(first).filter(([key]) => key.startsWith("own-")).length, made);
  for (const ds of all) assert.deepEqual(rows(ds), rows(first));
  for (const outcome of await Promise.all(outcomes)) if (outcome.status === "refused") assert.equal(outcome.code, "not-found");
  const told = await (await fetch(`${relay.url}/v1/datastores/${first.id}`)).json();
  assert.equal(told.digest, first.digest);
  assert.equal(told.seq, first.seq);
});

test("an absent relay leaves a replica offline and usable", async (t) => {
  const ds = await replica(t, { url: "http://127.0.0.1:9" });
  await until(() => ds.status.connection === "offline", "offline");
  ds.collection("tasks").set({ id: "a" });
  assert.equal(ds.status.pending, 1);
  assert.equal(ds.status.offlineUntil, null);
  assert.deepEqual(ds.trouble, []);
});
