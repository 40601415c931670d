// What each kind of request costs its operator, and what an idle object costs: nothing. The numbers are exact:
// rows written are the dearest thing on the bill, so a change that adds one has to change a number here, and the
// table in ARCHITECTURE.md with it.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { contractBuild, long, native, relay, set, sleep, token, until } from "./house.mjs";
import { next } from "./wire.mjs";

const skip = native && "workerd's relay counts, as its operator pays by the row";
let build;
before(async () => {
  build = skip ? undefined : await contractBuild();
});

const counts = async (r) => (await r.call("POST", "/v1/datastores/counter/contract", "counts")).body;

/** What `run` costs. */
async function cost(r, run) {
  const before = await counts(r);
  await run();
  const after = await counts(r);
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
}

/** Runs each request and compares `[births, commits, alarms, rows read, rows written, frames sent]`. */
async function assertCosts(t, r, requests) {
  const found = {};
  for (const [what, [run]] of Object.entries(requests)) {
    const spent = await cost(r, run);
    found[what] = [spent.births, spent.commits, spent.alarms, spent.rowsRead, spent.rowsWritten, spent.frames];
    t.diagnostic(`${what}: ${found[what]}`);
  }
  const expected = Object.fromEntries(Object.entries(requests).map(([what, [, ...numbers]]) => [what, numbers]));
  assert.deepEqual(found, expected);
}

const ok = async (answer, status = 200) => assert.equal((await answer).status, status);
const ten = Array.from({ length: 10 }, (_, i) => set("c", `${i}`));
const hundred = Array.from({ length: 100 }, (_, i) => set("h", `${i}`));

test("rows, commits and alarms of each request over HTTP", { skip }, async (t) => {
  const r = await relay(t, { build });
  await counts(r);
  const at = "/v1/datastores/a";
  const record = `${at}/collections/c/records/k`;
  const items = `${at}/pools/p/items`;
  const mutate = (ops, headers) => r.call("POST", `${at}/mutations`, { ops }, headers);
  const once = { "Idempotency-Key": "once" };
  await assertCosts(t, r, {
    //                              births, commits, alarms, rows read, rows written, frames
    "ask for one that is not": [() => ok(r.call("GET", at), 404), 1, 0, 0, 1, 0, 0],
    "open a new one": [() => ok(r.call("POST", "/v1/datastores", { id: "a", ttl: 600 }), 201), 0, 1, 1, 0, 17, 0],
    "open it again": [() => ok(r.call("POST", "/v1/datastores", { id: "a", ttl: 600 })), 0, 1, 0, 0, 0, 0],
    "describe it": [() => ok(r.call("GET", at)), 0, 0, 0, 0, 0, 0],
    "count": [() => ok(r.call("GET", `${at}/stats`)), 0, 0, 0, 0, 0, 0],
    "put a new record": [() => ok(r.call("PUT", record, { v: 1 })), 0, 1, 0, 0, 3, 0],
    "put it again": [() => ok(r.call("PUT", record, { v: 2 })), 0, 1, 0, 1, 3, 0],
    "patch it": [() => ok(r.call("PATCH", record, { v: 3 })), 0, 1, 0, 1, 3, 0],
    "patch it to what it is": [() => ok(r.call("PATCH", record, { v: 3 })), 0, 1, 0, 2, 0, 0],
    "be refused": [() => ok(r.call("PUT", record, {}, { "If-None-Match": "*" }), 412), 0, 1, 0, 1, 0, 0],
    "read it": [() => ok(r.call("GET", record)), 0, 0, 0, 1, 0, 0],
    "read the changes": [() => ok(r.call("GET", `${at}/changes`)), 0, 0, 0, 1, 0, 0],
    "list the records": [() => ok(r.call("GET", `${at}/collections/c/records`)), 0, 0, 0, 2, 0, 0],
    "delete it": [() => ok(r.call("DELETE", record)), 0, 1, 0, 1, 4, 0],
    "delete what is not": [() => ok(r.call("DELETE", record), 404), 0, 1, 0, 2, 0, 0],
    "make ten records": [() => ok(mutate(ten)), 0, 1, 0, 0, 21, 0],
    "write them again": [() => ok(mutate(ten)), 0, 1, 0, 10, 21, 0],
    "write once": [() => ok(mutate([set("c", "once")], once)), 0, 1, 0, 0, 5, 0],
    "repeat it": [() => ok(mutate([set("c", "once")], once)), 0, 1, 0, 1, 0, 0],
    "add to a pool": [() => ok(r.call("POST", items, { items: [{ n: 1 }] })), 0, 1, 0, 1, 4, 0],
    "add what is known": [() => ok(r.call("POST", items, { items: [{ n: 1 }] })), 0, 1, 0, 2, 0, 0],
    "read the pool": [() => ok(r.call("GET", items)), 0, 0, 0, 1, 0, 0],
    "prolong it": [() => ok(r.call("PATCH", at, { ttl: 700 })), 0, 1, 0, 0, 1, 0],
  });
});

test("rows, commits and frames of each thing said over a socket, with one reader", { skip }, async (t) => {
  const r = await relay(t, { build });
  await counts(r);
  const [a, b] = [await r.socket("a"), await r.socket("a")];
  let turn = 0;
  const heard = (...mutations) => async () => {
    a.acked = turn;
    await a.outcome((turn = a.push(...mutations)));
    await until("the reader has heard", () => b.seq === a.seq);
  };
  await assertCosts(t, r, {
    //                              births, commits, alarms, rows read, rows written, frames
    "greet, and create it": [() => a.greet(), 0, 1, 1, 0, 17, 2],
    "greet where it is": [() => b.greet(), 0, 1, 0, 1, 0, 2],
    "ping": [() => pong(a), 0, 0, 0, 0, 0, 0],
    "the first set": [heard([set("c", "k")]), 0, 1, 0, 0, 4, 2],
    "set a new record": [heard([set("c", "l")]), 0, 1, 0, 0, 4, 2],
    "set it again": [heard([set("c", "l")]), 0, 1, 0, 1, 4, 2],
    "patch it": [heard([{ op: "patch", collection: "c", key: "l", data: { v: 1 } }]), 0, 1, 0, 1, 4, 2],
    "delete it": [heard([{ op: "delete", collection: "c", key: "l" }]), 0, 1, 0, 1, 5, 2],
    "be refused": [heard([{ op: "patch", collection: "c", key: "l", data: {} }]), 0, 1, 0, 1, 1, 1],
    "a mutation of 100 ops": [heard(hundred), 0, 1, 0, 0, 202, 2],
    "100 mutations in one frame": [heard(...hundred.map((op) => [op])), 0, 1, 0, 100, 202, 2],
    "a repeat": [() => repeat(a), 0, 1, 0, 0, 1, 1],
    "catch up": [() => caughtUp(a), 0, 1, 0, 103, 0, 1],
    "leave": [() => left(b), 0, 0, 0, 0, 0, 0],
  });
});

const pong = (raw) => {
  raw.socket.send("ping");
  return until("an answer", () => raw.texts.length > 0);
};

const repeat = (raw) => {
  raw.turn -= 1;
  raw.push([set("h", "99")]);
  return raw.wait("that it has missed something", ({ kind }) => kind === "behind");
};

const caughtUp = (raw) => {
  raw.frames.length = 0;
  raw.send(next({ after: 0, floor: raw.seq }));
  return raw.live();
};

const left = (raw) => {
  raw.socket.close();
  return raw.whenClosed();
};

test("a burst over a socket shares its commits", { skip }, async (t) => {
  const r = await relay(t, { build });
  await counts(r);
  const a = await r.socket("a");
  await a.greet();
  for (let i = 0; i < 50; i += 1) a.push([set("c", `${i}`)]);
  await a.outcome(50);
  const n = 1_000;
  const spent = await cost(r, async () => {
    for (let i = 0; i < n; i += 1) {
      a.acked = Math.max(0, a.turn - 300);
      a.push([set("c", `${i % 50}`, { i })]);
      if (i % 50 === 0) await until("few in flight", () => a.turn - a.settled().length < 200);
    }
    await a.outcome(50 + n);
  });
  t.diagnostic(`${n} mutations: ${spent.commits} commits, ${(spent.rowsWritten / n).toFixed(2)} rows written each, ${spent.frames} frames`);
  assert(spent.commits <= n / 10, `${spent.commits} commits`);
  // Two for the record and its index, and in each commit one for the datastore and one for the ledger.
  assert.equal(spent.rowsWritten, 2 * n + 2 * spent.commits);
  assert.equal(spent.rowsRead, n);
  assert(spent.frames <= spent.commits);
});

test("a text that cannot be a token is not taken into memory", { skip }, async (t) => {
  const r = await relay(t, { build });
  const raw = await r.socket("a");
  await raw.greet();
  const { memory } = await counts(r);
  raw.socket.send(`token ${"é".repeat(8 * 1024 * 1024)}`);
  assert.equal((await raw.whenClosed()).code, 4400);
  const grown = (await counts(r)).memory - memory;
  assert(grown < 1024 * 1024, `${grown} bytes`);
});

test("tokens share their commits", { skip }, async (t) => {
  const secret = "s3cret, long enough to be one";
  const r = await relay(t, { build, vars: { NEAP_SECRET: secret } });
  const claims = { ds: "*", scope: ["write", "admin"], sub: "ann", exp: Math.floor(Date.now() / 1_000) + 600 };
  const admin = { Authorization: `Bearer ${token(secret, claims)}` };
  const commits = async () => (await r.call("POST", "/v1/datastores/counter/contract", "counts", admin)).body.commits;
  const a = await r.socket("a", { protocols: ["neap.v1", `neap.token.${token(secret, claims)}`] });
  await a.greet();
  const before = await commits();
  for (let sent = 0; sent < 1_000; sent += 1) a.socket.send(`token ${token(secret, claims)}`);
  await a.outcome(a.push([set("c", "k")]));
  const spent = (await commits()) - before;
  assert(spent < 200, `${spent} commits`);
});

test("to wake costs the same rows, however many records there are", { skip }, async (t) => {
  const r = await relay(t, { build });
  const woken = {};
  for (const [id, records] of [["few", 10], ["many", long ? 100_000 : 10_000]]) {
    const a = await r.socket(id);
    await a.greet();
    for (let i = 0; i < records; i += 1_000) {
      a.acked = a.turn;
      a.frames.length = 0;
      // One after the other: more at once than its author has read would leave it behind.
      await a.outcome(a.push(Array.from({ length: Math.min(1_000, records - i) }, (_, j) => set("c", `${i + j}`))));
    }
    a.socket.close();
    await a.whenClosed();
  }
  for (const id of ["few", "many"]) {
    await r.restart();
    await counts(r);
    const { births, commits, alarms, rowsRead, rowsWritten } = await cost(r, () =>
      ok(r.call("PUT", `/v1/datastores/${id}/collections/c/records/5`, {})),
    );
    woken[id] = { births, commits, alarms, rowsRead, rowsWritten };
  }
  assert.deepEqual(woken.few, { births: 1, commits: 1, alarms: 0, rowsRead: 3, rowsWritten: 3 });
  assert.deepEqual(woken.many, woken.few);
});

test("an idle object with live sockets sleeps; pings do not wake it, a write does", { skip: skip || (!long && "10 s of idling: NEAP_LONG=1") }, async (t) => {
  const r = await relay(t, { build });
  const a = await r.socket("a");
  await a.greet();
  await a.outcome(a.push([set("c", "before")]));
  const { births } = await counts(r);
  for (let i = 0; i < 13; i += 1) {
    await sleep(1_000);
    a.socket.send("ping");
  }
  await until("the pings' answers", () => a.texts.length === 13);
  await a.outcome(a.push([set("c", "after")]));
  // The object that counts has slept too and is born again by being asked.
  assert.equal((await counts(r)).births - births, 2);
});
