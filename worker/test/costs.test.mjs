// What each kind of request costs its operator, in commits and rows, and what an idle object costs: nothing.
// Rows written are the dearest thing on the bill, so a change that adds one has to change a number here.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { contractBuild, long, native, relay, set, sleep, until } from "./house.mjs";

const skip = native && "workerd's relay counts, as its operator pays by the row";
let build;
before(async () => {
  build = skip ? undefined : await contractBuild();
});

const counts = async (r) => (await r.call("POST", "/v1/datastores/counter/contract", "counts")).body;

/** What `run` costs, less what counting costs. */
async function cost(r, run) {
  const before = await counts(r);
  await run();
  const after = await counts(r);
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - before[name]]));
}

test("rows and commits of each kind of request", { skip }, async (t) => {
  const r = await relay(t, { build });
  await counts(r);
  const at = "/v1/datastores/a";
  const record = `${at}/collections/c/records/k`;
  const requests = {
    // [what, commits, rows written at most]
    "open a new one": [() => r.call("POST", "/v1/datastores", { id: "a", ttl: 600 }), 1, 7],
    "open it again": [() => r.call("POST", "/v1/datastores", { id: "a", ttl: 600 }), 1, 0],
    "ask for one that is not": [() => r.call("GET", "/v1/datastores/none"), 0, 0],
    "put a new record": [() => r.call("PUT", record, { v: 1 }), 1, 4],
    "put it again": [() => r.call("PUT", record, { v: 2 }), 1, 3],
    "patch it": [() => r.call("PATCH", record, { v: 3 }), 1, 3],
    "read it": [() => r.call("GET", record), 0, 0],
    "read the changes": [() => r.call("GET", `${at}/changes`), 0, 0],
    "list the records": [() => r.call("GET", `${at}/collections/c/records`), 0, 0],
    "look at the datastore": [() => r.call("GET", at), 0, 0],
    "count": [() => r.call("GET", `${at}/stats`), 0, 0],
    "be refused": [() => r.call("PUT", record, {}, { "If-None-Match": "*" }), 1, 0],
    "delete it": [() => r.call("DELETE", record), 1, 4],
    "mutate ten records": [() => r.call("POST", `${at}/mutations`, { ops: Array.from({ length: 10 }, (_, i) => set("c", `${i}`)) }), 1, 31],
    "mutate them again": [() => r.call("POST", `${at}/mutations`, { ops: Array.from({ length: 10 }, (_, i) => set("c", `${i}`)) }), 1, 21],
  };
  for (const [what, [run, commits, rows]] of Object.entries(requests)) {
    const spent = await cost(r, run);
    t.diagnostic(`${what}: ${spent.commits} commits, ${spent.statements} statements, ${spent.rowsRead} rows read, ${spent.rowsWritten} written`);
    assert.equal(spent.commits, commits, what);
    assert(spent.rowsWritten <= rows, `${what}: ${spent.rowsWritten} rows written`);
  }
});

test("a burst over a socket shares its commits", { skip }, async (t) => {
  const r = await relay(t, { build });
  await counts(r);
  const a = await r.socket("a");
  const connect = await cost(r, () => a.greet());
  assert.equal(connect.commits, 1);
  for (let i = 0; i < 50; i += 1) a.push([set("c", `${i}`)]);
  await a.outcome(50);
  const n = 1_000;
  const spent = await cost(r, async () => {
    for (let i = 0; i < n; i += 1) {
      a.push([set("c", `${i % 50}`, { i })]);
      if (i % 50 === 0) await until("few in flight", () => a.turn - a.settled().length < 200);
    }
    await a.outcome(50 + n);
  });
  t.diagnostic(`${n} mutations: ${spent.commits} commits, ${(spent.rowsWritten / n).toFixed(2)} rows written each`);
  assert(spent.commits <= n / 10, `${spent.commits} commits`);
  assert(spent.rowsWritten <= 2 * n + 3 * spent.commits, `${spent.rowsWritten} rows`);
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
